#include "fit/profile.h"
#include "fit/predict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PROFILE_PREFILL = 128,
    PROFILE_DECODE = 64,
    PROFILE_RUNS = 3,
    MATVEC_RUNS = 25,
    FIT_CTX = 2048, // context of the table of fits
};

// -------------------------------------------------------------------------------------- JSON

struct writer { // remembers the first allocation that failed
    bool failed;
};

static void put(struct writer *w, cJSON *obj, const char *key, cJSON *item)
{
    if (cJSON_AddItemToObject(obj, key, item)) return;
    cJSON_Delete(item);
    w->failed = true;
}

static void put_str(struct writer *w, cJSON *obj, const char *key, const char *v)
{
    put(w, obj, key, cJSON_CreateString(v));
}

static void put_num(struct writer *w, cJSON *obj, const char *key, double v)
{
    put(w, obj, key, cJSON_CreateNumber(v));
}

static void put_u64(struct writer *w, cJSON *obj, const char *key, uint64_t v)
{
    put_num(w, obj, key, (double)v); // exact below 2^53
}

static void put_bool(struct writer *w, cJSON *obj, const char *key, bool v)
{
    put(w, obj, key, cJSON_CreateBool(v));
}

// A measured figure with four digits that mean something: 12.34, 0.4321, 1234.
static void put_measured(struct writer *w, cJSON *obj, const char *key, double v)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.4g", v);
    put_num(w, obj, key, strtod(text, NULL));
}

void fit_version(uint32_t v, char out[32])
{
    (void)snprintf(out, 32, "%u.%u.%u", v >> 22 & 0x7fu, v >> 12 & 0x3ffu, v & 0xfffu);
}

cJSON *fit_device_json(const struct engine_device *d)
{
    struct writer w = {0};
    char version[32];
    cJSON *o = cJSON_CreateObject();
    fit_version(d->api_version, version);
    put_u64(&w, o, "index", d->index);
    put_str(&w, o, "name", d->name);
    put_str(&w, o, "driver", d->driver);
    put_str(&w, o, "type", d->type);
    put_str(&w, o, "uuid", d->uuid);
    put_u64(&w, o, "tier", d->tier);
    put_str(&w, o, "api_version", version);
    put_u64(&w, o, "subgroup_size", d->subgroup_size);
    put_u64(&w, o, "heap_bytes", d->heap_bytes);
    put_u64(&w, o, "budget_bytes", d->budget_bytes);
    put_bool(&w, o, "budget_known", d->budget_known);
    put_u64(&w, o, "max_buffer_range", d->max_buffer_range);
    put_u64(&w, o, "max_allocation", d->max_allocation);
    put_u64(&w, o, "max_texel_elements", d->max_texel_elements);
    put_u64(&w, o, "max_workgroup", d->max_workgroup);
    put_u64(&w, o, "shared_bytes", d->shared_bytes);
    put_bool(&w, o, "unified", d->unified);
    put_bool(&w, o, "fp16", d->fp16);
    put_bool(&w, o, "int8_dot", d->int8_dot);
    put_bool(&w, o, "coopmat", d->coopmat);
    put_bool(&w, o, "usable", d->usable);
    if (d->why_not[0]) put_str(&w, o, "why_not", d->why_not);
    if (!w.failed) return o;
    cJSON_Delete(o);
    return NULL;
}

bool fit_devices_json(cJSON **out, struct err *e)
{
    struct engine_device *devices;
    size_t n;
    struct writer w = {0};
    *out = NULL;
    if (!engine_devices(&devices, &n, e)) return false;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n && !w.failed; i++) {
        cJSON *o = fit_device_json(&devices[i]);
        w.failed = !cJSON_AddItemToArray(list, o);
        if (w.failed) cJSON_Delete(o);
    }
    free(devices);
    if (w.failed) {
        cJSON_Delete(list);
        return err_nomem(e, "the device list", 0);
    }
    *out = list;
    return true;
}

static cJSON *host_json(struct writer *w, const struct fit_host *h)
{
    cJSON *o = cJSON_CreateObject();
    put_str(w, o, "os", h->os);
    put_str(w, o, "cpu", h->cpu);
    put_u64(w, o, "cores", h->cores);
    put_u64(w, o, "ram_bytes", h->ram_bytes);
    put_u64(w, o, "ram_available_bytes", h->ram_available_bytes);
    put_u64(w, o, "disk_free_bytes", h->disk_free_bytes);
    return o;
}

static cJSON *model_json(struct writer *w, const struct engine_info *m, const char *path)
{
    cJSON *o = cJSON_CreateObject();
    put_str(w, o, "name", m->name);
    put_str(w, o, "path", path);
    put_str(w, o, "file_type", m->file_type);
    put_u64(w, o, "n_params", m->n_params);
    put_u64(w, o, "weight_bytes", m->weight_bytes_file);
    put_u64(w, o, "device_bytes", m->weight_bytes_device);
    put_u64(w, o, "device_bytes_per_token", m->weight_bytes_token);
    put_u64(w, o, "kv_bytes_per_token", fit_kv_bytes(m));
    put_u64(w, o, "n_layers", m->n_layers);
    put_u64(w, o, "n_resident", m->n_resident);
    put_u64(w, o, "n_devices", m->n_devices);
    put_u64(w, o, "n_ctx", m->n_ctx);
    put_u64(w, o, "n_ctx_train", m->n_ctx_train);
    put_u64(w, o, "scratch_bytes", m->scratch_bytes);
    put_str(w, o, "load_path", m->load_path);
    return o;
}

struct measured {
    double bytes_s;
    struct fit_speed prefill, decode;
    double load_s;
    struct fit_basis basis;
};

static cJSON *measured_json(struct writer *w, const struct measured *m)
{
    cJSON *o = cJSON_CreateObject();
    put_measured(w, o, "matvec_gb_s", m->bytes_s / 1e9);
    put_u64(w, o, "matvec_runs", MATVEC_RUNS);
    put_measured(w, o, "prefill_tok_s", m->prefill.median);
    put_u64(w, o, "prefill_tokens", m->prefill.n_tokens);
    put_measured(w, o, "prefill_tok_s_low", m->prefill.low);
    put_measured(w, o, "prefill_tok_s_high", m->prefill.high);
    put_measured(w, o, "decode_tok_s", m->decode.median);
    put_u64(w, o, "decode_tokens", m->decode.n_tokens);
    put_measured(w, o, "decode_tok_s_low", m->decode.low);
    put_measured(w, o, "decode_tok_s_high", m->decode.high);
    put_u64(w, o, "runs", m->decode.runs);
    if (m->basis.decode_s > 0)
        put_measured(w, o, "layer_overhead_us", m->basis.layer_s * 1e6);
    else
        put(w, o, "layer_overhead_us", cJSON_CreateNull());
    put_measured(w, o, "load_s", m->load_s);
    return o;
}

static cJSON *fit_json(struct writer *w, const struct fit_model *m, enum fit_quant q,
                       const struct fit_row *r)
{
    cJSON *o = cJSON_CreateObject();
    put_str(w, o, "model", m->name);
    put_str(w, o, "family", m->family);
    put_u64(w, o, "n_params", m->n_params);
    put_str(w, o, "quant", fit_quant_name(q));
    put_u64(w, o, "weight_bytes", r->weights.file);
    put_str(w, o, "weight_basis", "exact");
    put_u64(w, o, "device_bytes", r->weights.device);
    put_u64(w, o, "device_bytes_per_token", r->weights.device); // the embedding is not among them
    put_u64(w, o, "n_ctx", r->n_ctx);
    put_u64(w, o, "kv_bytes", r->kv_bytes);
    put_u64(w, o, "scratch_bytes", r->scratch_bytes);
    put_u64(w, o, "total_bytes", r->total_bytes);
    put_str(w, o, "verdict", fit_verdict_name(r->verdict));
    if (r->why[0]) put_str(w, o, "why", r->why);
    put_u64(w, o, "max_ctx", r->max_ctx);
    put_u64(w, o, "n_layers", m->n_layers);
    put_u64(w, o, "n_resident", r->n_resident);
    put_u64(w, o, "streamed_bytes_per_token", r->streamed_bytes);
    if (r->decode_tok_s > 0)
        put_measured(w, o, "decode_tok_s", r->decode_tok_s);
    else
        put(w, o, "decode_tok_s", cJSON_CreateNull());
    put_str(w, o, "decode_basis", "modelled");
    put_u64(w, o, "download_bytes", r->weights.file);
    return o;
}

static cJSON *fits_json(struct writer *w, const struct engine_device *d, uint64_t budget,
                        const struct fit_basis *basis, struct err *e)
{
    static const enum fit_quant quants[] = {FIT_Q4_0, FIT_Q4_1, FIT_Q4_K_M, FIT_Q5_K_M,
                                            FIT_Q6_K, FIT_Q8_0, FIT_F16};
    struct fit_model *models;
    size_t n;
    if (!fit_models(&models, &n, e)) return NULL;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++)
        for (size_t q = 0; q < sizeof quants / sizeof quants[0]; q++) {
            struct fit_row r;
            fit_predict(d, &models[i], quants[q], FIT_CTX, budget, basis, &r);
            cJSON *o = fit_json(w, &models[i], quants[q], &r);
            if (cJSON_AddItemToArray(list, o)) continue;
            cJSON_Delete(o);
            w->failed = true;
        }
    free(models);
    return list;
}

static bool measure(struct engine *g, struct progress *p, struct measured *m, struct err *e)
{
    const struct fit_speed_params prefill = {FIT_PREFILL, PROFILE_PREFILL, .runs = PROFILE_RUNS};
    const struct fit_speed_params decode = {FIT_DECODE, PROFILE_DECODE, .runs = PROFILE_RUNS};
    const struct engine_info *info = engine_info(g);
    if (!fit_matvec(g, MATVEC_RUNS, &m->bytes_s, e) || !fit_speed(g, &prefill, p, &m->prefill, e) ||
        !fit_speed(g, &decode, p, &m->decode, e))
        return false;
    m->load_s = info->load_s;
    if (info->n_resident < info->n_layers) return true; // the time of a token is the file's, too
    double kv = (double)fit_kv_bytes(info) * m->decode.n_tokens / 2;
    double bytes = (double)info->weight_bytes_token + kv;
    m->basis = fit_basis(m->bytes_s, 1 / m->decode.median, bytes, info->n_layers);
    return true;
}

bool fit_profile(struct engine *g, const char *model_path, struct progress *p, cJSON **hardware,
                 struct err *e)
{
    const struct engine_info *info = engine_info(g);
    const struct engine_device *d = engine_device(g);
    struct measured m = {0};
    struct writer w = {0};
    struct fit_host host;
    cJSON *devices = NULL, *fits = NULL;
    *hardware = NULL;
    if (!measure(g, p, &m, e) || !fit_devices_json(&devices, e)) return false;
    fit_host(".", &host);
    uint64_t own = info->weight_bytes_device + info->kv_bytes + info->scratch_bytes +
                   info->lora_bytes;
    uint64_t budget = fit_budget(d, host.ram_available_bytes, own);
    fits = fits_json(&w, d, budget, &m.basis, e);
    if (!fits) {
        cJSON_Delete(devices);
        return false;
    }
    cJSON *o = cJSON_CreateObject();
    put_num(&w, o, "version", 1);
    put(&w, o, "device", fit_device_json(d));
    put(&w, o, "devices", devices);
    put(&w, o, "host", host_json(&w, &host));
    put(&w, o, "model", model_json(&w, info, model_path));
    put(&w, o, "measured", measured_json(&w, &m));
    put_u64(&w, o, "memory_budget_bytes", budget);
    put(&w, o, "fits", fits);
    if (w.failed) {
        cJSON_Delete(o);
        return err_nomem(e, "the hardware profile", 0);
    }
    *hardware = o;
    return true;
}
