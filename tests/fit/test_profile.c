// The whole profile of a small seeded model on this machine's device.
#include "base/clock.h"
#include "fit/profile.h"
#include "tests/tiny_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_host(void **state)
{
    (void)state;
    struct fit_host h;
    fit_host(".", &h);
    assert_true(h.os[0] && h.cpu[0] && h.cores > 0);
    assert_true(h.ram_bytes > 0 && h.ram_available_bytes <= h.ram_bytes);
    assert_true(h.disk_free_bytes > 0);
}

static double number(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!cJSON_IsNumber(v)) fail_msg("no number %s", key);
    return v->valuedouble;
}

static void check_document(const cJSON *hw, bool speed_known)
{
    const cJSON *device = cJSON_GetObjectItemCaseSensitive(hw, "device"), *row;
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(hw, "measured");
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(hw, "model");
    int n = 0;
    assert_true(number(hw, "version") == 1);
    assert_true(json_string_or(device, "name", "")[0] != '\0');
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(hw, "devices")) > 0);
    assert_true(number(m, "matvec_gb_s") > 0 && number(m, "prefill_tok_s") > 0);
    assert_true(number(m, "decode_tok_s_low") <= number(m, "decode_tok_s"));
    assert_true(number(m, "decode_tok_s") <= number(m, "decode_tok_s_high"));
    assert_true(number(m, "decode_tokens") == 64);
    if (speed_known) // heads padded to 64
        assert_true(number(model, "kv_bytes_per_token") == 2 * 2 * 4 * 64 * 2);
    assert_true(number(hw, "memory_budget_bytes") > 0);
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(hw, "fits"))
    {
        assert_true(number(row, "total_bytes") == number(row, "device_bytes") +
                                                      number(row, "kv_bytes") +
                                                      number(row, "scratch_bytes"));
        const char *verdict = json_string_or(row, "verdict", "");
        bool fits = number(row, "total_bytes") <= number(hw, "memory_budget_bytes");
        bool streamed = !strcmp(verdict, "streamed");
        const cJSON *speed = cJSON_GetObjectItemCaseSensitive(row, "decode_tok_s");
        if (!strcmp(verdict, "fits")) assert_true(fits);
        if (streamed) assert_true(!fits && number(row, "n_resident") < number(row, "n_layers"));
        assert_int_equal(streamed, number(row, "streamed_bytes_per_token") > 0);
        assert_true(speed_known && !streamed ? speed->valuedouble > 0 : cJSON_IsNull(speed));
        n++;
    }
    assert_int_equal(n, 22 * 7);
}

static void test_profile(void **state)
{
    (void)state;
    struct err e = {0};
    struct engine *g;
    cJSON *hw;
    const char *path = "profile_tiny.gguf";
    struct tiny_model m = {.seed = 7, .type = QUANT_Q8_0};
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
    struct engine_params p = {.model_path = path};
    if (!engine_open(&p, &g, &e)) {
        if (e.code != ERR_DEVICE) fail_msg("%s", e.msg);
        print_message("skipped: %s\n", e.msg);
        skip();
    }
    if (!fit_profile(g, path, NULL, &hw, &e)) fail_msg("%s", e.msg);
    check_document(hw, true);
    assert_int_equal(engine_seq_len(g, 0), 0);
    cJSON_Delete(hw);
    engine_close(g);
    remove(path);
}

static void refused(struct engine *g, struct fit_speed_params q)
{
    struct err e = {0};
    struct fit_speed s;
    assert_false(fit_speed(g, &q, NULL, &s, &e));
    assert_int_equal(e.code, ERR_ARG);
    assert_int_equal(s.runs, 0);
}

// Behind a context, several at once; what is asked for is what was run.
static void test_speed(void **state)
{
    (void)state;
    struct err e = {0};
    struct engine *g;
    struct fit_speed s;
    const char *path = "speed_tiny.gguf";
    struct tiny_model m = {.seed = 7, .type = QUANT_Q8_0};
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
    struct engine_params p = {.model_path = path, .n_seqs = 3};
    if (!engine_open(&p, &g, &e)) {
        if (e.code != ERR_DEVICE) fail_msg("%s", e.msg);
        print_message("skipped: %s\n", e.msg);
        skip();
    }
    const struct fit_speed_params q[] = {
        {FIT_PREFILL, 1000, .runs = 1}, // lowered to the context of 128
        {FIT_DECODE, 4, .depth = 40, .runs = 2},
        {FIT_DECODE, 1000, .depth = 100, .batch = 3, .runs = 1},
        {FIT_DECODE, 4, .depth = 7, .batch = 2, .runs = 3},
        {FIT_DECODE, 4, .batch = 1, .runs = 101},
    };
    const uint32_t n[] = {128, 4, 28, 4, 4}, runs[] = {1, 2, 1, 3, 100};
    const uint32_t len[][3] = {{0, 0, 0}, {40, 0, 0}, {100, 100, 100}, {7, 7, 100}, {0, 7, 100}};
    for (size_t i = 0; i < 5; i++) {
        double start = clock_s();
        if (!fit_speed(g, &q[i], NULL, &s, &e)) fail_msg("%zu: %s", i, e.msg);
        // No run was shorter than the fastest, and all of them took place.
        assert_true((double)s.runs * s.n_tokens * s.batch / s.high <= clock_s() - start);
        assert_true(0 < s.low && s.low <= s.median && s.median <= s.high);
        assert_true(s.n_tokens == n[i] && s.runs == runs[i] && s.depth == q[i].depth);
        assert_int_equal(s.batch, q[i].batch ? q[i].batch : 1);
        for (uint32_t k = 0; k < 3; k++)
            assert_int_equal(engine_seq_len(g, k), len[i][k]);
    }
    refused(g, (struct fit_speed_params){FIT_DECODE, 0, .runs = 1});
    refused(g, (struct fit_speed_params){FIT_DECODE, 1, .runs = 0});
    refused(g, (struct fit_speed_params){FIT_DECODE, 1, .depth = 128, .runs = 1});
    refused(g, (struct fit_speed_params){FIT_DECODE, 1, .batch = 4, .runs = 1});
    engine_close(g);
    remove(path);
}

static uint64_t total_bytes;

static void take_layout(void *ctx, const struct engine_layout *l)
{
    (void)ctx;
    total_bytes = l->device[0].total_bytes;
}

// A streamed model's token is also the file's time: nothing is modelled from it.
static void test_streamed(void **state)
{
    (void)state;
    struct err e = {0};
    struct engine *g;
    cJSON *hw;
    const char *path = "profile_streamed.gguf";
    struct tiny_model m = {.seed = 7, .type = QUANT_Q8_0, .n_layers = 6, .n_embd = 256};
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
    struct engine_params p = {.model_path = path, .n_batch = 1, .on_layout = take_layout};
    if (!engine_open(&p, &g, &e)) {
        if (e.code != ERR_DEVICE) fail_msg("%s", e.msg);
        print_message("skipped: %s\n", e.msg);
        skip();
    }
    engine_close(g);
    p.max_bytes[0] = total_bytes - 1;
    if (!engine_open(&p, &g, &e) || !fit_profile(g, path, NULL, &hw, &e)) fail_msg("%s", e.msg);
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(hw, "model");
    assert_true(number(model, "n_layers") == 6 && number(model, "n_resident") < 6);
    check_document(hw, false);
    cJSON_Delete(hw);
    engine_close(g);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_host), cmocka_unit_test(test_profile),
                                       cmocka_unit_test(test_speed),
                                       cmocka_unit_test(test_streamed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
