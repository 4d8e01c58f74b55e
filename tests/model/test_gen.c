// The model generator: sizes by the rules of real files, weights of the variance it promises, the
// same bytes for the same seed, several files, holes, and nothing left after a failure.
#include "base/cancel.h"
#include "base/file.h"
#include "base/half.h"
#include "engine/engine.h"
#include "fit/sizes.h"
#include "tests/gen.h"
#include "tests/tiny_lora.h"

#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static const char path[] = "gen_test.gguf";

static void write_model(const struct gen_model *g, const char *to)
{
    struct err e;
    if (!gen_write(g, to, &e)) fail_msg("%s", e.msg);
}

static uint64_t size_of(const struct gen_model *g)
{
    uint64_t bytes;
    struct err e;
    if (!gen_bytes(g, &bytes, &e)) fail_msg("%s", e.msg);
    return bytes;
}

// Tensor bytes are those of fit_weights, which is held to published sizes by its own test; llama3's
// rope factors are the only tensor that it does not count.
static void test_sizes(void **state)
{
    (void)state;
    struct fit_model *list;
    size_t n;
    struct err e;
    if (!fit_models(&list, &n, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++) {
        for (int q = 0; q < FIT_N_QUANTS; q++) {
            struct gen_model g = {.mix = fit_quant_name((enum fit_quant)q)};
            struct fit_bytes b;
            if (!gen_shape(list[i].name, &g, &e)) fail_msg("%s", e.msg);
            fit_weights(&list[i], (enum fit_quant)q, &b);
            uint64_t freqs = list[i].rope_factor > 1 ? list[i].head_dim / 2 * 4 : 0;
            assert_int_equal(size_of(&g), b.file + freqs);
        }
    }
    free(list);
    struct gen_model g = {.pure = "Q8_0"}; // all matrices; by hand
    assert_true(gen_shape("smollm2-135m", &g, &e));
    assert_int_equal(size_of(&g), 134479872ull / 32 * 34 + 61 * 576 * 4);
    g.pure = "Q6_K"; // rows of 576 fall back to Q8_0, those of 1,536 (down) do not
    uint64_t down = 30ull * 576 * 1536;
    assert_int_equal(size_of(&g), (134479872 - down) / 32 * 34 + down / 256 * 210 + 61 * 576 * 4);
}

// Mean and variance of n weights that are scale times a bounded level: the standard errors of the
// mean 1 / sqrt(n) and of the variance sqrt(kurtosis - 1) / sqrt(n) < 2 / sqrt(n) in units of the
// variance, where no group shares its level; weights of a group share scale and minimum, which
// leaves n / 32 independent draws at worst. Five standard errors, and 1 % for scales that round as
// f16 below 2^-14 (Q6_K: 1.1e-5, steps of 6e-8: 0.3 % each).
static void test_moments(void **state)
{
    (void)state;
    enum { N = 4096 * 128, ROW = 4096 };
    float *x = malloc(N * sizeof *x);
    unsigned char *b = malloc(N * 4);
    assert_non_null(x);
    assert_non_null(b);
    double se = 1 / sqrt(N / 32.0);
    for (uint32_t type = 0; type < 64; type++) {
        if (!quant_info(type)) continue;
        size_t bytes;
        uint64_t seed = 99;
        double sum = 0, square = 0;
        assert_true(quant_row_bytes((enum quant_type)type, N, &bytes));
        gen_blocks((enum quant_type)type, ROW, &seed, b, bytes);
        assert_true(quant_dequantise((enum quant_type)type, b, N, x));
        for (size_t i = 0; i < N; i++) {
            sum += (double)x[i];
            square += (double)x[i] * (double)x[i];
        }
        double mean = sum / N * sqrt(ROW), var = square / N * ROW;
        print_message("%-6s mean %+.4f variance %.4f\n", quant_info(type)->name, mean, var);
        if (!(fabs(mean) <= 5 * se)) fail_msg("%s: mean %g", quant_info(type)->name, mean);
        if (!(fabs(var - 1) <= 5 * 2 * se + 0.01))
            fail_msg("%s: variance %g", quant_info(type)->name, var);
    }
    free(x);
    free(b);
}

static void same_bytes(const char *a, const char *b, bool same)
{
    char *pa, *pb;
    size_t na, nb;
    struct err e;
    assert_true(file_read(a, 1 << 28, &pa, &na, &e) && file_read(b, 1 << 28, &pb, &nb, &e));
    assert_int_equal(na, nb);
    assert_true((memcmp(pa, pb, na) == 0) == same);
    free(pa);
    free(pb);
}

static const struct gen_model small = {.mix = "Q4_K_M",
                                       .m = {.seed = 5,
                                             .n_layers = 3,
                                             .n_embd = 512,
                                             .n_heads = 8,
                                             .n_kv_heads = 2,
                                             .n_ff = 1024,
                                             .n_vocab = 1000,
                                             .vocab = TINY_BPE,
                                             .llama3_factor = 8}};

static void test_seed(void **state)
{
    (void)state;
    struct gen_model g = small;
    write_model(&g, path);
    write_model(&g, "gen_again.gguf");
    same_bytes(path, "gen_again.gguf", true);
    g.m.seed++;
    write_model(&g, "gen_again.gguf");
    same_bytes(path, "gen_again.gguf", false);
    remove("gen_again.gguf");
}

// The parts hold the tensors of the one file in its order, none of them more than was asked for.
static void test_split(void **state)
{
    (void)state;
    struct gen_model g = small;
    struct gguf whole, parts;
    struct err e;
    size_t bytes[40] = {0}, tensors[40] = {0};
    write_model(&g, path);
    if (!gguf_open(path, &whole, &e)) fail_msg("%s", e.msg);
    g.split = 1 << 20;
    write_model(&g, "gen_parts.gguf");
    glob_t found;
    assert_int_equal(glob("gen_parts-*-of-*.gguf", 0, NULL, &found), 0);
    assert_in_range(found.gl_pathc, 3, 40);
    if (!gguf_open(found.gl_pathv[0], &parts, &e)) fail_msg("%s", e.msg);
    assert_int_equal(parts.n_shards, found.gl_pathc);
    assert_int_equal(parts.n_tensors, whole.n_tensors);
    for (size_t k = 0; k < parts.n_tensors; k++) {
        const struct gguf_tensor *t = &parts.tensors[k];
        assert_int_equal(t->size, whole.tensors[k].size);
        assert_memory_equal(t->data, whole.tensors[k].data, t->size);
        bytes[t->shard] += t->size;
        tensors[t->shard]++;
    }
    for (size_t i = 0; i < parts.n_shards; i++)
        assert_true(tensors[i] && (bytes[i] <= g.split || tensors[i] == 1));
    gguf_close(&parts);
    gguf_close(&whole);
    for (size_t i = 0; i < found.gl_pathc; i++)
        remove(found.gl_pathv[i]);
    globfree(&found);
}

static float f32_at(const struct gguf_tensor *t, size_t i)
{
    const unsigned char *p = t->data + 4 * i;
    return half_float((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                      (uint32_t)p[3] << 24);
}

// A 42 GB file in a few MB of disk: all weights are zero, all norms are not.
static void test_sparse(void **state)
{
    (void)state;
    struct gen_model g = {.mix = "Q4_K_M", .sparse = true};
    struct gguf file;
    struct stat st;
    struct err e;
    assert_true(gen_shape("Llama 3.1 70B", &g, &e));
    write_model(&g, path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 42500000000 && (uint64_t)st.st_blocks * 512 < 64u << 20);
    if (!gguf_open(path, &file, &e)) fail_msg("%s", e.msg);
    const struct gguf_tensor *w = gguf_tensor(&file, "blk.79.ffn_down.weight"),
                             *norm = gguf_tensor(&file, "blk.79.ffn_norm.weight");
    assert_int_equal(w->type, QUANT_Q6_K);
    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(w->data[w->size - 1 - i], 0);
    for (size_t i = 0; i < 8192; i++)
        assert_true(f32_at(norm, i) >= 0.9f && f32_at(norm, i) < 1.1f);
    gguf_close(&file);
    remove(path);
}

// Llama 3.1's factors: the fast waves are kept, the slow ones stretched by 8, and pair 32 of 64
// (a wave of 2 pi 500000^(1/2) = 4,443 positions: 1.844 turns) lies between. By hand:
// keep = 0.844 / 3 = 0.2813, 1 / ((1 - keep) / 8 + keep) = 2.694.
static void test_rope_freqs(void **state)
{
    (void)state;
    struct tiny_model m = tiny_model_defaults(
        &(struct tiny_model){.head_dim = 128, .rope_theta = 500000, .llama3_factor = 8});
    float f[64];
    assert_int_equal(tiny_rope_freqs(&m, f), 64);
    assert_true(f[0] == 1 && f[20] == 1 && f[63] == 8 && f[50] == 8);
    assert_true(fabs((double)f[32] - 2.694) < 0.002);
}

static void none_left(const char *pattern)
{
    glob_t found;
    int r = glob(pattern, 0, NULL, &found);
    if (r == 0) fail_msg("%s is left", found.gl_pathv[0]);
    assert_int_equal(r, GLOB_NOMATCH);
}

static void test_failures(void **state)
{
    (void)state;
    struct err e;
    struct gen_model g = {.mix = "Q4_K_M"};
    assert_false(gen_shape("llama-9", &g, &e));
    assert_int_equal(e.code, ERR_ARG);
    g.mix = "Q4_K";
    assert_false(gen_write(&g, "gen_left.gguf", &e));
    assert_int_equal(e.code, ERR_ARG);
    // More than any disk.
    g = (struct gen_model){
        .mix = "F16", .m = {.n_layers = 1000, .n_embd = 1 << 17, .n_heads = 1024, .n_ff = 1 << 20}};
    assert_false(gen_write(&g, "gen_left.gguf", &e));
    assert_int_equal(e.code, ERR_IO);
    // A ^C while the file grows; the parts that were whole already go too.
    g = small;
    g.split = 1;
    cancel_install();
    raise(SIGINT);
    assert_false(gen_write(&g, "gen_left.gguf", &e));
    cancel_clear();
    assert_int_equal(e.code, ERR_CANCELLED);
    none_left("gen_left*");
}

// Shapes and values of an adapter for the model written before; B A alpha / rank has the strength
// asked for: the mean square of 512 x 512 entries made of 8 x 1,024 values, 5 standard errors.
static void test_lora(void **state)
{
    (void)state;
    struct tiny_lora l = {.seed = 3, .rank = 4, .alpha = 12, .targets = "attn_q,ffn_down"};
    struct gguf g;
    struct err e;
    write_model(&small, path);
    if (!tiny_lora_write(&l, path, "gen_lora.gguf", &e) || !gguf_open("gen_lora.gguf", &g, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(g.n_tensors, 3 * 2 * 2);
    const struct gguf_tensor *a = gguf_tensor(&g, "blk.2.attn_q.weight.lora_a"),
                             *b = gguf_tensor(&g, "blk.2.attn_q.weight.lora_b");
    assert_true(a->ne[0] == 512 && a->ne[1] == 4 && b->ne[0] == 4 && b->ne[1] == 512);
    assert_int_equal(gguf_tensor(&g, "blk.0.ffn_down.weight.lora_a")->ne[0], 1024);
    double square = 0;
    for (size_t i = 0; i < 512; i++) {
        for (size_t j = 0; j < 512; j++) {
            double v = 0;
            for (size_t r = 0; r < 4; r++)
                v += (double)f32_at(b, i * 4 + r) * (double)f32_at(a, r * 512 + j) * 3;
            square += v * v;
        }
    }
    square /= 512.0 * 512; // wanted: 0.25 / 512
    assert_true(fabs(square * 512 / 0.25 - 1) < 5 * 2 / sqrt(4096));
    gguf_close(&g);
    l.targets = "attn_x";
    assert_false(tiny_lora_write(&l, path, "gen_lora.gguf", &e));
    assert_int_equal(e.code, ERR_ARG);
    remove("gen_lora.gguf");
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_moments),
        cmocka_unit_test(test_seed),     cmocka_unit_test(test_split),
        cmocka_unit_test(test_sparse),   cmocka_unit_test(test_rope_freqs),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_lora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
