// Fused layers against the kernels of other passes, and the same bits however their workgroups get
// together: several layers in one dispatch, each in five, and again after a meeting that failed.
#include "engine/model/engine_internal.h"
#include "tests/gen.h"
#include "tests/model/common.h"

enum { N_PROMPT = 40, N_STEPS = 3, N_VOCAB = 320 };
static const char path[] = "fused.gguf";

struct variant {
    uint32_t n_groups; // 0: other kernels
    bool meets;
};

// What engine_open found, changed: the same pipelines, another way to run them.
static void set(struct engine *g, struct variant v)
{
    struct forward *f = &g->stages[0].forward;
    f->fused.n_groups = v.n_groups;
    f->fused.meets = v.meets;
    f->fused.failures = FUSED_MAX_FAILURES - 3;
    memset(&f->recorded, 0, sizeof f->recorded);
}

// A prompt, steps one by one, and steps of three sequences at once.
static float *logits(struct engine *g, struct variant v)
{
    static const int32_t next[3] = {5, 77, 130};
    float *out = logits_for(g, N_STEPS + 3);
    int32_t ids[N_PROMPT];
    struct err e;
    set(g, v);
    for (uint32_t i = 0; i < 3; i++)
        if (!engine_seq_truncate(g, i, 0, &e)) fail_msg("%s", e.msg);
    for (int32_t i = 0; i < N_PROMPT; i++)
        ids[i] = (i * 7 + 3) % 256;
    struct engine_item it = {0, ids, N_PROMPT, LOGITS_NONE};
    if (!engine_run(g, &it, 1, NULL, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0; i < N_STEPS; i++) {
        it = (struct engine_item){0, &next[i], 1, LOGITS_LAST};
        if (!engine_run(g, &it, 1, out + i * engine_info(g)->n_vocab, &e)) fail_msg("%s", e.msg);
    }
    struct engine_item three[3];
    for (uint32_t i = 1; i < 3; i++)
        if (!engine_seq_copy(g, i, 0, N_PROMPT - i, &e)) fail_msg("%s", e.msg);
    for (uint32_t i = 0; i < 3; i++)
        three[i] = (struct engine_item){i, &next[i], 1, LOGITS_LAST};
    if (!engine_run(g, three, 3, out + N_STEPS * engine_info(g)->n_vocab, &e))
        fail_msg("%s", e.msg);
    return out;
}

static struct engine *open_limited(const char *mix, uint32_t kv_heads, enum engine_kv kv,
                                   const struct gpu_limits *limits)
{
    struct gen_model m = {.m = {.seed = 3,
                                .n_layers = 3,
                                .n_embd = 256,
                                .n_heads = 6,
                                .n_kv_heads = kv_heads,
                                .head_dim = 64,
                                .n_ff = 512,
                                .n_vocab = N_VOCAB,
                                .n_ctx = 512},
                          .mix = mix};
    const struct engine_params p = {.model_path = path, .n_seqs = 3, .kv = kv};
    struct engine *g;
    struct err e;
    if (!gen_write(&m, path, &e) || !engine_open_limited(&p, limits, &g, &e)) fail_msg("%s", e.msg);
    return g;
}

static struct engine *open_shape(const char *mix, uint32_t kv_heads, enum engine_kv kv)
{
    return open_limited(mix, kv_heads, kv, NULL);
}

// Both round activations to 9 bits or more, which test_shapes.c puts at 0.4 % a matrix at most; a
// last bit of attention that differs may round some of them the other way. Four matrices a layer
// and the output, whose errors are independent: three standard errors.
static void assert_close(const float *got, const float *want, size_t n_rows)
{
    double limit = 3 * sqrt(4.0 * 3 + 1) * 0.004;
    for (size_t r = 0; r < n_rows; r++) {
        double row[N_VOCAB];
        for (size_t i = 0; i < N_VOCAB; i++)
            row[i] = (double)want[r * N_VOCAB + i];
        double rms = rms_rel(got + r * N_VOCAB, row, N_VOCAB);
        if (!(rms <= limit)) fail_msg("row %zu: rms %.3g, limit %.3g", r, rms, limit);
    }
}

static void check(struct engine *g, bool every_way)
{
    struct fused *u = &g->stages[0].forward.fused;
    uint32_t n_groups = u->n_groups, n_rows = N_STEPS + 3;
    size_t bytes = (size_t)n_rows * N_VOCAB * sizeof(float);
    for (uint32_t i = 0; i < 3; i++)
        if (!u->set[i]) fail_msg("layer %u takes other kernels", i);
    float *other = logits(g, (struct variant){0, false});
    float *one = logits(g, (struct variant){n_groups, true});
    assert_close(one, other, n_rows);
    if (every_way) {
        float *five = logits(g, (struct variant){n_groups, false});
        float *single = logits(g, (struct variant){1, true});
        assert_memory_equal(one, five, bytes);
        assert_memory_equal(one, single, bytes);
        free(five);
        free(single);
    }
    free(other);
    free(one);
}

static void check_mix(const char *mix, uint32_t kv_heads, enum engine_kv kv, bool every_way)
{
    struct engine *g = open_shape(mix, kv_heads, kv);
    bool fused = g->stages[0].forward.fused.n_groups != 0;
    if (fused) check(g, every_way);
    engine_close(g);
    remove(path);
    if (!fused) skip(); // not a software device
}

// Several formats a layer: rows of 256 are Q4_K and Q6_K, rows of 384 what stands in for them.
static void test_mixes(void **state)
{
    (void)state;
    check_mix("Q4_0", 3, ENGINE_KV_F16, true);
    check_mix("Q4_K_M", 2, ENGINE_KV_F32, false);
    check_mix("Q2_K", 3, ENGINE_KV_F16, false);
}

// Layers share a dispatch where one buffer holds the cache of all, and not where each has its own:
// the bits are the same.
static void test_cache_apart(void **state)
{
    (void)state;
    float *l[2];
    bool fused = true;
    for (uint32_t apart = 0; apart < 2; apart++) {
        const struct gpu_limits limits = {.max_buffer_range = apart ? 2 << 20 : 0};
        struct engine *g = open_limited("Q4_0", 3, ENGINE_KV_F16, &limits);
        const struct forward *f = &g->stages[0].forward;
        fused &= f->fused.n_groups != 0;
        if (fused) assert_int_equal(f->fused.alike[0], apart ? 1 : 3);
        assert_int_equal(f->kv.all.size != 0, !apart);
        l[apart] = logits(g, (struct variant){f->fused.n_groups, f->fused.meets});
        engine_close(g);
    }
    assert_memory_equal(l[0], l[1], (N_STEPS + 3) * N_VOCAB * sizeof(float));
    free(l[0]);
    free(l[1]);
    remove(path);
    if (!fused) skip(); // not a software device
}

// lavapipe with one thread runs one workgroup after the other: the probe must see it, and a pass
// that tries nevertheless must be computed again, without a trace of the first attempt, and in the
// end without trying.
static void test_failed_meeting(void **state)
{
    (void)state;
    struct engine *g = open_shape("Q4_0", 3, ENGINE_KV_F16);
    struct fused *u = &g->stages[0].forward.fused;
    uint32_t n_groups = u->n_groups;
    float *want = n_groups ? logits(g, (struct variant){n_groups, true}) : NULL;
    engine_close(g);
    setenv("LP_NUM_THREADS", "1", 1);
    g = open_shape("Q4_0", 3, ENGINE_KV_F16);
    u = &g->stages[0].forward.fused;
    if (n_groups > 1) {
        assert_false(u->meets);
        float *got = logits(g, (struct variant){n_groups, true});
        assert_false(u->meets); // three passes failed
        assert_memory_equal(got, want, (N_STEPS + 3) * N_VOCAB * sizeof(float));
        free(got);
    }
    free(want);
    engine_close(g);
    unsetenv("LP_NUM_THREADS");
    remove(path);
    if (n_groups < 2) skip();
}

// What kept workgroups apart when a model was opened, or for some passes, need not last: after
// `pause` passes it is tried again, later each time. A try can fail on a busy machine.
static void test_meets_again(void **state)
{
    (void)state;
    struct engine *g = open_shape("Q4_0", 3, ENGINE_KV_F16);
    struct fused *u = &g->stages[0].forward.fused;
    bool met = u->n_groups > 1 && u->meets;
    const int32_t next = 5;
    struct err e;
    u->meets = false;
    for (int tries = 0; met && !u->meets; tries++) {
        uint32_t pause = u->pause;
        assert_true(tries < 5);
        for (uint32_t i = 0; i < pause; i++) {
            assert_false(u->meets);
            if (!engine_run(g, &(struct engine_item){0, &next, 1, LOGITS_NONE}, 1, NULL, &e))
                fail_msg("%s", e.msg);
        }
        assert_int_equal(u->pause, 2 * pause);
    }
    engine_close(g);
    remove(path);
    if (!met) skip();
}

static uint32_t built(const struct engine *g)
{
    const struct kernels *k = &g->stages[0].forward.kernels;
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n; i++)
        n += k->entry[i].pipeline.pipeline != VK_NULL_HANDLE;
    return n;
}

// engine_open builds what prompts and tokens take, so that they do not wait for it, and leaves out
// what only descriptor sets were made from.
static void test_built(void **state)
{
    (void)state;
    struct engine *g = open_shape("Q4_0", 3, ENGINE_KV_F16);
    const struct forward *f = &g->stages[0].forward;
    uint32_t before = built(g);
    if (f->fused.n_groups) assert_true(before < f->kernels.n);
    static const int32_t ids[N_PROMPT] = {1, 2, 3}, next = 4;
    float *l = logits_for(g, 1);
    struct err e;
    if (!engine_run(g, &(struct engine_item){0, ids, N_PROMPT, LOGITS_LAST}, 1, l, &e) ||
        !engine_run(g, &(struct engine_item){0, &next, 1, LOGITS_LAST}, 1, l, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(built(g), before);
    free(l);
    engine_close(g);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mixes), cmocka_unit_test(test_built),
                                       cmocka_unit_test(test_cache_apart),
                                       cmocka_unit_test(test_failed_meeting),
                                       cmocka_unit_test(test_meets_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
