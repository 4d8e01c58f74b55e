// HumanEval, 0-shot: the prompt is given as it is, the greedy completion is cut at the stop, and
//
//   {prompt}{completion}\n{test}\ncheck({entry_point})
//
// runs in the sandbox for at most 3 seconds; a time-out is tried once more, as the machine may
// have been busy. pass@1 of one greedy completion is the share of programs that pass.
// Source: Chen et al. 2021 for the data, lm-evaluation-harness `humaneval` for the protocol.
#include "base/json.h"
#include "evals/dataset.h"
#include "evals/sandbox.h"
#include "evals/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char official_sha256[] = // HumanEval.jsonl
    "280fc504bf85323a8513839b6154ee3c3c73d493826faef596927cd9fa3eb8c5";

// The document in the key order of the Hugging Face data set, which lm-eval hashes.
static const char *const keys[] = {"task_id", "prompt", "canonical_solution", "test",
                                   "entry_point"};
enum { TASK_ID, PROMPT, SOLUTION, TEST, ENTRY, N_KEYS };

static bool add_item(uint32_t doc_id, const cJSON *row, struct eval_set *out, struct err *e)
{
    const char *v[N_KEYS];
    char where[64];
    struct text target = {0};
    (void)snprintf(where, sizeof where, "humaneval/HumanEval.jsonl item %u", doc_id);
    struct eval_item it = {.subject = out->subjects[0], .doc_id = doc_id};
    for (size_t k = 0; k < N_KEYS; k++)
        if (!json_string(row, keys[k], &v[k], where, e)) return false;
    it.doc = cJSON_CreateObject();
    bool whole = it.doc != NULL;
    for (size_t k = 0; whole && k < N_KEYS; k++)
        whole = cJSON_AddStringToObject(it.doc, keys[k], v[k]) != NULL;
    text_printf(&target, "%s\ncheck(%s)", v[TEST], v[ENTRY]);
    if (target.failed) text_free(&target);
    it.text = whole ? strdup(v[PROMPT]) : NULL;
    it.target = target.data;
    return eval_set_item(out, &it, e);
}

static bool humaneval_load(const struct eval_task *t, const struct data_source *src, uint64_t seed,
                           struct eval_set *out, struct err *e)
{
    (void)t;
    (void)seed;
    static const char name[] = "humaneval/HumanEval.jsonl";
    struct data_manifest m = {0};
    char *data;
    size_t size;
    uint32_t i = 0;
    if (!data_read(src, name, &data, &size, e)) return false;
    cJSON *rows = jsonl_parse(data, size, name, e), *row;
    bool ok = rows && data_manifest_add(&m, "HumanEval.jsonl", data, size, e) &&
              data_manifest_hash(&m, out->sha256, e) && eval_set_subject(out, "", e) &&
              eval_set_prefix(out, strdup(""), 0, false, e);
    for (row = ok ? rows->child : NULL; ok && row; row = row->next)
        ok = add_item(i++, row, out, e);
    if (ok && !i) ok = err_set(e, ERR_FORMAT, "%s has no items", name);
    cJSON_Delete(rows);
    free(data);
    data_manifest_free(&m);
    if (ok && src->dir && !strcmp(out->sha256, official_sha256)) out->origin = EVAL_OFFICIAL;
    return ok;
}

static const char *category(const struct sandbox_verdict *v)
{
    if (v->result == SANDBOX_PASSED) return "";
    if (v->result == SANDBOX_TIMEOUT) return "too slow";
    if (v->result == SANDBOX_BLOCKED) return "blocked by the sandbox";
    static const char *const syntax[] = {"SyntaxError", "IndentationError", "TabError"};
    for (size_t i = 0; i < sizeof syntax / sizeof syntax[0]; i++)
        if (strstr(v->reason, syntax[i])) return "not valid Python";
    return strstr(v->reason, "AssertionError") ? "wrong result" : "stops with an error";
}

static bool humaneval_judge(const struct eval_task *t, const struct eval_item *it,
                            const struct eval_response *r, struct eval_judge *j,
                            struct eval_verdict *out, struct err *e)
{
    (void)t;
    if (!j->sandbox) {
        const struct sandbox_options opt = {.allow_unsafe = j->allow_unsafe};
        if (!sandbox_open(&opt, &j->sandbox, e)) return false;
    }
    struct text program = {0};
    text_puts(&program, it->text);
    text_puts(&program, r->text);
    out->filtered[0] = program.failed ? NULL : strdup(program.data ? program.data : "");
    text_puts(&program, "\n");
    text_puts(&program, it->target);
    struct sandbox_verdict v;
    bool ok = (!program.failed && out->filtered[0]) || err_nomem(e, "a program", program.cap);
    const struct sandbox_params p = {
        .program = program.data, .size = program.size, .timeout_s = 3.0, .retry_timeout = true};
    ok = ok && sandbox_run(j->sandbox, &p, &v, e);
    text_free(&program);
    if (!ok) return false;
    out->correct[0] = v.result == SANDBOX_PASSED;
    out->category = category(&v);
    const char *why = v.reason[0] ? v.reason : sandbox_result_name(v.result);
    out->got = strdup(why);
    (void)snprintf(j->tier, sizeof j->tier, "%s", sandbox_tier_name(v.tier));
    return out->got != NULL || err_nomem(e, "a verdict", strlen(why));
}

void eval_judge_close(struct eval_judge *j)
{
    sandbox_close(j->sandbox);
    j->sandbox = NULL;
}

const struct eval_task task_humaneval = {
    .name = "humaneval",
    .metric = "pass@1",
    .filters = {"create_test"},
    .protocol = "humaneval 0-shot, greedy, program run for 3 s",
    .kind = EVAL_GENERATE,
    .version = 1,
    .max_gen_toks = 1024,
    .study = {.items = 32, .n_read = 140, .n_written = 100},
    .until = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"},
    .load = humaneval_load,
    .judge = humaneval_judge,
};
