// Rows of the embedding matrix, dequantised on the host straight from the file: a token needs one
// row, so the matrix takes no device memory, and every type is exact.
#ifndef LECTERN_EMBED_H
#define LECTERN_EMBED_H

#include "engine/gguf/gguf.h"
#include "engine/model/config.h"

// token_embd.weight must be [n_vocab, n_embd] of a type that can be dequantised.
bool embed_check(const struct gguf *g, const struct config *c, struct err *e);

// out: [n, stride] f32, row i that of ids[i] (below n_vocab); columns from n_embd on are zeroed.
void embed_rows(const struct gguf *g, const struct config *c, const uint32_t *ids, uint32_t n,
                uint32_t stride, float *out);

#endif
