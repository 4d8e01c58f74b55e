#include "tests/fuzz/mutate.h"
#include "base/size.h"

#include <string.h>

struct work {
    unsigned char *bytes;
    size_t size, cap;
    uint64_t random;
};

static uint64_t next(struct work *w) // splitmix64
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(struct work *w, size_t n) // 0 when n is 0
{
    return n ? (size_t)(next(w) % n) : 0;
}

// Lengths of chunks: short ones mostly, now and then a long one.
static size_t length(struct work *w, size_t most)
{
    size_t n = 1 + below(w, (size_t)1 << (1 + below(w, 12)));
    return size_min(n, most);
}

static void flip_bit(struct work *w)
{
    size_t at = below(w, w->size);
    if (w->size) w->bytes[at] ^= (unsigned char)(1 << below(w, 8));
}

static void set_byte(struct work *w)
{
    size_t at = below(w, w->size);
    if (w->size) w->bytes[at] = (unsigned char)next(w);
}

static void erase(struct work *w)
{
    size_t n = length(w, w->size), at = below(w, w->size - n + 1);
    memmove(w->bytes + at, w->bytes + at + n, w->size - at - n);
    w->size -= n;
}

// Puts n bytes of src in (insert) or over what is there.
static void put(struct work *w, size_t at, const unsigned char *src, size_t n, bool insert)
{
    if (insert) {
        n = size_min(n, w->cap - w->size);
        memmove(w->bytes + at + n, w->bytes + at, w->size - at);
        w->size += n;
    }
    n = size_min(n, w->size - at);
    memmove(w->bytes + at, src, n);
}

static void splice(struct work *w, const struct input *from, bool insert)
{
    size_t n = length(w, from->size), at = below(w, from->size - n + 1);
    put(w, below(w, w->size + 1), from->bytes + at, n, insert);
}

static void cross(struct work *w, const struct input *from) // the head of one, the tail of another
{
    size_t keep = below(w, w->size + 1), at = below(w, from->size + 1);
    size_t n = size_min(from->size - at, w->cap - keep);
    memcpy(w->bytes + keep, from->bytes + at, n);
    w->size = keep + n;
}

static uint64_t odd_number(struct work *w, uint64_t old)
{
    const uint64_t list[] = {0,          1,         2,         old - 1,
                             old + 1,    old * 2,   w->size,   UINT32_MAX,
                             UINT64_MAX, INT32_MAX, INT64_MAX, (uint64_t)1 << below(w, 64),
                             next(w)};
    return list[below(w, sizeof list / sizeof list[0])];
}

// A 4- or 8-byte field whose value could be a length of what follows becomes another number.
static void edit_length(struct work *w)
{
    size_t width = below(w, 2) ? 8 : 4;
    if (w->size < width) return;
    size_t from = below(w, w->size - width + 1);
    for (size_t at = from; at + width <= w->size && at < from + 512; at++) {
        uint64_t v = 0;
        for (size_t i = width; i-- > 0;)
            v = v << 8 | w->bytes[at + i];
        if (v == 0 || v > w->size - at) continue;
        v = odd_number(w, v);
        for (size_t i = 0; i < width; i++)
            w->bytes[at + i] = (unsigned char)(v >> 8 * i);
        return;
    }
}

static void change(struct work *w, const struct input *other)
{
    switch (below(w, 10)) {
    case 0:
    case 1: flip_bit(w); break;
    case 2: set_byte(w); break;
    case 3: erase(w); break;
    case 4: splice(w, other, true); break;
    case 5: splice(w, other, false); break;
    case 6: cross(w, other); break;
    case 7: w->size = below(w, w->size + 1); break;
    default: edit_length(w); break;
    }
}

size_t mutate(const struct input *corpus, size_t n, uint64_t seed, uint64_t i, unsigned char *out,
              size_t cap)
{
    struct work w = {.bytes = out, .cap = cap, .random = seed * 0x9e3779b97f4a7c15u ^ i};
    const struct input *from = &corpus[below(&w, n)];
    w.size = size_min(from->size, cap);
    memcpy(out, from->bytes, w.size);
    for (size_t k = 1 + below(&w, 6); k > 0; k--)
        change(&w, &corpus[below(&w, n)]);
    return w.size;
}
