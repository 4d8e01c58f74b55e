#include "fit/speed.h"
#include "base/clock.h"
#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNS = 100, FILL_STEP = 512 };

struct bench { // a measurement and what it works with
    struct engine *g;
    enum fit_phase phase;
    struct fit_speed *s;
    uint32_t n_vocab;
    int32_t *ids;             // [step, batch] of a run, [batch, FILL_STEP] when filling
    struct engine_item *item; // [batch]
    float *logits;            // [batch, n_vocab]
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Ids that differ from step to step; a fixed generator, so that every run does the same work.
static void make_ids(int32_t *ids, size_t n, uint32_t seed, uint32_t n_vocab)
{
    uint32_t x = seed;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (int32_t)((x >> 8) % n_vocab);
    }
}

static bool truncate_all(struct bench *b, struct err *e)
{
    for (uint32_t k = 0; k < b->s->batch; k++) {
        uint32_t n = engine_seq_len(b->g, k);
        if (!engine_seq_truncate(b->g, k, n < b->s->depth ? n : b->s->depth, e)) return false;
    }
    return true;
}

// Each sequence is computed, not copied: copies would share their rows, and caches would read them
// once for all.
static bool fill_step(struct bench *b, uint32_t *done, struct err *e)
{
    size_t n_items = 0;
    *done = b->s->depth;
    for (uint32_t k = 0; k < b->s->batch; k++) {
        uint32_t has = engine_seq_len(b->g, k), n = b->s->depth - has;
        *done = has < *done ? has : *done;
        if (!n) continue;
        n = n < FILL_STEP ? n : FILL_STEP;
        int32_t *ids = b->ids + (size_t)k * FILL_STEP;
        make_ids(ids, n, has + 7919 * k, b->n_vocab);
        b->item[n_items++] = (struct engine_item){.seq = k, .tokens = ids, .n = n};
    }
    return !n_items || engine_run(b->g, b->item, n_items, NULL, e);
}

static bool fill(struct bench *b, struct progress *p, struct err *e)
{
    uint32_t done = 0;
    bool ok = truncate_all(b, e);
    if (!ok || !b->s->depth) return ok;
    progress_begin(p, "Filling the context", b->s->depth);
    while (ok && done < b->s->depth) {
        ok = fill_step(b, &done, e);
        progress_update(p, done, NULL);
    }
    progress_end(p);
    return ok;
}

static bool one_run(struct bench *b, uint32_t n, double *seconds, struct err *e)
{
    uint32_t step = b->phase == FIT_PREFILL ? n : 1;
    const int32_t *ids = b->ids;
    double start = clock_s();
    for (uint32_t at = 0; at < n; at += step) {
        for (uint32_t k = 0; k < b->s->batch; k++, ids += step)
            b->item[k] = (struct engine_item){k, ids, step, LOGITS_LAST};
        if (!engine_run(b->g, b->item, b->s->batch, b->logits, e)) return false;
    }
    *seconds = clock_s() - start;
    return truncate_all(b, e);
}

static bool all_runs(struct bench *b, struct progress *p, struct err *e)
{
    struct fit_speed *s = b->s;
    double speed[MAX_RUNS], seconds;
    // One run first that nobody sees: drivers compile a new shape when they meet it.
    uint32_t warm = b->phase == FIT_DECODE && s->n_tokens > 2 ? 2 : s->n_tokens;
    make_ids(b->ids, (size_t)s->n_tokens * s->batch, 12345, b->n_vocab);
    bool ok = one_run(b, warm, &seconds, e);
    if (!ok) return false;
    progress_begin(p, b->phase == FIT_PREFILL ? "Measuring prefill" : "Measuring decode", s->runs);
    for (uint32_t i = 0; ok && i < s->runs; i++) {
        ok = one_run(b, s->n_tokens, &seconds, e);
        speed[i] = (double)s->n_tokens * s->batch / seconds;
        progress_update(p, i + 1, NULL);
    }
    progress_end(p);
    if (!ok) return false;
    qsort(speed, s->runs, sizeof *speed, by_value);
    s->low = speed[0];
    s->median = speed[s->runs / 2];
    s->high = speed[s->runs - 1];
    return true;
}

static bool check(const struct engine_info *i, const struct fit_speed_params *q, uint32_t batch,
                  struct err *e)
{
    if (!q->n_tokens || !q->runs)
        return err_set(e, ERR_ARG, "a measurement needs a token and a run at least");
    if (batch > i->n_seqs)
        return err_set(e, ERR_ARG, "%u sequences together, but the engine holds %u", batch,
                       i->n_seqs);
    if (q->depth >= i->n_ctx)
        return err_set(e, ERR_ARG,
                       "no position is left behind %u in a context of %u; choose a larger --ctx",
                       q->depth, i->n_ctx);
    return true;
}

static void close_bench(struct bench *b)
{
    free(b->ids);
    free(b->item);
    free(b->logits);
}

static bool open_bench(struct bench *b, struct engine *g, const struct fit_speed_params *q,
                       struct fit_speed *s, struct err *e)
{
    const struct engine_info *info = engine_info(g);
    uint32_t batch = q->batch ? q->batch : 1;
    *s = (struct fit_speed){0};
    *b = (struct bench){.g = g, .phase = q->phase, .s = s, .n_vocab = info->n_vocab};
    if (!check(info, q, batch, e)) return false;
    uint32_t room = info->n_ctx - q->depth;
    *s = (struct fit_speed){.n_tokens = q->n_tokens < room ? q->n_tokens : room,
                            .depth = q->depth,
                            .batch = batch,
                            .runs = q->runs < MAX_RUNS ? q->runs : MAX_RUNS};
    size_t rows = size_max(s->n_tokens, FILL_STEP), logits = (size_t)batch * info->n_vocab;
    b->ids = malloc(rows * batch * sizeof *b->ids);
    b->item = malloc(batch * sizeof *b->item);
    b->logits = malloc(logits * sizeof *b->logits);
    return (b->ids && b->item && b->logits) || err_nomem(e, "logits", logits * sizeof *b->logits);
}

bool fit_speed(struct engine *g, const struct fit_speed_params *q, struct progress *p,
               struct fit_speed *out, struct err *e)
{
    struct bench b;
    bool ok = open_bench(&b, g, q, out, e) && fill(&b, p, e) && all_runs(&b, p, e);
    close_bench(&b);
    if (!ok) *out = (struct fit_speed){0};
    return ok;
}

// Without the tables of pages (16 bytes each) and of a shift.
uint64_t fit_kv_bytes(const struct engine_info *i)
{
    uint64_t positions = (uint64_t)i->n_ctx * i->n_seqs;
    return (i->kv_bytes - positions / ENGINE_PAGE * 16 - 4ull * i->head_dim) / positions;
}

// What one dispatch of a layer reads when each sequence runs a single token.
static void count_cache(const struct engine_info *i, struct fit_kernels *f)
{
    for (size_t k = 0; k < f->n; k++) {
        struct engine_kernel *a = &f->k[k];
        if (strncmp(a->name, "attention,", 10) && strncmp(a->name, "attention_shared,", 17))
            continue;
        a->bytes = (double)fit_kv_bytes(i) * (f->depth + 1.0) * f->batch * f->runs;
        (void)snprintf(a->use, sizeof a->use, "cache");
    }
}

static bool traced_runs(struct bench *b, struct fit_kernels *out, struct err *e)
{
    double seconds;
    uint32_t n = out->n_tokens;
    make_ids(b->ids, (size_t)n * b->s->batch, 12345, b->n_vocab);
    if (!one_run(b, n, &seconds, e) || !engine_trace_begin(b->g, e)) return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < b->s->runs; i++) {
        ok = one_run(b, n, &seconds, e);
        out->wall_s += seconds;
    }
    struct err ignored;
    ok = engine_trace_end(b->g, &out->k, &out->n, ok ? e : &ignored) && ok;
    if (ok && b->phase == FIT_DECODE) count_cache(engine_info(b->g), out);
    return ok;
}

bool fit_kernels(struct engine *g, const struct fit_speed_params *q, struct progress *p,
                 struct fit_kernels *out, struct err *e)
{
    struct bench b;
    struct fit_speed s;
    struct fit_speed_params one = *q;
    *out = (struct fit_kernels){0};
    if (q->phase == FIT_DECODE && q->n_tokens) one.n_tokens = 1;
    bool ok = open_bench(&b, g, &one, &s, e) && fill(&b, p, e);
    if (ok) {
        out->n_tokens = s.n_tokens;
        out->depth = s.depth;
        out->batch = s.batch;
        out->runs = s.runs;
        ok = traced_runs(&b, out, e);
    }
    close_bench(&b);
    if (!ok) fit_kernels_free(out);
    return ok;
}

void fit_kernels_free(struct fit_kernels *k)
{
    free(k->k);
    *k = (struct fit_kernels){0};
}

bool fit_matvec(struct engine *g, uint32_t runs, double *bytes_s, struct err *e)
{
    double bytes, seconds;
    *bytes_s = 0;
    if (!engine_matvec_speed(g, runs, &bytes, &seconds, e)) return false;
    if (seconds > 0) *bytes_s = bytes / seconds;
    return true;
}
