// Buffers and descriptor sets of the forward pass.
#include "engine/model/forward.h"
#include "base/size.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The most query heads of a group that one attention tile can take.
static uint32_t heads_a_tile(uint32_t group)
{
    uint32_t heads = group < 8 ? group : 8;
    while (group % heads)
        heads--;
    return heads;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// Lowers n_batch until every scratch buffer fits what a kernel may see.
static void fit_batch(struct forward *f, uint32_t widest_row)
{
    uint64_t most = f->gpu->caps.max_buffer_range / ((uint64_t)widest_row * 4 + 1);
    if (f->p.n_batch + 4 > most) f->p.n_batch = most > 5 ? (uint32_t)most - 4 : 1;
}

static bool scratch(struct forward *f, uint64_t bytes, const char *name, struct gpu_buf *out,
                    struct err *e)
{
    if (!gpu_buf_create(f->gpu, GPU_DEVICE, bytes, name, out, e) ||
        !gpu_buf_zero(f->gpu, out, e)) // padding columns must be zero
        return false;
    f->scratch_bytes += out->allocated;
    return true;
}

static bool create_scratch(struct forward *f, struct err *e)
{
    const struct config *c = f->config;
    const struct layer *y = &f->weights->layers[0];
    uint32_t nq = c->n_heads * c->head_dim, want = f->weights->embd.want | f->weights->output.want;
    uint32_t qkv = 0, gate_up = 0;
    for (uint32_t i = 0; i < c->n_layers; i++) {
        y = &f->weights->layers[i];
        want |= y->qkv.want | y->o.want | y->gate_up.want | y->down.want;
        qkv = max_u32(qkv, y->qkv.n_cols);
        gate_up = max_u32(gate_up, y->gate_up.n_cols);
    }
    fit_batch(f, max_u32(qkv, gate_up));
    uint64_t n = size_align(f->p.n_batch, 4), row = 4 * n;
    uint64_t blocks = size_div_up(max_u32(max_u32(c->n_embd, nq), c->n_ff), BLOCK_COLS);
    for (uint32_t a = 0; a < N_ACT_FORMS; a++)
        if (!scratch(f, want >> a & 1 ? n * blocks * act_texels(a) * 16 : 16, "activations",
                     &f->act[a], e))
            return false;
    return scratch(f, row * size_align(c->n_embd, BLOCK_COLS), "x", &f->x, e) &&
           scratch(f, row * qkv, "qkv", &f->qkv, e) &&
           scratch(f, row * size_align(nq, BLOCK_COLS), "q", &f->q, e) &&
           scratch(f, row * size_align(nq, BLOCK_COLS), "attended", &f->attended, e) &&
           scratch(f, row * gate_up, "gate and up", &f->gate_up, e);
}

static bool create_tables(struct forward *f, struct err *e)
{
    const struct config *c = f->config;
    uint32_t rows = max_u32(f->p.n_batch, FORWARD_MAX_ROWS);
    uint64_t vocab = f->weights->tied ? f->weights->embd.n_cols : f->weights->output.n_cols;
    uint64_t logits = FORWARD_MAX_ROWS * vocab * 4;
    if (!gpu_buf_create(f->gpu, GPU_UPLOAD, rows * 16, "tokens", &f->table, e) ||
        !gpu_buf_create(f->gpu, GPU_UPLOAD, rows * 16, "tiles", &f->tiles, e) ||
        !gpu_buf_create(f->gpu, GPU_UPLOAD, (uint64_t)rows * c->head_dim * 4, "angles", &f->angles,
                        e) ||
        !gpu_buf_create(f->gpu, GPU_READBACK, logits, "logits", &f->logits, e))
        return false;
    memset(f->table.map, 0, f->table.size);
    f->scratch_bytes +=
        f->table.allocated + f->tiles.allocated + f->angles.allocated + f->logits.allocated;
    return true;
}

static bool create_kv(struct forward *f, struct err *e)
{
    const struct config *c = f->config;
    struct kv_params p = {.type = f->p.kv_type,
                          .n_kv_heads = c->n_kv_heads,
                          .head_dim = c->head_dim,
                          .n_layers = c->n_layers,
                          .pages = f->p.pages};
    if (!kv_store_create(f->gpu, &p, &f->kv, e)) return false;
    f->kv_bytes = f->kv.bytes;
    f->scratch_bytes += f->kv.table.allocated + f->kv.angles.allocated;
    return true;
}

static bool make_norm(struct forward *f, enum norm_mode mode, uint32_t want,
                      const struct gpu_buf *src, const struct gpu_buf *gain, VkDescriptorSet *out,
                      struct err *e)
{
    const struct gpu_pipeline *p;
    const struct gpu_buf *bufs[] = {
        src, gain, &f->table, &f->act[ACT_I9], &f->act[ACT_I10], &f->act[ACT_F32]};
    return kernels_norm(&f->kernels, mode, want, &p, e) &&
           gpu_set_make(f->gpu, &f->sets, p, bufs, out, e);
}

static bool make_matmul(struct forward *f, const struct matrix_group *g, const struct gpu_buf *y,
                        VkDescriptorSet *out, struct err *e)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct matrix *m = &g->m[i];
        const struct gpu_pipeline *p;
        const struct gpu_buf *bufs[] = {&m->buf, &f->act[weight_layout(m->format)->act], &f->x, y};
        if (!kernels_matmul(&f->kernels, m->format, 1, &p, e) ||
            !gpu_set_make(f->gpu, &f->sets, p, bufs, &out[i], e))
            return false;
    }
    return true;
}

static bool make_cache(struct forward *f, uint32_t layer, struct err *e)
{
    const struct config *c = f->config;
    const struct gpu_pipeline *rope, *attention;
    if (!kernels_rope(&f->kernels, f->p.kv_type, &rope, e) ||
        !kernels_attention(&f->kernels, c->head_dim, c->n_heads / c->n_kv_heads, f->group_heads, 1,
                           f->p.kv_type, &attention, e))
        return false;
    for (uint32_t i = 0; i < f->kv.n_parts; i++) {
        struct cache_ops *o = &f->cache_ops[(size_t)layer * f->kv.n_parts + i];
        const struct gpu_buf *kv = kv_store_buf(&f->kv, layer, i);
        const struct gpu_buf *rope_bufs[] = {&f->qkv, &f->angles, &f->table, &f->q, kv};
        const struct gpu_buf *bufs[] = {&f->q, kv, &f->tiles, &f->kv.table, &f->attended};
        if (!gpu_set_make(f->gpu, &f->sets, rope, rope_bufs, &o->rope, e) ||
            !gpu_set_make(f->gpu, &f->sets, attention, bufs, &o->attention, e))
            return false;
    }
    return true;
}

static bool make_layer(struct forward *f, uint32_t i, struct err *e)
{
    const struct layer *y = &f->weights->layers[i];
    struct layer_ops *o = &f->ops[i];
    return make_norm(f, NORM_RMS, y->qkv.want, &f->x, &y->attn_norm, &o->attn_norm, e) &&
           make_matmul(f, &y->qkv, &f->qkv, o->qkv, e) && make_cache(f, i, e) &&
           make_matmul(f, &y->o, &f->x, &o->o, e) &&
           make_norm(f, NORM_RMS, y->gate_up.want, &f->x, &y->ffn_norm, &o->ffn_norm, e) &&
           make_matmul(f, &y->gate_up, &f->gate_up, o->gate_up, e) &&
           make_matmul(f, &y->down, &f->x, &o->down, e);
}

static bool make_sets(struct forward *f, struct err *e)
{
    const struct weights *w = f->weights;
    const struct matrix_group *out = w->tied ? &w->embd : &w->output;
    const struct gpu_pipeline *embed;
    const struct gpu_buf *embed_bufs[] = {&w->embd.m[0].buf, &f->table, &f->x};
    f->ops = calloc(f->config->n_layers, sizeof *f->ops);
    f->cache_ops = calloc((size_t)f->config->n_layers * f->kv.n_parts, sizeof *f->cache_ops);
    if (!f->ops || !f->cache_ops)
        return err_nomem(e, "layers", f->config->n_layers * sizeof *f->ops);
    if (!gpu_sets_create(f->gpu, f->config->n_layers * (10 + 2 * f->kv.n_parts) + 8, &f->sets, e) ||
        !kernels_embed(&f->kernels, w->embd.m[0].format, &embed, e) ||
        !gpu_set_make(f->gpu, &f->sets, embed, embed_bufs, &f->embed, e) ||
        !make_norm(f, NORM_PLAIN, 1, &f->attended, &f->attended, &f->attended_act, e) ||
        !make_norm(f, NORM_SWIGLU, 1, &f->gate_up, &f->gate_up, &f->swiglu_act, e) ||
        !make_norm(f, NORM_RMS, out->want, &f->x, &w->out_norm, &f->out_norm, e) ||
        !make_matmul(f, out, &f->logits, &f->output, e))
        return false;
    for (uint32_t i = 0; i < f->config->n_layers; i++)
        if (!make_layer(f, i, e)) return false;
    return true;
}

bool forward_create(struct gpu *gpu, const struct config *c, const struct weights *w,
                    const struct forward_params *p, struct forward *out, struct err *e)
{
    *out = (struct forward){.gpu = gpu, .config = c, .weights = w, .p = *p};
    kernels_init(&out->kernels, gpu);
    out->q_scale = (float)(1 / sqrt((double)c->head_dim));
    out->group_heads = out->tile_tokens = 1;
    if (gpu->subgroups) { // else every exchange costs two barriers, and drivers seconds to compile
        out->group_heads = heads_a_tile(c->n_heads / c->n_kv_heads);
        out->tile_tokens = max_u32(1, (c->head_dim <= 64 ? 6 : 4) / out->group_heads);
    }
    if (!create_scratch(out, e) || !create_tables(out, e) || !create_kv(out, e) ||
        !make_sets(out, e) || !gpu_cmd_create(gpu, &out->cmd, e)) {
        forward_destroy(out);
        return false;
    }
    return true;
}

void forward_destroy(struct forward *f)
{
    struct gpu_buf *bufs[] = {&f->x,       &f->qkv,    &f->q,      &f->attended,
                              &f->gate_up, &f->logits, &f->table,  &f->tiles,
                              &f->angles,  &f->act[0], &f->act[1], &f->act[2]};
    if (!f->gpu) return;
    gpu_cmd_destroy(f->gpu, &f->cmd);
    gpu_sets_destroy(f->gpu, &f->sets);
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        gpu_buf_destroy(f->gpu, bufs[i]);
    kv_store_destroy(&f->kv);
    free(f->ops);
    free(f->cache_ops);
    kernels_destroy(&f->kernels);
    *f = (struct forward){0};
}
