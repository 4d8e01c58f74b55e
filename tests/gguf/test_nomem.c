// Allocation 1, 2, 3 ... of a whole or split file's opening and description fails: a sentence, and
// nothing is left over (SANITIZE=address sees what is).
#include "engine/model/inspect.h"
#include "tests/tiny_split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

// The linker sends the engine's calls here (--wrap in CMakeLists.txt).
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static long left = -1; // allocations until one fails; negative: none does
static bool has_failed;

static bool fails(void)
{
    if (left < 0 || left-- > 0) return false;
    left = -1;
    return has_failed = true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

static void must(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->msg);
}

static bool open_and_describe(const char *path, struct err *e)
{
    struct gguf g;
    cJSON *doc = NULL;
    bool ok = gguf_open_any(path, &g, e);
    if (!ok) {
        assert_null(g.shards);
        return false;
    }
    ok = inspect_file(&g, &doc, e);
    assert_true(ok == (doc != NULL));
    cJSON_Delete(doc);
    gguf_close(&g);
    return ok;
}

static void test_each_allocation(void **state)
{
    (void)state;
    static const char whole[] = "nomem.gguf", part[] = "nomem-00002-of-00003.gguf";
    const struct tiny_model m = {
        .seed = 1, .n_layers = 1, .n_embd = 32, .n_ff = 32, .n_vocab = 100};
    struct err e = {0};
    cJSON_Hooks hooks = {.malloc_fn = __wrap_malloc, .free_fn = free};
    must(tiny_model_write(&m, whole, &e), &e);
    must(tiny_split(whole, "nomem", 3, false, &e), &e);
    cJSON_InitHooks(&hooks);
    for (int split = 0; split < 2; split++) {
        long n = 0;
        for (bool ok = false; !ok; n++) {
            e = (struct err){0};
            has_failed = false;
            left = n;
            ok = open_and_describe(split ? part : whole, &e);
            left = -1;
            if (ok == has_failed) fail_msg("allocation %ld: %s", n, ok ? "not noticed" : e.msg);
            if (!ok) assert_int_equal(e.code, ERR_MEMORY);
        }
        print_message("%s: %ld allocations\n", split ? part : whole, n - 1);
        assert_true(n > 100);
    }
    cJSON_InitHooks(NULL);
    unlink(whole);
    for (uint32_t i = 0; i < 3; i++) {
        char path[64];
        tiny_split_path("nomem", i, 3, path, sizeof path);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
