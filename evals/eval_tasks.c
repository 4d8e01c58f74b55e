// The list of tasks.
#include "evals/eval.h"
#include "evals/tasks.h"

#include <stdlib.h>
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

static size_t find(const struct eval_task *const *list, size_t n, const char *name, size_t len)
{
    const struct eval_task *t = eval_task_find(name, len);
    size_t i = 0;
    while (i < n && list[i] != t)
        i++;
    return i;
}

bool eval_parse_items(const char *items, const struct eval_task *const *list, size_t n,
                      uint32_t *counts, struct err *e)
{
    memset(counts, 0, n * sizeof *counts);
    for (const char *at = items;;) {
        size_t len = strcspn(at, ",="), i = 0;
        const char *number = at[len] == '=' ? at + len + 1 : at;
        size_t digits = strspn(number, "0123456789");
        bool every = number == at;
        if (!every && (i = find(list, n, at, len)) == n)
            return err_set(e, ERR_ARG, "--items: '%.*s' is not one of the tasks that are run",
                           (int)(len < 60 ? len : 60), at);
        unsigned long long v = digits && digits < 8 ? strtoull(number, NULL, 10) : 0;
        if (!v || (number[digits] && (every || number[digits] != ',')))
            return err_set(e, ERR_ARG,
                           "--items is a number, or tasks with numbers as in mmlu=100,gsm8k=24, "
                           "not '%.60s'",
                           items);
        for (size_t k = i; k < (every ? n : i + 1); k++) {
            if (counts[k]) return err_set(e, ERR_ARG, "--items names %s twice", list[k]->name);
            counts[k] = (uint32_t)v;
        }
        if (!number[digits]) return true;
        at = number + digits + 1;
    }
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
