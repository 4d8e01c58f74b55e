// Texts to tokens and back: one array of bytes, and open addressing with linear probing.
#include "engine/tokenizer/tok.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t tok_hash(const char *s, size_t n)
{
    uint64_t h = n * 0x9e3779b97f4a7c15u, chunk;
    for (; n >= 8; s += 8, n -= 8) {
        memcpy(&chunk, s, 8);
        h = (h ^ chunk) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    chunk = 0;
    if (n >= 4) { // overlapping loads: a copy of n bytes would be a call
        uint32_t first, last;
        memcpy(&first, s, 4);
        memcpy(&last, s + n - 4, 4);
        chunk = (uint64_t)last << 32 | first;
    } else if (n) {
        const unsigned char *u = (const unsigned char *)s;
        chunk = (uint64_t)u[0] << 16 | (uint64_t)u[n / 2] << 8 | u[n - 1];
    }
    h = (h ^ chunk) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32; // the last bytes stand in the high bits, which a product does not carry down
    return h * 0xbf58476d1ce4e5b9u;
}

bool tok_add(struct vocab *v, const char *text, size_t size, struct err *e)
{
    if (v->n_spans == v->n_tokens || size > UINT32_MAX - v->bytes.size)
        return err_set(e, ERR_UNSUPPORTED, "the vocabulary's texts are larger than 4 GiB");
    v->spans[v->n_spans++] = (struct tok_span){(uint32_t)v->bytes.size, (uint32_t)size};
    text_add(&v->bytes, text, size);
    return !v->bytes.failed || err_nomem(e, "the vocabulary", v->bytes.size + size);
}

// The slot that holds the text, or the free one where it belongs.
static struct tok_slot *slot_of(const struct vocab *v, const char *text, size_t size, uint32_t *tag)
{
    uint64_t h = tok_hash(text, size);
    *tag = (uint32_t)h;
    for (uint32_t i = (uint32_t)(h >> 32) & v->slot_mask;; i = (i + 1) & v->slot_mask) {
        struct tok_slot *slot = &v->slots[i];
        if (!slot->id) return slot;
        if (slot->tag != *tag) continue;
        struct tok_span span = v->spans[slot->id - 1];
        if (span.size == size && memcmp(v->bytes.data + span.at, text, size) == 0) return slot;
    }
}

bool tok_table_reserve(struct vocab *v, uint32_t n, struct err *e)
{
    uint32_t slots = 64;
    assert(!v->slots);
    while (slots / 2 <= n) // n is at most INT32_MAX / 4
        slots *= 2;
    v->slots = calloc(slots, sizeof *v->slots);
    v->slot_mask = slots - 1;
    return v->slots || err_nomem(e, "the vocabulary", slots * sizeof *v->slots);
}

void tok_table_add(struct vocab *v, uint32_t id)
{
    size_t size;
    uint32_t tag;
    const char *text = tok_text(v, id, &size);
    struct tok_slot *slot = slot_of(v, text, size, &tag);
    if (size == 0 || slot->id) return;
    *slot = (struct tok_slot){tag, id + 1};
    if (size > v->longest) v->longest = (uint32_t)size;
}

int32_t tok_find(const struct vocab *v, const char *text, size_t size)
{
    uint32_t tag;
    if (size == 0 || size > v->longest) return -1;
    return (int32_t)slot_of(v, text, size, &tag)->id - 1;
}
