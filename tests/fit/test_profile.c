// The whole profile of a small seeded model on this machine's device.
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

static void check_document(const cJSON *hw)
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
    assert_true(number(model, "kv_bytes_per_token") == 2 * 2 * 4 * 64 * 2); // heads padded to 64
    assert_true(number(hw, "memory_budget_bytes") > 0);
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(hw, "fits"))
    {
        assert_true(number(row, "total_bytes") == number(row, "device_bytes") +
                                                      number(row, "kv_bytes") +
                                                      number(row, "scratch_bytes"));
        assert_true(number(row, "decode_tok_s") > 0);
        bool fits = number(row, "total_bytes") <= number(hw, "memory_budget_bytes");
        bool said = !strcmp(json_string_or(row, "verdict", ""), "fits");
        if (said) assert_true(fits);
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
    check_document(hw);
    assert_int_equal(engine_seq_len(g, 0), 0);
    cJSON_Delete(hw);
    struct fit_speed s;
    assert_true(fit_speed(g, FIT_PREFILL, 1000, 1, NULL, &s, &e)); // lowered to the context
    assert_int_equal(s.n_tokens, 128);
    assert_false(fit_speed(g, FIT_DECODE, 0, 1, NULL, &s, &e));
    assert_int_equal(e.code, ERR_ARG);
    engine_close(g);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_host), cmocka_unit_test(test_profile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
