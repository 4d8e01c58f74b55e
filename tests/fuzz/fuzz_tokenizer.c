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
    bool half; // a call ended inside a character
};

static bool join(void *ctx, const char *text, size_t size, struct err *e)
{
    struct joined *j = ctx;
    (void)e;
    check(size > 0);
    j->half = utf8_incomplete_tail(text, size) > 0;
    text_add(&j->t, text, size);
    return true;
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
        check(vocab_stream_put(&s, ids.ids[i], join, &j, &e) && !j.half);
    }
    check(vocab_stream_end(&s, join, &j, &e));
    check(vocab_detokenize(v, ids.ids, ids.n, true, true, &whole, &n, &e));
    check(j.t.failed || (n == j.t.size && (!n || !memcmp(whole, j.t.data, n))));
    free(whole);
    text_free(&j.t);
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
