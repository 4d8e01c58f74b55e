#include "tests/tiny_split.h"

#include <stdio.h>
#include <string.h>

void tiny_split_keys(struct tiny *t, uint32_t no, uint32_t count, uint32_t n_tensors)
{
    const unsigned char n[2] = {(unsigned char)no, (unsigned char)(no >> 8)};
    const unsigned char c[2] = {(unsigned char)count, (unsigned char)(count >> 8)};
    const unsigned char all[4] = {(unsigned char)n_tensors, (unsigned char)(n_tensors >> 8),
                                  (unsigned char)(n_tensors >> 16),
                                  (unsigned char)(n_tensors >> 24)};
    tiny_raw(t, "split.no", GGUF_U16, n, sizeof n);
    tiny_raw(t, "split.count", GGUF_U16, c, sizeof c);
    tiny_raw(t, "split.tensors.count", GGUF_I32, all, sizeof all);
}

void tiny_split_path(const char *stem, uint32_t no, uint32_t count, char *out, size_t out_size)
{
    snprintf(out, out_size, "%s-%05u-of-%05u.gguf", stem, no + 1, count);
}

// A value's bytes lie in the file behind its type word: a string's length before its data, an
// array's type and length.
static void copy_kv(struct tiny *t, const struct gguf_kv *kv)
{
    char key[256];
    size_t before = kv->type == GGUF_ARRAY ? 12 : kv->type == GGUF_STRING ? 8 : 0;
    snprintf(key, sizeof key, "%.*s", (int)kv->key.n, kv->key.s);
    tiny_raw(t, key, kv->type, kv->data - before, kv->size + before);
}

static void copy_tensor(struct tiny *t, const struct gguf_tensor *x)
{
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)x->name.n, x->name.s);
    tiny_tensor(t, name, x->type, x->n_dims, x->ne, x->data, x->size);
}

bool tiny_split(const char *path, const char *stem, uint32_t count, bool bare_first, struct err *e)
{
    struct gguf g;
    bool ok = true;
    if (!gguf_open(path, &g, e)) return false;
    size_t parts = count - bare_first, at = 0;
    for (uint32_t i = 0; ok && i < count; i++) {
        struct tiny t;
        char name[1024];
        tiny_begin(&t, 3);
        for (size_t k = 0; i == 0 && k < g.n_kv; k++)
            copy_kv(&t, &g.kv[k]);
        tiny_split_keys(&t, i, count, (uint32_t)g.n_tensors);
        size_t end = i + 1 == count ? g.n_tensors : (i + 1 - bare_first) * g.n_tensors / parts;
        for (; at < end; at++)
            copy_tensor(&t, &g.tensors[at]);
        tiny_split_path(stem, i, count, name, sizeof name);
        ok = tiny_write(&t, name, e);
        tiny_free(&t);
    }
    gguf_close(&g);
    return ok;
}
