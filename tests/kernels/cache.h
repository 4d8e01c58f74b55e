// The picture of cached elements in every type (shaders/lib/cache.glsl), for checks.
#ifndef LECTERN_KERNEL_CACHE_H
#define LECTERN_KERNEL_CACHE_H

#include "tests/kernels/harness.h"

enum { KT_KV_TYPES = 4 };
const char *kt_kv_name(uint32_t type);
size_t kt_kv_words(uint32_t type, size_t v_base); // of a part: K and V
// The row of a head at a cell: rows of a page lie together head by head.
size_t kt_kv_row(size_t cell, size_t head, size_t n_heads);
// Bits of element `at`: of a float, a half, an integer (Q4_0: plus 8).
uint32_t kt_kv_bits(uint32_t type, const uint32_t *words, size_t at);
uint32_t kt_kv_scale(uint32_t type, const uint32_t *words, size_t v_base, size_t at); // f16 bits
double kt_kv_get(uint32_t type, const uint32_t *words, size_t v_base, size_t at);
// Rounds and stores a head's row; bits of elements behind head_dim stay as they are.
void kt_kv_put(uint32_t type, uint32_t *words, size_t v_base, size_t at, const double *row,
               size_t head_dim);
// Every scale, or float, of elements [at, at + n) becomes a NaN.
void kt_kv_spoil(uint32_t type, uint32_t *words, size_t v_base, size_t at, size_t n);

// x: unrounded values of elements with tolerances of the arithmetic before the rounding; elements
// of a quantised unit that are not marked count as zeros. What is not marked must be as it was.
void kt_kv_check(struct kt *t, uint32_t type, const struct kt_buf *kv, size_t v_base,
                 const struct kt_expect *x, const char *what);

#endif
