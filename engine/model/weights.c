#include "engine/model/weights.h"
#include "base/size.h"
#include "engine/model/repack.h"

#include <stdio.h>
#include <stdlib.h>

struct matrix_group *layer_group(struct layer *y, uint32_t i)
{
    struct matrix_group *groups[LAYER_GROUPS] = {&y->qkv, &y->o, &y->gate_up, &y->down};
    return groups[i];
}

// ------------------------------------------------------------------------------- describing

struct describing {
    const struct gguf *file;
    const struct gpu *gpu;
};

// Tensor NAME of shape [rows, cols], NULL when missing.
static const struct gguf_tensor *find(const struct describing *d, const char *name, uint64_t rows,
                                      uint64_t cols, struct err *e)
{
    const struct gguf_tensor *t = gguf_tensor(d->file, name);
    if (!t) {
        err_set(e, ERR_FORMAT, "%s: tensor %s is missing", d->file->path, name);
        return NULL;
    }
    if (t->ne[0] == cols && t->ne[1] == rows && t->n_elements == rows * cols) return t;
    err_set(e, ERR_FORMAT, "%s: tensor %s is %llu x %llu, expected %llu x %llu", d->file->path,
            name, (unsigned long long)t->ne[1], (unsigned long long)t->ne[0],
            (unsigned long long)rows, (unsigned long long)cols);
    return NULL;
}

static uint64_t tiles_of(const struct gguf_tensor *const *t, uint32_t n)
{
    uint64_t tiles = 0;
    for (uint32_t i = 0; i < n; i++)
        tiles += size_div_up(t[i]->ne[1], TILE_ROWS);
    return tiles;
}

// Cuts the tiles of n tensors of one format into pieces that a kernel can see. With m = NULL only
// counts them.
static bool cut(const struct describing *d, const struct gguf_tensor *const *t, uint32_t n,
                uint32_t y_offset, struct matrix *m, uint32_t *n_pieces, struct err *e)
{
    enum weight_format f = repack_format(t[0]->type, t[0]->ne[0]);
    uint64_t blocks = size_div_up(t[0]->ne[0], BLOCK_COLS), tiles = tiles_of(t, n);
    uint64_t tile_bytes = blocks * weight_layout(f)->block_texels * 16;
    uint64_t most = size_min(d->gpu->max_matrix, blocks_limit(d->gpu)) / tile_bytes;
    if (!most)
        return err_set(e, ERR_UNSUPPORTED, "%.*s: a row of %llu columns is too wide for %s",
                       (int)size_min(t[0]->name.n, 90), t[0]->name.s,
                       (unsigned long long)t[0]->ne[0], d->gpu->caps.name);
    *n_pieces = (uint32_t)size_div_up(tiles, most);
    uint64_t step = size_div_up(tiles, *n_pieces); // pieces of about the same size
    for (uint32_t i = 0; m && i < *n_pieces; i++, m++) {
        uint64_t first = i * step, count = size_min(step, tiles - first);
        *m = (struct matrix){
            .format = f,
            .n_tiles = (uint32_t)count,
            .n_blocks = (uint32_t)blocks,
            .y_offset = y_offset + (uint32_t)(first * TILE_ROWS),
            .n_tensors = n,
            .first_tile = first,
            .bytes = count * tile_bytes,
        };
        for (uint32_t k = 0; k < n; k++)
            m->t[k] = t[k];
    }
    return true;
}

// n tensors that read the same input; neighbours of one format become one matrix.
static bool describe_group(const struct describing *d, const struct gguf_tensor *const *t,
                           uint32_t n, struct matrix_group *g, struct err *e)
{
    *g = (struct matrix_group){0};
    for (uint32_t i = 0; i < n; i++) {
        g->row_at[i] = g->n_cols;
        g->n_cols += (uint32_t)size_align(t[i]->ne[1], TILE_ROWS);
    }
    for (int pass = 0; pass < 2; pass++) { // count, then make
        uint32_t at = 0;
        for (uint32_t i = 0, end; i < n; i = end) {
            enum weight_format f = repack_format(t[i]->type, t[i]->ne[0]);
            for (end = i + 1; end < n && repack_format(t[end]->type, t[end]->ne[0]) == f; end++)
                ;
            uint32_t pieces = 0;
            g->want |= 1u << weight_layout(f)->act;
            if (!cut(d, t + i, end - i, g->row_at[i], g->m ? g->m + at : NULL, &pieces, e))
                return false;
            at += pieces;
        }
        g->n = at;
        if (!g->m) g->m = calloc(at, sizeof *g->m);
        if (!g->m) return err_nomem(e, "a list of matrices", at * sizeof *g->m);
    }
    return true;
}

struct part {
    const char *name; // of the tensor in its layer
    uint64_t rows;
};

static bool describe_parts(const struct describing *d, uint32_t layer, const struct part *parts,
                           uint32_t n, uint64_t cols, struct layer *y, struct matrix_group *g,
                           struct err *e)
{
    const struct gguf_tensor *t[3];
    for (uint32_t i = 0; i < n; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "blk.%u.%s.weight", layer, parts[i].name);
        t[i] = find(d, name, parts[i].rows, cols, e);
        if (!t[i]) return false;
        y->file_bytes += t[i]->size;
    }
    return describe_group(d, t, n, g, e);
}

static bool describe_norm(const struct describing *d, const char *name, uint32_t n,
                          struct vector *out, struct err *e)
{
    *out = (struct vector){.t = find(d, name, 1, n, e),
                           .bytes = size_align(n, BLOCK_COLS) * sizeof(float)};
    return out->t != NULL;
}

static bool describe_layer(const struct describing *d, const struct config *c, uint32_t i,
                           struct layer *y, struct err *e)
{
    uint64_t nq = (uint64_t)c->n_heads * c->head_dim, nkv = (uint64_t)c->n_kv_heads * c->head_dim;
    const struct part qkv[] = {{"attn_q", nq}, {"attn_k", nkv}, {"attn_v", nkv}};
    const struct part o[] = {{"attn_output", c->n_embd}}, down[] = {{"ffn_down", c->n_embd}};
    const struct part gate_up[] = {{"ffn_gate", c->n_ff}, {"ffn_up", c->n_ff}};
    char attn[64], ffn[64];
    (void)snprintf(attn, sizeof attn, "blk.%u.attn_norm.weight", i);
    (void)snprintf(ffn, sizeof ffn, "blk.%u.ffn_norm.weight", i);
    return describe_norm(d, attn, c->n_embd, &y->attn_norm, e) &&
           describe_norm(d, ffn, c->n_embd, &y->ffn_norm, e) &&
           describe_parts(d, i, qkv, 3, c->n_embd, y, &y->qkv, e) &&
           describe_parts(d, i, o, 1, nq, y, &y->o, e) &&
           describe_parts(d, i, gate_up, 2, c->n_embd, y, &y->gate_up, e) &&
           describe_parts(d, i, down, 1, c->n_ff, y, &y->down, e);
}

static bool describe_all(const struct describing *d, const struct config *c, struct weights *w,
                         struct err *e)
{
    w->layers = calloc(w->n_layers ? w->n_layers : 1, sizeof *w->layers);
    if (!w->layers) return err_nomem(e, "layers", w->n_layers * sizeof *w->layers);
    for (uint32_t i = 0; i < w->n_layers; i++)
        if (!describe_layer(d, c, w->first_layer + i, &w->layers[i], e)) return false;
    if (!w->has_output) return true;
    const char *name = c->tied_output ? "token_embd.weight" : "output.weight";
    const struct gguf_tensor *t = find(d, name, c->n_vocab, c->n_embd, e);
    return t && describe_group(d, &t, 1, &w->output, e) &&
           describe_norm(d, "output_norm.weight", c->n_embd, &w->out_norm, e);
}

bool weights_describe(const struct gguf *g, const struct config *c, const struct gpu *gpu,
                      uint32_t first, uint32_t n, bool has_output, struct weights *out,
                      struct err *e)
{
    struct describing d = {g, gpu};
    *out = (struct weights){.first_layer = first, .n_layers = n, .has_output = has_output};
    if (describe_all(&d, c, out, e)) return true;
    weights_free((struct gpu *)(uintptr_t)gpu, out); // nothing of it is on the device
    return false;
}

// ---------------------------------------------------------------------------------- placing

static bool place_group(struct matrix_group *g, struct blocks *b, const struct gpu *gpu,
                        struct err *e)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (!blocks_place(b, gpu, g->m[i].bytes, &g->m[i].spot, e)) return false;
    return true;
}

static bool place_vector(struct vector *v, struct blocks *b, const struct gpu *gpu, struct err *e)
{
    return blocks_place(b, gpu, v->bytes, &v->spot, e);
}

static bool place_layer(struct layer *y, struct blocks *b, const struct gpu *gpu, struct err *e)
{
    if (!place_vector(&y->attn_norm, b, gpu, e) || !place_vector(&y->ffn_norm, b, gpu, e))
        return false;
    for (uint32_t i = 0; i < LAYER_GROUPS; i++)
        if (!place_group(layer_group(y, i), b, gpu, e)) return false;
    return true;
}

bool weights_place(struct weights *w, const struct gpu *gpu, uint32_t n_resident, struct err *e)
{
    struct blocks *b = &w->resident;
    b->n = w->slots[0].n = w->slots[1].n = 0; // nothing is allocated yet
    w->n_resident = n_resident;
    if (w->has_output &&
        (!place_vector(&w->out_norm, b, gpu, e) || !place_group(&w->output, b, gpu, e)))
        return false;
    for (uint32_t i = 0; i < n_resident; i++)
        if (!place_layer(&w->layers[i], b, gpu, e)) return false;
    for (uint32_t i = n_resident; i < w->n_layers; i++) {
        struct blocks one = {0};
        bool ok = place_layer(&w->layers[i], &one, gpu, e) &&
                  blocks_cover(&w->slots[(i - n_resident) % 2], &one, e);
        free(one.at);
        if (!ok) return false;
    }
    return true;
}

uint64_t weights_resident_bytes(const struct weights *w, struct gpu *gpu)
{
    return blocks_bytes(&w->resident, gpu);
}

uint64_t weights_slot_bytes(const struct weights *w, struct gpu *gpu)
{
    return blocks_bytes(&w->slots[0], gpu) + blocks_bytes(&w->slots[1], gpu);
}

static uint64_t group_bytes(const struct matrix_group *g)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->n; i++)
        sum += g->m[i].bytes;
    return sum;
}

uint64_t weights_matrix_bytes(const struct weights *w)
{
    uint64_t sum = group_bytes(&w->output);
    for (uint32_t i = 0; i < w->n_layers; i++)
        for (uint32_t k = 0; k < LAYER_GROUPS; k++)
            sum += group_bytes(layer_group(&w->layers[i], k));
    return sum;
}

// ------------------------------------------------------------------------------- allocating

static bool view_spot(struct gpu *gpu, const struct blocks *b, struct spot s, uint64_t bytes,
                      struct gpu_buf *out, struct err *e)
{
    return gpu_buf_view(gpu, &b->at[s.block].buf, s.offset, bytes, out, e);
}

static bool view_group(struct gpu *gpu, const struct blocks *b, struct matrix_group *g,
                       struct err *e)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (!view_spot(gpu, b, g->m[i].spot, g->m[i].bytes, &g->m[i].buf, e)) return false;
    return true;
}

static bool view_vector(struct gpu *gpu, const struct blocks *b, struct vector *v, struct err *e)
{
    return view_spot(gpu, b, v->spot, v->bytes, &v->buf, e);
}

static bool view_layer(struct gpu *gpu, struct weights *w, uint32_t i, struct err *e)
{
    struct layer *y = &w->layers[i];
    const struct blocks *b = i < w->n_resident ? &w->resident : &w->slots[(i - w->n_resident) % 2];
    if (!view_vector(gpu, b, &y->attn_norm, e) || !view_vector(gpu, b, &y->ffn_norm, e))
        return false;
    for (uint32_t k = 0; k < LAYER_GROUPS; k++)
        if (!view_group(gpu, b, layer_group(y, k), e)) return false;
    return true;
}

bool weights_allocate(struct weights *w, struct gpu *gpu, struct err *e)
{
    if (!blocks_allocate(&w->resident, gpu, "weights", e) ||
        !blocks_allocate(&w->slots[0], gpu, "streamed layers", e) ||
        !blocks_allocate(&w->slots[1], gpu, "streamed layers", e))
        return false;
    if (w->has_output && (!view_vector(gpu, &w->resident, &w->out_norm, e) ||
                          !view_group(gpu, &w->resident, &w->output, e)))
        return false;
    for (uint32_t i = 0; i < w->n_layers; i++)
        if (!view_layer(gpu, w, i, e)) return false;
    return true;
}

static void free_group(struct gpu *gpu, struct matrix_group *g)
{
    for (uint32_t i = 0; i < g->n && g->m; i++)
        gpu_buf_destroy(gpu, &g->m[i].buf);
    free(g->m);
}

void weights_free(struct gpu *gpu, struct weights *w)
{
    for (uint32_t i = 0; w->layers && i < w->n_layers; i++) {
        gpu_buf_destroy(gpu, &w->layers[i].attn_norm.buf);
        gpu_buf_destroy(gpu, &w->layers[i].ffn_norm.buf);
        for (uint32_t k = 0; k < LAYER_GROUPS; k++)
            free_group(gpu, layer_group(&w->layers[i], k));
    }
    gpu_buf_destroy(gpu, &w->out_norm.buf);
    free_group(gpu, &w->output);
    blocks_free(&w->resident, gpu);
    blocks_free(&w->slots[0], gpu);
    blocks_free(&w->slots[1], gpu);
    free(w->layers);
    *w = (struct weights){0};
}
