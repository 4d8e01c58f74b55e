// Exact sizes of every Llama in every common quantisation, without a file.
//
//   file bytes    what the mix rules of llama.cpp's quantiser (no importance matrix) give each
//                 tensor
//   device bytes  the same tensors after this engine's repacking, without the embedding where it is
//                 not the output matrix too: the host reads its rows from the file
//
// A real file may be mixed by other rules: its header is the truth for that file.
#ifndef LECTERN_SIZES_H
#define LECTERN_SIZES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// X(enum, name)
#define FIT_QUANT_LIST(X)                                                                          \
    X(FIT_Q2_K, "Q2_K")                                                                            \
    X(FIT_Q3_K_S, "Q3_K_S")                                                                        \
    X(FIT_Q3_K_M, "Q3_K_M")                                                                        \
    X(FIT_Q3_K_L, "Q3_K_L")                                                                        \
    X(FIT_IQ4_XS, "IQ4_XS")                                                                        \
    X(FIT_Q4_0, "Q4_0")                                                                            \
    X(FIT_Q4_1, "Q4_1")                                                                            \
    X(FIT_Q4_K_S, "Q4_K_S")                                                                        \
    X(FIT_Q4_K_M, "Q4_K_M")                                                                        \
    X(FIT_Q5_0, "Q5_0")                                                                            \
    X(FIT_Q5_1, "Q5_1")                                                                            \
    X(FIT_Q5_K_S, "Q5_K_S")                                                                        \
    X(FIT_Q5_K_M, "Q5_K_M")                                                                        \
    X(FIT_Q6_K, "Q6_K")                                                                            \
    X(FIT_Q8_0, "Q8_0")                                                                            \
    X(FIT_F16, "F16")

#define FIT_QUANT_ENUM(id, name) id,
enum fit_quant { FIT_QUANT_LIST(FIT_QUANT_ENUM) FIT_N_QUANTS };
#undef FIT_QUANT_ENUM
const char *fit_quant_name(enum fit_quant q);

struct fit_model { // a row of models.json
    char name[48], family[24];
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_ctx_train;
    uint64_t n_params;
    bool tied;
    float rope_theta, norm_eps;
    float rope_factor; // of Llama 3.1's scaling; 1: none
};
// Every Llama, in the order of models.json. Caller frees *out.
bool fit_models(struct fit_model **out, size_t *n, struct err *e);

uint64_t fit_params(const struct fit_model *m); // counted from the dimensions

enum fit_tensor { // a matrix by its place
    FIT_EMBD,
    FIT_OUTPUT,
    FIT_ATTN_Q,
    FIT_ATTN_K,
    FIT_ATTN_V,
    FIT_ATTN_O,
    FIT_FFN_GATE,
    FIT_FFN_UP,
    FIT_FFN_DOWN
};
// GGUF type that the mix gives a matrix with rows of n_cols.
const char *fit_tensor_type(const struct fit_model *m, enum fit_quant q, enum fit_tensor kind,
                            uint32_t layer, uint64_t n_cols);
// The type that stands in where rows of n_cols are not whole blocks of `type`; else `type` itself.
const char *fit_row_type(const char *type, uint64_t n_cols);

enum { FIT_TYPES = 8 };

struct fit_bytes {
    uint64_t file;       // tensor data of the file
    uint64_t file_token; // of them read for one token (the embedding is one row, unless tied)
    uint64_t device;     // after repacking; all of it is read for one token
    const char *types[FIT_TYPES]; // of the matrices on the device, NULL behind the last
};
void fit_weights(const struct fit_model *m, enum fit_quant q, struct fit_bytes *out);
// Of them, one layer.
void fit_layer(const struct fit_model *m, enum fit_quant q, uint32_t layer, struct fit_bytes *out);

#endif
