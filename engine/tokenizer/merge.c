// The merging loop: neighbours join in the order of their rank until no rule applies.
// Symbols are a doubly linked list in an array; candidates wait in a binary heap and are checked
// for staleness when they come up, so n symbols cost O(n log n).
#include "engine/tokenizer/tok.h"

#include <stdlib.h>

void merge_begin(struct merge_work *w, const char *text)
{
    w->text = text;
    w->n = w->n_heap = 0;
}

bool merge_add(struct merge_work *w, uint32_t size, int32_t id, struct err *e)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 256;
        struct merge_symbol *grown =
            cap > INT32_MAX ? NULL : realloc(w->symbols, cap * sizeof *grown);
        if (!grown) return err_nomem(e, "tokenizing", cap * sizeof *grown);
        w->symbols = grown;
        w->cap = cap;
    }
    uint32_t at = w->n ? w->symbols[w->n - 1].at + w->symbols[w->n - 1].size : 0;
    w->symbols[w->n] = (struct merge_symbol){at, size, (int32_t)w->n - 1, -1, id};
    if (w->n) w->symbols[w->n - 1].next = (int32_t)w->n;
    w->n++;
    return true;
}

static void sift_up(struct merge_pair *heap, size_t i)
{
    struct merge_pair pair = heap[i];
    while (i && heap[(i - 1) / 2].order > pair.order) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = pair;
}

static struct merge_pair pop(struct merge_work *w)
{
    struct merge_pair *heap = w->heap, top = heap[0], last = heap[--w->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && heap[child + 1].order < heap[child].order) child++;
        if (heap[child].order >= last.order) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

static bool consider(const struct vocab *v, struct merge_work *w, int32_t left, merge_rule *rule,
                     struct err *e)
{
    uint32_t rank;
    int32_t id;
    if (left < 0 || w->symbols[left].next < 0) return true;
    const struct merge_symbol *l = &w->symbols[left], *r = &w->symbols[l->next];
    if (!rule(v, w->text, l, r, &rank, &id)) return true;
    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? w->cap_heap * 2 : 256;
        struct merge_pair *grown =
            cap > SIZE_MAX / sizeof *grown ? NULL : realloc(w->heap, cap * sizeof *grown);
        if (!grown) return err_nomem(e, "tokenizing", cap * sizeof *grown);
        w->heap = grown;
        w->cap_heap = cap;
    }
    w->heap[w->n_heap] =
        (struct merge_pair){(uint64_t)rank << 32 | (uint32_t)left, l->size + r->size, id};
    sift_up(w->heap, w->n_heap++);
    return true;
}

bool merge_run(const struct vocab *v, struct merge_work *w, merge_rule *rule, struct err *e)
{
    for (size_t i = 0; i + 1 < w->n; i++)
        if (!consider(v, w, (int32_t)i, rule, e)) return false;
    while (w->n_heap) {
        struct merge_pair pair = pop(w);
        int32_t left = (int32_t)(pair.order & 0xffffffffu);
        struct merge_symbol *l = &w->symbols[left];
        if (l->size == 0 || l->next < 0) continue;
        struct merge_symbol *r = &w->symbols[l->next];
        if (l->size + r->size != pair.size) continue; // one of them has grown since
        l->size = pair.size;
        l->id = pair.id;
        l->next = r->next;
        r->size = 0;
        if (l->next >= 0) w->symbols[l->next].prev = left;
        if (!consider(v, w, l->prev, rule, e) || !consider(v, w, left, rule, e)) return false;
    }
    return true;
}

void merge_free(struct merge_work *w)
{
    free(w->symbols);
    free(w->heap);
    *w = (struct merge_work){0};
}
