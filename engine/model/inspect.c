// What a GGUF file says of itself as one JSON document (engine/engine.h has the picture). Offsets
// and sizes come from the bounded reader; nothing is read from the weights themselves.
#include "base/json.h"
#include "base/size.h"
#include "base/utf8.h"
#include "engine/engine.h"
#include "engine/model/inspect.h"

#include <stdlib.h>
#include <string.h>

enum { STRING_SHOWN = 512, ARRAY_SHOWN = 8, N_TYPES_MAX = 64 };

struct type_total {
    uint32_t type;
    uint64_t tensors, parameters, bytes;
};

struct totals {
    struct type_total type[N_TYPES_MAX];
    size_t n;
    uint64_t parameters, bytes;
};

// At most STRING_SHOWN bytes of s, cut between characters. A zero byte would end the C string and
// becomes U+FFFD like any byte that is not UTF-8.
static cJSON *string_json(struct gguf_str s)
{
    struct text t = {0};
    size_t n = size_min(s.n, STRING_SHOWN);
    if (n < s.n) n -= utf8_incomplete_tail(s.s, n);
    text_add(&t, "", 0);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char c[4];
        i += utf8_decode(s.s + i, n - i, &cp);
        text_add(&t, c, utf8_encode(cp ? cp : 0xFFFD, c));
    }
    cJSON *out = t.failed ? NULL : cJSON_CreateString(t.data ? t.data : "");
    text_free(&t);
    return out;
}

static cJSON *number_json(const struct gguf_kv *kv, uint64_t i)
{
    char text[GGUF_TEXT];
    gguf_number_text(kv, i, text);
    if (!strcmp(text, "null")) return cJSON_CreateNull();
    if (!strcmp(text, "true") || !strcmp(text, "false")) return cJSON_CreateBool(text[0] == 't');
    double v = strtod(text, NULL);
    bool whole = !strpbrk(text, ".e");
    return whole && (v > 0x1p53 || v < -0x1p53) ? cJSON_CreateRaw(text) : cJSON_CreateNumber(v);
}

static bool put(cJSON *obj, const char *key, cJSON *item) // takes item, also when it fails
{
    if (item && cJSON_AddItemToObject(obj, key, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool put_count(cJSON *obj, const char *key, uint64_t v)
{
    return put(obj, key, cJSON_CreateNumber((double)v));
}

static bool append(cJSON *array, cJSON *item) // takes item, also when it fails
{
    if (item && cJSON_AddItemToArray(array, item)) return true;
    cJSON_Delete(item);
    return false;
}

static bool put_array(cJSON *obj, const struct gguf_kv *kv)
{
    cJSON *list;
    bool ok = put(obj, "element", cJSON_CreateString(gguf_value_name(kv->elem))) &&
              put_count(obj, "count", kv->count) && (list = cJSON_AddArrayToObject(obj, "value"));
    for (uint64_t i = 0; ok && i < kv->count && i < ARRAY_SHOWN; i++)
        ok = append(list, kv->elem == GGUF_STRING ? string_json(gguf_array_string(kv, i))
                                                  : number_json(kv, i));
    return ok;
}

static bool put_kv(cJSON *list, const struct gguf_kv *kv)
{
    cJSON *o = cJSON_CreateObject();
    if (!append(list, o) || !put(o, "key", string_json(kv->key)) ||
        !put(o, "type", cJSON_CreateString(gguf_value_name(kv->type))))
        return false;
    if (kv->type == GGUF_ARRAY) return put_array(o, kv);
    if (kv->type != GGUF_STRING) return put(o, "value", number_json(kv, 0));
    struct gguf_str s = {(const char *)kv->data, kv->size};
    return put(o, "value", string_json(s)) && (s.n <= STRING_SHOWN || put_count(o, "bytes", s.n));
}

static bool put_tensor(cJSON *list, const struct gguf *g, const struct gguf_tensor *t)
{
    char name[GGUF_TEXT];
    cJSON *o = cJSON_CreateObject(), *shape;
    const struct gguf_shard *s = &g->shards[t->shard];
    bool ok = append(list, o) && put(o, "name", string_json(t->name)) &&
              put(o, "type", cJSON_CreateString(gguf_weight_name(t->type, name))) &&
              (shape = cJSON_AddArrayToObject(o, "shape"));
    for (uint32_t i = 0; ok && i < t->n_dims; i++)
        ok = append(shape, cJSON_CreateNumber((double)t->ne[i]));
    return ok && put_count(o, "parameters", t->n_elements) &&
           put(o, "bytes",
               quant_info(t->type) ? cJSON_CreateNumber((double)t->size) : cJSON_CreateNull()) &&
           put_count(o, "offset", (uint64_t)(t->data - s->map.data) - s->data_offset) &&
           (g->n_shards == 1 || put_count(o, "shard", t->shard));
}

static bool count_tensor(struct totals *all, const struct gguf *g, const struct gguf_tensor *t,
                         struct err *e)
{
    size_t i = 0;
    while (i < all->n && all->type[i].type != t->type)
        i++;
    // n_elements is below 2^63, and so are the sums up to here: no wrap before the check.
    if (all->parameters + t->n_elements > INT64_MAX || i == N_TYPES_MAX)
        return err_set(e, ERR_FORMAT, "%s: the tensors are more than any file can hold", g->path);
    if (i == all->n) all->type[all->n++] = (struct type_total){.type = t->type};
    all->type[i].tensors++;
    all->type[i].parameters += t->n_elements;
    all->type[i].bytes += t->size;
    all->parameters += t->n_elements;
    all->bytes += t->size;
    return true;
}

static int larger_first(const void *a, const void *b)
{
    const struct type_total *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return (x->type > y->type) - (x->type < y->type);
}

static bool put_types(cJSON *list, const struct totals *all)
{
    char name[GGUF_TEXT];
    for (size_t i = 0; i < all->n; i++) {
        const struct type_total *t = &all->type[i];
        cJSON *o = cJSON_CreateObject();
        if (!append(list, o) ||
            !put(o, "type", cJSON_CreateString(gguf_weight_name(t->type, name))) ||
            !put_count(o, "tensors", t->tensors) || !put_count(o, "parameters", t->parameters) ||
            !put(o, "bytes",
                 quant_info(t->type) ? cJSON_CreateNumber((double)t->bytes) : cJSON_CreateNull()))
            return false;
    }
    return true;
}

static bool put_shard(cJSON *list, const struct gguf *g, uint32_t i)
{
    const struct gguf_shard *s = &g->shards[i];
    struct gguf_str path = {s->path, strlen(s->path)};
    uint64_t tensors = 0, bytes = 0;
    for (size_t k = 0; k < g->n_tensors; k++) {
        if (g->tensors[k].shard != i) continue;
        tensors++;
        bytes += g->tensors[k].size;
    }
    cJSON *o = cJSON_CreateObject();
    return append(list, o) && put(o, "path", string_json(path)) &&
           put_count(o, "file_bytes", s->map.size) && put_count(o, "data_offset", s->data_offset) &&
           put_count(o, "n_tensors", tensors) && put_count(o, "tensor_bytes", bytes);
}

static bool fill(cJSON *o, const struct gguf *g, const struct totals *all)
{
    struct gguf_str path = {g->path, strlen(g->path)};
    uint64_t bytes = 0;
    cJSON *list;
    for (size_t i = 0; i < g->n_shards; i++)
        bytes += g->shards[i].map.size;
    bool ok = put(o, "path", string_json(path)) && put_count(o, "file_bytes", bytes) &&
              put_count(o, "version", g->version) &&
              put_count(o, "data_offset", g->shards[0].data_offset) &&
              put_count(o, "n_metadata", g->n_kv) && put_count(o, "n_tensors", g->n_tensors) &&
              put_count(o, "parameters", all->parameters) &&
              put_count(o, "tensor_bytes", all->bytes);
    if (g->n_shards > 1) {
        ok = ok && (list = cJSON_AddArrayToObject(o, "shards"));
        for (uint32_t i = 0; ok && i < g->n_shards; i++)
            ok = put_shard(list, g, i);
    }
    ok = ok && (list = cJSON_AddArrayToObject(o, "metadata"));
    for (size_t i = 0; ok && i < g->n_kv; i++)
        ok = put_kv(list, &g->kv[i]);
    ok = ok && (list = cJSON_AddArrayToObject(o, "tensors"));
    for (size_t i = 0; ok && i < g->n_tensors; i++)
        ok = put_tensor(list, g, &g->tensors[i]);
    return ok && (list = cJSON_AddArrayToObject(o, "types")) && put_types(list, all);
}

bool inspect_file(const struct gguf *g, cJSON **out, struct err *e)
{
    struct totals all = {0};
    *out = NULL;
    for (size_t i = 0; i < g->n_tensors; i++)
        if (!count_tensor(&all, g, &g->tensors[i], e)) return false;
    qsort(all.type, all.n, sizeof all.type[0], larger_first);
    *out = cJSON_CreateObject();
    if (*out && fill(*out, g, &all)) return true;
    cJSON_Delete(*out);
    *out = NULL;
    return err_nomem(e, "the description of a GGUF file", g->n_kv + g->n_tensors);
}

bool engine_inspect(const char *path, cJSON **out, struct err *e)
{
    struct gguf g;
    *out = NULL;
    if (!gguf_open_any(path, &g, e)) return false;
    bool ok = inspect_file(&g, out, e);
    gguf_close(&g);
    return ok;
}
