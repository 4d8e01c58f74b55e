// Monotonic time.
#ifndef LECTERN_BASE_CLOCK_H
#define LECTERN_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ns(void); // nanoseconds since an arbitrary start
double clock_s(void);    // the same in seconds

#endif
