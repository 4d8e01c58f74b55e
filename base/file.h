// Files that appear whole or not at all, and the places where Lectern keeps things.
#ifndef LECTERN_BASE_FILE_H
#define LECTERN_BASE_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <stdio.h>

// The whole file in memory with a zero byte behind it. Caller frees *out. Limit: max_bytes.
bool file_read(const char *path, size_t max_bytes, char **out, size_t *size, struct err *e);

// The same from an open stream, for standard input; name is what errors call it.
bool file_read_stream(FILE *f, const char *name, size_t max_bytes, char **out, size_t *size,
                      struct err *e);

// Writes path.tmp-PID, syncs it, renames it over path. On failure path is as it was. A device or
// pipe that is there already is written to instead of being replaced.
bool file_write(const char *path, const void *data, size_t size, struct err *e);

// Appends data to f and flushes: a kill loses at most the line being written.
// The sentence of a failure names path.
bool file_append(FILE *f, const char *path, const void *data, size_t size, struct err *e);

bool file_exists(const char *path);
bool file_mkdirs(const char *dir, struct err *e);      // like mkdir -p
bool file_remove_tree(const char *dir, struct err *e); // like rm -rf; a missing dir is fine

// snprintf for paths; a path that does not fit is an error, never cut.
bool file_path(char *out, size_t out_size, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

// $XDG_CACHE_HOME/lectern, else $HOME/.cache/lectern. Not created here.
bool file_cache_dir(char *out, size_t out_size, struct err *e);

#endif
