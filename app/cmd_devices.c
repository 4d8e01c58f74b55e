// lectern devices: what Vulkan offers here; with a measurement, the whole hardware.json.
#include "app/options.h"
#include "base/json.h"
#include "fit/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_JSON = OPT_OWN, OPT_OUT, OPT_MEASURE };

static const struct option long_options[] = {
    APP_ENGINE_OPTIONS,
    {"json", no_argument, NULL, OPT_JSON},
    {"out", required_argument, NULL, OPT_OUT},
    {"measure", no_argument, NULL, OPT_MEASURE},
    {0},
};

struct request {
    struct app_engine a;
    const char *model, *out;
    bool json, measure;
};

static void print_help(void)
{
    printf("usage: lectern devices [--json] [--measure] [--out FILE] [MODEL] [OPTION]...\n\n"
           "Lists the Vulkan devices of this machine. With --measure, --out or a MODEL it\n"
           "also loads the model, measures its speed (about ten seconds) and makes the\n"
           "hardware profile (fit/README.md): device, host, speeds, and which Llama fits.\n\n"
           "  --json          JSON on standard output: the devices, or the profile\n"
           "  --measure       measure with the default model\n"
           "  --out FILE      measure, and write the profile to FILE (hardware.json)\n\n"
           "When it measures:\n" APP_ENGINE_HELP);
}

static void print_size(uint64_t bytes)
{
    if (bytes >= 1ull << 30)
        printf("%.1f GiB", (double)bytes / 0x1p30);
    else
        printf("%.0f MiB", (double)bytes / 0x1p20);
}

static void print_device(const struct engine_device *d)
{
    char version[32];
    fit_version(d->api_version, version);
    printf("%2u  %-50.50s  %-10s  tier %u\n", d->index, d->name, d->type, d->tier);
    printf("    driver   %.60s, Vulkan %s\n", d->driver, version);
    if (!d->usable) {
        printf("    cannot be used: %.60s\n", d->why_not);
        return;
    }
    printf("    memory   ");
    print_size(d->heap_bytes);
    printf(", budget ");
    print_size(d->budget_bytes);
    printf("%s%s\n", d->budget_known ? " (from the driver)" : " (the heap's size)",
           d->unified ? ", shared with the host" : "");
    printf("    limits   buffer ");
    print_size(d->max_buffer_range);
    printf(", allocation ");
    print_size(d->max_allocation);
    printf(", texels %.0f M, workgroup %u\n", d->max_texel_elements / 1048576.0, d->max_workgroup);
    printf("    offers   subgroups of %u%s%s%s, %u KiB shared memory\n", d->subgroup_size,
           d->fp16 ? ", fp16" : "", d->int8_dot ? ", int8 dot" : "",
           d->coopmat ? ", cooperative matrix" : "", d->shared_bytes / 1024);
    if (d->measures) printf("    kernels  %s\n", *d->kernels ? d->kernels : "not measured yet");
}

static bool print_json(cJSON *json, struct err *e)
{
    char *text = json ? cJSON_Print(json) : NULL;
    if (!text) return err_nomem(e, "the JSON text", 0);
    printf("%s\n", text);
    cJSON_free(text);
    return true;
}

static bool list_json(struct err *e)
{
    cJSON *list;
    if (!fit_devices_json(&list, e)) return false;
    bool ok = print_json(list, e);
    cJSON_Delete(list);
    return ok;
}

static bool list_table(struct err *e)
{
    struct engine_device *d;
    size_t n;
    if (!engine_devices(&d, &n, e)) return false;
    for (size_t i = 0; i < n; i++)
        print_device(&d[i]);
    free(d);
    return true;
}

// What was measured, in four lines, from the document itself.
static void print_summary(const cJSON *hw)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(hw, "measured"), *row;
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(hw, "model");
    int fits = 0, streamed = 0, rows = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(hw, "fits"))
    {
        rows++;
        fits += !strncmp(json_string_or(row, "verdict", ""), "fits", 4);
        streamed += !strcmp(json_string_or(row, "verdict", ""), "streamed");
    }
    double layers = json_number_or(model, "n_layers", 0);
    double resident = json_number_or(model, "n_resident", layers);
    printf("\nmeasured with %.60s\n", json_string_or(model, "name", "a model"));
    if (resident < layers)
        printf("    %.0f of %.0f layers in memory, the others read from the file for every token\n",
               resident, layers);
    printf("    prefill  %.1f tok/s (%.0f tokens)\n", json_number_or(m, "prefill_tok_s", 0),
           json_number_or(m, "prefill_tokens", 0));
    printf("    decode   %.1f tok/s (%.1f to %.1f)\n", json_number_or(m, "decode_tok_s", 0),
           json_number_or(m, "decode_tok_s_low", 0), json_number_or(m, "decode_tok_s_high", 0));
    printf("    matvec   %.2f GB/s\n", json_number_or(m, "matvec_gb_s", 0));
    printf("    budget   %.1f GiB: %d of %d Llamas (size x quantization) fit",
           json_number_or(hw, "memory_budget_bytes", 0) / 0x1p30, fits, rows);
    if (streamed) printf(",\n             %d more run with layers read from the file", streamed);
    putchar('\n');
}

static bool measure(struct request *r, struct err *e)
{
    struct engine *g;
    cJSON *hw;
    if (!app_engine_open(&r->a, r->model, &g, e)) return false;
    bool ok = fit_profile(g, r->a.path, &r->a.progress, &hw, e);
    engine_close(g);
    if (!ok) return false;
    if (r->out) ok = json_save(r->out, hw, e);
    if (ok && r->json)
        ok = print_json(hw, e);
    else if (ok && (ok = list_table(e)))
        print_summary(hw);
    if (ok && r->out && !r->json) printf("\nprofile written to %s\n", r->out);
    cJSON_Delete(hw);
    return ok;
}

int cmd_devices(int argc, char **argv)
{
    struct request r = {0};
    struct err e = {0};
    app_engine_init(&r.a);
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return APP_OK;
        }
        if (c == '?' || c == ':') return app_bad_option("devices", c, argv);
        if (c == OPT_JSON)
            r.json = true;
        else if (c == OPT_MEASURE)
            r.measure = true;
        else if (c == OPT_OUT)
            r.out = optarg;
        else if (!app_engine_option(&r.a, c, optarg, &e))
            return app_usage("devices", "%s", e.msg);
    }
    int status = app_one_model("devices", argc, argv, &r.model);
    if (status != APP_OK) return status;
    bool ok = r.measure || r.out || r.model ? measure(&r, &e)
              : r.json                      ? list_json(&e)
                                            : list_table(&e);
    return ok && app_flush(&e) ? APP_OK : app_fail(&e);
}
