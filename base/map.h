// A file mapped read-only. A file that shrinks while it is mapped raises SIGBUS: callers copy
// what they parse, and app/ turns the signal into an error sentence.
#ifndef LECTERN_BASE_MAP_H
#define LECTERN_BASE_MAP_H

#include "base/err.h"

#include <stddef.h>

struct file_map {
    const unsigned char *data; // borrowed until map_close; NULL when the file is empty
    size_t size;               // bytes
};

// Maps the whole regular file. On failure *out is zeroed.
bool map_open(const char *path, struct file_map *out, struct err *e);
void map_close(struct file_map *map);

// Tells the kernel that bytes [offset, offset+size) will not be read again.
void map_drop(const struct file_map *map, size_t offset, size_t size);
// Tells the kernel that bytes [offset, offset+size) will be read soon.
void map_expect(const struct file_map *map, size_t offset, size_t size);

#endif
