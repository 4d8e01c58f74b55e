// libFuzzer target: a vocabulary from GGUF bytes, then a text.
//   input = u32 little-endian: n, the size of the file in the bytes that follow
//           GGUF bytes [n], clipped to what is there; the text is the rest
// Whatever opens must tokenize any text, give ids in range, and bring it back in whole characters.
#include "engine/tokenizer/tok.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) abort();
}

struct joined {
    struct text t;
    struct text cuts; // for every byte of t: 1 where a call ended behind it
};

static bool join(void *ctx, const char *text, size_t size, struct err *e)
{
    struct joined *j = ctx;
    (void)e;
    check(size > 0);
    text_add(&j->t, text, size);
    for (size_t i = 0; i < size; i++)
        text_add(&j->cuts, &(char){i + 1 == size}, 1);
    return true;
}

static void check_characters(const struct joined *j)
{
    uint32_t cp;
    for (size_t i = 0, n; i < j->t.size; i += n) {
        n = utf8_decode(j->t.data + i, j->t.size - i, &cp);
        for (size_t k = 0; k + 1 < n; k++)
            check(!j->cuts.data[i + k]);
    }
}

static void use(const struct vocab *v, const char *text, size_t size, unsigned flags)
{
    struct tokens ids = {0};
    struct err e = {0};
    struct joined j = {0};
    struct vocab_stream s;
    char *whole;
    size_t n;
    if (!vocab_tokenize(v, text, size, flags, &ids, &e)) {
        check(e.code && e.msg[0] && ids.n == 0);
        tokens_free(&ids);
        return;
    }
    vocab_stream_begin(&s, v, true, true);
    for (size_t i = 0; i < ids.n; i++) {
        check(ids.ids[i] >= 0 && (uint32_t)ids.ids[i] < vocab_size(v));
        check(vocab_stream_put(&s, ids.ids[i], join, &j, &e));
    }
    check(vocab_stream_end(&s, join, &j, &e));
    check(vocab_detokenize(v, ids.ids, ids.n, true, true, &whole, &n, &e));
    if (!j.t.failed && !j.cuts.failed) check_characters(&j);
    check(j.t.failed || (n == j.t.size && (!n || !memcmp(whole, j.t.data, n))));
    free(whole);
    text_free(&j.t);
    text_free(&j.cuts);
    tokens_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf g;
    struct vocab *v = NULL;
    struct err e = {0};
    if (size < 4) return 0;
    size_t n = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
    data += 4;
    size -= 4;
    if (n > size) n = size;
    if (!gguf_open_memory(data, n, "fuzz.gguf", true, &g, &e)) {
        check(e.code && e.msg[0]);
        return 0;
    }
    bool ok = vocab_load(&g, &v, &e);
    gguf_close(&g); // nothing may be borrowed from it
    check(ok ? v != NULL : !v && e.code && e.msg[0]);
    for (unsigned flags = 0; ok && flags < 8; flags++)
        use(v, (const char *)data + n, size - n, flags);
    vocab_close(v);
    return 0;
}
