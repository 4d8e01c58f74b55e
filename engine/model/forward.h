// The forward pass of a Llama: buffers, descriptor sets, and a straight list of kernels.
#ifndef LECTERN_FORWARD_H
#define LECTERN_FORWARD_H

#include "engine/kernels/kernels.h"
#include "engine/model/config.h"
#include "engine/model/kv.h"
#include "engine/model/weights.h"

enum { FORWARD_MAX_ROWS = 16 }; // logits rows a submission

struct forward_params {
    uint32_t n_ctx;   // positions a sequence, a multiple of 32
    uint32_t n_seqs;
    uint32_t n_batch; // most tokens a pass; lowered to what buffers allow
    uint32_t kv_type; // KV_F16 ...
    const struct kv_pages *pages; // borrowed while forward_create runs
};

struct pass_token {
    uint32_t id, cell, position;
};

struct pass_tile { // a run of tokens of one sequence, in the pass's tokens
    uint32_t first, n, entry, position; // entry: the sequence's first in the page table
};

struct pass { // what one submission computes; arrays are borrowed
    const struct pass_token *tokens;
    uint32_t n_tokens;
    const struct pass_tile *runs; // one a sequence
    uint32_t n_runs;
    const uint32_t *rows; // indices of tokens whose logits are wanted
    uint32_t n_rows;
    float *logits; // [n_rows, n_vocab]
};

struct layer_ops {
    VkDescriptorSet attn_norm, qkv[3], o, ffn_norm, gate_up[3], down;
};

struct cache_ops { // of a part of a layer's cache
    VkDescriptorSet rope, attention;
};

struct shape { // what a recorded command buffer depends on
    uint32_t n_tokens, n_tiles, n_rows;
    bool decode, body;
};

struct forward {
    struct gpu *gpu; // borrowed, like config and weights
    const struct config *config;
    const struct weights *weights;
    struct kernels kernels;
    struct forward_params p;
    uint32_t group_heads; // query heads of an attention tile
    uint32_t tile_tokens; // tokens of one, when prefilling
    float q_scale;
    struct gpu_buf x, act[N_ACT_FORMS], qkv, q, attended, gate_up, logits, table, tiles, angles;
    struct kv_store kv; // the page table must be up to date when a pass runs
    uint64_t kv_bytes, scratch_bytes;
    struct gpu_sets sets;
    struct layer_ops *ops;       // [n_layers]
    struct cache_ops *cache_ops; // [n_layers, kv.n_parts]
    VkDescriptorSet embed, attended_act, swiglu_act, out_norm, output;
    struct gpu_cmd cmd;
    struct shape recorded;
};

bool forward_create(struct gpu *gpu, const struct config *c, const struct weights *w,
                    const struct forward_params *p, struct forward *out, struct err *e);
void forward_destroy(struct forward *f);

bool forward_run(struct forward *f, const struct pass *pass, struct err *e);

// One run of the output matrix as a matvec: bytes read, seconds of the whole submission.
bool forward_time_matvec(struct forward *f, double *bytes, double *seconds, struct err *e);

#endif
