// The plan's "machine" and "evidence": what was measured here, what fits, and what the scores say.
#include "curriculum/parts.h"
#include "curriculum/measure.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GIB 1073741824.0

static int place_in(const cJSON *list, const char *word)
{
    const cJSON *it;
    int i = 0;
    cJSON_ArrayForEach(it, list)
    {
        if (cJSON_IsString(it) && !strcmp(it->valuestring, word)) return i;
        i++;
    }
    return -1;
}

// Whether row r is a better pick than p: by size (the way the goal prefers), then by the order of
// families and quantizations in common.json.
static bool better(const struct build *b, const struct fit_row *r, const struct fit_row *p)
{
    const cJSON *pick = cJSON_GetObjectItemCaseSensitive(b->common, "pick");
    const cJSON *families = cJSON_GetObjectItemCaseSensitive(pick, "families");
    const cJSON *quants = cJSON_GetObjectItemCaseSensitive(pick, "quants");
    if (!p->model) return true;
    if (r->n_params != p->n_params)
        return b->effects.prefer_smallest ? r->n_params < p->n_params : r->n_params > p->n_params;
    int rf = place_in(families, r->family), pf = place_in(families, p->family);
    if (rf != pf) return rf < pf;
    return place_in(quants, r->quant) < place_in(quants, p->quant);
}

static bool candidate(const struct build *b, const struct fit_row *r)
{
    const cJSON *pick = cJSON_GetObjectItemCaseSensitive(b->common, "pick");
    if (!r->has_speed || r->decode_tok_s < b->effects.min_tok_s) return false;
    if (strcmp(r->verdict, "fits") != 0 && r->max_ctx < 2048) return false;
    if (strncmp(r->verdict, "fits", 4) != 0) return false;
    return place_in(cJSON_GetObjectItemCaseSensitive(pick, "families"), r->family) >= 0 &&
           place_in(cJSON_GetObjectItemCaseSensitive(pick, "quants"), r->quant) >= 0;
}

void part_pick(struct build *b)
{
    const cJSON *row, *fits = cJSON_GetObjectItemCaseSensitive(b->hardware, "fits");
    struct fit_row pick = {0}, r;
    char text[160];
    int i = 0;
    cJSON_ArrayForEach(row, fits)
    {
        if (!b->failed && measure_fit_row(row, i++, &r, b->e) && candidate(b, &r) &&
            better(b, &r, &pick))
            pick = r;
    }
    struct facts *f = &b->facts;
    facts_number(f, "goal.min_tok_s", b->effects.min_tok_s, 0, "", NULL);
    if (!pick.model) return;
    clean_text(text, sizeof text, pick.model);
    facts_text(f, "pick.model", text);
    clean_text(text, sizeof text, pick.quant);
    facts_text(f, "pick.quant", text);
    facts_number(f, "pick.decode", pick.decode_tok_s, 1, " tok/s", "modelled");
    facts_number(f, "pick.total", pick.total_bytes / GIB, 2, " GiB", "modelled");
    facts_number(f, "pick.weights", pick.weight_bytes / GIB, 2, " GiB", "exact");
    facts_flag(f, "pick.llama", strncmp(pick.family, "Llama", 5) == 0);
}

static const cJSON *common(const struct build *b, const char *group, const char *id)
{
    const cJSON *g = cJSON_GetObjectItemCaseSensitive(b->common, group);
    return cJSON_GetObjectItemCaseSensitive(g, id);
}

static void paragraphs(struct build *b, cJSON *obj, const char *group, const char *const *ids,
                       int n)
{
    cJSON *list = put_array(b, obj, "paragraphs");
    for (int i = 0; i < n; i++) {
        const cJSON *node = common(b, group, ids[i]);
        if (!node && !b->failed)
            b->failed = !err_set(b->e, ERR_INTERNAL, "common.json has no %s paragraph \"%s\"",
                                 group, ids[i]);
        add_texts(b, list, node, 99);
    }
}

static double rounded(double v, double step)
{
    return floor(v / step + 0.5) * step;
}

// Two decimals, written as short as they are: 0.75, not 0.7500000001.
static double two_decimals(double v)
{
    return rounded(v * 100, 1) / 100;
}

static void fit_entry(struct build *b, cJSON *table, const struct fit_row *r)
{
    char text[120];
    cJSON *o = add_object(b, table);
    clean_text(text, sizeof text, r->model);
    put_str(b, o, "model", text);
    clean_text(text, sizeof text, r->quant);
    put_str(b, o, "quant", text);
    put_num(b, o, "weight_gib", two_decimals(r->weight_bytes / GIB));
    put_num(b, o, "total_gib", two_decimals(r->total_bytes / GIB));
    put_num(b, o, "n_ctx", r->n_ctx);
    put_str(b, o, "verdict", r->verdict);
    bool speed = r->has_speed && !strncmp(r->verdict, "fits", 4);
    if (speed)
        put_num(b, o, "decode_tok_s", two_decimals(r->decode_tok_s));
    else
        put_item(b, o, "decode_tok_s", cJSON_CreateNull());
    put_str(b, o, "basis", speed ? r->decode_basis : "not measured");
}

static bool listed(const cJSON *table, const struct fit_row *r)
{
    const cJSON *o;
    char model[120], quant[120];
    clean_text(model, sizeof model, r->model);
    clean_text(quant, sizeof quant, r->quant);
    cJSON_ArrayForEach(o, table)
    {
        if (!strcmp(json_string_or(o, "model", ""), model) &&
            !strcmp(json_string_or(o, "quant", ""), quant))
            return true;
    }
    return false;
}

static bool is_pick(const struct build *b, const struct fit_row *r)
{
    return !strcmp(facts_string(&b->facts, "pick.model", ""), r->model) &&
           !strcmp(facts_string(&b->facts, "pick.quant", ""), r->quant);
}

static void fit_table(struct build *b, cJSON *machine)
{
    const cJSON *pick = cJSON_GetObjectItemCaseSensitive(b->common, "pick"), *row;
    const cJSON *quants = cJSON_GetObjectItemCaseSensitive(pick, "table_quants");
    const cJSON *families = cJSON_GetObjectItemCaseSensitive(pick, "table_families");
    int max_rows = (int)json_number_or(pick, "table_rows", 40), i = 0;
    cJSON *table = put_array(b, machine, "table");
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(b->hardware, "fits"))
    {
        struct fit_row r;
        if (b->failed || !measure_fit_row(row, i++, &r, b->e)) break;
        bool wanted = place_in(quants, r.quant) >= 0 && place_in(families, r.family) >= 0;
        if (!wanted && !is_pick(b, &r)) continue;
        if (cJSON_GetArraySize(table) < max_rows && !listed(table, &r)) fit_entry(b, table, &r);
    }
}

static void measured_rows(struct build *b, cJSON *machine)
{
    cJSON *list = put_array(b, machine, "measured");
    const cJSON *it;
    cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(b->common, "measured_rows"))
    {
        const char *fact = json_string_or(it, "fact", "");
        if (!facts_known(&b->facts, fact)) continue;
        const cJSON *o = cJSON_GetObjectItemCaseSensitive(b->facts.table, fact);
        cJSON *row = add_object(b, list);
        put_str(b, row, "label", json_string_or(it, "label", fact));
        put_str(b, row, "value", json_string_or(o, "text", ""));
        put_str(b, row, "basis", json_string_or(o, "basis", "reported"));
    }
}

void part_machine(struct build *b, cJSON *plan)
{
    cJSON *machine = put_object(b, plan, "machine");
    paragraphs(b, machine, "machine", b->effects.machine, b->effects.n_machine);
    cJSON *pick = put_object(b, machine, "pick");
    bool have = facts_known(&b->facts, "pick.model");
    put_str(b, pick, "model", facts_string(&b->facts, "pick.model", "SmolLM2 135M Instruct"));
    put_str(b, pick, "quant", facts_string(&b->facts, "pick.quant", "Q4_1"));
    put_text(b, pick, "why", common(b, "pick_why", have ? "found" : "none"));
    fit_table(b, machine);
    measured_rows(b, machine);
}

// The words that must stand beside a score: never a bundled score as if it were a published one.
static void score_note(struct build *b, cJSON *o, const cJSON *s, bool comparable)
{
    char note[400], more[300];
    clean_text(more, sizeof more, json_string_or(s, "note", ""));
    const char *words = comparable ? "comparable with published scores within its interval"
                                   : "not comparable with published scores";
    snprintf(note, sizeof note, "%s%s%s", more, more[0] ? "; " : "", words);
    put_str(b, o, "note", strstr(more, words) ? more : note);
}

static void score_entry(struct build *b, cJSON *list, const cJSON *s)
{
    char text[120];
    const char *task = json_string_or(s, "task", ""), *filter = json_string_or(s, "filter", "none");
    const cJSON *wilson = cJSON_GetObjectItemCaseSensitive(s, "wilson");
    if (!measure_key(task, filter)) return;
    cJSON *o = add_object(b, list);
    put_str(b, o, "task", task);
    put_str(b, o, "filter", filter);
    put_str(b, o, "label", measure_label(task, filter));
    put_num(b, o, "n", json_number_or(s, "n", 0));
    put_num(b, o, "score", json_number_or(s, "score", 0));
    put_num(b, o, "low", cJSON_GetArrayItem(wilson, 0)->valuedouble); // checked in measure.c
    put_num(b, o, "high", cJSON_GetArrayItem(wilson, 1)->valuedouble);
    put_num(b, o, "chance", json_number_or(s, "chance", 0));
    clean_text(text, sizeof text, json_string_or(s, "set", "bundled"));
    put_str(b, o, "set", text);
    char key[80];
    snprintf(key, sizeof key, "score.%s.at_chance", measure_key(task, filter));
    const cJSON *flag = cJSON_GetObjectItemCaseSensitive(b->facts.table, key);
    put_bool(b, o, "at_chance", json_bool_or(flag, "value", false));
    put_str(b, o, "basis", "measured");
    score_note(b, o, s, json_bool_or(s, "comparable", false));
}

static void failure_entry(struct build *b, cJSON *list, const cJSON *x)
{
    static const char *const keys[] = {"task",     "subject", "question",
                                       "expected", "got",     "category"};
    char text[700];
    cJSON *o = add_object(b, list);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = json_string_or(x, keys[i], NULL);
        if (!value && i == 1) continue; // only mmlu has subjects
        bool program = i == 2 && !strcmp(json_string_or(x, "task", ""), "humaneval");
        (program ? clean_code : clean_text)(text, sizeof text, value ? value : "");
        put_str(b, o, keys[i], text);
    }
}

void part_evidence(struct build *b, cJSON *plan)
{
    const cJSON *it;
    cJSON *ev = put_object(b, plan, "evidence");
    paragraphs(b, ev, "evidence", b->effects.evidence, b->effects.n_evidence);
    cJSON *scores = put_array(b, ev, "scores");
    cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(b->results, "scores"))
    {
        score_entry(b, scores, it);
    }
    put_item(b, ev, "published",
             cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(b->common, "published"), true));
    cJSON *failures = put_array(b, ev, "failures");
    cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(b->results, "failures"))
    {
        if (cJSON_GetArraySize(failures) < 9) failure_entry(b, failures, it);
    }
}
