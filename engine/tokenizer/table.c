// Texts to symbols and back: one array of bytes, and open addressing with linear probing.
#include "engine/tokenizer/tok.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_text(const char *s, size_t n)
{
    uint64_t h = n * 0x9e3779b97f4a7c15u, chunk;
    for (; n >= 8; s += 8, n -= 8) {
        memcpy(&chunk, s, 8);
        h = (h ^ chunk) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    chunk = 0;
    memcpy(&chunk, s, n);
    h = (h ^ chunk) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32);
}

bool tok_symbol(struct vocab *v, const char *text, size_t size, uint32_t *id, struct err *e)
{
    if (v->n_symbols == v->cap_symbols) {
        uint32_t cap = v->cap_symbols ? v->cap_symbols * 2 : 1024;
        struct tok_span *grown = cap > INT32_MAX ? NULL : realloc(v->spans, cap * sizeof *grown);
        if (!grown) return err_nomem(e, "the vocabulary", cap * sizeof *grown);
        v->spans = grown;
        v->cap_symbols = cap;
    }
    if (size > UINT32_MAX - v->bytes.size)
        return err_set(e, ERR_UNSUPPORTED, "the vocabulary's texts are larger than 4 GiB");
    v->spans[v->n_symbols] = (struct tok_span){(uint32_t)v->bytes.size, (uint32_t)size};
    text_add(&v->bytes, text, size);
    if (v->bytes.failed) return err_nomem(e, "the vocabulary", v->bytes.size + size);
    *id = v->n_symbols++;
    return true;
}

// The slot that holds the text, or the free one where it belongs.
static uint32_t slot_of(const struct vocab *v, const char *text, size_t size)
{
    uint32_t i = hash_text(text, size) & v->slot_mask;
    for (;; i = (i + 1) & v->slot_mask) {
        if (!v->slots[i]) return i;
        struct tok_span span = v->spans[v->slots[i] - 1];
        if (span.size == size && memcmp(v->bytes.data + span.at, text, size) == 0) return i;
    }
}

static bool grow_table(struct vocab *v, struct err *e)
{
    uint32_t old_n = v->slots ? v->slot_mask + 1 : 0, n = old_n ? old_n * 2 : 4096;
    uint32_t *old = v->slots, *slots = n ? calloc(n, sizeof *slots) : NULL;
    if (!slots) return err_nomem(e, "the vocabulary", n * sizeof *slots);
    v->slots = slots;
    v->slot_mask = n - 1;
    for (uint32_t i = 0; i < old_n; i++) {
        if (!old[i]) continue;
        size_t size;
        const char *text = tok_text(v, old[i] - 1, &size);
        v->slots[slot_of(v, text, size)] = old[i];
    }
    free(old);
    return true;
}

bool tok_table_add(struct vocab *v, uint32_t id, struct err *e)
{
    size_t size;
    if ((!v->slots || v->n_slots_used > v->slot_mask / 2) && !grow_table(v, e)) return false;
    const char *text = tok_text(v, id, &size);
    uint32_t i = slot_of(v, text, size);
    if (size == 0 || v->slots[i]) return true;
    v->slots[i] = id + 1;
    v->n_slots_used++;
    if (size > v->longest) v->longest = (uint32_t)size;
    return true;
}

int32_t tok_find(const struct vocab *v, const char *text, size_t size)
{
    if (size == 0 || size > v->longest) return -1;
    return (int32_t)v->slots[slot_of(v, text, size)] - 1;
}

bool tok_intern(struct vocab *v, const char *text, size_t size, uint32_t *id, struct err *e)
{
    int32_t found = tok_find(v, text, size);
    if (found >= 0) {
        *id = (uint32_t)found;
        return true;
    }
    return tok_symbol(v, text, size, id, e) && tok_table_add(v, *id, e);
}
