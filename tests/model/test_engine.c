// The engine from its public face, on seeded models: against the forward pass in double, and
// against itself with the work cut differently.
#include "engine/kernels/kernels.h"
#include "engine/ref/ref_model.h"
#include "tests/model/common.h"
#include "tests/tiny_gguf.h"

static const char path[] = "engine_tiny.gguf";

static struct engine *tiny(struct tiny_model m, struct engine_params p)
{
    struct err e;
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
    p.model_path = path;
    return open_model(p);
}

static void make_ids(int32_t *ids, size_t n, uint32_t n_vocab, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 9) % n_vocab);
    }
}

static void run(struct engine *g, uint32_t seq, const int32_t *ids, size_t n,
                enum engine_logits want, float *logits)
{
    struct err e;
    struct engine_item item = {seq, ids, n, want};
    if (!engine_run(g, &item, 1, logits, &e)) fail_msg("%s", e.msg);
}

// ------------------------------------------------------------------- against double precision

// All positions of a prompt on the reference (its cache of type ref_kv) and on the engine. Returns
// the largest rms_rel.
static double worst_with(struct tiny_model m, struct engine_params p, uint32_t ref_kv, size_t n)
{
    struct engine *g = tiny(m, p);
    uint32_t n_vocab = engine_info(g)->n_vocab;
    int32_t ids[64];
    struct gguf file;
    struct config c;
    struct err e;
    double *want = malloc(n * n_vocab * sizeof *want), most = 0;
    float *got = logits_for(g, n);
    assert_non_null(want);
    make_ids(ids, n, n_vocab, 5);
    run(g, 0, ids, n, LOGITS_ALL, got);
    if (!gguf_open(path, &file, &e) || !config_read(&file, &c, &e) ||
        !ref_model_logits(&file, &c, ids, n, ref_kv, want, &e))
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        most = fmax(most, rms_rel(got + i * n_vocab, want + i * n_vocab, n_vocab));
    gguf_close(&file);
    engine_close(g);
    free(want);
    free(got);
    return most;
}

static double worst_of(struct tiny_model m, enum engine_kv kv, uint32_t ref_kv, size_t n)
{
    return worst_with(m, (struct engine_params){.kv = kv}, ref_kv, n);
}

static double worst(struct tiny_model m, enum engine_kv kv, size_t n)
{
    return worst_of(m, kv, KV_F32, n);
}

// Activations of 8 bits in blocks of 16 round to 1/254 of the block's largest value: for even
// values an error of 1/254/sqrt(3) * sqrt(3) = 0.4 % of their rms a matrix; 10 bits: 0.1 %. Two
// layers of four such stages in a row add as independent errors, and the norms pass them on
// undiminished: sqrt(9) * 0.4 % = 1.2 % and 0.3 %; three times that is the limit. Plain types only
// accumulate f32 rounding: chains of about 100 additions, 100 * 2^-24 = 6e-6, times the same 9.
static void test_reference(void **state)
{
    (void)state;
    static const struct {
        enum quant_type type;
        double limit;
    } types[] = {{QUANT_F32, 5e-5},   {QUANT_F16, 5e-5},   {QUANT_BF16, 5e-5},
                 {QUANT_Q8_0, 0.009}, {QUANT_Q4_0, 0.036}, {QUANT_Q4_1, 0.036}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct tiny_model m = {.seed = 11 + i, .type = types[i].type, .n_kv_heads = i % 2 ? 2 : 0};
        double r = worst(m, ENGINE_KV_F32, 40);
        print_message("%-5s rms_rel %.2e (limit %.1e)\n", quant_info(types[i].type)->name, r,
                      types[i].limit);
        if (!(r <= types[i].limit)) fail_msg("%s: rms_rel %g", quant_info(types[i].type)->name, r);
    }
}

// Every tier that the device has, in passes of one, few and many tokens (one: each position by
// itself). Integer dot products take activations of 8 bits whatever the weights: the limit of Q4_0
// above. Cooperative matrices round weights and activations to f16, perhaps towards zero: 2^-10 /
// sqrt(3) each, so sqrt(2) * sqrt(9) * 5.6e-4 * 3 = 0.7 %.
static void test_tiers(void **state)
{
    (void)state;
    static const struct tiny_model models[] = {{.seed = 11, .type = QUANT_F32},
                                               {.seed = 12, .type = QUANT_F16, .n_kv_heads = 2},
                                               {.seed = 14, .type = QUANT_Q8_0, .n_kv_heads = 2},
                                               {.seed = 15, .type = QUANT_Q4_0}};
    static const double limits[][4] = {{5e-5, 5e-5, 0.009, 0.036},
                                       {5e-5, 5e-5, 0.009, 0.036},
                                       {5e-5, 5e-5, 0.036, 0.036},
                                       {7e-3, 7e-3, 0.036, 0.036}};
    static const uint32_t batches[] = {1, 8, 64};
    for (uint32_t tier = 0; tier <= ENGINE_MAX_TIER; tier++)
        for (uint32_t i = 0; i < 12; i++) {
            struct tiny_model m = models[i % 4];
            struct engine_params p = {
                .kv = ENGINE_KV_F32, .n_batch = batches[i / 4], .tier_given = true, .tier = tier};
            double r = worst_with(m, p, KV_F32, 40);
            if (!(r <= limits[tier][i % 4]))
                fail_msg("tier %u, %s, %u at once: rms_rel %g", tier, quant_info(m.type)->name,
                         p.n_batch, r);
        }
}

// Shapes: a tied output, rope factors, head sizes, a width that is not whole blocks of 32 (F32).
static void test_shapes(void **state)
{
    (void)state;
    const struct tiny_model shapes[] = {
        {.seed = 1, .tied_output = true},
        {.seed = 2, .rope_freqs = true, .head_dim = 32},
        {.seed = 3, .n_embd = 36, .n_heads = 3, .n_kv_heads = 1, .head_dim = 8, .n_ff = 44},
        {.seed = 4, .n_heads = 1, .head_dim = 128, .n_layers = 1, .n_vocab = 321},
        {.seed = 5, .n_heads = 6, .n_kv_heads = 2, .head_dim = 24, .type = QUANT_F16},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        double r = worst(shapes[i], ENGINE_KV_F32, 37);
        if (!(r <= 5e-5)) fail_msg("shape %zu: rms_rel %g", i, r);
    }
}

// f16 keys and values: each rounds to 2^-11 of itself (half that on average), a relative error of
// 2^-11/sqrt(3) = 2.8e-4 rms in values and scores; two layers and a factor of three: 1.2e-3.
static void test_f16_cache(void **state)
{
    (void)state;
    double r = worst((struct tiny_model){.seed = 6}, ENGINE_KV_F16, 40);
    print_message("f16 cache adds rms_rel %.2e\n", r);
    assert_true(r > 1e-6 && r <= 1.2e-3);
}

// Blocks of 32 in Q8_0 round to 1/254 of the largest value, in Q4_0 to 1/16: with a largest value
// of 2.4 rms that is 2.4 / 254 / sqrt(3) = 0.55 % and 8.7 % of it; two layers and a factor of three
// as above: 2.3 % and 37 %. Against a reference that rounds alike, only integers at an edge of the
// rounding differ. Values err by 1e-6 and edges are 2.4 / 127 apart, so of 20,000 values some do:
// each moves one of a row's 32 values by 2.4 / 127 or 2.4 / 8 of their rms, the row by 1 / sqrt(32)
// of that: 0.33 % and 5.3 %.
static void test_quantised_cache(void **state)
{
    (void)state;
    static const double exact[] = {0.023, 0.37}, alike[] = {0.0033, 0.053};
    const struct tiny_model shapes[] = {{.seed = 6, .n_kv_heads = 2},
                                        {.seed = 7, .n_heads = 6, .n_kv_heads = 2, .head_dim = 72}};
    for (uint32_t i = 0; i < 4; i++) {
        enum engine_kv kv = i % 2 ? ENGINE_KV_Q4_0 : ENGINE_KV_Q8_0;
        double r = worst_of(shapes[i / 2], kv, KV_F32, 40), a = worst_of(shapes[i / 2], kv, kv, 40);
        print_message("%s cache adds rms_rel %.2e, beside the same rounding %.2e\n",
                      engine_kv_name(kv), r, a);
        assert_true(r > 1e-4 && r <= exact[i % 2]);
        assert_true(a <= alike[i % 2]);
    }
}

// ------------------------------------------------------------------------- against itself

enum { N = 50 };

// The same prompt, whole and in pieces. Decode and prefill sum in the same order in every kernel
// (a tile's tokens are independent), so the logits are the same to the bit where lavapipe compiles
// both alike; elsewhere f32 rounding may differ: 2^-24 * 100 additions * 9 stages of the logits'
// size.
static void compare(const float *a, const float *b, size_t n, const char *what)
{
    size_t differ = 0;
    double most = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        differ += memcmp(&a[i], &b[i], sizeof *a) != 0;
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        size = fmax(size, fabs((double)b[i]));
    }
    print_message("%s: %zu of %zu differ, at most by %.1e of %.2f\n", what, differ, n, most, size);
    if (!(most <= 100 * 9 * 0x1p-24 * size)) fail_msg("%s: differs by %g", what, most);
}

static void test_cuts(void **state)
{
    (void)state;
    struct tiny_model m = {.seed = 21, .n_kv_heads = 2};
    struct engine *g = tiny(m, (struct engine_params){.n_seqs = 3, .n_batch = 16});
    uint32_t v = engine_info(g)->n_vocab;
    int32_t ids[N];
    struct err e;
    float *whole = logits_for(g, N), *part = logits_for(g, N), *two = logits_for(g, 2 * N);
    make_ids(ids, N, v, 9);
    assert_int_equal(engine_info(g)->n_batch, 16); // smaller than the prompt
    run(g, 0, ids, N, LOGITS_ALL, whole);
    assert_int_equal(engine_seq_len(g, 0), N);
    for (size_t i = 0; i < N; i++) // step by step
        run(g, 1, ids + i, 1, LOGITS_LAST, part + i * v);
    compare(part, whole, N * v, "step by step");
    run(g, 2, ids, N, LOGITS_LAST, part);
    compare(part, whole + (N - 1) * v, v, "last only");
    // Truncate and go on: the rest comes out again.
    assert_true(engine_seq_truncate(g, 0, 20, &e));
    run(g, 0, ids + 20, N - 20, LOGITS_ALL, part);
    compare(part, whole + 20 * v, (N - 20) * v, "truncate and continue");
    // A copied prefix, continued in two sequences of one call. Both held other tokens before.
    int32_t others[N];
    make_ids(others, N, v, 77);
    for (uint32_t q = 1; q < 3; q++) {
        assert_true(engine_seq_truncate(g, q, 0, &e));
        run(g, q, others, N, LOGITS_NONE, NULL);
    }
    assert_true(engine_seq_copy(g, 1, 0, 33, &e) && engine_seq_copy(g, 2, 0, 31, &e));
    assert_int_equal(engine_seq_len(g, 1), 33);
    struct engine_item items[] = {{1, ids + 33, N - 33, LOGITS_ALL},
                                  {2, ids + 31, N - 31, LOGITS_ALL}};
    if (!engine_run(g, items, 2, two, &e)) fail_msg("%s", e.msg);
    compare(two, whole + 33 * v, (N - 33) * v, "copy, first of two");
    compare(two + (N - 33) * v, whole + 31 * v, (N - 31) * v, "copy, second of two");
    // Decode of one and prefill of another at once; the third keeps out of it.
    assert_true(engine_seq_truncate(g, 1, N - 1, &e) && engine_seq_truncate(g, 2, 0, &e));
    struct engine_item mixed[] = {{2, ids, N, LOGITS_NONE}, {1, ids + N - 1, 1, LOGITS_LAST}};
    if (!engine_run(g, mixed, 2, two, &e)) fail_msg("%s", e.msg);
    compare(two, whole + (N - 1) * v, v, "decode beside prefill");
    free(whole);
    free(part);
    free(two);
    engine_close(g);
}

// ----------------------------------------------------------------------------------- errors

static void refused(struct engine *g, struct engine_item item, size_t n)
{
    struct engine_item items[2] = {item, item};
    float *l = logits_for(g, 200);
    struct err e = {0};
    uint32_t before = engine_seq_len(g, 0);
    assert_false(engine_run(g, items, n, l, &e));
    assert_int_equal(e.code, ERR_ARG);
    assert_true(strlen(e.msg) > 10);
    assert_int_equal(engine_seq_len(g, 0), before);
    free(l);
}

static void test_errors(void **state)
{
    (void)state;
    struct engine *g = tiny((struct tiny_model){.seed = 1}, (struct engine_params){.n_ctx = 64});
    struct err e = {0};
    int32_t ids[65] = {0}, high[] = {(int32_t)engine_info(g)->n_vocab}, low[] = {-1};
    refused(g, (struct engine_item){1, ids, 1, LOGITS_LAST}, 1);  // no such sequence
    refused(g, (struct engine_item){0, ids, 65, LOGITS_LAST}, 1); // beyond the context
    refused(g, (struct engine_item){0, ids, 0, LOGITS_LAST}, 1);
    refused(g, (struct engine_item){0, ids, 2, LOGITS_LAST}, 2); // twice in one call
    refused(g, (struct engine_item){0, high, 1, LOGITS_LAST}, 1);
    refused(g, (struct engine_item){0, low, 1, LOGITS_LAST}, 1);
    assert_false(engine_seq_truncate(g, 0, 1, &e));
    assert_int_equal(e.code, ERR_ARG);
    assert_false(engine_seq_truncate(g, 7, 0, &e));
    assert_false(engine_seq_copy(g, 0, 0, 1, &e));
    assert_false(engine_seq_copy(g, 9, 0, 0, &e));
    float *l = logits_for(g, 1);
    run(g, 0, ids, 64, LOGITS_LAST, l); // exactly full
    refused(g, (struct engine_item){0, ids, 1, LOGITS_LAST}, 1);
    free(l);
    engine_close(g);
    struct engine_params p = {.model_path = path, .device = "no such device"};
    assert_false(engine_open(&p, &g, &e));
    assert_null(g);
    p = (struct engine_params){.model_path = path, .n_ctx = 1u << 30, .max_bytes = {32 << 20}};
    assert_true(engine_open(&p, &g, &e)); // with less
    assert_true(engine_info(g)->n_ctx < 1u << 20 && engine_info(g)->n_ctx >= 1024);
    engine_close(g);
    p = (struct engine_params){.model_path = "missing.gguf"};
    assert_false(engine_open(&p, &g, &e));
    assert_int_equal(e.code, ERR_IO);
}

// ------------------------------------------------------------------------------------ angles

static void angle_is(const struct config *c, uint32_t position, uint32_t pair, double angle,
                     double gain)
{
    float out[256];
    config_angles(c, position, out);
    // Computed in double, rounded once to f32.
    assert_true(fabs((double)out[2 * pair] - gain * cos(angle)) <= 0x1p-24 * gain);
    assert_true(fabs((double)out[2 * pair + 1] - gain * sin(angle)) <= 0x1p-24 * gain);
}

// By hand: base 10,000 and 8 rotated dimensions turn pair i by position * 10^-i.
static void test_angles(void **state)
{
    (void)state;
    struct config c = {
        .head_dim = 12, .n_rot = 8, .rope_theta = 10000, .rope_factor = 1, .rope_gain = 1};
    angle_is(&c, 3, 0, 3, 1);
    angle_is(&c, 3, 1, 0.3, 1);
    angle_is(&c, 3000, 3, 3, 1);
    angle_is(&c, 3, 5, 0, 1); // beyond the rotated dimensions
    c.has_rope_freqs = true;
    for (int i = 0; i < 4; i++)
        c.rope_freqs[i] = (float)(1 << i);
    angle_is(&c, 3, 0, 3, 1);
    angle_is(&c, 3, 2, 0.03 / 4, 1);
    c.has_rope_freqs = false;
    c.scaling = ROPE_LINEAR;
    c.rope_factor = 4;
    angle_is(&c, 3, 1, 0.3 / 4, 1);
    // YaRN, 2,048 positions of training: the first wave (2 pi positions long) keeps its frequency,
    // the last one (54,000 positions long) is stretched by the factor.
    c = (struct config){.head_dim = 128,
                        .n_rot = 128,
                        .rope_theta = 10000,
                        .scaling = ROPE_YARN,
                        .rope_factor = 4,
                        .rope_gain = 1,
                        .rope_orig_ctx = 2048,
                        .yarn_fast = 32,
                        .yarn_slow = 1,
                        .yarn_ext = 1};
    double gain = 1 + 0.1 * log(4);
    angle_is(&c, 100, 0, 100, gain);
    angle_is(&c, 100, 63, 100 * pow(10000, -126.0 / 128) / 4, gain);
}

// A key at position 5,000 that moves down by 1,000 is what the key at 4,000 would be, whatever the
// scaling: cos, sin of both rounded to f32, two products and a sum: 4 * 2^-24 of the gain.
static void test_shift_angles(void **state)
{
    (void)state;
    struct config plain = {
        .head_dim = 12, .n_rot = 8, .rope_theta = 10000, .rope_factor = 1, .rope_gain = 1};
    struct config all[4] = {plain, plain, plain, plain};
    all[1].has_rope_freqs = true;
    for (int i = 0; i < 4; i++)
        all[1].rope_freqs[i] = (float)(1 + i);
    all[2].scaling = ROPE_LINEAR;
    all[3].scaling = ROPE_YARN;
    all[2].rope_factor = all[3].rope_factor = 4;
    all[3].rope_orig_ctx = 2048;
    all[3].yarn_fast = 32;
    all[3].yarn_slow = all[3].yarn_ext = 1;
    for (size_t k = 0; k < 4; k++) {
        float from[256], by[256], to[256];
        config_angles(&all[k], 5000, from);
        config_angles(&all[k], 4000, to);
        config_shift_angles(&all[k], 1000, by);
        for (size_t i = 0; i < 12; i += 2) {
            double a = (double)from[i], b = (double)from[i + 1], c = (double)by[i],
                   s = (double)by[i + 1], gain = hypot(a, b);
            assert_true(fabs(a * c - b * s - (double)to[i]) <= 4 * 0x1p-24 * gain);
            assert_true(fabs(a * s + b * c - (double)to[i + 1]) <= 4 * 0x1p-24 * gain);
            assert_true(k == 3 || fabs(gain - 1) <= 0x1p-22);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),       cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_shapes),          cmocka_unit_test(test_f16_cache),
        cmocka_unit_test(test_quantised_cache), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_errors),          cmocka_unit_test(test_angles),
        cmocka_unit_test(test_shift_angles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
