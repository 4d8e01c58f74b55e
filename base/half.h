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

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 0x1fu, man = h & 0x3ffu;
    if (exp == 31) return half_float(sign | 0x7f800000u | man << 13);
    if (exp) return half_float(sign | (exp + 112) << 23 | man << 13);
    float f = (float)man * 0x1p-24f; // zero and subnormals: exact
    return half_float(sign | half_bits(f));
}

// Round to nearest even; overflow gives infinity, NaN stays NaN.
static inline uint16_t f32_to_f16(float f)
{
    uint32_t u = half_bits(f), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); // 65536 and above
    if (a < 0x38800000u) {                                   // below 2^-14: subnormal
        float r = half_float(a) + 0.5f; // units of 2^-24 land in the low bits of the mantissa
        return (uint16_t)(sign | (half_bits(r) - half_bits(0.5f)));
    }
    uint32_t r = a - 0x38000000u; // rebias 127 -> 15
    r += 0xfffu + ((r >> 13) & 1u);
    return (uint16_t)(sign | r >> 13); // a carry out of the mantissa gives the right infinity
}

#endif
