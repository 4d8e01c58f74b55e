// lectern perplexity: how well a model predicts a text. app/perplexity.h defines the number.
#include "app/options.h"
#include "app/perplexity.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_STRIDE = OPT_OWN, OPT_JSON };
enum { WINDOW_DEFAULT = 512 };

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    {"stride", required_argument, NULL, OPT_STRIDE},
    {"json", no_argument, NULL, OPT_JSON},
    {0},
};

struct request {
    struct app_engine a;
    const char *model, *text_path;
    uint32_t stride;
    bool json;
};

struct result {
    struct perplexity_params p;
    struct perplexity o;
    uint64_t n_tokens;
    double seconds;
};

static void print_help(void)
{
    printf("usage: lectern perplexity [MODEL] TEXTFILE [OPTION]...\n\n"
           "How surprised the model is by each next token of a text (- is standard input).\n"
           "Over the N tokens scored, each given the tokens before it in its window:\n\n"
           "  mean nll   = 1/N * sum of -ln p(token | tokens before it)\n"
           "  perplexity = exp(mean nll), +- perplexity * s / sqrt(N), one standard error\n"
           "               (s: standard deviation of the nll, tokens taken as independent)\n\n"
           "Lower is better; 1 is certainty. Comparable only between models with the same\n"
           "tokenizer, on the same text, with the same --ctx and --stride.\n\n"
           "  --ctx N         tokens a window, BOS included (default 512, or the model's\n"
           "                  context where that is smaller); a text that fits is scored in\n"
           "                  full context\n"
           "  --stride N      new tokens scored a window; they see at least ctx - stride\n"
           "                  tokens before them (default ctx / 2). N = ctx: windows\n"
           "                  that do not overlap\n"
           "  --json          one JSON object\n\n"
           "Every window begins with BOS where the vocabulary adds one. Without BOS the\n"
           "first token of the text (of every window when they do not overlap) has nothing\n"
           "before it and is not scored. Special tokens in the text are read as plain text.\n\n"
           "The engine's options:\n" APP_ENGINE_HELP);
}

static void print_table(const struct engine *g, const struct result *r)
{
    const struct perplexity *o = &r->o;
    printf("model       %.66s\n", engine_info(g)->name);
    printf("tokens      %llu in the text, %llu scored\n", (unsigned long long)r->n_tokens,
           (unsigned long long)o->n_scored);
    printf("windows     %llu of %u tokens, stride %u, %s BOS\n", (unsigned long long)o->n_windows,
           r->p.n_ctx, r->p.stride, r->p.bos < 0 ? "without" : "with");
    printf("mean nll    %.5f", o->mean_nll);
    if (isfinite(o->std_error_nll)) printf(" +- %.5f", o->std_error_nll);
    printf("\nperplexity  %.4f", o->perplexity);
    if (isfinite(o->std_error)) printf(" +- %.4f", o->std_error);
    printf("\ntime        %.1f s, %.1f tokens/s\n", r->seconds,
           (double)o->n_scored / fmax(r->seconds, 1e-9));
}

static bool print_json(const struct engine *g, const struct request *q, const struct result *r,
                       struct err *e)
{
    const struct perplexity *o = &r->o;
    struct text t = {0};
    char error[2][40] = {"null", "null"};
    if (isfinite(o->std_error_nll)) {
        (void)snprintf(error[0], sizeof error[0], "%.9g", o->std_error_nll);
        (void)snprintf(error[1], sizeof error[1], "%.9g", o->std_error);
    }
    text_puts(&t, "{\"model\":");
    text_json(&t, engine_info(g)->name, strlen(engine_info(g)->name), false);
    text_puts(&t, ",\"text\":");
    text_json(&t, q->text_path, strlen(q->text_path), false);
    text_printf(&t, ",\"tokens\":%llu,\"scored\":%llu,\"windows\":%llu,\"ctx\":%u,\"stride\":%u",
                (unsigned long long)r->n_tokens, (unsigned long long)o->n_scored,
                (unsigned long long)o->n_windows, r->p.n_ctx, r->p.stride);
    text_printf(&t, ",\"bos\":%s,\"mean_nll\":%.9g,\"mean_nll_stderr\":%s",
                r->p.bos < 0 ? "false" : "true", o->mean_nll, error[0]);
    if (isfinite(o->perplexity))
        text_printf(&t, ",\"perplexity\":%.9g,\"perplexity_stderr\":%s", o->perplexity, error[1]);
    else // exp overflows beyond a mean of 709
        text_puts(&t, ",\"perplexity\":null,\"perplexity_stderr\":null");
    text_printf(&t, ",\"seconds\":%.3f}\n", r->seconds);
    if (!t.failed) fwrite(t.data, 1, t.size, stdout);
    bool ok = !t.failed || err_nomem(e, "the JSON text", t.size);
    text_free(&t);
    return ok;
}

static bool measure(struct request *q, struct engine *g, const char *text, size_t size,
                    struct result *r, struct err *e)
{
    const struct vocab *v = engine_vocab(g);
    struct tokens t = {0};
    uint32_t n_ctx = engine_info(g)->n_ctx;
    bool ok = false;
    if (!q->a.p.n_ctx && n_ctx > WINDOW_DEFAULT) n_ctx = WINDOW_DEFAULT;
    if (q->a.p.n_ctx) n_ctx = q->a.p.n_ctx; // the engine rounds up
    r->p = (struct perplexity_params){n_ctx, q->stride ? q->stride : n_ctx / 2,
                                      vocab_adds_bos(v) ? vocab_bos(v) : -1};
    if (!vocab_tokenize(v, text, size, 0, &t, e)) goto done;
    r->n_tokens = t.n;
    double start = clock_s();
    ok = perplexity_measure(g, &r->p, t.ids, t.n, &q->a.progress, &r->o, e);
    r->seconds = clock_s() - start;
done:
    tokens_free(&t);
    return ok;
}

static bool run(struct request *q, struct err *e)
{
    struct engine *g = NULL;
    struct result r = {0};
    char *text = NULL;
    size_t size;
    bool ok = false;
    if (!strcmp(q->text_path, "-") ? !app_read_stdin(&text, &size, e)
                                   : !file_read(q->text_path, (size_t)1 << 30, &text, &size, e))
        return false;
    if (!app_engine_open(&q->a, q->model, &g, e)) goto done;
    if (!measure(q, g, text, size, &r, e)) goto done;
    ok = true;
    if (q->json)
        ok = print_json(g, q, &r, e);
    else
        print_table(g, &r);
    ok = ok && app_flush(e);
done:
    engine_close(g);
    free(text);
    return ok;
}

int cmd_perplexity(int argc, char **argv)
{
    struct request q = {0};
    struct err e = {0};
    app_engine_init(&q.a);
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return app_flush(&e) ? APP_OK : app_fail(&e);
        }
        if (c == '?' || c == ':') return app_bad_option("perplexity", c, argv);
        bool ok = true;
        if (c == OPT_JSON)
            q.json = true;
        else if (c == OPT_STRIDE)
            ok = app_parse_u32("--stride", optarg, 1, 1 << 20, &q.stride, &e);
        else
            ok = app_engine_option(&q.a, c, optarg, &e);
        if (!ok) return app_usage("perplexity", "%s", e.msg);
    }
    int n = argc - optind;
    if (n < 1) return app_usage("perplexity", "TEXTFILE is missing");
    if (n > 2) return app_usage("perplexity", "'%s' is one argument too many", argv[optind + 2]);
    q.text_path = argv[optind + n - 1];
    q.model = n == 2 ? argv[optind] : NULL;
    if (q.a.p.n_ctx && q.stride > q.a.p.n_ctx)
        return app_usage("perplexity", "--stride %u is larger than --ctx %u", q.stride,
                         q.a.p.n_ctx);
    return run(&q, &e) ? APP_OK : app_fail(&e);
}
