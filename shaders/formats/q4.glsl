// 4-bit weights w = d*n + m, n in 0..15 (Q4_1, Q4_K; Q4_0 with m = -8d where a row is an odd number of
// blocks). 40 texels a tile and block:
//
//   texel k*8 + lane, k = 0..3: rows 2*(k/2) and +1 of the lane, columns 16*(k%2)..+15
//      word j: columns 4j..4j+3; nibble c of the low half is the even row, of the high half the odd
//   texel 32 + lane: f16 d of rows 0..3, f16 m of rows 0..3
//
// Activations x = s*q with 9-bit q, |q| <= 255, and a scale for 16 columns: a record of 4 texels,
// three q a word in 11 words, then c0, c1, s0, s1, sum of x. One 32-bit multiply by q makes both
// rows' products; with c = -8 * sum(q) * (2^16 + 1) as the start,
//
//   S = c + sum((n_even + 2^16 n_odd) q) = sum((n_even - 8) q) + 2^16 sum((n_odd - 8) q)   mod 2^32
//
// and as |(n - 8) q| summed over 16 columns is at most 8*255*16 = 32640 < 2^15, both halves of S
// come apart again. Centring the integers costs nothing and leaves one bit more to q.
#define BLOCK_TEXELS 40
#define ACT_TEXELS 4
#include "lib/acts.glsl"
#include "lib/pairs.glsl"

struct block_weights {
    uvec4 a0, a1, b0, b1; // rows 0 and 1, rows 2 and 3, halves 0 and 1
    vec4 d, m;
};

block_weights block_load(uint at)
{
    block_weights b;
    b.a0 = LOAD4(weights, at);
    b.a1 = LOAD4(weights, at + 8u);
    b.b0 = LOAD4(weights, at + 16u);
    b.b1 = LOAD4(weights, at + 24u);
    uvec4 s = LOAD4(weights, at + 32u);
    b.d = vec4(unpackHalf2x16(s.x), unpackHalf2x16(s.y));
    b.m = vec4(unpackHalf2x16(s.z), unpackHalf2x16(s.w));
    return b;
}

vec4 block_dot(block_weights b, act_set a, uint first)
{
    int s0 = int(ACT(a, 2, w)), t0 = s0, s1 = int(ACT(a, 3, x)), t1 = s1;
    FOR_TENTHS(a, PAIR_STEP4)
    vec3 f = uintBitsToFloat(uvec3(ACT(a, 3, y), ACT(a, 3, z), ACT(a, 3, w))); // s0, s1, sum of x
    vec4 centred = unpair(ivec2(s0, t0)) * f.x + unpair(ivec2(s1, t1)) * f.y;
    return b.d * (centred + 8.0 * f.z) + b.m * f.z;
}
