#include "evals/score.h"

#include <math.h>

void score_wilson(size_t correct, size_t n, double *low, double *high)
{
    const double z = 1.959963984540054; // 97.5 % point of the normal distribution
    *low = 0;
    *high = 1;
    if (!n) return;
    double m = (double)n, p = (double)correct / m, z2 = z * z;
    double mid = (p + z2 / (2 * m)) / (1 + z2 / m);
    double half = z / (1 + z2 / m) * sqrt(p * (1 - p) / m + z2 / (4 * m * m));
    *low = correct ? mid - half : 0; // exactly 0 and 1 at the ends
    *high = correct < n ? mid + half : 1;
}

double score_stderr(size_t correct, size_t n)
{
    if (n < 2) return 0;
    double p = (double)correct / (double)n;
    return sqrt(p * (1 - p) / (double)(n - 1));
}

double score_micro(const struct score_count *g, size_t n_groups)
{
    size_t n = 0, correct = 0;
    for (size_t i = 0; i < n_groups; i++) {
        n += g[i].n;
        correct += g[i].correct;
    }
    return n ? (double)correct / (double)n : 0;
}

double score_macro(const struct score_count *g, size_t n_groups)
{
    double sum = 0;
    size_t k = 0;
    for (size_t i = 0; i < n_groups; i++) {
        if (!g[i].n) continue;
        sum += (double)g[i].correct / (double)g[i].n;
        k++;
    }
    return k ? sum / (double)k : 0;
}

double score_group_stderr(const struct score_count *g, size_t n_groups)
{
    double sum = 0;
    size_t n = 0, k = 0;
    for (size_t i = 0; i < n_groups; i++) {
        if (!g[i].n) continue;
        double se = score_stderr(g[i].correct, g[i].n), m = (double)g[i].n;
        sum += (m - 1) * m * se * se;
        n += g[i].n;
        k++;
    }
    return n > k ? sqrt(sum / (double)(n - k) / (double)n) : 0;
}

bool score_at_chance(size_t correct, size_t n, double chance)
{
    double low, high;
    if (chance <= 0) return false;
    score_wilson(correct, n, &low, &high);
    return low <= chance && chance <= high;
}
