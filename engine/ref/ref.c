#include "engine/ref/ref.h"
#include "base/half.h"

#include <math.h>
#include <string.h>

void ref_rmsnorm(const double *x, const double *gain, size_t n, double eps, double *out)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    double k = 1 / sqrt(sum / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * k * gain[i];
}

void ref_swiglu(const double *gate, const double *up, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
}

// -------------------------------------------------------------------------- activation records

static double largest(const double *v, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(v[i]));
    return most;
}

static uint32_t float_word(double v)
{
    return half_bits((float)v);
}

// Puts round(v / scale) of values first..first+n-1 into their fields; returns the integers' sum.
static int encode_fields(const double v[32], uint32_t first, uint32_t n, float scale,
                         uint32_t *record)
{
    int sum = 0;
    for (uint32_t i = first; i < first + n; i++) {
        int q = scale > 0 ? (int)nearbyint(v[i] / (double)scale) : 0;
        record[i / 3] |= ((uint32_t)q & 1023u) << 10 * (i % 3);
        sum += q;
    }
    return sum;
}

static void encode_i9(const double v[32], uint32_t *record)
{
    double sum = 0;
    memset(record, 0, 16 * sizeof *record);
    for (uint32_t half = 0; half < 2; half++) {
        float scale = (float)(largest(v + 16 * half, 16) / 255);
        int q = encode_fields(v, 16 * half, 16, scale, record);
        record[11 + half] = (uint32_t)(-8 * 65537 * q);
        record[13 + half] = half_bits(scale);
        sum += q * (double)scale;
    }
    record[15] = float_word(sum);
}

static void encode_i10(const double v[32], uint32_t *record)
{
    float scale = (float)(largest(v, 32) / 511);
    memset(record, 0, 16 * sizeof *record);
    record[11] = half_bits(scale);
    for (uint32_t half = 0; half < 2; half++)
        record[12 + half] = (uint32_t)encode_fields(v, 16 * half, 16, scale, record);
}

static void encode_i8(const double v[32], uint32_t *record)
{
    memset(record, 0, 12 * sizeof *record);
    for (uint32_t half = 0; half < 2; half++) {
        float scale = (float)(largest(v + 16 * half, 16) / 127);
        int sum = 0;
        for (uint32_t i = 16 * half; i < 16 * half + 16; i++) {
            int q = scale > 0 ? (int)nearbyint(v[i] / (double)scale) : 0;
            record[i / 4] |= ((uint32_t)q & 255u) << 8 * (i % 4);
            sum += q;
        }
        record[8 + half] = half_bits(scale);
        record[10 + half] = float_word(sum * (double)scale);
    }
}

void ref_act_encode(enum act_form form, const double v[32], uint32_t *record)
{
    switch (form) {
    case ACT_I9: encode_i9(v, record); break;
    case ACT_I10: encode_i10(v, record); break;
    case ACT_I8: encode_i8(v, record); break;
    default:
        for (size_t i = 0; i < 32; i++)
            record[i] = float_word(v[i]);
    }
}

// A signed field of 10 bits.
static int field(uint32_t word, uint32_t at)
{
    int v = (int)(word >> at & 1023);
    return v >= 512 ? v - 1024 : v;
}

static void decode_i8(const uint32_t *record, double v[32], double *sum)
{
    for (uint32_t i = 0; i < 32; i++) {
        int q = (int)(record[i / 4] >> 8 * (i % 4) & 255);
        v[i] = (q >= 128 ? q - 256 : q) * (double)half_float(record[8 + i / 16]);
    }
    *sum = (double)half_float(record[10]) + (double)half_float(record[11]);
}

void ref_act_decode(enum act_form form, const uint32_t *record, double v[32], double *sum)
{
    if (form == ACT_I8) {
        decode_i8(record, v, sum);
        return;
    }
    *sum = 0;
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t scale = form == ACT_I9 ? 13 + i / 16 : 11;
        if (form == ACT_F32)
            v[i] = (double)half_float(record[i]);
        else
            v[i] = field(record[i / 3], 10 * (i % 3)) * (double)half_float(record[scale]);
        *sum += v[i];
    }
    if (form == ACT_I9) *sum = (double)half_float(record[15]);
}

// --------------------------------------------------------------------------------------- layers

void ref_matmul(const double *w, const double *x, size_t n_rows, size_t n_cols, size_t n_tokens,
                bool add, double *y)
{
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            double sum = add ? y[t * n_rows + r] : 0;
            for (size_t c = 0; c < n_cols; c++)
                sum += w[r * n_cols + c] * x[t * n_cols + c];
            y[t * n_rows + r] = sum;
        }
}

void ref_rope(const double *x, const float *angles, size_t head_dim, double *out)
{
    for (size_t i = 0; i < head_dim; i += 2) {
        double a = x[i], b = x[i + 1], c = (double)angles[i], s = (double)angles[i + 1];
        out[i] = a * c - b * s;
        out[i + 1] = a * s + b * c;
    }
}

static double to_f16(double v)
{
    return (double)f16_to_f32(f32_to_f16((float)fmin(65504, fmax(-65504, v))));
}

double ref_kv_block(uint32_t type, const double v[32], int q[32])
{
    double most = 0;
    for (size_t i = 0; i < 32; i++)
        if (fabs(v[i]) > fabs(most)) most = v[i];
    double scale = fmin(65504, fabs(most) / (type == KV_Q8_0 ? 127 : 8));
    if (type == KV_Q4_0) scale = copysign(scale, -most);
    for (size_t i = 0; i < 32; i++) {
        double x = fabs(scale) > 1e-30 ? v[i] / scale : 0;
        if (type == KV_Q8_0)
            q[i] = (int)fmin(127, fmax(-127, round(x)));
        else
            q[i] = (int)fmin(15, fmax(0, floor(x + 8.5))) - 8;
    }
    return to_f16(scale);
}

void ref_kv_row(uint32_t type, const double *v, size_t head_dim, double *out)
{
    for (size_t i = 0; i < head_dim; i++)
        out[i] = type == KV_F32 ? (double)(float)v[i] : to_f16(v[i]);
    if (type < KV_Q8_0) return;
    for (size_t b = 0; b < head_dim; b += 32) {
        size_t n = head_dim - b < 32 ? head_dim - b : 32;
        double block[32] = {0};
        int q[32];
        memcpy(block, v + b, n * sizeof *v);
        double scale = ref_kv_block(type, block, q);
        for (size_t i = 0; i < n; i++)
            out[b + i] = q[i] * scale;
    }
}

void ref_attention(const double *q, const double *k, const double *v, size_t n, size_t stride,
                   size_t head_dim, double *out)
{
    double most = -INFINITY, total = 0;
    for (size_t pass = 0; pass < 2; pass++) { // the largest score first, then the weights
        if (pass) memset(out, 0, head_dim * sizeof *out);
        for (size_t p = 0; p < n; p++) {
            double score = 0;
            for (size_t i = 0; i < head_dim; i++)
                score += q[i] * k[p * stride + i];
            if (!pass) {
                most = fmax(most, score);
                continue;
            }
            double w = exp(score - most);
            total += w;
            for (size_t i = 0; i < head_dim; i++)
                out[i] += w * v[p * stride + i];
        }
    }
    for (size_t i = 0; i < head_dim; i++)
        out[i] /= total;
}
