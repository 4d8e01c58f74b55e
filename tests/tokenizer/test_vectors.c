// The shared vectors of three real vocabularies, exact; and the default model's fixture.
// Skipped, with a word, where ../shared or the default model is not there.
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FIXTURES LECTERN_SOURCE_DIR "/../shared/fixtures"

static struct vocab *open_or_skip(const char *name)
{
    char path[4096], cache[2048];
    struct vocab *v = NULL;
    struct err e = {0};
    bool ok = true;
    if (strcmp(name, "smollm2") == 0)
        ok = file_cache_dir(cache, sizeof cache, &e) &&
             file_path(path, sizeof path, &e, "%s/models/SmolLM2-135M-Instruct.Q4_1.gguf", cache);
    else
        ok = file_path(path, sizeof path, &e, FIXTURES "/vocab/ggml-vocab-%s.gguf", name);
    if (!ok || !file_exists(path)) {
        print_message("skipped: no %s\n", ok ? path : e.msg);
        skip();
    }
    double start = clock_s();
    if (!vocab_open(path, &v, &e)) fail_msg("%s", e.msg);
    print_message("%s: opened in %.0f ms\n", name, 1e3 * (clock_s() - start));
    return v;
}

static cJSON *load_or_skip(const char *path)
{
    struct err e = {0};
    if (!file_exists(path)) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    cJSON *json = json_load(path, &e);
    if (!json) fail_msg("%s", e.msg);
    return json;
}

static void same_ids(const struct vocab *v, const char *text, unsigned flags, const cJSON *want)
{
    struct tokens ids = {0};
    struct err e = {0};
    if (!vocab_tokenize(v, text, strlen(text), flags, &ids, &e)) fail_msg("%s", e.msg);
    bool same = (int)ids.n == cJSON_GetArraySize(want);
    size_t i = 0;
    const cJSON *id;
    cJSON_ArrayForEach(id, want)
    {
        same = same && ids.ids[i] == id->valueint;
        i++;
    }
    if (!same) fail_msg("other ids for: %s", text);
    tokens_free(&ids);
}

static void vectors_of(const char *name, int least)
{
    struct vocab *v = open_or_skip(name);
    cJSON *list = load_or_skip(FIXTURES "/tokenizer_vectors.json");
    int n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *want = cJSON_GetObjectItemCaseSensitive(item, name);
        if (!want) continue; // special tokens of another family
        same_ids(v, json_string_or(item, "text", ""),
                 json_bool_or(item, "parse_special", false) ? TOK_SPECIAL : 0, want);
        n++;
    }
    print_message("%s: %d vectors\n", name, n);
    assert_true(n >= least);
    cJSON_Delete(list);
    vocab_close(v);
}

static void test_llama_spm(void **state)
{
    (void)state;
    vectors_of("llama-spm", 157);
}

static void test_llama_bpe(void **state)
{
    (void)state;
    vectors_of("llama-bpe", 158);
}

static void test_smollm2(void **state)
{
    (void)state;
    vectors_of("smollm2", 157);
}

static void test_rules(void **state)
{
    (void)state;
    struct vocab *v = open_or_skip("llama-bpe");
    assert_int_equal(vocab_size(v), 128256);
    assert_true(vocab_adds_bos(v) && vocab_bos(v) == 128000 && vocab_eos(v) == 128001);
    assert_true(vocab_is_eog(v, 128009) && vocab_is_eog(v, 128001) && !vocab_is_eog(v, 128000));
    vocab_close(v);
    v = open_or_skip("llama-spm");
    assert_true(vocab_adds_bos(v) && vocab_bos(v) == 1 && vocab_is_eog(v, 2));
    vocab_close(v);
}

static void test_smollm2_fixture(void **state)
{
    (void)state;
    struct vocab *v = open_or_skip("smollm2");
    cJSON *list = load_or_skip(FIXTURES "/smollm2_dev.json");
    const cJSON *item;
    assert_int_equal(cJSON_GetArraySize(list), 6);
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *greedy = cJSON_GetObjectItemCaseSensitive(item, "greedy"), *id;
        struct tokens ids = {0};
        struct err e = {0};
        char *text;
        size_t size;
        same_ids(v, json_string_or(item, "text", ""), TOK_SPECIAL,
                 cJSON_GetObjectItemCaseSensitive(item, "tokens"));
        cJSON_ArrayForEach(id, greedy) assert_true(tokens_push(&ids, id->valueint, &e));
        assert_true(vocab_detokenize(v, ids.ids, ids.n, true, false, &text, &size, &e));
        const char *want = json_string_or(item, "greedy_text", "missing");
        assert_memory_equal(text, want, strlen(want));
        free(text);
        tokens_free(&ids);
    }
    cJSON_Delete(list);
    vocab_close(v);
}

static void test_smollm2_chat(void **state)
{
    (void)state;
    struct vocab *v = open_or_skip("smollm2");
    struct chat_message m = {.role = "user", .text = "Hi"};
    struct vocab_chat_params p = {.add_assistant = true};
    struct err e = {0};
    char *s;
    assert_string_equal(vocab_chat_template(v), "chatml");
    assert_false(vocab_adds_bos(v));
    assert_true(vocab_is_eog(v, 2) && vocab_is_eog(v, 0) && !vocab_is_eog(v, 1));
    assert_true(vocab_chat(v, &p, &m, 1, &s, &e));
    assert_string_equal(s,
                        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained "
                        "by Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                        "<|im_start|>assistant\n");
    free(s);
    vocab_close(v);
}

static void round_trip(const char *name)
{
    struct vocab *v = open_or_skip(name);
    uint32_t seed = 3;
    for (int round = 0; round < 300; round++) {
        char s[200], *back;
        size_t n = 0, size;
        struct tokens ids = {0};
        struct err e = {0};
        while (n < sizeof s) {
            seed = seed * 1664525u + 1013904223u;
            s[n++] = (char)(seed >> 30 ? 32 + (seed >> 16) % 96 : seed >> 16);
        }
        assert_true(vocab_tokenize(v, s, n, 0, &ids, &e));
        assert_true(vocab_detokenize(v, ids.ids, ids.n, true, true, &back, &size, &e));
        assert_int_equal(size, n);
        assert_memory_equal(back, s, n);
        free(back);
        tokens_free(&ids);
    }
    vocab_close(v);
}

static void test_round_trip_spm(void **state)
{
    (void)state;
    round_trip("llama-spm");
}

static void test_round_trip_bpe(void **state)
{
    (void)state;
    round_trip("llama-bpe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_spm),       cmocka_unit_test(test_llama_bpe),
        cmocka_unit_test(test_smollm2),         cmocka_unit_test(test_rules),
        cmocka_unit_test(test_smollm2_fixture), cmocka_unit_test(test_smollm2_chat),
        cmocka_unit_test(test_round_trip_spm),  cmocka_unit_test(test_round_trip_bpe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
