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

// No minimum: adding -0 changes no value, not even -0.
#define NO_MIN (-0.0f)

// One scale and one minimum for the whole group.
static void scale_both(struct quant_group *g, float d, float m)
{
    g->d[0] = g->d[1] = d;
    g->m[0] = g->m[1] = m;
}

// q[16]: lo = elements 0..15, hi = 16..31, less `zero`
static void nibbles(const uint8_t *restrict q, int zero, struct quant_group *restrict g)
{
    for (int i = 0; i < 16; i++) {
        g->q[i] = (int8_t)((q[i] & 15) - zero);
        g->q[i + 16] = (int8_t)((q[i] >> 4) - zero);
    }
}

// f16 d | q[16]      w = d (q - 8)
static void block_q4_0(const uint8_t *restrict b, struct quant_group *restrict g)
{
    scale_both(g, half_at(b), NO_MIN);
    nibbles(b + 2, 8, g);
}

// f16 d | f16 m | q[16]      w = d q + m
static void block_q4_1(const uint8_t *restrict b, struct quant_group *restrict g)
{
    scale_both(g, half_at(b), half_at(b + 2));
    nibbles(b + 4, 0, g);
}

// Byte i: bit i of `bits`, times 16. Every byte gets a copy, of which only bit i stays; adding 127
// then makes bit 7 of it.
static uint64_t sixteens(uint8_t bits)
{
    uint64_t x = bits * 0x0101010101010101u & 0x8040201008040201u;
    return (x + 0x7f7f7f7f7f7f7f7fu) >> 3 & 0x1010101010101010u;
}

// high[4] | q[16]: the fifth bits of elements i and i + 16 stand in bits i and i + 16 of high
static void five_bits(const uint8_t *restrict b, int zero, struct quant_group *restrict g)
{
    int8_t high[32];
    for (int i = 0; i < 4; i++) {
        uint64_t x = sixteens(b[i]); // in the host's order, which is little-endian
        memcpy(high + 8 * i, &x, 8);
    }
    nibbles(b + 4, zero, g);
    for (int i = 0; i < 32; i++)
        g->q[i] = (int8_t)(g->q[i] + high[i]);
}

// f16 d | u32 high | q[16]      w = d (q - 16)
static void block_q5_0(const uint8_t *restrict b, struct quant_group *restrict g)
{
    scale_both(g, half_at(b), NO_MIN);
    five_bits(b + 2, 16, g);
}

// f16 d | f16 m | u32 high | q[16]      w = d q + m
static void block_q5_1(const uint8_t *restrict b, struct quant_group *restrict g)
{
    scale_both(g, half_at(b), half_at(b + 2));
    five_bits(b + 4, 0, g);
}

// f16 d | i8 q[32]      w = d q
static void block_q8_0(const uint8_t *restrict b, struct quant_group *restrict g)
{
    scale_both(g, half_at(b), NO_MIN);
    memcpy(g->q, b + 2, 32);
}

// scale[16]: lo = scale, hi = min | q[64] | f16 d | f16 dmin      w = d scale q - dmin min
// Two bits an element; each half of 128 elements takes 32 bytes, 2 bits deep a group of 32.
static void block_q2_k(const uint8_t *restrict b, struct quant_group *restrict g)
{
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int j = 0; j < 16; j++) {
        g[j / 2].d[j % 2] = d * f(b[j] & 15);
        g[j / 2].m[j % 2] = -(dmin * f(b[j] >> 4));
    }
    for (int h = 0; h < 2; h++) {
        const uint8_t *q = b + 16 + 32 * h;
        for (int i = 0; i < 32; i++) {
            g[4 * h].q[i] = (int8_t)(q[i] & 3);
            g[4 * h + 1].q[i] = (int8_t)(q[i] >> 2 & 3);
            g[4 * h + 2].q[i] = (int8_t)(q[i] >> 4 & 3);
            g[4 * h + 3].q[i] = (int8_t)(q[i] >> 6);
        }
    }
}

// high[32]: bit k = group k | q[64] as in Q2_K | scale[12] | f16 d
// w = d (scale - 32) (q - 4 when the high bit is clear)
// The sixteen 6-bit scales: low four bits in the nibbles of bytes 0..7, top two in bytes 8..11.
static void block_q3_k(const uint8_t *restrict b, struct quant_group *restrict g)
{
    const uint8_t *s = b + 96;
    float d = half_at(b + 108);
    for (int j = 0; j < 16; j++) {
        int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
        int scale = low | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4;
        g[j / 2].d[j % 2] = d * f(scale - 32);
        g[j / 2].m[j % 2] = NO_MIN;
    }
    for (int h = 0; h < 2; h++) {
        const uint8_t *q = b + 32 + 32 * h;
        for (int i = 0; i < 32; i++) {
            int high = b[i] >> 4 * h;
            g[4 * h].q[i] = (int8_t)((q[i] & 3) + (high & 1) * 4 - 4);
            g[4 * h + 1].q[i] = (int8_t)((q[i] >> 2 & 3) + (high & 2) * 2 - 4);
            g[4 * h + 2].q[i] = (int8_t)((q[i] >> 4 & 3) + (high & 4) - 4);
            g[4 * h + 3].q[i] = (int8_t)((q[i] >> 6) + (high >> 1 & 4) - 4);
        }
    }
}

// Scales and mins of Q4_K and Q5_K: eight pairs of 6 bits in 12 bytes. Groups 0..3 lie in the low
// six bits of bytes 0..3 and 4..7; the rest in the nibbles of 8..11 and the top bits.
static void k4_scales(const uint8_t *restrict b, struct quant_group *restrict g)
{
    const uint8_t *s = b + 4;
    float d = half_at(b), dmin = half_at(b + 2);
    for (int k = 0; k < 4; k++) {
        int scale = (s[k + 8] & 15) | s[k] >> 6 << 4, min = s[k + 8] >> 4 | s[k + 4] >> 6 << 4;
        scale_both(&g[k], d * f(s[k] & 63), -(dmin * f(s[k + 4] & 63)));
        scale_both(&g[k + 4], d * f(scale), -(dmin * f(min)));
    }
}

// f16 d | f16 dmin | scale[12] | q[128]: 32 bytes hold groups 2j (lo) and 2j + 1 (hi)
// w = d scale q - dmin min
static void block_q4_k(const uint8_t *restrict b, struct quant_group *restrict g)
{
    k4_scales(b, g);
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 32; i++) {
            g[2 * j].q[i] = (int8_t)(b[16 + 32 * j + i] & 15);
            g[2 * j + 1].q[i] = (int8_t)(b[16 + 32 * j + i] >> 4);
        }
}

// f16 d | f16 dmin | scale[12] | high[32]: bit k = group k | q[128] as in Q4_K
static void block_q5_k(const uint8_t *restrict b, struct quant_group *restrict g)
{
    k4_scales(b, g);
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 32; i++) {
            int low = b[48 + 32 * j + i], high = b[16 + i] >> 2 * j;
            g[2 * j].q[i] = (int8_t)((low & 15) | (high & 1) << 4);
            g[2 * j + 1].q[i] = (int8_t)(low >> 4 | (high & 2) << 3);
        }
}

// low[128] | high[64] | i8 scale[16] | f16 d      w = d scale (q - 32)
// Half h of 128 elements has 64 low and 32 high bytes. Its groups g = 0..3 of 32 elements: low
// nibble of bytes 32 (g % 2)..., upper nibble from g = 2 on; high bits 2g, 2g + 1.
static void block_q6_k(const uint8_t *restrict b, struct quant_group *restrict g)
{
    float d = half_at(b + 208);
    for (int j = 0; j < 16; j++) {
        g[j / 2].d[j % 2] = d * f((int8_t)b[192 + j]);
        g[j / 2].m[j % 2] = NO_MIN;
    }
    for (int h = 0; h < 2; h++) {
        const uint8_t *low = b + 64 * h, *high = b + 128 + 32 * h;
        for (int i = 0; i < 32; i++) {
            g[4 * h].q[i] = (int8_t)((low[i] & 15) + (high[i] & 3) * 16 - 32);
            g[4 * h + 1].q[i] = (int8_t)((low[32 + i] & 15) + (high[i] & 12) * 4 - 32);
            g[4 * h + 2].q[i] = (int8_t)((low[i] >> 4) + (high[i] & 48) - 32);
            g[4 * h + 3].q[i] = (int8_t)((low[32 + i] >> 4) + (high[i] >> 6) * 16 - 32);
        }
    }
}

// The sixteen levels of IQ4: denser around zero.
static const int8_t iq4_level[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

static void iq4_levels(const uint8_t *restrict q, struct quant_group *restrict g)
{
    for (int i = 0; i < 16; i++) {
        g->q[i] = iq4_level[q[i] & 15];
        g->q[i + 16] = iq4_level[q[i] >> 4];
    }
}

// f16 d | q[16] as in Q4_0      w = d level[q]
static void block_iq4_nl(const uint8_t *restrict b, struct quant_group *restrict g)
{
    scale_both(g, half_at(b), NO_MIN);
    iq4_levels(b + 2, g);
}

// f16 d | u16 scale_high | scale_low[4] | q[128]: eight groups, each as in IQ4_NL
// w = d (scale - 32) level[q]
static void block_iq4_xs(const uint8_t *restrict b, struct quant_group *restrict g)
{
    float d = half_at(b);
    int high = u16_at(b + 2);
    for (int k = 0; k < 8; k++) {
        int scale = (b[4 + k / 2] >> (k % 2 * 4) & 15) | (high >> (k * 2) & 3) << 4;
        scale_both(&g[k], d * f(scale - 32), NO_MIN);
        iq4_levels(b + 8 + k * 16, &g[k]);
    }
}

typedef void block_fn(const uint8_t *restrict block, struct quant_group *restrict g);

static block_fn *block_of(enum quant_type type)
{
    switch (type) {
    case QUANT_F32:
    case QUANT_F16:
    case QUANT_BF16: break;
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

bool quant_is_grouped(enum quant_type type)
{
    return block_of(type) != NULL;
}

void quant_groups(enum quant_type type, const void *src, size_t n, struct quant_group *out)
{
    const struct quant_info *info = quant_info(type);
    block_fn *block = block_of(type);
    const uint8_t *b = src;
    for (size_t i = 0; i < n; i += info->block, b += info->block_bytes, out += info->block / 32)
        block(b, out);
}

static void group_values(const struct quant_group *g, float *y)
{
    for (int i = 0; i < 32; i++)
        y[i] = f(g->q[i]) * g->d[i / 16] + g->m[i / 16];
}

static float plain_value(enum quant_type type, const uint8_t *b)
{
    if (type == QUANT_F32) return half_float(u32_at(b));
    return type == QUANT_F16 ? half_at(b) : bf16_to_f32(u16_at(b));
}

bool quant_dequantise(enum quant_type type, const void *src, size_t n, float *dst)
{
    const struct quant_info *info = quant_info(type);
    block_fn *block = block_of(type);
    if (!info || n % info->block) return false;
    const uint8_t *b = src;
    for (size_t i = 0; i < n; i += info->block, b += info->block_bytes) {
        struct quant_group g[8]; // of the widest block
        if (block)
            block(b, g);
        else
            dst[i] = plain_value(type, b);
        for (size_t k = 0; block && k < info->block / 32; k++)
            group_values(&g[k], dst + i + 32 * k);
    }
    return true;
}
