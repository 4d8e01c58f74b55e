// What lectern bench prints: a table, or JSON.
#include "app/bench.h"
#include "base/json.h"
#include "fit/profile.h"

#include <stdio.h>
#include <string.h>

const char *bench_phase(enum fit_phase p)
{
    return p == FIT_PREFILL ? "prefill" : "decode";
}

static void print_speeds(const struct bench_result *t)
{
    printf("           tokens   behind  together      tok/s     lowest    highest  runs\n");
    for (unsigned k = 0; k < t->n; k++) {
        const struct fit_speed *s = &t->speed[k].s;
        printf("%-8s %8u %8u  %8u %10.2f %10.2f %10.2f  %4u\n", bench_phase(t->speed[k].phase),
               s->n_tokens, s->depth, s->batch, s->median, s->low, s->high, s->runs);
    }
}

void bench_table(const struct bench_request *r, const struct engine *g,
                 const struct bench_result *t)
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
    print_speeds(t);
    printf("matvec   %37.2f GB/s of weights, one token\n", t->bytes_s / 1e9);
    if (r->kernels) bench_kernels_table(t);
}

static void speed_json(const struct bench_speed *b, const char *comma)
{
    const struct fit_speed *s = &b->s;
    printf("%s\n    {\"phase\": \"%s\", \"tokens\": %u, \"depth\": %u, \"batch\": %u, "
           "\"runs\": %u, \"tok_s\": %.3f, \"tok_s_low\": %.3f, \"tok_s_high\": %.3f}",
           comma, bench_phase(b->phase), s->n_tokens, s->depth, s->batch, s->runs, s->median,
           s->low, s->high);
}

static void head_json(const struct bench_request *r, const struct engine_info *i,
                      const char *device, const char *name, const char *path, const char *adapters)
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

static void speeds_json(const struct engine_info *i, const struct bench_result *t)
{
    printf(" \"load_path\": \"%s\", \"load_s\": %.3f, \"matvec_gb_s\": %.3f,\n \"speeds\": [",
           i->load_path, i->load_s, t->bytes_s / 1e9);
    for (unsigned k = 0; k < t->n; k++)
        speed_json(&t->speed[k], k ? "," : "");
    printf("]");
}

bool bench_json(const struct bench_request *r, const struct engine *g, const struct bench_result *t,
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
        speeds_json(i, t);
        if (r->kernels) bench_kernels_json(t);
        printf("}\n");
    }
    cJSON_free(device_text);
    text_free(&name);
    text_free(&path);
    text_free(&adapters);
    return ok || err_nomem(e, "the JSON text", 0);
}
