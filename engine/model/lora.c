#include "engine/model/lora.h"
#include "base/cancel.h"
#include "base/size.h"
#include "engine/model/forward.h"
#include "engine/model/repack.h"

#include <stdlib.h>

// A dispatch costs about 50 us on lavapipe, which reads 1 MB in that time (shaders/README.md).
enum { DISPATCH_BYTES = 1 << 20 };

struct builder {
    struct gpu *gpu;
    const struct config *config;
    const struct lora_file *files;
    uint32_t n_files;
    struct lora *out;
    bool dry;       // only adds up, in bytes
    uint64_t bytes; // of the matrices
};

struct part {                // a tensor of a group with what all adapters add to it
    size_t slot;             // in lora_file.tensors
    uint32_t row_at, n_rows; // in the group's row of outputs
    uint32_t rank;           // of all adapters together
};

// ------------------------------------------------------------------------------------ stacking

static double scale_of(const struct lora_file *f, const struct lora_tensor *t)
{
    return f->alpha != 0 ? f->scale * f->alpha / (double)t->a->ne[1] : f->scale;
}

// The tensor that file i adds to a part, NULL when it adds nothing.
static const struct lora_tensor *adds(const struct builder *b, uint32_t i, size_t slot)
{
    const struct lora_tensor *t = &b->files[i].tensors[slot];
    return t->a && scale_of(&b->files[i], t) != 0 ? t : NULL;
}

static uint32_t rank_of(const struct part *parts, uint32_t n)
{
    uint32_t rank = 0;
    for (uint32_t i = 0; i < n; i++)
        rank += parts[i].rank;
    return rank;
}

// Rows of B: from the first part's to the last one's, whatever lies between.
static uint32_t rows_of(const struct part *parts, uint32_t n)
{
    return parts[n - 1].row_at + parts[n - 1].n_rows - parts[0].row_at;
}

static bool dequantise(const struct gguf_tensor *t, float *out, struct err *e)
{
    return quant_dequantise(t->type, t->data, t->n_elements, out) ||
           err_set(e, ERR_UNSUPPORTED, "tensor %.*s has a type that cannot be read", (int)t->name.n,
                   t->name.s);
}

// Rows of A and columns of B from rank `at` on. a: [rank, n_in], b: [rows, rank], both zero there.
static bool put(const struct lora_tensor *t, double scale, float *a, float *b, uint32_t rank,
                uint32_t at, struct err *e)
{
    size_t r = t->b->ne[0], n = t->b->n_elements;
    float *half = malloc(n * sizeof *half);
    if (!half) return err_nomem(e, "an adapter's tensor", n * sizeof *half);
    bool ok = dequantise(t->a, a + at * t->a->ne[0], e) && dequantise(t->b, half, e);
    for (size_t i = 0; ok && i < n; i++)
        b[i / r * rank + at + i % r] = (float)(scale * (double)half[i]);
    free(half);
    return ok;
}

static bool stack(struct builder *b, const struct part *parts, uint32_t n, float *va, float *vb,
                  struct err *e)
{
    uint32_t rank = rank_of(parts, n), at = 0;
    for (uint32_t p = 0; p < n; p++) {
        float *rows = vb + (size_t)(parts[p].row_at - parts[0].row_at) * rank;
        for (uint32_t i = 0; i < b->n_files; i++) {
            const struct lora_tensor *t = adds(b, i, parts[p].slot);
            if (!t) continue;
            if (!put(t, scale_of(&b->files[i], t), va, rows, rank, at, e)) return false;
            at += (uint32_t)t->a->ne[1];
        }
    }
    return true;
}

// -------------------------------------------------------------------------------------- loading

struct tile_source {
    struct gguf_tensor t;
    size_t tile_bytes;
};

static bool fill_tiles(void *ctx, void *dst, uint64_t begin, uint64_t end, struct err *e)
{
    const struct tile_source *s = ctx;
    for (uint64_t at = begin; at + s->tile_bytes <= end; at += s->tile_bytes)
        repack_tile(&s->t, at / s->tile_bytes, (unsigned char *)dst + (at - begin));
    return cancel_check(e);
}

static bool upload(struct builder *b, const float *v, uint64_t n_rows, uint64_t n_cols,
                   const char *name, struct matrix *m, struct err *e)
{
    *m = (struct matrix){.format = WEIGHT_F32};
    m->n_blocks = (uint32_t)size_div_up(n_cols, BLOCK_COLS);
    m->n_tiles = (uint32_t)size_div_up(n_rows, TILE_ROWS);
    struct tile_source s = {
        .t = {.type = QUANT_F32,
              .n_dims = 2,
              .ne = {n_cols, n_rows, 1, 1},
              .n_elements = n_rows * n_cols,
              .size = n_rows * n_cols * sizeof *v,
              .data = (const unsigned char *)v},
        .tile_bytes = (size_t)m->n_blocks * weight_layout(m->format)->block_texels * 16,
    };
    if (!gpu_buf_create(b->gpu, GPU_DEVICE, m->n_tiles * s.tile_bytes, name, &m->buf, e) ||
        !gpu_buf_fill(b->gpu, &m->buf, s.tile_bytes, fill_tiles, &s, e))
        return false;
    b->out->device_bytes += m->buf.allocated;
    return true;
}

static uint64_t tiles_bytes(struct gpu *gpu, uint64_t n_rows, uint64_t n_cols)
{
    return gpu_buf_bytes(gpu, size_align(n_rows, TILE_ROWS) * size_align(n_cols, BLOCK_COLS) *
                                  sizeof(float));
}

static bool add_pair(struct builder *b, const struct part *parts, uint32_t n, uint64_t n_in,
                     struct lora_group *g, struct err *e)
{
    size_t rank = rank_of(parts, n), rows = rows_of(parts, n);
    struct lora_pair *p = &g->p[g->n];
    uint32_t *widest = &b->out->n_blocks[g->n++];
    *widest = (uint32_t)size_max(*widest, size_div_up(rank, BLOCK_COLS));
    if (b->dry) {
        b->bytes += tiles_bytes(b->gpu, rank, n_in) + tiles_bytes(b->gpu, rows, rank);
        return true;
    }
    float *va = calloc(rank * n_in, sizeof *va), *vb = calloc(rows * rank, sizeof *vb);
    bool ok = va && vb;
    if (!ok) err_nomem(e, "an adapter's matrices", (n_in + rows) * rank * sizeof *va);
    ok = ok && stack(b, parts, n, va, vb, e) && upload(b, va, rank, n_in, "adapter A", &p->a, e) &&
         upload(b, vb, rows, rank, "adapter B", &p->b, e);
    p->b.y_offset = parts[0].row_at;
    free(va);
    free(vb);
    return ok;
}

static uint64_t pair_bytes(const struct part *parts, uint32_t n, uint64_t n_in)
{
    uint64_t rank = size_align(rank_of(parts, n), BLOCK_COLS);
    return rank * sizeof(float) *
           (size_align(n_in, BLOCK_COLS) + size_align(rows_of(parts, n), TILE_ROWS));
}

// Tensors `first`.. of one layer; to is the matrix_group that they lie in.
static bool load_group(struct builder *b, uint32_t layer, enum lora_target first, uint32_t n,
                       struct matrix_group *to, struct err *e)
{
    struct part parts[3];
    uint32_t n_parts = 0;
    uint64_t n_in = 0, n_out, apart = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct part *p = &parts[n_parts];
        lora_shape(b->config, first + (enum lora_target)i, &n_in, &n_out);
        *p = (struct part){.slot = (size_t)layer * N_LORA_TARGETS + first % N_LORA_TARGETS + i,
                           .row_at = to->row_at[i],
                           .n_rows = (uint32_t)n_out};
        for (uint32_t k = 0; k < b->n_files; k++)
            if (adds(b, k, p->slot)) p->rank += (uint32_t)b->files[k].tensors[p->slot].a->ne[1];
        if (!p->rank) continue;
        apart += pair_bytes(p, 1, n_in);
        n_parts++;
    }
    if (!n_parts) return true;
    struct lora_group *g = &b->out->groups[b->out->n_groups++];
    g->owner = b->out;
    if (!b->dry) to->lora = g;
    to->want |= 1u << ACT_F32;
    uint64_t saved = 2ull * (n_parts - 1) * DISPATCH_BYTES;
    if (pair_bytes(parts, n_parts, n_in) <= apart + saved)
        return add_pair(b, parts, n_parts, n_in, g, e);
    for (uint32_t i = 0; i < n_parts; i++)
        if (!add_pair(b, &parts[i], 1, n_in, g, e)) return false;
    return true;
}

static bool load_all(struct builder *b, struct weights *w, struct err *e)
{
    b->out->groups = calloc(LAYER_GROUPS * (size_t)w->n_layers + 1, sizeof *b->out->groups);
    if (!b->out->groups) return err_nomem(e, "adapters", w->n_layers * sizeof *b->out->groups);
    for (uint32_t i = 0; i < w->n_layers; i++) {
        struct layer *y = &w->layers[i];
        uint32_t k = w->first_layer + i;
        if (!load_group(b, k, LORA_Q, 3, &y->qkv, e) || !load_group(b, k, LORA_O, 1, &y->o, e) ||
            !load_group(b, k, LORA_GATE, 2, &y->gate_up, e) ||
            !load_group(b, k, LORA_DOWN, 1, &y->down, e))
            return false;
    }
    return !w->has_output || b->config->tied_output ||
           load_group(b, b->config->n_layers, LORA_OUTPUT, 1, &w->output, e);
}

static bool with_files(struct builder *b, const struct lora_params *p, struct weights *w,
                       struct err *e)
{
    struct lora_file *files = calloc(p->n, sizeof *files);
    if (!files) return err_nomem(e, "adapters", p->n * sizeof *files);
    bool ok = true;
    for (uint32_t i = 0; ok && i < p->n; i++)
        ok = lora_file_open(&p->loras[i], b->config, !b->config->tied_output, &files[i], e);
    b->files = files;
    b->n_files = p->n;
    ok = ok && load_all(b, w, e);
    for (uint32_t i = 0; i < p->n; i++)
        lora_file_close(&files[i]);
    free(files);
    return ok;
}

bool lora_load(struct gpu *gpu, const struct lora_params *p, const struct config *c,
               struct weights *w, struct lora *out, struct err *e)
{
    *out = (struct lora){.gpu = gpu};
    struct builder b = {.gpu = gpu, .config = c, .out = out};
    return !p->n || with_files(&b, p, w, e); // what is half built, lora_free frees
}

static uint64_t t_bytes(uint32_t n_batch, uint32_t n_blocks)
{
    uint64_t rows = size_align(size_max(n_batch, FORWARD_MAX_ROWS), KERNELS_MAX_TOKENS);
    return rows * n_blocks * BLOCK_COLS * sizeof(float);
}

bool lora_measure(struct gpu *gpu, const struct lora_params *p, const struct config *c,
                  struct weights *w, uint32_t n_batch, uint64_t *bytes, struct err *e)
{
    struct lora l = {.gpu = gpu};
    struct builder b = {.gpu = gpu, .config = c, .out = &l, .dry = true};
    *bytes = 0;
    if (!p->n) return true;
    bool ok = with_files(&b, p, w, e);
    free(l.groups);
    *bytes = b.bytes;
    for (uint32_t k = 0; k < 3; k++)
        if (l.n_blocks[k]) *bytes += gpu_buf_bytes(gpu, t_bytes(n_batch, l.n_blocks[k]));
    return ok;
}

void lora_free(struct lora *l)
{
    if (!l->gpu) return;
    gpu_sets_destroy(l->gpu, &l->sets);
    for (uint32_t i = 0; i < l->n_groups; i++)
        for (uint32_t k = 0; k < l->groups[i].n; k++) {
            gpu_buf_destroy(l->gpu, &l->groups[i].p[k].a.buf);
            gpu_buf_destroy(l->gpu, &l->groups[i].p[k].b.buf);
        }
    for (uint32_t k = 0; k < 3; k++)
        gpu_buf_destroy(l->gpu, &l->t[k]);
    free(l->groups);
    *l = (struct lora){0};
}

// ------------------------------------------------------------------------------------- running

// The first group that is bound brings what all share: the pass's n_batch is known only now.
static bool prepare(struct lora *l, uint32_t n_batch, struct err *e)
{
    if (l->sets.pool) return true;
    for (uint32_t k = 0; k < 3; k++) {
        uint64_t bytes = t_bytes(n_batch, l->n_blocks[k]);
        if (!bytes) continue;
        if (!gpu_buf_create(l->gpu, GPU_DEVICE, bytes, "adapter t", &l->t[k], e) ||
            !gpu_buf_zero(l->gpu, &l->t[k], e))
            return false;
        l->device_bytes += l->t[k].allocated;
    }
    return gpu_sets_create(l->gpu, l->n_groups * 6, &l->sets, e);
}

bool lora_bind(struct forward *f, struct lora_group *g, const struct gpu_buf *y, struct err *e)
{
    struct lora *l = g->owner;
    const struct gpu_pipeline *pipeline;
    if (!prepare(l, f->p.n_batch, e) || !kernels_matmul(&f->kernels, WEIGHT_F32, 1, &pipeline, e))
        return false;
    for (uint32_t k = 0; k < g->n; k++) {
        struct lora_pair *p = &g->p[k];
        const struct gpu_buf *t = &l->t[k];
        const struct gpu_buf *a[] = {&p->a.buf, &f->scratch[SCRATCH_ACT + ACT_F32],
                                     &f->scratch[SCRATCH_X], t};
        const struct gpu_buf *b[] = {&p->b.buf, t, y, y};
        if (!gpu_set_make(l->gpu, &l->sets, pipeline, a, &p->a_set, e) ||
            !gpu_set_make(l->gpu, &l->sets, pipeline, b, &p->b_set, e))
            return false;
    }
    return true;
}

static bool record(struct forward *f, const struct matrix *m, VkDescriptorSet set,
                   const struct push_matmul *push, struct err *e)
{
    uint32_t nt = kernels_matmul_tokens(&f->kernels, push->n_tokens);
    const struct gpu_pipeline *pipeline;
    uint32_t groups[3];
    if (!kernels_matmul(&f->kernels, m->format, nt, &pipeline, e)) return false;
    gpu_note(&f->cmd, "adapter", 7, m->bytes);
    kernels_matmul_groups(&f->kernels, nt, m->n_tiles, push->n_tokens, groups);
    gpu_dispatch(f->gpu, &f->cmd, pipeline, set, push, groups);
    return true;
}

bool lora_record_a(struct forward *f, const struct lora_group *g, uint32_t n_tokens, struct err *e)
{
    for (uint32_t k = 0; k < g->n; k++) {
        const struct matrix *a = &g->p[k].a;
        struct push_matmul push = {.n_tiles = a->n_tiles,
                                   .n_blocks = a->n_blocks,
                                   .n_tokens = n_tokens,
                                   .y_stride = a->n_tiles * TILE_ROWS / 4};
        if (!record(f, a, g->p[k].a_set, &push, e)) return false;
    }
    return true;
}

bool lora_record_b(struct forward *f, const struct lora_group *g, uint32_t first, uint32_t n_tokens,
                   uint32_t y_stride, struct err *e)
{
    for (uint32_t k = 0; k < g->n; k++) {
        const struct matrix *b = &g->p[k].b;
        struct push_matmul push = {.n_tiles = b->n_tiles,
                                   .n_blocks = b->n_blocks,
                                   .n_tokens = n_tokens,
                                   .y_stride = y_stride,
                                   .y_offset = first * y_stride + b->y_offset / 4,
                                   .add = 1};
        if (!record(f, b, g->p[k].b_set, &push, e)) return false;
    }
    gpu_barrier(f->gpu, &f->cmd);
    return true;
}
