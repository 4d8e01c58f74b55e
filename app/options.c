#include "app/options.h"
#include "app/layout.h"
#include "base/file.h"
#include "evals/eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_notes(void *ctx, const struct engine_layout *l)
{
    struct app_engine *a = ctx;
    struct text t = {0};
    layout_notes(l, &t);
    if (t.data && a->progress.enabled) fputs(t.data, stderr);
    text_free(&t);
}

void app_engine_init(struct app_engine *a)
{
    memset(a, 0, sizeof *a);
    progress_init(&a->progress, true);
    progress_init(&a->pass, true);
    a->p.progress = &a->progress;
    a->p.on_layout = print_notes;
    a->p.on_layout_ctx = a;
}

// "4G", "1.5g", "900M"; units of 1024, none: bytes.
static bool parse_size(const char *text, size_t n, uint64_t *out)
{
    char number[32], *end;
    if (!n || n >= sizeof number) return false;
    memcpy(number, text, n);
    number[n] = '\0';
    double v = strtod(number, &end);
    double unit = *end == 'G' || *end == 'g'   ? 0x1p30
                  : *end == 'M' || *end == 'm' ? 0x1p20
                  : *end == 'K' || *end == 'k' ? 0x1p10
                                               : 1;
    if (end == number || (unit > 1 ? end[1] : *end) || !(v > 0 && v * unit < 0x1p60)) return false;
    *out = (uint64_t)(v * unit);
    return true;
}

static bool max_vram(struct app_engine *a, const char *arg, struct err *e)
{
    uint32_t n = 0;
    for (const char *p = arg; p; n++) {
        const char *comma = strchr(p, ',');
        size_t size = comma ? (size_t)(comma - p) : strlen(p);
        if (n == ENGINE_MAX_DEVICES || !parse_size(p, size, &a->p.max_bytes[n]))
            return err_set(e, ERR_ARG,
                           "--max-vram is a size as 4G or 900M, or several with commas between, "
                           "not '%s'",
                           arg);
        p = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool disable(struct app_engine *a, const char *arg, struct err *e)
{
    for (const char *p = arg; p;) {
        const char *comma = strchr(p, ','), *name;
        size_t size = comma ? (size_t)(comma - p) : strlen(p);
        uint32_t f = 0;
        while ((name = engine_feature_name((enum engine_feature)f)) &&
               (strlen(name) != size || strncmp(p, name, size) != 0))
            f++;
        if (!name)
            return err_set(e, ERR_ARG,
                           "--disable is texel, subgroups, fp16, int-dot or coopmat, or several "
                           "with commas between, not '%s'",
                           arg);
        a->p.disable |= 1u << f;
        p = comma ? comma + 1 : NULL;
    }
    return true;
}

static bool set_plan(struct app_engine *a, const char *arg, struct err *e)
{
    a->plan = arg ? PLAN_JSON : PLAN_TABLE;
    return !arg || !strcmp(arg, "json") ||
           err_set(e, ERR_ARG, "--plan is alone or --plan=json, not --plan=%s", arg);
}

// FILE or FILE:SCALE. A colon may be part of a file's name: only a number behind the last one is a
// scale, and anything else behind it is a wrong scale only where FILE is there without it.
static bool add_lora(struct app_engine *a, const char *arg, struct err *e)
{
    uint32_t n = a->p.n_loras;
    const char *colon = strrchr(arg, ':');
    double scale = 1;
    if (n == APP_MAX_LORAS)
        return err_set(e, ERR_ARG, "--lora can be given at most %d times", APP_MAX_LORAS);
    char *path = a->lora_paths[n];
    size_t size = colon ? (size_t)(colon - arg) : strlen(arg);
    if (strlen(arg) >= APP_LORA_PATH)
        return err_set(e, ERR_ARG, "--lora: the file's name is too long");
    memcpy(path, arg, size);
    path[size] = '\0';
    char *end = NULL;
    bool number = colon && (strtod(colon + 1, &end), end != colon + 1 && !*end);
    if (number || (colon && !file_exists(arg) && file_exists(path))) {
        if (!app_parse_f64("--lora FILE:SCALE", colon + 1, -1e6, 1e6, &scale, e)) return false;
    } else {
        strcpy(path, arg);
    }
    if (!*path) return err_set(e, ERR_ARG, "--lora needs a file");
    a->loras[n] = (struct engine_lora){.path = path, .scale = (float)scale};
    a->p.n_loras = n + 1;
    size_t used = strlen(a->lora_text);
    (void)snprintf(a->lora_text + used, sizeof a->lora_text - used, "%s%s:%g", used ? "," : "",
                   path, scale);
    return true;
}

bool app_engine_option(struct app_engine *a, int c, const char *arg, struct err *e)
{
    switch (c) {
    case OPT_DEVICE:
        if (!*arg) return err_set(e, ERR_ARG, "--device needs a number or a part of a name");
        a->p.device = arg;
        return true;
    case OPT_CTX: return app_parse_u32("--ctx", arg, 32, 1 << 20, &a->p.n_ctx, e);
    case OPT_BATCH: return app_parse_u32("--batch", arg, 1, 8192, &a->p.n_batch, e);
    case OPT_VALIDATE: a->p.validate = true; return true;
    case OPT_QUIET: a->progress.enabled = a->pass.enabled = false; return true;
    case OPT_TILE_CACHE: a->p.tile_cache = true; return true;
    case OPT_TIER:
        a->p.tier_given = true;
        return app_parse_u32("--tier", arg, 0, ENGINE_MAX_TIER, &a->p.tier, e);
    case OPT_DISABLE: return disable(a, arg, e);
    case OPT_LORA: return add_lora(a, arg, e);
    case OPT_MAX_VRAM: return max_vram(a, arg, e);
    case OPT_PLAN: return set_plan(a, arg, e);
    case OPT_KV:
        for (a->p.kv = 0; a->p.kv < ENGINE_N_KV; a->p.kv++)
            if (!strcmp(arg, engine_kv_name(a->p.kv))) return true;
        return err_set(e, ERR_ARG, "--kv is f16, f32, q8_0 or q4_0, not '%s'", arg);
    default: return err_set(e, ERR_INTERNAL, "option %d has no meaning", c);
    }
}

static bool print_plan(struct app_engine *a, struct err *e)
{
    struct engine_layout l;
    struct text t = {0};
    if (!engine_lay_out(&a->p, &l, e)) return false;
    (a->plan == PLAN_JSON ? layout_json : layout_table)(&l, &t);
    bool ok = !t.failed || err_nomem(e, "the plan", t.size);
    if (ok) fwrite(t.data, 1, t.size, stdout);
    text_free(&t);
    return ok && app_flush(e);
}

static bool set_model(struct app_engine *a, const char *model, struct err *e)
{
    if (!app_model_path(model, a->path, sizeof a->path, e)) return false;
    a->p.model_path = a->path;
    a->p.loras = a->loras;
    return true;
}

bool app_engine_open(struct app_engine *a, const char *model, struct engine **out, struct err *e)
{
    *out = NULL;
    if (!set_model(a, model, e)) return false;
    if (a->plan != PLAN_NO) {
        if (!print_plan(a, e)) return false;
        exit(APP_OK);
    }
    if (!engine_open(&a->p, out, e)) return false;
    const char *warning = engine_info(*out)->warning;
    if (*warning) fprintf(stderr, "lectern: warning: %s\n", warning);
    return true;
}

// Whether everything stays on the devices at the length asked for.
static bool fits_whole(const struct app_engine *a)
{
    struct engine_layout l;
    struct err ignored;
    uint32_t resident = 0;
    if (!engine_lay_out(&a->p, &l, &ignored)) return false;
    for (uint32_t i = 0; i < l.n_devices; i++)
        resident += l.device[i].n_resident;
    return resident == l.n_layers && !l.smaller_ctx;
}

bool app_engine_open_eval(struct app_engine *a, const char *model, uint32_t n_seqs,
                          struct engine **out, struct err *e)
{
    *out = NULL;
    if (!set_model(a, model, e)) return false;
    for (uint32_t n = n_seqs;; n /= 2) { // 8, 4, 2, 1 and the shots; at last one for both
        a->p.n_seqs = n + 1;
        if (!n || fits_whole(a)) break;
    }
    return app_engine_open(a, model, out, e);
}

int app_bad_option(const char *command, int c, char **argv)
{
    const char *word = argv[optind - 1];
    bool is_long = !strncmp(word, "--", 2);
    // A letter of "-abc" is named by optopt alone: optind may still stand at that word.
    bool letter = optopt > 0 && optopt < OPT_DEVICE;
    if (c == ':') {
        if (is_long || !letter) return app_usage(command, "%s needs a value", word);
        return app_usage(command, "-%c needs a value", optopt);
    }
    if (is_long && optopt && strchr(word, '='))
        return app_usage(command, "%.*s takes no value", (int)strcspn(word, "="), word);
    if (letter) return app_usage(command, "there is no option '-%c'", optopt);
    return app_usage(command, "there is no option '%s'", word);
}

int app_one_model(const char *command, int argc, char **argv, const char **model)
{
    *model = optind < argc ? argv[optind] : NULL;
    if (optind + 1 < argc)
        return app_usage(command, "'%s' is one argument too many", argv[optind + 1]);
    return APP_OK;
}

static bool real(const char *opt, const char *text, double hi, float *out, struct err *e)
{
    double v;
    if (!app_parse_f64(opt, text, 0, hi, &v, e)) return false;
    *out = (float)v;
    return true;
}

bool app_sampling_option(struct sampler_params *s, int c, const char *arg, bool *taken,
                         struct err *e)
{
    unsigned seed;
    *taken = true;
    switch (c) {
    case OPT_GREEDY: s->temperature = 0; return true;
    case OPT_TEMP: return real("--temp", arg, 10, &s->temperature, e);
    case OPT_TOP_K: return app_parse_u32("--top-k", arg, 0, 1 << 22, &s->top_k, e);
    case OPT_TOP_P: return real("--top-p", arg, 1, &s->top_p, e);
    case OPT_MIN_P: return real("--min-p", arg, 1, &s->min_p, e);
    case OPT_SEED:
        if (!app_parse_u32("--seed", arg, 0, 4294967295u, &seed, e)) return false;
        s->seed = seed;
        return true;
    default: *taken = false; return true;
    }
}
