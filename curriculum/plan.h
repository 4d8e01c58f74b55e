// The plan: from learner, machine and scores to plan.json and prompt.txt.
#ifndef LECTERN_CURRICULUM_PLAN_H
#define LECTERN_CURRICULUM_PLAN_H

#include "base/json.h"
#include "base/sha256.h"
#include "curriculum/learner.h"

struct plan_inputs {
    struct learner learner;
    cJSON *hardware, *results;             // NULL: not measured; owned
    char hardware_sha256[SHA256_HEX_SIZE]; // of the file's bytes; empty without a file
    char results_sha256[SHA256_HEX_SIZE];
    const char *tool; // "lectern 0.1.0"; borrowed
};

// Default learner; reads the files whose path is not NULL. On failure *in is closed.
bool plan_inputs_open(struct plan_inputs *in, const char *hardware_path, const char *results_path,
                      const char *tool, struct err *e);
void plan_inputs_close(struct plan_inputs *in);

// The plan, linted, and the prompt. The same inputs give the same bytes: no clock, no chance, no
// machine. Caller frees *plan with cJSON_Delete and *prompt with text_free.
bool plan_make(const struct plan_inputs *in, cJSON **plan, struct text *prompt, struct err *e);

// Makes both and writes DIR/learner.json, DIR/prompt.txt and DIR/plan.json, the plan last. DIR is
// made when it is missing; an error leaves the files of an earlier run whole.
bool plan_write(const struct plan_inputs *in, const char *dir, struct err *e);

#endif
