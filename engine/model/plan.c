// What a model would take, from its shape alone: a device and weights that hold no more than sizes
// go through the sums that the engine itself makes when it allocates.
#include "base/size.h"
#include "engine/engine.h"
#include "engine/kernels/kernels.h"
#include "engine/model/forward.h"
#include "engine/model/repack.h"

#include <string.h>

// The layout that tensors of a GGUF type with so many columns get; NULL for a type that is not
// known.
static const struct weight_layout *layout_of(const char *type, uint64_t n_cols)
{
    for (uint32_t t = 0; t < 64; t++) {
        const struct quant_info *q = quant_info(t);
        if (q && !strcmp(q->name, type))
            return weight_layout(repack_format((enum quant_type)t, n_cols));
    }
    return NULL;
}

uint64_t engine_matrix_bytes(const char *type, uint64_t n_rows, uint64_t n_cols)
{
    const struct weight_layout *l = layout_of(type, n_cols);
    if (!l) return 0;
    return size_div_up(n_rows, TILE_ROWS) * size_div_up(n_cols, BLOCK_COLS) * l->block_texels * 16;
}

// Without a driver: gpu_buf_bytes gives what is asked for.
static struct gpu gpu_of(const struct engine_device *d)
{
    struct gpu g = {.caps = {.max_buffer_range = d->max_buffer_range,
                             .max_allocation = d->max_allocation,
                             .max_texel_elements = d->max_texel_elements,
                             .unified = d->unified}};
    memcpy(g.caps.name, d->name, sizeof g.caps.name);
    memcpy(g.caps.type, d->type, sizeof g.caps.type);
    g.subgroups = d->tier >= 1;
    g.texel = gpu_texel(&g.caps);
    g.dot = d->tier >= 2;
    g.coop = d->tier >= 3;
    return g;
}

// Bits of the activation forms that matrices of these types read.
static uint32_t want_of(const struct engine_plan *p)
{
    uint32_t want = 0;
    for (uint32_t i = 0; i < ENGINE_PLAN_TYPES && p->types[i]; i++) {
        const struct weight_layout *l = layout_of(p->types[i], p->n_embd);
        if (l) want |= 1u << l->act;
    }
    return want ? want : (1u << N_ACT_FORMS) - 1;
}

// All layers as the one that stands for them.
static struct weights weights_of(const struct engine_plan *p, struct layer *y)
{
    uint64_t nq = (uint64_t)p->n_heads * p->head_dim, nkv = (uint64_t)p->n_kv_heads * p->head_dim;
    uint64_t qkv = size_align(nq, TILE_ROWS) + 2 * size_align(nkv, TILE_ROWS);
    *y = (struct layer){
        .qkv = {.n_cols = (uint32_t)qkv, .want = want_of(p)},
        .gate_up = {.n_cols = 2 * (uint32_t)size_align(p->n_ff, TILE_ROWS)},
    };
    return (struct weights){
        .layers = y,
        .n_layers = 1,
        .has_output = true,
        .output = {.n_cols = (uint32_t)size_align(p->n_vocab, TILE_ROWS)},
    };
}

static uint64_t scratch_bytes(struct gpu *gpu, const struct config *c, const struct weights *w,
                              const struct forward_params *p)
{
    uint64_t bytes[N_SCRATCH], sum = 0;
    forward_scratch(gpu, c, w, p, bytes);
    for (int i = 0; i < N_SCRATCH; i++)
        if (bytes[i]) sum += gpu_buf_bytes(gpu, bytes[i]);
    return sum;
}

bool engine_plan(const struct engine_device *d, struct engine_plan *p)
{
    struct layer y;
    struct weights w = weights_of(p, &y);
    struct gpu gpu = gpu_of(d);
    struct config c = {.n_embd = p->n_embd,
                       .n_heads = p->n_heads,
                       .n_kv_heads = p->n_kv_heads,
                       .head_dim = p->head_dim,
                       .n_ff = p->n_ff,
                       .n_vocab = p->n_vocab};
    struct forward_params f = {.n_ctx = (uint32_t)size_align(p->n_ctx ? p->n_ctx : 4096, KV_PAGE),
                               .n_seqs = p->n_seqs ? p->n_seqs : 1,
                               .n_batch = p->n_batch ? p->n_batch : 512,
                               .kv_type = (uint32_t)p->kv};
    struct kv_pages pages = {.n_seqs = f.n_seqs, .seq_pages = f.n_ctx / KV_PAGE};
    struct err ignored;
    f.n_batch = (uint32_t)size_min(f.n_batch, forward_max_batch(&gpu, &c, &w));
    f.n_pass = f.n_batch;
    pages.n_pages = f.n_seqs * pages.seq_pages;
    struct kv_params kv = forward_kv(&c, &w, &f, &pages);
    kv.n_layers = p->n_layers;
    p->scratch_bytes = scratch_bytes(&gpu, &c, &w, &f);
    p->kv_bytes = 0;
    return kv_store_bytes(&gpu, &kv, &p->kv_bytes, &ignored);
}
