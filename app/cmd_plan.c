// lectern plan: learner.json, prompt.txt and plan.json from what is known.
#include "app/app.h"
#include "curriculum/plan.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: lectern plan [OPTION]... --out DIR\n\n"
    "Writes DIR/learner.json, DIR/prompt.txt and DIR/plan.json.\n\n"
    "  --results FILE     results.json of lectern eval (left out: scores are not measured)\n"
    "  --hardware FILE    hardware.json of lectern devices or study (left out: not measured)\n"
    "  --learner FILE     learner.json to begin with; options below change it\n"
    "  --level LEVEL      beginner, intermediate, advanced (beginner)\n"
    "  --goal GOAL        chat, rag, agent, coding, finetune, evaluate, teach (chat)\n"
    "  --hours H          hours a week, 1 to 40 in quarter hours (4)\n"
    "  --weeks N          1 to 52 (6)\n"
    "  --interests A,B    up to 8, separated by commas\n"
    "  --name NAME        printed on the cover\n"
    "  --start DATE       first day, YYYY-MM-DD\n"
    "  --out DIR          where to write; made when it is missing\n";

struct plan_options {
    const char *results, *hardware, *learner, *level, *goal, *hours, *weeks, *interests, *name;
    const char *start, *out;
};

static const char **slot(struct plan_options *o, const char *word)
{
    const struct {
        const char *name, **value;
    } table[] = {{"--results", &o->results}, {"--hardware", &o->hardware},
                 {"--learner", &o->learner}, {"--level", &o->level},
                 {"--goal", &o->goal},       {"--hours", &o->hours},
                 {"--weeks", &o->weeks},     {"--interests", &o->interests},
                 {"--name", &o->name},       {"--start", &o->start},
                 {"--out", &o->out}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(word, table[i].name)) return table[i].value;
    return NULL;
}

static bool apply(const struct plan_options *o, struct learner *l, struct err *e)
{
    double hours, weeks;
    if (o->learner && !learner_load(o->learner, l, e)) return false;
    if (o->hours && (!app_parse_f64("--hours", o->hours, 1, 40, &hours, e) ||
                     !learner_set_hours(l, hours, "--hours", e)))
        return false;
    if (o->weeks && (!app_parse_f64("--weeks", o->weeks, 1, 52, &weeks, e) ||
                     !learner_set_weeks(l, weeks, "--weeks", e)))
        return false;
    return (!o->level || learner_set_level(l, o->level, "--level", e)) &&
           (!o->goal || learner_set_goal(l, o->goal, "--goal", e)) &&
           (!o->interests || learner_set_interests(l, o->interests, "--interests", e)) &&
           (!o->name || learner_set_name(l, o->name, "--name", e)) &&
           (!o->start || learner_set_start(l, o->start, "--start", e));
}

int cmd_plan(int argc, char **argv)
{
    struct plan_options o = {0};
    struct plan_inputs in = {0};
    struct err e = {0};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(help, stdout);
            return app_flush(&e) ? APP_OK : app_fail(&e);
        }
        const char **value = slot(&o, argv[i]);
        if (!value) return app_usage("plan", "there is no option '%s'", argv[i]);
        if (i + 1 == argc) return app_usage("plan", "%s needs a value", argv[i]);
        *value = argv[++i];
    }
    if (!o.out) return app_usage("plan", "--out DIR says where to write the plan");
    if (!plan_inputs_open(&in, o.hardware, o.results, "lectern " LECTERN_VERSION, &e))
        return app_fail(&e);
    bool ok = apply(&o, &in.learner, &e);
    int status = ok || e.code != ERR_ARG ? APP_OK : app_usage("plan", "%s", e.msg);
    if (!ok && status == APP_OK) status = app_fail(&e);
    if (ok && !plan_write(&in, o.out, &e)) {
        ok = false;
        status = app_fail(&e);
    }
    plan_inputs_close(&in);
    if (ok) {
        printf("%s/plan.json, %s/prompt.txt and %s/learner.json are written\n", o.out, o.out,
               o.out);
        status = app_flush(&e) ? APP_OK : app_fail(&e);
    }
    return status;
}
