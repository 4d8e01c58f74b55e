// The tasks, for eval_tasks.c; and what MMLU's report needs.
#ifndef LECTERN_EVAL_TASKS_H
#define LECTERN_EVAL_TASKS_H

#include "evals/eval.h"

extern const struct eval_task task_mmlu, task_gsm8k, task_gsm8k_cot, task_humaneval;

// The group that lm-evaluation-harness puts a subject into: "stem", "humanities",
// "social_sciences" or "other" (also for a name it does not know).
const char *mmlu_group(const char *subject);
extern const char *const mmlu_groups[]; // the four, ends with NULL

#endif
