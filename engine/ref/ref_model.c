#include "engine/ref/ref_model.h"
#include "engine/ref/ref.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pass { // [n, ...] arrays of the tokens appended
    const struct gguf *g;
    const struct config *c;
    struct ref_state *s;
    size_t n, nq, nkv;
    bool only_kv;                  // of the last layer
    const struct ref_shift *shift; // NULL: none
    double *x, *h, *q, *k, *v, *a, *gate, *up;
};

// Tensor `name` (with a layer's prefix when layer >= 0) as doubles. Caller frees.
static double *tensor(const struct gguf *g, int layer, const char *name, struct err *e)
{
    char full[96];
    if (layer >= 0)
        (void)snprintf(full, sizeof full, "blk.%d.%s.weight", layer, name);
    else
        (void)snprintf(full, sizeof full, "%s.weight", name);
    const struct gguf_tensor *t = gguf_tensor(g, full);
    float *f = t ? malloc(t->n_elements * sizeof *f) : NULL;
    double *d = t ? malloc(t->n_elements * sizeof *d) : NULL;
    if (!f || !d || !quant_dequantise(t->type, t->data, t->n_elements, f)) {
        err_set(e, ERR_FORMAT, "%s: tensor %s cannot be read", g->path, full);
        free(d);
        d = NULL;
    }
    for (size_t i = 0; d && i < t->n_elements; i++)
        d[i] = (double)f[i];
    free(f);
    return d;
}

static bool norm(struct pass *p, int layer, const char *name, struct err *e)
{
    size_t d = p->c->n_embd;
    double *gain = tensor(p->g, layer, name, e);
    for (size_t t = 0; gain && t < p->n; t++)
        ref_rmsnorm(p->x + t * d, gain, d, (double)p->c->norm_eps, p->h + t * d);
    free(gain);
    return gain != NULL;
}

static bool product(struct pass *p, int layer, const char *name, const double *x, size_t n_rows,
                    size_t n_cols, bool add, double *y, struct err *e)
{
    double *w = tensor(p->g, layer, name, e);
    if (w) ref_matmul(w, x, n_rows, n_cols, p->n, add, y);
    free(w);
    return w != NULL;
}

// Rotates one token's queries and keys, and puts its keys and values where the cache has them.
static void place(struct pass *p, size_t t, double *k_row, double *v_row)
{
    const struct config *c = p->c;
    size_t hd = c->head_dim;
    float angles[256];
    double rotated[256];
    config_angles(c, (uint32_t)(p->s->n + t), angles);
    for (size_t h = 0; h < c->n_heads; h++) {
        double *q = p->q + t * p->nq + h * hd;
        ref_rope(q, angles, hd, rotated);
        for (size_t i = 0; i < hd; i++)
            q[i] = rotated[i] / sqrt((double)hd);
    }
    for (size_t h = 0; h < c->n_kv_heads; h++) {
        ref_rope(p->k + t * p->nkv + h * hd, angles, hd, rotated);
        ref_kv_row(p->s->kv_type, rotated, hd, k_row + h * hd);
        ref_kv_row(p->s->kv_type, p->v + t * p->nkv + h * hd, hd, v_row + h * hd);
    }
}

static void attend(struct pass *p, int layer, bool only_kv)
{
    const struct config *c = p->c;
    size_t hd = c->head_dim, group = c->n_heads / c->n_kv_heads;
    double *k = p->s->k + (size_t)layer * p->s->cap * p->nkv;
    double *v = p->s->v + (size_t)layer * p->s->cap * p->nkv;
    for (size_t t = 0; t < p->n; t++) {
        size_t row = (p->s->n + t) * p->nkv;
        place(p, t, k + row, v + row);
        for (size_t h = 0; !only_kv && h < c->n_heads; h++)
            ref_attention(p->q + t * p->nq + h * hd, k + h / group * hd, v + h / group * hd,
                          p->s->n + t + 1, p->nkv, hd, p->a + t * p->nq + h * hd);
    }
}

// Where token t sees token j; false where it does not.
static bool seen_at(const struct ref_shift *s, size_t t, size_t j, uint32_t *position)
{
    bool moved = t >= s->at && j >= s->keep;
    *position = (uint32_t)(moved ? j - s->drop : j);
    return j <= t && !(moved && j < s->keep + s->drop);
}

// One token's attention over keys that are rotated for it. row: [2, n, head_dim] scratch.
static void attend_one(struct pass *p, size_t t, double *row)
{
    const struct config *c = p->c;
    size_t hd = c->head_dim, group = c->n_heads / c->n_kv_heads;
    double *keys = row, *values = row + p->n * hd, rotated[256];
    float angles[256];
    uint32_t at;
    for (size_t h = 0; h < c->n_heads; h++) {
        size_t n = 0, kv = h / group * hd;
        for (size_t j = 0; j <= t; j++) {
            if (!seen_at(p->shift, t, j, &at)) continue;
            config_angles(c, at, angles);
            ref_rope(p->k + j * p->nkv + kv, angles, hd, keys + n * hd);
            memcpy(values + n++ * hd, p->v + j * p->nkv + kv, hd * sizeof *values);
        }
        config_angles(c, at, angles); // the last one seen is the token itself
        ref_rope(p->q + t * p->nq + h * hd, angles, hd, rotated);
        for (size_t i = 0; i < hd; i++)
            rotated[i] /= sqrt((double)hd);
        ref_attention(rotated, keys, values, n, hd, hd, p->a + t * p->nq + h * hd);
    }
}

static bool attend_shifted(struct pass *p, struct err *e)
{
    size_t n = 2 * p->n * p->c->head_dim;
    double *row = malloc(n * sizeof *row);
    if (!row) return err_nomem(e, "keys", n * sizeof *row);
    for (size_t t = 0; t < p->n; t++)
        attend_one(p, t, row);
    free(row);
    return true;
}

static bool layer(struct pass *p, int i, struct err *e)
{
    const struct config *c = p->c;
    size_t d = c->n_embd, ff = c->n_ff;
    bool only_kv = p->only_kv && i + 1 == (int)c->n_layers;
    if (!norm(p, i, "attn_norm", e) || !product(p, i, "attn_q", p->h, p->nq, d, false, p->q, e) ||
        !product(p, i, "attn_k", p->h, p->nkv, d, false, p->k, e) ||
        !product(p, i, "attn_v", p->h, p->nkv, d, false, p->v, e))
        return false;
    if (!p->shift) attend(p, i, only_kv);
    if (p->shift && !attend_shifted(p, e)) return false;
    if (only_kv) return true;
    if (!product(p, i, "attn_output", p->a, d, p->nq, true, p->x, e) ||
        !norm(p, i, "ffn_norm", e) || !product(p, i, "ffn_gate", p->h, ff, d, false, p->gate, e) ||
        !product(p, i, "ffn_up", p->h, ff, d, false, p->up, e))
        return false;
    ref_swiglu(p->gate, p->up, p->n * ff, p->gate);
    return product(p, i, "ffn_down", p->gate, d, ff, true, p->x, e);
}

static bool all_layers(struct pass *p, const int32_t *ids, double *logits, struct err *e)
{
    const struct config *c = p->c;
    double *embd = tensor(p->g, -1, "token_embd", e);
    for (size_t t = 0; embd && t < p->n; t++)
        memcpy(p->x + t * c->n_embd, embd + (size_t)ids[t] * c->n_embd, c->n_embd * sizeof *embd);
    free(embd);
    if (!embd) return false;
    for (uint32_t i = 0; i < c->n_layers; i++)
        if (!layer(p, (int)i, e)) return false;
    if (p->only_kv) return true;
    const char *output = gguf_tensor(p->g, "output.weight") ? "output" : "token_embd";
    return norm(p, -1, "output_norm", e) &&
           product(p, -1, output, p->h, c->n_vocab, c->n_embd, false, logits, e);
}

bool ref_state_create(const struct config *c, size_t cap, uint32_t kv_type, struct ref_state *out,
                      struct err *e)
{
    size_t n = c->n_layers * cap * c->n_kv_heads * c->head_dim;
    *out = (struct ref_state){.cap = cap, .kv_type = kv_type};
    out->k = calloc(n, sizeof *out->k);
    out->v = calloc(n, sizeof *out->v);
    if (out->k && out->v) return true;
    ref_state_destroy(out);
    return err_nomem(e, "the reference's cache", 2 * n * sizeof *out->k);
}

void ref_state_destroy(struct ref_state *s)
{
    free(s->k);
    free(s->v);
    *s = (struct ref_state){0};
}

static bool append(struct pass p, const int32_t *ids, double *logits, struct err *e)
{
    const struct config *c = p.c;
    size_t n = p.n;
    assert(n <= p.s->cap - p.s->n);
    p.nq = (size_t)c->n_heads * c->head_dim;
    p.nkv = (size_t)c->n_kv_heads * c->head_dim;
    size_t row = 2 * c->n_embd + 2 * p.nq + 2 * p.nkv + 2 * c->n_ff;
    double *all = calloc(n * row, sizeof *all);
    if (!all) return err_nomem(e, "the reference pass", n * row * sizeof *all);
    p.x = all;
    p.h = p.x + n * c->n_embd;
    p.q = p.h + n * c->n_embd;
    p.a = p.q + n * p.nq;
    p.k = p.a + n * p.nq;
    p.v = p.k + n * p.nkv;
    p.gate = p.v + n * p.nkv;
    p.up = p.gate + n * c->n_ff;
    bool ok = all_layers(&p, ids, logits, e);
    free(all);
    if (ok) p.s->n += n;
    return ok;
}

bool ref_model_append(const struct gguf *g, const struct config *c, struct ref_state *s,
                      const int32_t *ids, size_t n, double *logits, struct err *e)
{
    return append((struct pass){.g = g, .c = c, .s = s, .n = n, .only_kv = !logits}, ids, logits,
                  e);
}

bool ref_model_logits(const struct gguf *g, const struct config *c, const int32_t *ids, size_t n,
                      uint32_t kv_type, double *logits, struct err *e)
{
    struct ref_state s;
    if (!ref_state_create(c, n, kv_type, &s, e)) return false;
    bool ok = ref_model_append(g, c, &s, ids, n, logits, e);
    ref_state_destroy(&s);
    return ok;
}

bool ref_model_shifted(const struct gguf *g, const struct config *c, const int32_t *ids, size_t n,
                       const struct ref_shift *shift, double *logits, struct err *e)
{
    struct ref_state s;
    if (!ref_state_create(c, n, KV_F32, &s, e)) return false;
    bool ok =
        append((struct pass){.g = g, .c = c, .s = &s, .n = n, .shift = shift}, ids, logits, e);
    ref_state_destroy(&s);
    return ok;
}
