// Statistics against values computed elsewhere, and Python's random numbers.
#include "base/json.h"
#include "eval_test.h"
#include "evals/pyrandom.h"
#include "evals/score.h"

static void close_to(double got, double want, double tol)
{
    if (!(got >= want - tol && got <= want + tol)) fail_msg("%.9g instead of %.9g", got, want);
}

static void wilson(void **state)
{
    (void)state;
    double low, high;
    score_wilson(25, 100, &low, &high); // [17.5, 34.3] and [55.3, 73.6] in reference/evals.md
    close_to(low, 0.1754521, 1e-6);
    close_to(high, 0.3430446, 1e-6);
    score_wilson(65, 100, &low, &high);
    close_to(low, 0.5525, 1e-4);
    close_to(high, 0.7364, 1e-4);
    score_wilson(0, 10, &low, &high); // 0 and z^2 / (n + z^2)
    assert_true(low == 0);
    close_to(high, 0.2775328, 1e-6);
    score_wilson(10, 10, &low, &high);
    close_to(low, 0.7224672, 1e-6);
    assert_true(high == 1);
    score_wilson(0, 0, &low, &high);
    assert_true(low == 0 && high == 1);
}

static void standard_errors(void **state)
{
    (void)state;
    close_to(score_stderr(31, 114), 0.0418568, 1e-6); // sqrt(.27193 * .72807 / 113)
    assert_true(score_stderr(1, 1) == 0);
    // Llama-3.2-1B in lm-eval: 0.3107 +- 0.0039 over 14,042 items in 57 subjects.
    close_to(score_stderr(4363, 14042), 0.0039, 5e-5);
    const struct score_count two[] = {{100, 25}, {50, 40}};
    // se_i^2 = .1875/99 and .16/49; (99*100*.0018939 + 49*50*.0032653) / 148 / 150
    close_to(score_group_stderr(two, 2), 0.0347, 5e-5);
    const struct score_count one = {100, 25};
    close_to(score_group_stderr(&one, 1), score_stderr(25, 100), 1e-12);
    const struct score_count singles[] = {{1, 1}, {1, 0}};
    assert_true(score_group_stderr(singles, 2) == 0); // undefined, not NaN
}

static void averages(void **state)
{
    (void)state;
    const struct score_count g[] = {{100, 25}, {50, 40}, {0, 0}};
    close_to(score_micro(g, 3), 65.0 / 150, 1e-12);
    close_to(score_macro(g, 3), (0.25 + 0.8) / 2, 1e-12);
    assert_true(score_at_chance(29, 114, 0.25));
    assert_false(score_at_chance(65, 100, 0.25));
    assert_false(score_at_chance(0, 100, 0));    // generated answers have no chance level
    assert_false(score_at_chance(5, 100, 0.25)); // worse than chance is not chance
}

static void twister(void **state)
{
    (void)state;
    struct pyrandom r;
    pyrandom_init(&r, 1234); // random.Random(1234).getrandbits(32), three times
    assert_int_equal(pyrandom_u32(&r), 4150886329u);
    assert_int_equal(pyrandom_u32(&r), 3342196574u);
    assert_int_equal(pyrandom_u32(&r), 1892932127u);
    pyrandom_init(&r, 0x123456789abcull); // a seed of two 32-bit digits
    assert_int_equal(pyrandom_u32(&r), 1611381517u);
}

static void samples(void **state)
{
    (void)state;
    struct pyrandom r;
    uint32_t s[5];
    static const uint32_t large[] = {6374, 3610, 957, 61, 742}, small[] = {7, 0, 6, 5, 4};
    pyrandom_init(&r, 1234);
    pyrandom_sample(&r, 7473, 5, s); // rejection
    assert_memory_equal(s, large, sizeof s);
    pyrandom_init(&r, 1234);
    pyrandom_sample(&r, 8, 5, s); // shrinking pool
    assert_memory_equal(s, small, sizeof s);
}

// All 1,319 draws of lm-eval's gsm8k.
static void few_shot_indices(void **state)
{
    (void)state;
    const char *path = LM_EVAL "/gsm8k_fewshot_indices_seed1234.json";
    need(path);
    struct err e = {0};
    cJSON *json = json_load(path, &e);
    if (!json) fail_msg("%s", e.msg);
    const cJSON *row, *all = cJSON_GetObjectItem(json, "indices");
    struct pyrandom r;
    size_t n = 0;
    pyrandom_init(&r, 1234);
    cJSON_ArrayForEach(row, all)
    {
        uint32_t s[5];
        pyrandom_sample(&r, 7473, 5, s);
        for (int k = 0; k < 5; k++)
            assert_int_equal(s[k], cJSON_GetArrayItem(row, k)->valueint);
        n++;
    }
    assert_int_equal(n, 1319);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson),   cmocka_unit_test(standard_errors),
        cmocka_unit_test(averages), cmocka_unit_test(twister),
        cmocka_unit_test(samples),  cmocka_unit_test(few_shot_indices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
