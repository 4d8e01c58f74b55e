#include "curriculum/plan.h"
#include "base/file.h"
#include "curriculum/lint.h"
#include "curriculum/measure.h"
#include "curriculum/parts.h"
#include "curriculum/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cJSON *load(const char *path, char sha256[SHA256_HEX_SIZE], struct err *e)
{
    char *text;
    size_t size;
    if (!file_read(path, (size_t)256 << 20, &text, &size, e)) return NULL;
    cJSON *json = json_parse(text, size, path, e);
    if (json && !cJSON_IsObject(json)) {
        err_set(e, ERR_FORMAT, "%s: the document must be an object", path);
        cJSON_Delete(json);
        json = NULL;
    }
    if (json && !sha256_hex(text, size, sha256, e)) {
        cJSON_Delete(json);
        json = NULL;
    }
    free(text);
    return json;
}

bool plan_inputs_open(struct plan_inputs *in, const char *hardware_path, const char *results_path,
                      const char *tool, struct err *e)
{
    *in = (struct plan_inputs){.tool = tool};
    learner_default(&in->learner);
    if (hardware_path && !(in->hardware = load(hardware_path, in->hardware_sha256, e))) goto fail;
    if (results_path && !(in->results = load(results_path, in->results_sha256, e))) goto fail;
    return true;
fail:
    plan_inputs_close(in);
    return false;
}

void plan_inputs_close(struct plan_inputs *in)
{
    cJSON_Delete(in->hardware);
    cJSON_Delete(in->results);
    *in = (struct plan_inputs){0};
}

static const cJSON *common(const struct build *b, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(b->common, key);
}

static void part_inputs(struct build *b, cJSON *plan, const struct plan_inputs *in,
                        const struct text *prompt)
{
    char hash[SHA256_HEX_SIZE] = "";
    cJSON *learner = learner_json(b->learner);
    char *text = learner ? cJSON_Print(learner) : NULL;
    struct text file = {0}; // as learner.json is written: with the final newline
    if (text) text_printf(&file, "%s\n", text);
    cJSON_free(text);
    put_item(b, plan, "learner", learner);
    cJSON *o = put_object(b, plan, "inputs");
    if (!b->failed && !file.failed && !sha256_hex(file.data, file.size, hash, b->e))
        b->failed = true;
    text_free(&file);
    put_str(b, o, "learner_sha256", hash);
    put_str(b, o, "hardware_sha256", in->hardware_sha256);
    put_str(b, o, "results_sha256", in->results_sha256);
    if (!b->failed && !sha256_hex(prompt->data, prompt->size, hash, b->e)) b->failed = true;
    put_str(b, o, "prompt_sha256", hash);
}

// A list of {"label", "value"} whose value can be filled; the others are left out.
static void part_glance(struct build *b, cJSON *plan)
{
    const cJSON *it;
    cJSON *list = put_array(b, plan, "glance");
    cJSON_ArrayForEach(it, common(b, "glance"))
    {
        char *value = NULL;
        const cJSON *node = cJSON_GetObjectItemCaseSensitive(it, "value");
        if (b->failed || !facts_node(&b->facts, node, &value, b->e)) {
            b->failed = true;
            return;
        }
        if (value) {
            cJSON *o = add_object(b, list);
            put_str(b, o, "label", json_string_or(it, "label", ""));
            put_str(b, o, "value", value);
        }
        cJSON_free(value);
    }
}

static void part_first_step(struct build *b, cJSON *plan)
{
    const char *id = b->effects.first_step ? b->effects.first_step : "default";
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(common(b, "first_steps"), id);
    cJSON *o = put_object(b, plan, "first_step");
    put_num(b, o, "minutes", json_number_or(step, "minutes", 10));
    put_text(b, o, "text", cJSON_GetObjectItemCaseSensitive(step, "text"));
    put_text(b, o, "command", cJSON_GetObjectItemCaseSensitive(step, "command"));
}

// The week in which the last minute of a section is spent.
static int last_week(const cJSON *schedule, int section)
{
    const cJSON *week, *s;
    int last = 1;
    cJSON_ArrayForEach(week, schedule)
        cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(week, "sessions"))
    {
        const char *kind = json_string_or(s, "kind", "");
        bool work = !strcmp(kind, "study") || !strcmp(kind, "lab");
        if (work && (int)json_number_or(s, "section", 0) == section)
            last = (int)json_number_or(week, "week", 1);
    }
    return last;
}

static void part_milestones(struct build *b, cJSON *plan)
{
    const cJSON *it, *schedule = cJSON_GetObjectItemCaseSensitive(plan, "schedule");
    cJSON *list = put_array(b, plan, "milestones");
    int n = 0;
    cJSON_ArrayForEach(it, common(b, "milestones"))
    {
        cJSON *o = add_object(b, list);
        put_num(b, o, "number", ++n);
        put_text(b, o, "title", cJSON_GetObjectItemCaseSensitive(it, "title"));
        put_num(b, o, "week", last_week(schedule, (int)json_number_or(it, "section", 9)));
        put_text(b, o, "pass", for_goal(b, cJSON_GetObjectItemCaseSensitive(it, "pass")));
    }
}

static int by_term(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return strcmp(json_string_or(*x, "term", ""), json_string_or(*y, "term", ""));
}

static void part_glossary(struct build *b, cJSON *plan)
{
    enum { MAX_TERMS = 200 };
    const cJSON *terms[MAX_TERMS], *it;
    size_t n = 0;
    for (int i = 0; i < N_SECTIONS; i++)
        cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(b->section[i], "glossary"))
        {
            if (n < MAX_TERMS) terms[n++] = it;
        }
    qsort(terms, n, sizeof terms[0], by_term);
    cJSON *list = put_array(b, plan, "glossary");
    for (size_t i = 0; i < n; i++) {
        if (i && by_term(&terms[i - 1], &terms[i]) == 0) continue; // two sections explain it
        cJSON *o = add_object(b, list);
        put_str(b, o, "term", json_string_or(terms[i], "term", ""));
        put_str(b, o, "meaning", json_string_or(terms[i], "meaning", ""));
    }
}

static void part_provenance(struct build *b, cJSON *plan, const char *tool)
{
    cJSON *o = put_object(b, plan, "provenance");
    char command[200];
    snprintf(command, sizeof command, "lectern plan --learner learner.json%s%s --out .",
             b->hardware ? " --hardware hardware.json" : "",
             b->results ? " --results results.json" : "");
    put_str(b, o, "tool", tool ? tool : "lectern");
    put_str(b, o, "command", command);
    put_str(b, o, "resources_checked", json_string_or(b->resources, "checked", ""));
    put_str(b, o, "resources_note", json_string_or(b->resources, "note", ""));
    add_texts(b, put_array(b, o, "licences"), common(b, "licences"), 99);
}

// Every resource of the table that the plan may name, for the index at the end.
static void part_resources(struct build *b, cJSON *plan)
{
    static const char *const keys[] = {"id", "minutes"};
    const cJSON *r;
    cJSON *list = put_array(b, plan, "resources");
    cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(b->resources, "resources"))
    {
        cJSON *o = add_object(b, list);
        for (int i = 0; i < 2; i++)
            put_num(b, o, keys[i], json_number_or(r, keys[i], 0));
        put_str(b, o, "title", json_string_or(r, "title", ""));
        put_str(b, o, "url", json_string_or(r, "url", ""));
        put_str(b, o, "level", json_string_or(r, "level", ""));
        put_item(b, o, "sections",
                 cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(r, "sections"), true));
    }
}

static void part_times_total(struct build *b, cJSON *plan)
{
    struct time_split t = schedule_split(b->learner->minutes_per_week, b->learner->weeks);
    cJSON *o = put_object(b, plan, "time");
    put_num(b, o, "total", t.total);
    put_num(b, o, "sections", t.sections);
    put_num(b, o, "reviews", t.reviews);
    put_num(b, o, "buffer", t.buffer);
}

static void all_parts(struct build *b, cJSON *plan, const struct plan_inputs *in,
                      const struct text *prompt)
{
    struct section_time times[N_SECTIONS] = {{0, 0, 0}};
    put_num(b, plan, "version", 1);
    put_text(b, plan, "title", common(b, "title"));
    part_inputs(b, plan, in, prompt);
    part_times(b, times);
    part_times_total(b, plan);
    part_glance(b, plan);
    part_first_step(b, plan);
    part_machine(b, plan);
    part_evidence(b, plan);
    part_schedule(b, plan, times);
    part_sections(b, plan, times);
    part_milestones(b, plan);
    part_glossary(b, plan);
    part_resources(b, plan);
    put_item(b, plan, "rules", cJSON_Duplicate(b->effects.fired, true));
    part_provenance(b, plan, in->tool);
}

bool plan_make(const struct plan_inputs *in, cJSON **plan, struct text *prompt, struct err *e)
{
    struct build b;
    *plan = NULL;
    *prompt = (struct text){0};
    if (!build_open(&b, e)) return false;
    b.learner = &in->learner;
    b.hardware = in->hardware;
    b.results = in->results;
    if (!measure_learner(&b, e) || !measure_hardware(&b, e) || !measure_results(&b, e) ||
        !effects_make(b.rules, &b.facts, &b.effects, e))
        goto fail;
    part_pick(&b);
    if (b.failed || !prompt_make(b.prompt, &b.facts, prompt, e)) goto fail;
    *plan = cJSON_CreateObject();
    if (!*plan) b.failed = !err_nomem(e, "the plan", 0);
    all_parts(&b, *plan, in, prompt);
    if (b.failed || !lint_plan(*plan, b.resources, e)) goto fail;
    build_close(&b);
    return true;
fail:
    build_close(&b);
    cJSON_Delete(*plan);
    *plan = NULL;
    text_free(prompt);
    return false;
}

bool plan_write(const struct plan_inputs *in, const char *dir, struct err *e)
{
    char path[4096];
    struct text prompt;
    cJSON *plan, *learner = NULL;
    if (!plan_make(in, &plan, &prompt, e)) return false;
    learner = learner_json(&in->learner);
    bool ok = learner || err_nomem(e, "learner.json", 0);
    ok = ok && file_mkdirs(dir, e) && file_path(path, sizeof path, e, "%s/learner.json", dir) &&
         json_save(path, learner, e) && file_path(path, sizeof path, e, "%s/prompt.txt", dir) &&
         file_write(path, prompt.data, prompt.size, e) &&
         file_path(path, sizeof path, e, "%s/plan.json", dir) && json_save(path, plan, e);
    cJSON_Delete(learner);
    cJSON_Delete(plan);
    text_free(&prompt);
    return ok;
}
