// Seeded changes to inputs, for machines without libFuzzer. Input i of a seed is always the same.
#ifndef LECTERN_MUTATE_H
#define LECTERN_MUTATE_H

#include <stddef.h>
#include <stdint.h>

struct input {
    unsigned char *bytes;
    size_t size;
};

// Input number i made of the corpus: some bits flipped, bytes moved, parts of other inputs spliced
// in, lengths edited. At most cap bytes at out; returns how many.
size_t mutate(const struct input *corpus, size_t n, uint64_t seed, uint64_t i, unsigned char *out,
              size_t cap);

#endif
