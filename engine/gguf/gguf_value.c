// What a GGUF file's values say: numbers out of their bytes, getters with sentences, and texts for
// people. Everything here was bounds-checked when the file was read.
#include "base/half.h"
#include "base/size.h"
#include "engine/gguf/gguf_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t gguf_value_bytes(uint32_t type)
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

// --------------------------------------------------------------------------------- for people

const char *gguf_show(struct gguf_str s, char out[GGUF_SHOWN])
{
    size_t n = size_min(s.n, GGUF_SHOWN - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = s.s[i] >= ' ' && s.s[i] <= '~' ? s.s[i] : '?';
    out[n] = '\0';
    return out;
}

const char *gguf_foreign_type(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } list[] = {{4, "Q4_2"},      {5, "Q4_3"},        {9, "Q8_1"},        {15, "Q8_K"},
                {16, "IQ2_XXS"},  {17, "IQ2_XS"},     {18, "IQ3_XXS"},    {19, "IQ1_S"},
                {21, "IQ3_S"},    {22, "IQ2_S"},      {24, "I8"},         {25, "I16"},
                {26, "I32"},      {27, "I64"},        {28, "F64"},        {29, "IQ1_M"},
                {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"},
                {35, "TQ2_0"},    {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"},
                {39, "MXFP4"},    {40, "NVFP4"},      {41, "Q1_0"},       {42, "Q2_0"}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i].type == type) return list[i].name;
    return "unknown";
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
    const char *name = info ? info->name : gguf_foreign_type(type);
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
    size_t each = gguf_value_bytes(type);
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
    size_t each = kv->type == GGUF_ARRAY ? gguf_value_bytes(kv->elem) : 0;
    return each && i < kv->count && int_at(kv->elem, kv->data + i * each, &v) ? v : 0;
}

float gguf_array_f32(const struct gguf_kv *kv, uint64_t i)
{
    float v;
    size_t each = kv->type == GGUF_ARRAY ? gguf_value_bytes(kv->elem) : 0;
    return each && i < kv->count && f32_at(kv->elem, kv->data + i * each, &v) ? v : 0;
}
