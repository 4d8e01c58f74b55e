// samples_TASK_TIME.jsonl: one line per item and filter with the members of
// lm-evaluation-harness's sample log, and "lectern": {subject, got, category, seconds}.
// The lines are the truth from which an interrupted run goes on.
#ifndef LECTERN_EVAL_SAMPLES_H
#define LECTERN_EVAL_SAMPLES_H

#include "base/json.h"
#include "evals/eval.h"

struct item_result {
    bool done, correct[EVAL_MAX_FILTERS];
    char *got, *category; // owned
    char prompt_sha256[SHA256_HEX_SIZE], target_sha256[SHA256_HEX_SIZE];
};
void item_result_free(struct item_result *r);

// Adds the lines of one item (as many as the task has filters) to *out and fills *res.
bool samples_write(const struct eval_task *t, const struct eval_set *s, const struct eval_item *it,
                   const struct eval_response *r, const struct eval_verdict *v, double seconds,
                   struct text *out, struct item_result *res, struct err *e);

// Reads a log back into results[s->n]. Items whose lines are not all there, and a last line that
// was cut, are left out; *keep is the number of bytes up to them. A whole line that does not
// belong to this set is ERR_FORMAT.
bool samples_read(const struct eval_task *t, const struct eval_set *s, const char *path,
                  struct item_result *results, size_t *n_done, size_t *keep, struct err *e);

#endif
