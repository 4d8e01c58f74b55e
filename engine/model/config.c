// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, section LLM; what they mean for
// rotary angles: llama.cpp, src/llama-model.cpp and ggml_rope_ext.
#include "engine/model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool str_is(struct gguf_str s, const char *want)
{
    return s.n == strlen(want) && !memcmp(s.s, want, s.n);
}

// As llama.cpp's loader: no type means linear, and scale_linear is the factor's old name.
static bool read_scaling_type(const struct gguf *g, struct config *c, struct err *e)
{
    struct gguf_str type = {"linear", 6};
    char shown[GGUF_SHOWN];
    if (gguf_find(g, "llama.rope.scaling.type") &&
        !gguf_string(g, "llama.rope.scaling.type", &type, e))
        return false;
    if (!gguf_f32_or(g, "llama.rope.scale_linear", 1, &c->rope_factor, e) ||
        !gguf_f32_or(g, "llama.rope.scaling.factor", c->rope_factor, &c->rope_factor, e))
        return false;
    if (c->rope_factor == 0) c->rope_factor = 1; // what converters write for "none"
    if (str_is(type, "linear"))
        c->scaling = c->rope_factor == 1 ? ROPE_NONE : ROPE_LINEAR;
    else if (str_is(type, "yarn"))
        c->scaling = ROPE_YARN;
    else if (!str_is(type, "none"))
        return err_set(e, ERR_UNSUPPORTED, "%s: rope scaling type %s is not supported", g->path,
                       gguf_show(type, shown));
    return true;
}

static bool read_scaling(const struct gguf *g, struct config *c, struct err *e)
{
    if (!read_scaling_type(g, c, e) ||
        !gguf_f32_or(g, "llama.rope.scaling.attn_factor", 1, &c->rope_gain, e) ||
        !gguf_u32_or(g, "llama.rope.scaling.original_context_length", c->n_ctx_train,
                     &c->rope_orig_ctx, e) ||
        !gguf_f32_or(g, "llama.rope.scaling.yarn_beta_fast", 32, &c->yarn_fast, e) ||
        !gguf_f32_or(g, "llama.rope.scaling.yarn_beta_slow", 1, &c->yarn_slow, e) ||
        !gguf_f32_or(g, "llama.rope.scaling.yarn_ext_factor", 1, &c->yarn_ext, e))
        return false;
    if (!(c->rope_factor > 0 && c->rope_factor < 1e6f) || !c->rope_orig_ctx ||
        !(c->rope_gain > 0 && c->rope_gain < 1e3f) || !(c->yarn_slow > 0 && c->yarn_slow < 1e6f) ||
        !(c->yarn_fast > 0 && c->yarn_fast < 1e6f) || !(c->yarn_ext >= 0 && c->yarn_ext <= 1))
        return err_set(e, ERR_FORMAT, "%s: rope scaling values are out of range", g->path);
    return true;
}

static bool read_rope_freqs(const struct gguf *g, struct config *c, struct err *e)
{
    const struct gguf_tensor *t = gguf_tensor(g, "rope_freqs.weight");
    if (!t) return true;
    if (t->type != QUANT_F32 || t->n_elements != c->n_rot / 2)
        return err_set(e, ERR_FORMAT, "%s: rope_freqs.weight must be %u f32 values", g->path,
                       c->n_rot / 2);
    memcpy(c->rope_freqs, t->data, t->size); // n_rot <= 256
    for (uint32_t i = 0; i < c->n_rot / 2; i++)
        if (!(c->rope_freqs[i] > 0 && c->rope_freqs[i] < 1e6f))
            return err_set(e, ERR_FORMAT, "%s: rope_freqs.weight holds %g, not a divisor", g->path,
                           (double)c->rope_freqs[i]);
    c->has_rope_freqs = true;
    return true;
}

// Files of the architecture "llama" that are more than a dense Llama would run, and be wrong.
static bool check_plain(const struct gguf *g, struct err *e)
{
    static const char tail[] = ".bias";
    char shown[GGUF_SHOWN];
    uint32_t n_experts;
    if (!gguf_u32_or(g, "llama.expert_count", 0, &n_experts, e)) return false;
    if (n_experts)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: a mixture of %u experts is not supported, only dense models are",
                       g->path, n_experts);
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_str s = g->tensors[i].name;
        if (s.n >= sizeof tail && !memcmp(s.s + s.n - (sizeof tail - 1), tail, sizeof tail - 1))
            return err_set(e, ERR_UNSUPPORTED, "%s: bias tensors (%s) are not supported", g->path,
                           gguf_show(s, shown));
    }
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
    for (char *p = c->name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) *p = ' '; // a terminal would obey them
}

bool config_read(const struct gguf *g, struct config *out, struct err *e)
{
    struct config *c = out;
    struct gguf_str arch;
    char shown[GGUF_SHOWN];
    *c = (struct config){0};
    if (!gguf_string(g, "general.architecture", &arch, e)) return false;
    if (!str_is(arch, "llama"))
        return err_set(e, ERR_UNSUPPORTED,
                       "%s: architecture '%s' is not supported, only 'llama' is", g->path,
                       gguf_show(arch, shown));
    read_name(g, c);
    const struct gguf_tensor *embd = gguf_tensor(g, "token_embd.weight");
    if (!embd)
        return err_set(e, ERR_FORMAT, "%s has no token_embd.weight: it holds only a vocabulary",
                       g->path);
    if (embd->ne[1] > 1u << 22)
        return err_set(e, ERR_FORMAT, "%s: a vocabulary of %llu tokens is out of range", g->path,
                       (unsigned long long)embd->ne[1]);
    c->n_vocab = (uint32_t)embd->ne[1];
    c->tied_output = !gguf_tensor(g, "output.weight");
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
    return check(g, c, e) && check_plain(g, e) && read_scaling(g, c, e) && read_rope_freqs(g, c, e);
}

// The dimension at which YaRN's wave makes `turns` turns in the original context.
static double yarn_dim(const struct config *c, double turns)
{
    const double pi = 3.14159265358979323846;
    return c->n_rot * log(c->rope_orig_ctx / (turns * 2 * pi)) / (2 * log((double)c->rope_theta));
}

// YaRN (arXiv 2309.00071): fast waves keep their frequency, slow ones are interpolated by 1/factor,
// with a linear ramp between.
static double yarn_angle(const struct config *c, uint32_t i, double angle)
{
    double low = fmax(0, floor(yarn_dim(c, (double)c->yarn_fast)));
    double high = fmin(c->n_rot - 1, ceil(yarn_dim(c, (double)c->yarn_slow)));
    double ramp = (i - low) / fmax(0.001, high - low);
    double keep = (1 - fmin(1, fmax(0, ramp))) * (double)c->yarn_ext;
    return angle / (double)c->rope_factor * (1 - keep) + angle * keep;
}

// The paper's sqrt(1/t): scores grow with the square of cos and sin.
static double magnitude(const struct config *c)
{
    bool yarn = c->scaling == ROPE_YARN && c->yarn_ext > 0 && c->rope_factor > 1;
    return (double)c->rope_gain * (yarn ? 1 + 0.1 * log((double)c->rope_factor) : 1);
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
    put_angles(c, position, magnitude(c), out);
}

void config_shift_angles(const struct config *c, uint32_t drop, float *out)
{
    put_angles(c, -(double)drop, 1, out);
}
