// 8-bit weights, n in -128..127. 72 texels a tile and block (80 with minimums):
//
//   texel k*8 + lane, k = 0..7: row k/2 of the lane, columns 16*(k%2)..+15, one int8 each
//   texel 64 + lane: of rows 0..3, Q8: f32 d          w = d n                (Q8_0, Q5_0, IQ4)
//                           Q8P, Q8M: f16 d0, d1      w = d0 n, d1 n: a scale for 16 columns each
//   texel 72 + lane:             Q8M: f16 m0, m1      w = d n + m
//
// Activations x = s*q with 10-bit q, |q| <= 511, in blocks of 32: three a word in 11 words, then s
// as f32: 12 words, 3 texels. The sum of 32 products is at most 128*511*32 < 2^21: exact.
#ifdef FORMAT_Q8M
#define BLOCK_TEXELS 80
#else
#define BLOCK_TEXELS 72
#endif
#define ACT_TEXELS 3

struct block_weights {
    uvec4 a0, a1, b0, b1, c0, c1, d0, d1; // rows 0..3, halves 0 and 1
    uvec4 d, m;
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
#ifdef FORMAT_Q8M
    b.m = LOAD4(weights, at + 72u);
#endif
    return b;
}

// The four rows' values of half h from a word of two f16 a row.
vec4 halves(uvec4 v, uint h)
{
    return h == 0u ? vec4(unpackHalf2x16(v.x).x, unpackHalf2x16(v.y).x, unpackHalf2x16(v.z).x,
                          unpackHalf2x16(v.w).x)
                   : vec4(unpackHalf2x16(v.x).y, unpackHalf2x16(v.y).y, unpackHalf2x16(v.z).y,
                          unpackHalf2x16(v.w).y);
}

// Four columns of the four rows, by byte position.
#define COL0(wa, wb, wc, wd) ivec4(byte0(wa), byte0(wb), byte0(wc), byte0(wd))
#define COL1(wa, wb, wc, wd) ivec4(byte1(wa), byte1(wb), byte1(wc), byte1(wd))
#define COL2(wa, wb, wc, wd) ivec4(byte2(wa), byte2(wb), byte2(wc), byte2(wd))
#define COL3(wa, wb, wc, wd) ivec4(byte3(wa), byte3(wb), byte3(wc), byte3(wd))
#ifdef FORMAT_Q8M
#define SUM4(sum, x, y, z, w) sum += x + y + z + w;
#else
#define SUM4(sum, x, y, z, w)
#endif
#define STEP4(h, i, x, y, z, w)                                                                    \
    s##h += COL0(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * x;                                      \
    s##h += COL1(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * y;                                      \
    s##h += COL2(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * z;                                      \
    s##h += COL3(b.a##h.i, b.b##h.i, b.c##h.i, b.d##h.i) * w;                                      \
    SUM4(sum##h, x, y, z, w)

vec4 block_dot(block_weights b, uint at)
{
    uvec4 p = LOAD4(acts, at), q = LOAD4(acts, at + 1u), r = LOAD4(acts, at + 2u);
    ivec4 s0 = ivec4(0), s1 = ivec4(0);
    int sum0 = 0, sum1 = 0;
    FOR_TENTHS(p, q, r, STEP4)
    float scale = uintBitsToFloat(r.w);
#ifdef FORMAT_Q8
    return uintBitsToFloat(b.d) * (vec4(s0 + s1) * scale);
#else
    vec4 y = halves(b.d, 0u) * vec4(s0) + halves(b.d, 1u) * vec4(s1);
#ifdef FORMAT_Q8M
    y += halves(b.m, 0u) * float(sum0) + halves(b.m, 1u) * float(sum1);
#endif
    return y * scale;
#endif
}

float weight_at(uint at, uint row, uint col)
{
    uint word = LOAD4(weights, at + 8u * (2u * row + (col >> 4)))[(col >> 2) & 3u];
    float n = float(int(word << (24u - 8u * (col & 3u))) >> 24);
    uvec4 d = LOAD4(weights, at + 64u);
#ifdef FORMAT_Q8
    return uintBitsToFloat(d[row]) * n;
#else
    float w = halves(d, col >> 4)[row] * n;
#ifdef FORMAT_Q8M
    w += halves(LOAD4(weights, at + 72u), col >> 4)[row];
#endif
    return w;
#endif
}
