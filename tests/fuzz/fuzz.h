// What fuzz targets share. A target is a file fuzz_NAME.c with
//   int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);   which aborts on a fault
// libFuzzer drives it (tools/fuzz.sh), or replay.c, which needs no clang and is a test.
#ifndef LECTERN_FUZZ_H
#define LECTERN_FUZZ_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(truth)                                                                                \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #truth);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

// Reads every byte, so that a sanitizer sees it.
static inline void fuzz_read(const void *data, size_t size)
{
    volatile unsigned char sink;
    for (size_t i = 0; i < size; i++)
        sink = ((const unsigned char *)data)[i];
    (void)sink;
}

// A failure comes with a kind and a sentence, which sends nothing to a terminal but text.
static inline void fuzz_sentence(const struct err *e)
{
    MUST(e->code != ERR_NONE && e->code != ERR_INTERNAL && e->msg[0]);
    for (const char *p = e->msg; *p; p++)
        MUST((unsigned char)*p >= ' ' && *p != 0x7f);
}

// A copy with zeros behind it, to be read part by part. Caller frees.
static inline char *fuzz_copy(const uint8_t *data, size_t size)
{
    char *copy = calloc(size + 2, 1);
    MUST(copy);
    if (size) memcpy(copy, data, size);
    return copy;
}

// The next zero-terminated part of a copy; an empty one when nothing is left.
static inline const char *fuzz_part(const char **at, const char *end)
{
    const char *s = *at;
    size_t n = strlen(s);
    *at = (size_t)(end - s) > n ? s + n + 1 : end;
    return s;
}

// Prints to text that reads back; frees doc.
static inline void fuzz_json(cJSON *doc)
{
    char *text = cJSON_PrintUnformatted(doc);
    MUST(text);
    cJSON *again = cJSON_Parse(text);
    MUST(again);
    cJSON_Delete(again);
    cJSON_free(text);
    cJSON_Delete(doc);
}

#endif
