// A whole Llama forward pass in double, from the file: dequantised weights, no cache, no batches.
#ifndef LECTERN_REF_MODEL_H
#define LECTERN_REF_MODEL_H

#include "base/err.h"
#include "engine/gguf/gguf.h"
#include "engine/model/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// logits: [n, n_vocab], one row a position. kv_type (KV_F16 ...) rounds keys and values.
bool ref_model_logits(const struct gguf *g, const struct config *c, const int32_t *ids, size_t n,
                      uint32_t kv_type, double *logits, struct err *e);

struct ref_shift {         // tokens from the at-th on run behind a context shift
    size_t at, keep, drop; // positions [keep, keep + drop) are forgotten, later ones move down
};
// The same behind a shift: earlier tokens stay as they were when they ran, but for the positions of
// their keys, which are rotated to them from unrotated doubles.
bool ref_model_shifted(const struct gguf *g, const struct config *c, const int32_t *ids, size_t n,
                       const struct ref_shift *shift, double *logits, struct err *e);

#endif
