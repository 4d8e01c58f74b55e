// The bounded reader of one GGUF file. Every read goes through struct cursor, whose functions
// compare with what is left before they move. Tables grow with the records that were really found,
// so that a count in the file never decides an allocation.
#include "base/size.h"
#include "engine/gguf/gguf_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 65535, ALIGNMENT_DEFAULT = 32, ALIGNMENT_MAX = 1 << 20 };

struct cursor {
    const char *path; // for sentences
    const unsigned char *data;
    size_t size, pos;
    struct err *e;
    bool any_type; // weight types that nothing can read are let through
};

static bool take(struct cursor *c, size_t n, const char *what, const unsigned char **out)
{
    if (n > c->size - c->pos)
        return err_set(c->e, ERR_FORMAT,
                       "%s is cut short: %s at byte %zu needs %zu bytes, %zu are left; fetch the "
                       "file again",
                       c->path, what, c->pos, n, c->size - c->pos);
    *out = c->data + c->pos;
    c->pos += n;
    return true;
}

static bool take_u32(struct cursor *c, const char *what, uint32_t *out)
{
    const unsigned char *p = NULL;
    if (!take(c, 4, what, &p)) return false;
    *out = le32(p);
    return true;
}

static bool take_u64(struct cursor *c, const char *what, uint64_t *out)
{
    const unsigned char *p = NULL;
    if (!take(c, 8, what, &p)) return false;
    *out = le64(p);
    return true;
}

static bool take_string(struct cursor *c, const char *what, struct gguf_str *out)
{
    uint64_t n;
    const unsigned char *p = NULL;
    if (!take_u64(c, what, &n)) return false;
    if (n > c->size - c->pos)
        return err_set(c->e, ERR_FORMAT,
                       "%s: %s at byte %zu is %" PRIu64 " bytes long, %zu are left", c->path, what,
                       c->pos - 8, n, c->size - c->pos);
    if (!take(c, (size_t)n, what, &p)) return false;
    *out = (struct gguf_str){(const char *)p, (size_t)n};
    return true;
}

static bool take_name(struct cursor *c, const char *what, struct gguf_str *out)
{
    if (!take_string(c, what, out)) return false;
    if (out->n == 0 || out->n > NAME_MAX_BYTES)
        return err_set(c->e, ERR_FORMAT,
                       "%s: %s before byte %zu has %zu bytes, allowed are 1 to %d", c->path, what,
                       c->pos, out->n, NAME_MAX_BYTES);
    return true;
}

// ------------------------------------------------------------------------------------- values

// str_at: where each string of the array begins. The table grows as strings are found.
static bool take_strings(struct cursor *c, struct gguf_kv *kv)
{
    size_t base = c->pos, cap = 0;
    uint64_t *at = NULL;
    for (uint64_t i = 0; i < kv->count; i++) {
        struct gguf_str s;
        if (i == cap) {
            cap = cap ? cap * 2 : 64;
            if (cap > kv->count) cap = (size_t)kv->count;
            uint64_t *grown = cap > SIZE_MAX / sizeof *at ? NULL : realloc(at, cap * sizeof *at);
            if (!grown) {
                free(at);
                return err_nomem(c->e, "the strings of a GGUF array", cap);
            }
            at = grown;
        }
        at[i] = c->pos - base;
        if (!take_string(c, "a string of an array", &s)) {
            free(at);
            return false;
        }
    }
    kv->str_at = at;
    return true;
}

static bool take_array(struct cursor *c, struct gguf_kv *kv)
{
    uint32_t elem;
    char name[GGUF_SHOWN];
    if (!take_u32(c, "an array's type", &elem)) return false;
    if (!take_u64(c, "an array's length", &kv->count)) return false;
    kv->elem = (enum gguf_value_type)elem;
    kv->data = c->data + c->pos;
    if (elem == GGUF_ARRAY)
        return err_set(c->e, ERR_UNSUPPORTED,
                       "%s: '%s' is an array of arrays, which Lectern cannot read", c->path,
                       gguf_show(kv->key, name));
    if (elem >= GGUF_N_VALUE_TYPES)
        return err_set(c->e, ERR_FORMAT, "%s: '%s' is an array of unknown type %u", c->path,
                       gguf_show(kv->key, name), elem);
    size_t each = elem == GGUF_STRING ? 8 : gguf_value_bytes(elem); // 8: a string's length
    if (kv->count > (c->size - c->pos) / each)
        return err_set(c->e, ERR_FORMAT,
                       "%s: '%s' claims %" PRIu64 " elements, but only %zu bytes are left", c->path,
                       gguf_show(kv->key, name), kv->count, c->size - c->pos);
    size_t begin = c->pos;
    if (elem == GGUF_STRING) {
        if (!take_strings(c, kv)) return false;
    } else {
        c->pos += (size_t)kv->count * each;
    }
    kv->size = c->pos - begin;
    return true;
}

static bool take_kv(struct cursor *c, struct gguf_kv *kv)
{
    uint32_t type;
    char name[GGUF_SHOWN];
    if (!take_name(c, "a key", &kv->key)) return false;
    if (!take_u32(c, "a value's type", &type)) return false;
    if (type >= GGUF_N_VALUE_TYPES)
        return err_set(c->e, ERR_FORMAT, "%s: '%s' has the unknown value type %u", c->path,
                       gguf_show(kv->key, name), type);
    kv->type = (enum gguf_value_type)type;
    if (type == GGUF_ARRAY) return take_array(c, kv);
    if (type == GGUF_STRING) {
        struct gguf_str s;
        if (!take_string(c, "a string", &s)) return false;
        kv->data = (const unsigned char *)s.s;
        kv->size = s.n;
        return true;
    }
    kv->size = gguf_value_bytes(type);
    return take(c, kv->size, "a value", &kv->data);
}

// ------------------------------------------------------------------------------------ tensors

static bool take_shape(struct cursor *c, struct gguf_tensor *t)
{
    char name[GGUF_SHOWN];
    if (!take_u32(c, "a tensor's number of dimensions", &t->n_dims)) return false;
    if (t->n_dims < 1 || t->n_dims > 4)
        return err_set(c->e, ERR_FORMAT, "%s: tensor '%s' has %u dimensions, allowed are 1 to 4",
                       c->path, gguf_show(t->name, name), t->n_dims);
    t->n_elements = 1;
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = 1;
        if (i >= t->n_dims) continue;
        if (!take_u64(c, "a tensor's dimension", &t->ne[i])) return false;
        if (t->ne[i] == 0 || t->ne[i] > (uint64_t)INT64_MAX / t->n_elements)
            return err_set(c->e, ERR_FORMAT, "%s: tensor '%s' has an impossible dimension %" PRIu64,
                           c->path, gguf_show(t->name, name), t->ne[i]);
        t->n_elements *= t->ne[i];
    }
    return true;
}

// Leaves the offset in t->size until the start of the data is known.
static bool take_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t *offset)
{
    uint32_t type;
    char name[GGUF_SHOWN];
    if (!take_name(c, "a tensor's name", &t->name)) return false;
    if (!take_shape(c, t)) return false;
    if (!take_u32(c, "a tensor's type", &type)) return false;
    if (!take_u64(c, "a tensor's offset", offset)) return false;
    const struct quant_info *info = quant_info(type);
    t->type = (enum quant_type)type;
    if (!info && c->any_type) return true;
    if (!info)
        return err_set(
            c->e, ERR_UNSUPPORTED,
            "%s: tensor '%s' has the weight type %u (%s), which Lectern cannot read; use "
            "a file in another quantization, such as Q4_1 or Q8_0",
            c->path, gguf_show(t->name, name), type, gguf_foreign_type(type));
    size_t row;
    if (!quant_row_bytes(t->type, t->ne[0], &row) || t->n_elements / t->ne[0] > SIZE_MAX ||
        !size_mul(row, (size_t)(t->n_elements / t->ne[0]), &t->size))
        return err_set(c->e, ERR_FORMAT,
                       "%s: tensor '%s' has rows of %" PRIu64 " elements, which %s cannot hold",
                       c->path, gguf_show(t->name, name), t->ne[0], info->name);
    return true;
}

static bool place_tensor(const struct gguf *g, struct gguf_tensor *t, uint64_t offset,
                         uint32_t alignment, struct err *e)
{
    const struct gguf_shard *s = &g->shards[0];
    char name[GGUF_SHOWN];
    if (offset % alignment)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor '%s' is at offset %" PRIu64 ", not a multiple of %u", g->path,
                       gguf_show(t->name, name), offset, alignment);
    size_t room = s->map.size > s->data_offset ? s->map.size - s->data_offset : 0;
    if (offset > room || t->size > room - (size_t)offset)
        return err_set(e, ERR_FORMAT,
                       "%s is cut short: tensor '%s' needs %zu bytes at offset %" PRIu64
                       ", the file has %zu; fetch the file again",
                       g->path, gguf_show(t->name, name), t->size, offset, room);
    t->data = s->map.data + s->data_offset + (size_t)offset;
    return true;
}

static int compare_place(const void *a, const void *b)
{
    const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
    const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;
    return (x->data > y->data) - (x->data < y->data);
}

// No writer lets two tensors share bytes; a small file that does could stand for a model of any
// size. A tensor of an unknown type has no size to compare.
static bool check_overlap(const struct gguf *g, struct err *e)
{
    char name[GGUF_SHOWN], other[GGUF_SHOWN];
    const struct gguf_tensor **at = calloc(g->n_tensors + 1, sizeof *at);
    bool ok = at || err_nomem(e, "the tensor list of a GGUF file", g->n_tensors * sizeof *at);
    size_t n = 0;
    for (size_t i = 0; ok && i < g->n_tensors; i++)
        if (g->tensors[i].size) at[n++] = &g->tensors[i];
    if (n) qsort(at, n, sizeof *at, compare_place);
    for (size_t i = 1; ok && i < n; i++)
        if (at[i]->data < at[i - 1]->data + at[i - 1]->size)
            ok = err_set(e, ERR_FORMAT,
                         "%s: the tensors '%s' and '%s' overlap; fetch the file again", g->path,
                         gguf_show(at[i - 1]->name, name), gguf_show(at[i]->name, other));
    free(at);
    return ok;
}

// --------------------------------------------------------------------------------------- open

// Doubles a table of *cap elements when n of them are used. Returns NULL when memory is out.
static void *grow(void *table, size_t n, size_t *cap, size_t each)
{
    if (n < *cap) return table;
    size_t want = *cap ? *cap * 2 : 16;
    if (want > SIZE_MAX / each) return NULL;
    void *grown = realloc(table, want * each);
    if (grown) *cap = want;
    return grown;
}

static int compare_str(struct gguf_str a, struct gguf_str b)
{
    int d = memcmp(a.s, b.s, size_min(a.n, b.n));
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

static int compare_named(const void *a, const void *b)
{
    return compare_str((*(const struct gguf_named *)a).name, (*(const struct gguf_named *)b).name);
}

// Sorts an index of names. Returns the first entry that stands twice, n when none does.
static size_t sort_names(struct gguf_named *names, size_t n)
{
    if (n) qsort(names, n, sizeof *names, compare_named);
    for (size_t i = 1; i < n; i++)
        if (compare_str(names[i - 1].name, names[i].name) == 0) return i;
    return n;
}

static bool index_kvs(struct gguf *g, struct err *e)
{
    char name[GGUF_SHOWN];
    g->kv_names = calloc(g->n_kv + 1, sizeof *g->kv_names);
    if (!g->kv_names)
        return err_nomem(e, "the metadata of a GGUF file", g->n_kv * sizeof *g->kv_names);
    for (size_t i = 0; i < g->n_kv; i++)
        g->kv_names[i] = (struct gguf_named){g->kv[i].key, i};
    size_t twice = sort_names(g->kv_names, g->n_kv);
    return twice == g->n_kv || err_set(e, ERR_FORMAT, "%s: the key '%s' is there twice", g->path,
                                       gguf_show(g->kv_names[twice].name, name));
}

bool gguf_index_tensors(struct gguf *g, struct err *e)
{
    char name[GGUF_SHOWN];
    free(g->tensor_names);
    g->tensor_names = calloc(g->n_tensors + 1, sizeof *g->tensor_names);
    if (!g->tensor_names)
        return err_nomem(e, "the tensor list of a GGUF file",
                         g->n_tensors * sizeof *g->tensor_names);
    for (size_t i = 0; i < g->n_tensors; i++)
        g->tensor_names[i] = (struct gguf_named){g->tensors[i].name, i};
    size_t twice = sort_names(g->tensor_names, g->n_tensors);
    if (twice == g->n_tensors) return true;
    uint32_t a = g->tensors[g->tensor_names[twice - 1].at].shard;
    uint32_t b = g->tensors[g->tensor_names[twice].at].shard;
    (void)gguf_show(g->tensor_names[twice].name, name);
    if (a == b)
        return err_set(e, ERR_FORMAT, "%s: the tensor '%s' is there twice", g->shards[a].path,
                       name);
    return err_set(e, ERR_FORMAT,
                   "%s: the tensor '%s' is there and in part %u of the model; fetch both files "
                   "again",
                   g->shards[a > b ? a : b].path, name, (a < b ? a : b) + 1);
}

static bool find_name(const struct gguf_named *names, size_t n, const char *name, size_t *at)
{
    struct gguf_named want = {.name = {name, strlen(name)}};
    const struct gguf_named *hit =
        n ? bsearch(&want, names, n, sizeof *names, compare_named) : NULL;
    if (hit) *at = hit->at;
    return hit != NULL;
}

static bool read_kvs(struct gguf *g, struct cursor *c, uint64_t n)
{
    size_t cap = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct gguf_kv *grown = grow(g->kv, g->n_kv, &cap, sizeof *g->kv);
        if (!grown) return err_nomem(c->e, "the metadata of a GGUF file", cap * sizeof *g->kv);
        g->kv = grown;
        g->kv[g->n_kv] = (struct gguf_kv){0};
        if (!take_kv(c, &g->kv[g->n_kv])) return false;
        g->n_kv++;
    }
    return index_kvs(g, c->e);
}

static bool read_tensors(struct gguf *g, struct cursor *c, uint64_t n, uint64_t **offsets)
{
    size_t cap = 0, offset_cap = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct gguf_tensor *grown = grow(g->tensors, g->n_tensors, &cap, sizeof *g->tensors);
        if (grown) g->tensors = grown;
        uint64_t *more = grow(*offsets, g->n_tensors, &offset_cap, sizeof **offsets);
        if (more) *offsets = more;
        if (!grown || !more) return err_nomem(c->e, "the tensor list of a GGUF file", cap);
        g->tensors[g->n_tensors] = (struct gguf_tensor){0};
        if (!take_tensor(c, &g->tensors[g->n_tensors], &(*offsets)[g->n_tensors])) return false;
        g->n_tensors++;
    }
    return gguf_index_tensors(g, c->e);
}

static bool read_header(struct gguf *g, struct cursor *c, uint64_t *n_tensors, uint64_t *n_kv)
{
    const unsigned char *magic = NULL;
    if (c->size == 0) return err_set(c->e, ERR_FORMAT, "%s is empty", g->path);
    if (c->size >= 4 && memcmp(c->data, "GGUF", 4) != 0)
        return err_set(c->e, ERR_FORMAT, "%s is not a GGUF file: it does not begin with \"GGUF\"",
                       g->path);
    if (!take(c, 4, "the magic number", &magic)) return false;
    if (!take_u32(c, "the version", &g->version)) return false;
    if (g->version == 2u << 24 || g->version == 3u << 24)
        return err_set(c->e, ERR_UNSUPPORTED,
                       "%s is a big-endian GGUF file; convert it to little-endian", g->path);
    if (g->version != 2 && g->version != 3)
        return err_set(c->e, ERR_UNSUPPORTED,
                       "%s is GGUF version %u; Lectern reads versions 2 and 3", g->path,
                       g->version);
    return take_u64(c, "the number of tensors", n_tensors) &&
           take_u64(c, "the number of keys", n_kv);
}

static bool read_alignment(const struct gguf *g, uint32_t *alignment, struct err *e)
{
    if (!gguf_u32_or(g, "general.alignment", ALIGNMENT_DEFAULT, alignment, e)) return false;
    uint32_t a = *alignment;
    if (a == 0 || a > ALIGNMENT_MAX || (a & (a - 1)))
        return err_set(e, ERR_FORMAT, "%s: general.alignment is %u, not a power of two up to %d",
                       g->path, a, ALIGNMENT_MAX);
    return true;
}

// Reads the one file of g, whose bytes are there already.
static bool read_file(struct gguf *g, bool any_type, struct err *e)
{
    uint64_t n_tensors, n_kv, *offsets = NULL;
    uint32_t alignment;
    struct gguf_shard *s = &g->shards[0];
    struct cursor c = {g->path, s->map.data, s->map.size, 0, e, any_type};
    bool ok = read_header(g, &c, &n_tensors, &n_kv) && read_kvs(g, &c, n_kv) &&
              read_alignment(g, &alignment, e) && read_tensors(g, &c, n_tensors, &offsets);
    if (ok) s->data_offset = size_align(c.pos, alignment);
    for (size_t i = 0; ok && i < g->n_tensors; i++)
        ok = place_tensor(g, &g->tensors[i], offsets[i], alignment, e);
    free(offsets);
    return ok && check_overlap(g, e);
}

static bool begin(struct gguf *g, const char *path, struct err *e)
{
    *g = (struct gguf){0};
    int len = snprintf(g->path, sizeof g->path, "%s", path);
    if (len < 0 || (size_t)len >= sizeof g->path)
        return err_set(e, ERR_ARG, "the path %.60s... is longer than %zu bytes", path,
                       sizeof g->path - 1);
    g->shards = calloc(1, sizeof *g->shards);
    if (!g->shards) return err_nomem(e, "a GGUF file", sizeof *g->shards);
    g->n_shards = 1;
    g->shards[0].path = strdup(path);
    return g->shards[0].path || err_nomem(e, "a path", strlen(path));
}

bool gguf_open_part(const char *path, bool any_type, struct gguf *out, struct err *e)
{
    if (begin(out, path, e) && map_open(path, &out->shards[0].map, e) &&
        read_file(out, any_type, e))
        return true;
    gguf_close(out);
    return false;
}

static bool open_file(const char *path, bool any_type, struct gguf *out, struct err *e)
{
    if (!gguf_open_part(path, any_type, out, e)) return false;
    if (gguf_join(out, any_type, e)) return true;
    gguf_close(out);
    return false;
}

bool gguf_open(const char *path, struct gguf *out, struct err *e)
{
    return open_file(path, false, out, e);
}

bool gguf_open_any(const char *path, struct gguf *out, struct err *e)
{
    return open_file(path, true, out, e);
}

bool gguf_read_part(const void *data, size_t size, const char *name, bool any_type,
                    struct gguf *out, struct err *e)
{
    bool ok = begin(out, name, e);
    if (ok) {
        out->shards[0].map = (struct file_map){.data = data, .size = size};
        out->shards[0].borrowed = true;
        ok = read_file(out, any_type, e);
    }
    if (!ok) gguf_close(out);
    return ok;
}

bool gguf_open_memory(const void *data, size_t size, const char *name, bool any_type,
                      struct gguf *out, struct err *e)
{
    uint32_t parts = 0;
    if (!gguf_read_part(data, size, name, any_type, out, e)) return false;
    bool ok = gguf_u32_or(out, "split.count", 1, &parts, e);
    if (ok && parts > 1)
        ok = err_set(e, ERR_UNSUPPORTED,
                     "%s is a part of a split model, which opens from its files only", name);
    if (!ok) gguf_close(out);
    return ok;
}

void gguf_close(struct gguf *g)
{
    for (size_t i = 0; i < g->n_kv; i++)
        free(g->kv[i].str_at);
    free(g->kv);
    free(g->kv_names);
    free(g->tensors);
    free(g->tensor_names);
    for (size_t i = 0; i < g->n_shards; i++) {
        free(g->shards[i].path);
        if (!g->shards[i].borrowed) map_close(&g->shards[i].map);
    }
    free(g->shards);
    *g = (struct gguf){0};
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
    size_t at;
    return find_name(g->kv_names, g->n_kv, key, &at) ? &g->kv[at] : NULL;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    size_t at;
    return find_name(g->tensor_names, g->n_tensors, name, &at) ? &g->tensors[at] : NULL;
}
