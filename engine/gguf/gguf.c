// The bounded GGUF reader. Every read goes through struct cursor, whose functions compare with
// what is left before they move. Tables grow with the records that were really found, so that a
// count in the file never decides an allocation.
#include "engine/gguf/gguf.h"
#include "base/half.h"
#include "base/size.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 65535, SHOWN = 72, ALIGNMENT_DEFAULT = 32, ALIGNMENT_MAX = 1 << 20 };

struct cursor {
    const char *path; // for sentences
    const unsigned char *data;
    size_t size, pos;
    struct err *e;
    bool any_type; // weight types that nothing can read are let through
};

static uint32_t le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t le64(const unsigned char *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}

// A name from the file for a sentence: cut, and without bytes that a terminal would obey.
static const char *show(struct gguf_str s, char out[SHOWN])
{
    size_t n = size_min(s.n, SHOWN - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = s.s[i] >= ' ' && s.s[i] <= '~' ? s.s[i] : '?';
    out[n] = '\0';
    return out;
}

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

// Bytes of a value of fixed size; 0 for strings, arrays and unknown types.
static size_t value_bytes(uint32_t type)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL: return 1;
    case GGUF_U16:
    case GGUF_I16: return 2;
    case GGUF_U32:
    case GGUF_I32:
    case GGUF_F32: return 4;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64: return 8;
    default: return 0;
    }
}

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
    char name[SHOWN];
    if (!take_u32(c, "an array's type", &elem)) return false;
    if (!take_u64(c, "an array's length", &kv->count)) return false;
    kv->elem = (enum gguf_value_type)elem;
    kv->data = c->data + c->pos;
    if (elem == GGUF_ARRAY)
        return err_set(c->e, ERR_UNSUPPORTED,
                       "%s: '%s' is an array of arrays, which Lectern cannot read", c->path,
                       show(kv->key, name));
    if (elem >= GGUF_N_VALUE_TYPES)
        return err_set(c->e, ERR_FORMAT, "%s: '%s' is an array of unknown type %u", c->path,
                       show(kv->key, name), elem);
    size_t each = elem == GGUF_STRING ? 8 : value_bytes(elem); // a string takes at least its length
    if (kv->count > (c->size - c->pos) / each)
        return err_set(c->e, ERR_FORMAT,
                       "%s: '%s' claims %" PRIu64 " elements, but only %zu bytes are left", c->path,
                       show(kv->key, name), kv->count, c->size - c->pos);
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
    char name[SHOWN];
    if (!take_name(c, "a key", &kv->key)) return false;
    if (!take_u32(c, "a value's type", &type)) return false;
    if (type >= GGUF_N_VALUE_TYPES)
        return err_set(c->e, ERR_FORMAT, "%s: '%s' has the unknown value type %u", c->path,
                       show(kv->key, name), type);
    kv->type = (enum gguf_value_type)type;
    if (type == GGUF_ARRAY) return take_array(c, kv);
    if (type == GGUF_STRING) {
        struct gguf_str s;
        if (!take_string(c, "a string", &s)) return false;
        kv->data = (const unsigned char *)s.s;
        kv->size = s.n;
        return true;
    }
    kv->size = value_bytes(type);
    return take(c, kv->size, "a value", &kv->data);
}

// ------------------------------------------------------------------------------------ tensors

// Names of types that files may hold and Lectern does not read.
static const char *foreign_type(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } list[] = {{4, "Q4_2"},    {5, "Q4_3"},     {9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"},
                {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},
                {24, "I8"},     {25, "I16"},     {26, "I32"},   {27, "I64"},   {28, "F64"},
                {29, "IQ1_M"},  {34, "TQ1_0"},   {35, "TQ2_0"}, {39, "MXFP4"}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i].type == type) return list[i].name;
    return "unknown";
}

static bool take_shape(struct cursor *c, struct gguf_tensor *t)
{
    char name[SHOWN];
    if (!take_u32(c, "a tensor's number of dimensions", &t->n_dims)) return false;
    if (t->n_dims < 1 || t->n_dims > 4)
        return err_set(c->e, ERR_FORMAT, "%s: tensor '%s' has %u dimensions, allowed are 1 to 4",
                       c->path, show(t->name, name), t->n_dims);
    t->n_elements = 1;
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = 1;
        if (i >= t->n_dims) continue;
        if (!take_u64(c, "a tensor's dimension", &t->ne[i])) return false;
        if (t->ne[i] == 0 || t->ne[i] > (uint64_t)INT64_MAX / t->n_elements)
            return err_set(c->e, ERR_FORMAT, "%s: tensor '%s' has an impossible dimension %" PRIu64,
                           c->path, show(t->name, name), t->ne[i]);
        t->n_elements *= t->ne[i];
    }
    return true;
}

// Leaves the offset in t->size until the start of the data is known.
static bool take_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t *offset)
{
    uint32_t type;
    char name[SHOWN];
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
            c->path, show(t->name, name), type, foreign_type(type));
    size_t row;
    if (!quant_row_bytes(t->type, t->ne[0], &row) || t->n_elements / t->ne[0] > SIZE_MAX ||
        !size_mul(row, (size_t)(t->n_elements / t->ne[0]), &t->size))
        return err_set(c->e, ERR_FORMAT,
                       "%s: tensor '%s' has rows of %" PRIu64 " elements, which %s cannot hold",
                       c->path, show(t->name, name), t->ne[0], info->name);
    return true;
}

static bool place_tensor(const struct gguf *g, struct gguf_tensor *t, uint64_t offset,
                         uint32_t alignment, struct err *e)
{
    char name[SHOWN];
    if (offset % alignment)
        return err_set(e, ERR_FORMAT,
                       "%s: tensor '%s' is at offset %" PRIu64 ", not a multiple of %u", g->path,
                       show(t->name, name), offset, alignment);
    size_t room = g->map.size > g->data_offset ? g->map.size - g->data_offset : 0;
    if (offset > room || t->size > room - (size_t)offset)
        return err_set(e, ERR_FORMAT,
                       "%s is cut short: tensor '%s' needs %zu bytes at offset %" PRIu64
                       ", the file has %zu; fetch the file again",
                       g->path, show(t->name, name), t->size, offset, room);
    t->data = g->map.data + g->data_offset + (size_t)offset;
    return true;
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

// Sorts the index of names and refuses a name that is there twice.
static bool sort_names(const struct gguf *g, struct gguf_named *names, size_t n, const char *what,
                       struct err *e)
{
    char name[SHOWN];
    if (n) qsort(names, n, sizeof *names, compare_named);
    for (size_t i = 1; i < n; i++)
        if (compare_str(names[i - 1].name, names[i].name) == 0)
            return err_set(e, ERR_FORMAT, "%s: the %s '%s' is there twice", g->path, what,
                           show(names[i].name, name));
    return true;
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
    g->kv_names = calloc(g->n_kv + 1, sizeof *g->kv_names);
    if (!g->kv_names) return err_nomem(c->e, "the metadata of a GGUF file", g->n_kv);
    for (size_t i = 0; i < g->n_kv; i++)
        g->kv_names[i] = (struct gguf_named){g->kv[i].key, i};
    return sort_names(g, g->kv_names, g->n_kv, "key", c->e);
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
    g->tensor_names = calloc(g->n_tensors + 1, sizeof *g->tensor_names);
    if (!g->tensor_names) return err_nomem(c->e, "the tensor list of a GGUF file", g->n_tensors);
    for (size_t i = 0; i < g->n_tensors; i++)
        g->tensor_names[i] = (struct gguf_named){g->tensors[i].name, i};
    return sort_names(g, g->tensor_names, g->n_tensors, "tensor", c->e);
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

static bool open_file(const char *path, bool any_type, struct gguf *out, struct err *e)
{
    uint64_t n_tensors, n_kv, *offsets = NULL;
    uint32_t alignment;
    *out = (struct gguf){0};
    int len = snprintf(out->path, sizeof out->path, "%s", path);
    if (len < 0 || (size_t)len >= sizeof out->path)
        return err_set(e, ERR_ARG, "the path %.60s... is longer than %zu bytes", path,
                       sizeof out->path - 1);
    if (!map_open(path, &out->map, e)) return false;
    struct cursor c = {out->path, out->map.data, out->map.size, 0, e, any_type};
    if (!read_header(out, &c, &n_tensors, &n_kv)) goto fail;
    if (!read_kvs(out, &c, n_kv)) goto fail;
    if (!read_alignment(out, &alignment, e)) goto fail;
    if (!read_tensors(out, &c, n_tensors, &offsets)) goto fail;
    out->data_offset = size_align(c.pos, alignment);
    for (size_t i = 0; i < out->n_tensors; i++)
        if (!place_tensor(out, &out->tensors[i], offsets[i], alignment, e)) goto fail;
    free(offsets);
    return true;
fail:
    free(offsets);
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

void gguf_close(struct gguf *g)
{
    for (size_t i = 0; i < g->n_kv; i++)
        free(g->kv[i].str_at);
    free(g->kv);
    free(g->kv_names);
    free(g->tensors);
    free(g->tensor_names);
    map_close(&g->map);
    *g = (struct gguf){0};
}

// --------------------------------------------------------------------------------- for people

// One element as a whole number; false when its type holds none or it does not fit.
static bool int_at(enum gguf_value_type type, const unsigned char *p, int64_t *out)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_BOOL: *out = p[0]; return true;
    case GGUF_I8: *out = (int8_t)p[0]; return true;
    case GGUF_U16: *out = p[0] | p[1] << 8; return true;
    case GGUF_I16: *out = (int16_t)(p[0] | p[1] << 8); return true;
    case GGUF_U32: *out = le32(p); return true;
    case GGUF_I32: *out = (int32_t)le32(p); return true;
    case GGUF_I64: *out = (int64_t)le64(p); return true;
    case GGUF_U64: *out = (int64_t)le64(p); return le64(p) <= INT64_MAX;
    default: return false;
    }
}

const char *gguf_value_name(enum gguf_value_type type)
{
    static const char *const names[GGUF_N_VALUE_TYPES] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                          "i32", "f32", "bool", "string", "array",
                                                          "u64", "i64", "f64"};
    return type < GGUF_N_VALUE_TYPES ? names[type] : "unknown";
}

const char *gguf_weight_name(uint32_t type, char out[GGUF_TEXT])
{
    const struct quant_info *info = quant_info(type);
    const char *name = info ? info->name : foreign_type(type);
    if (!strcmp(name, "unknown"))
        (void)snprintf(out, GGUF_TEXT, "type %u", type);
    else
        (void)snprintf(out, GGUF_TEXT, "%s", name);
    return out;
}

// The fewest digits that read back as the same value.
static void real_text(double v, bool single, char out[GGUF_TEXT])
{
    if (!isfinite(v)) {
        (void)snprintf(out, GGUF_TEXT, "null");
        return;
    }
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        (void)snprintf(out, GGUF_TEXT, "%.*g", digits, v);
        if (single ? strtof(out, NULL) == (float)v : strtod(out, NULL) == v) return;
    }
}

void gguf_number_text(const struct gguf_kv *kv, uint64_t i, char out[GGUF_TEXT])
{
    bool array = kv->type == GGUF_ARRAY;
    enum gguf_value_type type = array ? kv->elem : kv->type;
    size_t each = value_bytes(type);
    (void)snprintf(out, GGUF_TEXT, "null");
    if (!each || i >= (array ? kv->count : 1)) return;
    const unsigned char *p = kv->data + i * each;
    int64_t v;
    if (type == GGUF_F32) {
        real_text((double)half_float(le32(p)), true, out);
    } else if (type == GGUF_F64) {
        uint64_t u = le64(p);
        double d;
        memcpy(&d, &u, sizeof d);
        real_text(d, false, out);
    } else if (type == GGUF_BOOL) {
        (void)snprintf(out, GGUF_TEXT, "%s", p[0] ? "true" : "false");
    } else if (type == GGUF_U64) {
        (void)snprintf(out, GGUF_TEXT, "%" PRIu64, le64(p));
    } else if (int_at(type, p, &v)) {
        (void)snprintf(out, GGUF_TEXT, "%" PRId64, v);
    }
}

// ------------------------------------------------------------------------------------ getters

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

static bool f32_at(enum gguf_value_type type, const unsigned char *p, float *out)
{
    int64_t v;
    if (type == GGUF_F32) {
        *out = half_float(le32(p));
        return true;
    }
    if (type == GGUF_F64) {
        uint64_t u = le64(p);
        double d;
        memcpy(&d, &u, sizeof d);
        *out = (float)d;
        return true;
    }
    if (!int_at(type, p, &v)) return false;
    *out = (float)v;
    return true;
}

static bool missing(const struct gguf *g, const char *key, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: the key %s is missing", g->path, key);
}

static bool wrong(const struct gguf *g, const char *key, const char *want, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: the key %s is not %s", g->path, key, want);
}

static bool kv_u32(const struct gguf *g, const struct gguf_kv *kv, const char *key, uint32_t *out,
                   struct err *e)
{
    int64_t v;
    if (kv->type == GGUF_BOOL || !int_at(kv->type, kv->data, &v) || v < 0 || v > UINT32_MAX)
        return wrong(g, key, "a whole number from 0 to 4294967295", e);
    *out = (uint32_t)v;
    return true;
}

bool gguf_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = 0;
    return kv ? kv_u32(g, kv, key, out, e) : missing(g, key, e);
}

bool gguf_u32_or(const struct gguf *g, const char *key, uint32_t fallback, uint32_t *out,
                 struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = fallback;
    return kv ? kv_u32(g, kv, key, out, e) : true;
}

bool gguf_f32_or(const struct gguf *g, const char *key, float fallback, float *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = fallback;
    if (!kv || (kv->type != GGUF_BOOL && f32_at(kv->type, kv->data, out))) return true;
    return wrong(g, key, "a number", e);
}

bool gguf_bool_or(const struct gguf *g, const char *key, bool fallback, bool *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = fallback;
    if (!kv) return true;
    if (kv->type != GGUF_BOOL || kv->data[0] > 1) return wrong(g, key, "true or false", e);
    *out = kv->data[0] == 1;
    return true;
}

bool gguf_string(const struct gguf *g, const char *key, struct gguf_str *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = (struct gguf_str){"", 0};
    if (!kv) return missing(g, key, e);
    if (kv->type != GGUF_STRING) return wrong(g, key, "a string", e);
    *out = (struct gguf_str){(const char *)kv->data, kv->size};
    return true;
}

struct gguf_str gguf_array_string(const struct gguf_kv *kv, uint64_t i)
{
    if (!kv->str_at || i >= kv->count) return (struct gguf_str){"", 0};
    const unsigned char *p = kv->data + kv->str_at[i];
    return (struct gguf_str){(const char *)p + 8, (size_t)le64(p)};
}

int64_t gguf_array_int(const struct gguf_kv *kv, uint64_t i)
{
    int64_t v;
    size_t each = kv->type == GGUF_ARRAY ? value_bytes(kv->elem) : 0;
    return each && i < kv->count && int_at(kv->elem, kv->data + i * each, &v) ? v : 0;
}

float gguf_array_f32(const struct gguf_kv *kv, uint64_t i)
{
    float v;
    size_t each = kv->type == GGUF_ARRAY ? value_bytes(kv->elem) : 0;
    return each && i < kv->count && f32_at(kv->elem, kv->data + i * each, &v) ? v : 0;
}
