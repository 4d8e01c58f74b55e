#include "evals/select.h"

#include <stdlib.h>
#include <string.h>

struct place {
    uint32_t item;
    uint64_t rank, of; // r-th of m items of its subject
    const char *hash;
    const char *subject;
};

static int by_subject(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int c = strcmp(x->subject, y->subject);
    if (!c) c = strcmp(x->hash, y->hash);
    return c ? c : (x->item > y->item) - (x->item < y->item);
}

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    uint64_t l = (2 * x->rank + 1) * y->of, r = (2 * y->rank + 1) * x->of; // exact fractions
    if (l != r) return l < r ? -1 : 1;
    int c = strcmp(x->hash, y->hash);
    return c ? c : (x->item > y->item) - (x->item < y->item);
}

bool select_ranked(const struct eval_set *s, uint32_t *out, struct err *e)
{
    struct place *p = calloc(s->n + 1, sizeof *p);
    if (!p) return err_nomem(e, "the order of items", s->n * sizeof *p);
    for (size_t i = 0; i < s->n; i++)
        p[i] = (struct place){
            .item = (uint32_t)i, .hash = s->items[i].doc_sha256, .subject = s->items[i].subject};
    qsort(p, s->n, sizeof *p, by_subject);
    for (size_t from = 0, to; from < s->n; from = to) {
        for (to = from; to < s->n && !strcmp(p[to].subject, p[from].subject); to++)
            p[to].rank = to - from;
        for (size_t i = from; i < to; i++)
            p[i].of = to - from;
    }
    qsort(p, s->n, sizeof *p, by_place);
    for (size_t i = 0; i < s->n; i++)
        out[i] = p[i].item;
    free(p);
    return true;
}

size_t select_limit(const struct eval_set *s, uint32_t limit, uint32_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!limit || s->items[i].doc_id < limit) out[n++] = (uint32_t)i;
    return n;
}

size_t select_bytes(const struct eval_set *s, const struct eval_item *it, bool first)
{
    const struct eval_prefix *p = &s->prefixes[it->prefix];
    return strlen(it->text) + (first || !p->shared ? p->size : 0);
}

bool select_fit(const struct eval_set *s, const uint32_t *order, size_t n_order, size_t n_min,
                double bytes_per_s, double seconds, size_t *n, struct err *e)
{
    bool *seen = calloc(s->n_prefixes + 1, sizeof *seen);
    if (!seen) return err_nomem(e, "the choice of items", s->n_prefixes);
    double bytes = 0;
    for (*n = 0; *n < n_order; (*n)++) {
        const struct eval_item *it = &s->items[order[*n]];
        if (*n >= n_min) { // what the calibration ran is paid for
            bytes += (double)select_bytes(s, it, !seen[it->prefix]);
            seen[it->prefix] = true;
        }
        if (bytes > bytes_per_s * seconds) break;
    }
    free(seen);
    return true;
}

static int by_index(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void select_sort(uint32_t *items, size_t n)
{
    qsort(items, n, sizeof *items, by_index);
}
