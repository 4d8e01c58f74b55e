// cJSON with errors: typed getters whose failure names the file and the path to the value.
#ifndef LECTERN_BASE_JSON_H
#define LECTERN_BASE_JSON_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

// Parses text[0..size), one document and nothing else; `name` is what errors call it. Caller frees
// with cJSON_Delete.
cJSON *json_parse(const char *text, size_t size, const char *name, struct err *e);
cJSON *json_load(const char *path, struct err *e); // a file of at most 256 MiB

// Writes the indented text and a final newline through file_write (whole or not at all).
bool json_save(const char *path, const cJSON *json, struct err *e);

// Members of an object. `where` names the object in errors ("results.json: tasks[2]").
// A missing or wrongly typed member is ERR_FORMAT. *_or return the default when it is missing
// (or null), and still fail on a wrong type by returning the default.
bool json_string(const cJSON *obj, const char *key, const char **out, const char *where,
                 struct err *e); // borrowed from obj
bool json_number(const cJSON *obj, const char *key, double *out, const char *where, struct err *e);
bool json_int(const cJSON *obj, const char *key, int64_t *out, const char *where, struct err *e);
bool json_array(const cJSON *obj, const char *key, const cJSON **out, const char *where,
                struct err *e);
bool json_object(const cJSON *obj, const char *key, const cJSON **out, const char *where,
                 struct err *e);
const char *json_string_or(const cJSON *obj, const char *key, const char *fallback);
double json_number_or(const cJSON *obj, const char *key, double fallback);
bool json_bool_or(const cJSON *obj, const char *key, bool fallback);

// The document's "version" member must equal `version`; the sentence names both.
bool json_version(const cJSON *obj, int64_t version, const char *where, struct err *e);

// Growing text, for JSON lines with Python's json.dumps spelling and for anything else.
struct text {
    char *data; // zero-terminated once anything was added; owned, text_free
    size_t size, cap;
    bool failed; // an allocation failed; later calls do nothing
};
void text_add(struct text *t, const char *data, size_t size);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A JSON string literal: UTF-8 kept as it is, or \uXXXX (surrogate pairs) when ascii is true.
// Invalid UTF-8 becomes U+FFFD. size bytes, zero bytes allowed.
void text_json(struct text *t, const char *s, size_t size, bool ascii);
void text_free(struct text *t);

#endif
