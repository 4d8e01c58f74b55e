// The state of a run, and results.json out of it (README.md describes the file).
#ifndef LECTERN_EVAL_RESULTS_H
#define LECTERN_EVAL_RESULTS_H

#include "evals/eval.h"
#include "evals/samples.h"

#include <stdio.h>

struct eval_model { // for the record; nothing here opens it
    char name[128], file_type[32], path[4096];
    char fingerprint[SHA256_HEX_SIZE]; // session.h says over what
    char device[256], driver[256];
    uint64_t n_params;
    uint32_t n_ctx;
    uint32_t n_seqs; // prompts at once
};

struct task_run {
    const struct eval_task *task;
    struct eval_set set;
    struct item_result *results; // [set.n]
    uint32_t *order;             // [n_order] indices of items: what may be run
    size_t n_order, n_chosen;    // order[0..n_chosen) is what is run, once `chosen` is true
    size_t n_done;
    bool chosen;
    char samples[160]; // the log's file name
    FILE *log;
    double seconds;
    char tier[64]; // sandbox that judged, "" for none
};

struct run {
    struct eval_params params; // strings are borrowed from the caller
    struct eval_model model;
    struct task_run tasks[EVAL_MAX_TASKS];
    size_t n_tasks;
    double date; // seconds since 1970 at the start of the first run
    bool complete;
    char results_path[4096];
};

// Counts of one filter over the items done. subjects: [set.n_subjects], may be NULL.
struct score_count;
void run_count(const struct task_run *t, size_t filter, struct score_count *total,
               struct score_count *subjects);

void run_score(const struct task_run *t, size_t filter, struct eval_score *out);
// "all 1319 items", "first 2 of each subject", "60 of 114 items, stratified ...".
void run_subset_words(const struct run *r, const struct task_run *t, char *out, size_t size);
// What must be said beside the score; "" when it is an official set run by the book.
void run_note(const struct task_run *t, char *out, size_t size);

// The document; NULL when memory ran out. cJSON_Delete.
cJSON *results_build(const struct run *r);

#endif
