// lectern logits: the model's raw output, for a class and for checks against other engines.
#include "app/options.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPT_TOKENS = OPT_OWN, OPT_ALL };

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    {"tokens", required_argument, NULL, OPT_TOKENS},
    {"all-positions", no_argument, NULL, OPT_ALL},
    {0},
};

static void print_help(void)
{
    printf("usage: lectern logits [MODEL] --tokens 1,5,7 [--all-positions] [OPTION]...\n\n"
           "Prints {\"tokens\":[...],\"logits\":[...]}: one number a vocabulary entry, for the\n"
           "token behind the last one. With --all-positions logits is an array of such\n"
           "arrays, one a position.\n\n"
           "  --tokens 1,5,7  token ids (lectern tokenize makes them)\n"
           "  --all-positions every position, not only the last\n" APP_ENGINE_HELP);
}

static void print_row(const float *row, uint32_t n)
{
    putchar('[');
    for (uint32_t i = 0; i < n; i++)
        if (isfinite(row[i]))
            printf("%s%.9g", i ? "," : "", (double)row[i]);
        else
            printf("%snull", i ? "," : "");
    putchar(']');
}

static bool run(struct app_engine *a, const char *model, const int *ids, size_t n, bool all,
                struct err *e)
{
    struct engine *g;
    if (n > 4096 && !a->p.n_ctx) a->p.n_ctx = (uint32_t)n; // the default is at most 4,096
    if (!app_engine_open(a, model, &g, e)) return false;
    uint32_t n_vocab = engine_info(g)->n_vocab;
    size_t rows = all ? n : 1;
    float *logits = calloc(rows * n_vocab, sizeof *logits);
    struct engine_item item = {.tokens = ids, .n = n, .want = all ? LOGITS_ALL : LOGITS_LAST};
    bool ok = logits ? engine_run(g, &item, 1, logits, e)
                     : err_nomem(e, "logits", rows * n_vocab * sizeof *logits);
    if (ok) {
        printf("{\"tokens\":[");
        for (size_t i = 0; i < n; i++)
            printf("%s%d", i ? "," : "", ids[i]);
        printf("],\"logits\":%s", all ? "[" : "");
        for (size_t i = 0; i < rows; i++) {
            if (i) putchar(',');
            print_row(logits + i * n_vocab, n_vocab);
        }
        printf("%s}\n", all ? "]" : "");
    }
    free(logits);
    engine_close(g);
    return ok && app_flush(e);
}

int cmd_logits(int argc, char **argv)
{
    struct app_engine a;
    struct err e = {0};
    const char *tokens = NULL, *model;
    bool all = false;
    app_engine_init(&a);
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return APP_OK;
        }
        if (c == '?' || c == ':') return app_bad_option("logits", c, argv);
        if (c == OPT_TOKENS)
            tokens = optarg;
        else if (c == OPT_ALL)
            all = true;
        else if (!app_engine_option(&a, c, optarg, &e))
            return app_usage("logits", "%s", e.msg);
    }
    int status = app_one_model("logits", argc, argv, &model), *ids;
    size_t n;
    if (status != APP_OK) return status;
    if (!tokens) return app_usage("logits", "--tokens is missing");
    if (!app_parse_ids(tokens, &ids, &n, &e)) return app_usage("logits", "%s", e.msg);
    bool ok = run(&a, model, ids, n, all, &e);
    free(ids);
    return ok ? APP_OK : app_fail(&e);
}
