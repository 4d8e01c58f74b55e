// Sampling: greedy, the filters, the distribution, the seed; log-probabilities.
#include "engine/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { N = 6, DRAWS = 20000 };

static const float logits[N] = {1.0f, 3.0f, 3.0f, -2.0f, 2.0f, 0.5f};

static void count(struct sampler_params p, int counts[N])
{
    struct sampler s;
    struct err e = {0};
    sampler_init(&s, &p);
    memset(counts, 0, N * sizeof *counts);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = -1;
        assert_true(sampler_pick(&s, logits, N, &id, &e));
        assert_in_range(id, 0, N - 1);
        counts[id]++;
    }
}

static void test_greedy(void **state)
{
    (void)state;
    int counts[N];
    count((struct sampler_params){.temperature = 0, .top_p = 1}, counts);
    assert_int_equal(counts[1], DRAWS); // the first of two equal ones
}

// Counts against N p: a binomial count lies within 5 standard deviations but for 6e-7 of the
// seeds, and the seed here is fixed.
static void expect(const int counts[N], const double p[N])
{
    for (int i = 0; i < N; i++) {
        double sd = sqrt(DRAWS * p[i] * (1 - p[i]));
        assert_true(fabs(counts[i] - DRAWS * p[i]) <= 5 * sd);
    }
}

static void softmax(double temperature, const int kept[N], double p[N])
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += p[i] = kept[i] ? exp((double)logits[i] / temperature) : 0;
    for (int i = 0; i < N; i++)
        p[i] /= sum;
}

static void test_distribution(void **state)
{
    (void)state;
    int counts[N];
    double p[N];
    for (int t = 0; t < 2; t++) {
        float temperature = t ? 0.5f : 1.5f;
        softmax((double)temperature, (int[N]){1, 1, 1, 1, 1, 1}, p);
        count((struct sampler_params){.temperature = temperature, .top_p = 1, .seed = 3}, counts);
        expect(counts, p);
    }
}

static void test_filters(void **state)
{
    (void)state;
    int counts[N];
    double p[N];
    softmax(1, (int[N]){0, 1, 1, 0, 1, 0}, p);
    count((struct sampler_params){.temperature = 1, .top_k = 3, .top_p = 1}, counts);
    expect(counts, p);
    // Shares 0.386, 0.386, 0.142, 0.052 ...: two make 0.77, the third passes 0.8.
    count((struct sampler_params){.temperature = 1, .top_p = 0.8f}, counts);
    expect(counts, p);
    // e^2 / e^3 = 0.368 stays, e^1 / e^3 = 0.135 goes.
    count((struct sampler_params){.temperature = 1, .top_p = 1, .min_p = 0.3f}, counts);
    expect(counts, p);
    softmax(1, (int[N]){0, 1, 0, 0, 0, 0}, p);
    count((struct sampler_params){.temperature = 1, .top_p = 0}, counts);
    expect(counts, p); // the likeliest one always stays
}

static void test_seed(void **state)
{
    (void)state;
    struct sampler a, b, c;
    struct err e = {0};
    struct sampler_params p = {.temperature = 1, .top_p = 1, .seed = 7};
    int differ = 0;
    sampler_init(&a, &p);
    sampler_init(&b, &p);
    p.seed = 8;
    sampler_init(&c, &p);
    for (int i = 0; i < 200; i++) {
        int32_t x, y, z;
        assert_true(sampler_pick(&a, logits, N, &x, &e) && sampler_pick(&b, logits, N, &y, &e) &&
                    sampler_pick(&c, logits, N, &z, &e));
        assert_int_equal(x, y);
        differ += x != z;
    }
    assert_true(differ > 0);
}

static void test_logprob(void **state)
{
    (void)state;
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += exp(logits_logprob(logits, N, i));
    assert_true(fabs(sum - 1) < N * 0x1p-50); // N roundings of numbers below 1
    const float far[2] = {0, 1000};           // no overflow, and the small one is not lost
    assert_true(logits_logprob(far, 2, 0) == -1000 && logits_logprob(far, 2, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),  cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_filters), cmocka_unit_test(test_seed),
        cmocka_unit_test(test_logprob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
