// Sampling from logits. Random numbers: xoshiro256** (Blackman and Vigna, public domain algorithm)
// seeded by splitmix64, so that a seed gives the same text on every platform.
#include "engine/engine.h"

#include <math.h>
#include <stdlib.h>

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static uint64_t rng_next(uint64_t s[4])
{
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

void sampler_init(struct sampler *s, const struct sampler_params *p)
{
    s->p = *p;
    uint64_t x = p->seed;
    for (int i = 0; i < 4; i++) {
        uint64_t z = x += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        s->rng[i] = z ^ z >> 31;
    }
}

int32_t logits_largest(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

struct candidate {
    float logit;
    uint32_t id;
};

static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : 1; // a total order: the same on every qsort
}

// p[i] = softmax of the first n candidates at the temperature; n and p shrink to what is kept.
static uint32_t keep(const struct sampler_params *q, const struct candidate *c, uint32_t n,
                     double *p)
{
    double sum = 0, head = 0;
    if (q->top_k && q->top_k < n) n = q->top_k;
    for (uint32_t i = 0; i < n; i++)
        sum += p[i] = exp(((double)c[i].logit - (double)c[0].logit) / (double)q->temperature);
    for (uint32_t i = 0; i < n; i++) {
        if (i && (p[i] < (double)q->min_p * p[0] || head >= (double)q->top_p * sum)) return i;
        head += p[i];
    }
    return n;
}

bool sampler_pick(struct sampler *s, const float *logits, uint32_t n_vocab, int32_t *id,
                  struct err *e)
{
    if (s->p.temperature <= 0) {
        *id = logits_largest(logits, n_vocab);
        return true;
    }
    struct candidate *c = malloc(n_vocab * sizeof *c);
    double *p = malloc(n_vocab * sizeof *p);
    bool ok = c && p;
    if (ok) {
        for (uint32_t i = 0; i < n_vocab; i++)
            c[i] = (struct candidate){logits[i], i};
        qsort(c, n_vocab, sizeof *c, by_logit);
        uint32_t n = keep(&s->p, c, n_vocab, p), i = 0;
        double sum = 0, at;
        for (uint32_t j = 0; j < n; j++)
            sum += p[j];
        at = (double)(rng_next(s->rng) >> 11) * 0x1p-53 * sum;
        while (i + 1 < n && at >= p[i])
            at -= p[i++];
        *id = (int32_t)c[i].id;
    }
    free(c);
    free(p);
    return ok || err_nomem(e, "sampling", n_vocab * (sizeof *c + sizeof *p));
}

double logits_logprob(const float *logits, uint32_t n_vocab, int32_t id)
{
    double most = (double)logits[0], sum = 0;
    for (uint32_t i = 1; i < n_vocab; i++)
        if ((double)logits[i] > most) most = (double)logits[i];
    for (uint32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - most);
    return (double)logits[id] - most - log(sum);
}
