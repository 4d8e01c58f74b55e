#include "make.h"

#include <stdio.h>

struct made make_plan(const struct learner *l, const char *hardware, const char *results)
{
    struct made m = {0};
    struct plan_inputs in;
    char paths[2][1024];
    snprintf(paths[0], sizeof paths[0], "%s/tests/curriculum/data/%s", LECTERN_SOURCE_DIR,
             hardware ? hardware : "");
    snprintf(paths[1], sizeof paths[1], "%s/tests/curriculum/data/%s", LECTERN_SOURCE_DIR,
             results ? results : "");
    if (!plan_inputs_open(&in, hardware ? paths[0] : NULL, results ? paths[1] : NULL,
                          "lectern of the tests", &m.e))
        return m;
    in.learner = *l;
    m.ok = plan_make(&in, &m.plan, &m.prompt, &m.e);
    plan_inputs_close(&in);
    return m;
}

void made_free(struct made *m)
{
    cJSON_Delete(m->plan);
    text_free(&m->prompt);
    *m = (struct made){0};
}

struct learner make_learner(enum learner_level level, enum learner_goal goal, double hours,
                            int weeks)
{
    struct learner l;
    learner_default(&l);
    l.level = level;
    l.goal = goal;
    l.minutes_per_week = (int)(hours * 60);
    l.weeks = weeks;
    return l;
}

const cJSON *made_section(const struct made *m, int number, const char *key)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(m->plan, "sections");
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, number - 1), key);
}

cJSON *make_resources(void)
{
    struct err e = {0};
    return json_load(LECTERN_SOURCE_DIR "/curriculum/resources.json", &e);
}
