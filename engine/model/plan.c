// What a model would take, from its shape alone: the sums that forward_create.c and weights.c make
// when they allocate. tests/model compares both.
#include "base/size.h"
#include "engine/engine.h"
#include "engine/kernels/kernels.h"
#include "engine/model/forward.h"
#include "engine/model/repack.h"

#include <string.h>

uint64_t engine_matrix_bytes(const char *type, uint64_t n_rows, uint64_t n_cols)
{
    for (uint32_t t = 0; t < 64; t++) {
        const struct quant_info *q = quant_info(t);
        if (!q || strcmp(q->name, type) != 0) continue;
        uint64_t block = weight_layout(repack_format((enum quant_type)t))->block_texels * 16;
        return size_div_up(n_rows, TILE_ROWS) * size_div_up(n_cols, BLOCK_COLS) * block;
    }
    return 0;
}

uint64_t engine_max_matrix_bytes(const struct engine_device *d)
{
    uint64_t most = d->max_texel_elements >= GPU_MIN_TEXELS ? (uint64_t)d->max_texel_elements * 16
                                                            : d->max_buffer_range;
    return d->max_allocation && d->max_allocation < most ? d->max_allocation : most;
}

static uint64_t scratch_bytes(const struct engine_plan *p, uint64_t n_batch)
{
    uint64_t nq = (uint64_t)p->n_heads * p->head_dim, nkv = (uint64_t)p->n_kv_heads * p->head_dim;
    uint64_t q = size_align(nq, 32), qkv = q + 2 * size_align(nkv, 32);
    uint64_t n = size_align(n_batch, 4), rows = size_max(n_batch, FORWARD_MAX_ROWS);
    uint64_t blocks = size_div_up(size_max(size_max(p->n_embd, nq), p->n_ff), BLOCK_COLS);
    uint64_t bytes =
        4 * n * (size_align(p->n_embd, 32) + qkv + 2 * q + 2 * size_align(p->n_ff, 32));
    for (uint32_t a = 0; a < N_ACT_FORMS; a++)
        bytes += n * blocks * act_texels((enum act_form)a) * 16;
    return bytes + rows * (32 + 4ull * p->head_dim) +
           FORWARD_MAX_ROWS * size_align(p->n_vocab, 32) * 4;
}

void engine_plan(const struct engine_device *d, struct engine_plan *p)
{
    uint64_t kv_dim = size_align(p->head_dim, 64), widest = 2 * size_align(p->n_ff, 32);
    uint64_t n_ctx = size_align(p->n_ctx ? p->n_ctx : 4096, 32);
    uint64_t n_batch = p->n_batch ? p->n_batch : 512;
    uint64_t nq = (uint64_t)p->n_heads * p->head_dim, nkv = (uint64_t)p->n_kv_heads * p->head_dim;
    widest = size_max(widest, size_align(nq, 32) + 2 * size_align(nkv, 32));
    uint64_t most = d->max_buffer_range / (widest * 4 + 1);
    if (n_batch + 4 > most) n_batch = most > 5 ? most - 4 : 1;
    uint64_t n_cells = (p->n_seqs ? p->n_seqs : 1) * n_ctx;
    p->kv_head_bytes = 2 * kv_bytes((uint32_t)p->kv, n_cells * kv_dim);
    p->kv_bytes = (uint64_t)p->n_layers * p->n_kv_heads * p->kv_head_bytes;
    p->scratch_bytes = scratch_bytes(p, n_batch) + n_cells / KV_PAGE * 16 + 4ull * p->head_dim;
}
