// The machine's memory, bounded by a container's limit.
#ifndef LECTERN_BASE_RAM_H
#define LECTERN_BASE_RAM_H

#include <stdint.h>

struct ram {
    uint64_t bytes, available; // 0: not known
};
void ram_read(struct ram *out);

#endif
