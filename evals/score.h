// Statistics of scores. Sources: Wilson 1927; lm-evaluation-harness for the standard errors.
#ifndef LECTERN_EVAL_SCORE_H
#define LECTERN_EVAL_SCORE_H

#include <stdbool.h>
#include <stddef.h>

// Wilson 95 % interval of `correct` out of n; [0, 1] when n is 0.
void score_wilson(size_t correct, size_t n, double *low, double *high);

// sqrt(p (1 - p) / (n - 1)): sample standard deviation of 0s and 1s over sqrt(n). 0 for n < 2.
double score_stderr(size_t correct, size_t n);

struct score_count {
    size_t n, correct;
};
// Micro average over all items, macro average over the non-empty groups.
double score_micro(const struct score_count *g, size_t n_groups);
double score_macro(const struct score_count *g, size_t n_groups);
// sqrt((sum (n_i - 1) n_i se_i^2) / (sum n_i - k)) / sqrt(sum n_i) over the k non-empty groups;
// 0 where that is undefined.
double score_group_stderr(const struct score_count *g, size_t n_groups);

// Whether chance lies inside the interval: such a score shows nothing. False without a chance.
bool score_at_chance(size_t correct, size_t n, double chance);

#endif
