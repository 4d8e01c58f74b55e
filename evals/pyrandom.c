#include "evals/pyrandom.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

enum { N = 624, M = 397 };

static void init_genrand(struct pyrandom *r, uint32_t s)
{
    r->state[0] = s;
    for (uint32_t i = 1; i < N; i++) {
        s = 1812433253u * (s ^ (s >> 30)) + i;
        r->state[i] = s;
    }
    r->next = N;
}

// The seed's 32-bit digits are the key, as CPython does for every int seed.
void pyrandom_init(struct pyrandom *r, uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, *mt = r->state;
    uint32_t len = key[1] ? 2 : 1, i = 1, j = 0;
    init_genrand(r, 19650218u);
    for (uint32_t k = N; k; k--) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1664525u)) + key[j] + j;
        if (++i >= N) {
            mt[0] = mt[N - 1];
            i = 1;
        }
        if (++j >= len) j = 0;
    }
    for (uint32_t k = N - 1; k; k--) {
        mt[i] = (mt[i] ^ ((mt[i - 1] ^ (mt[i - 1] >> 30)) * 1566083941u)) - i;
        if (++i >= N) {
            mt[0] = mt[N - 1];
            i = 1;
        }
    }
    mt[0] = 0x80000000u;
}

static void next_block(struct pyrandom *r)
{
    uint32_t *mt = r->state;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t y = (mt[i] & 0x80000000u) | (mt[(i + 1) % N] & 0x7fffffffu);
        mt[i] = mt[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    r->next = 0;
}

uint32_t pyrandom_u32(struct pyrandom *r)
{
    if (r->next >= N) next_block(r);
    uint32_t y = r->state[r->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

uint32_t pyrandom_below(struct pyrandom *r, uint32_t n)
{
    uint32_t bits = 0, v;
    while (bits < 32 && n >> bits)
        bits++;
    do {
        v = pyrandom_u32(r) >> (32 - bits);
    } while (v >= n);
    return v;
}

// CPython takes from a shrinking pool when n is small and rejects repeats when it is large; the
// limit between them is part of what must be reproduced.
void pyrandom_sample(struct pyrandom *r, uint32_t n, uint32_t k, uint32_t *out)
{
    assert(k <= n && k <= PYRANDOM_MAX_SAMPLE);
    uint32_t set_size = 21, pool[256];
    for (uint32_t p = 4; k > 5 && p < 256; p *= 4) // + 4 ** ceil(log(3k, 4))
        if (p >= 3 * k) {
            set_size += p;
            break;
        }
    if (n <= set_size) {
        for (uint32_t i = 0; i < n; i++)
            pool[i] = i;
        for (uint32_t i = 0; i < k; i++) {
            uint32_t j = pyrandom_below(r, n - i);
            out[i] = pool[j];
            pool[j] = pool[n - i - 1];
        }
        return;
    }
    for (uint32_t i = 0; i < k; i++) {
        bool seen = true;
        while (seen) {
            out[i] = pyrandom_below(r, n);
            seen = false;
            for (uint32_t j = 0; j < i; j++)
                seen |= out[j] == out[i];
        }
    }
}
