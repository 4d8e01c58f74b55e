// Python's random.Random(seed): MT19937 seeded by init_by_array, and sample(). The few-shot draw
// of gsm8k must give the same indices as lm-evaluation-harness.
// Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8(1), 1998.
#ifndef LECTERN_EVAL_PYRANDOM_H
#define LECTERN_EVAL_PYRANDOM_H

#include <stdint.h>

struct pyrandom {
    uint32_t state[624];
    uint32_t next; // 624: generate the next block first
};

void pyrandom_init(struct pyrandom *r, uint64_t seed);
uint32_t pyrandom_u32(struct pyrandom *r);
uint32_t pyrandom_below(struct pyrandom *r, uint32_t n); // 0 .. n-1, n >= 1

// random.sample(range(n), k) into out[k]; k <= n and k <= PYRANDOM_MAX_SAMPLE (asserted).
enum { PYRANDOM_MAX_SAMPLE = 16 };
void pyrandom_sample(struct pyrandom *r, uint32_t n, uint32_t k, uint32_t *out);

#endif
