// lectern eval: scores a model, or writes the prompts only.
#include "app/options.h"
#include "base/file.h"
#include "evals/eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: lectern eval [MODEL] [OPTION]...\n"
    "\n"
    "Scores MODEL (a path or a name in the cache; left out: the default model) and\n"
    "writes results.json and samples_*.jsonl.\n"
    "\n"
    "  --tasks LIST    of mmlu, gsm8k, gsm8k_cot, humaneval (mmlu,gsm8k,humaneval)\n"
    "  --data DIR      official files: DIR/mmlu, DIR/gsm8k, DIR/humaneval (the\n"
    "                  bundled sets, written for Lectern)\n"
    "  --minutes N     as many items as fit in N minutes for all tasks together\n"
    "  --limit N       the first N items of each task, of each subject for mmlu\n"
    "  --items LIST    so many of each task, as mmlu=100,gsm8k=24, or one number for\n"
    "                  all; of mmlu each subject its share\n"
    "  --out DIR       where the results go (lectern-eval)\n"
    "  --resume        go on with the interrupted run in --out\n"
    "  --seed N        seed of the few-shot draw (1234, as in lm-evaluation-harness)\n"
    "  --seqs N        prompts computed at once, 1 to 16 (8)\n"
    "  --no-reuse      compute the examples that questions share anew for each\n"
    "  --json          print results.json instead of the table\n"
    "  --allow-unsafe  run generated programs even where no sandbox is to be had\n"
    "  --prompts-only F  write every item's prompt and its hash to F; needs no "
    "model\n" APP_ENGINE_HELP "\n"
    "One of --minutes, --limit and --items; none: all items. ^C keeps what was\n"
    "scored; go on with --resume.\n";

struct eval_options {
    struct app_engine engine;
    const char *model, *prompts;
    struct eval_params p;
    bool json;
};

enum {
    OPT_TASKS = OPT_OWN,
    OPT_DATA,
    OPT_MINUTES,
    OPT_LIMIT,
    OPT_ITEMS,
    OPT_SEQS,
    OPT_NO_REUSE,
    OPT_OUT,
    OPT_RESUME,
    OPT_JSON,
    OPT_UNSAFE,
    OPT_PROMPTS
};

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    {"tasks", required_argument, NULL, OPT_TASKS},
    {"data", required_argument, NULL, OPT_DATA},
    {"minutes", required_argument, NULL, OPT_MINUTES},
    {"limit", required_argument, NULL, OPT_LIMIT},
    {"items", required_argument, NULL, OPT_ITEMS},
    {"seqs", required_argument, NULL, OPT_SEQS},
    {"no-reuse", no_argument, NULL, OPT_NO_REUSE},
    {"out", required_argument, NULL, OPT_OUT},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"seed", required_argument, NULL, OPT_SEED},
    {"json", no_argument, NULL, OPT_JSON},
    {"allow-unsafe", no_argument, NULL, OPT_UNSAFE},
    {"prompts-only", required_argument, NULL, OPT_PROMPTS},
    {0},
};

static bool parse_option(int c, struct eval_options *o, struct err *e)
{
    unsigned seed;
    switch (c) {
    case OPT_TASKS: o->p.tasks = optarg; return true;
    case OPT_DATA: o->p.data_dir = optarg; return true;
    case OPT_MINUTES: return app_parse_f64("--minutes", optarg, 0.01, 1e6, &o->p.minutes, e);
    case OPT_LIMIT: return app_parse_u32("--limit", optarg, 1, 1000000, &o->p.limit, e);
    case OPT_ITEMS: o->p.items = optarg; return true;
    case OPT_SEQS: return app_parse_u32("--seqs", optarg, 1, EVAL_MAX_SEQS, &o->p.seqs, e);
    case OPT_NO_REUSE: o->p.no_reuse = true; return true;
    case OPT_OUT: o->p.out_dir = optarg; return true;
    case OPT_RESUME: o->p.resume = true; return true;
    case OPT_SEED:
        if (!app_parse_u32("--seed", optarg, 0, 4294967295u, &seed, e)) return false;
        o->p.seed = seed;
        return true;
    case OPT_JSON: o->json = true; return true;
    case OPT_UNSAFE: o->p.allow_unsafe = true; return true;
    case OPT_PROMPTS: o->prompts = optarg; return true;
    default: return app_engine_option(&o->engine, c, optarg, e);
    }
}

static bool print_report(const struct eval_options *o, const struct eval_report *r, struct err *e)
{
    char *text;
    size_t size;
    if (o->json) {
        if (!file_read(r->results_path, (size_t)256 << 20, &text, &size, e)) return false;
        fwrite(text, 1, size, stdout);
    } else {
        if (!eval_report_text(r, &text, e)) return false;
        printf("%s%s: %s\n", text, r->complete ? "results" : "interrupted; so far",
               r->results_path);
    }
    free(text);
    return app_flush(e);
}

static int score(struct eval_options *o)
{
    struct err e = {0}, print_e = {0};
    struct engine *g = NULL;
    struct eval_report report = {0};
    if (!app_engine_open_eval(&o->engine, o->model, o->p.seqs, &g, &e)) return app_fail(&e);
    o->p.model_path = o->engine.path;
    o->p.adapters = o->engine.lora_text;
    o->p.kv = engine_kv_name(o->engine.p.kv);
    bool ok = eval_run(g, &o->p, &o->engine.progress, &report, &e);
    engine_close(g);
    bool printed = !report.n || print_report(o, &report, &print_e);
    if (!ok && e.code == ERR_CANCELLED)
        err_set(&e, ERR_CANCELLED,
                "stopped by ^C; what was scored is kept in %s: go on with --resume", o->p.out_dir);
    if (!ok) return app_fail(&e);
    return printed ? APP_OK : app_fail(&print_e);
}

int cmd_eval(int argc, char **argv)
{
    struct err e = {0};
    struct eval_options o = {.p = {.tasks = "mmlu,gsm8k,humaneval",
                                   .out_dir = "lectern-eval",
                                   .seqs = EVAL_SEQS,
                                   .seed = EVAL_DEFAULT_SEED}};
    const struct eval_task *list[EVAL_MAX_TASKS];
    size_t n;
    uint32_t counts[EVAL_MAX_TASKS];
    app_engine_init(&o.engine);
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help, stdout);
            return APP_OK;
        }
        if (c == '?' || c == ':') return app_bad_option("eval", c, argv);
        if (!parse_option(c, &o, &e)) return app_usage("eval", "%s", e.msg);
    }
    int status = app_one_model("eval", argc, argv, &o.model);
    if (status != APP_OK) return status;
    if (!eval_parse_tasks(o.p.tasks, list, &n, &e)) return app_usage("eval", "%s", e.msg);
    if ((o.p.minutes > 0) + (o.p.limit > 0) + (o.p.items != NULL) > 1)
        return app_usage("eval", "--minutes, --limit and --items exclude each other");
    if (o.p.items && !eval_parse_items(o.p.items, list, n, counts, &e))
        return app_usage("eval", "%s", e.msg);
    if (!o.prompts) return score(&o);
    bool ok = eval_write_prompts(o.p.tasks, o.p.data_dir, o.p.seed, o.p.limit, o.prompts, &e);
    return ok ? APP_OK : app_fail(&e);
}
