// Signed fields of packed words. Shift pairs keep the value's range visible to compilers, which
// turn products of 16-bit values into their cheapest multiply.
int byte0(uint v) { return int(v << 24) >> 24; }
int byte1(uint v) { return int(v << 16) >> 24; }
int byte2(uint v) { return int(v << 8) >> 24; }
int byte3(uint v) { return int(v) >> 24; }

// Three signed 10-bit fields a word.
int tenth0(uint v) { return int(v << 22) >> 22; }
int tenth1(uint v) { return int(v << 12) >> 22; }
int tenth2(uint v) { return int(v << 2) >> 22; }

// The 32 activations of a record's first 11 words, four columns a STEP(half, word of the half, ...),
// p, q, r being its texels.
#define FOR_TENTHS(p, q, r, STEP)                                                                  \
    STEP(0, x, tenth0(p.x), tenth1(p.x), tenth2(p.x), tenth0(p.y))                                 \
    STEP(0, y, tenth1(p.y), tenth2(p.y), tenth0(p.z), tenth1(p.z))                                 \
    STEP(0, z, tenth2(p.z), tenth0(p.w), tenth1(p.w), tenth2(p.w))                                 \
    STEP(0, w, tenth0(q.x), tenth1(q.x), tenth2(q.x), tenth0(q.y))                                 \
    STEP(1, x, tenth1(q.y), tenth2(q.y), tenth0(q.z), tenth1(q.z))                                 \
    STEP(1, y, tenth2(q.z), tenth0(q.w), tenth1(q.w), tenth2(q.w))                                 \
    STEP(1, z, tenth0(r.x), tenth1(r.x), tenth2(r.x), tenth0(r.y))                                 \
    STEP(1, w, tenth1(r.y), tenth2(r.y), tenth0(r.z), tenth1(r.z))

// Rows 0 to 3 from sums that hold two rows each, 16 bits apart (formats/q4.glsl).
vec4 unpair(ivec2 s)
{
    ivec2 even = s << 16 >> 16, odd = s + 0x8000 >> 16;
    return vec4(even.x, odd.x, even.y, odd.y);
}

// The four rows' values from a word of two f16 a row.
vec4 lows(uvec4 v)
{
    return vec4(unpackHalf2x16(v.x).x, unpackHalf2x16(v.y).x, unpackHalf2x16(v.z).x,
                unpackHalf2x16(v.w).x);
}
vec4 highs(uvec4 v)
{
    return vec4(unpackHalf2x16(v.x).y, unpackHalf2x16(v.y).y, unpackHalf2x16(v.z).y,
                unpackHalf2x16(v.w).y);
}
