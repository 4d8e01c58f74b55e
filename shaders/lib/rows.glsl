// One row of a tile's block for kernels that want a row apart from its neighbours: 32 integers as
// bytes, four columns a word (ROW_INTS), or 32 values as f16, two a word; of formats that are not
// integers eight values at a time (row_part: columns 8k..8k+7). The byte pictures are those of
// formats/*.glsl; ROW_LOAD takes the number of the block in the matrix (n_blocks a tile), the row's
// lane, and the row, 0 to 3.
//
//   w = d[h] * n + m[h] for half h of 16 columns; ROW_MIN tells that m is not zero
//
// Fields are moved to bytes with as few operations as the layout allows: 4 a word of q4, 3 a column
// of q5 and q6. With `row` constant, as in a loop over all four, what rows share is read once.

struct row_ints {
    uvec4 a, b; // halves 0 and 1
    vec2 d, m;
};

// n - bias in each byte, n < 128: the top bits keep borrows apart.
uvec4 less(uvec4 n, uint bias) { return ((n | 0x80808080u) - bias * 0x01010101u) ^ 0x80808080u; }

#define PACK(f, i) (f[i] | f[i + 1] << 8 | f[i + 2] << 16 | f[i + 3] << 24)
#define PACK16(f, i) uvec4(PACK(f, i), PACK(f, i + 4), PACK(f, i + 8), PACK(f, i + 12))

#if defined(FORMAT_Q2)
#define ROW_INTS
#define BLOCK_TEXELS 32
const bool ROW_MIN = true;
uvec4 spread(uint v) // 16 fields of two bits, one a byte
{
    uvec4 n = uvec4(v, v >> 8, v >> 16, v >> 24) & 255u;
    n = (n | n << 12) & 0x000f000fu;
    return (n | n << 6) & 0x03030303u;
}
uint half16(uvec4 t, uint row)
{
    uint s = 16u * (row & 1u), p = row / 2u;
    return t[p] >> s & 0xffffu | (t[2u + p] >> s & 0xffffu) << 16;
}
row_ints row_load(uint at, uint row)
{
    uvec4 a = LOAD4(weights, at), b = LOAD4(weights, at + 8u);
    return row_ints(spread(half16(a, row)), spread(half16(b, row)),
                    unpackHalf2x16(LOAD4(weights, at + 16u)[row]),
                    unpackHalf2x16(LOAD4(weights, at + 24u)[row]));
}

#elif defined(FORMAT_Q3)
#define ROW_INTS
#define BLOCK_TEXELS 32
const bool ROW_MIN = false;
uvec4 row_half(uvec4 u, uvec4 v, uvec4 w, uint row, uint h)
{
    uint s = 16u * (row & 1u), p = 2u * h + row / 2u;
    uvec3 t = uvec3(u[p], v[p], w[p]) >> s;
    uint f[16];
    [[unroll]] for (uint i = 0u; i < 15u; i++) f[i] = t[i / 5u] >> 3u * (i % 5u) & 7u;
    f[15] = t.x >> 15 & 1u | t.y >> 14 & 2u | t.z >> 13 & 4u;
    return less(PACK16(f, 0), 4u);
}
row_ints row_load(uint at, uint row)
{
    uvec4 u = LOAD4(weights, at), v = LOAD4(weights, at + 8u), w = LOAD4(weights, at + 16u);
    return row_ints(row_half(u, v, w, row, 0u), row_half(u, v, w, row, 1u),
                    unpackHalf2x16(LOAD4(weights, at + 24u)[row]), vec2(0.0));
}

#elif defined(FORMAT_Q4) || defined(FORMAT_Q4S)
#define ROW_INTS
uvec4 spread(uvec4 v) // four nibbles a word, one a byte
{
    v = (v | v << 8) & 0x00ff00ffu;
    return (v | v << 4) & 0x0f0f0f0fu;
}
uvec4 half16(uint at, uint row)
{
    return spread(LOAD4(weights, at + 16u * (row / 2u)) >> 16u * (row & 1u) & 0xffffu);
}
vec2 row_scale(uint s, uint row) { return vec2(unpackHalf2x16(s)[row & 1u]); }
#ifdef FORMAT_Q4
#define BLOCK_TEXELS 40
const bool ROW_MIN = true;
row_ints row_load(uint at, uint row)
{
    uvec4 s = LOAD4(weights, at + 32u);
    return row_ints(half16(at, row), half16(at + 8u, row), row_scale(s[row / 2u], row),
                    row_scale(s[2u + row / 2u], row));
}
#else
const bool ROW_MIN = false;
#define ROW_LOAD(block, lane, row) row_load((block) / 2u * 72u + (lane), (block) % 2u, row)
row_ints row_load(uint at, uint block, uint row)
{
    uint s = LOAD4(weights, at)[2u * block + row / 2u];
    at += 8u + 32u * block;
    return row_ints(less(half16(at, row), 8u), less(half16(at + 8u, row), 8u),
                    row_scale(s, row), vec2(0.0));
}
#endif

#elif defined(FORMAT_Q5)
#define ROW_INTS
#define BLOCK_TEXELS 48
const bool ROW_MIN = true;
row_ints row_load(uint at, uint row)
{
    uint w[5], f[32];
    [[unroll]] for (uint j = 0u; j < 5u; j++) w[j] = LOAD4(weights, at + 8u * j)[row];
    [[unroll]] for (uint i = 0u; i < 30u; i++) f[i] = w[i / 6u] >> 2u + 5u * (i % 6u) & 31u;
    f[30] = w[0] & 3u | (w[1] & 3u) << 2 | (w[2] & 1u) << 4;
    f[31] = w[2] >> 1 & 1u | (w[3] & 3u) << 1 | (w[4] & 3u) << 3;
    vec2 s = unpackHalf2x16(LOAD4(weights, at + 40u)[row]);
    return row_ints(PACK16(f, 0), PACK16(f, 16), s.xx, s.yy);
}

#elif defined(FORMAT_Q6)
#define ROW_INTS
#define BLOCK_TEXELS 56
const bool ROW_MIN = false;
uvec4 row_half(uint at, uint row)
{
    uint w[3], f[16];
    [[unroll]] for (uint j = 0u; j < 3u; j++) w[j] = LOAD4(weights, at + 8u * j)[row];
    [[unroll]] for (uint i = 0u; i < 15u; i++) f[i] = w[i / 5u] >> 2u + 6u * (i % 5u) & 63u;
    f[15] = w[0] & 3u | (w[1] & 3u) << 2 | (w[2] & 3u) << 4;
    return less(PACK16(f, 0) ^ 0x20202020u, 32u);
}
row_ints row_load(uint at, uint row)
{
    return row_ints(row_half(at, row), row_half(at + 24u, row),
                    unpackHalf2x16(LOAD4(weights, at + 48u)[row]), vec2(0.0));
}

#elif defined(FORMAT_Q8)
#define ROW_INTS
#define BLOCK_TEXELS 72
const bool ROW_MIN = false;
row_ints row_load(uint at, uint row)
{
    float d = LOADF4(weights, at + 64u)[row];
    return row_ints(LOAD4(weights, at + 16u * row), LOAD4(weights, at + 16u * row + 8u), vec2(d),
                    vec2(0.0));
}

#elif defined(FORMAT_F16) || defined(FORMAT_BF16)
#define BLOCK_TEXELS 128
// Values beyond f16's range are clamped: an infinity would poison the whole row.
uvec4 eight(uvec4 w)
{
#ifdef FORMAT_BF16
    uvec4 lo = w << 16, hi = w & 0xffff0000u, h;
    [[unroll]] for (uint i = 0u; i < 4u; i++)
        h[i] = packHalf2x16(clamp(uintBitsToFloat(uvec2(lo[i], hi[i])), -65504.0, 65504.0));
    return h;
#else
    return w;
#endif
}
uvec4 row_part(uint at, uint row, uint k)
{
    return eight(LOAD4(weights, at + 8u * (4u * k + row)));
}

#elif defined(FORMAT_F32)
#define BLOCK_TEXELS 256
uvec4 row_part(uint at, uint row, uint k)
{
    vec4 v = clamp(LOADF4(weights, at + 8u * (8u * k + row)), -65504.0, 65504.0);
    vec4 w = clamp(LOADF4(weights, at + 8u * (8u * k + 4u + row)), -65504.0, 65504.0);
    return uvec4(packHalf2x16(v.xy), packHalf2x16(v.zw), packHalf2x16(w.xy), packHalf2x16(w.zw));
}
#endif

#ifdef ROW_INTS
#ifndef ROW_LOAD
#define ROW_LOAD(block, lane, row) row_load((block) * BLOCK_TEXELS + (lane), row)
#endif
uvec2 four(uint n, float d, float m)
{
    vec4 v = clamp(d * vec4(byte0(n), byte1(n), byte2(n), byte3(n)) + m, -65504.0, 65504.0);
    return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
}
void row_f16(uint block, uint lane, uint row, out uvec4 h[4])
{
    row_ints r = ROW_LOAD(block, lane, row);
    h[0] = uvec4(four(r.a.x, r.d.x, r.m.x), four(r.a.y, r.d.x, r.m.x));
    h[1] = uvec4(four(r.a.z, r.d.x, r.m.x), four(r.a.w, r.d.x, r.m.x));
    h[2] = uvec4(four(r.b.x, r.d.y, r.m.y), four(r.b.y, r.d.y, r.m.y));
    h[3] = uvec4(four(r.b.z, r.d.y, r.m.y), four(r.b.w, r.d.y, r.m.y));
}
#endif
