// 8-bit weights w = d*n, n in -128..127 (Q8_0, IQ4_NL, IQ4_XS). 72 texels a tile and block:
//
//   texel k*8 + lane, k = 0..7: row k/2 of the lane, columns 16*(k%2)..+15, one int8 each
//   texel 64 + lane: f32 d of rows 0..3
//
// Activations x = s*q with 10-bit q, |q| <= 511, in blocks of 32: three a word in 11 words, s as
// f32, the sums of both halves' q, two words of padding: 4 texels. The sum of 32 products is at most
// 128*511*32 < 2^21: exact.
#define BLOCK_TEXELS 72
#define ACT_TEXELS 4
#include "lib/acts.glsl"

struct block_weights {
    uvec4 a0, a1, b0, b1, c0, c1, d0, d1; // rows 0..3, halves 0 and 1
    uvec4 d;
};

block_weights block_load(uint at)
{
    block_weights b;
    b.a0 = LOAD4(weights, at);
    b.a1 = LOAD4(weights, at + 8u);
    b.b0 = LOAD4(weights, at + 16u);
    b.b1 = LOAD4(weights, at + 24u);
    b.c0 = LOAD4(weights, at + 32u);
    b.c1 = LOAD4(weights, at + 40u);
    b.d0 = LOAD4(weights, at + 48u);
    b.d1 = LOAD4(weights, at + 56u);
    b.d = LOAD4(weights, at + 64u);
    return b;
}

// Four columns of the four rows, by byte position.
#define COL0(wa, wb, wc, wd) ivec4(byte0(wa), byte0(wb), byte0(wc), byte0(wd))
#define COL1(wa, wb, wc, wd) ivec4(byte1(wa), byte1(wb), byte1(wc), byte1(wd))
#define COL2(wa, wb, wc, wd) ivec4(byte2(wa), byte2(wb), byte2(wc), byte2(wd))
#define COL3(wa, wb, wc, wd) ivec4(byte3(wa), byte3(wb), byte3(wc), byte3(wd))
#define STEP4(h, i, x, y, z, w)                                                                    \
    s += COL0(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * x;                                         \
    s += COL1(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * y;                                         \
    s += COL2(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * z;                                         \
    s += COL3(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * w;

vec4 block_dot(block_weights b, act_set a, uint first)
{
    ivec4 s = ivec4(0);
    FOR_TENTHS(a, STEP4)
    return uintBitsToFloat(b.d) * (vec4(s) * uintBitsToFloat(ACT(a, 2, w)));
}
