// lectern run: text from a prompt or from token ids.
#include "app/chat_options.h"
#include "app/generate.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_TOKENS = OPT_OWN, OPT_JSON, OPT_CHAT, OPT_IGNORE_EOS, OPT_SHIFT };

struct options {
    struct app_engine engine;
    struct sampler_params sampling;
    struct app_chat chat;
    const char *model, *prompt, *tokens;
    unsigned max_new;
    bool json, is_chat, ignore_eos, shift;
};

static void print_help(void)
{
    printf("usage: lectern run [MODEL] -p PROMPT [OPTION]...\n\n"
           "Generates text behind a prompt and prints it as it comes.\n\n"
           "  -p TEXT         the prompt; without -p and --tokens it is read from stdin\n"
           "  --chat          the prompt is a user's message: apply the model's template\n"
           "with --chat:\n" APP_CHAT_HELP "and always:\n"
           "  --tokens 1,5,7  token ids instead of a prompt\n"
           "  -n N            most new tokens (default 256)\n" APP_SAMPLING_HELP
           "  --ignore-eos    go on behind an end-of-text token\n"
           "  --shift         go on when the context is full: its first 32 positions stay,\n"
           "                  the older half of the rest is forgotten; what follows is\n"
           "                  approximate\n"
           "  --json          {\"ids\", \"text\", \"timings\"} when it is done\n" APP_ENGINE_HELP);
}

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    APP_SAMPLING_OPTIONS,
    {"tokens", required_argument, NULL, OPT_TOKENS},
    {"prompt", required_argument, NULL, 'p'},
    {"json", no_argument, NULL, OPT_JSON},
    {"chat", no_argument, NULL, OPT_CHAT},
    APP_CHAT_OPTIONS,
    {"ignore-eos", no_argument, NULL, OPT_IGNORE_EOS},
    {"shift", no_argument, NULL, OPT_SHIFT},
    {0},
};

static bool take(struct options *o, int c, const char *arg, struct err *e)
{
    bool taken;
    if (!app_sampling_option(&o->sampling, c, arg, &taken, e)) return false;
    if (taken) return true;
    if (!app_chat_option(&o->chat, c, arg, &taken, e)) return false;
    if (taken) return true;
    switch (c) {
    case 'p': o->prompt = arg; return true;
    case 'n': return app_parse_u32("-n", arg, 1, 1 << 20, &o->max_new, e);
    case OPT_TOKENS: o->tokens = arg; return true;
    case OPT_JSON: o->json = true; return true;
    case OPT_CHAT: o->is_chat = true; return true;
    case OPT_IGNORE_EOS: o->ignore_eos = true; return true;
    case OPT_SHIFT: o->shift = true; return true;
    default: return app_engine_option(&o->engine, c, arg, e);
    }
}

static bool token_ids(const char *list, struct tokens *out, struct err *e)
{
    int *ids;
    size_t n;
    if (!app_parse_ids(list, &ids, &n, e)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = tokens_push(out, ids[i], e);
    free(ids);
    return ok;
}

static bool prompt_ids(const struct options *o, const struct vocab *v, struct tokens *out,
                       struct err *e)
{
    char *read = NULL, *rendered = NULL;
    size_t size = o->prompt ? strlen(o->prompt) : 0;
    const char *text = o->prompt;
    bool ok = true;
    if (!text) {
        ok = app_read_stdin(&read, &size, e);
        text = read;
    }
    if (ok && o->is_chat) {
        const char *system = o->chat.system;
        struct chat_message m[2] = {{.role = "system", .text = system},
                                    {.role = "user", .text = text}};
        struct vocab_chat_params p = o->chat.p;
        p.add_assistant = true;
        ok = vocab_chat(v, &p, system ? m : m + 1, system ? 2 : 1, &rendered, e);
        text = rendered;
        size = ok ? strlen(rendered) : 0;
    }
    ok = ok && vocab_tokenize(v, text, size, TOK_ADD_BOS | (o->is_chat ? TOK_SPECIAL : 0), out, e);
    free(read);
    free(rendered);
    if (ok && !out->n) return err_set(e, ERR_ARG, "the prompt is empty: give one with -p TEXT");
    return ok;
}

static bool print_piece(void *ctx, const char *text, size_t size, struct err *e)
{
    (void)ctx;
    fwrite(text, 1, size, stdout);
    return app_flush(e);
}

static void print_json(const struct vocab *v, size_t n_prompt, bool strip_lead,
                       const struct generate_result *r)
{
    struct text t = {0};
    char *text = NULL;
    size_t size = 0;
    struct err ignored;
    text_puts(&t, "{\"ids\":[");
    for (size_t i = 0; i < r->ids.n; i++)
        text_printf(&t, "%s%d", i ? "," : "", r->ids.ids[i]);
    text_puts(&t, "],\"text\":");
    if (vocab_detokenize(v, r->ids.ids, r->ids.n, false, strip_lead, &text, &size, &ignored))
        text_json(&t, text, size, false);
    else
        text_puts(&t, "null");
    size_t steps = r->ids.n > 1 ? r->ids.n - 1 : 0;
    text_printf(&t,
                ",\"timings\":{\"prompt_n\":%zu,\"prompt_ms\":%.3f,\"prompt_per_second\":%.3f,"
                "\"predicted_n\":%zu,\"predicted_ms\":%.3f,\"predicted_per_second\":%.3f},"
                "\"stopped\":\"%s\"}\n",
                n_prompt, r->prefill_s * 1e3, (double)n_prompt / r->prefill_s, r->ids.n,
                r->decode_s * 1e3, steps ? (double)steps / r->decode_s : 0.0,
                r->ended ? "eos" : "limit");
    fwrite(t.data, 1, t.size, stdout);
    text_free(&t);
    free(text);
}

// prompt: the ids of --tokens, else empty.
static bool run(struct options *o, struct tokens *prompt, struct err *e)
{
    struct engine *g;
    struct generate_result r = {0};
    struct sampler sampler;
    if (!app_engine_open(&o->engine, o->model, &g, e)) return false;
    sampler_init(&sampler, &o->sampling);
    bool ok = o->tokens || prompt_ids(o, engine_vocab(g), prompt, e);
    if (ok) {
        struct generate_params p = {
            .prompt = prompt->ids,
            .n_prompt = prompt->n,
            .max_new = o->max_new,
            .ignore_eog = o->ignore_eos,
            .shift = o->shift,
            .keep = ENGINE_PAGE, // the BOS and how the prompt begins
            .sampler = &sampler,
            .strip_lead = o->is_chat,
            .on_text = o->json ? NULL : print_piece,
        };
        ok = generate(g, &p, &r, e);
        if (ok && o->json) print_json(engine_vocab(g), prompt->n, o->is_chat, &r);
        if (!o->json && r.ids.n) printf("\n");
    }
    tokens_free(&r.ids);
    engine_close(g);
    return ok && app_flush(e);
}

static int parse(struct options *o, struct tokens *prompt, bool *help, int argc, char **argv)
{
    struct err e = {0};
    for (int c; (c = getopt_long(argc, argv, ":p:n:h", long_options, NULL)) != -1;) {
        if (c == '?' || c == ':') return app_bad_option("run", c, argv);
        if (c == 'h') {
            print_help();
            *help = true;
            return APP_OK;
        }
        if (!take(o, c, optarg, &e)) return app_usage("run", "%s", e.msg);
    }
    int status = app_one_model("run", argc, argv, &o->model);
    if (status != APP_OK) return status;
    if (o->tokens && (o->prompt || o->is_chat))
        return app_usage("run", "--tokens takes the place of a prompt: leave out -p and --chat");
    if (o->chat.given && !o->is_chat)
        return app_usage("run", "--system, --chat-template, --tools and --date need --chat");
    if (o->tokens && !token_ids(o->tokens, prompt, &e)) return app_usage("run", "%s", e.msg);
    return APP_OK;
}

int cmd_run(int argc, char **argv)
{
    struct options o = {.max_new = 256, .sampling = {.top_p = 1}};
    struct err e = {0};
    struct tokens prompt = {0};
    bool help = false;
    app_engine_init(&o.engine);
    o.engine.p.pass_progress = &o.engine.pass;
    int status = parse(&o, &prompt, &help, argc, argv);
    if (status == APP_OK && !help && !run(&o, &prompt, &e)) status = app_fail(&e);
    tokens_free(&prompt);
    app_chat_free(&o.chat);
    return status;
}
