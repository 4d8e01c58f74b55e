// IEEE binary16 and bfloat16 to and from binary32, in portable integer code.
#ifndef LECTERN_BASE_HALF_H
#define LECTERN_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t half_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float half_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float bf16_to_f32(uint16_t h)
{
    return half_float((uint32_t)h << 16);
}

// Results are chosen by masks and not by branches: scales in a file lie on both sides of the
// smallest normal number, 2^-14, in no order that a processor could guess, and loops of conversions
// can become vectors.

// All ones when a < limit, both below 2^31.
static inline uint32_t half_below(uint32_t a, uint32_t limit)
{
    return 0u - ((a - limit) >> 31);
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, a = h & 0x7fffu;
    uint32_t normal = (a << 13) + (112u << 23) + (~half_below(a, 0x7c00u) & 112u << 23);
    uint32_t small = half_bits((float)(int32_t)a * 0x1p-24f); // zero and subnormals: exact
    uint32_t choice = half_below(a, 0x400u);
    return half_float(sign | (small & choice) | (normal & ~choice));
}

// Round to nearest even; overflow gives infinity, NaN stays NaN.
static inline uint16_t f32_to_f16(float f)
{
    uint32_t u = half_bits(f), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    uint32_t r = a - 0x38000000u;              // rebias 127 -> 15
    r = (r + 0xfffu + ((r >> 13) & 1u)) >> 13; // a carry out of the mantissa makes infinity
    // Below 2^-14: units of 2^-24, the subnormals, land in the low bits of the mantissa of 0.5.
    uint32_t small = half_bits(half_float(a) + 0.5f) - half_bits(0.5f);
    uint32_t huge = 0x7c00u | (~half_below(a, 0x7f800001u) & 0x200u); // 65536 and above, NaN
    uint32_t is_small = half_below(a, 0x38800000u), is_huge = ~half_below(a, 0x47800000u);
    return (uint16_t)(sign | (small & is_small) | (huge & is_huge) | (r & ~(is_small | is_huge)));
}

#endif
