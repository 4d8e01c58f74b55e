// Half-precision weights, F16 or (FORMAT_BF16) bfloat16. 128 texels a tile and block:
//
//   texel (8*row + 0..) : texel (k*4 + row)*8 + lane, k = 0..3: columns 8k..8k+7, two a word
//
// Activations are f32, 8 texels a block.
#define BLOCK_TEXELS 128
#define ACT_TEXELS 8
#include "lib/acts.glsl"

struct block_weights {
    uint at;
};

block_weights block_load(uint at) { return block_weights(at); }

vec2 pair(uint v)
{
#ifdef FORMAT_BF16
    return uintBitsToFloat(uvec2(v << 16, v & 0xffff0000u));
#else
    return unpackHalf2x16(v);
#endif
}

float dot8(uvec4 w, vec4 x, vec4 y)
{
    return dot(vec4(pair(w.x), pair(w.y)), x) + dot(vec4(pair(w.z), pair(w.w)), y);
}

vec4 block_dot(block_weights b, act_set a, uint first)
{
    vec4 s = vec4(0.0);
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        vec4 x0 = ACTF4(a, 2u * k), x1 = ACTF4(a, 2u * k + 1u);
        uint at = b.at + 32u * k;
        s += vec4(dot8(LOAD4(weights, at), x0, x1), dot8(LOAD4(weights, at + 8u), x0, x1),
                  dot8(LOAD4(weights, at + 16u), x0, x1), dot8(LOAD4(weights, at + 24u), x0, x1));
    }
    return s;
}
