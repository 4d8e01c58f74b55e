#include "engine/model/weights.h"
#include "base/cancel.h"
#include "base/size.h"
#include "engine/model/repack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loader { // what every step of loading needs
    struct gpu *gpu;
    const struct gguf *file;
    struct progress *progress;
    struct weights *w;
    uint64_t done; // bytes of the file
};

struct tile_source { // tensors that one matrix is filled from
    struct loader *l;
    const struct gguf_tensor *t[3];
    uint32_t n;
    size_t tile_bytes;
};

static bool fill_tiles(void *ctx, void *dst, uint64_t begin, uint64_t end, struct err *e)
{
    struct tile_source *s = ctx;
    unsigned char *out = dst;
    for (uint64_t at = begin; at + s->tile_bytes <= end; at += s->tile_bytes) {
        uint64_t tile = at / s->tile_bytes;
        uint32_t i = 0;
        for (; i + 1 < s->n; i++) {
            uint64_t tiles = size_div_up(s->t[i]->ne[1], TILE_ROWS);
            if (tile < tiles) break;
            tile -= tiles;
        }
        repack_tile(s->t[i], tile, out);
        out += s->tile_bytes;
    }
    return cancel_check(e);
}

static bool fill_matrix(struct loader *l, const struct gguf_tensor *const *t, uint32_t n,
                        struct matrix *m, struct err *e)
{
    struct tile_source s = {.l = l, .n = n};
    uint64_t tiles = 0;
    for (uint32_t i = 0; i < n; i++) {
        s.t[i] = t[i];
        tiles += size_div_up(t[i]->ne[1], TILE_ROWS);
    }
    m->format = repack_format(t[0]->type);
    m->n_blocks = (uint32_t)size_div_up(t[0]->ne[0], BLOCK_COLS);
    m->n_tiles = (uint32_t)tiles;
    s.tile_bytes = (size_t)m->n_blocks * weight_layout(m->format)->block_texels * 16;
    char name[96];
    (void)snprintf(name, sizeof name, "%.*s", (int)size_min(t[0]->name.n, 90), t[0]->name.s);
    bool ok = gpu_buf_create(l->gpu, GPU_DEVICE, tiles * s.tile_bytes, name, &m->buf, e) &&
              gpu_buf_fill(l->gpu, &m->buf, s.tile_bytes, fill_tiles, &s, e);
    for (uint32_t i = 0; ok && i < n; i++) {
        map_drop(&l->file->map, (size_t)(t[i]->data - l->file->map.data), t[i]->size);
        l->done += t[i]->size;
        progress_update(l->progress, l->done, name);
    }
    if (ok) l->w->device_bytes += m->buf.allocated;
    return ok;
}

// Tensor NAME of shape [rows, cols] (rows = 0: any), NULL when missing.
static const struct gguf_tensor *find(struct loader *l, const char *name, uint64_t rows,
                                      uint64_t cols, struct err *e)
{
    const struct gguf_tensor *t = gguf_tensor(l->file, name);
    if (!t) {
        err_set(e, ERR_FORMAT, "%s: tensor %s is missing", l->file->path, name);
        return NULL;
    }
    if (t->ne[0] == cols && t->ne[1] == rows && t->n_elements == rows * cols) return t;
    err_set(e, ERR_FORMAT, "%s: tensor %s is %llu x %llu, expected %llu x %llu", l->file->path,
            name, (unsigned long long)t->ne[1], (unsigned long long)t->ne[0],
            (unsigned long long)rows, (unsigned long long)cols);
    return NULL;
}

// Loads n tensors that read the same input; neighbours of one format share a matrix.
static bool load_group(struct loader *l, const struct gguf_tensor *const *t, uint32_t n,
                       struct matrix_group *g, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        g->row_at[i] = g->n_cols;
        g->n_cols += (uint32_t)size_align(t[i]->ne[1], TILE_ROWS);
    }
    for (uint32_t i = 0, end; i < n; i = end) {
        enum weight_format f = repack_format(t[i]->type);
        for (end = i + 1; end < n && repack_format(t[end]->type) == f; end++)
            ;
        struct matrix *m = &g->m[g->n++];
        m->y_offset = g->row_at[i];
        g->want |= 1u << weight_layout(f)->act;
        if (!fill_matrix(l, t + i, end - i, m, e)) return false;
    }
    return true;
}

struct part {
    const char *name; // of the tensor in its layer
    uint64_t rows;
};

static bool load_parts(struct loader *l, uint32_t layer, const struct part *parts, uint32_t n,
                       uint64_t cols, struct matrix_group *g, struct err *e)
{
    const struct gguf_tensor *t[3];
    for (uint32_t i = 0; i < n; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "blk.%u.%s.weight", layer, parts[i].name);
        t[i] = find(l, name, parts[i].rows, cols, e);
        if (!t[i]) return false;
    }
    return load_group(l, t, n, g, e);
}

static bool fill_copy(void *ctx, void *dst, uint64_t begin, uint64_t end, struct err *e)
{
    (void)e;
    memcpy(dst, (const unsigned char *)ctx + begin, end - begin);
    return true;
}

static bool load_norm(struct loader *l, const char *name, uint32_t n, struct gpu_buf *out,
                      struct err *e)
{
    const struct gguf_tensor *t = find(l, name, 1, n, e);
    if (!t) return false;
    size_t padded = size_align(n, BLOCK_COLS);
    float *v = calloc(padded, sizeof *v);
    if (!v) return err_nomem(e, name, padded * sizeof *v);
    bool ok = quant_dequantise(t->type, t->data, n, v) ||
              err_set(e, ERR_UNSUPPORTED, "%s: tensor %s has a type that norms do not have",
                      l->file->path, name);
    ok = ok && gpu_buf_create(l->gpu, GPU_DEVICE, padded * sizeof *v, name, out, e) &&
         gpu_buf_fill(l->gpu, out, 16, fill_copy, v, e);
    free(v);
    if (ok) l->w->device_bytes += out->allocated;
    return ok;
}

static bool load_layer(struct loader *l, const struct config *c, uint32_t i, struct layer *y,
                       struct err *e)
{
    uint64_t nq = (uint64_t)c->n_heads * c->head_dim, nkv = (uint64_t)c->n_kv_heads * c->head_dim;
    const struct part qkv[] = {{"attn_q", nq}, {"attn_k", nkv}, {"attn_v", nkv}};
    const struct part o[] = {{"attn_output", c->n_embd}}, down[] = {{"ffn_down", c->n_embd}};
    const struct part gate_up[] = {{"ffn_gate", c->n_ff}, {"ffn_up", c->n_ff}};
    char attn[64], ffn[64];
    (void)snprintf(attn, sizeof attn, "blk.%u.attn_norm.weight", i);
    (void)snprintf(ffn, sizeof ffn, "blk.%u.ffn_norm.weight", i);
    return load_norm(l, attn, c->n_embd, &y->attn_norm, e) &&
           load_norm(l, ffn, c->n_embd, &y->ffn_norm, e) &&
           load_parts(l, i, qkv, 3, c->n_embd, &y->qkv, e) &&
           load_parts(l, i, o, 1, nq, &y->o, e) &&
           load_parts(l, i, gate_up, 2, c->n_embd, &y->gate_up, e) &&
           load_parts(l, i, down, 1, c->n_ff, &y->down, e);
}

static void count_types(const struct gguf *g, struct weights *w)
{
    uint64_t bytes[64] = {0}, best = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        w->n_params += t->n_elements;
        w->file_bytes += t->size;
        if ((unsigned)t->type >= 64) continue;
        bytes[t->type] += t->size;
        if (bytes[t->type] > best) {
            best = bytes[t->type];
            w->main_type = t->type;
        }
    }
    const struct gguf_tensor *freqs = gguf_tensor(g, "rope_freqs.weight");
    if (freqs) w->n_params -= freqs->n_elements; // a table, not parameters
}

static bool load_all(struct loader *l, const struct config *c, struct err *e)
{
    struct weights *w = l->w;
    w->layers = calloc(c->n_layers, sizeof *w->layers);
    if (!w->layers) return err_nomem(e, "layers", c->n_layers * sizeof *w->layers);
    w->n_layers = c->n_layers;
    const struct gguf_tensor *t = find(l, "token_embd.weight", c->n_vocab, c->n_embd, e);
    if (!t || !load_group(l, &t, 1, &w->embd, e)) return false;
    w->tied = !gguf_tensor(l->file, "output.weight");
    if (!w->tied) {
        t = find(l, "output.weight", c->n_vocab, c->n_embd, e);
        if (!t || !load_group(l, &t, 1, &w->output, e)) return false;
    }
    if (!load_norm(l, "output_norm.weight", c->n_embd, &w->out_norm, e)) return false;
    for (uint32_t i = 0; i < c->n_layers; i++)
        if (!load_layer(l, c, i, &w->layers[i], e)) return false;
    return true;
}

bool weights_load(struct gpu *gpu, const struct gguf *g, const struct config *c,
                  struct progress *progress, struct weights *out, struct err *e)
{
    struct loader l = {.gpu = gpu, .file = g, .progress = progress, .w = out};
    *out = (struct weights){0};
    count_types(g, out);
    progress_begin(progress, "Loading", out->file_bytes);
    bool ok = load_all(&l, c, e);
    progress_end(progress);
    if (!ok) weights_free(gpu, out);
    return ok;
}

static void free_group(struct gpu *gpu, struct matrix_group *g)
{
    for (uint32_t i = 0; i < 3; i++)
        gpu_buf_destroy(gpu, &g->m[i].buf);
}

void weights_free(struct gpu *gpu, struct weights *w)
{
    for (uint32_t i = 0; i < w->n_layers; i++) {
        struct layer *y = &w->layers[i];
        gpu_buf_destroy(gpu, &y->attn_norm);
        gpu_buf_destroy(gpu, &y->ffn_norm);
        free_group(gpu, &y->qkv);
        free_group(gpu, &y->o);
        free_group(gpu, &y->gate_up);
        free_group(gpu, &y->down);
    }
    gpu_buf_destroy(gpu, &w->out_norm);
    free_group(gpu, &w->embd);
    free_group(gpu, &w->output);
    free(w->layers);
    *w = (struct weights){0};
}
