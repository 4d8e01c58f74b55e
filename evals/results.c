#include "evals/results.h"
#include "base/json.h"
#include "base/utf8.h"
#include "evals/score.h"
#include "evals/tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void run_count(const struct task_run *t, size_t filter, struct score_count *total,
               struct score_count *subjects)
{
    *total = (struct score_count){0};
    if (subjects) memset(subjects, 0, t->set.n_subjects * sizeof *subjects);
    size_t subject = 0;
    for (size_t i = 0; i < t->set.n; i++) {
        while (t->set.items[i].subject != t->set.subjects[subject])
            subject++; // items lie by subject and borrow its name
        const struct item_result *r = &t->results[i];
        if (!r->done) continue;
        total->n++;
        total->correct += r->correct[filter];
        if (!subjects) continue;
        subjects[subject].n++;
        subjects[subject].correct += r->correct[filter];
    }
}

static bool own_items(const struct task_run *t)
{
    return t->set.origin != EVAL_OFFICIAL || t->set.own_shots;
}

void run_score(const struct task_run *t, size_t filter, struct eval_score *out)
{
    struct score_count c;
    run_count(t, filter, &c, NULL);
    *out = (struct eval_score){
        .task = t->task,
        .filter = t->task->filters[filter],
        .n = c.n,
        .n_total = t->set.n,
        .correct = c.correct,
        .score = c.n ? (double)c.correct / (double)c.n : 0,
        .stderr_mean = score_stderr(c.correct, c.n),
        .origin = t->set.origin,
        .at_chance = score_at_chance(c.correct, c.n, t->task->chance),
        .comparable = !own_items(t),
        .seconds = t->seconds,
    };
    score_wilson(c.correct, c.n, &out->low, &out->high);
}

void run_subset_words(const struct run *r, const struct task_run *t, char *out, size_t size)
{
    bool subjects = t->set.n_subjects > 1;
    if (t->chosen && t->n_chosen == t->set.n)
        (void)snprintf(out, size, "all %zu items", t->set.n);
    else if (r->params.limit)
        (void)snprintf(out, size, "first %u%s", r->params.limit,
                       subjects ? " of each subject" : "");
    else
        (void)snprintf(out, size, "%s%zu of %zu, %s by sha256 of the item",
                       t->chosen ? "" : "at least ", t->chosen ? t->n_chosen : t->n_done, t->set.n,
                       subjects ? "in each subject its share," : "ranked");
}

void run_note(const struct task_run *t, char *out, size_t size)
{
    const char *part =
        t->n_done < t->set.n ? "a part of the official set: compare within the interval" : "";
    if (t->set.origin == EVAL_BUNDLED)
        part = "own items in the official format: not comparable with published scores";
    else if (t->set.origin == EVAL_CUSTOM)
        part = "not the official files (their hash differs): not comparable with published scores";
    else if (t->set.own_shots)
        part = "official items with Lectern's own exemplars instead of the published eight: not "
               "comparable with published scores";
    (void)snprintf(out, size, "%s", part);
}

// ------------------------------------------------------------------------------------- helpers

static double round_to(double v, double step) // 0.27192982... reads badly in a file for people
{
    return round(v / step) * step;
}

static void add_number(cJSON *obj, const char *key, double v)
{
    char num[40];
    (void)snprintf(num, sizeof num, "%.6g", v);
    cJSON_AddRawToObject(obj, key, num);
}

static void add_metric(cJSON *obj, const char *metric, const char *filter, double score, double se)
{
    char key[96];
    (void)snprintf(key, sizeof key, "%s,%s", metric, filter);
    add_number(obj, key, score);
    (void)snprintf(key, sizeof key, "%s_stderr,%s", metric, filter);
    add_number(obj, key, se);
}

static struct score_count *count_subjects(const struct task_run *t, size_t filter,
                                          struct score_count *total)
{
    struct score_count *c = calloc(t->set.n_subjects + 1, sizeof *c);
    if (c) run_count(t, filter, total, c);
    return c;
}

static struct score_count group_count(const struct task_run *t, const struct score_count *subjects,
                                      const char *group)
{
    struct score_count sum = {0};
    for (size_t i = 0; i < t->set.n_subjects; i++) {
        if (strcmp(mmlu_group(t->set.subjects[i]), group) != 0) continue;
        sum.n += subjects[i].n;
        sum.correct += subjects[i].correct;
    }
    return sum;
}

// ---------------------------------------------------------------------------- "scores", "run"

static void add_counts(cJSON *array, const char *name, struct score_count c)
{
    if (!c.n) return;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", name);
    cJSON_AddNumberToObject(o, "n", (double)c.n);
    cJSON_AddNumberToObject(o, "correct", (double)c.correct);
    cJSON_AddItemToArray(array, o);
}

static void add_groups(cJSON *score, const struct task_run *t, size_t filter)
{
    cJSON *groups = cJSON_AddArrayToObject(score, "groups");
    if (t->set.n_subjects < 2) return;
    struct score_count total, *c = count_subjects(t, filter, &total);
    if (!c) return;
    for (size_t g = 0; mmlu_groups[g]; g++)
        add_counts(groups, mmlu_groups[g], group_count(t, c, mmlu_groups[g]));
    cJSON *subjects = cJSON_AddArrayToObject(score, "subjects");
    for (size_t i = 0; i < t->set.n_subjects; i++)
        add_counts(subjects, t->set.subjects[i], c[i]);
    add_number(score, "macro", score_macro(c, t->set.n_subjects));
    add_number(score, "group_stderr", score_group_stderr(c, t->set.n_subjects));
    free(c);
}

static cJSON *build_score(const struct run *r, const struct task_run *t, size_t filter)
{
    struct eval_score s;
    char words[200];
    cJSON *o = cJSON_CreateObject();
    run_score(t, filter, &s);
    cJSON_AddStringToObject(o, "task", t->task->name);
    cJSON_AddStringToObject(o, "metric", t->task->metric);
    cJSON_AddStringToObject(o, "filter", s.filter);
    cJSON_AddNumberToObject(o, "n", (double)s.n);
    cJSON_AddNumberToObject(o, "n_total", (double)s.n_total);
    cJSON_AddNumberToObject(o, "correct", (double)s.correct);
    add_number(o, "score", s.score);
    add_number(o, "stderr", s.stderr_mean);
    cJSON *wilson = cJSON_AddArrayToObject(o, "wilson");
    cJSON_AddItemToArray(wilson, cJSON_CreateNumber(round_to(s.low, 1e-6)));
    cJSON_AddItemToArray(wilson, cJSON_CreateNumber(round_to(s.high, 1e-6)));
    add_number(o, "chance", t->task->chance);
    cJSON_AddNumberToObject(o, "n_shot", t->task->n_shot);
    (void)snprintf(words, sizeof words, "%s%s", t->task->protocol,
                   t->set.own_shots ? " (Lectern's own)" : "");
    cJSON_AddStringToObject(o, "protocol", words);
    cJSON_AddStringToObject(o, "set", eval_origin_name(s.origin));
    cJSON_AddStringToObject(o, "set_sha256", t->set.sha256);
    run_subset_words(r, t, words, sizeof words);
    cJSON_AddStringToObject(o, "subset", words);
    cJSON_AddBoolToObject(o, "comparable", s.comparable);
    run_note(t, words, sizeof words);
    cJSON_AddStringToObject(o, "note", words);
    add_number(o, "seconds", round_to(s.seconds, 0.001));
    cJSON_AddBoolToObject(o, "at_chance", s.at_chance);
    if (t->tier[0]) cJSON_AddStringToObject(o, "sandbox", t->tier);
    add_groups(o, t, filter);
    return o;
}

// {"anatomy": [3, 17]}: the subset as a list that others can take over.
static void add_items(cJSON *task, const struct task_run *t)
{
    bool *in = calloc(t->set.n + 1, sizeof *in);
    cJSON *lists = in ? cJSON_AddObjectToObject(task, "items") : NULL, *list = NULL;
    const char *subject = NULL;
    for (size_t i = 0; lists && i < t->n_chosen; i++)
        in[t->order[i]] = true;
    for (size_t i = 0; lists && i < t->set.n; i++) {
        if (!in[i]) continue;
        if (subject != t->set.items[i].subject) {
            subject = t->set.items[i].subject;
            list = cJSON_AddArrayToObject(lists, subject[0] ? subject : t->task->name);
        }
        cJSON_AddItemToArray(list, cJSON_CreateNumber(t->set.items[i].doc_id));
    }
    free(in);
}

// What --resume needs: it must find the same run.
static cJSON *build_run(const struct run *r)
{
    const struct eval_params *p = &r->params;
    cJSON *o = cJSON_CreateObject(), *tasks;
    char seed[24];
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)p->seed); // may pass 2^53
    cJSON_AddStringToObject(o, "model_sha256", r->model.fingerprint);
    cJSON_AddStringToObject(o, "tasks", p->tasks);
    cJSON_AddStringToObject(o, "seed", seed);
    cJSON_AddNumberToObject(o, "limit", p->limit);
    cJSON_AddNumberToObject(o, "minutes", p->minutes);
    cJSON_AddStringToObject(o, "items", p->items ? p->items : "");
    cJSON_AddNumberToObject(o, "seqs", r->model.n_seqs);
    cJSON_AddBoolToObject(o, "reuse", !p->no_reuse);
    cJSON_AddNumberToObject(o, "n_ctx", r->model.n_ctx);
    cJSON_AddStringToObject(o, "kv", p->kv ? p->kv : "f16");
    cJSON_AddStringToObject(o, "adapters", p->adapters ? p->adapters : "");
    cJSON_AddStringToObject(o, "device", r->model.device);
    cJSON_AddStringToObject(o, "driver", r->model.driver);
    tasks = cJSON_AddArrayToObject(o, "progress");
    for (size_t i = 0; i < r->n_tasks; i++) {
        const struct task_run *t = &r->tasks[i];
        cJSON *j = cJSON_CreateObject();
        cJSON_AddStringToObject(j, "task", t->task->name);
        cJSON_AddStringToObject(j, "set_sha256", t->set.sha256);
        cJSON_AddStringToObject(j, "samples", t->samples);
        cJSON_AddNumberToObject(j, "seconds", round_to(t->seconds, 0.001));
        cJSON_AddBoolToObject(j, "chosen", t->chosen);
        cJSON_AddNumberToObject(j, "n_chosen", (double)(t->chosen ? t->n_chosen : 0));
        cJSON_AddNumberToObject(j, "n_done", (double)t->n_done);
        if (t->tier[0]) cJSON_AddStringToObject(j, "sandbox", t->tier);
        if (t->chosen && t->n_chosen < t->set.n) add_items(j, t);
        cJSON_AddItemToArray(tasks, j);
    }
    return o;
}

// ---------------------------------------------------------------------------------- failures

// A text of at most `max` bytes, cut between characters.
static void add_cut(cJSON *o, const char *key, const char *s, size_t max)
{
    size_t n = strlen(s);
    char *copy = strndup(s, n > max ? max : n);
    if (copy && n > max) {
        copy[max - utf8_incomplete_tail(copy, max)] = '\0';
    }
    cJSON_AddStringToObject(o, key, copy ? copy : "");
    free(copy);
}

static void add_failures(cJSON *array, const struct task_run *t)
{
    size_t last = eval_task_filters(t->task) - 1, n = 0; // judged by the kindest filter
    for (size_t i = 0; i < t->set.n && n < 3; i++) {
        const struct eval_item *it = &t->set.items[i];
        const struct item_result *r = &t->results[i];
        if (!r->done || r->correct[last]) continue;
        struct err e = {0};
        char *expected = eval_expected(t->task, it, &e);
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "task", t->task->name);
        cJSON_AddNumberToObject(o, "doc_id", it->doc_id);
        cJSON_AddStringToObject(o, "subject", it->subject);
        const char *q = json_string_or(it->doc, "question", it->text);
        add_cut(o, "question", q, 1200);
        cJSON_AddStringToObject(o, "expected", expected ? expected : "");
        add_cut(o, "got", r->got, 200);
        cJSON_AddStringToObject(o, "category", r->category);
        cJSON_AddItemToArray(array, o);
        free(expected);
        n++;
    }
}

// ------------------------------------------------------------ lm-evaluation-harness's members

static void add_result(cJSON *results, const char *name, const char *alias, struct score_count c,
                       const char *metric, const char *filter, double se)
{
    cJSON *o = cJSON_GetObjectItemCaseSensitive(results, name);
    if (!o) {
        o = cJSON_AddObjectToObject(results, name);
        cJSON_AddStringToObject(o, "alias", alias);
        cJSON_AddNumberToObject(o, "sample_len", (double)c.n);
    }
    add_metric(o, metric, filter, c.n ? (double)c.correct / (double)c.n : 0, se);
}

// MMLU as lm-eval has it: subjects, four groups, and the whole.
static void add_mmlu_results(cJSON *doc, const struct task_run *t)
{
    cJSON *results = cJSON_GetObjectItem(doc, "results"),
          *groups = cJSON_GetObjectItem(doc, "groups");
    cJSON *members = cJSON_GetObjectItem(doc, "group_subtasks");
    struct score_count total, *c = count_subjects(t, 0, &total);
    struct score_count *own = c ? calloc(t->set.n_subjects + 1, sizeof *own) : NULL;
    if (!own) goto out;
    cJSON *all = cJSON_AddArrayToObject(members, "mmlu");
    char name[300];
    for (size_t g = 0; mmlu_groups[g]; g++) {
        size_t n = 0;
        (void)snprintf(name, sizeof name, "mmlu_%s", mmlu_groups[g]);
        cJSON_AddItemToArray(all, cJSON_CreateString(name));
        cJSON *sub = cJSON_AddArrayToObject(members, name);
        char group[300];
        (void)snprintf(group, sizeof group, "%s", name);
        for (size_t i = 0; i < t->set.n_subjects; i++) {
            if (strcmp(mmlu_group(t->set.subjects[i]), mmlu_groups[g]) != 0) continue;
            own[n++] = c[i];
            (void)snprintf(name, sizeof name, "mmlu_%s", t->set.subjects[i]);
            cJSON_AddItemToArray(sub, cJSON_CreateString(name));
            if (c[i].n)
                add_result(results, name, t->set.subjects[i], c[i], "acc", "none",
                           score_stderr(c[i].correct, c[i].n));
        }
        struct score_count sum = group_count(t, c, mmlu_groups[g]);
        if (!sum.n) continue;
        double se = score_group_stderr(own, n);
        add_result(results, group, mmlu_groups[g], sum, "acc", "none", se);
        add_result(groups, group, mmlu_groups[g], sum, "acc", "none", se);
    }
    double se = score_group_stderr(c, t->set.n_subjects);
    add_result(results, "mmlu", "mmlu", total, "acc", "none", se);
    add_result(groups, "mmlu", "mmlu", total, "acc", "none", se);
out:
    free(own);
    free(c);
}

// sha256 over doc, prompt and target hashes of every sample, as lm-eval does.
static void add_task_hash(cJSON *hashes, const struct task_run *t)
{
    struct text all = {0};
    char hex[SHA256_HEX_SIZE];
    for (size_t f = 0; f < eval_task_filters(t->task); f++)
        for (size_t i = 0; i < t->set.n; i++)
            if (t->results[i].done)
                text_printf(&all, "%s%s%s", t->set.items[i].doc_sha256, t->results[i].prompt_sha256,
                            t->results[i].target_sha256);
    if (!all.failed && sha256_hex(all.data ? all.data : "", all.size, hex, NULL))
        cJSON_AddStringToObject(hashes, t->task->name, hex);
    text_free(&all);
}

static cJSON *build_config(const struct eval_task *t)
{
    cJSON *o = cJSON_CreateObject(), *gen;
    bool letters = t->kind == EVAL_LETTER;
    cJSON_AddStringToObject(o, "task", t->name);
    cJSON_AddStringToObject(o, "output_type", letters ? "multiple_choice" : "generate_until");
    cJSON_AddNumberToObject(o, "num_fewshot", t->n_shot);
    if (letters) return o;
    gen = cJSON_AddObjectToObject(o, "generation_kwargs");
    size_t n = 0;
    while (t->until[n])
        n++;
    cJSON_AddItemToObject(gen, "until", cJSON_CreateStringArray(t->until, (int)n));
    cJSON_AddBoolToObject(gen, "do_sample", false);
    cJSON_AddNumberToObject(gen, "max_gen_toks", t->max_gen_toks);
    return o;
}

static void add_task_members(cJSON *doc, const struct task_run *t)
{
    const char *name = t->task->name;
    cJSON *o;
    cJSON_AddItemToObject(cJSON_GetObjectItem(doc, "configs"), name, build_config(t->task));
    cJSON_AddNumberToObject(cJSON_GetObjectItem(doc, "versions"), name, t->task->version);
    cJSON_AddNumberToObject(cJSON_GetObjectItem(doc, "n-shot"), name, t->task->n_shot);
    o = cJSON_AddObjectToObject(cJSON_GetObjectItem(doc, "higher_is_better"), name);
    cJSON_AddBoolToObject(o, t->task->metric, true);
    o = cJSON_AddObjectToObject(cJSON_GetObjectItem(doc, "n-samples"), name);
    cJSON_AddNumberToObject(o, "original", (double)t->set.n);
    cJSON_AddNumberToObject(o, "effective", (double)t->n_done);
    add_task_hash(cJSON_GetObjectItem(doc, "task_hashes"), t);
    if (t->task->kind == EVAL_LETTER) {
        add_mmlu_results(doc, t);
        return;
    }
    cJSON_AddArrayToObject(cJSON_GetObjectItem(doc, "group_subtasks"), name);
    for (size_t f = 0; f < eval_task_filters(t->task); f++) {
        struct score_count c;
        run_count(t, f, &c, NULL);
        add_result(cJSON_GetObjectItem(doc, "results"), name, name, c, t->task->metric,
                   t->task->filters[f], score_stderr(c.correct, c.n));
    }
}

static void add_config(cJSON *doc, const struct run *r)
{
    cJSON *c = cJSON_AddObjectToObject(doc, "config");
    cJSON_AddStringToObject(c, "model", "lectern");
    char args[4400];
    (void)snprintf(args, sizeof args, "path=%s,kv=%s,n_ctx=%u", r->model.path,
                   r->params.kv ? r->params.kv : "f16", r->model.n_ctx);
    cJSON_AddStringToObject(c, "model_args", args);
    cJSON_AddNumberToObject(c, "batch_size", r->model.n_seqs);
    cJSON_AddStringToObject(c, "device", r->model.device);
    if (r->params.limit)
        cJSON_AddNumberToObject(c, "limit", r->params.limit);
    else
        cJSON_AddNullToObject(c, "limit");
    cJSON_AddNullToObject(c, "gen_kwargs");
    cJSON_AddNumberToObject(c, "fewshot_seed", (double)r->params.seed);
}

// ------------------------------------------------------------------------------------ document

cJSON *results_build(const struct run *r)
{
    static const char *const objects[] = {"results",          "groups",    "group_subtasks",
                                          "configs",          "versions",  "n-shot",
                                          "higher_is_better", "n-samples", "task_hashes"};
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddNumberToObject(doc, "version", 1);
    cJSON *model = cJSON_AddObjectToObject(doc, "model");
    cJSON_AddStringToObject(model, "name", r->model.name);
    cJSON_AddStringToObject(model, "path", r->model.path);
    cJSON_AddStringToObject(model, "file_type", r->model.file_type);
    cJSON_AddNumberToObject(model, "n_params", (double)r->model.n_params);
    if (r->params.adapters && *r->params.adapters)
        cJSON_AddStringToObject(model, "adapters", r->params.adapters);
    cJSON_AddBoolToObject(doc, "complete", r->complete);
    cJSON *scores = cJSON_AddArrayToObject(doc, "scores");
    cJSON *failures = cJSON_AddArrayToObject(doc, "failures");
    double seconds = 0;
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++)
        cJSON_AddObjectToObject(doc, objects[i]);
    for (size_t i = 0; i < r->n_tasks; i++) {
        const struct task_run *t = &r->tasks[i];
        seconds += t->seconds;
        if (!t->n_done) continue; // a task that has not begun has no score
        for (size_t f = 0; f < eval_task_filters(t->task); f++)
            cJSON_AddItemToArray(scores, build_score(r, t, f));
        add_failures(failures, t);
        add_task_members(doc, t);
    }
    add_config(doc, r);
    cJSON_AddNullToObject(doc, "git_hash");
    add_number(doc, "date", 0);
    cJSON_ReplaceItemInObject(doc, "date", cJSON_CreateNumber(round_to(r->date, 0.001)));
    cJSON_AddStringToObject(doc, "model_name", r->model.name);
    cJSON_AddStringToObject(doc, "model_source", "lectern");
    cJSON_AddNumberToObject(doc, "max_length", r->model.n_ctx);
    cJSON_AddNullToObject(doc, "system_instruction");
    cJSON_AddNullToObject(doc, "chat_template");
    cJSON_AddBoolToObject(doc, "fewshot_as_multiturn", false);
    add_number(doc, "total_evaluation_time_seconds", round_to(seconds, 0.001));
    return cJSON_AddItemToObject(doc, "run", build_run(r)) ? doc : (cJSON_Delete(doc), NULL);
}
