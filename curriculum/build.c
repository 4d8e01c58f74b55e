#include "curriculum/build.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#define EMBEDDED(name)                                                                             \
    extern const unsigned char curriculum_##name[];                                                \
    extern const size_t curriculum_##name##_size;
EMBEDDED(common)
EMBEDDED(rules)
EMBEDDED(resources)
EMBEDDED(prompt)
EMBEDDED(section1)
EMBEDDED(section2)
EMBEDDED(section3)
EMBEDDED(section4)
EMBEDDED(section5)
EMBEDDED(section6)
EMBEDDED(section7)
EMBEDDED(section8)
EMBEDDED(section9)

static bool parse(cJSON **out, const unsigned char *data, size_t size, const char *name,
                  struct err *e)
{
    *out = json_parse((const char *)data, size, name, e);
    return *out != NULL;
}

#define PARSE(where, name)                                                                         \
    parse(where, curriculum_##name, curriculum_##name##_size, "curriculum/" #name ".json", e)

bool build_open(struct build *b, struct err *e)
{
    *b = (struct build){.e = e};
    if (facts_init(&b->facts, e) && PARSE(&b->common, common) && PARSE(&b->rules, rules) &&
        PARSE(&b->resources, resources) && PARSE(&b->prompt, prompt) &&
        PARSE(&b->section[0], section1) && PARSE(&b->section[1], section2) &&
        PARSE(&b->section[2], section3) && PARSE(&b->section[3], section4) &&
        PARSE(&b->section[4], section5) && PARSE(&b->section[5], section6) &&
        PARSE(&b->section[6], section7) && PARSE(&b->section[7], section8) &&
        PARSE(&b->section[8], section9))
        return true;
    build_close(b);
    return false;
}

void build_close(struct build *b)
{
    for (int i = 0; i < N_SECTIONS; i++)
        cJSON_Delete(b->section[i]);
    cJSON_Delete(b->common);
    cJSON_Delete(b->rules);
    cJSON_Delete(b->resources);
    cJSON_Delete(b->prompt);
    effects_free(&b->effects);
    facts_free(&b->facts);
    *b = (struct build){0};
}

static void check(struct build *b, const void *made)
{
    if (made || b->failed) return;
    b->failed = true;
    err_nomem(b->e, "the plan", 0);
}

void put_str(struct build *b, cJSON *obj, const char *key, const char *value)
{
    if (!b->failed) check(b, cJSON_AddStringToObject(obj, key, value));
}

void put_num(struct build *b, cJSON *obj, const char *key, double value)
{
    if (!b->failed) check(b, cJSON_AddNumberToObject(obj, key, value));
}

void put_bool(struct build *b, cJSON *obj, const char *key, bool value)
{
    if (!b->failed) check(b, cJSON_AddBoolToObject(obj, key, value));
}

cJSON *put_array(struct build *b, cJSON *obj, const char *key)
{
    cJSON *a = b->failed ? NULL : cJSON_AddArrayToObject(obj, key);
    check(b, a);
    return a;
}

cJSON *put_object(struct build *b, cJSON *obj, const char *key)
{
    cJSON *o = b->failed ? NULL : cJSON_AddObjectToObject(obj, key);
    check(b, o);
    return o;
}

static void add_item(struct build *b, cJSON *array, cJSON *item)
{
    if (!b->failed && item && cJSON_AddItemToArray(array, item)) return;
    cJSON_Delete(item);
    check(b, NULL);
}

cJSON *add_object(struct build *b, cJSON *array)
{
    cJSON *o = b->failed ? NULL : cJSON_CreateObject();
    add_item(b, array, o);
    return b->failed ? NULL : o;
}

void add_str(struct build *b, cJSON *array, const char *value)
{
    if (!b->failed) add_item(b, array, cJSON_CreateString(value));
}

void put_item(struct build *b, cJSON *obj, const char *key, cJSON *item)
{
    if (!b->failed && item && cJSON_AddItemToObject(obj, key, item)) return;
    cJSON_Delete(item);
    check(b, NULL);
}

static char *chosen(struct build *b, const cJSON *node)
{
    char *text = NULL;
    if (!b->failed && !facts_node(&b->facts, node, &text, b->e)) b->failed = true;
    return text;
}

void put_text(struct build *b, cJSON *obj, const char *key, const cJSON *node)
{
    char *text = chosen(b, node);
    if (text)
        put_str(b, obj, key, text);
    else if (!b->failed)
        b->failed = !err_set(b->e, ERR_INTERNAL, "no alternative of \"%s\" can be used", key);
    cJSON_free(text);
}

void add_text(struct build *b, cJSON *array, const cJSON *node)
{
    char *text = chosen(b, node);
    if (text) add_str(b, array, text);
    cJSON_free(text);
}

void add_texts(struct build *b, cJSON *array, const cJSON *nodes, int limit)
{
    const cJSON *it;
    int n = 0;
    if (!cJSON_IsArray(nodes)) {
        if (nodes) add_text(b, array, nodes);
        return;
    }
    cJSON_ArrayForEach(it, nodes)
    {
        if (n++ < limit) add_text(b, array, it);
    }
}

const cJSON *for_level(const struct build *b, const cJSON *node)
{
    if (!cJSON_HasObjectItem(node, "beginner")) return node;
    return cJSON_GetObjectItemCaseSensitive(node, learner_level_name(b->learner->level));
}

const cJSON *for_goal(const struct build *b, const cJSON *node)
{
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(node, learner_goal_name(b->learner->goal));
    if (own) return own;
    const cJSON *any = cJSON_GetObjectItemCaseSensitive(node, "default");
    return any ? any : node;
}

static bool named(const cJSON *list, const char *name)
{
    const cJSON *it;
    if (!list) return true;
    cJSON_ArrayForEach(it, list)
    {
        if (cJSON_IsString(it) && !strcmp(it->valuestring, name)) return true;
    }
    return false;
}

bool meant_for(const struct build *b, const cJSON *obj)
{
    return named(cJSON_GetObjectItemCaseSensitive(obj, "levels"),
                 learner_level_name(b->learner->level)) &&
           named(cJSON_GetObjectItemCaseSensitive(obj, "goals"),
                 learner_goal_name(b->learner->goal));
}

static void clean(char *out, size_t room, const char *text, bool lines)
{
    size_t n = strlen(text), used = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char utf8[4];
        i += utf8_decode(text + i, n - i, &cp);
        if ((cp < 32 && !(lines && cp == '\n')) || (cp >= 127 && cp < 160)) cp = ' ';
        if (cp == '`') cp = '\'';
        if (cp == '{') cp = '(';
        if (cp == '}') cp = ')';
        size_t len = utf8_encode(cp, utf8);
        if (used + len >= room) break;
        memcpy(out + used, utf8, len);
        used += len;
    }
    out[used] = '\0';
}

void clean_text(char *out, size_t room, const char *text)
{
    clean(out, room, text, false);
}

void clean_code(char *out, size_t room, const char *text)
{
    clean(out, room, text, true);
}
