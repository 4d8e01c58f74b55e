// 4-bit weights w = d*(n - 8), n in 0..15 (Q4_0). Two blocks are a unit of 72 texels, as f16 scales of
// one block fill half a texel:
//
//   texel lane: f16 d of rows 0..3 in block 0, of rows 0..3 in block 1
//   texel 8 + 32*block + k*8 + lane, k = 0..3: as texel k*8 + lane of formats/q4.glsl, which also says
//   how rows are multiplied two at once, and what the activations are
#define BLOCK_TEXELS 36
#define UNIT_BLOCKS 2
#define UNIT_LOAD(at, block) block_load(at, block)
#define ACT_TEXELS 4
#include "lib/acts.glsl"
#include "lib/pairs.glsl"

struct block_weights {
    uvec4 a0, a1, b0, b1; // rows 0 and 1, rows 2 and 3, halves 0 and 1
    vec4 d;
};

// at: of the unit.
block_weights block_load(uint at, uint block)
{
    block_weights b;
    uvec4 s = LOAD4(weights, at);
    at += 8u + 32u * block;
    b.a0 = LOAD4(weights, at);
    b.a1 = LOAD4(weights, at + 8u);
    b.b0 = LOAD4(weights, at + 16u);
    b.b1 = LOAD4(weights, at + 24u);
    uvec2 d = block == 0u ? s.xy : s.zw;
    b.d = vec4(unpackHalf2x16(d.x), unpackHalf2x16(d.y));
    return b;
}

vec4 block_dot(block_weights b, act_set a, uint first)
{
    int s0 = int(ACT(a, 2, w)), t0 = s0, s1 = int(ACT(a, 3, x)), t1 = s1;
    FOR_TENTHS(a, PAIR_STEP4)
    vec2 f = uintBitsToFloat(uvec2(ACT(a, 3, y), ACT(a, 3, z))); // s0, s1
    return b.d * (unpair(ivec2(s0, t0)) * f.x + unpair(ivec2(s1, t1)) * f.y);
}
