// Perplexity of a text of 4,200 tokens, in full context and in windows, against double precision;
// and of the default model on the fixtures' prompts against their float32 reference.
#include "app/perplexity.h"
#include "base/file.h"
#include "engine/ref/ref_model.h"
#include "tests/gen.h"
#include "tests/model/common.h"

enum { N = 4200 };
static const char path[] = "perplexity.gguf";

// ------------------------------------------------------------------------------- in double

struct truth {
    struct gguf file;
    struct config c;
    double sum;
    uint64_t n;
};

// Adds the nll of ids[from..to) behind ids[begin..from). What has nothing before it is not scored.
static void score(struct truth *t, const int32_t *ids, size_t begin, size_t from, size_t to)
{
    enum { ROWS = 300 };
    struct ref_state s;
    struct err e;
    size_t v = t->c.n_vocab;
    double *l = malloc(ROWS * v * sizeof *l);
    assert_non_null(l);
    if (from == begin) from++;
    if (!ref_state_create(&t->c, to - begin, KV_F32, &s, &e)) fail_msg("%s", e.msg);
    if (from - 1 > begin && // what only gives context
        !ref_model_append(&t->file, &t->c, &s, ids + begin, from - 1 - begin, NULL, &e))
        fail_msg("%s", e.msg);
    for (size_t at = from, rows; at < to; at += rows) {
        rows = to - at < ROWS ? to - at : ROWS;
        if (!ref_model_append(&t->file, &t->c, &s, ids + at - 1, rows, l, &e))
            fail_msg("%s", e.msg);
        for (size_t i = 0; i < rows; i++) {
            double total = 0;
            for (size_t k = 0; k < v; k++)
                total += exp(l[i * v + k]);
            t->sum += log(total) - l[i * v + (size_t)ids[at + i]];
            t->n++;
        }
    }
    free(l);
    ref_state_destroy(&s);
}

static double windows(struct truth *t, const int32_t *ids, size_t n_ctx, size_t stride)
{
    t->sum = 0;
    t->n = 0;
    score(t, ids, 0, 0, n_ctx < N ? n_ctx : N);
    for (size_t from = n_ctx; from < N; from += stride)
        score(t, ids, from + stride - n_ctx, from, from + stride < N ? from + stride : N);
    return t->sum / (double)t->n;
}

// --------------------------------------------------------------------------------- the text

// This project's own description, as ids of the model's tokenizer.
static int32_t *text_ids(const struct vocab *v)
{
    static const char *const files[] = {"README.md", "engine/ARCHITECTURE.md", "fit/README.md"};
    struct tokens t = {0};
    struct err e;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && t.n < N; i++) {
        char name[512], *text;
        size_t size;
        (void)snprintf(name, sizeof name, "%s/%s", LECTERN_SOURCE_DIR, files[i]);
        if (!file_read(name, 1 << 20, &text, &size, &e) ||
            !vocab_tokenize(v, text, size, 0, &t, &e))
            fail_msg("%s", e.msg);
        free(text);
    }
    assert_true(t.n >= N);
    return t.ids;
}

static void test_long_text(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_ctx, stride;
        uint64_t windows;
    } cases[] = {{N, 0, 1}, {512, 256, 16}, {1024, 1024, 5}, {1500, 500, 7}};
    const struct gen_model m = {.pure = "F32",
                                .m = {.seed = 6,
                                      .n_embd = 32,
                                      .n_heads = 2,
                                      .n_kv_heads = 1,
                                      .head_dim = 16,
                                      .n_ff = 48,
                                      .n_ctx = 8192,
                                      .vocab = TINY_BPE}};
    struct truth t = {0};
    struct err e;
    if (!gen_write(&m, path, &e) || !gguf_open(path, &t.file, &e) ||
        !config_read(&t.file, &t.c, &e))
        fail_msg("%s", e.msg);
    struct engine *g = open_model(
        (struct engine_params){.model_path = path, .n_ctx = 4224, .kv = ENGINE_KV_F32});
    int32_t *ids = text_ids(engine_vocab(g));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct perplexity_params p = {cases[i].n_ctx, cases[i].stride, -1};
        struct perplexity o;
        if (!perplexity_measure(g, &p, ids, N, NULL, &o, &e)) fail_msg("%s", e.msg);
        double mean = windows(&t, ids, p.n_ctx, p.stride ? p.stride : p.n_ctx / 2);
        print_message("ctx %4u stride %4u: mean nll %.7f, in double %.7f\n", p.n_ctx, p.stride,
                      o.mean_nll, mean);
        assert_int_equal(o.n_windows, cases[i].windows);
        assert_int_equal(o.n_scored, t.n);
        // Logits of the order of one, each wrong by at most sqrt(4,200) 2^-24 a stage, nine stages
        // (test_long.c): 3.5e-5; their errors average out over the tokens.
        assert_true(fabs(o.mean_nll - mean) <= 3.5e-5);
        assert_true(fabs(o.perplexity - exp(mean)) <= 3.6e-5 * exp(mean));
    }
    free(ids);
    engine_close(g);
    gguf_close(&t.file);
    remove(path);
}

// -------------------------------------------------------------------------- the default model

// The reference's own nll of each prompt, from float32 weights dequantised from the same file. The
// engine's rounding of activations may move their sum by 0.5 % (test_fixtures.c).
static void test_default_model(void **state)
{
    (void)state;
    static const char fixture[] = LECTERN_SOURCE_DIR "/../shared/fixtures/smollm2_dev.json";
    char cache[2048], model[4096];
    struct err e;
    if (!file_cache_dir(cache, sizeof cache, &e)) fail_msg("%s", e.msg);
    (void)snprintf(model, sizeof model, "%s/models/SmolLM2-135M-Instruct.Q4_1.gguf", cache);
    if (!file_exists(model) || !file_exists(fixture)) {
        print_message("skipped: no default model or no fixture\n");
        skip();
    }
    cJSON *dev = json_load(fixture, &e);
    if (!dev) fail_msg("%s", e.msg);
    struct engine *g = open_model((struct engine_params){.model_path = model, .n_ctx = 512});
    double sum = 0, want = 0;
    const cJSON *item, *id;
    cJSON_ArrayForEach(item, dev)
    {
        int32_t ids[512];
        size_t n = 0;
        struct perplexity o;
        cJSON_ArrayForEach(id, cJSON_GetObjectItemCaseSensitive(item, "tokens"))
        {
            assert_true(n < 512);
            ids[n++] = (int32_t)id->valuedouble;
        }
        if (!perplexity_measure(g, &(struct perplexity_params){512, 0, -1}, ids, n, NULL, &o, &e))
            fail_msg("%s", e.msg);
        assert_int_equal(o.n_scored, n - 1);
        sum += o.mean_nll * (double)o.n_scored;
        want += json_number_or(item, "nll_sum", 0);
    }
    print_message("summed nll %.3f, reference %.3f\n", sum, want);
    assert_true(want > 0 && fabs(sum / want - 1) <= 0.005);
    engine_close(g);
    cJSON_Delete(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_long_text),
                                       cmocka_unit_test(test_default_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
