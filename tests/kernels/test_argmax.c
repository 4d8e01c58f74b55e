// The largest logit of each slice: the lowest id of equal ones, nothing beyond the vocabulary, no
// NaN.
#include "base/half.h"
#include "base/size.h"
#include "tests/kernels/harness.h"

enum { N_ROWS = 3, FILLS = 6 };

static float logit(struct kt *t, uint32_t fill, uint32_t i, uint32_t n_vocab)
{
    switch (fill) {
    case 0: return (float)kt_uniform(t, -30, 30);
    case 1: return (float)kt_below(t, 4) - 8;         // many are equal, none is above 0
    case 2: return -3;                                // all are equal
    case 3: return i == n_vocab - 1 ? 1e30f : -1e30f; // the last one
    case 4: return -INFINITY;
    default: return i % 5 ? (float)kt_uniform(t, -1, 1) : NAN;
    }
}

static void argmax_case(struct kt *t, uint32_t n_vocab, uint32_t fill)
{
    uint32_t n_cols = (uint32_t)size_align(n_vocab, TILE_ROWS);
    uint32_t n_slices = (uint32_t)size_div_up(n_vocab, ARGMAX_SLICE);
    uint32_t *words = malloc((size_t)N_ROWS * n_cols * sizeof *words);
    const struct gpu_pipeline *p;
    struct err e;
    assert_non_null(words);
    for (uint32_t i = 0; i < N_ROWS * n_cols; i++) // padding is larger than all
        words[i] = half_bits(i % n_cols < n_vocab ? logit(t, fill, i % n_cols, n_vocab) : INFINITY);
    struct kt_buf logits = kt_upload(t, words, (size_t)N_ROWS * n_cols);
    struct kt_buf best = kt_upload(t, NULL, (size_t)2 * N_ROWS * n_slices);
    struct push_argmax push = {n_vocab, n_cols / 4, n_slices};
    if (!kernels_argmax(&t->k, &p, &e)) fail_msg("%s", e.msg);
    kt_run(t, p, (const struct kt_buf *[]){&logits, &best}, &push, n_slices, N_ROWS);
    uint32_t *got = kt_read(t, &best);
    for (uint32_t i = 0; i < N_ROWS * n_slices; i++) {
        const uint32_t *row = words + (size_t)(i / n_slices) * n_cols;
        uint32_t first = i % n_slices * ARGMAX_SLICE, end = first + ARGMAX_SLICE, want = first;
        float most = -INFINITY;
        for (uint32_t k = first; k < end && k < n_vocab; k++)
            if (half_float(row[k]) > most) most = half_float(row[want = k]);
        if (half_float(got[2 * i]) != most || got[2 * i + 1] != want)
            fail_msg("%s: %u logits, fill %u, slice %u: %g of id %u, expected %g of %u", t->name,
                     n_vocab, fill, i, (double)half_float(got[2 * i]), got[2 * i + 1], (double)most,
                     want);
    }
    for (size_t i = 0; i < GUARD_WORDS; i++)
        assert_int_equal(got[best.words + i], POISON);
    free(got);
    free(words);
    kt_free(t, &logits);
    kt_free(t, &best);
}

static void check_argmax(struct kt *t)
{
    static const uint32_t sizes[] = {1, 31, 258, 4095, 4096, 4097, 49152, 128256};
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (uint32_t fill = 0; fill < FILLS; fill++)
            argmax_case(t, sizes[i], fill);
}

static void test_argmax(void **state)
{
    (void)state;
    kt_everywhere(check_argmax);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_argmax)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
