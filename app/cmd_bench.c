// lectern bench: prefill and decode speed of one model on one device.
#include "app/options.h"
#include "base/json.h"
#include "fit/profile.h"

#include <stdio.h>
#include <string.h>

enum { OPT_PREFILL = OPT_OWN, OPT_DECODE, OPT_RUNS, OPT_JSON, MAX_SIZES = 8 };

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    {"prefill", required_argument, NULL, OPT_PREFILL},
    {"decode", required_argument, NULL, OPT_DECODE},
    {"runs", required_argument, NULL, OPT_RUNS},
    {"json", no_argument, NULL, OPT_JSON},
    {0},
};

struct request {
    struct app_engine a;
    const char *model;
    unsigned prefill[MAX_SIZES], n_prefill, decode, runs;
    bool json;
};

struct result {
    struct fit_speed prefill[MAX_SIZES], decode;
    double bytes_s;
};

static void print_help(void)
{
    printf("usage: lectern bench [MODEL] [OPTION]...\n\n"
           "Measures how fast a model reads a prompt (prefill) and writes (decode), and how\n"
           "fast the matrix-vector kernel reads weights. Median of the runs, (lowest to\n"
           "highest).\n\n"
           "  --prefill N,N   prompt lengths (default 128,512; 0: none)\n"
           "  --decode N      tokens written from an empty context (default 64; 0: none)\n"
           "  --runs N        runs of each (default 5)\n"
           "  --json          everything as JSON\n" APP_ENGINE_HELP);
}

// "128,512"; a single 0 means none.
static bool parse_sizes(const char *text, struct request *r, struct err *e)
{
    char copy[128];
    if (strlen(text) >= sizeof copy)
        return err_set(e, ERR_ARG, "--prefill takes at most %d lengths", MAX_SIZES);
    strcpy(copy, text);
    r->n_prefill = 0;
    if (!strcmp(text, "0")) return true;
    for (char *at = copy, *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        if (r->n_prefill == MAX_SIZES)
            return err_set(e, ERR_ARG, "--prefill takes at most %d lengths", MAX_SIZES);
        if (!app_parse_u32("--prefill", at, 1, 131072, &r->prefill[r->n_prefill++], e))
            return false;
    }
    return true;
}

static bool measure(struct request *r, struct engine *g, struct result *out, struct err *e)
{
    *out = (struct result){0};
    if (!fit_matvec(g, 25, &out->bytes_s, e)) return false;
    for (unsigned i = 0; i < r->n_prefill; i++)
        if (!fit_speed(g, FIT_PREFILL, r->prefill[i], r->runs, &r->a.progress, &out->prefill[i], e))
            return false;
    return !r->decode ||
           fit_speed(g, FIT_DECODE, r->decode, r->runs, &r->a.progress, &out->decode, e);
}

static void print_speed(const char *what, const struct fit_speed *s)
{
    printf("%-8s %5u tokens   %9.2f tok/s   (%.2f to %.2f, %u runs)\n", what, s->n_tokens,
           s->median, s->low, s->high, s->runs);
}

static void print_table(const struct request *r, const struct engine *g, const struct result *t)
{
    const struct engine_info *i = engine_info(g);
    const struct engine_device *d = engine_device(g);
    printf("model    %.50s, %s, %.1f M parameters\n", i->name, i->file_type,
           (double)i->n_params / 1e6);
    printf("device   %.60s", d->name);
    if (i->n_devices > 1) printf(" and %u more", i->n_devices - 1);
    putchar('\n');
    printf("driver   %.50s, loads through %s\n", d->driver, i->load_path);
    printf("memory   weights %.1f MiB (in the file %.1f), cache %.1f MiB (%s, %u positions),\n"
           "         scratch %.1f MiB\n",
           (double)i->weight_bytes_device / 0x1p20, (double)i->weight_bytes_file / 0x1p20,
           (double)i->kv_bytes / 0x1p20, engine_kv_name(r->a.p.kv), i->n_ctx,
           (double)i->scratch_bytes / 0x1p20);
    if (i->n_resident < i->n_layers)
        printf("layers   %u of %u stay in memory, the others are read for every token\n",
               i->n_resident, i->n_layers);
    if (i->n_loras) printf("adapters %u, %.1f MiB\n", i->n_loras, (double)i->lora_bytes / 0x1p20);
    printf("load     %.2f s\n\n", i->load_s);
    for (unsigned k = 0; k < r->n_prefill; k++)
        print_speed("prefill", &t->prefill[k]);
    if (r->decode) print_speed("decode", &t->decode);
    printf("matvec   %12s   %9.2f GB/s\n", "", t->bytes_s / 1e9);
}

static void speed_json(const char *phase, const struct fit_speed *s, const char *comma)
{
    printf("%s\n    {\"phase\": \"%s\", \"tokens\": %u, \"runs\": %u, \"tok_s\": %.3f, "
           "\"tok_s_low\": %.3f, \"tok_s_high\": %.3f}",
           comma, phase, s->n_tokens, s->runs, s->median, s->low, s->high);
}

static void head_json(const struct request *r, const struct engine_info *i, const char *device,
                      const char *name, const char *path, const char *adapters)
{
    printf("{\"version\": 1,\n \"device\": %s, \"n_devices\": %u,\n", device, i->n_devices);
    printf(" \"model\": {\"name\": %s, \"path\": %s, \"file_type\": \"%s\", "
           "\"n_params\": %llu, \"n_layers\": %u",
           name, path, i->file_type, (unsigned long long)i->n_params, i->n_layers);
    if (i->n_loras) printf(", \"adapters\": %s", adapters);
    printf("},\n \"memory\": {\"weight_bytes\": %llu, \"device_bytes\": %llu, \"n_resident\": %u, "
           "\"lora_bytes\": %llu, \"kv_bytes\": %llu, ",
           (unsigned long long)i->weight_bytes_file, (unsigned long long)i->weight_bytes_device,
           i->n_resident, (unsigned long long)i->lora_bytes, (unsigned long long)i->kv_bytes);
    printf("\"kv\": \"%s\", \"n_ctx\": %u, \"n_batch\": %u, \"scratch_bytes\": %llu},\n",
           engine_kv_name(r->a.p.kv), i->n_ctx, i->n_batch, (unsigned long long)i->scratch_bytes);
}

static void speeds_json(const struct request *r, const struct engine_info *i,
                        const struct result *t)
{
    printf(" \"load_path\": \"%s\", \"load_s\": %.3f, \"matvec_gb_s\": %.3f,\n \"speeds\": [",
           i->load_path, i->load_s, t->bytes_s / 1e9);
    for (unsigned k = 0; k < r->n_prefill; k++)
        speed_json("prefill", &t->prefill[k], k ? "," : "");
    if (r->decode) speed_json("decode", &t->decode, r->n_prefill ? "," : "");
    printf("]}\n");
}

static bool print_json(const struct request *r, const struct engine *g, const struct result *t,
                       struct err *e)
{
    const struct engine_info *i = engine_info(g);
    struct text name = {0}, path = {0}, adapters = {0};
    text_json(&name, i->name, strlen(i->name), false);
    text_json(&path, r->a.path, strlen(r->a.path), false);
    text_json(&adapters, r->a.lora_text, strlen(r->a.lora_text), false);
    cJSON *device = fit_device_json(engine_device(g));
    char *device_text = device ? cJSON_PrintUnformatted(device) : NULL;
    cJSON_Delete(device);
    bool ok = device_text && !name.failed && !path.failed && !adapters.failed;
    if (ok) {
        head_json(r, i, device_text, name.data, path.data, adapters.data);
        speeds_json(r, i, t);
    }
    cJSON_free(device_text);
    text_free(&name);
    text_free(&path);
    text_free(&adapters);
    return ok || err_nomem(e, "the JSON text", 0);
}

static bool run(struct request *r, struct err *e)
{
    struct engine *g;
    struct result t;
    if (!app_engine_open(&r->a, r->model, &g, e)) return false;
    bool ok = measure(r, g, &t, e);
    if (ok && r->json)
        ok = print_json(r, g, &t, e);
    else if (ok)
        print_table(r, g, &t);
    engine_close(g);
    return ok && app_flush(e);
}

int cmd_bench(int argc, char **argv)
{
    struct request r = {.prefill = {128, 512}, .n_prefill = 2, .decode = 64, .runs = 5};
    struct err e = {0};
    bool ok = true;
    app_engine_init(&r.a);
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        switch (c) {
        case 'h': print_help(); return APP_OK;
        case '?':
        case ':': return app_bad_option("bench", c, argv);
        case OPT_JSON: r.json = true; break;
        case OPT_PREFILL: ok = parse_sizes(optarg, &r, &e); break;
        case OPT_DECODE: ok = app_parse_u32("--decode", optarg, 0, 131072, &r.decode, &e); break;
        case OPT_RUNS: ok = app_parse_u32("--runs", optarg, 1, 100, &r.runs, &e); break;
        default: ok = app_engine_option(&r.a, c, optarg, &e);
        }
        if (!ok) return app_usage("bench", "%s", e.msg);
    }
    int status = app_one_model("bench", argc, argv, &r.model);
    if (status != APP_OK) return status;
    if (!r.n_prefill && !r.decode) return app_usage("bench", "there is nothing to measure");
    return run(&r, &e) ? APP_OK : app_fail(&e);
}
