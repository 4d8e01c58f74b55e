// The matrices of a range of layers: what they are made of, where they lie on the device.
//
//   weights_describe   finds and checks the tensors, cuts them into pieces: no memory is taken
//   place.h            decides how many layers stay resident and which are streamed
//   weights_allocate   takes the memory, which upload.h fills
//
// Layers below n_resident lie in `resident` for good. The others share the two slots in turn:
// layer i uses slot (i - n_resident) % 2, which stream.h fills before every use.
#ifndef LECTERN_WEIGHTS_H
#define LECTERN_WEIGHTS_H

#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/model/blocks.h"
#include "engine/model/config.h"

struct matrix { // consecutive tiles of tensors of one format and width that lie one below the other
    enum weight_format format;
    uint32_t n_tiles, n_blocks;
    uint32_t y_offset; // first output column in the group's row: a multiple of 32
    const struct gguf_tensor *t[3];
    uint32_t n_tensors;
    uint64_t first_tile; // of the tensors' tiles counted through
    uint64_t bytes;
    struct spot spot;
    struct gpu_buf buf; // a view
};

struct lora_group;

struct matrix_group { // tensors with the same input; outputs lie side by side in one row
    struct matrix *m; // [n]
    uint32_t n;
    uint32_t row_at[3];      // first output column of each tensor
    uint32_t n_cols;         // output columns with padding
    uint32_t want;           // bits of the activation forms that the formats read
    struct lora_group *lora; // adapters of these tensors, or NULL; lora.h, borrowed
};

struct vector { // gains of a norm, [n_embd padded to 32] f32
    const struct gguf_tensor *t;
    uint64_t bytes;
    struct spot spot;
    struct gpu_buf buf; // a view
};

struct layer {
    struct vector attn_norm, ffn_norm;
    struct matrix_group qkv, o, gate_up, down;
    uint64_t file_bytes;
};
enum { LAYER_GROUPS = 4 };
struct matrix_group *layer_group(struct layer *y, uint32_t i);

struct weights {
    struct layer *layers; // [n_layers], layer i of them is the model's first_layer + i
    uint32_t first_layer, n_layers, n_resident;
    bool has_output;            // these are the last layers
    struct vector out_norm;     // and the rest
    struct matrix_group output; // [n_vocab, n_embd]
    struct blocks resident, slots[2];
};

// Layers [first, first + n), and the output matrix when has_output.
bool weights_describe(const struct gguf *g, const struct config *c, const struct gpu *gpu,
                      uint32_t first, uint32_t n, bool has_output, struct weights *out,
                      struct err *e);

// Places everything for n_resident layers; again and again, until it suits.
bool weights_place(struct weights *w, const struct gpu *gpu, uint32_t n_resident, struct err *e);

// Bytes as placed: what stays, and the two slots.
uint64_t weights_resident_bytes(const struct weights *w, struct gpu *gpu);
uint64_t weights_slot_bytes(const struct weights *w, struct gpu *gpu);
// Bytes of every matrix: what a token reads.
uint64_t weights_matrix_bytes(const struct weights *w);

// Allocates the blocks and gives every matrix its view. upload.h fills what stays.
bool weights_allocate(struct weights *w, struct gpu *gpu, struct err *e);
void weights_free(struct gpu *gpu, struct weights *w);

#endif
