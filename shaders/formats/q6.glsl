// 6-bit weights w = d*n, n in -32..31, a scale for 16 columns (Q6_K). 56 texels a tile and block:
//
//   texel (3*h + j)*8 + lane, h = 0..1, j = 0..2: half h of the columns, word r of row r
//      bits 2 + 6k.., k = 0..4: column 16h + 5j + k, two's complement
//      bits 0 and 1: bits 2j and 2j + 1 of column 16h + 15
//   texel 48 + lane: f16 d of the halves of row 0, of row 1, ...
//
// Activations x = s*q with 10-bit q, |q| <= 511, in blocks of 32 (q8.glsl). The sum of 16 products
// is at most 32*511*16 < 2^18: exact, also in f32.
#define BLOCK_TEXELS 56
#define ACT_TEXELS 4
#include "lib/acts.glsl"
#include "lib/tenths.glsl"

struct block_weights {
    uvec4 a0, a1, a2, b0, b1, b2, d; // a word of each row: halves 0 and 1
};

block_weights block_load(uint at)
{
    return block_weights(LOAD4(weights, at), LOAD4(weights, at + 8u), LOAD4(weights, at + 16u),
                         LOAD4(weights, at + 24u), LOAD4(weights, at + 32u),
                         LOAD4(weights, at + 40u), LOAD4(weights, at + 48u));
}

// Column 15 of a half, from what its three words have left.
ivec4 last(uvec4 u, uvec4 v, uvec4 w)
{
    return ivec4(w << 30) >> 26 | ivec4((v & 3u) << 2 | (u & 3u));
}

#define COL(word, k) (ivec4((word) << (24 - 6 * (k))) >> 26)
#define DOT5(word, a, b, c, d, e)                                                                  \
    (COL(word, 0) * a + COL(word, 1) * b + COL(word, 2) * c + COL(word, 3) * d + COL(word, 4) * e)

vec4 block_dot(block_weights b, act_set a, uint first)
{
    int x[32];
    float scale = tenths(a, first, x);
    ivec4 s0 = DOT5(b.a0, x[0], x[1], x[2], x[3], x[4]) + DOT5(b.a1, x[5], x[6], x[7], x[8], x[9]) +
               DOT5(b.a2, x[10], x[11], x[12], x[13], x[14]) + last(b.a0, b.a1, b.a2) * x[15];
    ivec4 s1 =
        DOT5(b.b0, x[16], x[17], x[18], x[19], x[20]) +
        DOT5(b.b1, x[21], x[22], x[23], x[24], x[25]) +
        DOT5(b.b2, x[26], x[27], x[28], x[29], x[30]) + last(b.b0, b.b1, b.b2) * x[31];
    return (lows(b.d) * vec4(s0) + highs(b.d) * vec4(s1)) * scale;
}
