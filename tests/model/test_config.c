// The keys of a model file and the angles they mean, by hand.
#include "engine/model/config.h"
#include "tests/tiny_gguf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char path[] = "config_test.gguf";

struct extra { // keys beside those of a plain model of 2 heads of 128
    const char *scaling;
    struct {
        const char *key;
        float v;
    } f32[6];
    uint32_t orig_ctx, n_experts;
    float theta, eps;
    const char *tensor; // one more, of 64 values
};

static bool read_config(const struct extra *x, struct config *c, struct err *e)
{
    struct tiny_model m = tiny_model_defaults(&(struct tiny_model){.n_embd = 256,
                                                                   .n_heads = 2,
                                                                   .n_ctx = 8192,
                                                                   .rope_theta = x->theta,
                                                                   .norm_eps = x->eps,
                                                                   .rope_scaling = x->scaling,
                                                                   .rope_orig_ctx = x->orig_ctx});
    struct tiny t;
    struct gguf g;
    float *embd = calloc(256 * 4, sizeof *embd), freqs[64];
    assert_non_null(embd);
    for (int i = 0; i < 64; i++)
        freqs[i] = 1 + (float)i;
    tiny_begin(&t, 3);
    tiny_model_keys(&t, &m);
    for (size_t i = 0; i < 6 && x->f32[i].key; i++)
        tiny_f32(&t, x->f32[i].key, x->f32[i].v);
    if (x->n_experts) tiny_u32(&t, "llama.expert_count", x->n_experts);
    tiny_tensor(&t, "token_embd.weight", QUANT_F32, 2, (uint64_t[]){256, 4}, embd, 4096);
    if (x->tensor) tiny_tensor(&t, x->tensor, QUANT_F32, 1, (uint64_t[]){64}, freqs, 256);
    free(embd);
    bool ok = tiny_write(&t, path, e);
    tiny_free(&t);
    if (!ok || !gguf_open(path, &g, e)) return false;
    ok = config_read(&g, c, e);
    gguf_close(&g);
    remove(path);
    return ok;
}

static struct config config_of(const struct extra *x)
{
    struct config c;
    struct err e;
    if (!read_config(x, &c, &e)) fail_msg("%s", e.msg);
    return c;
}

// Pair `pair` at `position` turns by angle and grows by gain: in double, rounded once to f32.
static void turns(const struct config *c, uint32_t position, uint32_t pair, double angle,
                  double gain)
{
    float out[256];
    config_angles(c, position, out);
    double got[2] = {(double)out[2 * pair], (double)out[2 * pair + 1]};
    double want[2] = {gain * cos(angle), gain * sin(angle)};
    // 2^-24 for the rounding; an angle of 10^5 computed in two ways may differ by 10^5 * 2^-50.
    for (int i = 0; i < 2; i++)
        if (!(fabs(got[i] - want[i]) <= (0x1p-24 + fabs(angle) * 0x1p-50) * gain))
            fail_msg("position %u, pair %u: %.9g, expected %.9g", position, pair, got[i], want[i]);
}

static double wave(double theta, uint32_t pair) // radians a position
{
    return exp(-(double)pair / 64 * log(theta));
}

static void test_plain(void **state)
{
    (void)state;
    struct config c = config_of(&(struct extra){.theta = 500000, .eps = 1e-6f});
    assert_true(c.rope_theta == 500000 && c.norm_eps == 1e-6f && c.scaling == ROPE_NONE);
    turns(&c, 7, 0, 7, 1);
    turns(&c, 100000, 17, 100000 * wave(500000, 17), 1);
    c = config_of(&(struct extra){.theta = 10000, .eps = 1e-5f, .scaling = "none"});
    turns(&c, 9, 5, 9 * wave(10000, 5), 1);
}

// Linear: positions shrink by the factor. No type means linear; scale_linear is the old name.
static void test_linear(void **state)
{
    (void)state;
    const struct extra ways[] = {
        {.scaling = "linear", .f32 = {{"llama.rope.scaling.factor", 4}}},
        {.f32 = {{"llama.rope.scaling.factor", 4}}},
        {.f32 = {{"llama.rope.scale_linear", 4}}},
        {.f32 = {{"llama.rope.scale_linear", 2}, {"llama.rope.scaling.factor", 4}}},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct config c = config_of(&ways[i]);
        turns(&c, 100, 3, 25 * wave(10000, 3), 1);
    }
    struct config c = config_of(
        &(struct extra){.scaling = "none", .f32 = {{"llama.rope.scaling.factor", 4}}});
    turns(&c, 100, 3, 100 * wave(10000, 3), 1);
    c = config_of(&(struct extra){.f32 = {{"llama.rope.scaling.attn_factor", 1.5f}}});
    turns(&c, 100, 3, 100 * wave(10000, 3), 1.5);
}

// YaRN by hand. Base 10,000, 128 dimensions, 2,048 positions of training, factor 4: pair
// 128 ln(2048 / (2 pi turns)) / (2 ln 10000) makes `turns` turns: 16.1 for 32, 40.2 for 1, so the
// ramp goes from 16 to 41; pair 28 stands at 12 / 25 of it. The magnitude is 1 + 0.1 ln 4.
static void test_yarn(void **state)
{
    (void)state;
    struct extra x = {
        .scaling = "yarn", .orig_ctx = 2048, .f32 = {{"llama.rope.scaling.factor", 4}}};
    struct config c = config_of(&x);
    double gain = 1 + 0.1 * log(4);
    turns(&c, 100, 0, 100, gain);
    turns(&c, 100, 16, 100 * wave(10000, 16), gain);
    turns(&c, 100, 28, 100 * wave(10000, 28) * (0.48 / 4 + 0.52), gain);
    turns(&c, 8000, 41, 8000 * wave(10000, 41) / 4, gain);
    turns(&c, 8000, 63, 8000 * wave(10000, 63) / 4, gain);
    // 16 and 2 turns: pairs 20.9 and 35.4, a ramp from 20 to 36.
    x.f32[1].key = "llama.rope.scaling.yarn_beta_fast";
    x.f32[1].v = 16;
    x.f32[2].key = "llama.rope.scaling.yarn_beta_slow";
    x.f32[2].v = 2;
    x.f32[3].key = "llama.rope.scaling.attn_factor";
    x.f32[3].v = 0.5f;
    c = config_of(&x);
    turns(&c, 100, 20, 100 * wave(10000, 20), gain / 2);
    turns(&c, 100, 24, 100 * wave(10000, 24) * (0.25 / 4 + 0.75), gain / 2);
    turns(&c, 100, 36, 100 * wave(10000, 36) / 4, gain / 2);
    x.f32[3].v = 1; // no extrapolation is linear scaling
    x.f32[4].key = "llama.rope.scaling.yarn_ext_factor";
    x.f32[4].v = 0;
    c = config_of(&x);
    turns(&c, 100, 3, 25 * wave(10000, 3), 1);
    // The original context is the training length unless the file says otherwise: 8,192 positions
    // move the end of the ramp to pair 49.8.
    x = (struct extra){.scaling = "yarn", .f32 = {{"llama.rope.scaling.factor", 4}}};
    c = config_of(&x);
    turns(&c, 1000, 41, 1000 * wave(10000, 41) * (16 / 25.0 / 4 + 9 / 25.0), gain);
    x.f32[0].v = 1; // nothing to interpolate
    c = config_of(&x);
    turns(&c, 1000, 41, 1000 * wave(10000, 41), 1);
    x.f32[0].v = 0.5f; // the magnitude never falls
    c = config_of(&x);
    turns(&c, 1000, 63, 2000 * wave(10000, 63), 1);
}

static void test_rope_freqs(void **state)
{
    (void)state;
    struct config c = config_of(&(struct extra){.tensor = "rope_freqs.weight"});
    turns(&c, 100, 9, 100 * wave(10000, 9) / 10, 1);
    c = config_of(&(struct extra){.tensor = "rope_freqs.weight",
                                  .f32 = {{"llama.rope.scaling.factor", 2}}});
    turns(&c, 100, 9, 100 * wave(10000, 9) / 20, 1);
}

// Llama 3.1 at position 100,000: the factors are in the file, the angle is exact. In f32, whose
// spacing near 10^5 is 2^-7, it would be wrong in the third digit.
static void test_far(void **state)
{
    (void)state;
    struct tiny_model m = tiny_model_defaults(
        &(struct tiny_model){.head_dim = 128, .rope_theta = 500000, .llama3_factor = 8});
    struct config c = {.head_dim = 128, .n_rot = 128, .rope_theta = 500000, .rope_factor = 1,
                       .rope_gain = 1, .has_rope_freqs = true};
    assert_int_equal(tiny_rope_freqs(&m, c.rope_freqs), 64);
    for (uint32_t i = 0; i < 64; i++) {
        turns(&c, 100000, i, 100000 * wave(500000, i) / (double)c.rope_freqs[i], 1);
        turns(&c, 131071, i, 131071 * wave(500000, i) / (double)c.rope_freqs[i], 1);
    }
    // cos(100000) and sin(100000) to 14 digits.
    float out[128];
    config_angles(&c, 100000, out);
    assert_true(fabs((double)out[0] - -0.99936080743821) <= 0x1p-24);
    assert_true(fabs((double)out[1] - 0.03574879797202) <= 0x1p-24);
}

static void refused(const struct extra *x, enum err_code code, const char *word)
{
    struct config c;
    struct err e = {0};
    assert_false(read_config(x, &c, &e));
    assert_int_equal(e.code, code);
    if (!strstr(e.msg, word)) fail_msg("\"%s\" does not say %s", e.msg, word);
}

static void test_refused(void **state)
{
    (void)state;
    refused(&(struct extra){.scaling = "longrope"}, ERR_UNSUPPORTED, "longrope");
    refused(&(struct extra){.n_experts = 8}, ERR_UNSUPPORTED, "8 experts");
    refused(&(struct extra){.tensor = "blk.0.attn_q.bias"}, ERR_UNSUPPORTED, "attn_q.bias");
    refused(&(struct extra){.tensor = "\x1b[2J.bias"}, ERR_UNSUPPORTED, "(?[2J.bias)");
    refused(&(struct extra){.f32 = {{"llama.rope.scaling.factor", -1}}}, ERR_FORMAT, "scaling");
    refused(&(struct extra){.f32 = {{"llama.rope.scaling.factor", (float)NAN}}}, ERR_FORMAT,
            "scaling");
    refused(&(struct extra){.scaling = "yarn", .f32 = {{"llama.rope.scaling.yarn_beta_slow", 0}}},
            ERR_FORMAT, "scaling");
    refused(&(struct extra){.eps = 2}, ERR_FORMAT, "epsilon");
    refused(&(struct extra){.theta = 0.5f}, ERR_FORMAT, "rope base");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),      cmocka_unit_test(test_linear),
        cmocka_unit_test(test_yarn),       cmocka_unit_test(test_rope_freqs),
        cmocka_unit_test(test_far),        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
