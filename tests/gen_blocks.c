// Random weights written straight in their format: the whole block is random bits, then the fields
// that decide its size are put right.
//
// With every quant q uniform, w = d scale (q - zero) has the mean square
// d^2 E[scale^2] E[(q - zero)^2]; with a minimum, w = d scale q - dmin min, dmin = d E[q] makes the
// mean 0, and scale and min, drawn apart, add E[q]^2 (Var[scale] + Var[min]). d is 0.75 to 1.25
// times what gives the mean square 1 / row; its sign is random where the format has no minimum,
// because -8..7 has the mean -1/2.
#include "base/half.h"
#include "tests/gen.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { N_SCALES = 64, N_VALUES = 4096 };

struct recipe {
    int d_at, min_at;          // f16 fields; min_at < 0: the format has no minimum
    double min_ratio;          // min = min_ratio d
    int set_at, set_n, set_to; // bits set in set_n bytes: packed scales keep to their upper half
    double mean_square;        // of w / d
};

static const struct recipe *recipe_of(enum quant_type type)
{
    static const struct recipe
        // 16 and 32 levels around -1/2: (n^2 - 1) / 12 + 1/4; from 0 with the minimum in the middle
        q4_0 = {0, -1, 0, 0, 0, 0, 21.5},
        q4_1 = {0, 2, -7.5, 0, 0, 0, 21.25}, q5_0 = {0, -1, 0, 0, 0, 0, 85.5},
        q5_1 = {0, 2, -15.5, 0, 0, 0, 85.25}, q8_0 = {0, -1, 0, 0, 0, 0, 5461.5},
        // scale and min 8..15: E^2 = 137.5, Var = 5.25; q 0..3: E = 1.5, Var = 1.25
        q2_k = {80, 82, 1.5, 0, 16, 0x88, 137.5 * 1.25 + 2.25 * 2 * 5.25},
        // scale -32..31: E^2 = 341.5; q -4..3: E^2 = 5.5
        q3_k = {108, -1, 0, 0, 0, 0, 341.5 * 5.5},
        // scale and min 32..63: E^2 = 2341.5, Var = 85.25
        q4_k = {0, 2, 7.5, 4, 8, 0xa0, 2341.5 * 21.25 + 56.25 * 2 * 85.25},
        q5_k = {0, 2, 15.5, 4, 8, 0xa0, 2341.5 * 85.25 + 240.25 * 2 * 85.25},
        // scale -128..127, q -32..31
        q6_k = {208, -1, 0, 0, 0, 0, 5461.5 * 341.5},
        // the sixteen levels have the mean square 4,548
        iq4_nl = {0, -1, 0, 0, 0, 0, 4548}, iq4_xs = {0, -1, 0, 0, 0, 0, 341.5 * 4548};
    switch (type) {
    case QUANT_Q4_0: return &q4_0;
    case QUANT_Q4_1: return &q4_1;
    case QUANT_Q5_0: return &q5_0;
    case QUANT_Q5_1: return &q5_1;
    case QUANT_Q8_0: return &q8_0;
    case QUANT_Q2_K: return &q2_k;
    case QUANT_Q3_K: return &q3_k;
    case QUANT_Q4_K: return &q4_k;
    case QUANT_Q5_K: return &q5_k;
    case QUANT_Q6_K: return &q6_k;
    case QUANT_IQ4_NL: return &iq4_nl;
    case QUANT_IQ4_XS: return &iq4_xs;
    case QUANT_F32:
    case QUANT_F16:
    case QUANT_BF16: break;
    }
    return NULL;
}

static void put_u16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static uint16_t u16_at(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

// 64 bits a step, little-endian on every machine.
static void fill_random(uint64_t *state, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = tiny_random(state);
        unsigned char b[8];
        for (int k = 0; k < 8; k++)
            b[k] = (unsigned char)(v >> (8 * k));
        memcpy(out + i, b, n - i < 8 ? n - i : 8);
    }
}

// Blocks of a quantised format; the bits that were drawn in place of d choose it from a table.
static void patch(const struct recipe *r, uint64_t row, size_t block, unsigned char *out, size_t n)
{
    uint16_t scale[N_SCALES], min[N_SCALES];
    double d = 1 / sqrt((double)row * r->mean_square * (1 + 0.25 / 12));
    for (int i = 0; i < N_SCALES; i++) {
        double f = d * (0.75 + (i / 2 + 0.5) / N_SCALES);
        scale[i] = f32_to_f16((float)(r->min_at < 0 && i % 2 ? -f : f));
        min[i] = f32_to_f16((float)(r->min_ratio * (double)f16_to_f32(scale[i])));
    }
    for (unsigned char *b = out; b < out + n; b += block) {
        unsigned pick = b[r->d_at] % N_SCALES;
        put_u16(b + r->d_at, scale[pick]);
        if (r->min_at >= 0) put_u16(b + r->min_at, min[pick]);
        for (int i = 0; i < r->set_n; i++)
            b[r->set_at + i] = (unsigned char)(b[r->set_at + i] | r->set_to);
    }
}

// Evenly spaced in +-sqrt(3 / row), which has the variance 1 / row.
static double level(uint64_t row, unsigned i)
{
    return sqrt(3 / (double)row) * ((2 * (double)i + 1) / N_VALUES - 1);
}

static uint16_t bf16(double v) // to nearest, ties away: no level is NaN
{
    return (uint16_t)((half_bits((float)v) + 0x8000u) >> 16);
}

static void plain16(enum quant_type type, uint64_t row, unsigned char *out, size_t n)
{
    uint16_t value[N_VALUES];
    for (unsigned i = 0; i < N_VALUES; i++)
        value[i] = type == QUANT_F16 ? f32_to_f16((float)level(row, i)) : bf16(level(row, i));
    for (size_t i = 0; i + 1 < n; i += 2)
        put_u16(out + i, value[u16_at(out + i) % N_VALUES]);
}

static void plain32(uint64_t row, unsigned char *out, size_t n)
{
    for (size_t i = 0; i + 3 < n; i += 4) {
        uint32_t u = half_bits((float)level(row, u16_at(out + i) % N_VALUES));
        put_u16(out + i, (uint16_t)u);
        put_u16(out + i + 2, (uint16_t)(u >> 16));
    }
}

void gen_blocks(enum quant_type type, uint64_t row, uint64_t *state, unsigned char *out, size_t n)
{
    const struct quant_info *info = quant_info(type);
    const struct recipe *r = recipe_of(type);
    assert(info && n % info->block_bytes == 0);
    fill_random(state, out, n);
    if (r)
        patch(r, row, info->block_bytes, out, n);
    else if (type == QUANT_F32)
        plain32(row, out, n);
    else
        plain16(type, row, out, n);
}
