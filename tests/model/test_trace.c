// Times of kernels: what is timed is all that runs, and changes nothing of what is computed.
#include "base/clock.h"
#include "engine/model/engine_internal.h"
#include "tests/model/common.h"
#include "tests/tiny_gguf.h"

enum { N = 100 };

static const char path[] = "trace_tiny.gguf";
static const int32_t ids[N] = {3, 14, 15, 92, 65}; // and zeros

static struct engine *open_tiny(uint32_t n_layers, uint32_t n_embd)
{
    struct tiny_model m = {.seed = 5, .type = QUANT_Q4_0, .n_layers = n_layers, .n_embd = n_embd};
    struct err e;
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
    return open_model((struct engine_params){.model_path = path});
}

// One pass of n tokens on an empty sequence; seconds of the call.
static double pass(struct engine *g, uint32_t n, float *logits)
{
    struct err e = {0};
    struct engine_item item = {.tokens = ids, .n = n, .want = LOGITS_LAST};
    double start = clock_s();
    if (!engine_run(g, &item, 1, logits, &e)) fail_msg("%s", e.msg);
    double seconds = clock_s() - start;
    assert_true(engine_seq_truncate(g, 0, 0, &e));
    return seconds;
}

static void check_times(struct engine *g, uint32_t n_tokens)
{
    const struct engine_info *info = engine_info(g);
    struct engine_kernel *k;
    struct err e = {0};
    size_t n;
    double wall = 0, sum = 0, bytes = 0;
    float *plain = logits_for(g, 1), *timed = logits_for(g, 1);
    pass(g, n_tokens, plain);
    if (!engine_trace_begin(g, &e)) fail_msg("%s", e.msg);
    for (int i = 0; i < 3; i++)
        wall += pass(g, n_tokens, timed);
    assert_memory_equal(plain, timed, info->n_vocab * sizeof *plain);
    if (!engine_trace_end(g, &k, &n, &e)) fail_msg("%s", e.msg);
    bool attention = false, output = false;
    for (size_t i = 0; i < n; i++) {
        assert_true(k[i].n > 0 && k[i].n % 3 == 0 && k[i].seconds > 0);
        assert_true((k[i].bytes > 0) == (k[i].use[0] != '\0'));
        if (i) assert_true(k[i].seconds <= k[i - 1].seconds);
        if (!strncmp(k[i].name, "attention", 9) || strstr(k[i].name, ", attention")) {
            attention = true;
            assert_int_equal(k[i].n, 3 * info->n_layers);
        }
        output |= strstr(k[i].use, "output") || strstr(k[i].use, "token_embd");
        assert_null(strstr(k[i].use, "blk"));
        sum += k[i].seconds;
        bytes += k[i].bytes;
    }
    assert_true(attention && output);
    // One after the other, inside the calls; of a prompt they are most of it: a hundredth tells
    // nanoseconds from microseconds.
    assert_true(sum <= wall);
    if (n_tokens == N) assert_true(sum >= wall / 100);
    assert_true(bytes == 3.0 * (double)info->weight_bytes_token);
    free(k);
    free(plain);
    free(timed);
}

static void test_times(void **state)
{
    (void)state;
    struct engine *g = open_tiny(3, 512);
    g->stages[0].forward.fused.meets = false; // a busy machine makes a pass with meetings run twice
    check_times(g, 1);
    check_times(g, 5);
    check_times(g, N);
    engine_close(g);
    remove(path);
}

// Ended, never begun, begun twice, left open.
static void test_order(void **state)
{
    (void)state;
    struct engine *g = open_tiny(2, 0);
    struct engine_kernel *k;
    struct err e = {0};
    size_t n;
    float *logits = logits_for(g, 1);
    assert_true(engine_trace_end(g, &k, &n, &e));
    assert_int_equal(n, 0);
    free(k);
    assert_true(engine_trace_begin(g, &e));
    pass(g, 1, logits);
    assert_true(engine_trace_begin(g, &e)); // from here on
    assert_true(engine_trace_end(g, &k, &n, &e));
    assert_int_equal(n, 0);
    free(k);
    pass(g, 1, logits); // with the buffers of queries gone
    assert_true(engine_trace_begin(g, &e));
    pass(g, 1, logits);
    free(logits);
    engine_close(g);
    remove(path);
}

static void test_no_clock(void **state)
{
    (void)state;
    engine_close(open_tiny(2, 0)); // or the test is skipped
    const struct engine_params p = {.model_path = path};
    const struct gpu_limits limits = {.no_timestamps = true};
    struct engine *g;
    struct err e = {0};
    if (!engine_open_limited(&p, &limits, &g, &e)) fail_msg("%s", e.msg);
    assert_false(engine_trace_begin(g, &e));
    assert_int_equal(e.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "has no timestamps"));
    float *logits = logits_for(g, 1);
    pass(g, 1, logits);
    free(logits);
    engine_close(g);
    remove(path);
}

// More dispatches than there are timestamps for is an error, not a part of the sum.
static void test_too_many(void **state)
{
    (void)state;
    struct engine *g = open_tiny(2, 0);
    struct stage *s = &g->stages[0];
    struct err e = {0};
    assert_true(engine_trace_begin(g, &e));
    gpu_trace_destroy(&s->gpu, &s->trace);
    assert_true(gpu_trace_create(&s->gpu, 7, &s->trace, &e));
    struct engine_item item = {.tokens = ids, .n = 1, .want = LOGITS_NONE};
    assert_false(engine_run(g, &item, 1, NULL, &e));
    assert_non_null(strstr(e.msg, "more than the 7"));
    engine_close(g);
    remove(path);
}

static void test_read(void **state)
{
    (void)state;
    struct engine *g = open_tiny(2, 0);
    uint64_t before = g->stages[0].gpu.allocated_bytes, bytes;
    double bytes_s;
    const char *format;
    struct err e = {0};
    if (!engine_read_speed(g, &bytes_s, &bytes, &format, &e)) fail_msg("%s", e.msg);
    assert_true(bytes_s > 0 && format[0]);
    assert_true(bytes > 0 && bytes <= 256u << 20);
    assert_true(g->stages[0].gpu.allocated_bytes == before);
    engine_close(g);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),    cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_clock), cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
