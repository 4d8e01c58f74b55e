// Long contexts: real prompts, and positions near 131,072 with the cells before them copied.
#include "engine/model/engine_internal.h"
#include "engine/ref/ref_model.h"
#include "base/clock.h"
#include "tests/gen.h"
#include "tests/model/common.h"

static const char path[] = "long.gguf";

struct run { // a model on the engine and on the reference
    struct engine *g;
    struct gguf file;
    struct config c;
    struct ref_state ref;
    bool f16;
};

static void open_run(struct run *r, const struct gen_model *m, uint32_t n_ctx, bool f16)
{
    struct err e;
    *r = (struct run){.f16 = f16};
    if (!gen_write(m, path, &e)) fail_msg("%s", e.msg);
    r->g = open_model((struct engine_params){
        .model_path = path, .n_ctx = n_ctx, .kv = f16 ? ENGINE_KV_F16 : ENGINE_KV_F32});
    if (!gguf_open(path, &r->file, &e) || !config_read(&r->file, &r->c, &e) ||
        !ref_state_create(&r->c, n_ctx, f16 ? KV_F16 : KV_F32, &r->ref, &e))
        fail_msg("%s", e.msg);
}

static void close_run(struct run *r)
{
    engine_close(r->g);
    ref_state_destroy(&r->ref);
    gguf_close(&r->file);
    remove(path);
}

static int32_t *make_ids(size_t n, uint32_t n_vocab, uint32_t seed)
{
    int32_t *ids = malloc(n * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 9) % n_vocab);
    }
    return ids;
}

static void append(struct run *r, const int32_t *ids, size_t n)
{
    struct err e;
    struct engine_item item = {0, ids, n, LOGITS_NONE};
    if (!engine_run(r->g, &item, 1, NULL, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0, step; i < n; i += step) { // the reference holds a step's arrays
        step = n - i < 1000 ? n - i : 1000;
        if (!ref_model_append(&r->file, &r->c, &r->ref, ids + i, step, NULL, &e))
            fail_msg("%s", e.msg);
    }
}

// Sums over n positions round to nearest n times by 2^-24 of the sum at most: independent errors,
// sqrt(n), in each of 4 matrices a layer and the output; three times that. An f16 cache adds
// 2^-11 / sqrt(3) of its scores and values a layer.
static void compare(struct run *r, const int32_t *ids, size_t n)
{
    uint32_t v = engine_info(r->g)->n_vocab, at = engine_seq_len(r->g, 0);
    float *got = logits_for(r->g, n);
    double *want = malloc(n * v * sizeof *want), stages = 4.0 * r->c.n_layers + 1;
    double limit = 3 * stages * sqrt((double)at) * 0x1p-24;
    struct err e;
    assert_non_null(want);
    if (r->f16) limit += 3 * 2.8e-4 * sqrt(r->c.n_layers);
    struct engine_item item = {0, ids, n, LOGITS_ALL};
    if (!engine_run(r->g, &item, 1, got, &e) ||
        !ref_model_append(&r->file, &r->c, &r->ref, ids, n, want, &e))
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++) {
        double error = rms_rel(got + i * v, want + i * v, v);
        print_message("position %6zu: rms_rel %.2e (limit %.1e)\n", at + i, error, limit);
        if (!(error <= limit)) fail_msg("position %zu: rms_rel %g", at + i, error);
    }
    free(got);
    free(want);
}

// -------------------------------------------------------------------------- a whole long prompt

// One layer: its keys and values come from the tokens alone, so that the reference needs attention
// for the last positions only.
static void prompt(size_t n)
{
    const struct gen_model m = {.pure = "F32",
                                .m = {.seed = 3,
                                      .n_layers = 1,
                                      .n_embd = 64,
                                      .n_heads = 1,
                                      .n_kv_heads = 1,
                                      .head_dim = 64,
                                      .n_ff = 64,
                                      .n_vocab = 288,
                                      .n_ctx = 131072,
                                      .rope_theta = 500000,
                                      .llama3_factor = 8}};
    struct run r;
    open_run(&r, &m, (uint32_t)n, true);
    int32_t *ids = make_ids(n, 288, 1);
    double start = clock_s();
    append(&r, ids, n - 3);
    print_message("%zu tokens: %.1f s\n", n, clock_s() - start);
    compare(&r, ids + n - 3, 2);
    compare(&r, ids + n - 1, 1);
    free(ids);
    close_run(&r);
}

static void test_prompt(void **state)
{
    prompt(*(const size_t *)*state);
}

// ------------------------------------------------------------------------------ shared pages

// The sequence becomes positions [0, half) of `low` over and over and [half, end) of `high`, on both
// sides. The engine's pages are shared, but for a last one that is not full, which is copied.
static void repeat(struct run *r, const uint32_t *low, const uint32_t *high, uint32_t n_pages,
                   uint32_t half, uint32_t end)
{
    struct kv_pages *p = &r->g->pages;
    struct err e;
    for (uint32_t i = 0; i * KV_PAGE < end; i++)
        p->list[i] = (i * KV_PAGE < half ? low : high)[i % n_pages];
    p->held[0] = (end + KV_PAGE - 1) / KV_PAGE;
    p->len[0] = end;
    p->version[0]++;
    uint32_t *last = &p->list[p->held[0] - 1];
    struct kv_copy copy = {p->free[--p->n_free], *last};
    if (!kv_store_copy(&r->g->stages[0].forward.kv, &copy, 1, &e)) fail_msg("%s", e.msg);
    p->refs[copy.dst] = 1;
    *last = copy.dst;
}

// The reference's positions [0, n) also to [to, to + n), [to + n, to + 2n)... up to end.
static void spread(struct run *r, uint32_t to, uint32_t n, uint32_t end)
{
    size_t row = (size_t)r->c.n_kv_heads * r->c.head_dim;
    for (uint32_t at = to, step; at < end; at += step) {
        step = end - at < n ? end - at : n;
        for (size_t l = 0; l < r->c.n_layers; l++) {
            double *k = r->ref.k + l * r->ref.cap * row, *v = r->ref.v + l * r->ref.cap * row;
            memcpy(k + at * row, k, step * row * sizeof *k);
            memcpy(v + at * row, v, step * row * sizeof *v);
        }
    }
}

// Runs a prompt and notes its pages, which stay taken.
static void take_pages(struct run *r, const int32_t *ids, uint32_t n, uint32_t *pages)
{
    struct kv_pages *p = &r->g->pages;
    append(r, ids, n);
    memcpy(pages, p->list, n / KV_PAGE * sizeof *pages);
    p->held[0] = p->len[0] = 0;
    p->version[0]++;
    r->ref.n = 0;
}

// The shape of Llama 3.1 70B's attention (8 heads of 128 a key/value head) at the end of its
// context. The cells before are two prompts, each over and over: what counts is that every cell is
// seen, the second half too, and that the angles of these positions are right.
static void far(uint32_t n_layers, uint32_t n_heads, uint32_t head_dim, bool f16)
{
    enum { BASE = 512, HALF = 65536, END = 131072 };
    const struct gen_model m = {.pure = "F32",
                                .m = {.seed = 4,
                                      .n_layers = n_layers,
                                      .n_embd = 64,
                                      .n_heads = n_heads,
                                      .n_kv_heads = 1,
                                      .head_dim = head_dim,
                                      .n_ff = 64,
                                      .n_vocab = 288,
                                      .n_ctx = END,
                                      .rope_theta = 500000,
                                      .llama3_factor = 8}};
    struct run r;
    open_run(&r, &m, END, f16);
    int32_t *a = make_ids(BASE, 288, 1), *b = make_ids(BASE, 288, 2);
    uint32_t low[BASE / KV_PAGE], high[BASE / KV_PAGE];
    take_pages(&r, a, BASE, high);
    spread(&r, HALF, BASE, END - 3);
    take_pages(&r, b, BASE, low);
    spread(&r, BASE, BASE, HALF);
    repeat(&r, low, high, BASE / KV_PAGE, HALF, END - 3);
    r.ref.n = END - 3;
    compare(&r, a, 2); // prefill
    compare(&r, b, 1); // decode
    assert_int_equal(engine_seq_len(r.g, 0), END);
    free(a);
    free(b);
    close_run(&r);
}

static void test_far(void **state)
{
    (void)state;
    far(2, 1, 64, false);
    far(1, 8, 128, true);
}

// usage: test_long [TOKENS]   the prompt's length; 20,000 unless given
int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    if (n < 1024 || n > 131072) {
        (void)fprintf(stderr, "test_long: 1024 to 131072 tokens\n");
        return 2;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_prompt, &n),
        cmocka_unit_test(test_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
