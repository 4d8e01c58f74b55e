// The list of kernels of a pass, as a command buffer.
#include "engine/model/forward.h"
#include "base/size.h"
#include "engine/model/lora.h"

#include <string.h>

static bool record_norm(struct forward *f, enum norm_mode mode, uint32_t want, VkDescriptorSet set,
                        const struct push_norm *push, struct err *e)
{
    const struct gpu_pipeline *p;
    if (!kernels_norm(&f->kernels, mode, want, &p, e)) return false;
    gpu_dispatch(f->gpu, &f->cmd, p, set, push, (uint32_t[]){push->n_rows, 1, 1});
    gpu_barrier(f->gpu, &f->cmd);
    return true;
}

// The forms of activations that n_tokens of the group's input are multiplied in.
static uint32_t forms(const struct forward *f, const struct matrix_group *g, uint32_t n_tokens)
{
    if (f->n_classes == 1) return g->want;
    uint32_t want = g->lora ? 1u << ACT_F32 : 0;
    for (uint32_t i = 0; i < g->n; i++)
        want |=
            1u << matmul_act(g->m[i].format, kernels_way(&f->kernels, g->m[i].format, n_tokens));
    return want;
}

// y (+)= W x for every matrix of the group; no barrier between them, their outputs are disjoint.
// first: row of y that token 0 goes to.
static bool record_matmul(struct forward *f, const struct matrix_group *g,
                          const VkDescriptorSet *sets, uint32_t first, uint32_t n_tokens, bool add,
                          struct err *e)
{
    if (g->lora && !lora_record_a(f, g->lora, n_tokens, e)) return false;
    if (f->n_classes > 1) sets += matmul_class(n_tokens) * g->n;
    for (uint32_t i = 0; i < g->n; i++) {
        const struct matrix *m = &g->m[i];
        const struct gpu_pipeline *p;
        uint32_t groups[3];
        enum matmul_way way = kernels_way(&f->kernels, m->format, n_tokens);
        if (!kernels_matmul_way(&f->kernels, m->format, way, m->n_tiles, n_tokens, &p, groups, e))
            return false;
        struct push_matmul push = {
            .n_tiles = m->n_tiles,
            .n_blocks = m->n_blocks,
            .n_tokens = n_tokens,
            .y_stride = g->n_cols / 4,
            .y_offset = (first * g->n_cols + m->y_offset) / 4,
            .add = add,
        };
        gpu_note(&f->cmd, m->t[0]->name.s, m->t[0]->name.n, m->bytes);
        gpu_dispatch(f->gpu, &f->cmd, p, sets[i], &push, groups);
    }
    gpu_barrier(f->gpu, &f->cmd);
    return !g->lora || lora_record_b(f, g->lora, first, n_tokens, g->n_cols / 4, e);
}

static void record_rope(struct forward *f, const struct gpu_pipeline *rope, uint32_t part,
                        const struct cache_ops *ops, const struct matrix_group *qkv,
                        const struct sub_batch *s)
{
    const struct config *c = f->config;
    uint32_t heads = f->kv.part_heads, group = c->n_heads / c->n_kv_heads;
    uint32_t part_row = heads * c->head_dim / 4;
    struct push_rope push = {
        .token_base = s->first,
        .n_heads = heads * group,
        .n_kv_heads = heads,
        .head_dim = c->head_dim,
        .kv_dim = f->kv.kv_dim,
        .qkv_stride = qkv->n_cols / 4,
        .q_offset = part * part_row * group,
        .k_offset = qkv->row_at[1] / 4 + part * part_row,
        .v_offset = qkv->row_at[2] / 4 + part * part_row,
        .q_stride = (uint32_t)size_align(c->n_heads * c->head_dim, BLOCK_COLS) / 4,
        .v_base = f->kv.v_base,
        .q_scale = f->q_scale,
    };
    gpu_dispatch(f->gpu, &f->cmd, rope, ops->rope, &push, (uint32_t[]){s->n_tokens, 1, 1});
}

// The parts of a layer's cache one behind the other, no barrier between them: their heads are
// apart.
static bool record_attention(struct forward *f, uint32_t layer, const struct matrix_group *qkv,
                             const struct sub_batch *s, struct err *e)
{
    const struct config *c = f->config;
    const struct cache_ops *ops = f->cache_ops + (size_t)layer * f->kv.n_parts;
    const struct gpu_pipeline *rope, *attention;
    uint32_t group = c->n_heads / c->n_kv_heads, part_heads = f->kv.part_heads * group;
    if (!kernels_rope(&f->kernels, f->p.kv_type, &rope, e) ||
        !kernels_attention(&f->kernels, c->head_dim, group, f->group_heads,
                           s->decode ? 1 : f->tile_tokens, f->p.kv_type, &attention, e))
        return false;
    for (uint32_t i = 0; i < f->kv.n_parts; i++)
        record_rope(f, rope, i, &ops[i], qkv, s);
    gpu_barrier(f->gpu, &f->cmd);
    for (uint32_t i = 0; i < f->kv.n_parts; i++) {
        struct push_attention push = {
            .tile_base = s->first_tile,
            .n_kv_heads = f->kv.part_heads,
            .kv_dim = f->kv.kv_dim,
            .q_stride = (uint32_t)size_align(c->n_heads * c->head_dim, BLOCK_COLS) / 4,
            .q_offset = i * part_heads * c->head_dim / 4,
            .v_base = f->kv.v_base,
            .n_groups = s->n_groups,
            .max_slices = (uint32_t)size_div_up(f->p.n_ctx, KV_SLICE),
            .n_heads = c->n_heads,
            .first_head = i * part_heads,
            .partial_base = (uint32_t)forward_partial_base(c, &f->p),
        };
        gpu_dispatch(f->gpu, &f->cmd, attention, ops[i].attention, &push,
                     (uint32_t[]){part_heads / f->group_heads, s->n_tiles, s->n_groups});
    }
    gpu_barrier(f->gpu, &f->cmd);
    return true;
}

static struct push_norm norm_push(const struct forward *f, uint32_t n_rows, uint32_t n_cols)
{
    return (struct push_norm){
        .n_rows = n_rows,
        .n_cols = n_cols,
        .n_blocks = (uint32_t)size_div_up(n_cols, BLOCK_COLS),
        .x_stride = (uint32_t)size_align(n_cols, BLOCK_COLS) / 4,
        .eps = f->config->norm_eps,
    };
}

// Layer i; where a dispatch takes several, up to *n of them, and *n says how many.
static bool record_layers(struct forward *f, uint32_t i, uint32_t *n_layers,
                          const struct sub_batch *s, struct err *e)
{
    const struct config *c = f->config;
    const struct layer *y = &f->weights->layers[i];
    const struct layer_ops *o = &f->ops[i];
    uint32_t n = s->n_tokens;
    if (fused_takes(f, i, s)) return fused_record(f, i, n_layers, s, e);
    *n_layers = 1;
    struct push_norm embd = norm_push(f, n, c->n_embd);
    struct push_norm attended = norm_push(f, n, c->n_heads * c->head_dim);
    struct push_norm ff = norm_push(f, n, c->n_ff);
    embd.x_offset = s->first * embd.x_stride;
    ff.x_stride = y->gate_up.n_cols / 4;
    ff.x_offset2 = y->gate_up.row_at[1] / 4;
    return record_norm(f, NORM_RMS, forms(f, &y->qkv, n), o->attn_norm, &embd, e) &&
           record_matmul(f, &y->qkv, o->matmul[0], 0, n, false, e) &&
           record_attention(f, i, &y->qkv, s, e) &&
           record_norm(f, NORM_PLAIN, forms(f, &y->o, n), f->attended_act, &attended, e) &&
           record_matmul(f, &y->o, o->matmul[1], s->first, n, true, e) &&
           record_norm(f, NORM_RMS, forms(f, &y->gate_up, n), o->ffn_norm, &embd, e) &&
           record_matmul(f, &y->gate_up, o->matmul[2], 0, n, false, e) &&
           record_norm(f, NORM_SWIGLU, forms(f, &y->down, n), f->swiglu_act, &ff, e) &&
           record_matmul(f, &y->down, o->matmul[3], s->first, n, true, e);
}

static void record_copy(struct forward *f, enum scratch from, enum scratch to, uint32_t n_tokens)
{
    gpu_barrier(f->gpu, &f->cmd);
    gpu_copy(f->gpu, &f->cmd, &f->scratch[from], 0, &f->scratch[to], 0,
             (uint64_t)n_tokens * forward_stride(f) * sizeof(float));
    gpu_barrier(f->gpu, &f->cmd);
}

// What of the logits the host cannot see goes where it can: rows, or the largest of each slice.
static bool record_rows(struct forward *f, uint32_t n_rows, bool largest, struct err *e)
{
    struct gpu_buf *logits = &f->scratch[SCRATCH_LOGITS], *rows = &f->scratch[SCRATCH_ROWS];
    uint32_t n_cols = f->weights->output.n_cols, n_vocab = f->config->n_vocab;
    const struct gpu_pipeline *p;
    if (!rows->buffer) return true;
    if (!largest) {
        gpu_copy(f->gpu, &f->cmd, logits, 0, rows, 0, (uint64_t)n_rows * n_cols * sizeof(float));
    } else {
        struct push_argmax push = {n_vocab, n_cols / 4,
                                   (uint32_t)size_div_up(n_vocab, ARGMAX_SLICE)};
        if (!kernels_argmax(&f->kernels, &p, e)) return false;
        gpu_dispatch(f->gpu, &f->cmd, p, f->argmax, &push, (uint32_t[]){push.n_slices, n_rows, 1});
    }
    gpu_barrier(f->gpu, &f->cmd);
    return true;
}

static bool record_logits(struct forward *f, uint32_t n_rows, bool largest, struct err *e)
{
    const struct matrix_group *g = &f->weights->output;
    struct push_norm push = norm_push(f, n_rows, f->config->n_embd);
    push.gather = 1;
    return record_norm(f, NORM_RMS, forms(f, g, n_rows), f->out_norm, &push, e) &&
           record_matmul(f, g, f->output, 0, n_rows, false, e) &&
           record_rows(f, n_rows, largest, e);
}

bool forward_record(struct forward *f, const struct shape *s, struct err *e)
{
    if (f->n_subs == 1 && !memcmp(&f->recorded, s, sizeof *s)) return true;
    memset(&f->recorded, 0, sizeof f->recorded);
    f->fused.meetings = 0;
    if (!gpu_begin(f->gpu, &f->cmd, e)) return false;
    gpu_barrier(f->gpu, &f->cmd); // what another queue copied is visible from here on
    if (s->input) record_copy(f, SCRATCH_IN, SCRATCH_X, s->n_tokens);
    for (uint32_t i = 0, n; i < s->n_layers; i += n)
        for (uint32_t k = 0; k < s->n_subs; k++) { // of several sub-batches none is fused
            n = s->n_layers - i;
            if (!record_layers(f, s->first_layer + i, &n, &f->subs[s->first_sub + k], e))
                return false;
        }
    if (s->output) record_copy(f, SCRATCH_X, SCRATCH_OUT, s->n_tokens);
    if (s->n_rows && !record_logits(f, s->n_rows, s->largest, e)) return false;
    if (!gpu_end(f->gpu, &f->cmd, e)) return false;
    memcpy(&f->recorded, s, sizeof *s); // padding included: memcmp sees it
    return true;
}

bool forward_record_matvec(struct forward *f, struct err *e)
{
    struct matrix_group g = f->weights->output;
    g.lora = NULL;
    memset(&f->recorded, 0, sizeof f->recorded);
    return gpu_begin(f->gpu, &f->cmd, e) && record_matmul(f, &g, f->output, 0, 1, false, e) &&
           gpu_end(f->gpu, &f->cmd, e);
}
