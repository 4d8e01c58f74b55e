// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, section LLM.
#include "engine/model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool str_is(struct gguf_str s, const char *want)
{
    return s.n == strlen(want) && !memcmp(s.s, want, s.n);
}

static bool read_scaling(const struct gguf *g, struct config *c, struct err *e)
{
    struct gguf_str type = {"", 0};
    if (gguf_find(g, "llama.rope.scaling.type") &&
        !gguf_string(g, "llama.rope.scaling.type", &type, e))
        return false;
    if (str_is(type, "linear"))
        c->scaling = ROPE_LINEAR;
    else if (str_is(type, "yarn"))
        c->scaling = ROPE_YARN;
    else if (type.n && !str_is(type, "none"))
        return err_set(e, ERR_UNSUPPORTED, "%s: rope scaling type %.*s is not supported", g->path,
                       (int)(type.n < 40 ? type.n : 40), type.s);
    if (!gguf_f32_or(g, "llama.rope.scaling.factor", 1, &c->rope_factor, e) ||
        !gguf_u32_or(g, "llama.rope.scaling.original_context_length", c->n_ctx_train,
                     &c->rope_orig_ctx, e))
        return false;
    if (!(c->rope_factor > 0 && c->rope_factor < 1e6f) || !c->rope_orig_ctx)
        return err_set(e, ERR_FORMAT, "%s: rope scaling values are out of range", g->path);
    const struct gguf_tensor *t = gguf_tensor(g, "rope_freqs.weight");
    if (!t) return true;
    if (t->type != QUANT_F32 || t->n_elements != c->n_rot / 2)
        return err_set(e, ERR_FORMAT, "%s: rope_freqs.weight must be %u f32 values", g->path,
                       c->n_rot / 2);
    memcpy(c->rope_freqs, t->data, t->size); // n_rot <= 256
    c->has_rope_freqs = true;
    return true;
}

static bool check(const struct gguf *g, const struct config *c, struct err *e)
{
    if (!c->n_layers || c->n_layers > 4096 || !c->n_embd || c->n_embd > 1u << 20 || !c->n_ff ||
        c->n_ff > 1u << 22 || !c->n_heads || c->n_heads > 1024 || !c->n_ctx_train)
        return err_set(e, ERR_FORMAT, "%s: the model's dimensions are out of range", g->path);
    if (!c->n_kv_heads || c->n_heads % c->n_kv_heads)
        return err_set(e, ERR_FORMAT, "%s: %u heads cannot share %u key/value heads", g->path,
                       c->n_heads, c->n_kv_heads);
    if (!c->head_dim || c->head_dim % 8 || c->head_dim > 256 || c->n_embd % 4)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: head size %u is not supported (a multiple of 8 up to 256)", g->path,
                       c->head_dim);
    if (!c->n_rot || c->n_rot % 2 || c->n_rot > c->head_dim)
        return err_set(e, ERR_FORMAT, "%s: rope dimension count %u does not fit head size %u",
                       g->path, c->n_rot, c->head_dim);
    if (!(c->norm_eps > 0 && c->norm_eps < 1) || !(c->rope_theta >= 1 && c->rope_theta < 1e12f))
        return err_set(e, ERR_FORMAT, "%s: norm epsilon or rope base is out of range", g->path);
    return true;
}

static void read_name(const struct gguf *g, struct config *c)
{
    const char *base = strrchr(g->path, '/');
    (void)snprintf(c->name, sizeof c->name, "%.120s", base ? base + 1 : g->path);
    struct gguf_str s;
    struct err ignored;
    if (gguf_find(g, "general.name") && gguf_string(g, "general.name", &s, &ignored) && s.n)
        (void)snprintf(c->name, sizeof c->name, "%.*s", (int)(s.n < 120 ? s.n : 120), s.s);
}

bool config_read(const struct gguf *g, struct config *out, struct err *e)
{
    struct config *c = out;
    struct gguf_str arch;
    *c = (struct config){0};
    if (!gguf_string(g, "general.architecture", &arch, e)) return false;
    if (!str_is(arch, "llama"))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: architecture '%.*s' is not supported, only 'llama' is", g->path,
                       (int)(arch.n < 40 ? arch.n : 40), arch.s);
    read_name(g, c);
    const struct gguf_tensor *embd = gguf_tensor(g, "token_embd.weight");
    if (!embd)
        return err_set(e, ERR_FORMAT, "%s has no token_embd.weight: it holds only a vocabulary",
                       g->path);
    if (embd->ne[1] > 1u << 22)
        return err_set(e, ERR_FORMAT, "%s: a vocabulary of %llu tokens is out of range", g->path,
                       (unsigned long long)embd->ne[1]);
    c->n_vocab = (uint32_t)embd->ne[1];
    if (!gguf_u32(g, "llama.block_count", &c->n_layers, e) ||
        !gguf_u32(g, "llama.embedding_length", &c->n_embd, e) ||
        !gguf_u32(g, "llama.feed_forward_length", &c->n_ff, e) ||
        !gguf_u32(g, "llama.context_length", &c->n_ctx_train, e) ||
        !gguf_u32(g, "llama.attention.head_count", &c->n_heads, e) ||
        !gguf_u32_or(g, "llama.attention.head_count_kv", c->n_heads, &c->n_kv_heads, e) ||
        !gguf_f32_or(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f, &c->norm_eps, e) ||
        !gguf_f32_or(g, "llama.rope.freq_base", 10000, &c->rope_theta, e))
        return false;
    uint32_t per_head = c->n_heads ? c->n_embd / c->n_heads : 0;
    if (!gguf_u32_or(g, "llama.attention.key_length", per_head, &c->head_dim, e) ||
        !gguf_u32_or(g, "llama.rope.dimension_count", c->head_dim, &c->n_rot, e))
        return false;
    return check(g, c, e) && read_scaling(g, c, e);
}

// The dimension at which YaRN's wave makes `turns` turns in the original context.
static double yarn_dim(const struct config *c, double turns)
{
    const double pi = 3.14159265358979323846;
    return c->n_rot * log(c->rope_orig_ctx / (turns * 2 * pi)) / (2 * log((double)c->rope_theta));
}

// YaRN (arXiv 2309.00071): fast waves keep their frequency, slow ones are interpolated by 1/factor,
// a linear ramp between turns 32 and 1; magnitude grows by 1 + 0.1 ln(factor).
static double yarn_angle(const struct config *c, uint32_t i, double angle)
{
    double low = fmax(0, floor(yarn_dim(c, 32))), high = fmin(c->n_rot - 1, ceil(yarn_dim(c, 1)));
    double ramp = (i - low) / fmax(0.001, high - low);
    double keep = 1 - fmin(1, fmax(0, ramp));
    return angle / (double)c->rope_factor * (1 - keep) + angle * keep;
}

// The angle of pair i at a position, which may be negative.
static double pair_angle(const struct config *c, uint32_t i, double position)
{
    if (i >= c->n_rot / 2) return 0;
    double angle = position * pow((double)c->rope_theta, -2.0 * i / c->n_rot);
    if (c->has_rope_freqs) angle /= (double)c->rope_freqs[i];
    if (c->scaling == ROPE_LINEAR) angle /= (double)c->rope_factor;
    return c->scaling == ROPE_YARN ? yarn_angle(c, i, angle) : angle;
}

static void put_angles(const struct config *c, double position, double gain, float *out)
{
    for (uint32_t i = 0; i < c->head_dim / 2; i++) {
        double angle = pair_angle(c, i, position), k = i < c->n_rot / 2 ? gain : 1;
        out[2 * i] = (float)(cos(angle) * k);
        out[2 * i + 1] = (float)(sin(angle) * k);
    }
}

void config_angles(const struct config *c, uint32_t position, float *out)
{
    put_angles(c, position, c->scaling == ROPE_YARN ? 1 + 0.1 * log((double)c->rope_factor) : 1,
               out);
}

void config_shift_angles(const struct config *c, uint32_t drop, float *out)
{
    put_angles(c, -(double)drop, 1, out);
}
