// The list of tasks.
#include "evals/eval.h"
#include "evals/tasks.h"

#include <string.h>

const struct eval_task *const eval_tasks[] = {&task_mmlu, &task_gsm8k, &task_gsm8k_cot,
                                              &task_humaneval, NULL};

const struct eval_task *eval_task_find(const char *name, size_t len)
{
    for (size_t i = 0; eval_tasks[i]; i++)
        if (strlen(eval_tasks[i]->name) == len && !memcmp(eval_tasks[i]->name, name, len))
            return eval_tasks[i];
    return NULL;
}

size_t eval_task_filters(const struct eval_task *t)
{
    size_t n = 0;
    while (n < EVAL_MAX_FILTERS && t->filters[n])
        n++;
    return n;
}

bool eval_parse_tasks(const char *tasks, const struct eval_task **list, size_t *n, struct err *e)
{
    *n = 0;
    for (const char *at = tasks;;) {
        size_t len = strcspn(at, ",");
        const struct eval_task *t = eval_task_find(at, len);
        if (!t)
            return err_set(e, ERR_ARG,
                           "there is no task '%.*s'; there are mmlu, gsm8k, gsm8k_cot, humaneval",
                           (int)(len < 60 ? len : 60), at);
        for (size_t i = 0; i < *n; i++)
            if (list[i] == t) return err_set(e, ERR_ARG, "the task %s is named twice", t->name);
        list[(*n)++] = t; // no overflow: fewer tasks than EVAL_MAX_TASKS, each once
        if (!at[len]) return true;
        at += len + 1;
    }
}
