// lectern plan: learner.json, prompt.txt and plan.json from what is known.
#include "app/learner_options.h"
#include "app/options.h"
#include "curriculum/plan.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: lectern plan [OPTION]... --out DIR\n\n"
    "Writes DIR/learner.json, DIR/prompt.txt and DIR/plan.json. What is not given is\n"
    "not measured, and the plan says so.\n\n"
    "  --results FILE  results.json of lectern eval or study\n"
    "  --hardware FILE hardware.json of lectern devices or study\n"
    "  --out DIR       where to write; made when it is missing\n\n" APP_LEARNER_HELP;

enum { OPT_RESULTS = OPT_OWN, OPT_HARDWARE, OPT_OUT };

static const struct option long_options[] = {
    {"results", required_argument, NULL, OPT_RESULTS},
    {"hardware", required_argument, NULL, OPT_HARDWARE},
    {"out", required_argument, NULL, OPT_OUT},
    {"help", no_argument, NULL, 'h'},
    APP_LEARNER_OPTIONS,
    {NULL, 0, NULL, 0},
};

struct plan_options {
    struct learner_options learner;
    const char *results, *hardware, *out;
};

static int write_plan(const struct plan_options *o)
{
    struct plan_inputs in;
    struct learner learner;
    struct err e = {0};
    learner_default(&learner);
    if (!learner_options_apply(&o->learner, &learner, &e))
        return e.code == ERR_ARG ? app_usage("plan", "%s", e.msg) : app_fail(&e);
    if (!plan_inputs_open(&in, o->hardware, o->results, "lectern " LECTERN_VERSION, &e))
        return app_fail(&e);
    in.learner = learner;
    bool ok = plan_write(&in, o->out, &e);
    plan_inputs_close(&in);
    if (!ok) return app_fail(&e);
    printf("%s: learner.json, prompt.txt and plan.json are written; for the PDF:\n"
           "lectern report --plan %s/plan.json --out %s/plan.pdf\n",
           o->out, o->out, o->out);
    return app_flush(&e) ? APP_OK : app_fail(&e);
}

int cmd_plan(int argc, char **argv)
{
    struct plan_options o = {0};
    struct err e = {0};
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (learner_option(&o.learner, c, optarg)) continue;
        switch (c) {
        case OPT_RESULTS: o.results = optarg; break;
        case OPT_HARDWARE: o.hardware = optarg; break;
        case OPT_OUT: o.out = optarg; break;
        case 'h': fputs(help, stdout); return app_flush(&e) ? APP_OK : app_fail(&e);
        default: return app_bad_option("plan", c, argv);
        }
    }
    if (optind < argc) return app_usage("plan", "'%s' is one word too many", argv[optind]);
    if (!o.out) return app_usage("plan", "--out DIR says where to write the plan");
    return write_plan(&o);
}
