// Verdicts and predicted speeds on made-up devices.
#include "fit/predict.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct engine_device device(const char *type, uint64_t heap)
{
    struct engine_device d = {.heap_bytes = heap,
                              .budget_bytes = heap,
                              .max_buffer_range = 1ull << 32,
                              .max_allocation = 1ull << 32,
                              .max_texel_elements = 1u << 27,
                              .usable = true};
    (void)snprintf(d.type, sizeof d.type, "%s", type);
    return d;
}

static struct fit_model model(const char *name)
{
    struct fit_model *list, out = {0};
    size_t n;
    struct err e;
    assert_true(fit_models(&list, &n, &e));
    for (size_t i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) out = list[i];
    free(list);
    assert_true(out.n_layers > 0);
    return out;
}

static void test_budget(void **state)
{
    (void)state;
    const uint64_t gib = 1ull << 30;
    struct engine_device gpu = device("discrete", 24 * gib);
    assert_int_equal(fit_budget(&gpu, 8 * gib, 0), 24 * gib - 24 * gib / 10); // RAM is no matter
    gpu.budget_bytes = 2 * gib; // the rest is in use by others; the margin is 512 MiB at least
    assert_int_equal(fit_budget(&gpu, 8 * gib, 0), 2 * gib - gib / 2);
    struct engine_device shared = device("integrated", 6 * gib);
    shared.unified = true;
    assert_int_equal(fit_budget(&shared, 16 * gib, 0), 6 * gib - 6 * gib / 10);
    assert_int_equal(fit_budget(&shared, 4 * gib, gib), 5 * gib - gib / 2);
    struct engine_device cpu = device("cpu", 2 * gib); // its heap is not believed
    cpu.unified = true;
    assert_int_equal(fit_budget(&cpu, 15 * gib, 5 * gib), 18 * gib);
    assert_int_equal(fit_budget(&cpu, gib / 4, 0), gib / 8); // half of what there is at most
}

static void test_verdicts(void **state)
{
    (void)state;
    struct engine_device d = device("discrete", 0);
    struct fit_model m = model("Llama 3.1 8B");
    struct fit_basis none = {0};
    struct fit_row r;
    fit_predict(&d, &m, FIT_Q8_0, 2048, UINT64_MAX, &none, &r);
    assert_int_equal(r.verdict, FIT_YES);
    // 128 KiB a position; 16 bytes a page of 32 and an angle a dimension
    assert_int_equal(r.kv_bytes, 2048ull * 131072 + 2048 / 32 * 16 + 128 * 4);
    assert_int_equal(r.total_bytes, r.weights.device + r.kv_bytes + r.scratch_bytes);
    assert_int_equal(r.max_ctx, 131072);
    assert_true(r.decode_tok_s == 0); // nothing measured, nothing said
    uint64_t total = r.total_bytes;
    fit_predict(&d, &m, FIT_Q8_0, 2048, total, &none, &r);
    assert_int_equal(r.verdict, FIT_YES);
    assert_int_equal(r.max_ctx, 2048);
    fit_predict(&d, &m, FIT_Q8_0, 2048, total - 1, &none, &r);
    assert_int_equal(r.verdict, FIT_LESS_CONTEXT);
    assert_int_equal(r.max_ctx, 2048 - 32);
    assert_int_equal(r.n_resident, 32);
}

// Below what all layers need: fewer stay, two slots, and in the end nothing more can be given up.
static void test_streamed(void **state)
{
    (void)state;
    struct engine_device d = device("discrete", 0);
    struct fit_model m = model("Llama 3.1 8B");
    struct fit_basis measured = {.bytes_s = 1e10, .decode_s = 1};
    struct fit_bytes layer;
    struct fit_row r;
    fit_layer(&m, FIT_Q8_0, 0, &layer); // all alike in this type
    fit_predict(&d, &m, FIT_Q8_0, 2048, UINT64_MAX, &measured, &r);
    uint64_t rest = r.kv_bytes + r.scratch_bytes;
    uint64_t output = r.weights.device - 32 * layer.device;
    fit_predict(&d, &m, FIT_Q8_0, 2048, r.weights.device, &measured, &r);
    assert_int_equal(r.verdict, FIT_STREAMED);
    assert_true(r.n_resident > 26 && r.n_resident < 31 && r.max_ctx == 0);
    assert_int_equal(r.streamed_bytes, (32 - r.n_resident) * layer.file);
    assert_true(r.decode_tok_s == 0 && strstr(r.why, "layers stay")); // no speed is claimed
    for (uint32_t n = 0; n < 3; n++) {
        uint64_t need = rest + output + (n + 2) * layer.device;
        fit_predict(&d, &m, FIT_Q8_0, 2048, need, &measured, &r);
        assert_int_equal(r.verdict, FIT_STREAMED);
        assert_int_equal(r.n_resident, n);
        if (n) fit_predict(&d, &m, FIT_Q8_0, 2048, need - 1, &measured, &r);
        assert_int_equal(r.n_resident, n ? n - 1 : 0);
    }
    fit_predict(&d, &m, FIT_Q8_0, 2048, rest + output + 2 * layer.device - 1, &measured, &r);
    assert_int_equal(r.verdict, FIT_STREAMED); // token by token
    fit_predict(&d, &m, FIT_Q8_0, 2048, output + 2 * layer.device, &measured, &r);
    assert_int_equal(r.verdict, FIT_TOO_LARGE);
    assert_int_equal(r.max_ctx, 0);
    assert_int_equal(r.n_resident, 0);
    assert_int_equal(r.streamed_bytes, 0);
    assert_non_null(strstr(r.why, "the budget is"));
}

// A budget without end does not help where one buffer cannot hold a head's cache. Matrices are cut.
static void test_limits(void **state)
{
    (void)state;
    struct engine_device d = device("cpu", 0);
    struct fit_model m = model("Llama 3.1 8B");
    struct fit_basis none = {0};
    struct fit_row r;
    d.max_buffer_range = 16 << 20; // 512 bytes a position, layer and head
    fit_predict(&d, &m, FIT_Q4_0, 2048, UINT64_MAX, &none, &r);
    assert_int_equal(r.max_ctx, 32768);
    d.max_buffer_range = 128 << 20;
    d.max_texel_elements = 65536; // through storage buffers then: 128 MiB
    fit_predict(&d, &m, FIT_F16, 2048, UINT64_MAX, &none, &r);
    assert_int_equal(r.verdict, FIT_YES);
    struct fit_model tiny = model("LLaMA 1 7B"); // n_ctx beyond training is not offered
    fit_predict(&d, &tiny, FIT_Q4_0, 8192, UINT64_MAX, &none, &r);
    assert_int_equal(r.n_ctx, 2048);
}

static void test_speed(void **state)
{
    (void)state;
    struct engine_device d = device("discrete", 0);
    struct fit_model m = model("SmolLM2 135M"), big = model("Llama 3.2 1B");
    struct fit_row r, s;
    fit_predict(&d, &m, FIT_Q4_1, 2048, UINT64_MAX, &(struct fit_basis){0}, &r);
    // 10 GB/s and 15 ms a token: what was measured comes out again for the same model.
    struct fit_basis b = fit_basis(1e10, 0.015, (double)r.weights.device, m.n_layers);
    assert_true(b.layer_s > 0);
    fit_predict(&d, &m, FIT_Q4_1, 2048, UINT64_MAX, &b, &r);
    assert_true(fabs(r.decode_tok_s - 1 / 0.015) < 1e-6);
    fit_predict(&d, &big, FIT_Q4_0, 2048, UINT64_MAX, &b, &s);
    double t = (double)s.weights.device / 1e10 + 16 * b.layer_s;
    assert_true(fabs(s.decode_tok_s * t - 1) < 1e-9);
    // A matvec timed slower than the whole token: the token counts, no negative overhead.
    b = fit_basis(1e9, 0.015, (double)r.weights.device, m.n_layers);
    assert_true(b.layer_s == 0 && b.bytes_s > 1e9);
    fit_predict(&d, &m, FIT_Q4_1, 2048, UINT64_MAX, &b, &r);
    assert_true(fabs(r.decode_tok_s - 1 / 0.015) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_budget),
                                       cmocka_unit_test(test_verdicts),
                                       cmocka_unit_test(test_streamed),
                                       cmocka_unit_test(test_limits), cmocka_unit_test(test_speed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
