// A run without its model: the sets, the subset, the logs on disk, going on after a kill. runner.c
// asks the model and puts the answers here; tests put answers of their own.
#ifndef LECTERN_EVAL_SESSION_H
#define LECTERN_EVAL_SESSION_H

#include "evals/results.h"

struct session {
    struct run run;
    struct eval_judge judge;
    char out_dir[3072];
    uint64_t saved_ns; // when results.json was last written
};

// Loads the sets and makes the logs, or finds those of the run to go on with (params.resume).
// A results.json of an earlier run is kept under results_TIME.json. m->fingerprint is filled here:
// SHA-256 of the file's first 4 MiB, its last 4 MiB and its size, so that a model that was
// exchanged is noticed without reading all of it; of a split model, of these of every part. Close
// with session_close, also after a failure.
bool session_open(struct session *s, const struct eval_params *p, const struct eval_model *m,
                  struct err *e);
void session_close(struct session *s);

// The next item to run, at place *at or behind it in the task's list; false at the end.
bool session_next(const struct task_run *t, const uint32_t *list, size_t n, size_t *at,
                  uint32_t *item);

// Judges an answer and writes it down. seconds: what the item took.
bool session_put(struct session *s, struct task_run *t, uint32_t item,
                 const struct eval_response *r, double seconds, struct err *e);

// Fixes the subset: the first n of the task's order.
bool session_choose(struct session *s, struct task_run *t, size_t n, struct err *e);

bool session_save(struct session *s, struct err *e); // results.json, whole
void session_report(const struct session *s, struct eval_report *out);

#endif
