// Threads of this test stand for a driver's: those that work get a processor each.
#include "engine/vk/gpu.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { MOST = 256 };

struct worker {
    pthread_t thread;
    pthread_barrier_t *start, *end;
    pid_t id;
    double seconds; // that it works each time
    int times;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    w->id = (pid_t)syscall(SYS_gettid);
    for (int i = 0; i < w->times; i++) {
        pthread_barrier_wait(w->start);
        struct timespec t;
        do // of its own processor time, however busy the machine is
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        while ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec < (i + 1) * w->seconds);
        pthread_barrier_wait(w->end);
    }
    pthread_barrier_wait(w->end); // looked at
    return NULL;
}

struct pool {
    struct worker workers[MOST];
    pthread_barrier_t start, end;
    uint32_t n;
    int times; // busy was called
};

static bool busy(void *ctx, struct err *e)
{
    struct pool *p = ctx;
    (void)e;
    p->times++;
    pthread_barrier_wait(&p->start);
    pthread_barrier_wait(&p->end);
    return true;
}

// n threads work, one more hardly. How many of them are bound, each elsewhere.
static uint32_t bound(uint32_t n)
{
    struct pool p = {.n = n + 1};
    struct err e;
    uint32_t n_bound = 0;
    cpu_set_t seen, one;
    CPU_ZERO(&seen);
    pthread_barrier_init(&p.start, NULL, p.n + 1);
    pthread_barrier_init(&p.end, NULL, p.n + 1);
    for (uint32_t i = 0; i < p.n; i++) {
        p.workers[i] = (struct worker){.start = &p.start, .end = &p.end, .times = 2};
        p.workers[i].seconds = i == n ? 0.0001 : 0.005;
        assert_int_equal(pthread_create(&p.workers[i].thread, NULL, work, &p.workers[i]), 0);
    }
    assert_true(gpu_spread_threads(busy, &p, &e));
    assert_int_equal(p.times, 2);
    for (uint32_t i = 0; i < p.n; i++) {
        assert_int_equal(sched_getaffinity(p.workers[i].id, sizeof one, &one), 0);
        if (CPU_COUNT(&one) != 1) continue;
        assert_true(i < n);
        for (size_t c = 0; c < CPU_SETSIZE; c++)
            if (CPU_ISSET(c, &one)) {
                assert_false(CPU_ISSET(c, &seen));
                CPU_SET(c, &seen);
            }
        n_bound++;
    }
    pthread_barrier_wait(&p.end);
    for (uint32_t i = 0; i < p.n; i++)
        pthread_join(p.workers[i].thread, NULL);
    pthread_barrier_destroy(&p.start);
    pthread_barrier_destroy(&p.end);
    return n_bound;
}

static void test_spread(void **state)
{
    (void)state;
    cpu_set_t all, after;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    uint32_t n = (uint32_t)CPU_COUNT(&all);
    if (n < 2 || n + 2 > MOST) skip();
    assert_int_equal(bound(n), n);
    assert_int_equal(bound(n + 1), 0); // too many, or too few: the system knows better
    assert_int_equal(bound(n - 1), 0);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&all, &after)); // the caller is not bound
}

static bool fails(void *ctx, struct err *e)
{
    (void)ctx;
    return err_set(e, ERR_DEVICE, "lost");
}

static void test_failure(void **state)
{
    (void)state;
    struct err e;
    bool ok = gpu_spread_threads(fails, NULL, &e);
    if (ok) skip(); // one processor: nothing to spread
    assert_int_equal(e.code, ERR_DEVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spread),
                                       cmocka_unit_test(test_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
