// An adapter's file: keys of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, section
// LoRA, names and shapes as llama.cpp's convert_lora_to_gguf.py writes them.
#include "engine/model/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANK = 1 << 16 };

void lora_shape(const struct config *c, enum lora_target t, uint64_t *n_in, uint64_t *n_out)
{
    uint64_t nq = (uint64_t)c->n_heads * c->head_dim, nkv = (uint64_t)c->n_kv_heads * c->head_dim;
    const uint64_t shapes[][2] = {
        [LORA_Q] = {c->n_embd, nq},         [LORA_K] = {c->n_embd, nkv},
        [LORA_V] = {c->n_embd, nkv},        [LORA_O] = {nq, c->n_embd},
        [LORA_GATE] = {c->n_embd, c->n_ff}, [LORA_UP] = {c->n_embd, c->n_ff},
        [LORA_DOWN] = {c->n_ff, c->n_embd}, [LORA_OUTPUT] = {c->n_embd, c->n_vocab},
    };
    *n_in = shapes[t][0];
    *n_out = shapes[t][1];
}

static void tensor_name(uint32_t layer, enum lora_target t, char half, char out[64])
{
    static const char *const names[] = {
        [LORA_Q] = "attn_q",      [LORA_K] = "attn_k",      [LORA_V] = "attn_v",
        [LORA_O] = "attn_output", [LORA_GATE] = "ffn_gate", [LORA_UP] = "ffn_up",
        [LORA_DOWN] = "ffn_down",
    };
    if (t == LORA_OUTPUT)
        (void)snprintf(out, 64, "output.weight.lora_%c", half);
    else
        (void)snprintf(out, 64, "blk.%u.%s.weight.lora_%c", layer, names[t], half);
}

// A text value; empty when it is missing or no text.
static struct gguf_str text_of(const struct gguf *g, const char *key)
{
    struct gguf_str s = {"", 0};
    struct err ignored;
    if (gguf_find(g, key) && !gguf_string(g, key, &s, &ignored)) s = (struct gguf_str){"", 0};
    return s;
}

static bool is(struct gguf_str s, const char *want)
{
    return s.n == strlen(want) && !memcmp(s.s, want, s.n);
}

static bool check_keys(struct lora_file *f, struct err *e)
{
    const struct gguf *g = &f->file;
    struct gguf_str kind = text_of(g, "general.type"), type = text_of(g, "adapter.type");
    struct gguf_str arch = text_of(g, "general.architecture");
    char shown[GGUF_SHOWN];
    float alpha;
    if (!is(kind, "adapter"))
        return err_set(e, ERR_FORMAT, "%s is not an adapter: its general.type is '%s'", g->path,
                       gguf_show(kind, shown));
    if (!is(type, "lora"))
        return err_set(e, ERR_UNSUPPORTED, "%s: an adapter of type '%s', only 'lora' is supported",
                       g->path, gguf_show(type, shown));
    if (!is(arch, "llama"))
        return err_set(e, ERR_UNSUPPORTED, "%s adapts a model of architecture '%s', not 'llama'",
                       g->path, gguf_show(arch, shown));
    if (gguf_find(g, "adapter.alora.invocation_tokens"))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s acts only behind its invocation tokens (aLoRA), which is not supported",
                       g->path);
    if (!gguf_f32_or(g, "adapter.lora.alpha", 0, &alpha, e)) return false;
    if (!isfinite(alpha))
        return err_set(e, ERR_FORMAT, "%s: adapter.lora.alpha is not a finite number", g->path);
    f->alpha = (double)alpha;
    return true;
}

static bool check_shape(const struct gguf *g, const struct config *c, enum lora_target target,
                        const struct lora_tensor *t, struct err *e)
{
    uint64_t n_in, n_out, r = t->a->ne[1];
    lora_shape(c, target, &n_in, &n_out);
    if (t->a->ne[0] != n_in || t->a->n_elements != n_in * r)
        return err_set(e, ERR_FORMAT, "%s: tensor %.*s has rows of %llu, the model's have %llu",
                       g->path, (int)t->a->name.n, t->a->name.s, (unsigned long long)t->a->ne[0],
                       (unsigned long long)n_in);
    if (t->b->ne[1] != n_out || t->b->ne[0] != r || t->b->n_elements != n_out * r)
        return err_set(e, ERR_FORMAT, "%s: tensor %.*s is %llu x %llu, expected %llu x %llu",
                       g->path, (int)t->b->name.n, t->b->name.s, (unsigned long long)t->b->ne[1],
                       (unsigned long long)t->b->ne[0], (unsigned long long)n_out,
                       (unsigned long long)r);
    if (!r || r > MAX_RANK)
        return err_set(e, ERR_FORMAT, "%s: tensor %.*s has rank %llu, not 1 to %d", g->path,
                       (int)t->a->name.n, t->a->name.s, (unsigned long long)r, MAX_RANK);
    return true;
}

// Finds both halves of one tensor and strikes them off the list of tensors not yet known.
static bool take(struct lora_file *f, const struct config *c, uint32_t layer, enum lora_target t,
                 bool *known, struct err *e)
{
    const struct gguf *g = &f->file;
    struct lora_tensor *out = &f->tensors[(size_t)layer * N_LORA_TARGETS + t % N_LORA_TARGETS];
    char a[64], b[64];
    tensor_name(layer, t, 'a', a);
    tensor_name(layer, t, 'b', b);
    out->a = gguf_tensor(g, a);
    out->b = gguf_tensor(g, b);
    if (!out->a && !out->b) return true;
    if (!out->a || !out->b)
        return err_set(e, ERR_FORMAT, "%s has %s without %s", g->path, out->a ? a : b,
                       out->a ? b : a);
    known[out->a - g->tensors] = known[out->b - g->tensors] = true;
    f->bytes += out->a->size + out->b->size;
    return check_shape(g, c, t, out, e);
}

static bool refuse(const struct gguf *g, const struct gguf_tensor *t, struct err *e)
{
    char shown[GGUF_SHOWN];
    gguf_show(t->name, shown);
    if (t->name.n >= 10 && !memcmp(t->name.s, "token_embd", 10))
        return err_set(e, ERR_UNSUPPORTED, "%s: adapting the embedding (%s) is not supported",
                       g->path, shown);
    return err_set(e, ERR_UNSUPPORTED, "%s: tensor %s adapts no matrix of this model", g->path,
                   shown);
}

static bool take_all(struct lora_file *f, const struct config *c, bool has_output, struct err *e)
{
    const struct gguf *g = &f->file;
    if (!g->n_tensors) return err_set(e, ERR_FORMAT, "%s holds no tensors", g->path);
    bool *known = calloc(g->n_tensors, sizeof *known), ok = true;
    f->tensors = calloc((size_t)c->n_layers * N_LORA_TARGETS + 1, sizeof *f->tensors);
    if (!known || !f->tensors) ok = err_nomem(e, "an adapter's tensors", g->n_tensors);
    for (uint32_t i = 0; ok && i < c->n_layers; i++)
        for (uint32_t t = 0; ok && t < N_LORA_TARGETS; t++)
            ok = take(f, c, i, (enum lora_target)t, known, e);
    if (ok && has_output) ok = take(f, c, c->n_layers, LORA_OUTPUT, known, e);
    for (size_t i = 0; ok && i < g->n_tensors; i++)
        if (!known[i]) ok = refuse(g, &g->tensors[i], e);
    free(known);
    return ok;
}

bool lora_file_take(const struct gguf *file, const struct config *c, bool has_output,
                    struct lora_file *out, struct err *e)
{
    *out = (struct lora_file){.file = *file};
    if (check_keys(out, e) && take_all(out, c, has_output, e)) return true;
    lora_file_close(out);
    return false;
}

bool lora_file_open(const struct engine_lora *in, const struct config *c, bool has_output,
                    struct lora_file *out, struct err *e)
{
    struct gguf g;
    *out = (struct lora_file){0};
    if (!isfinite(in->scale))
        return err_set(e, ERR_ARG, "%s: its scale is not a finite number", in->path);
    if (!gguf_open(in->path, &g, e) || !lora_file_take(&g, c, has_output, out, e)) return false;
    out->scale = (double)in->scale;
    return true;
}

void lora_file_close(struct lora_file *f)
{
    gguf_close(&f->file);
    free(f->tensors);
    *f = (struct lora_file){0};
}
