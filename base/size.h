// Checked size arithmetic: sizes from files and users can overflow.
#ifndef LECTERN_BASE_SIZE_H
#define LECTERN_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// *out = a + b (or a * b); false when the result does not fit in size_t.
static inline bool size_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    if (b && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

// a rounded up to a multiple of step (step > 0, no overflow expected by the caller).
static inline size_t size_align(size_t a, size_t step)
{
    return (a + step - 1) / step * step;
}

static inline size_t size_div_up(size_t a, size_t step)
{
    return a / step + (a % step != 0);
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
