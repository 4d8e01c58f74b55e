#include "base/json.h"
#include "base/file.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cJSON *json_parse(const char *text, size_t size, const char *name, struct err *e)
{
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, false);
    while (json && end < text + size && (unsigned char)*end <= ' ')
        end++;
    if (json && end == text + size) return json;
    cJSON_Delete(json); // if there is one: more stands behind it
    size_t line = 1, at = end ? (size_t)(end - text) : 0;
    for (size_t i = 0; i < at && i < size; i++)
        line += text[i] == '\n';
    err_set(e, ERR_FORMAT, "%s: not valid JSON near line %zu", name, line);
    return NULL;
}

cJSON *json_load(const char *path, struct err *e)
{
    char *text;
    size_t size;
    if (!file_read(path, (size_t)256 << 20, &text, &size, e)) return NULL;
    cJSON *json = json_parse(text, size, path, e);
    free(text);
    return json;
}

bool json_save(const char *path, const cJSON *json, struct err *e)
{
    char *text = cJSON_Print(json);
    if (!text) return err_nomem(e, path, 0);
    size_t n = strlen(text);
    text[n] = '\n'; // the terminator's place: the text has a length from here on
    bool ok = file_write(path, text, n + 1, e);
    cJSON_free(text);
    return ok;
}

static const cJSON *member(const cJSON *obj, const char *key, cJSON_bool (*is)(const cJSON *),
                           const char *type, const char *where, struct err *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);
    if (v && is(v)) return v;
    err_set(e, ERR_FORMAT, "%s: \"%s\" is %s; it must be %s", where, key,
            v ? "of another type" : "missing", type);
    return NULL;
}

bool json_string(const cJSON *obj, const char *key, const char **out, const char *where,
                 struct err *e)
{
    const cJSON *v = member(obj, key, cJSON_IsString, "a string", where, e);
    *out = v ? v->valuestring : NULL;
    return v != NULL;
}

bool json_number(const cJSON *obj, const char *key, double *out, const char *where, struct err *e)
{
    const cJSON *v = member(obj, key, cJSON_IsNumber, "a number", where, e);
    *out = v ? v->valuedouble : 0;
    return v != NULL;
}

bool json_int(const cJSON *obj, const char *key, int64_t *out, const char *where, struct err *e)
{
    double d;
    *out = 0;
    if (!json_number(obj, key, &d, where, e)) return false;
    if (d != floor(d) || fabs(d) > 0x1p53)
        return err_set(e, ERR_FORMAT, "%s: \"%s\" must be a whole number", where, key);
    *out = (int64_t)d;
    return true;
}

bool json_array(const cJSON *obj, const char *key, const cJSON **out, const char *where,
                struct err *e)
{
    *out = member(obj, key, cJSON_IsArray, "an array", where, e);
    return *out != NULL;
}

bool json_object(const cJSON *obj, const char *key, const cJSON **out, const char *where,
                 struct err *e)
{
    *out = member(obj, key, cJSON_IsObject, "an object", where, e);
    return *out != NULL;
}

const char *json_string_or(const cJSON *obj, const char *key, const char *fallback)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);
    return cJSON_IsString(v) ? v->valuestring : fallback;
}

double json_number_or(const cJSON *obj, const char *key, double fallback)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);
    return cJSON_IsNumber(v) ? v->valuedouble : fallback;
}

bool json_bool_or(const cJSON *obj, const char *key, bool fallback)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, key);
    return cJSON_IsBool(v) ? cJSON_IsTrue(v) != 0 : fallback;
}

bool json_version(const cJSON *obj, int64_t version, const char *where, struct err *e)
{
    int64_t got;
    if (!json_int(obj, "version", &got, where, e)) return false;
    if (got == version) return true;
    return err_set(e, ERR_FORMAT,
                   "%s has version %lld, this Lectern reads version %lld; make the file again",
                   where, (long long)got, (long long)version);
}

void text_add(struct text *t, const char *data, size_t size)
{
    if (t->failed) return;
    if (size >= t->cap - t->size) { // keeps room for the terminator
        size_t cap = t->cap ? t->cap : 256;
        while (size >= cap - t->size)
            cap *= 2;
        char *grown = realloc(t->data, cap);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->data = grown;
        t->cap = cap;
    }
    if (size) memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = '\0';
}

void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
    char buf[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    if ((size_t)n < sizeof buf) {
        text_add(t, buf, (size_t)n);
        return;
    }
    char *big = malloc((size_t)n + 1);
    if (!big) {
        t->failed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(big, (size_t)n + 1, fmt, ap);
    va_end(ap);
    text_add(t, big, (size_t)n);
    free(big);
}

static void json_code_point(struct text *t, uint32_t cp, bool ascii)
{
    static const char *const named[32] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    char utf8[4];
    if (cp == '"' || cp == '\\')
        text_printf(t, "\\%c", (int)cp);
    else if (cp < 32 && named[cp])
        text_puts(t, named[cp]);
    else if (cp < 32 || (ascii && cp >= 127 && cp < 0x10000))
        text_printf(t, "\\u%04x", cp);
    else if (ascii && cp >= 0x10000)
        text_printf(t, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                    0xdc00 + ((cp - 0x10000) & 0x3ff));
    else
        text_add(t, utf8, utf8_encode(cp, utf8));
}

void text_json(struct text *t, const char *s, size_t size, bool ascii)
{
    text_add(t, "\"", 1);
    for (size_t i = 0; i < size;) {
        uint32_t cp;
        i += utf8_decode(s + i, size - i, &cp);
        json_code_point(t, cp, ascii);
    }
    text_add(t, "\"", 1);
}

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}
