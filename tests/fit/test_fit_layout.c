// What is predicted from a name is what the engine would take for a file of that name: sparse files
// of real shapes, of which only the headers are read.
#include "fit/predict.h"
#include "tests/gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char path[] = "fit_layout.gguf";
enum { CTX = 2048, ROUNDING = 65536 }; // a driver's, of a buffer

static struct fit_model model(const char *name)
{
    struct fit_model *list, out = {0};
    size_t n;
    struct err e;
    if (!fit_models(&list, &n, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) out = list[i];
    free(list);
    if (!out.n_layers) fail_msg("no model %s", name);
    return out;
}

static void write_sparse(const char *name, enum fit_quant q)
{
    struct err e;
    struct gen_model g = {.mix = fit_quant_name(q), .sparse = true};
    if (!gen_shape(name, &g, &e) || !gen_write(&g, path, &e)) fail_msg("%s", e.msg);
}

static struct engine_layout lay_out(uint64_t max_bytes)
{
    struct err e = {0};
    struct engine_layout l;
    struct engine_params p = {.model_path = path, .n_ctx = CTX, .max_bytes = {max_bytes}};
    if (engine_lay_out(&p, &l, &e)) return l;
    if (e.code != ERR_DEVICE) fail_msg("%s", e.msg);
    print_message("skipped: %s\n", e.msg);
    skip();
    return l;
}

static void rounded_up(uint64_t got, uint64_t want, uint64_t n_buffers)
{
    assert_true(got >= want && got <= want + n_buffers * ROUNDING);
}

static void check(const char *name, enum fit_quant q)
{
    struct fit_model m = model(name);
    struct fit_basis none = {0};
    struct fit_row r;
    write_sparse(name, q);
    struct engine_layout l = lay_out(UINT64_MAX / 2);
    const struct engine_device_plan *d = &l.device[0];
    fit_predict(&d->device, &m, q, CTX, UINT64_MAX, &none, &r);
    assert_int_equal(r.verdict, FIT_YES);
    rounded_up(d->weight_bytes, r.weights.device, 64); // blocks of 1 GiB
    rounded_up(d->kv_bytes, r.kv_bytes, m.n_layers * m.n_kv_heads + 2);
    rounded_up(d->scratch_bytes, r.scratch_bytes, 16);
    remove(path);
}

static void test_resident(void **state)
{
    (void)state;
    check("SmolLM2 135M", FIT_Q4_1); // tied; columns that are not multiples of 256
    check("Llama 3.2 1B", FIT_Q4_K_M);
    check("Llama 3.1 8B", FIT_Q2_K); // four types
    check("Llama 2 13B", FIT_F16);   // no groups; matrices beyond one buffer
    check("Llama 3 70B", FIT_Q5_K_M);
}

// The engine lets more tokens share a reading of the streamed layers where that costs one resident
// layer at most, and first tries smaller batches, which may keep everything.
static void test_streamed(void **state)
{
    (void)state;
    const char *name = "Llama 3.1 8B";
    struct fit_model m = model(name);
    struct fit_basis none = {0};
    struct fit_row r;
    write_sparse(name, FIT_Q4_K_M);
    for (uint64_t gib = 1; gib < 5; gib++) {
        struct engine_layout l = lay_out(gib << 30);
        const struct engine_device_plan *d = &l.device[0];
        fit_predict(&d->device, &m, FIT_Q4_K_M, CTX, gib << 30, &none, &r);
        if (l.smaller_ctx) {
            assert_int_equal(r.verdict, FIT_TOO_LARGE);
            continue;
        }
        assert_int_equal(r.verdict, FIT_STREAMED);
        assert_true(d->n_resident <= r.n_resident && r.n_resident <= d->n_resident + 1);
        if (d->n_resident == r.n_resident) { // the engine's sum leaves norms out
            uint64_t norms = 2ull * (m.n_layers - r.n_resident) * m.n_embd * 4;
            assert_int_equal(d->streamed_file_bytes + norms, r.streamed_bytes);
        }
    }
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_resident),
                                       cmocka_unit_test(test_streamed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
