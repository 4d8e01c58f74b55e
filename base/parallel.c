#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct loop {
    uint64_t n;
    parallel_fn *fn;
    void *ctx;
    atomic_uint_fast64_t next;
    atomic_bool failed;
    pthread_mutex_t lock; // of err
    struct err err;
};

struct worker {
    struct loop *loop;
    uint32_t index;
    pthread_t thread;
};

uint32_t parallel_workers(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > PARALLEL_MAX ? PARALLEL_MAX : (uint32_t)n;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct loop *l = w->loop;
    while (!atomic_load(&l->failed)) {
        uint64_t i = atomic_fetch_add(&l->next, 1);
        struct err e = {0};
        if (i >= l->n) break;
        if (l->fn(l->ctx, i, w->index, &e)) continue;
        pthread_mutex_lock(&l->lock);
        if (!atomic_exchange(&l->failed, true)) l->err = e;
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

bool parallel_for(uint64_t n, uint32_t n_workers, parallel_fn *fn, void *ctx, struct err *e)
{
    struct loop l = {.n = n, .fn = fn, .ctx = ctx, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct worker w[PARALLEL_MAX];
    uint32_t started = 1;
    if (n_workers > PARALLEL_MAX) n_workers = PARALLEL_MAX;
    if (n_workers > n) n_workers = (uint32_t)n;
    w[0] = (struct worker){.loop = &l};
    for (; started < n_workers; started++) {
        w[started] = (struct worker){.loop = &l, .index = started};
        if (pthread_create(&w[started].thread, NULL, work, &w[started]) != 0) break;
    }
    (void)work(&w[0]);
    for (uint32_t i = 1; i < started; i++)
        (void)pthread_join(w[i].thread, NULL);
    if (atomic_load(&l.failed)) *e = l.err;
    return !atomic_load(&l.failed);
}
