// The tokenizer on small vocabularies made here: splitting, merging, special tokens, pieces, and
// files that are wrong.
#include "base/clock.h"
#include "base/file.h"
#include "engine/engine.h"
#include "tests/tiny_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "test_tokenizer.gguf"

static void must(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->msg);
}

static struct vocab *open_tiny(struct tiny *t)
{
    struct vocab *v = NULL;
    struct err e = {0};
    must(tiny_write(t, PATH, &e), &e);
    must(vocab_open(PATH, &v, &e), &e);
    tiny_free(t);
    return v;
}

static struct vocab *tiny_vocab_of(enum tiny_vocab kind, uint32_t n)
{
    struct tiny t;
    struct err e = {0};
    tiny_begin(&t, 3);
    tiny_str(&t, "general.architecture", "llama");
    must(tiny_vocab_keys(&t, kind, n, &e), &e);
    return open_tiny(&t);
}

// The tokens of a text as their pieces with a bar between: "th|e".
static void expect(const struct vocab *v, unsigned flags, const char *text, const char *pieces)
{
    struct tokens ids = {0};
    struct text got = {0};
    struct err e = {0};
    must(vocab_tokenize(v, text, strlen(text), flags, &ids, &e), &e);
    for (size_t i = 0; i < ids.n; i++) {
        size_t size;
        const char *piece = vocab_piece(v, ids.ids[i], true, &size);
        if (i) text_puts(&got, "|");
        text_add(&got, piece, size);
    }
    text_add(&got, "", 0);
    assert_string_equal(got.data, pieces);
    text_free(&got);
    tokens_free(&ids);
}

static void test_tiny_bpe(void **state)
{
    (void)state;
    struct vocab *v = tiny_vocab_of(TINY_BPE, 320);
    assert_int_equal(vocab_size(v), 320);
    assert_int_equal(vocab_bos(v), 1);
    assert_int_equal(vocab_eos(v), 2);
    assert_false(vocab_adds_bos(v));
    assert_true(vocab_is_eog(v, 2) && vocab_is_eog(v, 0) && !vocab_is_eog(v, 1));
    assert_true(vocab_is_special(v, 1) && !vocab_is_special(v, 3));
    expect(v, 0, "", "");
    expect(v, 0, "the thing", "the| th|ing");
    expect(v, 0, "x<|im_end|>", "x|<|||i|m|_|e|n|d|||>");
    expect(v, TOK_SPECIAL, "the<|im_end|>and<|im_end", "the|<|im_end|>|and|<|||i|m|_|e|n|d");
    expect(v, TOK_SPECIAL, "<|im_<|im_start|>", "<|||i|m|_|<|im_start|>");
    expect(v, TOK_ADD_BOS, "in", "in"); // the file does not ask for one
    expect(v, 0, "\xc3\xa9\xff", "\xc3|\xa9|\xff");
    vocab_close(v);
}

static void test_tiny_spm(void **state)
{
    (void)state;
    struct vocab *v = tiny_vocab_of(TINY_SPM, 320);
    struct tokens ids = {0};
    struct err e = {0};
    assert_true(vocab_adds_bos(v));
    expect(v, 0, "", "");
    expect(v, 0, "the thing", " the| th|ing");
    expect(v, 0, " the", " | the");
    expect(v, TOK_ADD_BOS, "in", "<s>| in");
    expect(v, TOK_ADD_BOS, "", "<s>");
    expect(v, TOK_ADD_BOS | TOK_SPECIAL, "<s>in", "<s>| in");
    expect(v, TOK_SPECIAL, "a</s>b", " |a|</s>| |b");
    expect(v, 0, "</s>", " |<|/|s|>");
    expect(v, 0, "\xe2\x96\x81in", " | in"); // the mark of a space counts as one
    must(vocab_tokenize(v, "\n\xc3\xa9", 3, 0, &ids, &e), &e);
    assert_int_equal(ids.n, 4);
    assert_int_equal(ids.ids[1], 3 + '\n');
    assert_int_equal(ids.ids[2], 3 + 0xc3);
    tokens_free(&ids);
    vocab_close(v);
    v = tiny_vocab_of(TINY_SPM, 3); // no letter, no byte: everything is unknown
    expect(v, 0, "ab", "<unk>|<unk>|<unk>");
    vocab_close(v);
}

// Merges that would cross the borders of words, to see where the borders are.
static struct vocab *splits(const char *pre)
{
    static const char *const merges[] = {"1 2",        "12 3", "123 4",      "\xc4\xa0 \xc4\xa0",
                                         "' L",        "'L L", "! \xc4\x8a", "\xc4\xa0 a",
                                         "\xc4\xa0 1", "' s",  "( a"};
    enum { N = sizeof merges / sizeof merges[0] };
    static const char *const more[] = {"12",
                                       "123",
                                       "1234",
                                       "\xc4\xa0\xc4\xa0",
                                       "'L",
                                       "'LL",
                                       "!\xc4\x8a",
                                       "\xc4\xa0"
                                       "a",
                                       "\xc4\xa0"
                                       "1",
                                       "'s",
                                       "(a",
                                       "zq",
                                       "<u>",
                                       "<u>x"};
    enum { N_MORE = sizeof more / sizeof more[0] };
    struct tiny base;
    struct err e = {0};
    struct gguf g;
    const char *tokens[256 + N_MORE];
    int32_t types[256 + N_MORE];
    static char letters[256][8];
    tiny_begin(&base, 3); // the 256 letters, read back from a tiny vocabulary
    must(tiny_vocab_keys(&base, TINY_BPE, 259, &e) && tiny_write(&base, PATH, &e), &e);
    must(gguf_open(PATH, &g, &e), &e);
    for (uint64_t i = 0; i < 256; i++) {
        struct gguf_str s = gguf_array_string(gguf_find(&g, "tokenizer.ggml.tokens"), i + 3);
        snprintf(letters[i], sizeof letters[i], "%.*s", (int)s.n, s.s);
        tokens[i] = letters[i];
        types[i] = 1;
    }
    gguf_close(&g);
    tiny_free(&base);
    for (int i = 0; i < N_MORE; i++) {
        tokens[256 + i] = more[i];
        types[256 + i] = more[i][0] == '<' ? 4 : 1;
    }
    struct tiny t;
    tiny_begin(&t, 3);
    tiny_str(&t, "tokenizer.ggml.model", "gpt2");
    if (pre) tiny_str(&t, "tokenizer.ggml.pre", pre);
    tiny_strs(&t, "tokenizer.ggml.tokens", tokens, 256 + N_MORE);
    tiny_i32s(&t, "tokenizer.ggml.token_type", types, 256 + N_MORE);
    tiny_strs(&t, "tokenizer.ggml.merges", merges, N);
    tiny_u32(&t, "tokenizer.ggml.bos_token_id", 9);
    return open_tiny(&t);
}

static void test_splits(void **state)
{
    (void)state;
    struct vocab *v = splits("smollm");
    expect(v, 0, "1234", "1|2|3|4");
    expect(v, 0, "   1", "  | |1"); // a digit ends the run: no space is kept back for it
    expect(v, 0, "   a", "  | a");
    expect(v, 0, "x'LL'LL's", "x|'|L|L|'|L|L|'s");
    expect(v, 0, "zq", "z|q");
    assert_false(vocab_adds_bos(v));
    vocab_close(v);

    v = splits("gpt-2");
    expect(v, 0, "12345", "1234|5");
    expect(v, 0, "  12", " | |12");
    expect(v, 0, "!\n(a", "!|\n|(|a");
    vocab_close(v);

    for (int i = 0; i < 2; i++) { // the rule of files that name none: digits in threes, signs apart
        v = splits(i ? "default" : NULL);
        expect(v, 0, "12345", "123|4|5");
        expect(v, 0, "a'LL 's", "a|'|L|L| |'|s");
        vocab_close(v);
    }

    v = splits("llama-bpe");
    expect(v, 0, "12345 1", "123|4|5| |1");
    expect(v, 0, "x'LL's", "x|'LL|'s");
    expect(v, 0, "!\n(a", "!\n|(a");
    expect(v, 0, "zq", "zq"); // no merge leads there: the whole word is a token
    expect(v, 0, "zqz", "z|q|z");
    assert_true(vocab_adds_bos(v));
    expect(v, TOK_ADD_BOS, "1", "\x09|1");
    vocab_close(v);

    v = splits("smaug-bpe"); // the same words, but no word is taken whole
    expect(v, 0, "12345 1", "123|4|5| |1");
    expect(v, 0, "zq", "z|q");
    assert_false(vocab_adds_bos(v));
    vocab_close(v);

    v = splits("qwen2");
    expect(v, 0, "12 x'LL!\n(a", "1|2| |x|'LL|!\n|(a");
    vocab_close(v);

    v = splits("seed-coder");
    expect(v, 0, "12'LL!\n(a", "1|2|'LL|!|\n|(a");
    vocab_close(v);

    v = splits("minicpm5");
    expect(v, 0, "12345 1x'LL", "123|4|5| |1|x|'LL");
    vocab_close(v);

    v = splits("tekken"); // a word ends where a capital follows a small letter
    expect(v, 0, "12x'LLzq!\n(a", "1|2|x|'LL|z|q|!\n|(a");
    expect(v, 0, "zqLzq", "zq|L|z|q");
    expect(v, 0, "   a", "  | a");
    vocab_close(v);

    v = splits("deepseek-llm");
    expect(v, 0, "1234  a!\n(a's", "1234| | a|!|\n|(|a|'|s");
    expect(v, 0, "a  ", "a|  ");
    vocab_close(v);

    v = splits("deepseek-coder");
    expect(v, 0, "1234  a!\n(a's", "1|2|3|4| | a|!|\n|(|a|'|s");
    vocab_close(v);

    v = splits("viking");
    expect(v, 0, "12 a's!\n", "1|2| a|'s|!\n"); // what lies between is one part
    vocab_close(v);

    v = splits("llama3"); // tokens that users defined are found always, the longest first
    expect(v, 0, "12<u>x12<u>3", "12|<u>x|12|<u>|3");
    vocab_close(v);
}

static void test_pieces(void **state)
{
    (void)state;
    struct vocab *v = tiny_vocab_of(TINY_SPM, 320);
    struct tokens ids = {0};
    struct err e = {0};
    size_t size;
    char *s;
    vocab_piece(v, -1, true, &size);
    assert_int_equal(size, 0);
    vocab_piece(v, 320, true, &size);
    assert_int_equal(size, 0);
    vocab_piece(v, 1, false, &size);
    assert_int_equal(size, 0);
    assert_memory_equal(vocab_piece(v, 1, true, &size), "<s>", 3);
    assert_int_equal(*vocab_piece(v, 3 + 'x', false, &size), 'x');

    must(vocab_tokenize(v, "the in", 6, TOK_ADD_BOS, &ids, &e), &e);
    must(vocab_detokenize(v, ids.ids, ids.n, false, true, &s, &size, &e), &e);
    assert_string_equal(s, "the in");
    assert_int_equal(size, 6);
    free(s);
    must(vocab_detokenize(v, ids.ids, ids.n, true, false, &s, &size, &e), &e);
    assert_string_equal(s, "<s> the in");
    free(s);
    must(vocab_detokenize(v, NULL, 0, false, true, &s, &size, &e), &e);
    assert_string_equal(s, "");
    free(s);
    tokens_free(&ids);
    vocab_close(v);
}

// The oracle: parts of a word as strings; the merge that stands first in the file's list and fits
// somewhere is applied at its leftmost place, until none fits.
enum { ORACLE_PARTS = 32 };

static size_t oracle(const struct gguf_kv *merges, char parts[ORACLE_PARTS][ORACLE_PARTS], size_t n)
{
    for (uint64_t rank = 0; rank < merges->count;) {
        struct gguf_str m = gguf_array_string(merges, rank++);
        for (size_t i = 0; i + 1 < n; i++) {
            size_t left = strlen(parts[i]), right = strlen(parts[i + 1]);
            if (left + 1 + right != m.n || memcmp(parts[i], m.s, left) != 0 || m.s[left] != ' ' ||
                memcmp(parts[i + 1], m.s + left + 1, right) != 0)
                continue;
            memcpy(parts[i] + left, parts[i + 1], right + 1);
            memmove(parts[i + 1], parts[i + 2], (n - i - 2) * sizeof parts[0]);
            n--;
            rank = 0;
            break;
        }
    }
    return n;
}

static void test_against_oracle(void **state)
{
    (void)state;
    struct vocab *v = tiny_vocab_of(TINY_BPE, 320);
    struct gguf g;
    struct err e = {0};
    uint32_t seed = 11;
    must(gguf_open(PATH, &g, &e), &e);
    for (int round = 0; round < 2000; round++) {
        char word[ORACLE_PARTS] = {0}, want[2 * ORACLE_PARTS] = {0};
        char parts[ORACLE_PARTS][ORACLE_PARTS] = {{0}};
        size_t n = 3 + (size_t)round % (ORACLE_PARTS - 4);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            word[i] = parts[i][0] = "theringado"[(seed >> 16) % 10];
        }
        n = oracle(gguf_find(&g, "tokenizer.ggml.merges"), parts, n);
        for (size_t i = 0; i < n; i++) {
            if (i) strcat(want, "|");
            strcat(want, parts[i]);
        }
        expect(v, 0, word, want);
    }
    gguf_close(&g);
    vocab_close(v);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int kind = TINY_SPM; kind <= TINY_BPE; kind++) {
        struct vocab *v = tiny_vocab_of((enum tiny_vocab)kind, 400);
        for (int round = 0; round < 500; round++) {
            static const char common[] = "the inand  \n\t re'll0123<|im_end|>";
            char s[64], *back;
            size_t n = 0, size;
            struct tokens ids = {0};
            struct err e = {0};
            for (int i = 0; i < 64; i++) { // half any bytes, half what merges
                seed = seed * 1664525u + 1013904223u;
                s[n++] =
                    seed >> 31 ? (char)(seed >> 16) : common[(seed >> 16) % (sizeof common - 1)];
            }
            must(vocab_tokenize(v, s, n, round % 2 ? TOK_SPECIAL : 0, &ids, &e), &e);
            must(vocab_detokenize(v, ids.ids, ids.n, true, true, &back, &size, &e), &e);
            assert_int_equal(size, n);
            assert_memory_equal(back, s, n);
            free(back);
            tokens_free(&ids);
        }
        vocab_close(v);
    }
}

// One word of 100,000 letters, and as many spaces: n log n is milliseconds, n^2 minutes.
static void test_long_words(void **state)
{
    (void)state;
    enum { N = 100000 };
    static const char letters[] = {'t', 'h', 'e', ' '};
    char *s = malloc(N);
    assert_non_null(s);
    for (int kind = TINY_SPM; kind <= TINY_BPE; kind++) {
        struct vocab *v = tiny_vocab_of((enum tiny_vocab)kind, 320);
        double start = clock_s();
        for (int fill = 0; fill < 2; fill++) {
            struct tokens ids = {0};
            struct err e = {0};
            for (size_t i = 0; i < N; i++)
                s[i] = fill ? ' ' : letters[i % 3];
            must(vocab_tokenize(v, s, N, TOK_SPECIAL, &ids, &e), &e);
            assert_true(ids.n > N / 4);
            tokens_free(&ids);
        }
        assert_true(clock_s() - start < 10);
        vocab_close(v);
    }
    free(s);
}

// Of a merge that the file lists twice the first place counts; and a merge is its two halves, not
// only the text that they make.
static void test_merge_list(void **state)
{
    (void)state;
    static const char *const words[] = {"a", "b", "c", "ab", "bc", "abc"};
    static const char *const twice[] = {"a b", "b c", "a b"};
    static const char *const halves[] = {"b c", "ab c"};
    for (int i = 0; i < 2; i++) {
        struct tiny t;
        tiny_begin(&t, 3);
        tiny_str(&t, "tokenizer.ggml.model", "gpt2");
        tiny_strs(&t, "tokenizer.ggml.tokens", words, 6);
        tiny_strs(&t, "tokenizer.ggml.merges", i ? halves : twice, i ? 2 : 3);
        struct vocab *v = open_tiny(&t);
        expect(v, 0, "abc", i ? "a|bc" : "ab|c");
        vocab_close(v);
    }
}

// Keys that only some files have: EOS behind texts, SentencePiece's removal of white space, no
// space in front; and a token that ends generations whatever type the file gives it.
static void test_rare_keys(void **state)
{
    (void)state;
    static const char *const words[] = {"<unk>", "<s>", "</s>", "\xe2\x96\x81", "a", "<|im_end|>"};
    static const float scores[6] = {0, 0, 0, -1, -2, 0};
    static const int32_t types[6] = {2, 3, 3, 1, 1, 1};
    for (int i = 0; i < 2; i++) {
        struct tiny t;
        tiny_begin(&t, 3);
        tiny_str(&t, "tokenizer.ggml.model", "llama");
        tiny_strs(&t, "tokenizer.ggml.tokens", words, 6);
        tiny_f32s(&t, "tokenizer.ggml.scores", scores, 6);
        tiny_i32s(&t, "tokenizer.ggml.token_type", types, 6);
        tiny_bool(&t, "tokenizer.ggml.add_eos_token", i == 1);
        tiny_bool(&t, "tokenizer.ggml.remove_extra_whitespaces", i == 1);
        tiny_bool(&t, "tokenizer.ggml.add_space_prefix", i == 1);
        struct vocab *v = open_tiny(&t);
        assert_int_equal(vocab_adds_eos(v), i);
        assert_true(vocab_is_eog(v, 5) && vocab_is_special(v, 5));
        expect(v, 0, "  a  a ", i ? " |a| |a" : " | |a| | |a| ");
        expect(v, 0, "   ", i ? "" : " | | ");
        expect(v, TOK_ADD_BOS | TOK_ADD_EOS, "a", i ? "<s>| |a|</s>" : "<s>|a");
        expect(v, TOK_ADD_BOS, "a", i ? "<s>| |a" : "<s>|a");
        expect(v, TOK_SPECIAL, "a<|im_end|>", i ? " |a|<|im_end|>" : "a|<|im_end|>");
        vocab_close(v);
    }
}

static void refused(struct tiny *t, enum err_code code, const char *part)
{
    struct vocab *v;
    struct err e = {0};
    must(tiny_write(t, PATH, &e), &e);
    if (vocab_open(PATH, &v, &e)) fail_msg("a broken file was opened, wanted: %s", part);
    assert_null(v);
    if (e.code != code || !strstr(e.msg, part)) fail_msg("wanted %s, got %s", part, e.msg);
    tiny_free(t);
}

static const char *const few[] = {"<unk>", "<s>", "</s>", "a"};

static void begin_spm(struct tiny *t)
{
    tiny_begin(t, 3);
    tiny_str(t, "tokenizer.ggml.model", "llama");
    tiny_strs(t, "tokenizer.ggml.tokens", few, 4);
}

static void begin_bpe(struct tiny *t)
{
    tiny_begin(t, 3);
    tiny_str(t, "tokenizer.ggml.model", "gpt2");
    tiny_strs(t, "tokenizer.ggml.tokens", few, 4);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const float scores[4] = {0};
    struct tiny t;
    tiny_begin(&t, 3);
    refused(&t, ERR_FORMAT, "holds no tokenizer");
    tiny_begin(&t, 3);
    tiny_str(&t, "tokenizer.ggml.model", "bert");
    refused(&t, ERR_UNSUPPORTED, "another kind");
    tiny_begin(&t, 3);
    tiny_str(&t, "tokenizer.ggml.model", "llama");
    refused(&t, ERR_FORMAT, "tokens must be a list of strings");
    tiny_begin(&t, 3);
    tiny_str(&t, "tokenizer.ggml.model", "llama");
    tiny_strs(&t, "tokenizer.ggml.tokens", NULL, 0);
    refused(&t, ERR_FORMAT, "tokens must be a list of strings");
    begin_spm(&t);
    refused(&t, ERR_FORMAT, "scores must hold 4 numbers");
    begin_spm(&t);
    tiny_f32s(&t, "tokenizer.ggml.scores", scores, 3);
    refused(&t, ERR_FORMAT, "scores must hold 4 numbers");
    begin_spm(&t);
    tiny_f32s(&t, "tokenizer.ggml.scores", scores, 4);
    tiny_i32s(&t, "tokenizer.ggml.token_type", (const int32_t[]){1, 1, 1}, 3);
    refused(&t, ERR_FORMAT, "token_type must hold 4 numbers");
    begin_spm(&t);
    tiny_i32s(&t, "tokenizer.ggml.token_type", (const int32_t[]){1, 1, 1, -9}, 4);
    refused(&t, ERR_FORMAT, "token 3 has the unknown type -9");
    begin_spm(&t);
    tiny_f32s(&t, "tokenizer.ggml.scores", scores, 4);
    tiny_u32(&t, "tokenizer.ggml.eos_token_id", 4);
    refused(&t, ERR_FORMAT, "eos_token_id is 4, but there are 4 tokens");
    begin_spm(&t);
    tiny_f32s(&t, "tokenizer.ggml.scores", scores, 4);
    tiny_u32(&t, "tokenizer.ggml.add_bos_token", 1);
    refused(&t, ERR_FORMAT, "add_bos_token is not true or false");
    begin_bpe(&t);
    refused(&t, ERR_FORMAT, "merges must be a list of strings");
    begin_bpe(&t);
    tiny_strs(&t, "tokenizer.ggml.merges", (const char *const[]){"a a", "ab"}, 2);
    refused(&t, ERR_FORMAT, "merge 1 is not two texts");
    begin_bpe(&t);
    tiny_str(&t, "tokenizer.ggml.pre", "qwen\x1b[2J");
    refused(&t, ERR_UNSUPPORTED, "pre-tokenizer 'qwen?[2J'");
}

// No token for the byte and none for the unknown: a sentence, and the list is as it was.
static void test_no_token(void **state)
{
    (void)state;
    struct tiny t;
    struct tokens ids = {0};
    struct err e = {0};
    begin_bpe(&t);
    tiny_strs(&t, "tokenizer.ggml.merges", NULL, 0);
    struct vocab *v = open_tiny(&t);
    must(vocab_tokenize(v, "a", 1, 0, &ids, &e), &e);
    assert_false(vocab_tokenize(v, "aab", 3, 0, &ids, &e));
    assert_non_null(strstr(e.msg, "no token for the byte 0x62"));
    assert_int_equal(ids.n, 1);
    tokens_free(&ids);
    vocab_close(v);
}

static void test_every_prefix(void **state)
{
    (void)state;
    for (int kind = TINY_SPM; kind <= TINY_BPE; kind++) {
        struct tiny t;
        unsigned char *bytes;
        size_t size;
        struct err e = {0};
        tiny_begin(&t, 3);
        must(tiny_vocab_keys(&t, (enum tiny_vocab)kind, 300, &e), &e);
        must(tiny_bytes(&t, &bytes, &size, &e), &e);
        for (size_t n = 0; n < size; n += n < 512 ? 1 : 13) {
            struct vocab *v;
            FILE *f = fopen(PATH, "wb");
            assert_non_null(f);
            assert_int_equal(fwrite(bytes, 1, n, f), n);
            fclose(f);
            if (vocab_open(PATH, &v, &e)) fail_msg("%zu bytes of %zu were opened", n, size);
        }
        free(bytes);
        tiny_free(&t);
    }
}

// Any byte may be anything: a sentence, or a vocabulary that still works on any text. (Sanitizers
// make this one bite.)
static void test_bytes_changed(void **state)
{
    (void)state;
    static const char text[] = "the thing<|im_end|></s> 123\xff\n";
    unsigned opened = 0, failed = 0;
    for (int kind = TINY_SPM; kind <= TINY_BPE; kind++) {
        struct tiny t;
        unsigned char *bytes;
        size_t size;
        struct err e = {0};
        tiny_begin(&t, 3);
        must(tiny_vocab_keys(&t, (enum tiny_vocab)kind, 300, &e), &e);
        must(tiny_bytes(&t, &bytes, &size, &e), &e);
        for (size_t i = 24; i < size; i += 23) {
            struct vocab *v;
            struct tokens ids = {0};
            FILE *f = fopen(PATH, "wb");
            assert_non_null(f);
            bytes[i] ^= i % 2 ? 0xff : 0x04;
            assert_int_equal(fwrite(bytes, 1, size, f), size);
            bytes[i] ^= i % 2 ? 0xff : 0x04;
            fclose(f);
            e = (struct err){0};
            bool ok = vocab_open(PATH, &v, &e);
            assert_true(ok || e.msg[0]);
            *(ok ? &opened : &failed) += 1;
            if (ok && !vocab_tokenize(v, text, sizeof text, TOK_SPECIAL | TOK_ADD_BOS, &ids, &e))
                assert_true(e.msg[0] && ids.n == 0);
            tokens_free(&ids);
            vocab_close(v);
        }
        free(bytes);
        tiny_free(&t);
    }
    assert_true(opened > 50 && failed > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny_bpe),      cmocka_unit_test(test_tiny_spm),
        cmocka_unit_test(test_splits),        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_against_oracle),
        cmocka_unit_test(test_long_words),    cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_no_token),      cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_bytes_changed), cmocka_unit_test(test_rare_keys),
        cmocka_unit_test(test_merge_list),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(PATH);
    return failed;
}
