// 5-bit weights w = d*n + m, n in 0..31 (Q5_1, Q5_K; Q5_0 with m = -16d). 48 texels a tile and
// block:
//
//   texel 8*j + lane, j = 0..4: word r of row r
//      bits 2 + 5k.., k = 0..5: column 6j + k
//      bits 0 and 1, of the five words one after the other: columns 30 and 31
//   texel 40 + lane: f16 d and m of row 0, of row 1, ...
//
// Activations x = s*q with 10-bit q, |q| <= 511, in blocks of 32 (q8.glsl). The sum of 32 products
// is at most 31*511*32 < 2^19: exact, also in f32.
#define BLOCK_TEXELS 48
#define ACT_TEXELS 4
#include "lib/acts.glsl"
#include "lib/tenths.glsl"

struct block_weights {
    uvec4 a, b, c, d, e, scales; // a word of each row
};

block_weights block_load(uint at)
{
    return block_weights(LOAD4(weights, at), LOAD4(weights, at + 8u), LOAD4(weights, at + 16u),
                         LOAD4(weights, at + 24u), LOAD4(weights, at + 32u),
                         LOAD4(weights, at + 40u));
}

uvec4 column30(uvec4 a, uvec4 b, uvec4 c) { return (a & 3u) | (b & 3u) << 2 | (c & 1u) << 4; }
uvec4 column31(uvec4 c, uvec4 d, uvec4 e) { return (c >> 1 & 1u) | (d & 3u) << 1 | (e & 3u) << 3; }

#define COL(word, k) ivec4((word) >> (2 + 5 * (k)) & 31u)
#define DOT6(word, a, b, c, d, e, f)                                                               \
    (COL(word, 0) * a + COL(word, 1) * b + COL(word, 2) * c + COL(word, 3) * d +                   \
     COL(word, 4) * e + COL(word, 5) * f)

vec4 block_dot(block_weights b, act_set a, uint first)
{
    int x[32];
    float scale = tenths(a, first, x);
    ivec4 s = DOT6(b.a, x[0], x[1], x[2], x[3], x[4], x[5]) +
              DOT6(b.b, x[6], x[7], x[8], x[9], x[10], x[11]) +
              DOT6(b.c, x[12], x[13], x[14], x[15], x[16], x[17]) +
              DOT6(b.d, x[18], x[19], x[20], x[21], x[22], x[23]) +
              DOT6(b.e, x[24], x[25], x[26], x[27], x[28], x[29]) +
              ivec4(column30(b.a, b.b, b.c)) * x[30] + ivec4(column31(b.c, b.d, b.e)) * x[31];
    int sum = ACT_SUM(a, 0) + ACT_SUM(a, 1);
    return (lows(b.scales) * vec4(s) + highs(b.scales) * float(sum)) * scale;
}
