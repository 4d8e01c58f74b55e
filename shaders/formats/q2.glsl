// 2-bit weights w = d*n + m, n in 0..3, a scale and a minimum for 16 columns (Q2_K). 32 texels a
// tile and block:
//
//   texel 8*h + lane, h = 0..1: half h of the columns, word 2g + p: columns 16h + 8g.. of rows
//      2p (low half) and 2p + 1 (high half), two bits each
//   texel 16 + lane: f16 d of the halves of row 0, of row 1, ...; texel 24 + lane: f16 m
//
// Activations x = s*q with 10-bit q, |q| <= 511, in blocks of 32 (q8.glsl). One multiply makes both
// rows' products (q4.glsl): |n q| summed over 16 columns is at most 3*511*16 = 24528 < 2^15.
#define BLOCK_TEXELS 32
#define ACT_TEXELS 4
#include "lib/acts.glsl"
#include "lib/tenths.glsl"

struct block_weights {
    uvec4 a, b, d, m;
};

block_weights block_load(uint at)
{
    return block_weights(LOAD4(weights, at), LOAD4(weights, at + 8u), LOAD4(weights, at + 16u),
                         LOAD4(weights, at + 24u));
}

#define COL(words, k) ivec2((words) >> (2 * (k)) & 0x00030003u)
#define DOT4(words, k, a, b, c, d)                                                                 \
    (COL(words, k) * a + COL(words, k + 1) * b + COL(words, k + 2) * c + COL(words, k + 3) * d)

vec4 block_dot(block_weights b, act_set a, uint first)
{
    int x[32];
    float scale = tenths(a, first, x);
    ivec2 s0 = DOT4(b.a.xy, 0, x[0], x[1], x[2], x[3]) + DOT4(b.a.xy, 4, x[4], x[5], x[6], x[7]) +
               DOT4(b.a.zw, 0, x[8], x[9], x[10], x[11]) +
               DOT4(b.a.zw, 4, x[12], x[13], x[14], x[15]);
    ivec2 s1 = DOT4(b.b.xy, 0, x[16], x[17], x[18], x[19]) +
               DOT4(b.b.xy, 4, x[20], x[21], x[22], x[23]) +
               DOT4(b.b.zw, 0, x[24], x[25], x[26], x[27]) +
               DOT4(b.b.zw, 4, x[28], x[29], x[30], x[31]);
    vec4 y = lows(b.d) * unpair(s0) + highs(b.d) * unpair(s1);
    y += lows(b.m) * float(ACT_SUM(a, 0)) + highs(b.m) * float(ACT_SUM(a, 1));
    return y * scale;
}
