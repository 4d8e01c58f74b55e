// Mix rules: llama.cpp src/llama-quant.cpp, llama_tensor_get_type, for dense models of the
// architecture "llama" and no importance matrix. Norms are F32.
#include "fit/sizes.h"
#include "base/json.h"
#include "base/size.h"
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const unsigned char fit_models_json[];
extern const size_t fit_models_json_size;

// X(enum, name in GGUF, elements a block, bytes a block)
#define TYPE_LIST(X)                                                                               \
    X(T_F16, "F16", 1, 2)                                                                          \
    X(T_Q4_0, "Q4_0", 32, 18)                                                                      \
    X(T_Q4_1, "Q4_1", 32, 20)                                                                      \
    X(T_Q5_0, "Q5_0", 32, 22)                                                                      \
    X(T_Q5_1, "Q5_1", 32, 24)                                                                      \
    X(T_Q8_0, "Q8_0", 32, 34)                                                                      \
    X(T_IQ4_NL, "IQ4_NL", 32, 18)                                                                  \
    X(T_Q2_K, "Q2_K", 256, 84)                                                                     \
    X(T_Q3_K, "Q3_K", 256, 110)                                                                    \
    X(T_Q4_K, "Q4_K", 256, 144)                                                                    \
    X(T_Q5_K, "Q5_K", 256, 176)                                                                    \
    X(T_Q6_K, "Q6_K", 256, 210)                                                                    \
    X(T_IQ4_XS, "IQ4_XS", 256, 136)

#define TYPE_ENUM(id, name, n, bytes) id,
enum type { TYPE_LIST(TYPE_ENUM) N_TYPES };
#undef TYPE_ENUM

struct type_info {
    const char *name;
    uint32_t block, block_bytes;
};
#define TYPE_INFO(id, name, n, bytes) {name, n, bytes},
static const struct type_info types[N_TYPES] = {TYPE_LIST(TYPE_INFO)};
#undef TYPE_INFO

const char *fit_quant_name(enum fit_quant q)
{
#define QUANT_NAME(id, name) name,
    static const char *const names[FIT_N_QUANTS] = {FIT_QUANT_LIST(QUANT_NAME)};
#undef QUANT_NAME
    return names[q];
}

static enum type base_type(enum fit_quant q)
{
    static const enum type base[FIT_N_QUANTS] = {
        [FIT_Q2_K] = T_Q2_K,   [FIT_Q3_K_S] = T_Q3_K,   [FIT_Q3_K_M] = T_Q3_K,
        [FIT_Q3_K_L] = T_Q3_K, [FIT_IQ4_XS] = T_IQ4_XS, [FIT_Q4_0] = T_Q4_0,
        [FIT_Q4_1] = T_Q4_1,   [FIT_Q4_K_S] = T_Q4_K,   [FIT_Q4_K_M] = T_Q4_K,
        [FIT_Q5_0] = T_Q5_0,   [FIT_Q5_1] = T_Q5_1,     [FIT_Q5_K_S] = T_Q5_K,
        [FIT_Q5_K_M] = T_Q5_K, [FIT_Q6_K] = T_Q6_K,     [FIT_Q8_0] = T_Q8_0,
        [FIT_F16] = T_F16,
    };
    return base[q];
}

// The first and last eighth of the layers, and every third between.
static bool more_bits(uint32_t i, uint32_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static enum type value_type(const struct fit_model *m, enum fit_quant q, uint32_t i)
{
    uint32_t n = m->n_layers, group = m->n_heads / m->n_kv_heads;
    enum type t = base_type(q);
    switch (q) {
    case FIT_Q2_K: t = group >= 4 ? T_Q4_K : T_Q3_K; break;
    case FIT_Q3_K_M: t = i < 2 ? T_Q5_K : T_Q4_K; break;
    case FIT_Q3_K_L: t = T_Q5_K; break;
    case FIT_Q4_K_M:
    case FIT_Q5_K_M: t = more_bits(i, n) ? T_Q6_K : t; break;
    case FIT_Q4_K_S: t = i < 4 ? T_Q5_K : t; break;
    case FIT_IQ4_XS: t = group >= 4 ? T_Q5_K : t; break;
    default: break;
    }
    bool is_70b = n == 80 && group > 1; // its values are few: they may cost more
    return is_70b && (t == T_Q3_K || t == T_Q4_K) ? T_Q5_K : t;
}

static enum type down_type(const struct fit_model *m, enum fit_quant q, uint32_t i)
{
    uint32_t n = m->n_layers;
    enum type t = base_type(q);
    switch (q) {
    case FIT_Q2_K: return T_Q3_K;
    case FIT_Q3_K_M: return i < n / 16 ? T_Q5_K : T_Q4_K;
    case FIT_Q3_K_L: return T_Q5_K;
    case FIT_Q4_K_M:
    case FIT_Q5_K_M: return more_bits(i, n) ? T_Q6_K : t;
    case FIT_Q4_K_S:
    case FIT_IQ4_XS: return i < n / 8 ? T_Q5_K : t;
    default: return t;
    }
}

static enum type wanted_type(const struct fit_model *m, enum fit_quant q, enum fit_tensor kind,
                             uint32_t i)
{
    enum type t = base_type(q);
    switch (kind) {
    case FIT_EMBD:
        if (!m->tied) return t;
        return t == T_Q8_0 || t == T_F16 ? t : T_Q6_K;
    case FIT_OUTPUT: return t == T_Q8_0 || t == T_F16 ? t : T_Q6_K;
    case FIT_ATTN_V: return value_type(m, q, i);
    case FIT_FFN_DOWN: return down_type(m, q, i);
    case FIT_ATTN_O:
        return q == FIT_Q2_K ? T_Q3_K : q == FIT_Q3_K_M ? T_Q4_K : q == FIT_Q3_K_L ? T_Q5_K : t;
    default: return t;
    }
}

// Rows that are not whole blocks take another type.
static enum type fallback(enum type t, uint64_t n_cols)
{
    if (types[t].block == 256 && n_cols % 256) {
        switch (t) {
        case T_Q4_K: t = T_Q5_0; break;
        case T_Q5_K: t = T_Q5_1; break;
        case T_Q6_K: t = T_Q8_0; break;
        case T_IQ4_XS: t = T_IQ4_NL; break;
        default: t = T_Q4_0;
        }
    }
    return n_cols % types[t].block ? T_F16 : t;
}

const char *fit_tensor_type(const struct fit_model *m, enum fit_quant q, enum fit_tensor kind,
                            uint32_t layer, uint64_t n_cols)
{
    return types[fallback(wanted_type(m, q, kind, layer), n_cols)].name;
}

const char *fit_row_type(const char *type, uint64_t n_cols)
{
    for (int t = 0; t < N_TYPES; t++)
        if (!strcmp(types[t].name, type)) return types[fallback((enum type)t, n_cols)].name;
    return type;
}

// Adds a matrix; returns its bytes on the device.
static void add_type(struct fit_bytes *b, const char *name)
{
    uint32_t i = 0;
    while (i < FIT_TYPES - 1 && b->types[i] && strcmp(b->types[i], name) != 0)
        i++;
    b->types[i] = name;
}

static void add(const struct fit_model *m, enum fit_quant q, enum fit_tensor kind, uint32_t i,
                uint64_t n_rows, uint64_t n_cols, struct fit_bytes *b)
{
    enum type t = fallback(wanted_type(m, q, kind, i), n_cols);
    uint64_t row = n_cols / types[t].block * types[t].block_bytes;
    b->file += n_rows * row;
    if (kind == FIT_EMBD && !m->tied) { // the host reads a row of it
        b->file_token += row;
        return;
    }
    b->file_token += n_rows * row;
    b->device += engine_matrix_bytes(types[t].name, n_rows, n_cols);
    add_type(b, types[t].name);
}

static void add_norms(const struct fit_model *m, uint32_t n, struct fit_bytes *b)
{
    uint64_t bytes = (uint64_t)n * m->n_embd * 4;
    b->file += bytes;
    b->file_token += bytes;
    b->device += bytes;
}

static void add_layer(const struct fit_model *m, enum fit_quant q, uint32_t i, struct fit_bytes *b)
{
    uint64_t d = m->n_embd, nq = (uint64_t)m->n_heads * m->head_dim,
             nkv = (uint64_t)m->n_kv_heads * m->head_dim;
    add(m, q, FIT_ATTN_Q, i, nq, d, b);
    add(m, q, FIT_ATTN_K, i, nkv, d, b);
    add(m, q, FIT_ATTN_V, i, nkv, d, b);
    add(m, q, FIT_ATTN_O, i, d, nq, b);
    add(m, q, FIT_FFN_GATE, i, m->n_ff, d, b);
    add(m, q, FIT_FFN_UP, i, m->n_ff, d, b);
    add(m, q, FIT_FFN_DOWN, i, d, m->n_ff, b);
    add_norms(m, 2, b);
}

void fit_layer(const struct fit_model *m, enum fit_quant q, uint32_t layer, struct fit_bytes *out)
{
    *out = (struct fit_bytes){0};
    add_layer(m, q, layer, out);
}

void fit_weights(const struct fit_model *m, enum fit_quant q, struct fit_bytes *out)
{
    *out = (struct fit_bytes){0};
    add(m, q, FIT_EMBD, 0, m->n_vocab, m->n_embd, out);
    if (!m->tied) add(m, q, FIT_OUTPUT, 0, m->n_vocab, m->n_embd, out);
    for (uint32_t i = 0; i < m->n_layers; i++)
        add_layer(m, q, i, out);
    add_norms(m, 1, out);
}

uint64_t fit_params(const struct fit_model *m)
{
    uint64_t d = m->n_embd, nq = (uint64_t)m->n_heads * m->head_dim,
             nkv = (uint64_t)m->n_kv_heads * m->head_dim;
    return m->n_vocab * d * (m->tied ? 1 : 2) + d +
           m->n_layers * (2 * d + 2 * d * nq + 2 * d * nkv + 3 * d * m->n_ff);
}

// ------------------------------------------------------------------------------- models.json

static bool read_u32(const cJSON *o, const char *key, uint32_t *out, const char *where,
                     struct err *e)
{
    int64_t v;
    if (!json_int(o, key, &v, where, e)) return false;
    if (v < 1 || v > INT32_MAX) return err_set(e, ERR_FORMAT, "%s: %s is out of range", where, key);
    *out = (uint32_t)v;
    return true;
}

static bool read_model(const cJSON *o, size_t i, struct fit_model *m, struct err *e)
{
    char where[48];
    const char *name, *family;
    int64_t n_params;
    double theta, factor, eps;
    (void)snprintf(where, sizeof where, "models.json: models[%zu]", i);
    if (!json_string(o, "name", &name, where, e) || !json_string(o, "family", &family, where, e) ||
        !json_int(o, "n_params", &n_params, where, e) ||
        !read_u32(o, "n_layers", &m->n_layers, where, e) ||
        !read_u32(o, "n_embd", &m->n_embd, where, e) ||
        !read_u32(o, "n_heads", &m->n_heads, where, e) ||
        !read_u32(o, "n_kv_heads", &m->n_kv_heads, where, e) ||
        !read_u32(o, "head_dim", &m->head_dim, where, e) ||
        !read_u32(o, "n_ff", &m->n_ff, where, e) ||
        !read_u32(o, "n_vocab", &m->n_vocab, where, e) ||
        !read_u32(o, "n_ctx_train", &m->n_ctx_train, where, e) ||
        !json_number(o, "rope_theta", &theta, where, e) ||
        !json_number(o, "rope_factor", &factor, where, e) ||
        !json_number(o, "norm_eps", &eps, where, e))
        return false;
    m->rope_theta = (float)theta;
    m->rope_factor = (float)factor;
    m->norm_eps = (float)eps;
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    (void)snprintf(m->family, sizeof m->family, "%s", family);
    m->tied = json_bool_or(o, "tied", false);
    m->n_params = (uint64_t)n_params;
    return true;
}

bool fit_models(struct fit_model **out, size_t *n, struct err *e)
{
    const cJSON *list, *o;
    bool ok = false;
    size_t i = 0;
    *out = NULL;
    *n = 0;
    cJSON *doc = json_parse((const char *)fit_models_json, fit_models_json_size, "models.json", e);
    if (!doc || !json_version(doc, 1, "models.json", e) ||
        !json_array(doc, "models", &list, "models.json", e))
        goto done;
    size_t count = (size_t)cJSON_GetArraySize(list);
    *out = calloc(count ? count : 1, sizeof **out);
    ok = *out || err_nomem(e, "the list of models", count * sizeof **out);
    cJSON_ArrayForEach(o, list)
    {
        if (!ok) break;
        ok = read_model(o, i, &(*out)[i], e);
        i++;
    }
    if (ok) {
        *n = count;
    } else {
        free(*out);
        *out = NULL;
    }
done:
    cJSON_Delete(doc);
    return ok;
}
