// From GGUF rows to the device's tiles of 32 rows (byte pictures in shaders/formats/*.glsl).
#ifndef LECTERN_REPACK_H
#define LECTERN_REPACK_H

#include "base/err.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"

// The layout that a type goes into. Q4_0, Q4_1 -> q4; Q8_0, Q5_0, IQ4_NL -> q8; F16, BF16, F32 as they
// are: all exact. Every other type is dequantised to f32, which is exact too, and large.
enum weight_format repack_format(enum quant_type type);

// Tile `tile` of the tensor's [ne1, ne0] matrix: rows 32*tile.., missing rows and columns zero.
// dst: weight_layout(f)->block_texels * 16 * blocks bytes. scratch: ne0 floats.
void repack_tile(const struct gguf_tensor *t, uint64_t tile, float *scratch, unsigned char *dst);

#endif
