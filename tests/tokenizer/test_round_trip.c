// 100,000 random texts for each vocabulary: detokenize(tokenize(s)) = s. The small vocabularies
// always, with every pre-tokenizer; the real ones where they are present. SmolLM2 has no tokens for
// some bytes, most of which UTF-8 never has; texts for it do without them.
#include "base/clock.h"
#include "base/file.h"
#include "base/utf8.h"
#include "engine/engine.h"
#include "engine/gguf/gguf.h"
#include "tests/tiny_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "test_round_trip.gguf"
#define FIXTURES LECTERN_SOURCE_DIR "/../shared/fixtures"
enum { N_TEXTS = 100000, TEXT_BYTES = 128 };

static const char *const pres[] = {
    "llama-bpe", "llama3",          "llama-v3", "falcon3",      "pixtral",
    "midm-2.0",  "smaug-bpe",       "minicpm5", "smollm",       "starcoder",
    "refact",    "minerva-7b",      "gpt-2",    "gpt2",         "mellum",
    "trillion",  "granite-docling", "qwen2",    "megrez",       "seed-coder",
    "tekken",    "viking",          "default",  "deepseek-llm", "deepseek-coder",
};
enum { N_PRES = sizeof pres / sizeof pres[0] };

// xorshift64*
static uint32_t random_below(uint64_t *state, uint32_t n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545f4914f6cdd1du >> 32) * n >> 32);
}

// A code point of any plane; not U+2581, which SentencePiece cannot tell from a space.
static uint32_t random_char(uint64_t *state)
{
    static const uint32_t below[] = {0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000};
    for (;;) {
        uint32_t cp = random_below(state, below[random_below(state, 6)]);
        if (cp != 0x2581 && (cp < 0xd800 || cp >= 0xe000)) return cp;
    }
}

static size_t random_part(uint64_t *state, char *s)
{
    static const char *const marks[] = {
        "<|im_start|>", "<|im_end|>", "<s>",     "</s>",  "<unk>",       "<0x41>",   "<|eot_id|>",
        "[INST]",       "I'll",       " don'T",  "12345", "1.5e-3",      "\r\n\r\n", "\xe2\x80\x83",
        "the thing",    " there",     "<|eot_i", "<pad>", "\xef\xbb\xbf"};
    static const char *const spaces[] = {" ",  " ",  " ",        "\n",
                                         "\t", "\r", "\xc2\xa0", "\xe3\x80\x80"};
    uint32_t kind = random_below(state, 6), times = 1 + random_below(state, 8);
    size_t n = 0;
    if (kind == 0) {
        strcpy(s, marks[random_below(state, sizeof marks / sizeof marks[0])]);
        return strlen(s);
    }
    for (uint32_t i = 0; i < times; i++) {
        const char *space = spaces[random_below(state, 8)];
        switch (kind) {
        case 1: s[n++] = (char)(' ' + random_below(state, 95)); break;
        case 2: s[n++] = (char)random_below(state, 256); break;
        case 3:
            strcpy(s + n, space);
            n += strlen(space);
            break;
        case 4: s[n++] = (char)('a' + random_below(state, 26)); break;
        default: n += utf8_encode(random_char(state), s + n);
        }
    }
    return n;
}

static size_t random_text(uint64_t *state, char s[TEXT_BYTES])
{
    size_t n = 0;
    for (uint32_t parts = random_below(state, 5); parts > 0 && n + 40 < TEXT_BYTES; parts--)
        n += random_part(state, s + n);
    for (size_t i = 0; i + 2 < n; i++) // made by chance from bytes
        if (!memcmp(s + i, "\xe2\x96\x81", 3)) s[i] = 'x';
    return n;
}

// Bytes that the vocabulary can spell; returns how many.
static int spelled(const struct vocab *v, bool has[256])
{
    int n = 0;
    for (int b = 0; b < 256; b++) {
        char byte = (char)b, *back;
        struct tokens ids = {0};
        size_t size;
        struct err e = {0};
        has[b] = vocab_tokenize(v, &byte, 1, 0, &ids, &e) &&
                 vocab_detokenize(v, ids.ids, ids.n, true, true, &back, &size, &e);
        if (has[b]) {
            has[b] = size == 1 && back[0] == byte;
            free(back);
        }
        tokens_free(&ids);
        n += has[b];
    }
    return n;
}

// flags: special tokens in the text stay what they are, by name, in a byte-level vocabulary.
static void round_trips(const struct vocab *v, uint64_t seed, int n_texts, unsigned flags,
                        int least_bytes)
{
    struct tokens ids = {0};
    bool has[256];
    assert_true(spelled(v, has) >= least_bytes);
    for (int round = 0; round < n_texts; round++) {
        char s[TEXT_BYTES], *back;
        size_t n = random_text(&seed, s), size;
        struct err e = {0};
        ids.n = 0;
        for (size_t i = 0; i < n; i++)
            if (!has[(unsigned char)s[i]]) s[i] = 'x';
        if (!vocab_tokenize(v, s, n, flags, &ids, &e)) fail_msg("%s", e.msg);
        if (!vocab_detokenize(v, ids.ids, ids.n, true, true, &back, &size, &e))
            fail_msg("%s", e.msg);
        if (size != n || memcmp(back, s, n) != 0)
            fail_msg("text %d came back otherwise: %zu bytes '%s' for %zu '%.*s'", round, size,
                     back, n, (int)n, s);
        free(back);
    }
    tokens_free(&ids);
}

static struct vocab *open_small(struct tiny *t)
{
    struct vocab *v = NULL;
    struct err e = {0};
    if (!tiny_write(t, PATH, &e) || !vocab_open(PATH, &v, &e)) fail_msg("%s", e.msg);
    tiny_free(t);
    return v;
}

static struct vocab *small(enum tiny_vocab kind)
{
    struct tiny t;
    struct err e = {0};
    tiny_begin(&t, 3);
    if (!tiny_vocab_keys(&t, kind, 400, &e)) fail_msg("%s", e.msg);
    return open_small(&t);
}

// The tokens and merges of the small vocabulary under another pre-tokenizer.
static struct vocab *small_with(const char *pre)
{
    static const char *const lists[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"};
    static char texts[2][400][32];
    struct gguf g;
    struct tiny t;
    struct err e = {0};
    vocab_close(small(TINY_BPE)); // leaves its file
    if (!gguf_open(PATH, &g, &e)) fail_msg("%s", e.msg);
    tiny_begin(&t, 3);
    tiny_str(&t, "tokenizer.ggml.model", "gpt2");
    tiny_str(&t, "tokenizer.ggml.pre", pre);
    for (int k = 0; k < 2; k++) {
        const struct gguf_kv *kv = gguf_find(&g, lists[k]);
        const char *list[400];
        assert_true(kv->count <= 400);
        for (uint64_t i = 0; i < kv->count; i++) {
            struct gguf_str s = gguf_array_string(kv, i);
            snprintf(texts[k][i], sizeof texts[k][i], "%.*s", (int)s.n, s.s);
            list[i] = texts[k][i];
        }
        tiny_strs(&t, lists[k], list, kv->count);
    }
    gguf_close(&g);
    return open_small(&t);
}

static void test_small(void **state)
{
    (void)state;
    struct vocab *v = small(TINY_SPM);
    round_trips(v, 1, N_TEXTS, 0, 256);
    vocab_close(v);
    v = small(TINY_BPE);
    round_trips(v, 2, N_TEXTS / 2, 0, 256);
    round_trips(v, 3, N_TEXTS / 2, TOK_SPECIAL, 256);
    vocab_close(v);
}

static void test_every_pre(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_PRES; i++) {
        struct vocab *v = small_with(pres[i]);
        round_trips(v, 10 + i, N_TEXTS / N_PRES, 0, 256);
        vocab_close(v);
    }
}

// Runs of 100,000 characters: an expression that tries a run from each of its places would take
// 10^10 steps, some ten seconds; once through is milliseconds.
static void test_long_runs(void **state)
{
    (void)state;
    static const char *const fills[] = {" ", "a", "A", "7", "\n", ".", "\xe4\xb8\x80", " \t"};
    enum { N = 100000 };
    char *s = malloc(N + 4);
    assert_non_null(s);
    for (size_t i = 0; i < N_PRES; i++) {
        struct vocab *v = small_with(pres[i]);
        for (size_t f = 0; f < sizeof fills / sizeof fills[0]; f++) {
            struct tokens ids = {0};
            struct err e = {0};
            size_t len = strlen(fills[f]), n = 0;
            while (n + len <= N) {
                memcpy(s + n, fills[f], len);
                n += len;
            }
            memcpy(s + n, "\xe4\xb8\x80", 3); // behind white space
            double start = clock_s();
            if (!vocab_tokenize(v, s, n + 3, 0, &ids, &e)) fail_msg("%s", e.msg);
            if (clock_s() - start > 5)
                fail_msg("%s takes %.1f s for fill %zu", pres[i], clock_s() - start, f);
            tokens_free(&ids);
        }
        vocab_close(v);
    }
    free(s);
}

static void real(const char *path, uint64_t seed, int least_bytes)
{
    struct vocab *v;
    struct err e = {0};
    if (!file_exists(path)) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    if (!vocab_open(path, &v, &e)) fail_msg("%s", e.msg);
    round_trips(v, seed, N_TEXTS, 0, least_bytes);
    vocab_close(v);
}

static void test_llama_spm(void **state)
{
    (void)state;
    real(FIXTURES "/vocab/ggml-vocab-llama-spm.gguf", 4, 256);
}

static void test_llama_bpe(void **state)
{
    (void)state;
    real(FIXTURES "/vocab/ggml-vocab-llama-bpe.gguf", 5, 256);
}

static void test_smollm2(void **state)
{
    (void)state;
    char cache[2048], path[4096];
    struct err e = {0};
    if (!file_cache_dir(cache, sizeof cache, &e)) skip();
    snprintf(path, sizeof path, "%s/models/SmolLM2-135M-Instruct.Q4_1.gguf", cache);
    real(path, 6, 235);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),     cmocka_unit_test(test_every_pre),
        cmocka_unit_test(test_long_runs), cmocka_unit_test(test_llama_spm),
        cmocka_unit_test(test_llama_bpe), cmocka_unit_test(test_smollm2),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(PATH);
    return failed;
}
