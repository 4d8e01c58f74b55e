#include "engine/kernels/choose.h"
#include "base/file.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FILE_VERSION = 1 };

static const char *const class_names[N_CLASSES] = {"one", "few", "many"};

struct entry { // of a format
    bool known;
    double us[N_CLASSES][N_WAYS]; // NaN: no such kernel, or not a right one
    unsigned char way[N_CLASSES];
};

struct cache {
    struct entry entry[N_WEIGHT_FORMATS];
};

// -------------------------------------------------------------------------------------- the file

bool choose_path(const struct gpu *gpu, char *out, size_t out_size, struct err *e)
{
    char dir[3800];
    return file_cache_dir(dir, sizeof dir, e) &&
           file_path(out, out_size, e, "%s/kernels-%s-%s%s%s.json", dir, gpu->caps.uuid,
                     gpu->texel ? "texel" : "ssbo", gpu->dot ? "-dot" : "",
                     gpu->coop && KERNELS_HAVE_COOP ? "-coop" : "");
}

static void fingerprint(char out[17])
{
    (void)snprintf(out, 17, "%016llx", (unsigned long long)kernels_fingerprint());
}

static bool way_of(const char *name, unsigned char *out)
{
    for (unsigned char w = 0; w < N_WAYS; w++)
        if (!strcmp(name, matmul_way_name((enum matmul_way)w))) {
            *out = w;
            return true;
        }
    return false;
}

// An entry counts only whole, and with ways that the device has.
static void read_entry(const struct gpu *gpu, const cJSON *formats, uint32_t f, struct entry *x)
{
    const cJSON *o =
        cJSON_GetObjectItemCaseSensitive(formats, weight_layout((enum weight_format)f)->name);
    x->known = cJSON_IsObject(o);
    for (uint32_t c = 0; x->known && c < N_CLASSES; c++) {
        const cJSON *of = cJSON_GetObjectItemCaseSensitive(o, class_names[c]);
        const cJSON *us = cJSON_GetObjectItemCaseSensitive(of, "us");
        x->known = cJSON_IsObject(of) && way_of(json_string_or(of, "way", ""), &x->way[c]) &&
                   matmul_can(gpu, (enum weight_format)f, (enum matmul_class)c,
                              (enum matmul_way)x->way[c]);
        for (uint32_t w = 0; w < N_WAYS; w++)
            x->us[c][w] = json_number_or(us, matmul_way_name((enum matmul_way)w), NAN);
    }
}

// What does not read as it was written is as if it were not there.
static void cache_read(const struct gpu *gpu, const char *path, struct cache *out)
{
    char kernels[17];
    struct err ignored;
    int64_t driver = -1;
    *out = (struct cache){0};
    cJSON *json = file_exists(path) ? json_load(path, &ignored) : NULL;
    if (!json) return;
    fingerprint(kernels);
    const cJSON *formats = cJSON_GetObjectItemCaseSensitive(json, "formats");
    if (json_version(json, FILE_VERSION, path, &ignored) &&
        json_int(json, "driver_version", &driver, path, &ignored) &&
        driver == (int64_t)gpu->caps.driver_version &&
        !strcmp(json_string_or(json, "kernels", ""), kernels) && cJSON_IsObject(formats))
        for (uint32_t f = 0; f < N_WEIGHT_FORMATS; f++)
            read_entry(gpu, formats, f, &out->entry[f]);
    cJSON_Delete(json);
}

static void put_entry(cJSON *formats, uint32_t f, const struct entry *x)
{
    cJSON *o = cJSON_AddObjectToObject(formats, weight_layout((enum weight_format)f)->name);
    for (uint32_t c = 0; c < N_CLASSES; c++) {
        cJSON *of = cJSON_AddObjectToObject(o, class_names[c]);
        cJSON_AddStringToObject(of, "way", matmul_way_name((enum matmul_way)x->way[c]));
        cJSON *us = cJSON_AddObjectToObject(of, "us");
        for (uint32_t w = 0; w < N_WAYS; w++)
            if (!isnan(x->us[c][w]))
                cJSON_AddNumberToObject(us, matmul_way_name((enum matmul_way)w), x->us[c][w]);
    }
}

static void cache_write(const struct gpu *gpu, const char *path, const struct cache *cache)
{
    char kernels[17], dir[4096];
    struct err ignored;
    cJSON *json = cJSON_CreateObject();
    fingerprint(kernels);
    cJSON_AddNumberToObject(json, "version", FILE_VERSION);
    cJSON_AddStringToObject(json, "device", gpu->caps.name);
    cJSON_AddStringToObject(json, "driver", gpu->caps.driver);
    cJSON_AddNumberToObject(json, "driver_version", gpu->caps.driver_version);
    cJSON_AddStringToObject(json, "kernels", kernels);
    cJSON *formats = cJSON_AddObjectToObject(json, "formats");
    for (uint32_t f = 0; f < N_WEIGHT_FORMATS; f++)
        if (cache->entry[f].known) put_entry(formats, f, &cache->entry[f]);
    if (formats && file_cache_dir(dir, sizeof dir, &ignored) && file_mkdirs(dir, &ignored))
        (void)json_save(path, json, &ignored);
    cJSON_Delete(json);
}

// ---------------------------------------------------------------------------------- the choice

// Split computes as plain does; the others are less exact: they must be worth 5 %. Dot with 8-bit
// weights errs as much as llama.cpp does (0.0282 and 0.0278 of gqa.Q8_0's logits): it is for who
// asks.
enum matmul_way choose_fastest(const double us[N_WAYS], enum weight_format format)
{
    enum matmul_way best = us[WAY_SPLIT] < us[WAY_PLAIN] ? WAY_SPLIT : WAY_PLAIN; // false for NaN
    double limit = 0.95 * us[best];
    for (uint32_t w = WAY_DOT; w < N_WAYS; w++)
        if (us[w] < limit && !(w == WAY_DOT && format == WEIGHT_Q8)) {
            best = (enum matmul_way)w;
            limit = us[w];
        }
    return best;
}

static bool measure(struct gpu *gpu, uint32_t f, struct entry *x, struct err *e)
{
    *x = (struct entry){0};
    if (!measure_ways(gpu, (enum weight_format)f, x->us, e)) return false;
    x->known = true;
    for (uint32_t c = 0; c < N_CLASSES; c++)
        x->way[c] = (unsigned char)choose_fastest(x->us[c], (enum weight_format)f);
    return true;
}

static enum matmul_way highest(const struct gpu *gpu, enum weight_format f, enum matmul_class c)
{
    enum matmul_way w = N_WAYS - 1;
    while (!matmul_can(gpu, f, c, w))
        w--;
    return w;
}

static bool several_ways(const struct gpu *gpu, uint32_t f)
{
    for (uint32_t c = 0; c < N_CLASSES; c++)
        if (highest(gpu, (enum weight_format)f, (enum matmul_class)c) != WAY_PLAIN) return true;
    return false;
}

static void force(const struct gpu *gpu, struct kernel_choice *out)
{
    for (uint32_t f = 0; f < N_WEIGHT_FORMATS; f++)
        for (uint32_t c = 0; c < N_CLASSES; c++)
            out->way[f][c] =
                (unsigned char)highest(gpu, (enum weight_format)f, (enum matmul_class)c);
}

bool kernels_choose(struct gpu *gpu, uint32_t formats, struct kernel_choice *out,
                    struct choose_report *report, struct err *e)
{
    char path[4096];
    struct cache cache = {0};
    struct err own;
    struct choose_report none, *r = report ? report : &none;
    struct err ignored;
    *r = (struct choose_report){0};
    *out = (struct kernel_choice){0};
    if (gpu->forced) {
        force(gpu, out);
        return true;
    }
    if (!gpu->split && !gpu->dot && !gpu->coop) return true;
    bool kept = choose_path(gpu, path, sizeof path, &ignored);
    if (kept) cache_read(gpu, path, &cache);
    for (uint32_t f = 0; f < N_WEIGHT_FORMATS; f++) {
        struct entry *x = &cache.entry[f];
        if (!(formats >> f & 1) || !several_ways(gpu, f)) continue;
        if (x->known)
            r->n_cached++;
        else if (measure(gpu, f, x, &own))
            r->n_measured++;
        else if (own.code == ERR_DEVICE)
            return err_set(e, ERR_DEVICE, "measuring kernels (--tier 0 goes without): %s", own.msg);
        memcpy(out->way[f], x->way, sizeof x->way);
    }
    if (kept && r->n_measured) cache_write(gpu, path, &cache);
    return true;
}

void choose_describe(const struct gpu *gpu, char *out, size_t out_size)
{
    char path[4096];
    struct cache cache;
    struct err ignored;
    *out = '\0';
    if (!choose_path(gpu, path, sizeof path, &ignored)) return;
    cache_read(gpu, path, &cache);
    for (uint32_t f = 0; f < N_WEIGHT_FORMATS; f++) {
        const struct entry *x = &cache.entry[f];
        size_t used = strlen(out);
        if (!x->known) continue;
        (void)snprintf(out + used, out_size - used, "%s%s %s %s %s", used ? ", " : "",
                       weight_layout((enum weight_format)f)->name,
                       matmul_way_name((enum matmul_way)x->way[CLASS_ONE]),
                       matmul_way_name((enum matmul_way)x->way[CLASS_FEW]),
                       matmul_way_name((enum matmul_way)x->way[CLASS_MANY]));
    }
}
