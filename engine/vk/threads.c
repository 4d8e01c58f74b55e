// Which threads of the process compute for a software device is not known: Mesa gives them no
// names. They are those that computed while it was kept busy.
#include "engine/vk/gpu.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 1024 };

struct thread {
    pid_t id;
    unsigned long long ns; // of processor time
};

static uint32_t list(struct thread *t)
{
    uint32_t n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *x; d && n < MOST && (x = readdir(d));) {
        char path[300];
        t[n].id = (pid_t)strtol(x->d_name, NULL, 10);
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", x->d_name);
        FILE *f = t[n].id > 0 ? fopen(path, "r") : NULL;
        if (f && fscanf(f, "%llu", &t[n].ns) == 1) n++;
        if (f) fclose(f);
    }
    if (d) closedir(d);
    return n;
}

static unsigned long long ns_of(const struct thread *t, uint32_t n, pid_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (t[i].id == id) return t[i].ns;
    return 0;
}

// Of `now` those that computed since `before`, longer than half of what the busiest did. Its
// order is that of their making.
static uint32_t busy_ones(const struct thread *before, uint32_t n_before, struct thread *now,
                          uint32_t n)
{
    unsigned long long most = 0;
    uint32_t n_busy = 0;
    for (uint32_t i = 0; i < n; i++) {
        now[i].ns -= ns_of(before, n_before, now[i].id);
        if (now[i].id == (pid_t)syscall(SYS_gettid)) now[i].ns = 0; // it waits for them
        if (now[i].ns > most) most = now[i].ns;
    }
    for (uint32_t i = 0; i < n; i++)
        if (now[i].ns > most / 2) now[n_busy++] = now[i];
    return n_busy;
}

static void bind(const struct thread *t, uint32_t n, const cpu_set_t *all)
{
    for (uint32_t i = 0, cpu = 0; i < n; i++, cpu++) {
        cpu_set_t one;
        while (!CPU_ISSET(cpu, all))
            cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(t[i].id, sizeof one, &one);
    }
}

bool gpu_spread_threads(bool (*busy)(void *ctx, struct err *e), void *ctx, struct err *e)
{
    cpu_set_t all;
    bool known = !sched_getaffinity(0, sizeof all, &all) && CPU_COUNT(&all) > 1;
    struct thread *t = known ? calloc(2 * MOST, sizeof *t) : NULL;
    if (!t) return true;
    bool ok = busy(ctx, e); // what is done once only, other threads do
    uint32_t n = list(t);
    ok = ok && busy(ctx, e);
    if (ok) {
        uint32_t n_busy = busy_ones(t, n, t + MOST, list(t + MOST));
        if (n_busy == (uint32_t)CPU_COUNT(&all)) bind(t + MOST, n_busy, &all);
    }
    free(t);
    return ok;
}
