// lectern study: the whole way. Device -> hardware.json -> results.json -> plan.json -> plan.pdf.
#include "app/learner_options.h"
#include "app/options.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "curriculum/plan.h"
#include "evals/eval.h"
#include "fit/profile.h"
#include "reports/plan_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_OUT = OPT_OWN,
    OPT_MINUTES,
    OPT_LIMIT,
    OPT_ITEMS,
    OPT_TASKS,
    OPT_DATA,
    OPT_RESUME,
    OPT_UNSAFE,
    OPT_FONTS
};

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    APP_LEARNER_OPTIONS,
    {"out", required_argument, NULL, OPT_OUT},
    {"minutes", required_argument, NULL, OPT_MINUTES},
    {"limit", required_argument, NULL, OPT_LIMIT},
    {"items", required_argument, NULL, OPT_ITEMS},
    {"tasks", required_argument, NULL, OPT_TASKS},
    {"data", required_argument, NULL, OPT_DATA},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"allow-unsafe", no_argument, NULL, OPT_UNSAFE},
    {"font-dir", required_argument, NULL, OPT_FONTS},
    {0},
};

static void print_help(void)
{
    printf("usage: lectern study [MODEL] [OPTION]...\n\n"
           "Measures this machine, scores the model on some items of each task, and writes a\n"
           "learning plan made from both: hardware.json, results.json, plan.json, prompt.txt\n"
           "and plan.pdf.\n\n"
           "  --out DIR       where everything goes (lectern-plan)\n"
           "  --items LIST    so many items of each task, or one number for all; of mmlu\n"
           "                  each subject its share (mmlu=114,gsm8k=32,humaneval=32; where\n"
           "                  these would take over 15 minutes, what fits in 15)\n"
           "  --minutes N     instead: what fits in N minutes\n"
           "  --limit N       instead: the first N items of each task, of each mmlu subject\n"
           "  --tasks LIST    of mmlu, gsm8k, gsm8k_cot, humaneval (mmlu,gsm8k,humaneval)\n"
           "  --data DIR      official files (default: HumanEval from tools/setup.sh\n"
           "                  where it is, else the bundled sets)\n"
           "  --resume        go on with the interrupted study in --out\n"
           "  --allow-unsafe  run generated programs even where no sandbox is to be had\n"
           "  --font-dir DIR  where the PDF's fonts are\n\n" APP_LEARNER_HELP "\n" APP_ENGINE_HELP);
}

struct study {
    struct app_engine engine;
    struct learner_options learner;
    struct eval_params eval;
    const char *model, *out, *fonts;
    char items[32 * EVAL_MAX_TASKS]; // "mmlu=114,...", unless the user said how many
    char hardware[4096], plan[4096], pdf[4096], fetched[4096];
};

static bool take(struct study *s, int c, const char *arg, struct err *e)
{
    if (learner_option(&s->learner, c, arg)) return true;
    switch (c) {
    case OPT_OUT: s->out = arg; return true;
    case OPT_MINUTES: return app_parse_f64("--minutes", arg, 0.1, 1e6, &s->eval.minutes, e);
    case OPT_LIMIT: return app_parse_u32("--limit", arg, 1, 1000000, &s->eval.limit, e);
    case OPT_ITEMS: s->eval.items = arg; return true;
    case OPT_TASKS: s->eval.tasks = arg; return true;
    case OPT_DATA: s->eval.data_dir = arg; return true;
    case OPT_RESUME: s->eval.resume = true; return true;
    case OPT_UNSAFE: s->eval.allow_unsafe = true; return true;
    case OPT_FONTS: s->fonts = arg; return true;
    default: return app_engine_option(&s->engine, c, arg, e);
    }
}

static void say(const struct study *s, int step, const char *what)
{
    if (s->engine.progress.enabled) fprintf(stderr, "[%d/4] %s\n", step, what);
}

static bool measure(const struct study *s, struct engine *g, struct progress *pr, struct err *e)
{
    cJSON *hardware = NULL;
    char line[512];
    (void)snprintf(line, sizeof line, "Measuring %s with %s", engine_device(g)->name,
                   engine_info(g)->name);
    say(s, 1, line);
    bool ok =
        fit_profile(g, s->engine.path, pr, &hardware, e) && json_save(s->hardware, hardware, e);
    cJSON_Delete(hardware);
    return ok;
}

// ------------------------------------------------------------------------------- how many items

static bool plan_items(struct study *s, struct err *e)
{
    const struct eval_task *list[EVAL_MAX_TASKS];
    uint32_t counts[EVAL_MAX_TASKS];
    size_t n, at = 0;
    if (!eval_parse_tasks(s->eval.tasks, list, &n, e)) return false;
    if ((s->eval.limit > 0) + (s->eval.minutes > 0) + (s->eval.items != NULL) > 1)
        return err_set(e, ERR_ARG, "--minutes, --limit and --items exclude each other");
    if (s->eval.items) return eval_parse_items(s->eval.items, list, n, counts, e);
    for (size_t i = 0; i < n && !s->eval.limit && !(s->eval.minutes > 0); i++)
        at += (size_t)snprintf(s->items + at, sizeof s->items - at, "%s%s=%u", i ? "," : "",
                               list[i]->name, list[i]->study.items);
    return true;
}

// Seconds that the default items will take at the speeds that were measured; 0: not known. A single
// sequence's speed of writing counts for all, so that it is rather too long.
static double expect(const struct study *s, const cJSON *hardware)
{
    const struct eval_task *list[EVAL_MAX_TASKS];
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(hardware, "measured");
    double reading = json_number_or(m, "prefill_tok_s", 0), sum = 0;
    double writing = json_number_or(m, "decode_tok_s", 0);
    size_t n;
    if (!(reading > 0) || !(writing > 0) || !eval_parse_tasks(s->eval.tasks, list, &n, NULL))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const struct eval_cost *c = &list[i]->study;
        sum += c->items * (c->n_read / reading + c->n_written / writing);
    }
    return sum;
}

// The default items, or what fits where those would take too long. It is decided by hardware.json,
// which a study that is resumed finds again.
static bool choose_items(struct study *s, struct err *e)
{
    enum { PATIENCE = 15 }; // minutes
    if (!s->items[0]) return true;
    cJSON *hardware = json_load(s->hardware, e);
    if (!hardware) return false;
    double minutes = expect(s, hardware) / 60;
    cJSON_Delete(hardware);
    s->eval.items = minutes > PATIENCE ? NULL : s->items;
    s->eval.minutes = minutes > PATIENCE ? PATIENCE : 0;
    if (minutes > PATIENCE && s->engine.progress.enabled)
        fprintf(stderr,
                "%s would take about %.0f minutes here: what fits in %d is run; --items runs all\n",
                s->items, minutes, PATIENCE);
    return true;
}

static bool score(struct study *s, struct engine *g, struct progress *pr,
                  struct eval_report *report, struct err *e)
{
    char *text = NULL, line[512];
    if (s->eval.limit)
        (void)snprintf(line, sizeof line, "Scoring %s, %u items each", s->eval.tasks,
                       s->eval.limit);
    else if (s->eval.items)
        (void)snprintf(line, sizeof line, "Scoring %s", s->eval.items);
    else
        (void)snprintf(line, sizeof line, "Scoring %s for %g minutes", s->eval.tasks,
                       s->eval.minutes);
    say(s, 2, line);
    s->eval.model_path = s->engine.path;
    s->eval.adapters = s->engine.lora_text;
    if (!eval_run(g, &s->eval, pr, report, e)) return false;
    if (!eval_report_text(report, &text, e)) return false;
    printf("%s", text);
    free(text);
    return true;
}

static bool write_plan(struct study *s, const struct learner *learner, const char *results,
                       struct err *e)
{
    struct plan_inputs in;
    say(s, 3, "Making the plan");
    if (!plan_inputs_open(&in, s->hardware, results, "lectern " LECTERN_VERSION, e)) return false;
    in.learner = *learner;
    bool ok = plan_write(&in, s->out, e);
    plan_inputs_close(&in);
    if (!ok) return false;
    say(s, 4, "Setting the PDF");
    cJSON *plan = json_load(s->plan, e);
    struct report_params params = {.font_dir = s->fonts, .name = s->plan};
    ok = plan && report_write(plan, s->pdf, &params, e);
    cJSON_Delete(plan);
    return ok;
}

static bool study(struct study *s, const struct learner *learner, struct err *e)
{
    struct engine *g = NULL;
    struct eval_report report = {0};
    struct progress *pr = &s->engine.progress;
    double start = clock_s();
    char cache[2048];
    if (file_cache_dir(cache, sizeof cache, NULL) &&
        file_path(s->fetched, sizeof s->fetched, NULL, "%s/data/official", cache))
        s->eval.fetched_dir = s->fetched;
    if (!file_path(s->hardware, sizeof s->hardware, e, "%s/hardware.json", s->out) ||
        !file_path(s->plan, sizeof s->plan, e, "%s/plan.json", s->out) ||
        !file_path(s->pdf, sizeof s->pdf, e, "%s/plan.pdf", s->out) ||
        !app_engine_open_eval(&s->engine, s->model, EVAL_SEQS, &g, e))
        return false;
    bool resumed = s->eval.resume && file_exists(s->hardware);
    bool ok = file_mkdirs(s->out, e) && (resumed || measure(s, g, pr, e)) && choose_items(s, e) &&
              score(s, g, pr, &report, e);
    engine_close(g);
    if (!ok || !write_plan(s, learner, report.results_path, e)) return false;
    printf("\n%s  (%.0f s; also there: plan.json, prompt.txt, results.json, hardware.json)\n",
           s->pdf, clock_s() - start);
    return app_flush(e);
}

int cmd_study(int argc, char **argv)
{
    struct study s = {.out = "lectern-plan",
                      .eval = {.tasks = "mmlu,gsm8k,humaneval", .seed = EVAL_DEFAULT_SEED}};
    struct learner learner;
    struct err e = {0};
    app_engine_init(&s.engine);
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return APP_OK;
        }
        if (c == '?' || c == ':') return app_bad_option("study", c, argv);
        if (!take(&s, c, optarg, &e)) return app_usage("study", "%s", e.msg);
    }
    int status = app_one_model("study", argc, argv, &s.model);
    if (status != APP_OK) return status;
    if (!plan_items(&s, &e)) return app_usage("study", "%s", e.msg);
    learner_default(&learner);
    if (!learner_options_apply(&s.learner, &learner, &e))
        return e.code == ERR_ARG ? app_usage("study", "%s", e.msg) : app_fail(&e);
    s.eval.out_dir = s.out;
    s.eval.kv = engine_kv_name(s.engine.p.kv);
    if (study(&s, &learner, &e)) return APP_OK;
    if (e.code == ERR_CANCELLED)
        err_set(&e, ERR_CANCELLED,
                "stopped by ^C; what was scored is kept: lectern study --resume --out %s goes on",
                s.out);
    return app_fail(&e);
}
