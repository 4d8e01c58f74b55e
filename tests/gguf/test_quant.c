// Dequantisation: golden sums of seeded blocks for every format, hand-made blocks, round trips.
#include "base/half.h"
#include "tests/tiny_gguf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { N_BLOCKS = 64 };

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// FNV-1a over the bits of the floats, low byte first.
static uint64_t sum_floats(const float *y, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n * 4; i++)
        h = (h ^ (half_bits(y[i / 4]) >> (i % 4 * 8) & 255)) * 0x100000001b3u;
    return h;
}

// Random blocks; the f16 fields get the exponent of 2^-4, so that no NaN appears. The sums are
// those of the formats' reference implementation (the Python package gguf 0.19.0) on the same
// bytes.
static const struct golden {
    enum quant_type type;
    int half[2]; // places of f16 fields; -1: none
    uint64_t sum;
} goldens[] = {
    // clang-format off
    {QUANT_F32, {2, -1}, 0xf56854856fd35f92u},
    {QUANT_F16, {0, -1}, 0x740666f69f11ec4du},
    {QUANT_BF16, {0, -1}, 0xca7ddb44e1465017u},
    {QUANT_Q4_0, {0, -1}, 0xafff35618c5c0c84u},
    {QUANT_Q4_1, {0, 2}, 0xba2427ac60fe9fd6u},
    {QUANT_Q5_0, {0, -1}, 0x4e6797ac2373857cu},
    {QUANT_Q5_1, {0, 2}, 0xde5bf0681160d7dfu},
    {QUANT_Q8_0, {0, -1}, 0x37fbd99cca769100u},
    {QUANT_Q2_K, {80, 82}, 0x7d7e33a98ce20824u},
    {QUANT_Q3_K, {108, -1}, 0x49ea81dca4f227ebu},
    {QUANT_Q4_K, {0, 2}, 0x5197a930d17e1fb2u},
    {QUANT_Q5_K, {0, 2}, 0xba246d90f1cf7a85u},
    {QUANT_Q6_K, {208, -1}, 0xccc5845b68a0daf5u},
    {QUANT_IQ4_NL, {0, -1}, 0x30f27ddda6e8a034u},
    {QUANT_IQ4_XS, {0, -1}, 0x115748d0f82e1737u},
    // clang-format on
};

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        const struct golden *g = &goldens[i];
        const struct quant_info *info = quant_info(g->type);
        size_t bytes = info->block_bytes * N_BLOCKS, n = (size_t)info->block * N_BLOCKS;
        unsigned char *b = malloc(bytes);
        float *y = malloc(n * sizeof *y);
        uint64_t seed = (uint64_t)g->type;
        assert_true(b && y);
        for (size_t k = 0; k < bytes; k++)
            b[k] = (unsigned char)(next_random(&seed) >> 56);
        for (size_t k = 0; k < bytes; k += info->block_bytes)
            for (int h = 0; h < 2; h++)
                if (g->half[h] >= 0) {
                    unsigned char *high = &b[k + (size_t)g->half[h] + 1];
                    *high = (unsigned char)((*high & 0x83) | 0x2c);
                }
        assert_true(quant_dequantise(g->type, b, n, y));
        if (sum_floats(y, n) != g->sum)
            fail_msg("%s: sum %016llx", info->name, (unsigned long long)sum_floats(y, n));
        free(b);
        free(y);
    }
}

static void test_by_hand(void **state)
{
    (void)state;
    float y[32];
    unsigned char q4_1[20] = {0x00, 0x38, 0x00, 0xbc, 0x3f}; // d 0.5, m -1, q[0] 15 and q[16] 3
    assert_true(quant_dequantise(QUANT_Q4_1, q4_1, 32, y));
    assert_true(y[0] == 6.5f && y[16] == 0.5f && y[1] == -1 && y[31] == -1);
    unsigned char q4_0[18] = {0x00, 0x3c, 0x0f}; // d 1
    assert_true(quant_dequantise(QUANT_Q4_0, q4_0, 32, y));
    assert_true(y[0] == 7 && y[16] == -8 && y[1] == -8);
    unsigned char q8_0[34] = {0x00, 0x40, 0x80, 0x7f}; // d 2
    assert_true(quant_dequantise(QUANT_Q8_0, q8_0, 32, y));
    assert_true(y[0] == -256 && y[1] == 254 && y[2] == 0);
    const unsigned char bf16[2] = {0xc0, 0xbf}, f16[2] = {0x01, 0x00};
    assert_true(quant_dequantise(QUANT_BF16, bf16, 1, y) && y[0] == -1.5f);
    assert_true(quant_dequantise(QUANT_F16, f16, 1, y) && y[0] == 0x1p-24f);
}

static void test_sizes(void **state)
{
    (void)state;
    size_t bytes;
    float y[32];
    assert_null(quant_info(4));
    assert_null(quant_info(UINT32_MAX));
    assert_string_equal(quant_info(QUANT_Q4_1)->name, "Q4_1");
    assert_true(quant_row_bytes(QUANT_Q4_1, 64, &bytes) && bytes == 40);
    assert_true(quant_row_bytes(QUANT_Q6_K, 512, &bytes) && bytes == 420);
    assert_false(quant_row_bytes(QUANT_Q4_1, 33, &bytes));
    assert_false(quant_row_bytes(QUANT_F32, UINT64_MAX, &bytes));
    assert_false(quant_dequantise(QUANT_Q4_0, y, 31, y));
    assert_false(quant_dequantise((enum quant_type)5, y, 32, y));
}

// Rounding to a grid of step d errs by d / 2, and d itself is rounded to 11 bits: each of up to
// 127 steps (Q8_0) or 15 (Q4_*) adds 2^-11 d of error; Q4_0's grid ends at 7 d of 8 d.
static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        enum quant_type type;
        float error; // of a value, relative to the largest in the block (range [-1, 1])
    } list[] = {
        {QUANT_F32, 0},
        {QUANT_F16, 0x1p-11f},
        {QUANT_BF16, 0x1p-8f},
        {QUANT_Q8_0, (0.5f + 127 * 0x1p-11f) / 127},
        {QUANT_Q4_0, (1 + 8 * 0x1p-11f) / 8},
        {QUANT_Q4_1, (0.5f + 15 * 0x1p-11f) * 2 / 15 + 0x1p-11f},
    };
    enum { N = 1024 };
    float x[N], y[N];
    uint64_t seed = 5;
    for (int i = 0; i < N; i++)
        x[i] = (float)(next_random(&seed) >> 40) * 0x1p-23f - 1;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        unsigned char *b;
        size_t size;
        float worst = 0;
        assert_true(tiny_quantise(list[i].type, x, N, &b, &size));
        assert_true(quant_dequantise(list[i].type, b, N, y));
        for (int k = 0; k < N; k++)
            worst = fmaxf(worst, fabsf(x[k] - y[k]));
        if (worst > list[i].error)
            fail_msg("%s: error %g", quant_info(list[i].type)->name, (double)worst);
        free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
