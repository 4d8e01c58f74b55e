#include "curriculum/rules.h"
#include "base/json.h"

#include <string.h>

static const char *const band_names[N_BANDS] = {"full", "condensed", "challenge", "overview"};

const char *band_name(enum band band)
{
    return band_names[band];
}

void effects_free(struct effects *x)
{
    cJSON_Delete(x->fired);
    *x = (struct effects){0};
}

static bool note(const char **list, int *n, const char *id, struct err *e)
{
    for (int i = 0; i < *n; i++)
        if (!strcmp(list[i], id)) return true;
    if (*n == RULES_MAX_NOTES)
        return err_set(e, ERR_INTERNAL, "rules.json adds more than %d paragraphs to one place",
                       RULES_MAX_NOTES);
    list[(*n)++] = id;
    return true;
}

static bool section_effect(struct section_effect *s, const cJSON *todo, struct err *e)
{
    const char *band = json_string_or(todo, "band", NULL), *add = json_string_or(todo, "add", NULL);
    s->weight *= json_number_or(todo, "weight", 1);
    s->include = json_bool_or(todo, "include", s->include);
    s->lab = json_string_or(todo, "lab", s->lab);
    if (add && !note(s->notes, &s->n_notes, add, e)) return false;
    if (!band) return true;
    for (int i = 0; i < N_BANDS; i++)
        if (!strcmp(band, band_names[i])) {
            s->band = (enum band)i;
            return true;
        }
    return err_set(e, ERR_INTERNAL, "rules.json: there is no band \"%s\"", band);
}

static bool apply(struct effects *x, const cJSON *todo, struct err *e)
{
    const cJSON *where = cJSON_GetObjectItemCaseSensitive(todo, "section"), *it;
    const char *machine = json_string_or(todo, "machine", NULL);
    const char *evidence = json_string_or(todo, "evidence", NULL);
    if (machine && !note(x->machine, &x->n_machine, machine, e)) return false;
    if (evidence && !note(x->evidence, &x->n_evidence, evidence, e)) return false;
    x->first_step = json_string_or(todo, "first_step", x->first_step);
    x->min_tok_s = json_number_or(todo, "min_tok_s", x->min_tok_s);
    const char *prefer = json_string_or(todo, "prefer", NULL);
    if (prefer) x->prefer_smallest = !strcmp(prefer, "smallest");
    if (!where) return true;
    const cJSON *begin = cJSON_IsArray(where) ? where->child : where;
    for (it = begin; it; it = cJSON_IsArray(where) ? it->next : NULL) {
        int n = it->valueint;
        if (n < 1 || n > 9) return err_set(e, ERR_INTERNAL, "rules.json names section %d", n);
        if (!section_effect(&x->section[n - 1], todo, e)) return false;
    }
    return true;
}

static bool record(struct effects *x, const cJSON *rule, const struct facts *f, struct err *e)
{
    static const char *const keys[2] = {"because", "effect"};
    const char *id = json_string_or(rule, "id", NULL);
    if (!id) return err_set(e, ERR_INTERNAL, "rules.json has a rule without an id");
    cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "id", id);
    for (int i = 0; ok && i < 2; i++) {
        char *text = NULL;
        if (!facts_node(f, cJSON_GetObjectItemCaseSensitive(rule, keys[i]), &text, e) || !text) {
            cJSON_Delete(o);
            return err_set(e, ERR_INTERNAL, "rule %s: its \"%s\" cannot be filled", id, keys[i]);
        }
        ok = cJSON_AddStringToObject(o, keys[i], text) != NULL;
        cJSON_free(text);
    }
    if (ok && cJSON_AddItemToArray(x->fired, o)) return true;
    cJSON_Delete(o);
    return err_nomem(e, "the rules that fired", 0);
}

bool effects_make(const cJSON *rules, const struct facts *f, struct effects *out, struct err *e)
{
    const cJSON *list, *rule, *todo;
    *out = (struct effects){.min_tok_s = 3, .fired = cJSON_CreateArray()};
    for (int i = 0; i < 9; i++)
        out->section[i].weight = 1;
    if (!out->fired) return err_nomem(e, "the rules that fired", 0);
    if (!json_version(rules, 1, "rules.json", e) ||
        !json_array(rules, "rules", &list, "rules.json", e))
        goto fail;
    cJSON_ArrayForEach(rule, list)
    {
        bool holds;
        if (!facts_hold(f, cJSON_GetObjectItemCaseSensitive(rule, "when"), &holds, e)) goto fail;
        if (!holds) continue;
        if (!record(out, rule, f, e)) goto fail;
        cJSON_ArrayForEach(todo, cJSON_GetObjectItemCaseSensitive(rule, "do"))
        {
            if (!apply(out, todo, e)) goto fail;
        }
    }
    return true;
fail:
    effects_free(out);
    return false;
}
