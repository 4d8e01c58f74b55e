// lectern bench: prefill and decode speed of one model on one device.
#include "app/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_PREFILL = OPT_OWN,
    OPT_DECODE,
    OPT_DEPTH,
    OPT_TOGETHER,
    OPT_RUNS,
    OPT_KERNELS,
    OPT_CHART,
    OPT_JSON
};
enum { MAX_TOKENS = 131072, MAX_TOGETHER = 256 };

// --batch is not the engine's here: --n-batch is.
static const struct option long_options[] = {
    {"batch", required_argument, NULL, OPT_TOGETHER},
    {"n-batch", required_argument, NULL, OPT_BATCH},
    APP_ENGINE_OPTIONS_BUT_BATCH,
    {"prefill", required_argument, NULL, OPT_PREFILL},
    {"decode", required_argument, NULL, OPT_DECODE},
    {"depth", required_argument, NULL, OPT_DEPTH},
    {"runs", required_argument, NULL, OPT_RUNS},
    {"kernels", no_argument, NULL, OPT_KERNELS},
    {"chart", required_argument, NULL, OPT_CHART},
    {"json", no_argument, NULL, OPT_JSON},
    {0},
};

static void print_help(void)
{
    printf("usage: lectern bench [MODEL] [OPTION]...\n\n"
           "Measures how fast a model reads a prompt (prefill) and writes (decode), and how\n"
           "fast the matrix-vector kernel reads weights. Median of the runs, lowest and\n"
           "highest.\n\n"
           "  --prefill N,N   prompt lengths (default 128,512; 0: none)\n"
           "  --decode N      tokens written (default 64; 0: none)\n"
           "  --depth N,N     they are written behind so many positions (default 0)\n"
           "  --batch N,N     so many sequences write together, each with a context of its\n"
           "                  own (default 1); tok/s is of all of them\n"
           "  --runs N        runs of each (default 5)\n"
           "  --kernels       the time of every kernel, too, by the device's clock: of one\n"
           "                  token, and of a prompt of the first length\n"
           "  --chart FILE    a chart of the speeds, SVG\n"
           "  --json          everything as JSON\n\n"
           "With --depth or --batch the context is as long as is measured, unless --ctx is\n"
           "given.\n\n"
           "The engine's options:\n" APP_ENGINE_HELP_BUT_BATCH
           "  --n-batch N     most tokens computed at once (default 512)\n");
}

static bool parse_list(const char *opt, const char *text, unsigned lo, unsigned hi,
                       struct bench_list *out, struct err *e)
{
    char copy[128];
    if (strlen(text) >= sizeof copy)
        return err_set(e, ERR_ARG, "%s takes at most %d numbers", opt, BENCH_SIZES);
    strcpy(copy, text);
    out->n = 0;
    for (char *at = copy, *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        if (out->n == BENCH_SIZES)
            return err_set(e, ERR_ARG, "%s takes at most %d numbers", opt, BENCH_SIZES);
        if (!app_parse_u32(opt, at, lo, hi, &out->v[out->n++], e)) return false;
    }
    return true;
}

// A single 0 means none.
static bool parse_prefill(const char *text, struct bench_list *out, struct err *e)
{
    if (strcmp(text, "0")) return parse_list("--prefill", text, 1, MAX_TOKENS, out, e);
    out->n = 0;
    return true;
}

static unsigned largest(const struct bench_list *l)
{
    unsigned most = 0;
    for (unsigned i = 0; i < l->n; i++)
        most = l->v[i] > most ? l->v[i] : most;
    return most;
}

// Sequences for the largest batch, and no more context than is measured: the cache of many
// sequences of the model's full length would be larger than the model.
static void set_engine(struct bench_request *r)
{
    unsigned prefill = largest(&r->prefill),
             decode = r->decode ? largest(&r->depth) + r->decode : 0;
    unsigned most = prefill > decode ? prefill : decode;
    bool usual = largest(&r->depth) == 0 && largest(&r->batch) == 1;
    r->a.p.n_seqs = r->decode ? largest(&r->batch) : 1;
    if (!usual && !r->a.p.n_ctx) r->a.p.n_ctx = most > 32 ? most : 32;
}

static bool measure_one(struct bench_request *r, struct engine *g, const struct fit_speed_params *q,
                        struct bench_result *out, struct err *e)
{
    struct bench_speed *b = &out->speed[out->n++];
    b->phase = q->phase;
    if (!fit_speed(g, q, &r->a.progress, &b->s, e)) return false;
    if (!r->kernels || (q->phase == FIT_PREFILL && out->n_kernels)) return true;
    struct bench_kernels *k = &out->kernels[out->n_kernels++];
    k->phase = q->phase;
    return fit_kernels(g, q, &r->a.progress, &k->k, e);
}

// Depth by depth, so that a context that is filled serves every batch, and the next depth.
static bool measure_all(struct bench_request *r, struct engine *g, struct bench_result *out,
                        struct err *e)
{
    struct fit_speed_params q = {.phase = FIT_PREFILL, .batch = 1, .runs = r->runs};
    for (unsigned i = 0; i < r->prefill.n; i++) {
        q.n_tokens = r->prefill.v[i];
        if (!measure_one(r, g, &q, out, e)) return false;
    }
    q.phase = FIT_DECODE;
    q.n_tokens = r->decode;
    for (unsigned i = 0; r->decode && i < r->depth.n * r->batch.n; i++) {
        q.depth = r->depth.v[i / r->batch.n];
        q.batch = r->batch.v[i % r->batch.n];
        if (!measure_one(r, g, &q, out, e)) return false;
    }
    return true;
}

static bool has_clock(struct engine *g, struct err *e)
{
    struct engine_kernel *none;
    size_t n;
    if (!engine_trace_begin(g, e) || !engine_trace_end(g, &none, &n, e)) return false;
    free(none);
    return true;
}

static bool measure(struct bench_request *r, struct engine *g, struct bench_result *out,
                    struct err *e)
{
    struct bench_read *read = &out->read;
    return (!r->kernels || has_clock(g, e)) && fit_matvec(g, 25, &out->bytes_s, e) &&
           measure_all(r, g, out, e) &&
           (!r->kernels || engine_read_speed(g, &read->bytes_s, &read->bytes, &read->format, e));
}

static bool run(struct bench_request *r, struct err *e)
{
    struct engine *g;
    struct bench_result t = {0};
    set_engine(r);
    if (!app_engine_open(&r->a, r->model, &g, e)) return false;
    bool ok = measure(r, g, &t, e);
    if (ok && r->chart) ok = bench_chart(r->chart, g, &t, e);
    if (ok && r->json)
        ok = bench_json(r, g, &t, e);
    else if (ok)
        bench_table(r, g, &t);
    for (unsigned i = 0; i < t.n_kernels; i++)
        fit_kernels_free(&t.kernels[i].k);
    engine_close(g);
    return ok && app_flush(e);
}

static bool take_option(struct bench_request *r, int c, struct err *e)
{
    switch (c) {
    case OPT_KERNELS: r->kernels = true; return true;
    case OPT_CHART:
        r->chart = optarg;
        return *optarg || err_set(e, ERR_ARG, "--chart needs a file");
    case OPT_JSON: r->json = true; return true;
    case OPT_PREFILL: return parse_prefill(optarg, &r->prefill, e);
    case OPT_DECODE: return app_parse_u32("--decode", optarg, 0, MAX_TOKENS, &r->decode, e);
    case OPT_DEPTH: return parse_list("--depth", optarg, 0, MAX_TOKENS, &r->depth, e);
    case OPT_TOGETHER: return parse_list("--batch", optarg, 1, MAX_TOGETHER, &r->batch, e);
    case OPT_RUNS: return app_parse_u32("--runs", optarg, 1, 100, &r->runs, e);
    case OPT_BATCH: return app_parse_u32("--n-batch", optarg, 1, 8192, &r->a.p.n_batch, e);
    default: return app_engine_option(&r->a, c, optarg, e);
    }
}

int cmd_bench(int argc, char **argv)
{
    struct bench_request r = {
        .prefill = {{128, 512}, 2}, .depth = {{0}, 1}, .batch = {{1}, 1}, .decode = 64, .runs = 5};
    struct err e = {0};
    app_engine_init(&r.a);
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return APP_OK;
        }
        if (c == '?' || c == ':') return app_bad_option("bench", c, argv);
        if (!take_option(&r, c, &e)) return app_usage("bench", "%s", e.msg);
    }
    int status = app_one_model("bench", argc, argv, &r.model);
    if (status != APP_OK) return status;
    if (!r.prefill.n && !r.decode) return app_usage("bench", "there is nothing to measure");
    return run(&r, &e) ? APP_OK : app_fail(&e);
}
