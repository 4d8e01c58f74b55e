// The forward pass of a Llama through a range of its layers on one device: buffers, descriptor
// sets, and a straight list of kernels.
//
// A pass computes up to n_pass tokens, in sub-batches of n_batch: layer by layer, and in a layer
// sub-batch by sub-batch, so that a streamed layer is read once a pass. The residual stream holds
// all tokens of the pass, scratch only a sub-batch.
#ifndef LECTERN_FORWARD_H
#define LECTERN_FORWARD_H

#include "base/progress.h"
#include "engine/kernels/kernels.h"
#include "engine/model/config.h"
#include "engine/model/fused.h"
#include "engine/model/kv.h"
#include "engine/model/stream.h"
#include "engine/model/weights.h"

enum { FORWARD_MAX_ROWS = 16 }; // logits rows a submission

struct forward_params {
    uint32_t n_ctx; // positions a sequence, a multiple of 32
    uint32_t n_seqs;
    uint32_t n_batch;          // most tokens that scratch holds
    uint32_t n_pass;           // most tokens of a pass, a multiple of n_batch
    uint32_t kv_type;          // KV_F16 ...
    struct progress *progress; // of prompts that take more than a second; may be NULL
};

struct pass_token {
    uint32_t cell, position;
};

struct pass_run {                       // consecutive tokens of one sequence, in the pass's tokens
    uint32_t first, n, entry, position; // entry: the sequence's first in the page table
};

struct pass { // arrays are borrowed
    const struct pass_token *tokens;
    uint32_t n_tokens;
    const struct pass_run *runs; // one a sequence
    uint32_t n_runs;
    const uint32_t *rows; // indices of tokens whose logits are wanted
    uint32_t n_rows;
    // Only the last layers' forward writes them: [n_rows, n_vocab], or [n_rows] ids of the largest.
    float *logits;
    int32_t *largest;
};

struct layer_ops {
    VkDescriptorSet attn_norm, ffn_norm;
    VkDescriptorSet *matmul[LAYER_GROUPS]; // one a class and matrix, in f->matmul_sets
};

struct cache_ops { // of a part of a layer's cache
    VkDescriptorSet rope, attention;
};

struct sub_batch { // tokens [first, first + n_tokens) of the pass
    uint32_t first, n_tokens, first_tile, n_tiles;
    bool decode; // every tile is one token
    uint32_t n_groups; // workgroups that share the context of a tile
};

struct shape { // what a recorded command buffer depends on
    uint32_t first_layer, n_layers, first_sub, n_subs, n_tokens, n_tiles, n_groups, n_rows;
    bool decode, input, output, largest;
};

enum scratch {                                  // kinds of scratch buffers
    SCRATCH_X,                                  // residual stream [n_pass, n_embd]
    SCRATCH_QKV,                                // [n_batch, q k v]
    SCRATCH_Q,                                  // [n_batch, n_heads * head_dim]
    SCRATCH_ATTENDED,                           // the same
    SCRATCH_GATE_UP,                            // [n_batch, gate up]
    SCRATCH_PARTIAL,                            // counters, what workgroups of attention leave
    SCRATCH_ACT,                                // activations in their N_ACT_FORMS forms
    SCRATCH_LOGITS = SCRATCH_ACT + N_ACT_FORMS, // [FORWARD_MAX_ROWS, n_vocab]
    SCRATCH_ROWS,                               // the same for the host, where it cannot see them
    SCRATCH_BEST,                               // and the largest of each slice, value and id
    SCRATCH_TABLE,                              // a uvec4 a token
    SCRATCH_TILES,                              // a uvec4 an attention tile
    SCRATCH_ANGLES,                             // [n_pass, head_dim]
    SCRATCH_LAYER_ACTS,                         // fused.h: records of every workgroup
    SCRATCH_LAYER_HIDDEN,                       // [FUSED_MAX_TOKENS, n_ff]
    SCRATCH_LAYER_ATTENDED,                     // [FUSED_MAX_TOKENS, n_heads, slices]
    SCRATCH_LAYERS,                             // [FUSED_MAX_LAYERS] struct layer_entry
    SCRATCH_MEETING,                            // workgroups that came, and a flag
    SCRATCH_IN,                                 // x from the host, where it cannot see SCRATCH_X
    SCRATCH_OUT,                                // x for the next device, the same
    N_SCRATCH
};

struct forward {
    struct gpu *gpu; // borrowed, like config, weights and stream
    const struct config *config;
    const struct weights *weights;
    struct stream *stream;
    struct kernels kernels;
    uint32_t n_classes; // of numbers of tokens that are told apart: 1 or N_CLASSES
    struct forward_params p;
    uint32_t group_heads; // query heads of an attention tile
    uint32_t tile_tokens; // tokens of one, when prefilling
    uint32_t most_groups; // workgroups of attention that are enough to keep the device busy
    float q_scale;
    struct gpu_buf scratch[N_SCRATCH];
    struct kv_store kv; // the page table must be up to date when a pass runs
    uint64_t kv_bytes, scratch_bytes;
    struct gpu_sets sets;
    struct layer_ops *ops;                 // [n_layers]
    struct cache_ops *cache_ops;           // [n_layers, kv.n_parts]
    VkDescriptorSet *matmul_sets, *output; // output: those of the output matrix
    VkDescriptorSet attended_act, swiglu_act, out_norm, argmax;
    struct gpu_cmd cmd;
    struct shape recorded;
    struct sub_batch *subs; // [n_pass / n_batch]
    uint32_t n_subs;
    struct fused fused;
};

// Bytes that each scratch buffer has; 0: not needed.
void forward_scratch(const struct gpu *gpu, const struct config *c, const struct weights *w,
                     const struct forward_params *p, uint64_t bytes[N_SCRATCH]);
// vec4s of counters before the records in SCRATCH_PARTIAL.
uint64_t forward_partial_base(const struct config *c, const struct forward_params *p);
// The most tokens that scratch may hold on this device.
uint32_t forward_max_batch(const struct gpu *gpu, const struct config *c, const struct weights *w);
// Query heads (of a group that shares a key/value head) and tokens that one attention tile takes.
void forward_tile(const struct gpu *gpu, uint32_t head_dim, uint32_t group, uint32_t *heads,
                  uint32_t *tokens);
// What kv_store_create is asked for these layers. pages: for its sizes.
struct kv_params forward_kv(const struct config *c, const struct weights *w,
                            const struct forward_params *p, const struct kv_pages *pages);

bool forward_create(struct gpu *gpu, const struct config *c, const struct weights *w,
                    struct stream *stream, const struct forward_params *p,
                    const struct kv_pages *pages, const struct kernel_choice *choice,
                    struct forward *out, struct err *e);
void forward_destroy(struct forward *f);

// Where the caller puts the pass's tokens before forward_run, [n_tokens, forward_stride] f32 with
// zeros behind n_embd, and where it finds them afterwards when these are not the last layers.
float *forward_input(struct forward *f);
const float *forward_output(const struct forward *f);
uint32_t forward_stride(const struct forward *f);

bool forward_run(struct forward *f, const struct pass *pass, struct err *e);

// forward_record.c: records what `s` asks for, unless that is what the command buffer holds already;
// the output matrix as a matvec, to time it.
bool forward_record(struct forward *f, const struct shape *s, struct err *e);
bool forward_record_matvec(struct forward *f, struct err *e);

// Builds the kernels of prompts and tokens, which reads no weights: beside their loading, in another
// thread. Then runs each once, as drivers compile at first dispatch, so that no later call pays for
// it. Streamed layers are left out.
bool forward_build(struct forward *f, struct err *e);
bool forward_warm_up(struct forward *f, struct err *e);

// One run of the output matrix as a matvec: bytes read, seconds of the whole submission.
bool forward_time_matvec(struct forward *f, double *bytes, double *seconds, struct err *e);

#endif
