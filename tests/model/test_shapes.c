// The engine against the forward pass in double on every shape that a Llama has: head sizes, head
// groups, odd widths, long prompts, rotary scaling, and every mix of weight types.
#include "engine/ref/ref_model.h"
#include "tests/gen.h"
#include "tests/model/common.h"

static const char path[] = "shapes.gguf";

struct shape {
    const char *what;
    struct gen_model g;
    size_t n_tokens; // 0: 24
    bool kv_f16;
};

static void make_ids(int32_t *ids, size_t n, uint32_t n_vocab)
{
    uint32_t seed = 5;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 9) % n_vocab);
    }
}

// What one matrix adds to the error, relative to its output: activations of 9 bits, a scale for 16
// values, step 1/255 of the largest: 2 / 255 / sqrt(12) = 0.23 % where values are normal, and up to
// 0.4 % where they are even; of 10 bits, a scale for 32: 0.12 to 0.14 %, and scales and minimums
// that are kept in f16 2^-11 / sqrt(3) = 0.03 % of numbers twice as large as the weights. Plain
// types round sums of f32: the longest chain is that of attention or of the widest row.
static double matrix_error(const struct gguf *file, const struct config *c, size_t n)
{
    double chain = fmax(100, fmax((double)n, c->n_ff / 32.0)), most = chain * 0x1p-24;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct gguf_tensor *t = &file->tensors[i];
        if (t->n_dims < 2 || !quant_is_grouped(t->type)) continue;
        bool q4 = t->type == QUANT_Q4_0 || t->type == QUANT_Q4_1 || t->type == QUANT_Q4_K;
        most = fmax(most, q4 ? 0.004 : 0.0015);
    }
    return most;
}

// Four matrices in a row a layer, and the output. Rounded activations err independently, so their
// squares add; three standard errors, because the worst of all positions counts. Sums in f32 drift
// together: their errors add. An f16 cache adds 2^-11 / sqrt(3) = 2.8e-4 a layer to scores and
// values.
static double limit_of(const struct gguf *file, const struct config *c, const struct shape *s)
{
    double one = matrix_error(file, c, s->n_tokens), stages = 4.0 * c->n_layers + 1;
    double limit = one < 0.001 ? stages * one : 3 * sqrt(stages) * one;
    return limit + (s->kv_f16 ? 3 * 2.8e-4 * sqrt(c->n_layers) : 0);
}

static double worst_row(const float *got, const double *want, size_t n, size_t n_vocab)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double r = rms_rel(got + i * n_vocab, want + i * n_vocab, n_vocab);
        if (!(r <= most)) most = r; // NaN stays
    }
    return most;
}

static void check(struct shape s)
{
    struct gguf file;
    struct config c;
    struct err e;
    if (!s.n_tokens) s.n_tokens = 24;
    if (!s.g.m.n_ctx) s.g.m.n_ctx = 1024;
    if (!s.g.m.n_vocab) s.g.m.n_vocab = 288;
    if (!gen_write(&s.g, path, &e)) fail_msg("%s: %s", s.what, e.msg);
    struct engine *g = open_model((struct engine_params){
        .model_path = path, .n_ctx = 1024, .kv = s.kv_f16 ? ENGINE_KV_F16 : ENGINE_KV_F32});
    size_t n = s.n_tokens, n_vocab = engine_info(g)->n_vocab;
    int32_t *ids = malloc(n * sizeof *ids);
    double *want = malloc(n * n_vocab * sizeof *want);
    float *got = logits_for(g, n);
    assert_true(ids && want);
    make_ids(ids, n, (uint32_t)n_vocab);
    struct engine_item item = {0, ids, n, LOGITS_ALL};
    if (!engine_run(g, &item, 1, got, &e) || !gguf_open(path, &file, &e) ||
        !config_read(&file, &c, &e) || !ref_model_logits(&file, &c, ids, n, s.kv_f16 ? KV_F16 : KV_F32, want, &e))
        fail_msg("%s: %s", s.what, e.msg);
    double r = worst_row(got, want, n, n_vocab), limit = limit_of(&file, &c, &s);
    print_message("%-34s rms_rel %.2e (limit %.1e)\n", s.what, r, limit);
    if (!(r <= limit)) fail_msg("%s: rms_rel %g, at most %g", s.what, r, limit);
    gguf_close(&file);
    engine_close(g);
    free(ids);
    free(want);
    free(got);
}

// A shape of n_embd, heads, key/value heads, head size, n_ff; then other fields of struct shape.
#define SHAPE(name, embd, heads, kv, hd, ff, ...)                                                  \
    {                                                                                              \
        .what = name, .g.m.n_embd = embd, .g.m.n_heads = heads, .g.m.n_kv_heads = kv,              \
        .g.m.head_dim = hd, .g.m.n_ff = ff, __VA_ARGS__                                            \
    }

static void test_shapes(void **state)
{
    (void)state;
    static const struct shape list[] = {
        SHAPE("70B: 8 of 128 a key/value head", 512, 8, 1, 128, 448, .g.pure = "F32"),
        SHAPE("8B: 4 of 128, llama3 rope", 512, 4, 1, 128, 768, .g.mix = "Q4_K_M",
              .g.m.llama3_factor = 8, .g.m.rope_theta = 500000),
        SHAPE("1B: 4 of 64, tied, llama3 rope", 512, 8, 2, 64, 1024, .g.mix = "Q4_0",
              .g.m.llama3_factor = 32, .g.m.rope_theta = 500000, .g.m.tied_output = true),
        SHAPE("SmolLM2 135M: 576, 3 of 64, tied", 576, 9, 3, 64, 1536, .g.mix = "Q4_K_M",
              .g.m.n_layers = 1, .g.m.tied_output = true),
        SHAPE("SmolLM2 360M: 960, 5 heads, tied", 960, 15, 5, 64, 2560, .g.mix = "Q5_K_M",
              .g.m.n_layers = 1, .g.m.tied_output = true, .n_tokens = 8, .kv_f16 = true),
        SHAPE("heads wider than the model", 96, 4, 2, 64, 160, .g.pure = "F16"),
        SHAPE("heads narrower than the model", 320, 4, 4, 32, 200, .g.pure = "BF16"),
        SHAPE("head size 256", 64, 2, 1, 256, 96, .g.pure = "F32", .g.m.n_layers = 1),
        SHAPE("rows that are not whole blocks", 72, 3, 1, 24, 100, .g.mix = "Q6_K"),
        SHAPE("norm epsilon 0.3, base 1,000", 64, 4, 2, 16, 96, .g.pure = "F32",
              .g.m.norm_eps = 0.3f, .g.m.rope_theta = 1000),
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        check(list[i]);
}

// Every number of query heads a key/value head, from 1 to 16.
static void test_groups(void **state)
{
    (void)state;
    for (uint32_t group = 1; group <= 16; group++) {
        char what[40];
        uint32_t kv = 1 + group % 2;
        (void)snprintf(what, sizeof what, "%u query heads a key/value head", group);
        check((struct shape)SHAPE(what, 64, group * kv, kv, 8, 96, .g.pure = "F32",
                                  .g.m.seed = group, .g.m.n_layers = 1));
    }
}

// Prompts longer than a pass of 512, with every way to scale positions.
static void test_long_prompts(void **state)
{
    (void)state;
    static const struct shape list[] = {
        SHAPE("700 tokens, f16 cache", 64, 4, 2, 16, 96, .g.pure = "F32", .n_tokens = 700,
              .kv_f16 = true),
        SHAPE("700 tokens, llama3 rope", 64, 3, 1, 32, 96, .g.pure = "F32", .n_tokens = 700,
              .g.m.llama3_factor = 8, .g.m.rope_theta = 500000, .g.m.rope_orig_ctx = 256),
        SHAPE("700 tokens, linear rope", 64, 4, 2, 16, 96, .g.pure = "F32", .n_tokens = 700,
              .g.m.rope_scaling = "linear", .g.m.rope_factor = 4),
        SHAPE("700 tokens, YaRN", 64, 4, 2, 16, 96, .g.pure = "F32", .n_tokens = 700,
              .g.m.rope_scaling = "yarn", .g.m.rope_factor = 8, .g.m.rope_orig_ctx = 128),
        SHAPE("700 tokens, Q4_K_M", 256, 4, 2, 64, 256, .g.mix = "Q4_K_M", .n_tokens = 700),
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        check(list[i]);
}

// The file types of llama.cpp, with rows that are multiples of 256 and rows that are not; then the
// weight types that no mix has for all matrices.
static void test_mixes(void **state)
{
    (void)state;
    static const char *const mixes[] = {"Q2_K",   "Q3_K_S", "Q3_K_M", "Q3_K_L", "IQ4_XS", "Q4_0",
                                        "Q4_1",   "Q4_K_S", "Q4_K_M", "Q5_0",   "Q5_1",   "Q5_K_S",
                                        "Q5_K_M", "Q6_K",   "Q8_0",   "F16"};
    static const char *const pure[] = {"IQ4_NL", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"};
    char what[40];
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) {
        check((struct shape)SHAPE(mixes[i], 256, 4, 1, 64, 512, .g.mix = mixes[i]));
        (void)snprintf(what, sizeof what, "%s, rows of 288 and 352", mixes[i]);
        check((struct shape)SHAPE(what, 288, 3, 3, 96, 352, .g.mix = mixes[i], .g.m.n_layers = 1));
    }
    for (size_t i = 0; i < sizeof pure / sizeof pure[0]; i++) {
        (void)snprintf(what, sizeof what, "all matrices %s", pure[i]);
        check((struct shape)SHAPE(what, 256, 4, 1, 64, 512, .g.pure = pure[i],
                                  .g.m.n_layers = 1));
    }
}

// Beyond the training length the engine runs, and says what that does.
static void test_warning(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_ctx;
        bool warns;
    } list[] = {{0, false}, {32, false}, {100, false}, {128, false}, {129, true}, {4096, true}};
    struct gen_model m = {.pure = "F32", .m = {.n_ctx = 100, .n_layers = 1}};
    struct err e;
    if (!gen_write(&m, path, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct engine *g =
            open_model((struct engine_params){.model_path = path, .n_ctx = list[i].n_ctx});
        const char *w = engine_info(g)->warning;
        assert_true((*w != 0) == list[i].warns);
        if (*w && !strstr(w, "the 100 that")) fail_msg("\"%s\"", w);
        engine_close(g);
    }
}

static int clean_up(void **state)
{
    (void)state;
    remove(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_long_prompts),
        cmocka_unit_test(test_mixes),
        cmocka_unit_test(test_warning),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
