// Text as ids come: whatever the pieces, characters come whole, and all calls together are the
// text that vocab_detokenize gives.
#include "base/utf8.h"
#include "engine/engine.h"
#include "tests/tiny_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "test_stream.gguf"
enum { TEXT_MAX = 12, FIRST = 3 };

// A vocabulary of <unk>, <s>, </s> and every part s[i..j) of a text, in order of i, then j. A part
// of one byte is a byte token, as SentencePiece has them for what is no word.
static struct vocab *parts_of(const char *s)
{
    static char part[TEXT_MAX * TEXT_MAX][TEXT_MAX + 1];
    const char *tokens[FIRST + TEXT_MAX * TEXT_MAX] = {"<unk>", "<s>", "</s>"};
    int32_t types[FIRST + TEXT_MAX * TEXT_MAX] = {2, 3, 3};
    static const float scores[FIRST + TEXT_MAX * TEXT_MAX];
    size_t n = strlen(s), k = 0;
    struct tiny t;
    struct vocab *v = NULL;
    struct err e = {0};
    assert_true(n <= TEXT_MAX);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j <= n; j++, k++) {
            if (j == i + 1)
                snprintf(part[k], sizeof part[k], "<0x%02X>", (unsigned char)s[i]);
            else
                snprintf(part[k], sizeof part[k], "%.*s", (int)(j - i), s + i);
            tokens[FIRST + k] = part[k];
            types[FIRST + k] = j == i + 1 ? 6 : 1;
        }
    }
    tiny_begin(&t, 3);
    tiny_str(&t, "tokenizer.ggml.model", "llama");
    tiny_strs(&t, "tokenizer.ggml.tokens", tokens, FIRST + k);
    tiny_i32s(&t, "tokenizer.ggml.token_type", types, FIRST + k);
    tiny_f32s(&t, "tokenizer.ggml.scores", scores, FIRST + k);
    if (!tiny_write(&t, PATH, &e) || !vocab_open(PATH, &v, &e)) fail_msg("%s", e.msg);
    tiny_free(&t);
    return v;
}

static int32_t id_of(size_t n, size_t i, size_t j)
{
    return (int32_t)(FIRST + i * n - i * (i - 1) / 2 + j - i - 1);
}

struct got {
    char text[64];
    size_t n;
    bool cut[64]; // a call ended behind this byte
    bool refuse;
};

static bool take(void *ctx, const char *text, size_t size, struct err *e)
{
    struct got *g = ctx;
    assert_true(size > 0 && g->n + size < sizeof g->text);
    if (g->refuse) return err_set(e, ERR_IO, "enough");
    memcpy(g->text + g->n, text, size);
    g->n += size;
    g->cut[g->n - 1] = true;
    return true;
}

static void whole_characters(const struct got *g)
{
    uint32_t cp;
    for (size_t i = 0, n; i < g->n; i += n) {
        n = utf8_decode(g->text + i, g->n - i, &cp);
        for (size_t k = 0; k + 1 < n; k++)
            assert_false(g->cut[i + k]);
    }
}

// All 2^(n - 1) ways to cut the text into tokens. held: bytes that wait for the end.
static void every_split(const char *s, bool strip, size_t held)
{
    struct vocab *v = parts_of(s);
    size_t n = strlen(s);
    for (uint32_t cuts = 0; cuts < 1u << (n - 1); cuts++) {
        struct vocab_stream stream;
        struct got g = {0};
        struct err e = {0};
        int32_t ids[TEXT_MAX + 1] = {1}; // the control token in front has no text
        size_t n_ids = 1, begin = 0, size;
        char *whole;
        vocab_stream_begin(&stream, v, false, strip);
        for (size_t end = 1; end <= n; end++) {
            if (end < n && !(cuts >> (end - 1) & 1)) continue;
            ids[n_ids++] = id_of(n, begin, end);
            begin = end;
        }
        for (size_t i = 0; i < n_ids; i++)
            assert_true(vocab_stream_put(&stream, ids[i], take, &g, &e));
        assert_int_equal(g.n + held, strip && s[0] == ' ' ? n - 1 : n); // nothing waits in vain
        assert_true(vocab_stream_end(&stream, take, &g, &e));
        whole_characters(&g);
        assert_true(vocab_stream_end(&stream, take, &g, &e)); // nothing is left
        assert_true(vocab_detokenize(v, ids, n_ids, false, strip, &whole, &size, &e));
        assert_int_equal(g.n, size);
        assert_memory_equal(g.text, whole, size);
        assert_int_equal(size, strip && s[0] == ' ' ? n - 1 : n);
        assert_memory_equal(whole, s + (n - size), size);
        free(whole);
    }
    vocab_close(v);
}

static void test_every_split(void **state)
{
    (void)state;
    every_split("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", false, 0);
    every_split("\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xe2\x82\xac", false, 0);
    every_split(" \xc3\xa9 \xf4\x8f\xbf\xbf", true, 0);
    every_split(" \xc3\xa9", false, 0);
    every_split("\xff\xe2\x82x\x80\xf0\x9f\x98\xc0\xaf\xed\xa0", false, 2); // none is valid
    every_split("\xe2\x82\xe2\x82\xac\xf0\x9f\x98\xc3\xa9", false, 0);
    every_split("ab\xf0\x9f\x98", true, 3);
}

static void test_names_and_range(void **state)
{
    (void)state;
    struct vocab *v = parts_of(" a");
    struct vocab_stream s;
    struct got g = {0};
    struct err e = {0};
    static const int32_t ids[] = {1, FIRST + 1, -1, 999, 2, FIRST + 1};
    vocab_stream_begin(&s, v, true, true);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        assert_true(vocab_stream_put(&s, ids[i], take, &g, &e));
    assert_string_equal(g.text, "<s>a</s> a"); // the space goes once
    g.refuse = true;
    assert_false(vocab_stream_put(&s, FIRST, take, &g, &e));
    assert_string_equal(e.msg, "enough");
    vocab_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_names_and_range),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(PATH);
    return failed;
}
