#include "engine/model/forward.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/size.h"
#include "engine/engine.h"
#include "engine/model/lora.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint32_t forward_stride(const struct forward *f)
{
    return (uint32_t)size_align(f->config->n_embd, BLOCK_COLS);
}

float *forward_input(struct forward *f)
{
    return f->scratch[f->scratch[SCRATCH_IN].map ? SCRATCH_IN : SCRATCH_X].map;
}

const float *forward_output(const struct forward *f)
{
    return f->scratch[f->scratch[SCRATCH_OUT].map ? SCRATCH_OUT : SCRATCH_X].map;
}

static void fill_tokens(struct forward *f, const struct pass *p)
{
    uint32_t *table = f->scratch[SCRATCH_TABLE].map;
    float *angles = f->scratch[SCRATCH_ANGLES].map;
    for (uint32_t i = 0; i < p->n_tokens; i++) {
        const struct pass_token *t = &p->tokens[i];
        memcpy(table + 4 * i, (uint32_t[]){0, t->cell, t->position}, 12);
        config_angles(f->config, t->position, angles + (size_t)i * f->config->head_dim);
    }
}

// The part of a run that lies in tokens [first, end): false when there is none.
static bool clip(const struct pass_run *r, uint32_t first, uint32_t end, struct pass_run *out)
{
    uint32_t from = r->first > first ? r->first : first;
    uint32_t to = r->first + r->n < end ? r->first + r->n : end;
    if (from >= to) return false;
    *out = (struct pass_run){from - first, to - from, r->entry, r->position + (from - r->first)};
    return true;
}

// Workgroups for each tile: where these are few, as many as the longest context has slices. No
// result depends on it.
static uint32_t groups_of(const struct forward *f, const struct sub_batch *s, uint32_t longest)
{
    uint32_t tiles = f->kv.part_heads * (f->config->n_heads / f->config->n_kv_heads) /
                     f->group_heads * s->n_tiles;
    size_t room = f->most_groups / tiles, slices = size_div_up(longest, KV_SLICE);
    return s->decode && room > 1 ? (uint32_t)size_min(room, slices) : 1;
}

// Cuts the pass into sub-batches, and these into attention tiles, whose tokens are counted from the
// sub-batch's first.
static void fill_tiles(struct forward *f, const struct pass *p)
{
    uint32_t *tiles = f->scratch[SCRATCH_TILES].map, n_tiles = 0;
    struct pass_run r;
    f->n_subs = 0;
    for (uint32_t first = 0; first < p->n_tokens; first += f->p.n_batch) {
        struct sub_batch *s = &f->subs[f->n_subs++];
        uint32_t left = p->n_tokens - first, n = left < f->p.n_batch ? left : f->p.n_batch;
        uint32_t longest = 0;
        *s = (struct sub_batch){first, n, n_tiles, 0, true, 1};
        for (uint32_t i = 0; i < p->n_runs; i++)
            if (clip(&p->runs[i], first, first + n, &r)) s->decode &= r.n == 1;
        uint32_t step = s->decode ? 1 : f->tile_tokens;
        for (uint32_t i = 0; i < p->n_runs; i++) {
            if (!clip(&p->runs[i], first, first + n, &r)) continue;
            longest = r.position + r.n > longest ? r.position + r.n : longest;
            for (uint32_t at = 0; at < r.n; at += step) {
                uint32_t count = r.n - at < step ? r.n - at : step;
                memcpy(tiles + 4 * n_tiles++,
                       (uint32_t[]){r.first + at, count, r.entry, r.position + at}, 16);
            }
        }
        s->n_tiles = n_tiles - s->first_tile;
        s->n_groups = groups_of(f, s, longest);
    }
}

static void fill_rows(struct forward *f, const uint32_t *rows, uint32_t n)
{
    uint32_t *table = f->scratch[SCRATCH_TABLE].map;
    for (uint32_t i = 0; i < n; i++)
        table[4 * i + 3] = rows[i];
}

static const float *seen_rows(const struct forward *f)
{
    return f->scratch[f->scratch[SCRATCH_ROWS].map ? SCRATCH_ROWS : SCRATCH_LOGITS].map;
}

// The ids of the largest of n rows; of equal ones the lowest.
static void take_largest(const struct forward *f, uint32_t n, int32_t *out)
{
    uint32_t n_vocab = f->config->n_vocab, n_slices = (uint32_t)size_div_up(n_vocab, ARGMAX_SLICE);
    const struct {
        float value;
        uint32_t id;
    } *best = f->scratch[SCRATCH_BEST].map;
    for (uint32_t i = 0; i < n; i++) {
        if (!best) {
            out[i] = logits_largest(seen_rows(f) + (size_t)i * f->weights->output.n_cols, n_vocab);
            continue;
        }
        uint32_t at = i * n_slices;
        for (uint32_t k = at + 1; k < (i + 1) * n_slices; k++)
            if (best[k].value > best[at].value) at = k;
        out[i] = (int32_t)best[at].id;
    }
}

static void take_logits(const struct forward *f, uint32_t n, float *out)
{
    const float *logits = seen_rows(f);
    size_t stride = f->weights->output.n_cols, n_vocab = f->config->n_vocab;
    for (uint32_t i = 0; i < n; i++)
        memcpy(out + i * n_vocab, logits + i * stride, n_vocab * sizeof *out);
}

// How much one submission computes: as much as keeps it short, so that no watchdog ends it and ^C
// is noticed.
struct portion {
    uint32_t n_layers; // with all sub-batches
    uint32_t n_subs;   // of one layer, where that is too much
};

static struct portion portion_of(const struct forward *f, uint32_t n_tokens)
{
    const struct config *c = f->config;
    double token =
        2.0 * c->n_embd * (c->n_heads + c->n_kv_heads) * c->head_dim + 3.0 * c->n_embd * c->n_ff;
    double layers = f->gpu->max_work / (token * n_tokens);
    double subs = f->gpu->max_work / (token * f->p.n_batch);
    if (layers >= f->weights->n_layers) return (struct portion){f->weights->n_layers, f->n_subs};
    if (layers >= 1) return (struct portion){(uint32_t)layers, f->n_subs};
    return (struct portion){1, subs < 1 ? 1 : subs > f->n_subs ? f->n_subs : (uint32_t)subs};
}

static bool run_shape(struct forward *f, const struct shape *s, struct err *e)
{
    if (!cancel_check(e) || !forward_record(f, s, e)) return false;
    fused_submit(f);
    return gpu_submit(f->gpu, &f->cmd, e);
}

// Layers [at, at + n) in submissions of n_subs sub-batches.
static bool run_range(struct forward *f, const struct pass *p, uint32_t at, uint32_t n,
                      uint32_t n_subs, uint32_t n_rows, struct err *e)
{
    bool last_layer = at + n == f->weights->n_layers;
    for (uint32_t sub = 0; sub < f->n_subs; sub += n_subs) {
        bool last = last_layer && sub + n_subs >= f->n_subs;
        struct shape s;
        memset(&s, 0, sizeof s);
        s.first_layer = at;
        s.n_layers = n;
        s.first_sub = sub;
        s.n_subs = (uint32_t)size_min(n_subs, f->n_subs - sub);
        s.n_tokens = p->n_tokens;
        s.n_tiles = f->subs[0].n_tiles;
        s.n_groups = f->subs[0].n_groups;
        s.decode = f->subs[0].decode;
        s.input = at == 0 && sub == 0 && f->scratch[SCRATCH_IN].buffer;
        s.output = last && f->scratch[SCRATCH_OUT].buffer;
        s.n_rows = last ? n_rows : 0;
        s.largest = s.n_rows && p->largest;
        if (!run_shape(f, &s, e)) return false;
    }
    return true;
}

// A bar once a prompt has taken a second.
static void show_progress(struct progress *bar, double start, uint32_t done, uint32_t n_layers,
                          bool *shown)
{
    if (!bar || clock_s() - start < 1) return;
    if (!*shown) progress_begin(bar, "Prompt", n_layers);
    *shown = true;
    progress_update(bar, done, NULL);
}

// Resident layers, several at a time, then the streamed ones, each when it is there.
static bool run_layers(struct forward *f, const struct pass *p, uint32_t n_rows, struct err *e)
{
    const struct weights *w = f->weights;
    struct portion portion = portion_of(f, p->n_tokens);
    double start = clock_s();
    bool shown = false, ok = true;
    for (uint32_t at = 0, n; ok && at < w->n_layers; at += n) {
        bool streamed = at >= w->n_resident;
        n = streamed ? 1 : (uint32_t)size_min(portion.n_layers, w->n_resident - at);
        ok = (!streamed || stream_acquire(f->stream, at, e)) &&
             run_range(f, p, at, n, portion.n_subs, n_rows, e);
        if (ok && streamed) stream_release(f->stream, at);
        if (p->n_tokens > 1) show_progress(f->p.progress, start, at + n, w->n_layers, &shown);
    }
    if (shown) progress_end(f->p.progress);
    return ok;
}

// Again where workgroups of fused layers did not meet.
static bool run_pass(struct forward *f, const struct pass *p, uint32_t n_rows, struct err *e)
{
    fused_begin(f, p->n_tokens);
    do {
        if (!run_layers(f, p, n_rows, e)) return false;
    } while (fused_again(f, p->n_tokens));
    return true;
}

bool forward_run(struct forward *f, const struct pass *p, struct err *e)
{
    assert(p->n_tokens && p->n_tokens <= f->p.n_pass);
    uint32_t wanted = f->weights->has_output ? p->n_rows : 0, done = 0;
    fill_tokens(f, p);
    fill_tiles(f, p);
    do { // more rows than fit take more submissions; the residual stream stays where it is
        uint32_t n = wanted - done < FORWARD_MAX_ROWS ? wanted - done : FORWARD_MAX_ROWS;
        struct shape tail;
        memset(&tail, 0, sizeof tail);
        tail.n_subs = 1;
        tail.n_rows = n;
        tail.largest = p->largest;
        fill_rows(f, p->rows + done, n);
        if (!(done ? run_shape(f, &tail, e) : run_pass(f, p, n, e))) return false;
        if (p->largest)
            take_largest(f, n, p->largest + done);
        else
            take_logits(f, n, p->logits + (size_t)done * f->config->n_vocab);
        done += n;
    } while (done < wanted);
    return true;
}

static bool same_kernels(const struct layer *a, const struct layer *b)
{
    for (uint32_t k = 0; k < LAYER_GROUPS; k++) {
        const struct matrix_group *x = layer_group((struct layer *)(uintptr_t)a, k),
                                  *y = layer_group((struct layer *)(uintptr_t)b, k);
        if (x->n != y->n || x->want != y->want || !x->lora != !y->lora) return false;
        for (uint32_t i = 0; i < x->n; i++)
            if (x->m[i].format != y->m[i].format) return false;
    }
    return true;
}

static bool seen_before(const struct weights *w, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (same_kernels(&w->layers[k], &w->layers[i])) return true;
    return false;
}

// Passes of every kernel that a prompt and a token need; of layers that are alike, one.
static bool each_shape(struct forward *f,
                       bool (*fn)(struct forward *, const struct shape *, struct err *),
                       struct err *e)
{
    const struct weights *w = f->weights;
    bool classes = f->n_classes > 1; // one of every class
    const uint32_t prompt = (uint32_t)size_min(KERNELS_MAX_TOKENS, f->p.n_batch);
    const uint32_t counts[] = {classes ? MANY_TOKENS : prompt, classes ? 2 : 1, 1};
    struct pass_token tokens[MANY_TOKENS];
    for (uint32_t i = 0; i < MANY_TOKENS; i++)
        tokens[i] = (struct pass_token){i, i};
    for (uint32_t c = 0; c < (classes ? N_CLASSES : 2); c++) {
        uint32_t n = counts[c];
        if (n > f->p.n_batch) continue;
        struct pass_run run = {.n = n};
        struct pass p = {.tokens = tokens, .n_tokens = n, .runs = &run, .n_runs = 1};
        struct shape s;
        memset(&s, 0, sizeof s);
        fill_tokens(f, &p);
        fill_tiles(f, &p);
        s.n_subs = 1;
        s.n_tokens = n;
        s.n_tiles = f->subs[0].n_tiles;
        s.decode = f->subs[0].decode;
        s.n_rows = !w->has_output ? 0 : classes ? n : 1;
        for (s.first_layer = 0; s.first_layer < w->n_resident; s.first_layer++) {
            if (seen_before(w, s.first_layer)) continue;
            s.n_layers = 1;
            if (!fn(f, &s, e)) return false;
            s.n_rows = 0;
        }
    }
    return true;
}

static bool record_shape(struct forward *f, const struct shape *s, struct err *e)
{
    return cancel_check(e) && forward_record(f, s, e);
}

bool forward_build(struct forward *f, struct err *e)
{
    f->kernels.use = KERNELS_WANTED;
    f->cmd.dry = true;
    bool ok = each_shape(f, record_shape, e);
    f->cmd.dry = false;
    f->kernels.use = KERNELS_RUN;
    memset(&f->recorded, 0, sizeof f->recorded);
    return ok && kernels_build(&f->kernels, e);
}

bool forward_warm_up(struct forward *f, struct err *e)
{
    return each_shape(f, run_shape, e);
}

bool forward_time_matvec(struct forward *f, double *bytes, double *seconds, struct err *e)
{
    const struct matrix_group *g = &f->weights->output;
    if (!forward_record_matvec(f, e)) return false;
    double start = clock_s();
    if (!gpu_submit(f->gpu, &f->cmd, e)) return false;
    *seconds = clock_s() - start;
    *bytes = 0;
    for (uint32_t i = 0; i < g->n; i++)
        *bytes += (double)g->m[i].bytes;
    return true;
}
