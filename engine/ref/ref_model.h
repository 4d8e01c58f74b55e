// A whole Llama forward pass in double, from the file: dequantised weights, no batches.
#ifndef LECTERN_REF_MODEL_H
#define LECTERN_REF_MODEL_H

#include "base/err.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h" // KV_F16 ...
#include "engine/model/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Keys and values of the positions so far, as a cache of that type holds them.
struct ref_state {
    size_t n, cap;    // positions
    uint32_t kv_type; // KV_F16 ...
    double *k, *v;    // [n_layers, cap, n_kv_heads * head_dim]
};
bool ref_state_create(const struct config *c, size_t cap, uint32_t kv_type, struct ref_state *out,
                      struct err *e);
void ref_state_destroy(struct ref_state *s);

// Appends n tokens, at most cap in all. logits: [n, n_vocab], one row a position; NULL: none, and
// then the last layer computes its keys and values only.
bool ref_model_append(const struct gguf *g, const struct config *c, struct ref_state *s,
                      const int32_t *ids, size_t n, double *logits, struct err *e);

// The same for one prompt. logits: [n, n_vocab].
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
