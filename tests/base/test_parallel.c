// Every index once, by workers that are told apart; the first error ends the loop.
#include "base/parallel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

enum { N = 10000 };

struct seen {
    atomic_uint count[N];
    atomic_uint most_worker, calls;
    uint64_t fails_at; // N: never
};

static bool visit(void *ctx, uint64_t i, uint32_t worker, struct err *e)
{
    struct seen *s = ctx;
    atomic_fetch_add(&s->count[i], 1);
    atomic_fetch_add(&s->calls, 1);
    if (worker > atomic_load(&s->most_worker)) atomic_store(&s->most_worker, worker);
    return i != s->fails_at || err_set(e, ERR_IO, "item %u", (unsigned)i);
}

static void test_each_once(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 2, 3, 17, N};
    for (uint32_t workers = 1; workers <= PARALLEL_MAX + 4; workers += 5)
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            static struct seen s;
            struct err e = {0};
            s = (struct seen){.fails_at = N};
            assert_true(parallel_for(sizes[k], workers, visit, &s, &e));
            for (uint64_t i = 0; i < N; i++)
                assert_int_equal(s.count[i], i < sizes[k]);
            assert_true(s.most_worker < workers && s.most_worker < PARALLEL_MAX);
        }
}

static void test_failure(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        static struct seen s;
        struct err e = {0};
        s = (struct seen){.fails_at = 5};
        assert_false(parallel_for(N, workers, visit, &s, &e));
        assert_int_equal(e.code, ERR_IO);
        assert_string_equal(e.msg, "item 5");
        if (workers == 1) assert_int_equal(s.calls, 6);
    }
}

static void test_workers(void **state)
{
    (void)state;
    assert_in_range(parallel_workers(), 1, PARALLEL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_once),
                                       cmocka_unit_test(test_failure),
                                       cmocka_unit_test(test_workers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
