// Sequences, and the cutting of work into passes.
#include "engine/model/engine_internal.h"
#include "base/cancel.h"
#include "base/size.h"
#include "engine/model/embed.h"

#include <stdlib.h>
#include <string.h>

// --------------------------------------------------------------------------------- sequences

static bool check_seq(const struct engine *g, uint32_t seq, struct err *e)
{
    if (seq < g->place.p.n_seqs) return true;
    return err_set(e, ERR_ARG, "sequence %u of %u", seq, g->place.p.n_seqs);
}

uint32_t engine_seq_len(const struct engine *g, uint32_t seq)
{
    return seq < g->place.p.n_seqs ? g->pages.len[seq] : 0;
}

bool engine_seq_truncate(struct engine *g, uint32_t seq, uint32_t n, struct err *e)
{
    if (!check_seq(g, seq, e)) return false;
    if (n > g->pages.len[seq])
        return err_set(e, ERR_ARG, "sequence %u has %u positions, not %u", seq, g->pages.len[seq],
                       n);
    kv_pages_truncate(&g->pages, seq, n);
    return true;
}

bool engine_seq_copy(struct engine *g, uint32_t dst, uint32_t src, uint32_t n, struct err *e)
{
    if (!check_seq(g, dst, e) || !check_seq(g, src, e)) return false;
    if (n > g->pages.len[src])
        return err_set(e, ERR_ARG, "sequence %u has %u positions, not %u", src, g->pages.len[src],
                       n);
    if (dst == src)
        kv_pages_truncate(&g->pages, dst, n);
    else
        kv_pages_share(&g->pages, dst, src, n);
    return true;
}

bool engine_seq_shift(struct engine *g, uint32_t seq, uint32_t keep, uint32_t drop, struct err *e)
{
    if (!check_seq(g, seq, e)) return false;
    size_t first = size_div_up(keep, KV_PAGE), n = size_div_up(drop, KV_PAGE), n_copies;
    if ((first + n) * KV_PAGE > g->pages.len[seq])
        return err_set(e, ERR_ARG, "sequence %u has %u positions: no %zu behind the first %zu", seq,
                       g->pages.len[seq], n * KV_PAGE, first * KV_PAGE);
    if (!n) return true;
    if (!kv_pages_cut(&g->pages, seq, (uint32_t)first, (uint32_t)n, g->copies, &n_copies, e))
        return false;
    float angles[256];
    uint32_t entry = seq * g->pages.seq_pages + (uint32_t)first;
    config_shift_angles(&g->config, (uint32_t)n * KV_PAGE, angles);
    bool ok = true;
    for (uint32_t k = 0; ok && k < g->place.n_stages; k++) {
        struct forward *f = &g->stages[k].forward;
        kv_store_sync(&f->kv, &g->pages, seq);
        ok = kv_store_copy(&f->kv, g->copies, n_copies, e) &&
             kv_store_shift(&f->kv, &f->kernels, angles, entry,
                            g->pages.held[seq] - (uint32_t)first, e);
    }
    if (ok) return true;
    kv_pages_truncate(&g->pages, seq, (uint32_t)first * KV_PAGE); // what is behind is not sure
    return false;
}

// ----------------------------------------------------------------------------------- running

static bool check_items(const struct engine *g, const struct engine_item *items, size_t n_items,
                        struct err *e)
{
    for (size_t i = 0; i < n_items; i++) {
        const struct engine_item *it = &items[i];
        if (!check_seq(g, it->seq, e)) return false;
        for (size_t j = 0; j < i; j++)
            if (items[j].seq == it->seq)
                return err_set(e, ERR_ARG, "sequence %u appears twice in one call", it->seq);
        if (!it->n) return err_set(e, ERR_ARG, "sequence %u: no tokens to run", it->seq);
        if (it->n > g->place.p.n_ctx - g->pages.len[it->seq])
            return err_set(e, ERR_ARG,
                           "%zu more tokens do not fit: %u of %u positions are used; choose a "
                           "larger --ctx",
                           it->n, g->pages.len[it->seq], g->place.p.n_ctx);
        for (size_t j = 0; j < it->n; j++)
            if (it->tokens[j] < 0 || (uint32_t)it->tokens[j] >= g->config.n_vocab)
                return err_set(e, ERR_ARG, "token id %d is not in the vocabulary of %u",
                               it->tokens[j], g->config.n_vocab);
    }
    return true;
}

struct cursor { // where the cutting of items into passes stands
    size_t item, token;
};

// Fills the next pass, up to n_pass tokens.
static void next_pass(struct engine *g, const struct engine_item *items, size_t n_items,
                      struct cursor *at, struct pass *p)
{
    const struct kv_pages *pages = &g->pages;
    uint32_t n_pass = g->place.p.n_pass;
    *p = (struct pass){.tokens = g->tokens, .runs = g->runs, .rows = g->rows};
    while (at->item < n_items && p->n_tokens < n_pass) {
        const struct engine_item *it = &items[at->item];
        size_t n = size_min(it->n - at->token, n_pass - p->n_tokens);
        uint32_t start = pages->len[it->seq] + (uint32_t)at->token;
        g->runs[p->n_runs++] =
            (struct pass_run){p->n_tokens, (uint32_t)n, it->seq * pages->seq_pages, start};
        for (uint32_t i = 0; i < n; i++) {
            bool last = at->token + i + 1 == it->n;
            if (it->want == LOGITS_ALL || (it->want == LOGITS_LAST && last))
                g->rows[p->n_rows++] = p->n_tokens;
            g->ids[p->n_tokens] = (uint32_t)it->tokens[at->token + i];
            g->tokens[p->n_tokens++] =
                (struct pass_token){kv_pages_cell(pages, it->seq, start + i), start + i};
        }
        at->token += n;
        if (at->token == it->n) *at = (struct cursor){at->item + 1, 0};
    }
}

// The pass through every device in turn; between them the residual stream goes by the host.
static bool run_pass(struct engine *g, const struct pass *p, struct err *e)
{
    struct forward *f = &g->stages[0].forward;
    size_t bytes = (size_t)p->n_tokens * forward_stride(f) * sizeof(float);
    embed_rows(&g->file, &g->config, g->ids, p->n_tokens, forward_stride(f), forward_input(f));
    for (uint32_t k = 0; k < g->place.n_stages; k++) {
        struct forward *next = &g->stages[k].forward;
        if (k) memcpy(forward_input(next), forward_output(f), bytes);
        f = next;
        if (!forward_run(f, p, e)) return false;
    }
    return true;
}

static void cancel_room(struct engine *g, const struct engine_item *items, size_t n, bool copied)
{
    while (n--)
        kv_pages_cancel(&g->pages, items[n].seq, &g->copies[n], copied);
}

// Pages for all items, the page tables of the devices, and copies of shared pages.
static bool make_room(struct engine *g, const struct engine_item *items, size_t n_items,
                      struct err *e)
{
    for (size_t i = 0; i < n_items; i++)
        if (!kv_pages_grow(&g->pages, items[i].seq, (uint32_t)items[i].n, &g->copies[i], e)) {
            cancel_room(g, items, i, false);
            return false;
        }
    for (uint32_t k = 0; k < g->place.n_stages; k++) {
        struct kv_store *kv = &g->stages[k].forward.kv;
        if (!kv_store_copy(kv, g->copies, n_items, e)) {
            cancel_room(g, items, n_items, false);
            return false;
        }
        for (size_t i = 0; i < n_items; i++)
            kv_store_sync(kv, &g->pages, items[i].seq);
    }
    return true;
}

// One of logits and largest, or neither where nothing is wanted.
static bool run_passes(struct engine *g, const struct engine_item *items, size_t n_items,
                       float *logits, int32_t *largest, struct err *e)
{
    for (struct cursor at = {0, 0}; at.item < n_items;) {
        struct pass p;
        next_pass(g, items, n_items, &at, &p);
        p.logits = logits;
        p.largest = largest;
        if (!cancel_check(e) || !run_pass(g, &p, e)) return false;
        if (logits) logits += (size_t)p.n_rows * g->config.n_vocab;
        if (largest) largest += p.n_rows;
    }
    return true;
}

static bool run_items(struct engine *g, const struct engine_item *items, size_t n_items,
                      float *logits, int32_t *largest, struct err *e)
{
    if (!check_items(g, items, n_items, e) || !make_room(g, items, n_items, e)) return false;
    if (!run_passes(g, items, n_items, logits, largest, e)) {
        cancel_room(g, items, n_items, true);
        return false;
    }
    for (size_t i = 0; i < n_items; i++)
        kv_pages_keep(&g->pages, items[i].seq, (uint32_t)items[i].n);
    return true;
}

bool engine_run(struct engine *g, const struct engine_item *items, size_t n_items, float *logits,
                struct err *e)
{
    return run_items(g, items, n_items, logits, NULL, e);
}

bool engine_run_greedy(struct engine *g, const struct engine_item *items, size_t n_items,
                       int32_t *ids, struct err *e)
{
    return run_items(g, items, n_items, NULL, ids, e);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool engine_matvec_speed(struct engine *g, uint32_t runs, double *bytes, double *seconds,
                         struct err *e)
{
    double *times = calloc(runs, sizeof *times), ignored;
    if (!times) return err_nomem(e, "timings", runs * sizeof *times);
    struct forward *last = &g->stages[g->place.n_stages - 1].forward;
    bool ok = runs > 0 && forward_time_matvec(last, bytes, &ignored, e);
    for (uint32_t i = 0; ok && i < runs; i++)
        ok = cancel_check(e) && forward_time_matvec(last, bytes, &times[i], e);
    if (ok) {
        qsort(times, runs, sizeof *times, by_value);
        *seconds = times[runs / 2];
    }
    free(times);
    return ok;
}
