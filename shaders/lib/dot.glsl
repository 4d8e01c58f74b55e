// Four products of signed bytes and their sum in one instruction. glslang 12 has no word for it
// yet: OpSDot (4450) with its operands packed into 32 bits, capabilities DotProduct (6019) and
// DotProductInput4x8BitPacked (6018). The device must have shaderIntegerDotProduct.
#extension GL_EXT_spirv_intrinsics : require

spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018],
                  id = 4450)
int dot4(uint a, uint b, spirv_literal int packed);

#define DOT4X8(a, b) dot4(a, b, 0) // 0: PackedVectorFormat4x8Bit
#define DOT16X8(a, b)                                                                              \
    (DOT4X8(a.x, b.x) + DOT4X8(a.y, b.y) + DOT4X8(a.z, b.z) + DOT4X8(a.w, b.w))

// Activations with bytes (norm.comp, WANT_I8), 3 texels a block: q of both halves of 16 columns,
// then their scales and the sums of what they stand for.
#define I8_TEXELS 3
