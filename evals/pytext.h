// Python's ways with text, where prompts and hashes depend on them byte for byte.
#ifndef LECTERN_EVAL_PYTEXT_H
#define LECTERN_EVAL_PYTEXT_H

#include "base/json.h"

#include <stddef.h>

// str.strip(): moves *s and *n past Unicode white space (U+0085, U+00A0 and U+2003 included).
void pytext_strip(const char **s, size_t *n);

// json.dumps(json, ensure_ascii=False); indent 0: on one line with ", " and ": ".
// Raw items (cJSON_CreateRaw) are written as they are.
void pytext_json(struct text *t, const cJSON *json, int indent);

// repr(float): the shortest digits that read back as v; 1.0 stays "1.0".
void pytext_float(char out[32], double v);

// bytes.decode("utf-8", "replace"): adds s with invalid bytes as U+FFFD.
void pytext_utf8(struct text *t, const char *s, size_t n);

#endif
