#include "curriculum/facts.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool facts_init(struct facts *f, struct err *e)
{
    *f = (struct facts){.table = cJSON_CreateObject()};
    return f->table || err_nomem(e, "facts", 0);
}

void facts_free(struct facts *f)
{
    cJSON_Delete(f->table);
    *f = (struct facts){0};
}

static cJSON *entry(struct facts *f, const char *name)
{
    cJSON_DeleteItemFromObjectCaseSensitive(f->table, name);
    cJSON *o = cJSON_AddObjectToObject(f->table, name);
    if (!o) f->failed = true;
    return o;
}

void facts_quote(struct facts *f, const char *name, const char *text, const char *basis)
{
    cJSON *o = entry(f, name);
    if (!cJSON_AddStringToObject(o, "value", text) || !cJSON_AddStringToObject(o, "text", text) ||
        (basis && !cJSON_AddStringToObject(o, "basis", basis)))
        f->failed = true;
}

void facts_text(struct facts *f, const char *name, const char *text)
{
    facts_quote(f, name, text, NULL);
}

void facts_flag(struct facts *f, const char *name, bool value)
{
    cJSON *o = entry(f, name);
    if (!cJSON_AddBoolToObject(o, "value", value) ||
        !cJSON_AddStringToObject(o, "text", value ? "yes" : "no"))
        f->failed = true;
}

void facts_number(struct facts *f, const char *name, double value, int decimals, const char *unit,
                  const char *basis)
{
    char text[96];
    snprintf(text, sizeof text, "%.*f%s", decimals, value, unit);
    cJSON *o = entry(f, name);
    if (!cJSON_AddNumberToObject(o, "value", value) || !cJSON_AddStringToObject(o, "text", text) ||
        (basis && !cJSON_AddStringToObject(o, "basis", basis)))
        f->failed = true;
}

static const cJSON *value_of(const struct facts *f, const char *name)
{
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(f->table, name);
    return cJSON_GetObjectItemCaseSensitive(o, "value");
}

bool facts_known(const struct facts *f, const char *name)
{
    return value_of(f, name) != NULL;
}

double facts_value(const struct facts *f, const char *name, double fallback)
{
    const cJSON *v = value_of(f, name);
    return cJSON_IsNumber(v) ? v->valuedouble : fallback;
}

const char *facts_string(const struct facts *f, const char *name, const char *fallback)
{
    const cJSON *v = value_of(f, name);
    return cJSON_IsString(v) ? v->valuestring : fallback;
}

static bool same(const cJSON *a, const cJSON *b)
{
    return cJSON_Compare(a, b, true);
}

static bool one_holds(const struct facts *f, const cJSON *cond, bool *holds, struct err *e)
{
    const char *name = json_string_or(cond, "fact", NULL);
    const cJSON *op = NULL, *it;
    cJSON_ArrayForEach(it, cond)
    {
        if (strcmp(it->string, "fact") == 0) continue;
        if (op) name = NULL; // two operators: reported below
        op = it;
    }
    if (!name || !op)
        return err_set(e, ERR_INTERNAL, "a condition needs \"fact\" and one operator");
    const cJSON *v = value_of(f, name);
    bool number = cJSON_IsNumber(op);
    *holds = false;
    if (!strcmp(op->string, "known") && cJSON_IsBool(op))
        *holds = (v != NULL) == (cJSON_IsTrue(op) != 0);
    else if (!strcmp(op->string, "is"))
        *holds = same(v, op);
    else if (!strcmp(op->string, "in") && cJSON_IsArray(op)) {
        cJSON_ArrayForEach(it, op)
        {
            *holds = *holds || same(v, it);
        }
    } else if (!strcmp(op->string, "below") && number)
        *holds = cJSON_IsNumber(v) && v->valuedouble < op->valuedouble;
    else if (!strcmp(op->string, "at_least") && number)
        *holds = cJSON_IsNumber(v) && v->valuedouble >= op->valuedouble;
    else
        return err_set(e, ERR_INTERNAL, "condition on %s: there is no operator \"%s\" of that type",
                       name, op->string);
    return true;
}

bool facts_hold(const struct facts *f, const cJSON *when, bool *holds, struct err *e)
{
    const cJSON *it;
    *holds = true;
    cJSON_ArrayForEach(it, when)
    {
        bool one;
        if (!one_holds(f, it, &one, e)) return false;
        *holds = *holds && one;
    }
    return true;
}

// The name inside a placeholder that starts at p ('{'), or 0 when it is an ordinary brace.
static size_t placeholder(const char *p, char name[64], bool *bare)
{
    const char *s = p + 1;
    *bare = *s == '=';
    if (*bare) s++;
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    if (!n || n >= 64 || s[n] != '}' || *s < 'a' || *s > 'z') return 0;
    memcpy(name, s, n);
    name[n] = '\0';
    return (size_t)(s - p) + n + 1;
}

char *facts_fill(const struct facts *f, const char *text, struct err *e)
{
    struct text out = {0};
    text_puts(&out, "");
    for (const char *p = text; *p;) {
        char name[64];
        bool bare;
        size_t plain = strcspn(p, "{"), used = p[plain] ? placeholder(p + plain, name, &bare) : 0;
        text_add(&out, p, plain + (p[plain] && !used));
        p += plain + (p[plain] && !used);
        if (!used) continue;
        const cJSON *o = cJSON_GetObjectItemCaseSensitive(f->table, name);
        if (!o) {
            err_set(e, ERR_INTERNAL, "the text \"%.60s...\" needs %s, which is not known", text,
                    name);
            text_free(&out);
            return NULL;
        }
        text_puts(&out, json_string_or(o, "text", ""));
        const char *basis = json_string_or(o, "basis", NULL);
        if (basis && !bare) text_printf(&out, " (%s)", basis);
        p += used;
    }
    if (!out.failed) return out.data;
    text_free(&out);
    err_nomem(e, "a text of the plan", 0);
    return NULL;
}

static bool fillable(const struct facts *f, const char *text)
{
    for (const char *p = strchr(text, '{'); p; p = strchr(p + 1, '{')) {
        char name[64];
        bool bare;
        if (placeholder(p, name, &bare) && !facts_known(f, name)) return false;
    }
    return true;
}

bool facts_node(const struct facts *f, const cJSON *node, char **out, struct err *e)
{
    const cJSON *first = cJSON_GetObjectItemCaseSensitive(node, "first"), *it;
    *out = NULL;
    cJSON_ArrayForEach(it, first)
    {
        if (!facts_node(f, it, out, e)) return false;
        if (*out) return true;
    }
    if (first) return true;
    const char *text =
        cJSON_IsString(node) ? node->valuestring : json_string_or(node, "text", NULL);
    if (!text)
        return err_set(e, ERR_INTERNAL,
                       "a text of the content is neither a string nor a "
                       "node with \"text\" or \"first\"");
    bool holds = true;
    if (!cJSON_IsString(node) &&
        !facts_hold(f, cJSON_GetObjectItemCaseSensitive(node, "when"), &holds, e))
        return false;
    if (!holds || !fillable(f, text)) return true;
    *out = facts_fill(f, text, e);
    return *out != NULL;
}
