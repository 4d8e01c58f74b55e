// What lives where: the sums are the allocator's to the byte, and the logits are the same to the bit
// however a model is placed: resident, streamed, split over devices, cut into pieces, through staging.
#include "engine/model/engine_internal.h"
#include "tests/model/common.h"
#include "tests/tiny_gguf.h"

static const char path[] = "place_tiny.gguf";
enum { N = 70, LAYERS = 7 };

static void write_model(enum quant_type type, bool tied)
{
    struct err e;
    struct tiny_model m = {.seed = 31,
                           .n_layers = LAYERS,
                           .n_embd = 256,
                           .n_heads = 4,
                           .n_kv_heads = 2,
                           .n_ff = 512,
                           .type = type,
                           .tied_output = tied};
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
}

static struct engine *open_with(struct engine_params p, const struct gpu_limits *limits)
{
    struct engine *g = NULL;
    struct err e;
    p.model_path = path;
    if (!p.n_batch) p.n_batch = 16;
    p.n_ctx = 96;
    if (!engine_open_limited(&p, limits, &g, &e)) fail_msg("%s", e.msg);
    for (uint32_t k = 0; k < g->place.n_stages; k++) // to the byte
        assert_int_equal(g->stages[k].gpu.allocated_bytes, place_stage_bytes(&g->place.stage[k]));
    return g;
}

// A prompt in one call, then a few tokens one by one: [N + 4, n_vocab] logits. Caller frees.
static float *logits_of(struct engine *g)
{
    int32_t ids[N + 4];
    struct err e;
    float *l = logits_for(g, N + 4);
    for (int i = 0; i < N + 4; i++)
        ids[i] = (i * 37 + 11) % (int32_t)engine_info(g)->n_vocab;
    struct engine_item item = {0, ids, N, LOGITS_ALL};
    if (!engine_run(g, &item, 1, l, &e)) fail_msg("%s", e.msg);
    for (int i = N; i < N + 4; i++) {
        item = (struct engine_item){0, ids + i, 1, LOGITS_LAST};
        if (!engine_run(g, &item, 1, l + (size_t)i * engine_info(g)->n_vocab, &e))
            fail_msg("%s", e.msg);
    }
    return l;
}

static void same(struct engine *g, const float *want, const char *what)
{
    float *got = logits_of(g);
    size_t n = (N + 4) * (size_t)engine_info(g)->n_vocab, differ = 0;
    for (size_t i = 0; i < n; i++)
        differ += memcmp(&got[i], &want[i], sizeof *got) != 0;
    if (differ) fail_msg("%s: %zu of %zu logits differ", what, differ, n);
    free(got);
    engine_close(g);
}

// Bytes with which exactly `n` layers stay and the others are streamed, on each of n_devices.
static uint64_t budget_for(uint32_t n, uint32_t n_devices)
{
    struct engine *g = open_with((struct engine_params){0}, NULL);
    uint64_t all = place_stage_bytes(&g->place.stage[0]), step = 4096, found = 0;
    struct err e;
    for (uint64_t budget = all - step; !found && budget > step; budget -= step) {
        struct place p = g->place;
        p.n_stages = n_devices;
        for (uint32_t k = 0; k < n_devices; k++)
            p.stage[k] = (struct place_stage){.gpu = &g->stages[0].gpu, .budget = budget};
        p.p.n_batch = 16;
        if (place_decide(&g->file, &g->config, &p, &e) && !p.smaller_batch && !p.smaller_ctx &&
            p.stage[0].n_resident == n && p.stage[0].n_resident < p.stage[0].n_layers)
            found = budget;
    }
    if (!found) fail_msg("no budget keeps %u layers", n);
    engine_close(g);
    return found;
}

static void check_type(enum quant_type type, bool tied)
{
    static const struct {
        const char *what;
        struct gpu_limits limits;
    } limits[] = {{"staging", {.force_staging = true}},
                  {"pieces of 64 KiB", {.max_matrix = 65536}},
                  {"pieces, staging", {.max_matrix = 65536, .force_staging = true}}};
    char what[96];
    write_model(type, tied);
    struct engine *g = open_with((struct engine_params){0}, NULL);
    assert_int_equal(engine_info(g)->n_resident, LAYERS);
    float *want = logits_of(g);
    engine_close(g);
    for (uint32_t n = 0; n < 4; n += n ? 2 : 1) {
        struct engine_params p = {.max_bytes = {budget_for(n, 1)}};
        for (size_t i = 0; i <= sizeof limits / sizeof limits[0]; i++) {
            const struct gpu_limits *l = i ? &limits[i - 1].limits : NULL;
            (void)snprintf(what, sizeof what, "%s, %u of %u layers resident, %s",
                           quant_info(type)->name, n, LAYERS, i ? limits[i - 1].what : "plain");
            g = open_with(p, l);
            if (!i) assert_int_equal(engine_info(g)->n_resident, n);
            same(g, want, what);
        }
    }
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        same(open_with((struct engine_params){0}, &limits[i].limits), want, limits[i].what);
    same(open_with((struct engine_params){.device = "0,0"}, NULL), want, "two devices");
    same(open_with((struct engine_params){.device = "0,0,0", .n_batch = 512}, NULL), want,
         "three devices, another batch");
    struct gpu_limits staging = {.force_staging = true};
    same(open_with((struct engine_params){.device = "0,0"}, &staging), want,
         "two devices, staging");
    struct engine_params both = {.device = "0,0", .max_bytes = {budget_for(0, 2), budget_for(0, 2)}};
    same(open_with(both, NULL), want, "two small devices");
    free(want);
}

static void test_same_bits(void **state)
{
    (void)state;
    check_type(QUANT_Q4_0, false);
    check_type(QUANT_Q8_0, true);
    check_type(QUANT_F16, false);
}

// A pass that ends early leaves the streaming thread somewhere; the next one starts over.
static void test_cancelled_pass(void **state)
{
    (void)state;
    struct err e;
    write_model(QUANT_Q4_0, false);
    struct engine *g = open_with((struct engine_params){0}, NULL);
    float *want = logits_of(g);
    engine_close(g);
    g = open_with((struct engine_params){.max_bytes = {budget_for(2, 1)}}, NULL);
    int32_t id = 5;
    struct engine_item item = {0, &id, 1, LOGITS_NONE};
    for (int layer = 2; layer < LAYERS; layer++) { // as after a failure behind this layer
        assert_true(stream_acquire(&g->stages[0].stream, 2, &e));
        for (int i = 3; i <= layer; i++) {
            stream_release(&g->stages[0].stream, (uint32_t)i - 1);
            assert_true(stream_acquire(&g->stages[0].stream, (uint32_t)i, &e));
        }
        assert_true(engine_run(g, &item, 1, NULL, &e));
        assert_true(engine_seq_truncate(g, 0, 0, &e));
    }
    same(g, want, "after passes that ended early");
    free(want);
}

static struct engine_layout seen[16];
static uint32_t n_seen;

static void take_layout(void *ctx, const struct engine_layout *l)
{
    (void)ctx;
    if (n_seen < 16) seen[n_seen++] = *l;
}

// A device that refuses memory which its budget promised.
static void test_refused(void **state)
{
    (void)state;
    struct err e = {0};
    write_model(QUANT_Q4_0, false);
    struct engine *g = open_with((struct engine_params){0}, NULL);
    float *want = logits_of(g);
    uint64_t all = place_stage_bytes(&g->place.stage[0]);
    engine_close(g);
    for (uint64_t left = all - 4096; left > all / 2; left -= all / 8) {
        struct gpu_limits limits = {.max_bytes = left};
        n_seen = 0;
        g = open_with((struct engine_params){.on_layout = take_layout}, &limits);
        assert_true(n_seen > 1 && !seen[0].refused && seen[1].refused);
        const struct engine_layout *last = &seen[n_seen - 1];
        assert_true(last->device[0].total_bytes <= left);
        assert_true(last->smaller_batch || last->device[0].n_resident < LAYERS);
        same(g, want, "after a refusal");
    }
    struct gpu_limits nothing = {.max_bytes = 1000};
    struct engine_params p = {.model_path = path};
    assert_false(engine_open_limited(&p, &nothing, &g, &e));
    assert_null(g);
    assert_int_equal(e.code, ERR_MEMORY);
    free(want);
}

// What does not fit is made smaller: first the batch, then streaming, last the context.
static void test_smaller(void **state)
{
    (void)state;
    struct engine_layout l;
    struct err e = {0};
    write_model(QUANT_Q4_0, false);
    struct engine_params p = {.model_path = path, .n_ctx = 4096, .n_batch = 512};
    assert_true(engine_lay_out(&p, &l, &e));
    assert_false(l.smaller_batch || l.smaller_ctx);
    assert_int_equal(l.n_pass, 512);
    assert_int_equal(l.device[0].n_resident, LAYERS);
    assert_true(l.token_s > 0);
    uint64_t all = l.device[0].total_bytes, kv = l.device[0].kv_bytes;
    p.max_bytes[0] = all - 65536;
    assert_true(engine_lay_out(&p, &l, &e));
    assert_true(l.smaller_batch && !l.smaller_ctx && l.device[0].n_resident == LAYERS);
    assert_true(l.device[0].total_bytes <= p.max_bytes[0]);
    p.max_bytes[0] = kv + (l.device[0].total_bytes - kv) / 4;
    assert_true(engine_lay_out(&p, &l, &e));
    assert_true(!l.smaller_ctx && l.device[0].n_resident < LAYERS);
    assert_true(l.stream_bytes_s > 0 && l.n_pass % l.n_batch == 0);
    p.max_bytes[0] = kv;
    assert_true(engine_lay_out(&p, &l, &e));
    assert_true(l.smaller_ctx && l.n_ctx < 4096 && l.device[0].total_bytes <= kv);
    p.max_bytes[0] = 4096;
    assert_false(engine_lay_out(&p, &l, &e));
    assert_int_equal(e.code, ERR_MEMORY);
    p = (struct engine_params){.model_path = path, .device = "0,0,0,0,0,0,0,0"};
    assert_false(engine_lay_out(&p, &l, &e)); // 8 devices, 7 layers
    assert_int_equal(e.code, ERR_ARG);
    p.device = "0,0,0,0,0,0,0,0,0";
    assert_false(engine_lay_out(&p, &l, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_cancelled_pass),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
