// lectern chat: a conversation. Every turn renders the whole conversation with the model's template
// and keeps the cached positions that it shares with the turn before.
#include "app/chat_options.h"
#include "app/generate.h"
#include "base/cancel.h"
#include "base/json.h"
#include "base/size.h"

#include <editline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    APP_SAMPLING_OPTIONS,
    APP_CHAT_OPTIONS,
    {0},
};

static void print_help(void)
{
    printf("usage: lectern chat [MODEL] [OPTION]...\n\n"
           "Talk to a model. An empty line or ^D ends it; ^C stops an answer.\n\n" APP_CHAT_HELP
           "  -n N            most new tokens an answer (default 512)\n" APP_SAMPLING_HELP
           "                  (default: --temp 0.7 --top-p 0.95)\n" APP_ENGINE_HELP
           "\nWhen the context is full, its beginning (the system message) stays, the older\n"
           "half of the rest is forgotten, and the answer goes on. The cached rows that are\n"
           "left are moved, not computed anew: what follows is an approximation.\n"
           "\nIn the conversation: /clear forgets it, /stats prints the speed of the last\n"
           "answer, /tool TEXT answers a call of a function, /help lists this.\n");
}

struct chat {
    struct app_engine engine;
    struct sampler_params sampling;
    struct sampler sampler;
    struct engine *g;
    struct app_chat options;
    const char *template; // the name
    unsigned max_new;
    struct chat_message *msg; // texts owned, except the system message's
    size_t n_msg, cap;
    struct tokens cached; // what sequence 0 holds
    uint32_t keep;        // first positions that a shift leaves, whole pages
    size_t gone;          // tokens of the conversation forgotten behind them
    bool said;            // that there was a shift
    struct generate_result last;
    size_t last_prompt;
};

static bool take(struct chat *o, int c, const char *arg, struct err *e)
{
    bool taken;
    if (!app_sampling_option(&o->sampling, c, arg, &taken, e)) return false;
    if (taken) return true;
    if (!app_chat_option(&o->options, c, arg, &taken, e)) return false;
    if (taken) return true;
    switch (c) {
    case 'n': return app_parse_u32("-n", arg, 1, 1 << 20, &o->max_new, e);
    default: return app_engine_option(&o->engine, c, arg, e);
    }
}

static bool add_message(struct chat *c, const char *role, char *text, struct err *e)
{
    if (c->n_msg == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;
        struct chat_message *grown = realloc(c->msg, cap * sizeof *grown);
        if (!grown) return err_nomem(e, "the conversation", cap * sizeof *grown);
        c->msg = grown;
        c->cap = cap;
    }
    c->msg[c->n_msg++] = (struct chat_message){.role = role, .text = text};
    return true;
}

static void forget(struct chat *c, size_t from, size_t n) // messages [from, from + n)
{
    for (size_t i = from; i < from + n; i++)
        free((char *)(uintptr_t)c->msg[i].text);
    memmove(c->msg + from, c->msg + from + n, (c->n_msg - from - n) * sizeof *c->msg);
    c->n_msg -= n;
}

// Messages as ids.
static bool to_ids(const struct chat *c, const struct chat_message *msg, size_t n,
                   bool add_assistant, struct tokens *ids, struct err *e)
{
    const struct vocab *v = engine_vocab(c->g);
    struct vocab_chat_params p = c->options.p;
    char *text = NULL;
    p.add_assistant = add_assistant;
    ids->n = 0;
    bool ok = vocab_chat(v, &p, msg, n, &text, e) &&
              vocab_tokenize(v, text, strlen(text), TOK_SPECIAL | TOK_ADD_BOS, ids, e);
    free(text);
    return ok;
}

static void cut(struct tokens *t, size_t at, size_t n)
{
    memmove(t->ids + at, t->ids + at + n, (t->n - at - n) * sizeof *t->ids);
    t->n -= n;
}

static size_t common(const struct tokens *a, const struct tokens *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->ids[n] == b->ids[n])
        n++;
    return n;
}

// What every conversation begins with: all before the first words of the user.
static bool find_keep(struct chat *c, struct err *e)
{
    struct tokens a = {0}, b = {0};
    struct chat_message m[] = {{.role = "system", .text = c->options.system},
                               {.role = "user", .text = "a"}};
    size_t first = c->options.system ? 0 : 1;
    bool ok = to_ids(c, m + first, 2 - first, false, &a, e);
    m[1].text = "b";
    ok = ok && to_ids(c, m + first, 2 - first, false, &b, e);
    c->keep = (uint32_t)size_align(common(&a, &b), ENGINE_PAGE);
    tokens_free(&a);
    tokens_free(&b);
    return ok;
}

// The conversation as ids, without what a shift forgot.
static bool render(struct chat *c, struct tokens *ids, struct err *e)
{
    if (!to_ids(c, c->msg, c->n_msg, true, ids, e)) return false;
    if (ids->n < c->keep + c->gone) c->gone = 0;
    if (c->gone) cut(ids, c->keep, c->gone);
    return true;
}

static void say_shifted(struct chat *c)
{
    if (!c->said)
        fprintf(stderr,
                "(the context is full: the older half of the conversation was forgotten, as "
                "it will be again)\n");
    c->said = true;
}

static bool forget_oldest(struct chat *c, size_t n_ids, struct err *e)
{
    size_t first = c->options.system ? 1 : 0;
    if (c->n_msg < first + 3)
        return err_set(
            e, ERR_ARG,
            "the message has %zu tokens, the context %u: choose a larger --ctx or say less", n_ids,
            engine_info(c->g)->n_ctx);
    forget(c, first, 2);
    c->gone = 0;
    fprintf(stderr, "(the context is full: the oldest exchange was forgotten)\n");
    return true;
}

// The conversation, such that an answer fits behind it: what is cached is shifted, or, where that
// is not enough, the oldest exchanges are dropped. The first *same ids are in the cache.
static bool fit(struct chat *c, struct tokens *ids, size_t *same, struct err *e)
{
    uint32_t n_ctx = engine_info(c->g)->n_ctx, half = generate_drop(c->g, c->keep);
    if (!render(c, ids, e)) return false;
    for (;;) {
        *same = common(&c->cached, ids);
        if (*same == ids->n) --*same; // one at least is run, for its logits
        if (!engine_seq_truncate(c->g, 0, (uint32_t)*same, e)) return false;
        c->cached.n = *same;
        if (ids->n + 16 <= n_ctx) return true;
        size_t cached = *same > c->keep ? (*same - c->keep) / ENGINE_PAGE * ENGINE_PAGE : 0;
        uint32_t drop = (uint32_t)size_min(half, cached);
        if (!drop) {
            if (!forget_oldest(c, ids->n, e) || !render(c, ids, e)) return false;
            continue;
        }
        if (!engine_seq_shift(c->g, 0, c->keep, drop, e)) return false;
        cut(&c->cached, c->keep, drop);
        cut(ids, c->keep, drop);
        c->gone += drop;
        say_shifted(c);
    }
}

// The cache holds the prompt and all generated tokens that were run, without what was forgotten.
static bool note_cached(struct chat *c, struct tokens *ids, struct err *e)
{
    const struct generate_result *r = &c->last;
    size_t held = engine_seq_len(c->g, 0) + r->forgotten;
    bool ok = true;
    for (size_t i = 0; ok && i < r->ids.n && ids->n < held; i++)
        ok = tokens_push(ids, r->ids.ids[i], e);
    if (ids->n > held) ids->n = held;
    if (r->forgotten && ids->n >= c->keep + r->forgotten) {
        cut(ids, c->keep, r->forgotten);
        c->gone += r->forgotten;
        say_shifted(c);
    }
    tokens_free(&c->cached);
    c->cached = *ids;
    return ok;
}

static bool print_piece(void *ctx, const char *text, size_t size, struct err *e)
{
    text_add(ctx, text, size);
    fwrite(text, 1, size, stdout);
    return app_flush(e);
}

// Runs the tokens behind the common prefix and prints the answer. *said is the answer's text.
static bool answer(struct chat *c, struct text *said, struct err *e)
{
    struct tokens ids = {0};
    size_t same;
    if (!fit(c, &ids, &same, e)) {
        tokens_free(&ids);
        return false;
    }
    uint32_t room = engine_info(c->g)->n_ctx - (uint32_t)ids.n;
    bool shift = generate_drop(c->g, c->keep) > 0;
    struct generate_params p = {
        .prompt = ids.ids + same,
        .n_prompt = ids.n - same,
        .max_new = shift || c->max_new < room ? c->max_new : room,
        .sampler = &c->sampler,
        .shift = shift,
        .keep = c->keep,
        .strip_lead = true,
        .on_text = print_piece,
        .ctx = said,
    };
    tokens_free(&c->last.ids);
    c->last_prompt = p.n_prompt;
    bool ok = generate(c->g, &p, &c->last, e);
    printf("\n");
    struct err ignored; // the first error is the one to tell
    return note_cached(c, &ids, ok ? e : &ignored) && ok;
}

static void print_stats(const struct chat *c)
{
    const struct generate_result *r = &c->last;
    if (!r->ids.n) return;
    printf("%zu tokens read in %.2f s, %zu written at %.1f tokens/s; context %u of %u\n",
           c->last_prompt, r->prefill_s, r->ids.n,
           r->ids.n > 1 ? (double)(r->ids.n - 1) / r->decode_s : 0.0, engine_seq_len(c->g, 0),
           engine_info(c->g)->n_ctx);
}

static void clear_conversation(struct chat *c)
{
    size_t first = c->options.system ? 1 : 0;
    forget(c, first, c->n_msg - first);
    c->cached.n = c->gone = 0;
}

// One exchange. *end is set when the conversation is over.
static bool turn(struct chat *c, bool *end, struct err *e)
{
    char *line = readline(isatty(STDIN_FILENO) ? "> " : "");
    if (!line && cancel_requested()) { // ^C while typing
        if (!isatty(STDIN_FILENO)) return cancel_check(e);
        cancel_clear();
        printf("\n(an empty line or ^D ends the conversation)\n");
        return true;
    }
    if (!line || !*line) {
        *end = true;
        free(line);
        return true;
    }
    add_history(line);
    cancel_clear();
    const char *role = "user";
    if (!strncmp(line, "/tool ", 6)) {
        role = "ipython";
        memmove(line, line + 6, strlen(line + 6) + 1);
        if (strcmp(c->template, "llama3.1")) {
            printf("the template %s has no place for a function's answer\n", c->template);
            free(line);
            return true;
        }
    } else if (*line == '/') {
        if (!strcmp(line, "/clear"))
            clear_conversation(c);
        else if (!strcmp(line, "/stats"))
            print_stats(c);
        else
            printf("/clear      forgets the conversation\n"
                   "/stats      prints the speed of the last answer\n"
                   "/tool TEXT  answers a call of a function\n"
                   "an empty line ends\n");
        free(line);
        return true;
    }
    if (!add_message(c, role, line, e)) {
        free(line);
        return false;
    }
    struct text said = {0};
    bool ok = answer(c, &said, e);
    if (!ok && e->code == ERR_CANCELLED) { // the answer stands as far as it went
        cancel_clear();
        ok = true;
    }
    if (ok && said.failed) ok = err_nomem(e, "the answer", said.cap);
    char *text = said.data ? said.data : calloc(1, 1);
    return ok && (text || err_nomem(e, "the answer", 1)) && add_message(c, "assistant", text, e);
}

// What the template refuses is said before the first question.
static bool try_template(const struct chat *c, struct err *e)
{
    char *text = NULL;
    const char *system = c->options.system;
    struct chat_message m[2] = {{.role = "system", .text = system}, {.role = "user", .text = ""}};
    bool ok =
        vocab_chat(engine_vocab(c->g), &c->options.p, system ? m : m + 1, system ? 2 : 1, &text, e);
    free(text);
    return ok;
}

static bool chat(struct chat *c, const char *model, struct err *e)
{
    if (!app_engine_open(&c->engine, model, &c->g, e)) return false;
    const struct engine_info *in = engine_info(c->g);
    c->template = c->options.p.name;
    if (!c->template) c->template = vocab_chat_template(engine_vocab(c->g));
    bool ok = try_template(c, e) && find_keep(c, e);
    if (ok && c->options.system)
        ok = add_message(c, "system", (char *)(uintptr_t)c->options.system, e);
    sampler_init(&c->sampler, &c->sampling);
    if (ok && isatty(STDOUT_FILENO))
        printf("%s, %s, template %s, on %s\nAn empty line ends; /help lists more.\n", in->name,
               in->file_type, c->template, engine_device(c->g)->name);
    for (bool end = false; ok && !end;)
        ok = turn(c, &end, e);
    if (c->options.system && c->n_msg) c->msg[0].text = NULL; // borrowed from argv
    forget(c, 0, c->n_msg);
    free(c->msg);
    tokens_free(&c->cached);
    tokens_free(&c->last.ids);
    engine_close(c->g);
    return ok && app_flush(e);
}

int cmd_chat(int argc, char **argv)
{
    struct chat c = {.max_new = 512,
                     .sampling = {.temperature = 0.7f, .top_p = 0.95f},
                     .options.p.add_assistant = true};
    struct err e = {0};
    const char *model;
    app_engine_init(&c.engine);
    c.engine.p.pass_progress = &c.engine.pass;
    for (int k; (k = getopt_long(argc, argv, ":n:h", long_options, NULL)) != -1;) {
        if (k == 'h') {
            print_help();
            return APP_OK;
        }
        if (k == '?' || k == ':') return app_bad_option("chat", k, argv);
        if (!take(&c, k, optarg, &e)) return app_usage("chat", "%s", e.msg);
    }
    int status = app_one_model("chat", argc, argv, &model);
    if (status != APP_OK) return status;
    bool ok = chat(&c, model, &e);
    app_chat_free(&c.options);
    return ok ? APP_OK : app_fail(&e);
}
