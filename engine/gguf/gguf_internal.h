// Inside of the GGUF reader. The public face is gguf.h.
//
//   gguf.c        one file: bounded reading, placing, finding      gguf_value.c   what values say
//   gguf_split.c  the other files of a split model; pages of any
#ifndef LECTERN_GGUF_INTERNAL_H
#define LECTERN_GGUF_INTERNAL_H

#include "engine/gguf/gguf.h"

static inline uint32_t le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t le64(const unsigned char *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}

// gguf.c. One file, even when it is a part of a split model. Caller: gguf_close.
bool gguf_open_part(const char *path, bool any_type, struct gguf *out, struct err *e);
// Makes the index of tensors anew; a name that is there twice is ERR_FORMAT.
bool gguf_index_tensors(struct gguf *g, struct err *e);

// The same in memory that stays the caller's.
bool gguf_read_part(const void *data, size_t size, const char *name, bool any_type,
                    struct gguf *out, struct err *e);

// gguf_split.c. Opens the other parts of a split model, if g is one, and joins them to g. On
// failure g is as it was or another part of the same model: the caller closes it.
bool gguf_join(struct gguf *g, bool any_type, struct err *e);
// Its steps: `part` must be the next one of g's model; it is closed in any case.
bool gguf_add_part(struct gguf *g, struct gguf *part, struct err *e);
bool gguf_end_parts(struct gguf *g, struct err *e);

// gguf_value.c
size_t gguf_value_bytes(uint32_t type); // 0 for strings, arrays and unknown types
// The name of a type that files may hold and Lectern does not read, or "unknown".
const char *gguf_foreign_type(uint32_t type);

#endif
