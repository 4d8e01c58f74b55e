// A model's weights on the device.
#ifndef LECTERN_WEIGHTS_H
#define LECTERN_WEIGHTS_H

#include "base/progress.h"
#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/model/config.h"

struct matrix { // one or more tensors of one format and width, each padded to whole tiles
    enum weight_format format;
    uint32_t n_tiles, n_blocks;
    uint32_t y_offset; // first output column in the group's row: a multiple of 32
    struct gpu_buf buf;
};

struct lora_group;

struct matrix_group { // tensors with the same input; outputs lie side by side in one row
    struct matrix m[3];
    uint32_t n;
    uint32_t row_at[3]; // first output column of each tensor
    uint32_t n_cols;    // output columns with padding
    uint32_t want;      // bits of the activation forms that the formats read
    struct lora_group *lora; // adapters of these tensors, or NULL; lora.h, borrowed
};

struct layer {
    struct gpu_buf attn_norm, ffn_norm; // [n_embd padded to 32] f32
    struct matrix_group qkv, o, gate_up, down;
};

struct weights {
    struct layer *layers; // [n_layers]
    uint32_t n_layers;
    struct gpu_buf out_norm;
    struct matrix_group embd;   // [n_vocab, n_embd]; also the output matrix when tied
    struct matrix_group output; // n == 0 when tied
    bool tied;
    uint64_t n_params, file_bytes, device_bytes;
    enum quant_type main_type; // the type with the most bytes
};

bool weights_load(struct gpu *gpu, const struct gguf *g, const struct config *c,
                  struct progress *progress, struct weights *out, struct err *e);
void weights_free(struct gpu *gpu, struct weights *w);

#endif
