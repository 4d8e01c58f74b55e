// Buffers and descriptor sets of the forward pass.
#include "engine/model/forward.h"
#include "base/size.h"
#include "engine/model/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A lane of attention holds every query of its tile. RADV 25.0.7 for navi21 spills nothing with 128
// floats of them and up to 985 of 1,241 registers with 1,024.
enum { GPU_TILE_FLOATS = 128 };

// Workgroups of 8 lanes that keep a device busy: some for each core of a processor, and some for
// each of a GPU's hundred or so.
enum { CPU_GROUPS = 32, GPU_GROUPS = 1024 };

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

// Columns of the widest rows that matmul writes: Q K V, gate and up.
static void widths(const struct weights *w, uint32_t *qkv, uint32_t *gate_up, uint32_t *want)
{
    *qkv = *gate_up = 0;
    *want = w->output.want;
    for (uint32_t i = 0; i < w->n_layers; i++) {
        const struct layer *y = &w->layers[i];
        *want |= y->qkv.want | y->o.want | y->gate_up.want | y->down.want;
        *qkv = max_u32(*qkv, y->qkv.n_cols);
        *gate_up = max_u32(*gate_up, y->gate_up.n_cols);
    }
}

uint32_t forward_max_batch(const struct gpu *gpu, const struct config *c, const struct weights *w)
{
    uint32_t qkv, gate_up, want;
    widths(w, &qkv, &gate_up, &want);
    uint64_t row = max_u32(max_u32(qkv, gate_up), c->n_embd), most;
    most = gpu->caps.max_buffer_range / (row * 4 + 1);
    return most > KERNELS_MAX_TOKENS ? (uint32_t)size_min(most - KERNELS_MAX_TOKENS, 8192) : 1;
}

uint64_t forward_partial_base(const struct config *c, const struct forward_params *p)
{
    return size_div_up((uint64_t)p->n_seqs * c->n_heads, 4);
}

// The host writes the residual stream itself where device memory is its own.
static bool sees_x(const struct gpu *gpu)
{
    return gpu->caps.unified && !gpu->force_staging;
}

void forward_scratch(const struct gpu *gpu, const struct config *c, const struct weights *w,
                     const struct forward_params *p, uint64_t bytes[N_SCRATCH])
{
    uint32_t qkv, gate_up, want, nq = c->n_heads * c->head_dim;
    widths(w, &qkv, &gate_up, &want);
    uint64_t n = size_align(p->n_batch, KERNELS_MAX_TOKENS),
             rows = max_u32(p->n_pass, FORWARD_MAX_ROWS);
    uint64_t x = 4 * size_align(p->n_pass, KERNELS_MAX_TOKENS) * size_align(c->n_embd, BLOCK_COLS);
    uint64_t q = 4 * n * size_align(nq, BLOCK_COLS);
    uint64_t blocks = size_div_up(max_u32(max_u32(c->n_embd, nq), c->n_ff), BLOCK_COLS);
    uint64_t acts = size_max(n, FORWARD_MAX_ROWS);
    // Whatever way is chosen later: a plan is exact without a measurement.
    if (gpu->dot && want & (1u << ACT_I9 | 1u << ACT_I10)) want |= 1u << ACT_I8;
    if (gpu->coop && KERNELS_HAVE_COOP) want |= 1u << ACT_F32;
    for (uint32_t a = 0; a < N_ACT_FORMS; a++)
        bytes[SCRATCH_ACT + a] = want >> a & 1 ? acts * blocks * act_texels(a) * 16 : 16;
    if (!gpu->dot) bytes[SCRATCH_ACT + ACT_I8] = 0; // norm has no binding for it there
    bytes[SCRATCH_X] = x;
    bytes[SCRATCH_QKV] = 4 * n * qkv;
    bytes[SCRATCH_Q] = bytes[SCRATCH_ATTENDED] = q;
    bytes[SCRATCH_GATE_UP] = 4 * n * gate_up;
    bytes[SCRATCH_PARTIAL] =
        forward_partial_base(c, p) * 16 +
        (uint64_t)p->n_seqs * size_div_up(p->n_ctx, KV_SLICE) * c->n_heads * (c->head_dim + 4) * 4;
    bytes[SCRATCH_LOGITS] = w->has_output ? (uint64_t)FORWARD_MAX_ROWS * w->output.n_cols * 4 : 0;
    bytes[SCRATCH_ROWS] = sees_x(gpu) ? 0 : bytes[SCRATCH_LOGITS];
    bytes[SCRATCH_BEST] = sees_x(gpu) || !w->has_output
                              ? 0
                              : 8 * FORWARD_MAX_ROWS * size_div_up(w->output.n_cols, ARGMAX_SLICE);
    bytes[SCRATCH_TABLE] = bytes[SCRATCH_TILES] = rows * 16;
    bytes[SCRATCH_ANGLES] = rows * c->head_dim * 4;
    struct fused_bytes fused = fused_scratch(gpu, c);
    bytes[SCRATCH_LAYER_ACTS] = fused.acts;
    bytes[SCRATCH_LAYER_HIDDEN] = fused.hidden;
    bytes[SCRATCH_LAYER_ATTENDED] = fused.attended;
    bytes[SCRATCH_LAYERS] = fused.layers;
    bytes[SCRATCH_MEETING] = fused.meeting;
    bytes[SCRATCH_IN] = sees_x(gpu) ? 0 : x;
    bytes[SCRATCH_OUT] = sees_x(gpu) || w->has_output ? 0 : x;
}

static enum gpu_memory scratch_kind(const struct gpu *gpu, enum scratch s)
{
    if (s == SCRATCH_LOGITS) return sees_x(gpu) ? GPU_READBACK : GPU_DEVICE;
    if (s == SCRATCH_ROWS || s == SCRATCH_BEST || s == SCRATCH_OUT) return GPU_READBACK;
    return s < SCRATCH_LOGITS ? GPU_DEVICE : GPU_UPLOAD;
}

static bool create_scratch(struct forward *f, struct err *e)
{
    static const char *const names[N_SCRATCH] = {[SCRATCH_X] = "x",
                                                 [SCRATCH_QKV] = "qkv",
                                                 [SCRATCH_Q] = "q",
                                                 [SCRATCH_ATTENDED] = "attended",
                                                 [SCRATCH_GATE_UP] = "gate and up",
                                                 [SCRATCH_PARTIAL] = "slices of attention",
                                                 [SCRATCH_LOGITS] = "logits",
                                                 [SCRATCH_ROWS] = "logits for the host",
                                                 [SCRATCH_BEST] = "largest logits",
                                                 [SCRATCH_TABLE] = "tokens",
                                                 [SCRATCH_TILES] = "tiles",
                                                 [SCRATCH_ANGLES] = "angles",
                                                 [SCRATCH_LAYER_HIDDEN] = "hidden",
                                                 [SCRATCH_LAYER_ATTENDED] = "attended slices",
                                                 [SCRATCH_LAYERS] = "table of layers",
                                                 [SCRATCH_MEETING] = "meetings",
                                                 [SCRATCH_IN] = "x from the host",
                                                 [SCRATCH_OUT] = "x for the next device"};
    uint64_t bytes[N_SCRATCH];
    forward_scratch(f->gpu, f->config, f->weights, &f->p, bytes);
    for (int i = 0; i < N_SCRATCH; i++) {
        const char *name = names[i] ? names[i] : "activations";
        if (!bytes[i]) continue;
        if (!gpu_buf_create(f->gpu, scratch_kind(f->gpu, (enum scratch)i), bytes[i], name,
                            &f->scratch[i], e) ||
            !gpu_buf_zero(f->gpu, &f->scratch[i], e)) // padding columns must be zero
            return false;
        f->scratch_bytes += f->scratch[i].allocated;
    }
    f->subs = calloc(size_div_up(f->p.n_pass, f->p.n_batch), sizeof *f->subs);
    return f->subs || err_nomem(e, "a pass", f->p.n_pass);
}

struct kv_params forward_kv(const struct config *c, const struct weights *w,
                            const struct forward_params *p, const struct kv_pages *pages)
{
    return (struct kv_params){.type = p->kv_type,
                              .n_kv_heads = c->n_kv_heads,
                              .head_dim = c->head_dim,
                              .first_layer = w->first_layer,
                              .n_layers = w->n_layers,
                              .pages = pages};
}

static bool create_kv(struct forward *f, const struct kv_pages *pages, struct err *e)
{
    struct kv_params p = forward_kv(f->config, f->weights, &f->p, pages);
    if (!kv_store_create(f->gpu, &p, &f->kv, e)) return false;
    f->kv_bytes = f->kv.bytes + f->kv.table.allocated + f->kv.angles.allocated;
    return true;
}

static bool make_norm(struct forward *f, enum norm_mode mode, uint32_t want,
                      const struct gpu_buf *src, const struct gpu_buf *gain, VkDescriptorSet *out,
                      struct err *e)
{
    const struct gpu_pipeline *p;
    const struct gpu_buf *bufs[] = {src,
                                    gain,
                                    &f->scratch[SCRATCH_TABLE],
                                    &f->scratch[SCRATCH_ACT + ACT_I9],
                                    &f->scratch[SCRATCH_ACT + ACT_I10],
                                    &f->scratch[SCRATCH_ACT + ACT_F32],
                                    &f->scratch[SCRATCH_ACT + ACT_I8]};
    return kernels_norm(&f->kernels, mode, want, &p, e) &&
           gpu_set_make(f->gpu, &f->sets, p, bufs, out, e);
}

// Takes n_classes * g->n sets from *next on: what a class's way reads is in its form.
static bool make_matmul(struct forward *f, const struct matrix_group *g, enum scratch y,
                        VkDescriptorSet **next, VkDescriptorSet **out, struct err *e)
{
    *out = *next;
    *next += f->n_classes * g->n;
    for (uint32_t i = 0; i < f->n_classes * g->n; i++) {
        const struct matrix *m = &g->m[i % g->n];
        const struct gpu_pipeline *p; // those of all ways have the same bindings
        enum matmul_way way = (enum matmul_way)f->kernels.choice.way[m->format][i / g->n];
        const struct gpu_buf *bufs[] = {&m->buf,
                                        &f->scratch[SCRATCH_ACT + matmul_act(m->format, way)],
                                        &f->scratch[SCRATCH_X], &f->scratch[y]};
        if (!kernels_matmul(&f->kernels, m->format, 1, &p, e) ||
            !gpu_set_make(f->gpu, &f->sets, p, bufs, &(*out)[i], e))
            return false;
    }
    return !g->lora || lora_bind(f, g->lora, &f->scratch[y], e);
}

static bool make_cache(struct forward *f, uint32_t layer, struct err *e)
{
    const struct config *c = f->config;
    const struct gpu_buf *s = f->scratch;
    const struct gpu_pipeline *rope, *attention;
    if (!kernels_rope(&f->kernels, f->p.kv_type, &rope, e) ||
        !kernels_attention(&f->kernels, c->head_dim, c->n_heads / c->n_kv_heads, f->group_heads, 1,
                           f->p.kv_type, &attention, e))
        return false;
    for (uint32_t i = 0; i < f->kv.n_parts; i++) {
        struct cache_ops *o = &f->cache_ops[(size_t)layer * f->kv.n_parts + i];
        const struct gpu_buf *kv = kv_store_buf(&f->kv, f->weights->first_layer + layer, i);
        const struct gpu_buf *rope_bufs[] = {&s[SCRATCH_QKV], &s[SCRATCH_ANGLES], &s[SCRATCH_TABLE],
                                             &s[SCRATCH_Q], kv};
        const struct gpu_buf *bufs[] = {&s[SCRATCH_Q],        kv,
                                        &s[SCRATCH_TILES],    &f->kv.table,
                                        &s[SCRATCH_ATTENDED], &s[SCRATCH_PARTIAL]};
        if (!gpu_set_make(f->gpu, &f->sets, rope, rope_bufs, &o->rope, e) ||
            !gpu_set_make(f->gpu, &f->sets, attention, bufs, &o->attention, e))
            return false;
    }
    return true;
}

static bool make_layer(struct forward *f, uint32_t i, VkDescriptorSet **next, struct err *e)
{
    static const enum scratch written[LAYER_GROUPS] = {SCRATCH_QKV, SCRATCH_X, SCRATCH_GATE_UP,
                                                       SCRATCH_X};
    struct layer *y = &f->weights->layers[i];
    struct layer_ops *o = &f->ops[i];
    const struct gpu_buf *x = &f->scratch[SCRATCH_X];
    for (uint32_t k = 0; k < LAYER_GROUPS; k++)
        if (!make_matmul(f, layer_group(y, k), written[k], next, &o->matmul[k], e)) return false;
    return make_norm(f, NORM_RMS, y->qkv.want, x, &y->attn_norm.buf, &o->attn_norm, e) &&
           make_norm(f, NORM_RMS, y->gate_up.want, x, &y->ffn_norm.buf, &o->ffn_norm, e) &&
           make_cache(f, i, e);
}

static bool make_argmax(struct forward *f, struct err *e)
{
    const struct gpu_pipeline *p;
    const struct gpu_buf *bufs[] = {&f->scratch[SCRATCH_LOGITS], &f->scratch[SCRATCH_BEST]};
    return !bufs[1]->buffer || (kernels_argmax(&f->kernels, &p, e) &&
                                gpu_set_make(f->gpu, &f->sets, p, bufs, &f->argmax, e));
}

static bool make_sets(struct forward *f, struct err *e)
{
    const struct weights *w = f->weights;
    const struct gpu_buf *s = f->scratch;
    uint32_t n_matmul = w->output.n;
    for (uint32_t i = 0; i < w->n_layers; i++)
        for (uint32_t k = 0; k < LAYER_GROUPS; k++)
            n_matmul += layer_group(&w->layers[i], k)->n;
    n_matmul *= f->n_classes;
    f->ops = calloc(w->n_layers ? w->n_layers : 1, sizeof *f->ops);
    f->matmul_sets = calloc(n_matmul ? n_matmul : 1, sizeof(VkDescriptorSet));
    f->cache_ops = calloc((size_t)w->n_layers * f->kv.n_parts, sizeof *f->cache_ops);
    if (!f->ops || !f->cache_ops || !f->matmul_sets)
        return err_nomem(e, "layers", w->n_layers * sizeof *f->ops);
    VkDescriptorSet *next = f->matmul_sets;
    if (!gpu_sets_create(f->gpu, n_matmul + w->n_layers * (2 + 2 * f->kv.n_parts) + 4, &f->sets,
                         e) ||
        !make_norm(f, NORM_PLAIN, 1, &s[SCRATCH_ATTENDED], &s[SCRATCH_ATTENDED], &f->attended_act,
                   e) ||
        !make_norm(f, NORM_SWIGLU, 1, &s[SCRATCH_GATE_UP], &s[SCRATCH_GATE_UP], &f->swiglu_act, e))
        return false;
    if (w->has_output &&
        (!make_norm(f, NORM_RMS, w->output.want, &s[SCRATCH_X], &w->out_norm.buf, &f->out_norm,
                    e) ||
         !make_matmul(f, &w->output, SCRATCH_LOGITS, &next, &f->output, e) || !make_argmax(f, e)))
        return false;
    for (uint32_t i = 0; i < w->n_layers; i++)
        if (!make_layer(f, i, &next, e)) return false;
    return true;
}

void forward_tile(const struct gpu *gpu, uint32_t head_dim, uint32_t group, uint32_t *heads,
                  uint32_t *tokens)
{
    *heads = *tokens = 1;
    if (!gpu->subgroups)
        return; // every exchange costs two barriers, and drivers seconds to compile
    *heads = heads_a_tile(group);
    *tokens = max_u32(1, (head_dim <= 64 ? 12 : 8) / *heads);
    if (!strcmp(gpu->caps.type, "cpu")) return; // whose caches hold what registers do not
    uint32_t most = max_u32(1, GPU_TILE_FLOATS / head_dim);
    while (*heads > most || group % *heads)
        --*heads;
    *tokens = max_u32(1, most / *heads);
}

bool forward_create(struct gpu *gpu, const struct config *c, const struct weights *w,
                    struct stream *stream, const struct forward_params *p,
                    const struct kv_pages *pages, const struct kernel_choice *choice,
                    struct forward *out, struct err *e)
{
    *out = (struct forward){.gpu = gpu, .config = c, .weights = w, .stream = stream, .p = *p};
    kernels_init(&out->kernels, gpu);
    out->kernels.choice = *choice;
    out->n_classes = gpu->split || gpu->dot || gpu->coop ? N_CLASSES : 1;
    out->q_scale = (float)(1 / sqrt((double)c->head_dim));
    forward_tile(gpu, c->head_dim, c->n_heads / c->n_kv_heads, &out->group_heads,
                 &out->tile_tokens);
    out->most_groups = strcmp(gpu->caps.type, "cpu") ? GPU_GROUPS : CPU_GROUPS;
    if (create_scratch(out, e) && create_kv(out, pages, e) && gpu_cmd_create(gpu, &out->cmd, e)) {
        out->kernels.use = KERNELS_SETS;
        bool ok = make_sets(out, e) && fused_create(out, e);
        out->kernels.use = KERNELS_RUN;
        if (ok && fused_probe(out, e)) return true;
    }
    forward_destroy(out);
    return false;
}

void forward_destroy(struct forward *f)
{
    if (!f->gpu) return;
    fused_destroy(f);
    gpu_cmd_destroy(f->gpu, &f->cmd);
    gpu_sets_destroy(f->gpu, &f->sets);
    for (size_t i = 0; i < N_SCRATCH; i++)
        gpu_buf_destroy(f->gpu, &f->scratch[i]);
    kv_store_destroy(&f->kv);
    free(f->ops);
    free(f->cache_ops);
    free(f->matmul_sets);
    free(f->subs);
    kernels_destroy(&f->kernels);
    *f = (struct forward){0};
}
