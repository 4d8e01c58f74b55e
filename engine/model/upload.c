#include "engine/model/upload.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/parallel.h"
#include "base/size.h"
#include "engine/model/repack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITEM_BYTES = 1 << 20, // of tiles that one worker makes at a time
    SPEED_BYTES = 48 << 20
};

void uploader_create(struct gpu *gpu, const struct gguf *g, struct tile_cache *tiles,
                     struct uploader *out)
{
    *out =
        (struct uploader){.gpu = gpu, .file = g, .tiles = tiles, .n_workers = parallel_workers()};
}

void uploader_destroy(struct uploader *u)
{
    if (!u->gpu) return;
    for (int i = 0; i < 2; i++) {
        gpu_copier_destroy(u->gpu, &u->copier[i]);
        gpu_buf_destroy(u->gpu, &u->staging[i]);
    }
    free(u->scratch);
    *u = (struct uploader){0};
}

// ------------------------------------------------------------------------------------ tiles

struct span { // tiles [first, first + n) of a matrix, to dst
    struct uploader *u;
    const struct matrix *m;
    uint64_t first, n, step; // step: tiles an item
    unsigned char *dst;
    bool slow; // the host does not read dst fast
};

static uint64_t tile_bytes(const struct matrix *m)
{
    return m->bytes / m->n_tiles;
}

// Rows of the tile's tensor will not be read again.
static void drop(const struct span *s, const struct gguf_tensor *t, uint64_t tile, uint64_t n)
{
    uint64_t row = t->size / t->ne[1], from = TILE_ROWS * tile * row;
    gguf_drop(s->u->file, t, from, size_min(TILE_ROWS * n * row, t->size - from));
}

static enum tile_mode cache_mode(const struct uploader *u)
{
    return u->tiles ? tile_cache_mode(u->tiles) : TILES_OFF;
}

// n tiles of a tensor, from the cache or from its rows. What the cache has to see is made in fast
// memory.
static void put_tiles(const struct span *s, const struct gguf_tensor *t, uint64_t tile, uint64_t n,
                      unsigned char *dst, uint32_t worker)
{
    struct uploader *u = s->u;
    enum tile_mode mode = cache_mode(u);
    uint64_t bytes = tile_bytes(s->m);
    bool aside = mode != TILES_OFF && s->slow;
    unsigned char *made = aside ? u->scratch + worker * u->scratch_item : dst;
    if (mode != TILES_READ || !tile_cache_read(u->tiles, t, tile, n, made)) {
        for (uint64_t i = 0; i < n; i++)
            repack_tile(t, tile + i, made + i * bytes);
        if (mode == TILES_WRITE) tile_cache_write(u->tiles, t, tile, n, made);
        drop(s, t, tile, n);
    }
    if (aside) memcpy(dst, made, n * bytes);
}

static bool fill_item(void *ctx, uint64_t i, uint32_t worker, struct err *e)
{
    const struct span *s = ctx;
    uint64_t begin = i * s->step, end = size_min(begin + s->step, s->n);
    for (uint64_t at = begin; at < end;) {
        uint64_t tile = s->m->first_tile + s->first + at, tiles, count;
        uint32_t k = 0;
        for (; tiles = size_div_up(s->m->t[k]->ne[1], TILE_ROWS), tile >= tiles; k++)
            tile -= tiles;
        count = size_min(end - at, tiles - tile);
        put_tiles(s, s->m->t[k], tile, count, s->dst + at * tile_bytes(s->m), worker);
        at += count;
    }
    return cancel_check(e);
}

static bool need_scratch(struct uploader *u, uint64_t item, struct err *e)
{
    if (u->scratch_item >= item) return true;
    free(u->scratch);
    u->scratch = malloc(u->n_workers * item);
    u->scratch_item = u->scratch ? item : 0;
    return u->scratch || err_nomem(e, "tiles on their way", u->n_workers * item);
}

// slow: the host does not read dst fast.
static bool fill(struct uploader *u, const struct matrix *m, uint64_t first, uint64_t n, void *dst,
                 bool slow, struct err *e)
{
    struct span s = {u, m, first, n, size_max(ITEM_BYTES / tile_bytes(m), 1), dst, slow};
    if (slow && u->tiles && !need_scratch(u, s.step * tile_bytes(m), e)) return false;
    return parallel_for(size_div_up(n, s.step), u->n_workers, fill_item, &s, e);
}

// ---------------------------------------------------------------------------------- staging

static bool need_staging(struct uploader *u, uint64_t bytes, struct err *e)
{
    for (int i = 0; i < 2; i++) {
        if (u->staging[i].size >= bytes) continue;
        if (!gpu_copier_wait(u->gpu, &u->copier[i], e)) return false;
        gpu_buf_destroy(u->gpu, &u->staging[i]);
        if (!gpu_buf_create(u->gpu, GPU_STAGING, bytes, "staging", &u->staging[i], e) ||
            (!u->copier[i].pool && !gpu_copier_create(u->gpu, &u->copier[i], e)))
            return false;
    }
    return true;
}

// While one staging buffer is copied, the other is filled.
static bool through_staging(struct uploader *u, struct matrix *m, struct err *e)
{
    uint64_t step = size_max(UPLOAD_STAGING / tile_bytes(m), 1);
    if (!need_staging(u, size_max(UPLOAD_STAGING, tile_bytes(m)), e)) return false;
    for (uint64_t at = 0; at < m->n_tiles; at += step) {
        uint64_t n = size_min(step, m->n_tiles - at);
        uint32_t i = u->turn++ % 2;
        if (!gpu_copier_wait(u->gpu, &u->copier[i], e) ||
            !fill(u, m, at, n, u->staging[i].map, !u->staging[i].cached, e) ||
            !gpu_copier_start(u->gpu, &u->copier[i], &u->staging[i], &m->buf, at * tile_bytes(m),
                              n * tile_bytes(m), e))
            return false;
    }
    return true;
}

static bool settle(struct uploader *u, struct err *e)
{
    return gpu_copier_wait(u->gpu, &u->copier[0], e) && gpu_copier_wait(u->gpu, &u->copier[1], e);
}

static bool start_group(struct uploader *u, struct matrix_group *g, struct err *e)
{
    for (uint32_t i = 0; i < g->n; i++) {
        struct matrix *m = &g->m[i];
        if (!(m->buf.map ? fill(u, m, 0, m->n_tiles, m->buf.map, !m->buf.cached, e)
                         : through_staging(u, m, e)))
            return false;
    }
    return true;
}

bool upload_group(struct uploader *u, struct matrix_group *g, struct err *e)
{
    return start_group(u, g, e) && settle(u, e);
}

static bool start_vector(struct uploader *u, struct vector *v, struct err *e)
{
    uint32_t i = 0;
    float *dst = v->buf.map;
    if (!dst) {
        i = u->turn++ % 2;
        if (!need_staging(u, UPLOAD_STAGING, e) || !gpu_copier_wait(u->gpu, &u->copier[i], e))
            return false;
        dst = u->staging[i].map;
    }
    memset(dst, 0, v->bytes);
    if (!quant_dequantise(v->t->type, v->t->data, v->t->ne[0], dst))
        return err_set(e, ERR_UNSUPPORTED, "%s: tensor %.*s has a type that norms do not have",
                       u->file->path, (int)size_min(v->t->name.n, 90), v->t->name.s);
    return v->buf.map ||
           gpu_copier_start(u->gpu, &u->copier[i], &u->staging[i], &v->buf, 0, v->bytes, e);
}

bool upload_vector(struct uploader *u, struct vector *v, struct err *e)
{
    return start_vector(u, v, e) && settle(u, e);
}

bool upload_layer(struct uploader *u, struct layer *y, struct err *e)
{
    bool ok = start_vector(u, &y->attn_norm, e) && start_vector(u, &y->ffn_norm, e);
    for (uint32_t i = 0; ok && i < LAYER_GROUPS; i++)
        ok = start_group(u, layer_group(y, i), e);
    ok = ok && settle(u, e);
    if (ok && u->tiles) tile_cache_finish(u->tiles);
    return ok;
}

static void expect_tensor(const struct uploader *u, const struct gguf_tensor *t)
{
    if (cache_mode(u) == TILES_READ)
        tile_cache_expect(u->tiles, t);
    else
        gguf_expect(u->file, t, 0, t->size);
}

static void expect_group(const struct uploader *u, const struct matrix_group *g)
{
    for (uint32_t k = 0; k < g->n; k++)
        for (uint32_t j = 0; j < g->m[k].n_tensors && !g->m[k].first_tile; j++)
            expect_tensor(u, g->m[k].t[j]);
}

void upload_expect(const struct uploader *u, struct layer *y)
{
    for (uint32_t i = 0; i < LAYER_GROUPS; i++)
        expect_group(u, layer_group(y, i));
}

bool upload_resident(struct uploader *u, struct weights *w, struct progress *progress,
                     uint64_t *done, struct err *e)
{
    if (w->has_output) expect_group(u, &w->output);
    if (w->n_resident) upload_expect(u, &w->layers[0]);
    if (w->has_output) {
        progress_update(progress, *done, "output matrix");
        if (!upload_vector(u, &w->out_norm, e) || !upload_group(u, &w->output, e)) return false;
        *done += w->output.m[0].t[0]->size;
    }
    for (uint32_t i = 0; i < w->n_resident; i++) {
        char note[32];
        (void)snprintf(note, sizeof note, "layer %u", w->first_layer + i);
        progress_update(progress, *done, note);
        if (i + 1 < w->n_resident) upload_expect(u, &w->layers[i + 1]);
        if (!upload_layer(u, &w->layers[i], e)) return false;
        *done += w->layers[i].file_bytes;
    }
    return true;
}

double upload_speed(struct gpu *gpu, const struct gguf *g, const struct config *c, uint32_t layer)
{
    struct weights w;
    struct uploader u;
    struct err ignored;
    double speed = 0;
    if (!weights_describe(g, c, gpu, layer, 1, false, &w, &ignored)) return 0;
    const struct matrix *m = &w.layers[0].gate_up.m[0];
    uint64_t n = size_min(m->n_tiles, size_max(SPEED_BYTES / tile_bytes(m), 1));
    void *tiles = malloc(n * tile_bytes(m));
    if (tiles) {
        uploader_create(gpu, g, NULL, &u);
        double start = clock_s();
        if (fill(&u, m, 0, n, tiles, false, &ignored))
            speed = (double)(m->t[0]->size / m->t[0]->ne[1] * n * TILE_ROWS) / (clock_s() - start);
        uploader_destroy(&u);
    }
    free(tiles);
    weights_free(gpu, &w);
    return speed;
}
