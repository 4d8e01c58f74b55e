// Cuts a GGUF file into the parts of a split model (engine/gguf/gguf_split.c has the picture).
#ifndef LECTERN_TINY_SPLIT_H
#define LECTERN_TINY_SPLIT_H

#include "tests/tiny_gguf.h"

// The three keys of a part; no counts from 0.
void tiny_split_keys(struct tiny *t, uint32_t no, uint32_t count, uint32_t n_tensors);
// STEM-00001-of-0000N.gguf
void tiny_split_path(const char *stem, uint32_t no, uint32_t count, char *out, size_t out_size);
// Writes the file at `path` as `count` parts, the tensors in their order and about equally many in
// each; bare_first: part 1 holds keys only.
bool tiny_split(const char *path, const char *stem, uint32_t count, bool bare_first, struct err *e);

#endif
