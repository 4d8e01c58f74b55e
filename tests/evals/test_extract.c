// Answer filters against what lm-evaluation-harness extracted from the same responses.
#include "base/json.h"
#include "eval_test.h"
#include "evals/extract.h"
#include "evals/pytext.h"

static void check(const char *filter, const char *resp, const char *want)
{
    struct err e = {0};
    char *got;
    const struct extract_filter *f = extract_find(filter);
    assert_non_null(f);
    assert_ok(extract_apply(f, resp, strlen(resp), &got, &e), e);
    if (strcmp(got, want)) fail_msg("%s of \"%s\": \"%s\", not \"%s\"", filter, resp, got, want);
    free(got);
}

static void check_equal(const char *got, const char *want, bool expect)
{
    struct err e = {0};
    bool equal;
    assert_ok(extract_equal(extract_find("gsm8k/strict-match"), got, want, &equal, &e), e);
    if (equal != expect) fail_msg("\"%s\" and \"%s\": %d", got, want, equal);
}

static void rules(void **state)
{
    (void)state;
    check("gsm8k/strict-match", "so 7\n#### 1,234\n#### 5", "1,234");   // the first
    check("gsm8k/strict-match", "####18", EXTRACT_INVALID);             // the space is needed
    check("gsm8k/flexible-extract", "3 apples, then $4.50.", "$4.50."); // the last
    check("gsm8k/flexible-extract", "1e5", "5");
    check("gsm8k/flexible-extract", "", EXTRACT_INVALID);
    check("gsm8k/flexible-extract", "x - 7", "7");
    check("gsm8k_cot/strict-match", "The answer is 18", "1"); // the bare dot eats a digit
    check("gsm8k_cot/strict-match", "The answer is 18.", "18");
    check("gsm8k_cot/strict-match", "The answer is 18\n", "1");          // "." is not a newline
    check("gsm8k_cot/strict-match", "The answer is 6\xe2\x82\xac", "6"); // but any character
    check("gsm8k_cot_llama/strict-match", "The final answer is 1. The final answer is -2", "-2");
    check("gsm8k_llama/strict_match", "final answer is 9,000", "9,000");
    check("mmlu_cot_llama/strict_match", "The best answer is A. No: best answer is C.", "C");
    assert_null(extract_find("gsm8k/none"));
    assert_null(extract_find("gsm8k"));
}

static void equality(void **state)
{
    (void)state;
    check_equal("70,000", "some work\n#### 70000", true);
    check_equal("$5.", "5", true);
    check_equal("5.0", "5", false);                 // text, not numbers
    check_equal("18", "a #### 3\nb #### 18", true); // up to the last mark
    check_equal("Eighteen", "eighteen", true);
    check_equal(EXTRACT_INVALID, "18", false);
}

static void strip(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {" \t\nx y\r\n", "x y"},
        {"x\xc2\x85", "x"},
        {"\xc2\xa0x\xe3\x80\x80", "x"},
        {"\x1c\x1fx", "x"},
        {"\xe2\x80\x8bx", "\xe2\x80\x8bx"}, // zero width: no space
        {" \n", ""},
        {"x\xc3\xa9", "x\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const char *s = pairs[i][0];
        size_t n = strlen(s);
        pytext_strip(&s, &n);
        assert_int_equal(n, strlen(pairs[i][1]));
        assert_memory_equal(s, pairs[i][1], n);
    }
}

static void python_numbers(void **state)
{
    (void)state;
    char out[32];
    pytext_float(out, 1);
    assert_string_equal(out, "1.0");
    pytext_float(out, -1.58452);
    assert_string_equal(out, "-1.58452");
    pytext_float(out, 1.0 / 3);
    assert_string_equal(out, "0.3333333333333333");
}

// Every vector: what is extracted, and whether it equals the reference answer.
static void vectors(void **state)
{
    (void)state;
    const char *path = LM_EVAL "/extract_vectors.jsonl";
    need(path);
    struct err e = {0};
    char *data;
    size_t size, n = 0;
    assert_ok(file_read(path, 1 << 24, &data, &size, &e), e);
    for (char *line = strtok(data, "\n"); line; line = strtok(NULL, "\n")) {
        cJSON *j = json_parse(line, strlen(line), path, &e);
        assert_non_null(j);
        const char *resp = json_string_or(j, "resp", NULL);
        const char *gold = json_string_or(j, "gold_answer", NULL);
        const cJSON *match = cJSON_GetObjectItem(j, "exact_match"), *want;
        cJSON_ArrayForEach(want, cJSON_GetObjectItem(j, "extracted"))
        {
            bool equal;
            check(want->string, resp, want->valuestring);
            assert_ok(
                extract_equal(extract_find(want->string), want->valuestring, gold, &equal, &e), e);
            assert_int_equal(equal, cJSON_IsTrue(cJSON_GetObjectItem(match, want->string)));
            n++;
        }
        cJSON_Delete(j);
    }
    assert_int_equal(n, 223 * 6);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),          cmocka_unit_test(equality), cmocka_unit_test(strip),
        cmocka_unit_test(python_numbers), cmocka_unit_test(vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
