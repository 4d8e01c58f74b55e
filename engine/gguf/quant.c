// Weight formats: sizes and dequantisation, one function a format, from the block pictures above
// each. All fields are little-endian; f16 is IEEE binary16; "lo"/"hi" are nibbles of a byte.
// Products are rounded to f32 in the order of the formulas, so that results agree bit for bit
// with the formats' reference implementation.
// Formats: https://github.com/ggml-org/ggml (ggml-common.h, docs/gguf.md)
#include "engine/gguf/quant.h"
#include "base/half.h"
#include "base/size.h"

#include <string.h>

const struct quant_info *quant_info(uint32_t type)
{
#define QUANT_CASE(id, num, name, n, bytes)                                                        \
    case num: {                                                                                    \
        static const struct quant_info info = {name, n, bytes};                                    \
        return &info;                                                                              \
    }
    switch (type) {
        QUANT_LIST(QUANT_CASE)
    }
#undef QUANT_CASE
    return NULL;
}

bool quant_row_bytes(enum quant_type type, uint64_t n, size_t *bytes)
{
    const struct quant_info *info = quant_info(type);
    if (!info || n % info->block || n / info->block > SIZE_MAX) return false;
    return size_mul((size_t)(n / info->block), info->block_bytes, bytes);
}

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float half_at(const uint8_t *p)
{
    return f16_to_f32(u16_at(p));
}

// Small integers are exact in f32; the conversion is spelled once.
static float f(int v)
{
    return (float)v;
}

static void block_f32(const uint8_t *b, float *y)
{
    *y = half_float(u32_at(b));
}

static void block_f16(const uint8_t *b, float *y)
{
    *y = half_at(b);
}

static void block_bf16(const uint8_t *b, float *y)
{
    *y = bf16_to_f32(u16_at(b));
}

// f16 d | q[16]: lo = elements 0..15, hi = 16..31      y = d (q - 8)
static void block_q4_0(const uint8_t *b, float *y)
{
    const uint8_t *q = b + 2;
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        y[i] = f((q[i] & 15) - 8) * d;
        y[i + 16] = f((q[i] >> 4) - 8) * d;
    }
}

// f16 d | f16 m | q[16]      y = d q + m
static void block_q4_1(const uint8_t *b, float *y)
{
    const uint8_t *q = b + 4;
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++) {
        y[i] = f(q[i] & 15) * d + m;
        y[i + 16] = f(q[i] >> 4) * d + m;
    }
}

// The fifth bits of elements i and i + 16 stand in bits i and i + 16 of a u32.
static int q5_lo(uint32_t high, const uint8_t *q, int i)
{
    return (q[i] & 15) | (int)(high >> i & 1) << 4;
}

static int q5_hi(uint32_t high, const uint8_t *q, int i)
{
    return q[i] >> 4 | (int)(high >> (i + 16) & 1) << 4;
}

// f16 d | u32 high | q[16]      y = d (q - 16)
static void block_q5_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    uint32_t high = u32_at(b + 2);
    for (int i = 0; i < 16; i++) {
        y[i] = f(q5_lo(high, b + 6, i) - 16) * d;
        y[i + 16] = f(q5_hi(high, b + 6, i) - 16) * d;
    }
}

// f16 d | f16 m | u32 high | q[16]      y = d q + m
static void block_q5_1(const uint8_t *b, float *y)
{
    float d = half_at(b), m = half_at(b + 2);
    uint32_t high = u32_at(b + 4);
    for (int i = 0; i < 16; i++) {
        y[i] = f(q5_lo(high, b + 8, i)) * d + m;
        y[i + 16] = f(q5_hi(high, b + 8, i)) * d + m;
    }
}

// f16 d | i8 q[32]      y = d q
static void block_q8_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++)
        y[i] = f((int8_t)b[2 + i]) * d;
}

// scale[16]: lo = scale, hi = min | q[64] | f16 d | f16 dmin      y = d scale q - dmin min
// Two bits an element; each half of 128 elements takes 32 bytes, 2 bits deep a group of 32.
static void block_q2_k(const uint8_t *b, float *y)
{
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int i = 0; i < 256; i++) {
        const uint8_t *q = b + 16 + i / 128 * 32;
        uint8_t scale = b[i / 16];
        float dl = d * f(scale & 15), ml = dmin * f(scale >> 4);
        y[i] = dl * f(q[i % 32] >> (i % 128 / 32 * 2) & 3) - ml;
    }
}

// high[32]: bit g = group of 32 | q[64] as in Q2_K | scale[12] | f16 d
// y = d (scale - 32) (q - 4 when the high bit is clear)
// The sixteen 6-bit scales: low four bits in the nibbles of bytes 0..7, top two in bytes 8..11.
static void block_q3_k(const uint8_t *b, float *y)
{
    const uint8_t *s = b + 96;
    float d = half_at(b + 108);
    for (int i = 0; i < 256; i++) {
        const uint8_t *q = b + 32 + i / 128 * 32;
        int k = i / 16, low = k < 8 ? s[k] & 15 : s[k - 8] >> 4;
        int scale = low | (s[8 + k % 4] >> (k / 4 * 2) & 3) << 4;
        int v = q[i % 32] >> (i % 128 / 32 * 2) & 3;
        if (!(b[i % 32] >> (i / 32) & 1)) v -= 4;
        y[i] = d * f(scale - 32) * f(v);
    }
}

// Scale and min of group k of Q4_K and Q5_K: eight pairs of 6 bits in 12 bytes. Groups 0..3 lie
// in the low six bits of bytes 0..3 and 4..7; the rest in the nibbles of 8..11 and the top bits.
static void k4_scale(const uint8_t *s, int k, int *scale, int *min)
{
    if (k < 4) {
        *scale = s[k] & 63;
        *min = s[k + 4] & 63;
    } else {
        *scale = (s[k + 4] & 15) | s[k - 4] >> 6 << 4;
        *min = s[k + 4] >> 4 | s[k] >> 6 << 4;
    }
}

// f16 d | f16 dmin | scale[12] | q[128]: 32 bytes hold groups 2j (lo) and 2j + 1 (hi)
// y = d scale q - dmin min
static void block_q4_k(const uint8_t *b, float *y)
{
    float d = half_at(b), dmin = half_at(b + 2);
    for (int k = 0; k < 8; k++) {
        const uint8_t *q = b + 16 + k / 2 * 32;
        int scale, min;
        k4_scale(b + 4, k, &scale, &min);
        float dl = d * f(scale), ml = dmin * f(min);
        for (int i = 0; i < 32; i++)
            y[k * 32 + i] = dl * f(q[i] >> (k % 2 * 4) & 15) - ml;
    }
}

// f16 d | f16 dmin | scale[12] | high[32]: bit k = group k | q[128] as in Q4_K
static void block_q5_k(const uint8_t *b, float *y)
{
    float d = half_at(b), dmin = half_at(b + 2);
    for (int k = 0; k < 8; k++) {
        const uint8_t *high = b + 16, *q = b + 48 + k / 2 * 32;
        int scale, min;
        k4_scale(b + 4, k, &scale, &min);
        float dl = d * f(scale), ml = dmin * f(min);
        for (int i = 0; i < 32; i++)
            y[k * 32 + i] = dl * f((q[i] >> (k % 2 * 4) & 15) | (high[i] >> k & 1) << 4) - ml;
    }
}

// low[128] | high[64] | i8 scale[16] | f16 d      y = d scale (q - 32)
// Half h of 128 elements has 64 low and 32 high bytes. Its groups g = 0..3 of 32 elements: low
// nibble of bytes 32 (g % 2)..., upper nibble from g = 2 on; high bits 2g, 2g + 1.
static void block_q6_k(const uint8_t *b, float *y)
{
    float d = half_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int h = i / 128, g = i % 128 / 32, l = i % 32;
        int low = b[h * 64 + g % 2 * 32 + l] >> (g / 2 * 4) & 15;
        int high = b[128 + h * 32 + l] >> (g * 2) & 3;
        y[i] = d * f((int8_t)b[192 + i / 16]) * f((low | high << 4) - 32);
    }
}

// The sixteen levels of IQ4: denser around zero.
static const int8_t iq4_level[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

// f16 d | q[16] as in Q4_0      y = d level[q]
static void block_iq4_nl(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        y[i] = d * f(iq4_level[b[2 + i] & 15]);
        y[i + 16] = d * f(iq4_level[b[2 + i] >> 4]);
    }
}

// f16 d | u16 scale_high | scale_low[4] | q[128]: eight groups, each as in IQ4_NL
// y = d (scale - 32) level[q]
static void block_iq4_xs(const uint8_t *b, float *y)
{
    float d = half_at(b);
    int high = u16_at(b + 2);
    for (int k = 0; k < 8; k++) {
        const uint8_t *q = b + 8 + k * 16;
        int scale = (b[4 + k / 2] >> (k % 2 * 4) & 15) | (high >> (k * 2) & 3) << 4;
        float dl = d * f(scale - 32);
        for (int i = 0; i < 16; i++) {
            y[k * 32 + i] = dl * f(iq4_level[q[i] & 15]);
            y[k * 32 + i + 16] = dl * f(iq4_level[q[i] >> 4]);
        }
    }
}

typedef void block_fn(const uint8_t *block, float *y);

static block_fn *block_of(enum quant_type type)
{
    switch (type) {
    case QUANT_F32: return block_f32;
    case QUANT_F16: return block_f16;
    case QUANT_BF16: return block_bf16;
    case QUANT_Q4_0: return block_q4_0;
    case QUANT_Q4_1: return block_q4_1;
    case QUANT_Q5_0: return block_q5_0;
    case QUANT_Q5_1: return block_q5_1;
    case QUANT_Q8_0: return block_q8_0;
    case QUANT_Q2_K: return block_q2_k;
    case QUANT_Q3_K: return block_q3_k;
    case QUANT_Q4_K: return block_q4_k;
    case QUANT_Q5_K: return block_q5_k;
    case QUANT_Q6_K: return block_q6_k;
    case QUANT_IQ4_NL: return block_iq4_nl;
    case QUANT_IQ4_XS: return block_iq4_xs;
    }
    return NULL;
}

bool quant_dequantise(enum quant_type type, const void *src, size_t n, float *dst)
{
    const struct quant_info *info = quant_info(type);
    block_fn *block = block_of(type);
    if (!info || !block || n % info->block) return false;
    const uint8_t *b = src;
    for (size_t i = 0; i < n; i += info->block, b += info->block_bytes)
        block(b, dst + i);
    return true;
}
