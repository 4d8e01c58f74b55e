// LoRA adapters: y += B (A x) beside a matrix's y = W x, for any number of adapters at the cost of
// one. A file's scale is s = scale * alpha / r, or scale where alpha is 0 or missing, r being the
// rank (llama.cpp, src/llama-adapter.h). The adapters of a tensor are stacked along their rank:
//
//   A = [A1; A2]      B = [s1 B1, s2 B2]      B (A x) = s1 B1 (A1 x) + s2 B2 (A2 x)
//
// and so are the tensors of a group, which read the same x, unless the zeros that this puts into B
// cost more than the dispatches it saves:
//
//   A = [Aq; Ak; Av]      B = | Bq        |
//                             |    Bk     |
//                             |       Bv  |
//
// Both are f32 tiles for the matmul kernel. t = A x is a row of f32 padded to blocks of 32, which
// is the form ACT_F32 of activations: B reads it as it is.
//
//   lora_file.c  reading and checking      lora.c  stacking, and the dispatches
#ifndef LECTERN_LORA_H
#define LECTERN_LORA_H

#include "engine/engine.h"
#include "engine/model/config.h"
#include "engine/model/weights.h"

// ----------------------------------------------------------------------------------- the file

enum lora_target {
    LORA_Q,
    LORA_K,
    LORA_V,
    LORA_O,
    LORA_GATE,
    LORA_UP,
    LORA_DOWN,
    N_LORA_TARGETS,
    LORA_OUTPUT = N_LORA_TARGETS // has no layer
};
void lora_shape(const struct config *c, enum lora_target t, uint64_t *n_in, uint64_t *n_out);

struct lora_tensor {             // both or neither; borrowed from the file
    const struct gguf_tensor *a; // [r, n_in]
    const struct gguf_tensor *b; // [n_out, r]
};

struct lora_file {
    struct gguf file;
    double scale, alpha;
    struct lora_tensor *tensors; // [n_layers * N_LORA_TARGETS + 1], the last is the output's
    uint64_t bytes;              // of tensor data
};
// Everything is checked against the model; what cannot be applied is refused by name.
bool lora_file_open(const struct engine_lora *in, const struct config *c, bool has_output,
                    struct lora_file *out, struct err *e);
// The same for a file that is open already, with the scale 0; out owns it, a failure closes it.
bool lora_file_take(const struct gguf *file, const struct config *c, bool has_output,
                    struct lora_file *out, struct err *e);
void lora_file_close(struct lora_file *f);

// -------------------------------------------------------------------------------- on the device

struct lora_pair {
    struct matrix a, b; // b.y_offset: in the group's row
    VkDescriptorSet a_set, b_set;
};

struct lora_group { // what is added to a matrix_group's outputs
    struct lora *owner;
    struct lora_pair p[3];
    uint32_t n;
};

struct lora {
    struct gpu *gpu;           // borrowed
    struct lora_group *groups; // [n_groups] one a matrix_group that is adapted
    uint32_t n_groups;
    uint32_t n_blocks[3]; // of the widest t of each place in a group
    struct gpu_buf t[3];  // [n_batch, n_blocks] f32
    struct gpu_sets sets;
    uint64_t device_bytes;
};

struct lora_params { // as in engine_params
    const struct engine_lora *loras;
    uint32_t n;
};

// Hangs the adapters on the groups of w (matrix_group.lora, and the form of activations they read).
// None, or scales of 0, change nothing.
bool lora_load(struct gpu *gpu, const struct lora_params *p, const struct config *c,
               struct weights *w, struct lora *out, struct err *e);
// Bytes that lora_load and then lora_bind would take, exactly; sets the groups' forms of
// activations, and takes nothing.
bool lora_measure(struct gpu *gpu, const struct lora_params *p, const struct config *c,
                  struct weights *w, uint32_t n_batch, uint64_t *bytes, struct err *e);
void lora_free(struct lora *l); // after the forward pass that uses it, before the gpu

struct forward;
// Descriptor sets of a group whose outputs are y. May be called again for another y.
bool lora_bind(struct forward *f, struct lora_group *g, const struct gpu_buf *y, struct err *e);
// t = A x, which may run beside W x; then, behind a barrier, y += B t and a barrier.
bool lora_record_a(struct forward *f, const struct lora_group *g, uint32_t n_tokens, struct err *e);
// first: row of y that token 0 goes to.
bool lora_record_b(struct forward *f, const struct lora_group *g, uint32_t first, uint32_t n_tokens,
                   uint32_t y_stride, struct err *e);

#endif
