#include "engine/model/blocks.h"
#include "base/size.h"

#include <stdlib.h>

uint64_t blocks_limit(const struct gpu *gpu)
{
    uint64_t most = gpu->caps.max_allocation ? gpu->caps.max_allocation : BLOCKS_LIMIT;
    return size_min(most, BLOCKS_LIMIT) / GPU_ALIGN * GPU_ALIGN;
}

static bool add_block(struct blocks *b, struct err *e)
{
    if (b->n == b->cap) {
        uint32_t cap = b->cap ? 2 * b->cap : 8;
        struct block *grown = realloc(b->at, cap * sizeof *grown);
        if (!grown) return err_nomem(e, "the list of blocks", cap * sizeof *grown);
        b->at = grown;
        b->cap = cap;
    }
    b->at[b->n++] = (struct block){0};
    return true;
}

bool blocks_place(struct blocks *b, const struct gpu *gpu, uint64_t bytes, struct spot *out,
                  struct err *e)
{
    uint64_t need = size_align(bytes, GPU_ALIGN), limit = blocks_limit(gpu);
    if (need > limit)
        return err_set(e, ERR_MEMORY, "%llu MiB in one piece are more than %s allows",
                       (unsigned long long)need >> 20, gpu->caps.name);
    if ((!b->n || b->at[b->n - 1].bytes + need > limit) && !add_block(b, e)) return false;
    struct block *last = &b->at[b->n - 1];
    *out = (struct spot){b->n - 1, last->bytes};
    last->bytes += need;
    return true;
}

bool blocks_cover(struct blocks *b, const struct blocks *other, struct err *e)
{
    for (uint32_t i = 0; i < other->n; i++) {
        if (i == b->n && !add_block(b, e)) return false;
        b->at[i].bytes = size_max(b->at[i].bytes, other->at[i].bytes);
    }
    return true;
}

uint64_t blocks_bytes(const struct blocks *b, struct gpu *gpu)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->n; i++)
        sum += gpu_buf_bytes(gpu, b->at[i].bytes);
    return sum;
}

bool blocks_allocate(struct blocks *b, struct gpu *gpu, const char *name, struct err *e)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (!gpu_buf_create(gpu, GPU_DEVICE, b->at[i].bytes, name, &b->at[i].buf, e)) return false;
    return true;
}

void blocks_free(struct blocks *b, struct gpu *gpu)
{
    for (uint32_t i = 0; i < b->n; i++)
        gpu_buf_destroy(gpu, &b->at[i].buf);
    free(b->at);
    *b = (struct blocks){0};
}
