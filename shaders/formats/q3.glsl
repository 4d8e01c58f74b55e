// 3-bit weights w = d*(n - 4), n in 0..7, a scale for 16 columns (Q3_K). 32 texels a tile and
// block:
//
//   texel 8*j + lane, j = 0..2, word 2h + p: half h of the columns of rows 2p (low half) and 2p + 1
//      (high half): columns 16h + 5j.., three bits each, and in bit 15 bit j of column 16h + 15
//   texel 24 + lane: f16 d of the halves of row 0, of row 1, ...
//
// Activations x = s*q with 10-bit q, |q| <= 511, in blocks of 32 (q8.glsl). One multiply makes both
// rows' products, centred as in q4.glsl: |(n - 4) q| summed over 16 columns is at most
// 4*511*16 = 32704 < 2^15.
#define BLOCK_TEXELS 32
#define ACT_TEXELS 4
#include "lib/acts.glsl"
#include "lib/tenths.glsl"

struct block_weights {
    uvec4 a, b, c, d;
};

block_weights block_load(uint at)
{
    return block_weights(LOAD4(weights, at), LOAD4(weights, at + 8u), LOAD4(weights, at + 16u),
                         LOAD4(weights, at + 24u));
}

uvec2 last(uvec2 a, uvec2 b, uvec2 c)
{
    return (a >> 15 & 0x00010001u) | (b >> 14 & 0x00020002u) | (c >> 13 & 0x00040004u);
}

#define COL(words, k) ivec2((words) >> (3 * (k)) & 0x00070007u)
#define DOT5(words, a, b, c, d, e)                                                                 \
    (COL(words, 0) * a + COL(words, 1) * b + COL(words, 2) * c + COL(words, 3) * d +               \
     COL(words, 4) * e)

vec4 block_dot(block_weights b, act_set a, uint first)
{
    int x[32];
    float scale = tenths(a, first, x);
    ivec2 s0 = DOT5(b.a.xy, x[0], x[1], x[2], x[3], x[4]) +
               DOT5(b.b.xy, x[5], x[6], x[7], x[8], x[9]) +
               DOT5(b.c.xy, x[10], x[11], x[12], x[13], x[14]) +
               ivec2(last(b.a.xy, b.b.xy, b.c.xy)) * x[15] - 4 * 65537 * ACT_SUM(a, 0);
    ivec2 s1 = DOT5(b.a.zw, x[16], x[17], x[18], x[19], x[20]) +
               DOT5(b.b.zw, x[21], x[22], x[23], x[24], x[25]) +
               DOT5(b.c.zw, x[26], x[27], x[28], x[29], x[30]) +
               ivec2(last(b.a.zw, b.b.zw, b.c.zw)) * x[31] - 4 * 65537 * ACT_SUM(a, 1);
    return (lows(b.d) * unpair(s0) + highs(b.d) * unpair(s1)) * scale;
}
