// The official HumanEval: all 164 canonical solutions pass in the sandbox, and a solution that
// does nothing passes none. The file is ../shared's, else the one that tools/setup.sh fetched.
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "evals/sandbox.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N_ITEMS 164
#define GZ_SHA256 "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
#define MAX_BYTES ((size_t)1 << 20)

struct totals {
    int n, passed;
    double seconds[N_ITEMS];
};

// NULL where neither file is. Caller frees.
static char *load_official(void)
{
    struct err e = {0};
    char path[4096], cache[2048], sha[SHA256_HEX_SIZE];
    char *text;
    size_t size;
    if (file_read(LECTERN_SOURCE_DIR "/../shared/data/official/humaneval/HumanEval.jsonl",
                  MAX_BYTES, &text, &size, &e))
        return text;
    if (!file_cache_dir(cache, sizeof cache, &e) ||
        !file_path(path, sizeof path, &e, "%s/data/official/humaneval/HumanEval.jsonl.gz", cache) ||
        !file_exists(path))
        return NULL;
    assert_true(sha256_file_hex(path, sha, &e));
    assert_string_equal(sha, GZ_SHA256);
    text = calloc(1, MAX_BYTES);
    assert_non_null(text);
    gzFile f = gzopen(path, "rb");
    assert_non_null(f);
    assert_true(gzread(f, text, (unsigned)MAX_BYTES - 1) > 0);
    gzclose(f);
    return text;
}

static const char *member(const cJSON *item, const char *key)
{
    struct err e = {0};
    const char *s;
    if (!json_string(item, key, &s, "HumanEval", &e)) fail_msg("%s", e.msg);
    return s;
}

// solution NULL: the canonical one
static bool passes(struct sandbox *sb, const cJSON *item, const char *solution, double *seconds)
{
    struct err e = {0};
    struct text t = {0};
    struct sandbox_verdict v;
    text_puts(&t, member(item, "prompt"));
    text_puts(&t, solution ? solution : member(item, "canonical_solution"));
    text_printf(&t, "\n%s\ncheck(%s)", member(item, "test"), member(item, "entry_point"));
    assert_false(t.failed);
    struct sandbox_params p = {.program = t.data, .size = t.size, .retry_timeout = true};
    if (!sandbox_run(sb, &p, &v, &e)) fail_msg("%s", e.msg);
    text_free(&t);
    *seconds = v.seconds;
    if (v.result != SANDBOX_PASSED && !solution)
        print_message("%s: %s %s\n%s\n", member(item, "task_id"), sandbox_result_name(v.result),
                      v.reason, v.errout);
    return v.result == SANDBOX_PASSED;
}

static struct totals run_all(const char *solution)
{
    struct totals t = {0};
    struct err e = {0};
    struct sandbox *sb;
    char *official = load_official();
    if (!official) {
        print_message("the official HumanEval is neither in ../shared nor in the cache\n");
        skip();
    }
    if (!sandbox_open(NULL, &sb, &e)) {
        print_message("%s\n", e.msg);
        skip();
    }
    char *save = NULL;
    for (char *line = strtok_r(official, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        cJSON *item = json_parse(line, strlen(line), "HumanEval", &e);
        if (!item) fail_msg("%s", e.msg);
        assert_true(t.n < N_ITEMS);
        t.passed += passes(sb, item, solution, &t.seconds[t.n]);
        t.n++;
        cJSON_Delete(item);
    }
    sandbox_close(sb);
    free(official);
    return t;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_canonical_solutions_pass(void **state)
{
    (void)state;
    struct totals t = run_all(NULL);
    qsort(t.seconds, N_ITEMS, sizeof t.seconds[0], by_value);
    print_message("%d of %d pass, median %.1f ms, slowest %.0f ms\n", t.passed, t.n,
                  t.seconds[N_ITEMS / 2] * 1e3, t.seconds[N_ITEMS - 1] * 1e3);
    assert_int_equal(t.n, N_ITEMS);
    assert_int_equal(t.passed, N_ITEMS);
}

static void test_doing_nothing_passes_none(void **state)
{
    (void)state;
    struct totals t = run_all("    return None\n");
    assert_int_equal(t.n, N_ITEMS);
    assert_int_equal(t.passed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_solutions_pass),
        cmocka_unit_test(test_doing_nothing_passes_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
