// The types that the reports rely on, as data: a hostile or half-made plan.json is refused with
// a sentence before anything is drawn.
#include "reports/plan_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { K_STRING, K_WHOLE, K_NUMBER, K_BOOL, K_OBJECT, K_OBJECTS, K_STRINGS, K_WHOLES };

struct field {
    const char *name;
    enum kind kind;
    bool required;
    const struct field *sub; // ends with a field without a name
};

enum { MAX_STRING = 20000, MAX_ELEMENTS = 2000 };

#define STR(name)                                                                                  \
    {                                                                                              \
        name, K_STRING, false, NULL                                                                \
    }
#define NUM(name)                                                                                  \
    {                                                                                              \
        name, K_NUMBER, false, NULL                                                                \
    }
#define INT(name)                                                                                  \
    {                                                                                              \
        name, K_WHOLE, false, NULL                                                                 \
    }
#define SUB(name, sub)                                                                             \
    {                                                                                              \
        name, K_OBJECT, false, sub                                                                 \
    }
#define ARR(name, sub)                                                                             \
    {                                                                                              \
        name, K_OBJECTS, false, sub                                                                \
    }
#define STRINGS(name)                                                                              \
    {                                                                                              \
        name, K_STRINGS, false, NULL                                                               \
    }
#define INTS(name)                                                                                 \
    {                                                                                              \
        name, K_WHOLES, false, NULL                                                                \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, K_STRING, false, NULL                                                                \
    }

static const struct field learner[] = {STR("name"),           STR("level"), STR("goal"),
                                       NUM("hours_per_week"), INT("weeks"), STRINGS("interests"),
                                       STR("start_date"),     END};
static const struct field inputs[] = {STR("learner_sha256"), STR("hardware_sha256"),
                                      STR("results_sha256"), STR("prompt_sha256"), END};
static const struct field label_value[] = {STR("label"), STR("value"), STR("basis"), END};
static const struct field first_step[] = {INT("minutes"), STR("text"), STR("command"), END};
static const struct field pick[] = {STR("model"), STR("quant"), STR("why"), END};
static const struct field fit_row[] = {STR("model"),        STR("quant"), NUM("weight_gib"),
                                       NUM("total_gib"),    INT("n_ctx"), STR("verdict"),
                                       NUM("decode_tok_s"), STR("basis"), END};
static const struct field machine[] = {STRINGS("paragraphs"), SUB("pick", pick),
                                       ARR("table", fit_row), ARR("measured", label_value), END};
static const struct field score[] = {STR("task"), STR("label"), INT("n"),      NUM("score"),
                                     NUM("low"),  NUM("high"),  NUM("chance"), STR("set"),
                                     STR("note"), END};
static const struct field published[] = {STR("model"),     NUM("mmlu"),   NUM("gsm8k"),
                                         NUM("humaneval"), STR("source"), END};
static const struct field failure[] = {STR("task"), STR("question"), STR("expected"),
                                       STR("got"),  STR("category"), END};
static const struct field evidence[] = {STRINGS("paragraphs"), ARR("scores", score),
                                        ARR("published", published), ARR("failures", failure), END};
static const struct field session[] = {STR("kind"),  INT("section"), INT("minutes"),
                                       STR("title"), STR("date"),    END};
static const struct field week[] = {
    {"week", K_WHOLE, true, NULL}, INT("minutes"), STR("date"), ARR("sessions", session), END};
static const struct field prerequisite[] = {{"section", K_WHOLE, true, NULL}, INTS("needs"), END};
static const struct field objective[] = {STR("text"), STR("bloom"), INT("check"), END};
static const struct field point[] = {STR("title"), STRINGS("paragraphs"), END};
static const struct field step[] = {STR("text"), STR("command"), END};
static const struct field lab[] = {STR("title"),  INT("minutes"),     ARR("steps", step),
                                   STR("expect"), STR("if_it_fails"), END};
static const struct field check[] = {INT("number"), STR("question"), STR("answer"), STR("why"),
                                     END};
static const struct field resource[] = {INT("id"), STR("title"), STR("url"), INT("minutes"), END};
static const struct field section[] = {{"number", K_WHOLE, true, NULL},
                                       {"title", K_STRING, true, NULL},
                                       INT("minutes"),
                                       {"optional", K_BOOL, false, NULL},
                                       STR("band"),
                                       STR("why"),
                                       STR("prediction"),
                                       ARR("objectives", objective),
                                       STRINGS("prerequisites"),
                                       ARR("points", point),
                                       SUB("example", point),
                                       SUB("lab", lab),
                                       ARR("checks", check),
                                       STR("deliverable"),
                                       ARR("resources", resource),
                                       STR("reflection"),
                                       STR("next"),
                                       END};
static const struct field milestone[] = {INT("number"), STR("title"), INT("week"), STR("pass"),
                                         END};
static const struct field term[] = {STR("term"), STR("meaning"), END};
static const struct field rule[] = {STR("id"), STR("because"), STR("effect"), END};
static const struct field provenance[] = {STR("tool"), STR("command"), STR("resources_checked"),
                                          STRINGS("licences"), END};
static const struct field plan[] = {{"title", K_STRING, true, NULL},
                                    SUB("learner", learner),
                                    SUB("inputs", inputs),
                                    ARR("glance", label_value),
                                    SUB("first_step", first_step),
                                    SUB("machine", machine),
                                    SUB("evidence", evidence),
                                    ARR("schedule", week),
                                    ARR("prerequisites", prerequisite),
                                    {"sections", K_OBJECTS, true, section},
                                    ARR("milestones", milestone),
                                    ARR("glossary", term),
                                    ARR("rules", rule),
                                    SUB("provenance", provenance),
                                    END};

static bool check_fields(const cJSON *obj, const struct field *fields, const char *where,
                         struct err *e);

static bool check_scalar(const cJSON *v, enum kind kind, const char *where, struct err *e)
{
    double d = v->valuedouble;
    switch (kind) {
    case K_STRING:
        if (!cJSON_IsString(v)) return err_set(e, ERR_FORMAT, "%s must be a string", where);
        if (strlen(v->valuestring) > MAX_STRING)
            return err_set(e, ERR_FORMAT, "%s is a text of more than %d bytes", where, MAX_STRING);
        return true;
    case K_BOOL:
        if (!cJSON_IsBool(v)) return err_set(e, ERR_FORMAT, "%s must be true or false", where);
        return true;
    case K_NUMBER:
        if (!cJSON_IsNumber(v) || !(fabs(d) <= 1e12))
            return err_set(e, ERR_FORMAT, "%s must be a number of ordinary size", where);
        return true;
    default:
        if (!cJSON_IsNumber(v) || !(d >= 0 && d <= 1e9) || d != floor(d))
            return err_set(e, ERR_FORMAT, "%s must be a whole number, 0 or more", where);
        return true;
    }
}

static bool check_array(const cJSON *v, const struct field *f, const char *where, struct err *e)
{
    char at[320];
    int i = 0;
    const cJSON *el;
    if (!cJSON_IsArray(v)) return err_set(e, ERR_FORMAT, "%s must be an array", where);
    if (cJSON_GetArraySize(v) > MAX_ELEMENTS)
        return err_set(e, ERR_FORMAT, "%s has more than %d elements", where, MAX_ELEMENTS);
    cJSON_ArrayForEach(el, v)
    {
        snprintf(at, sizeof at, "%.280s[%d]", where, i++);
        bool ok = f->kind == K_OBJECTS
                      ? check_fields(el, f->sub, at, e)
                      : check_scalar(el, f->kind == K_STRINGS ? K_STRING : K_WHOLE, at, e);
        if (!ok) return false;
    }
    return true;
}

static bool check_fields(const cJSON *obj, const struct field *fields, const char *where,
                         struct err *e)
{
    if (!cJSON_IsObject(obj)) return err_set(e, ERR_FORMAT, "%s must be an object", where);
    for (const struct field *f = fields; f->name; f++) {
        char at[320];
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(obj, f->name);
        bool missing = !v || cJSON_IsNull(v), ok;
        snprintf(at, sizeof at, "%.240s%s%s", where, strchr(where, ' ') ? "." : ": ", f->name);
        if (missing && f->required) return err_set(e, ERR_FORMAT, "%s is missing", at);
        if (missing) continue;
        if (f->kind == K_OBJECT)
            ok = check_fields(v, f->sub, at, e);
        else if (f->kind >= K_OBJECTS)
            ok = check_array(v, f, at, e);
        else
            ok = check_scalar(v, f->kind, at, e);
        if (!ok) return false;
    }
    return true;
}

bool report_check(const cJSON *json, const char *name, struct err *e)
{
    if (!cJSON_IsObject(json)) return err_set(e, ERR_FORMAT, "%s must be an object", name);
    if (!json_version(json, 1, name, e) || !check_fields(json, plan, name, e)) return false;
    const cJSON *sections = report_get(json, "sections"), *a, *b;
    if (!report_len(sections)) return err_set(e, ERR_FORMAT, "%s: sections is empty", name);
    if (report_len(report_get(json, "schedule")) > 60)
        return err_set(e, ERR_FORMAT, "%s: schedule has more than 60 weeks", name);
    cJSON_ArrayForEach(a, sections)
    {
        for (b = a->next; b; b = b->next)
            if (report_num(a, "number") == report_num(b, "number"))
                return err_set(e, ERR_FORMAT, "%s: two sections have the number %.0f", name,
                               report_num(a, "number"));
    }
    return true;
}
