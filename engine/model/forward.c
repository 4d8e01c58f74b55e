#include "engine/model/forward.h"
#include "base/clock.h"
#include "base/size.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct matrix_group *output_group(const struct weights *w)
{
    return w->tied ? &w->embd : &w->output;
}

// ------------------------------------------------------------------------------- recording

static bool record_norm(struct forward *f, enum norm_mode mode, uint32_t want, VkDescriptorSet set,
                        const struct push_norm *push, struct err *e)
{
    const struct gpu_pipeline *p;
    if (!kernels_norm(&f->kernels, mode, want, &p, e)) return false;
    gpu_dispatch(f->gpu, &f->cmd, p, set, push, (uint32_t[]){push->n_rows, 1, 1});
    gpu_barrier(f->gpu, &f->cmd);
    return true;
}

// y (+)= W x for every matrix of the group; no barrier between them, their outputs are disjoint.
static bool record_matmul(struct forward *f, const struct matrix_group *g,
                          const VkDescriptorSet *sets, uint32_t n_tokens, bool add, struct err *e)
{
    uint32_t nt = n_tokens == 1 ? 1 : 4, tiles_a_group = f->kernels.tile_lanes / TILE_LANES;
    for (uint32_t i = 0; i < g->n; i++) {
        const struct matrix *m = &g->m[i];
        const struct gpu_pipeline *p;
        if (!kernels_matmul(&f->kernels, m->format, nt, &p, e)) return false;
        struct push_matmul push = {
            .n_tiles = m->n_tiles,
            .n_blocks = m->n_blocks,
            .n_tokens = n_tokens,
            .y_stride = g->n_cols / 4,
            .y_offset = m->y_offset / 4,
            .add = add,
        };
        gpu_dispatch(f->gpu, &f->cmd, p, sets[i], &push,
                     (uint32_t[]){(uint32_t)size_div_up(m->n_tiles, tiles_a_group),
                                  (uint32_t)size_div_up(n_tokens, nt), 1});
    }
    gpu_barrier(f->gpu, &f->cmd);
    return true;
}

static void record_rope(struct forward *f, const struct gpu_pipeline *rope, uint32_t part,
                        const struct cache_ops *ops, const struct matrix_group *qkv,
                        const struct shape *s)
{
    const struct config *c = f->config;
    uint32_t heads = f->kv.part_heads, group = c->n_heads / c->n_kv_heads;
    uint32_t part_row = heads * c->head_dim / 4;
    struct push_rope push = {
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

// The parts of a layer's cache one behind the other, no barrier between them: their heads are apart.
static bool record_attention(struct forward *f, uint32_t layer, const struct matrix_group *qkv,
                             const struct shape *s, struct err *e)
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
            .n_kv_heads = f->kv.part_heads,
            .kv_dim = f->kv.kv_dim,
            .q_stride = (uint32_t)size_align(c->n_heads * c->head_dim, BLOCK_COLS) / 4,
            .q_offset = i * part_heads * c->head_dim / 4,
            .v_base = f->kv.v_base,
        };
        gpu_dispatch(f->gpu, &f->cmd, attention, ops[i].attention, &push,
                     (uint32_t[]){part_heads / f->group_heads, s->n_tiles, 1});
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

static bool record_layer(struct forward *f, uint32_t i, const struct shape *s, struct err *e)
{
    const struct config *c = f->config;
    const struct layer *y = &f->weights->layers[i];
    const struct layer_ops *o = &f->ops[i];
    uint32_t n = s->n_tokens;
    struct push_norm embd = norm_push(f, n, c->n_embd);
    struct push_norm attended = norm_push(f, n, c->n_heads * c->head_dim);
    struct push_norm ff = norm_push(f, n, c->n_ff);
    ff.x_stride = y->gate_up.n_cols / 4;
    ff.x_offset2 = y->gate_up.row_at[1] / 4;
    return record_norm(f, NORM_RMS, y->qkv.want, o->attn_norm, &embd, e) &&
           record_matmul(f, &y->qkv, o->qkv, n, false, e) &&
           record_attention(f, i, &y->qkv, s, e) &&
           record_norm(f, NORM_PLAIN, y->o.want, f->attended_act, &attended, e) &&
           record_matmul(f, &y->o, &o->o, n, true, e) &&
           record_norm(f, NORM_RMS, y->gate_up.want, o->ffn_norm, &embd, e) &&
           record_matmul(f, &y->gate_up, o->gate_up, n, false, e) &&
           record_norm(f, NORM_SWIGLU, y->down.want, f->swiglu_act, &ff, e) &&
           record_matmul(f, &y->down, &o->down, n, true, e);
}

static bool record_body(struct forward *f, const struct shape *s, struct err *e)
{
    const struct matrix *m = &f->weights->embd.m[0];
    const struct gpu_pipeline *p;
    if (!kernels_embed(&f->kernels, m->format, &p, e)) return false;
    struct push_embed push = {s->n_tokens, m->n_blocks, m->n_blocks * BLOCK_COLS / 4};
    gpu_dispatch(f->gpu, &f->cmd, p, f->embed, &push, (uint32_t[]){s->n_tokens, 1, 1});
    gpu_barrier(f->gpu, &f->cmd);
    for (uint32_t i = 0; i < f->config->n_layers; i++)
        if (!record_layer(f, i, s, e)) return false;
    return true;
}

static bool record_logits(struct forward *f, uint32_t n_rows, struct err *e)
{
    const struct matrix_group *g = output_group(f->weights);
    struct push_norm push = norm_push(f, n_rows, f->config->n_embd);
    push.gather = 1;
    return record_norm(f, NORM_RMS, g->want, f->out_norm, &push, e) &&
           record_matmul(f, g, &f->output, n_rows, false, e);
}

// Records what `s` asks for, unless that is what the command buffer holds already.
static bool record(struct forward *f, const struct shape *s, struct err *e)
{
    if (!memcmp(&f->recorded, s, sizeof *s)) return true;
    memset(&f->recorded, 0, sizeof f->recorded);
    if (!gpu_begin(f->gpu, &f->cmd, e)) return false;
    if (s->body && !record_body(f, s, e)) return false;
    if (s->n_rows && !record_logits(f, s->n_rows, e)) return false;
    if (!gpu_end(f->gpu, &f->cmd, e)) return false;
    memcpy(&f->recorded, s, sizeof *s); // padding included: memcmp sees it
    return true;
}

// --------------------------------------------------------------------------------- running

// Writes the tables of a pass and returns its shape.
static void fill_tables(struct forward *f, const struct pass *p, struct shape *s)
{
    uint32_t *table = f->table.map, *tiles = f->tiles.map;
    size_t pairs = f->config->head_dim; // floats of angles a token
    memset(s, 0, sizeof *s);
    s->n_tokens = p->n_tokens;
    s->decode = s->body = true;
    for (uint32_t i = 0; i < p->n_tokens; i++) {
        const struct pass_token *t = &p->tokens[i];
        memcpy(table + 4 * i, (uint32_t[]){t->id, t->cell, t->position}, 12);
        config_angles(f->config, t->position, (float *)f->angles.map + i * pairs);
    }
    for (uint32_t i = 0; i < p->n_runs; i++)
        s->decode &= p->runs[i].n == 1;
    uint32_t step = s->decode ? 1 : f->tile_tokens;
    for (uint32_t i = 0; i < p->n_runs; i++)
        for (uint32_t at = 0; at < p->runs[i].n; at += step) {
            const struct pass_tile *r = &p->runs[i];
            uint32_t n = r->n - at < step ? r->n - at : step;
            memcpy(tiles + 4 * s->n_tiles++,
                   (uint32_t[]){r->first + at, n, r->entry, r->position + at}, 16);
        }
}

static void fill_rows(struct forward *f, const uint32_t *rows, uint32_t n)
{
    uint32_t *table = f->table.map;
    for (uint32_t i = 0; i < n; i++)
        table[4 * i + 3] = rows[i];
}

static void take_logits(const struct forward *f, uint32_t n, float *out)
{
    size_t stride = output_group(f->weights)->n_cols, n_vocab = f->config->n_vocab;
    for (uint32_t i = 0; i < n; i++)
        memcpy(out + i * n_vocab, (const float *)f->logits.map + i * stride, n_vocab * sizeof *out);
}

bool forward_run(struct forward *f, const struct pass *p, struct err *e)
{
    struct shape s;
    assert(p->n_tokens && p->n_tokens <= f->p.n_batch);
    fill_tables(f, p, &s);
    uint32_t done = 0;
    do { // more rows than fit take more submissions; the residual stream stays where it is
        s.n_rows = p->n_rows - done < FORWARD_MAX_ROWS ? p->n_rows - done : FORWARD_MAX_ROWS;
        fill_rows(f, p->rows + done, s.n_rows);
        if (!record(f, &s, e) || !gpu_submit(f->gpu, &f->cmd, e)) return false;
        take_logits(f, s.n_rows, p->logits + (size_t)done * f->config->n_vocab);
        done += s.n_rows;
        s.body = false;
    } while (done < p->n_rows);
    return true;
}

bool forward_time_matvec(struct forward *f, double *bytes, double *seconds, struct err *e)
{
    const struct matrix_group *g = output_group(f->weights);
    memset(&f->recorded, 0, sizeof f->recorded);
    if (!gpu_begin(f->gpu, &f->cmd, e) || !record_matmul(f, g, &f->output, 1, false, e) ||
        !gpu_end(f->gpu, &f->cmd, e))
        return false;
    double start = clock_s();
    if (!gpu_submit(f->gpu, &f->cmd, e)) return false;
    *seconds = clock_s() - start;
    *bytes = (double)g->m[0].buf.size;
    return true;
}
