// Every kernel in plain C and double: the oracle of the tests, never a product path. Rows are
// contiguous, without the padding and tiles of the device.
#ifndef LECTERN_REF_H
#define LECTERN_REF_H

#include "engine/kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// x / sqrt(mean(x^2) + eps) * gain, n values.
void ref_rmsnorm(const double *x, const double *gain, size_t n, double eps, double *out);
// silu(gate) * up, silu(x) = x / (1 + exp(-x)).
void ref_swiglu(const double *gate, const double *up, size_t n, double *out);

// Activation records of shaders/norm.comp, act_texels(form) * 4 words for 32 values.
//   ACT_I9   33 fields of 10 bits, three a word, the last one 0; for both halves of 16 fields
//            -8 * 65537 * their sum, then their scales; the sum of all rounded values
//   ACT_I10  33 fields; the scale; the sums of both halves; two zeros
//   ACT_F32  the values
//   ACT_I8   32 bytes; the scales of both halves of 16, the sums of their rounded values
void ref_act_encode(enum act_form form, const double v[32], uint32_t *record);
// The values that a record stands for, and its sum (the record's own for ACT_I9 and ACT_I8).
void ref_act_decode(enum act_form form, const uint32_t *record, double v[32], double *sum);

// y[t, r] = sum over c of w[r, c] * x[t, c]; adds to what is in y when `add`.
void ref_matmul(const double *w, const double *x, size_t n_rows, size_t n_cols, size_t n_tokens,
                bool add, double *y);

// Rotates head_dim values in interleaved pairs; angles: head_dim/2 pairs of cos, sin.
void ref_rope(const double *x, const float *angles, size_t head_dim, double *out);
// A block of 32 values in KV_Q8_0 or KV_Q4_0: q[i] times the f16 scale that is returned.
//   KV_Q8_0  scale = largest magnitude / 127; q to nearest, halves away from zero
//   KV_Q4_0  scale = value of the largest magnitude / -8; q = min(15, trunc(v / scale + 8.5)) - 8
// q comes from the scale before it is rounded to f16.
double ref_kv_block(uint32_t type, const double v[32], int q[32]);
// What the cache keeps of a head's row: f32; f16 to nearest, clamped to +-65504; or blocks, the
// last one padded with zeros.
void ref_kv_row(uint32_t type, const double *v, size_t head_dim, double *out);

// One query against n keys and values of head_dim; q is scaled already. Row p of k and v begins at
// p * stride.
void ref_attention(const double *q, const double *k, const double *v, size_t n, size_t stride,
                   size_t head_dim, double *out);

#endif
