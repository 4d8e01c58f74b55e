// One loop over many threads.
#ifndef LECTERN_BASE_PARALLEL_H
#define LECTERN_BASE_PARALLEL_H

#include "base/err.h"

#include <stdint.h>

enum { PARALLEL_MAX = 16 };

// Threads that pay: the cores that this process may use, 1 to PARALLEL_MAX.
uint32_t parallel_workers(void);

// Calls fn(ctx, i, worker, e) once for every i below n, on up to n_workers threads, the caller's
// among them; worker < n_workers tells them apart. After a failure no new i is begun, and the first
// error is returned. Where the system makes no more threads, the ones there are do the work.
typedef bool parallel_fn(void *ctx, uint64_t i, uint32_t worker, struct err *e);
bool parallel_for(uint64_t n, uint32_t n_workers, parallel_fn *fn, void *ctx, struct err *e);

#endif
