// JSON in the spelling of Python's json.dumps(value, ensure_ascii=False, indent=...), which is what
// the templates' `tojson` gives. Numbers are kept as they are written: a parser would turn 1.0 into
// 1 and cut long ones. The text has passed json_parse, whose grammar is followed here.
#include "engine/tokenizer/tok.h"

#include <string.h>

// White space as cJSON knows it, and the byte order mark that it takes at the start of a text.
static const char *skip(const char *p)
{
    if (!strncmp(p, "\xef\xbb\xbf", 3)) p += 3;
    while (*p && (unsigned char)*p <= ' ')
        p++;
    return p;
}

static const char *string(struct text *t, const char *p)
{
    const char *end = p + 1;
    while (*end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    if (*end) end++;
    cJSON *s = cJSON_ParseWithLength(p, (size_t)(end - p));
    if (cJSON_IsString(s))
        text_json(t, s->valuestring, strlen(s->valuestring), false);
    else
        t->failed = true; // it was parsed before: only memory can be missing
    cJSON_Delete(s);
    return end;
}

static void new_line(struct text *t, int indent, int depth)
{
    if (indent) text_printf(t, "\n%*s", indent * depth, "");
}

const char *chat_json(struct text *t, const char *p, int indent, int depth)
{
    p = skip(p);
    if (*p == '"') return string(t, p);
    if (*p != '{' && *p != '[') { // a number or a word
        size_t n = strspn(p, "+-.0123456789Eaeflnrstu");
        text_add(t, p, n);
        return p + n;
    }
    const char open = *p, close = open == '{' ? '}' : ']';
    text_add(t, &open, 1);
    p = skip(p + 1);
    bool empty = *p == close;
    while (*p && *p != close) {
        new_line(t, indent, depth + 1);
        if (open == '{') {
            p = skip(string(t, p));
            text_puts(t, ": ");
            if (*p) p++;
        }
        p = skip(chat_json(t, p, indent, depth + 1));
        if (*p != ',') break;
        text_puts(t, indent ? "," : ", ");
        p = skip(p + 1);
    }
    if (!empty) new_line(t, indent, depth);
    text_add(t, &close, 1);
    return *p ? p + 1 : p;
}

bool chat_tools(struct text *t, const char *tools, struct err *e)
{
    cJSON *list = json_parse(tools, strlen(tools), "the tools", e);
    if (!list) return false;
    bool ok = cJSON_IsArray(list) && cJSON_GetArraySize(list) > 0;
    const cJSON *tool;
    cJSON_ArrayForEach(tool, list) ok = ok && cJSON_IsObject(tool);
    cJSON_Delete(list);
    if (!ok)
        return err_set(e, ERR_FORMAT,
                       "the tools must be a JSON array of function definitions, which are objects");
    const char *p = skip(tools);
    do { // p stands before an element: behind [ or a comma
        p = skip(chat_json(t, p + 1, 4, 0));
        text_puts(t, "\n\n");
    } while (*p == ',');
    return true;
}
