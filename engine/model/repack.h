// From GGUF rows to the device's tiles of 32 rows (byte pictures in shaders/formats/*.glsl).
#ifndef LECTERN_REPACK_H
#define LECTERN_REPACK_H

#include "base/err.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"

// The layout that a type goes into:
//   Q4_0                  -> q4s  exact; q4 where n_cols is an odd number of blocks
//   Q4_1                  -> q4   exact
//   Q4_K                  -> q4   scales and minimums rounded to f16
//   Q5_0, Q5_1            -> q5   exact
//   Q5_K                  -> q5   scales and minimums rounded to f16
//   Q8_0, IQ4_NL, IQ4_XS  -> q8   exact
//   Q2_K                  -> q2   scales and minimums of 16 columns rounded to f16
//   Q3_K, Q6_K            -> q3, q6   scales of 16 columns rounded to f16
//   F32, F16, BF16        -> as they are
// Exact: Q5_0 while 16 d is a number that f16 has, below 65520; Q4_0 in q4 while 8 d is one.
// A rounded scale changes its weights by at most 2^-11 of their size; below 6e-5 by at most 2^-25
// times the integer, which is less than the activations' own rounding does.
enum weight_format repack_format(enum quant_type type, uint64_t n_cols);

// Tile `tile` of the tensor's [ne1, ne0] matrix: rows 32*tile.., missing rows and columns zero.
// dst: weight_layout(f)->block_texels * 16 * blocks bytes, written once from first to last and
// never read. Several threads may repack tiles of one tensor.
void repack_tile(const struct gguf_tensor *t, uint64_t tile, unsigned char *dst);

#endif
