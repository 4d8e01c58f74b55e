// The harness: scores a loaded model on tasks with the prompts, stops, extraction and metrics of
// lm-evaluation-harness. The engine is used through engine/engine.h only.
//
//   struct eval_task   what a task is: constant, one per name (eval_tasks.c lists them)
//   struct eval_set    its items, rendered to prompts; needs data, but neither model nor device
//   eval_run           runs tasks on an engine and leaves results.json and samples_*.jsonl
//
// To add a task: one file with a load function (data to items) and a judge function (answer to
// verdict), one line in eval_tasks.c, one folder of data.
#ifndef LECTERN_EVAL_H
#define LECTERN_EVAL_H

#include "base/err.h"
#include "base/progress.h"
#include "base/sha256.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct data_source;
struct sandbox;

enum { EVAL_MAX_TASKS = 8, EVAL_MAX_FILTERS = 2, EVAL_LETTERS = 4, EVAL_DEFAULT_SEED = 1234 };

enum eval_kind {
    EVAL_LETTER,   // log-likelihood of " A" .. " D" behind the prompt
    EVAL_GENERATE, // greedy text up to a stop string
};

enum eval_origin { EVAL_BUNDLED, EVAL_OFFICIAL, EVAL_CUSTOM };

struct eval_prefix { // the few-shot part of a prompt; shared by items where `shared` is true
    char *text;      // owned by the set
    size_t size;
    bool shared; // worth keeping in the KV cache between items
};

struct eval_item {
    const char *subject; // borrowed from the set; "" for tasks without subjects
    uint32_t doc_id;     // row in the subject's test file
    uint32_t prefix;     // index into eval_set.prefixes
    char *text;          // the item's own part; prompt = prefix text + this
    char *target;        // lm-eval's doc_to_target as text: "1", the raw answer, test + check
    uint32_t answer;     // letter tasks: index of the right letter
    cJSON *doc;          // the document, keys in lm-eval's order
    char doc_sha256[SHA256_HEX_SIZE]; // of json.dumps(doc, indent=2, ensure_ascii=False)
};

struct eval_set {
    struct eval_item *items; // by subject, then doc_id
    size_t n, cap;
    struct eval_prefix *prefixes;
    size_t n_prefixes, cap_prefixes;
    char **subjects; // owned names, "" alone for tasks without subjects
    size_t n_subjects;
    enum eval_origin origin;
    bool own_shots;               // exemplars written for Lectern instead of the published ones
    char sha256[SHA256_HEX_SIZE]; // dataset.h says over what
};

struct eval_response {
    double logprob[EVAL_LETTERS];
    bool greedy[EVAL_LETTERS]; // that letter is what greedy decoding would say
    char *text;                // generated text, cut at the stop; owned by whoever made it
};

struct eval_verdict {
    bool correct[EVAL_MAX_FILTERS];
    char *filtered[EVAL_MAX_FILTERS]; // what the filter left; owned, eval_verdict_free
    char *got;                        // for people: the letter, the number, the failure; owned
    const char *category;             // "" when right; a static string
};
void eval_verdict_free(struct eval_verdict *v);

struct eval_judge {          // what judging may need beyond the item
    bool allow_unsafe;       // run programs without a sandbox where the system offers none
    struct sandbox *sandbox; // opened by the first judgement that needs it; eval_judge_close
    char tier[64];           // filled by the judge: the sandbox used, "" when none was needed
};
void eval_judge_close(struct eval_judge *j);

struct eval_cost {
    uint32_t items;
    uint32_t n_read, n_written; // tokens an item, about; shared shots are spread over the items
};

struct eval_task {
    const char *name, *metric;
    const char *filters[EVAL_MAX_FILTERS + 1]; // ends with NULL
    const char *protocol;                      // one line for people
    enum eval_kind kind;
    uint32_t n_shot, version; // version: lm-eval's task version
    double chance;
    uint32_t max_gen_toks;
    const char *until[6]; // ends with NULL
    struct eval_cost study; // what a study runs of it, unless told otherwise
    bool (*load)(const struct eval_task *t, const struct data_source *src, uint64_t seed,
                 struct eval_set *out, struct err *e);
    bool (*judge)(const struct eval_task *t, const struct eval_item *it,
                  const struct eval_response *r, struct eval_judge *j, struct eval_verdict *out,
                  struct err *e);
};

extern const struct eval_task *const eval_tasks[]; // ends with NULL
const struct eval_task *eval_task_find(const char *name, size_t len);
size_t eval_task_filters(const struct eval_task *t);
// "mmlu,gsm8k": each name known and at most once; list has room for EVAL_MAX_TASKS.
bool eval_parse_tasks(const char *tasks, const struct eval_task **list, size_t *n, struct err *e);
// eval_params.items for a list of tasks: counts[i] items of list[i], 0 where it is not named.
bool eval_parse_items(const char *items, const struct eval_task *const *list, size_t n,
                      uint32_t *counts, struct err *e);

// Loads and renders every item. data_dir NULL: the bundled set. Free with eval_set_free, which
// also takes a half-built set.
bool eval_set_load(const struct eval_task *t, const char *data_dir, uint64_t seed,
                   struct eval_set *out, struct err *e);
void eval_set_free(struct eval_set *s);
const char *eval_origin_name(enum eval_origin o); // "bundled", "official", "custom"

// The whole prompt, malloc'ed and zero-terminated; caller frees.
char *eval_prompt(const struct eval_set *s, const struct eval_item *it, size_t *size,
                  struct err *e);
// What a reader expects to see: the letter, the final number, "its tests pass". Caller frees.
char *eval_expected(const struct eval_task *t, const struct eval_item *it, struct err *e);

// Builders for the load functions. Each takes ownership of its arguments even when it fails.
bool eval_set_subject(struct eval_set *s, const char *name, struct err *e);
bool eval_set_prefix(struct eval_set *s, char *text, size_t size, bool shared, struct err *e);
bool eval_set_item(struct eval_set *s, struct eval_item *it, struct err *e);

// ------------------------------------------------------------------------------------ prompts

// One JSON object a line for every item of `tasks` (names separated by commas): task, subject,
// doc_id, prompt, sha256 (of the prompt), target. limit: first items of each subject, 0: all.
// The file appears whole or not at all.
bool eval_write_prompts(const char *tasks, const char *data_dir, uint64_t seed, uint32_t limit,
                        const char *path, struct err *e);

// ---------------------------------------------------------------------------------- the runner

struct eval_params {
    const char *tasks;    // "mmlu,gsm8k,humaneval", each at most once
    const char *data_dir; // official layout; NULL: the bundled sets
    const char
        *fetched_dir;       // the same; used without data_dir for the sets that it has; may be NULL
    const char *out_dir;    // made when missing
    const char *model_path; // for the record and for --resume's check
    double minutes;         // for all tasks together; 0: no time limit
    uint32_t limit;         // first items of each subject; 0: all
    const char *items; // "mmlu=100,gsm8k=24": so many of these tasks, each subject its share; or
                       // "50": of each. NULL: all. One of minutes, limit and items at most
    uint32_t seqs;     // prompts at once; 0: as many as the engine has sequences for
    bool no_reuse;     // compute shared shots anew for every item
    uint64_t seed;          // of the few-shot draw: EVAL_DEFAULT_SEED is lm-eval's
    bool resume;            // go on where out_dir's results.json stopped
    bool allow_unsafe;
    const char *kv; // "f16" ..., for the record
    const char *adapters; // "FILE:SCALE,..." or "", for the record and --resume's check; NULL: ""
};

struct eval_score { // one task and filter; see README.md, results.json
    const struct eval_task *task;
    const char *filter;
    size_t n, n_total, correct;
    double score, stderr_mean, low, high;
    enum eval_origin origin;
    bool at_chance, comparable;
    double seconds;
    char subset[120]; // which items: "all 40 items", "first 2 of each subject"
};
struct eval_report {
    struct eval_score scores[EVAL_MAX_TASKS * EVAL_MAX_FILTERS];
    size_t n;
    bool complete;
    char results_path[4096];         // OUT/results.json
    char notes[EVAL_MAX_TASKS][256]; // "gsm8k: words that belong beside the score", each once
    size_t n_notes;
};

// Runs the tasks. On ^C or any failure what was scored so far is kept, results.json is whole and
// out->n says what there is; a later run with resume = true goes on.
bool eval_run(struct engine *g, const struct eval_params *p, struct progress *pr,
              struct eval_report *out, struct err *e);

// The report as a table of at most 80 columns, with its notes. Caller frees *out.
bool eval_report_text(const struct eval_report *r, char **out, struct err *e);

// Prompts at once, unless told otherwise, and at most. engine_open is asked for one sequence more,
// for the shared shots.
enum { EVAL_SEQS = 8, EVAL_MAX_SEQS = 16 };

#endif
