// Device memory in few large pieces: matrices lie one after the other in blocks, so that a model of
// thousands of tensors makes a dozen allocations. First everything is given its place, which costs
// nothing, then the blocks are allocated, each as large as what lies in it.
#ifndef LECTERN_BLOCKS_H
#define LECTERN_BLOCKS_H

#include "engine/vk/gpu.h"

enum { BLOCKS_LIMIT = 1 << 30 }; // bytes of a block at most

struct spot { // a place in a struct blocks
    uint32_t block;
    uint64_t offset; // a multiple of GPU_ALIGN
};

struct block {
    uint64_t bytes;
    struct gpu_buf buf; // after blocks_allocate
};

struct blocks { // zero-initialise
    struct block *at;
    uint32_t n, cap;
};

// The bytes that a block may have on this device: nothing larger can be placed.
uint64_t blocks_limit(const struct gpu *gpu);

// Behind what was placed last, in a new block where that is full.
bool blocks_place(struct blocks *b, const struct gpu *gpu, uint64_t bytes, struct spot *out,
                  struct err *e);
// Makes b large enough for everything that fits in `other`, block by block.
bool blocks_cover(struct blocks *b, const struct blocks *other, struct err *e);
// What blocks_allocate would take, exactly.
uint64_t blocks_bytes(const struct blocks *b, struct gpu *gpu);
bool blocks_allocate(struct blocks *b, struct gpu *gpu, const char *name, struct err *e);
void blocks_free(struct blocks *b, struct gpu *gpu);

#endif
