#include "evals/pytext.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// str.isspace() of Python 3, which str.strip() follows.
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

void pytext_strip(const char **s, size_t *n)
{
    uint32_t cp;
    while (*n) {
        size_t len = utf8_decode(*s, *n, &cp);
        if (!is_space(cp)) break;
        *s += len;
        *n -= len;
    }
    while (*n) {
        size_t len = 1;
        while (len < 4 && len < *n && ((unsigned char)(*s)[*n - len] & 0xc0) == 0x80)
            len++;
        if (utf8_decode(*s + *n - len, len, &cp) != len || !is_space(cp)) break;
        *n -= len;
    }
}

void pytext_float(char out[32], double v)
{
    if (isnan(v) || isinf(v)) {
        (void)snprintf(out, 32, "%s", isnan(v) ? "NaN" : v < 0 ? "-Infinity" : "Infinity");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v) break;
    }
    if (!strpbrk(out, ".e")) strcat(out, ".0"); // at most 17 digits and a sign: room is left
}

static void newline(struct text *t, int indent, int depth)
{
    if (!indent) return;
    text_printf(t, "\n%*s", indent * depth, "");
}

static void dump(struct text *t, const cJSON *j, int indent, int depth)
{
    if (cJSON_IsString(j)) {
        text_json(t, j->valuestring, strlen(j->valuestring), false);
    } else if (cJSON_IsRaw(j)) {
        text_puts(t, j->valuestring);
    } else if (cJSON_IsNumber(j)) {
        char num[32];
        pytext_float(num, j->valuedouble);
        size_t n = strlen(num);
        bool whole = fabs(j->valuedouble) < 1e15 && n > 2 && !strcmp(num + n - 2, ".0");
        text_add(t, num, whole ? n - 2 : n); // documents hold integers only
    } else if (cJSON_IsArray(j) || cJSON_IsObject(j)) {
        bool object = cJSON_IsObject(j);
        text_puts(t, object ? "{" : "[");
        for (const cJSON *c = j->child; c; c = c->next) {
            newline(t, indent, depth + 1);
            if (object) {
                text_json(t, c->string, strlen(c->string), false);
                text_puts(t, ": ");
            }
            dump(t, c, indent, depth + 1);
            if (c->next) text_puts(t, indent ? "," : ", ");
        }
        if (j->child) newline(t, indent, depth);
        text_puts(t, object ? "}" : "]");
    } else {
        text_puts(t, cJSON_IsTrue(j) ? "true" : cJSON_IsFalse(j) ? "false" : "null");
    }
}

void pytext_json(struct text *t, const cJSON *json, int indent)
{
    dump(t, json, indent, 0);
}

void pytext_utf8(struct text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char out[4];
        i += utf8_decode(s + i, n - i, &cp);
        text_add(t, out, utf8_encode(cp, out));
    }
}
