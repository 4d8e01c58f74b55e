// The machine's memory, bounded by a container's limit.
#ifndef LECTERN_BASE_RAM_H
#define LECTERN_BASE_RAM_H

#include <stdint.h>

struct ram {
    uint64_t bytes, available; // 0: not known
};
void ram_read(struct ram *out);

// What may be taken of memory that is free, on the machine or a device: all but max(10 %, 512 MiB),
// at least half.
uint64_t ram_spare(uint64_t free_bytes);

#endif
