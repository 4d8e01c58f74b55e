// Signed fields of packed words. Shift pairs keep the value's range visible to compilers, which
// turn products of 16-bit values into their cheapest multiply.
#ifndef BYTES_GLSL
#define BYTES_GLSL
int byte0(uint v) { return int(v << 24) >> 24; }
int byte1(uint v) { return int(v << 16) >> 24; }
int byte2(uint v) { return int(v << 8) >> 24; }
int byte3(uint v) { return int(v) >> 24; }

// Three signed 10-bit fields a word.
int tenth0(uint v) { return int(v << 22) >> 22; }
int tenth1(uint v) { return int(v << 12) >> 22; }
int tenth2(uint v) { return int(v << 2) >> 22; }

// The 32 activations of a record's first 11 words, four columns a STEP(half, word of the half, ...).
// TENTH(texel of the record, word, field) is acts.glsl's.
#define FOR_TENTHS(a, STEP)                                                                        \
    STEP(0, x, TENTH(a, 0, x, 0), TENTH(a, 0, x, 1), TENTH(a, 0, x, 2), TENTH(a, 0, y, 0))         \
    STEP(0, y, TENTH(a, 0, y, 1), TENTH(a, 0, y, 2), TENTH(a, 0, z, 0), TENTH(a, 0, z, 1))         \
    STEP(0, z, TENTH(a, 0, z, 2), TENTH(a, 0, w, 0), TENTH(a, 0, w, 1), TENTH(a, 0, w, 2))         \
    STEP(0, w, TENTH(a, 1, x, 0), TENTH(a, 1, x, 1), TENTH(a, 1, x, 2), TENTH(a, 1, y, 0))         \
    STEP(1, x, TENTH(a, 1, y, 1), TENTH(a, 1, y, 2), TENTH(a, 1, z, 0), TENTH(a, 1, z, 1))         \
    STEP(1, y, TENTH(a, 1, z, 2), TENTH(a, 1, w, 0), TENTH(a, 1, w, 1), TENTH(a, 1, w, 2))         \
    STEP(1, z, TENTH(a, 2, x, 0), TENTH(a, 2, x, 1), TENTH(a, 2, x, 2), TENTH(a, 2, y, 0))         \
    STEP(1, w, TENTH(a, 2, y, 1), TENTH(a, 2, y, 2), TENTH(a, 2, z, 0), TENTH(a, 2, z, 1))

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
#endif
