// Times the attention kernel alone, as the engine dispatches it:
//
//   time_attention [runs [group kv_heads head_dim [type]]]     default 20, 3 3 64 (SmolLM2-135M)
//   f16
//
// One token behind 0 to 8,192 positions, then prompts of 512 and 2,048 tokens. Least wall clock
// time around one submission, and least processor time of all threads, on the device that
// LECTERN_DEVICE names (default: the best one).
#include "base/clock.h"
#include "base/size.h"
#include "engine/model/forward.h"
#include "tests/kernels/harness.h"

#include <time.h>

struct shape_of {
    uint32_t group, n_kv_heads, head_dim, kv_type;
};

static double cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static struct kt_buf random_words(struct kt *t, size_t n)
{
    uint32_t *words = malloc(n * sizeof *words);
    assert_non_null(words);
    for (size_t i = 0; i < n; i++) // two small f16; as an f32, or as integers, they are finite too
        words[i] = 0x2c002c00u | (kt_below(t, 0x80000000u) & 0x83ff83ffu);
    struct kt_buf b = kt_upload(t, words, n);
    free(words);
    return b;
}

static struct kt_buf page_table(struct kt *t, size_t n)
{
    uint32_t *words = calloc(n, 16);
    assert_non_null(words);
    for (size_t i = 0; i < n; i++)
        words[4 * i] = (uint32_t)(i * KV_PAGE);
    struct kt_buf b = kt_upload(t, words, 4 * n);
    free(words);
    return b;
}

static struct kt_buf tile_table(struct kt *t, uint32_t past, uint32_t n, uint32_t step,
                                uint32_t *n_tiles)
{
    uint32_t *words = calloc(n, 16);
    assert_non_null(words);
    *n_tiles = 0;
    for (uint32_t at = 0; at < n; at += step)
        memcpy(words + 4 * (*n_tiles)++,
               (uint32_t[]){at, n - at < step ? n - at : step, 0, past + at}, 16);
    struct kt_buf b = kt_upload(t, words, 4 * (size_t)*n_tiles);
    free(words);
    return b;
}

static void time_one(struct kt *t, const struct shape_of *s, uint32_t past, uint32_t n, int runs)
{
    uint32_t heads, tokens, n_tiles, n_heads = s->group * s->n_kv_heads;
    uint32_t kv_dim = (uint32_t)size_align(s->head_dim, 64);
    size_t n_pages = size_div_up(past + n, KV_PAGE);
    size_t v_base = n_pages * KV_PAGE * s->n_kv_heads * kv_dim, row = n_heads * s->head_dim;
    const struct gpu_pipeline *p;
    struct err e;
    uint32_t n_slices = n == 1 ? (uint32_t)size_div_up(past + n, KV_SLICE) : 1;
    double best = 1e9, cpu = 1e9;
    forward_tile(&t->gpu, s->head_dim, s->group, &heads, &tokens);
    if (n == 1) tokens = 1;
    struct kt_buf q = random_words(t, n * row), kv = random_words(t, 2 * v_base);
    struct kt_buf pages = page_table(t, n_pages), out = kt_upload(t, NULL, n * row);
    struct kt_buf tiles = tile_table(t, past, n, tokens, &n_tiles);
    struct kt_buf partial =
        kt_upload(t, NULL, 4 * n_heads + n_slices * n_heads * (s->head_dim + 4));
    if (!gpu_buf_zero(&t->gpu, &partial.gpu, &e)) fail_msg("%s", e.msg);
    struct push_attention push = {.n_kv_heads = s->n_kv_heads,
                                  .kv_dim = kv_dim,
                                  .q_stride = (uint32_t)row / 4,
                                  .v_base = (uint32_t)v_base,
                                  .max_slices = n_slices,
                                  .n_heads = n_heads,
                                  .partial_base = n_heads};
    push.n_groups = (uint32_t)size_min(n_slices, size_max(1, 32 * heads / n_heads));
    if (!kernels_attention(&t->k, s->head_dim, s->group, heads, tokens, s->kv_type, &p, &e))
        fail_msg("%s", e.msg);
    for (int i = 0; i < runs; i++) {
        double t0 = clock_s(), c0 = cpu_s();
        kt_run_groups(t, p, (const struct kt_buf *[]){&q, &kv, &tiles, &pages, &out, &partial},
                      &push, (uint32_t[]){n_heads / heads, n_tiles, push.n_groups});
        cpu = fmin(cpu, cpu_s() - c0);
        best = fmin(best, clock_s() - t0);
    }
    print_message("%5u tokens behind %5u: %10.1f us, %10.1f us of processors\n", n, past,
                  best * 1e6, cpu * 1e6);
    kt_free(t, &q);
    kt_free(t, &kv);
    kt_free(t, &pages);
    kt_free(t, &out);
    kt_free(t, &tiles);
    kt_free(t, &partial);
}

int main(int argc, char **argv)
{
    static const uint32_t past[] = {0, 512, 2048, 8192};
    struct kt t = {.rng = 1};
    struct shape_of s = {3, 3, 64, KV_F16};
    struct err e;
    int runs = argc > 1 ? atoi(argv[1]) : 20;
    if (argc > 4)
        s = (struct shape_of){(uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]),
                              (uint32_t)atoi(argv[4]), argc > 5 ? (uint32_t)atoi(argv[5]) : KV_F16};
    if (!gpu_create(getenv("LECTERN_DEVICE"), false, NULL, &t.gpu, &e)) fail_msg("%s", e.msg);
    kernels_init(&t.k, &t.gpu);
    print_message("%s, %s; %u x %u heads of %u\n", t.gpu.caps.name, t.gpu.caps.driver, s.group,
                  s.n_kv_heads, s.head_dim);
    for (size_t i = 0; i < sizeof past / sizeof *past; i++)
        time_one(&t, &s, past[i], 1, 10 * runs);
    time_one(&t, &s, 0, 512, runs);
    time_one(&t, &s, 0, 2048, (runs + 3) / 4);
    kernels_destroy(&t.k);
    gpu_destroy(&t.gpu);
    return 0;
}
