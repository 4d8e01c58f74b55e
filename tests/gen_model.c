// gen_model: writes random-weight models of any Llama shape, and LoRA adapters for them.
#include "base/cancel.h"
#include "tests/gen.h"
#include "tests/tiny_lora.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: gen_model --out FILE [--shape NAME] (--mix MIX | --pure TYPE) [option]...\n"
    "       gen_model --out FILE --lora BASE.gguf [--rank 8] [--alpha 16] [--f16]\n"
    "                 [--targets attn_q,ffn_down] [--strength 0.5] [--seed N]\n"
    "\n"
    "  --shape NAME        a Llama of fit/models.json: llama-3.1-8b, smollm2-135m, ...\n"
    "  --mix MIX           by llama.cpp's rules: Q2_K Q3_K_S Q3_K_M Q3_K_L IQ4_XS Q4_0 Q4_1\n"
    "                      Q4_K_S Q4_K_M Q5_0 Q5_1 Q5_K_S Q5_K_M Q6_K Q8_0 F16\n"
    "  --pure TYPE         every matrix of one type: F32 F16 BF16 Q4_0 ... IQ4_XS\n"
    "  --seed N            same seed, same bytes (1)\n"
    "  --layers N --ctx N --vocab N --n-embd N --n-heads N --n-kv-heads N --head-dim N --n-ff N\n"
    "                      instead of the shape's, or of a small default\n"
    "  --rope-theta X --norm-eps X --tied\n"
    "  --rope-scaling linear|yarn|llama3 --rope-factor X --rope-orig-ctx N\n"
    "  --tokenizer spm|bpe\n"
    "  --sparse            matrices are holes in the file: weights of zero, almost no disk\n"
    "  --split BYTES       several files, none with more tensor bytes (one tensor is never cut)\n"
    "  --quiet             no progress\n";

struct request {
    struct gen_model g;
    struct tiny_lora l;
    const char *out, *base, *scaling;
    float rope_factor;
    bool quiet;
};

static bool number(const char *text, double most, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    return *text && !*end && !errno && isfinite(*out) && *out >= 0 && *out <= most;
}

static bool set_u32(struct request *r, const char *key, const char *value, bool *known)
{
    struct tiny_model *m = &r->g.m;
    const struct {
        const char *key;
        uint32_t *field;
    } list[] = {
        {"layers", &m->n_layers},         {"ctx", &m->n_ctx},
        {"vocab", &m->n_vocab},           {"n-vocab", &m->n_vocab},
        {"n-embd", &m->n_embd},           {"n-heads", &m->n_heads},
        {"n-kv-heads", &m->n_kv_heads},   {"head-dim", &m->head_dim},
        {"n-ff", &m->n_ff},               {"rank", &r->l.rank},
        {"rope-orig-ctx", &m->rope_orig_ctx},
    };
    double v;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (strcmp(key, list[i].key) != 0) continue;
        *known = true;
        if (!number(value, 1 << 24, &v) || v < 1) return false;
        *list[i].field = (uint32_t)v;
    }
    return true;
}

static bool set_f32(struct request *r, const char *key, const char *value, bool *known)
{
    const struct {
        const char *key;
        float *field;
    } list[] = {
        {"rope-theta", &r->g.m.rope_theta}, {"norm-eps", &r->g.m.norm_eps},
        {"rope-factor", &r->rope_factor},   {"alpha", &r->l.alpha},
        {"strength", &r->l.strength},
    };
    double v;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (strcmp(key, list[i].key) != 0) continue;
        *known = true;
        if (!number(value, 1e12, &v)) return false;
        *list[i].field = (float)v;
    }
    return true;
}

static bool set_text(struct request *r, const char *key, const char *value, bool *known)
{
    const struct {
        const char *key;
        const char **field;
    } list[] = {
        {"mix", &r->g.mix},   {"pure", &r->g.pure},          {"out", &r->out},
        {"lora", &r->base},   {"rope-scaling", &r->scaling}, {"targets", &r->l.targets},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (strcmp(key, list[i].key) != 0) continue;
        *known = true;
        *list[i].field = value;
    }
    double v;
    if (!strcmp(key, "tokenizer")) {
        *known = true;
        r->g.m.vocab = strcmp(value, "spm") ? TINY_BPE : TINY_SPM;
        return !strcmp(value, "spm") || !strcmp(value, "bpe");
    }
    if (!strcmp(key, "seed") || !strcmp(key, "split")) {
        *known = true;
        if (!number(value, 0x1p53, &v)) return false;
        *(*key == 's' && key[1] == 'e' ? &r->g.m.seed : &r->g.split) = (uint64_t)v;
        r->l.seed = r->g.m.seed;
    }
    return true;
}

static bool set_flag(struct request *r, const char *key)
{
    const struct {
        const char *key;
        bool *field;
    } list[] = {{"sparse", &r->g.sparse},
                {"tied", &r->g.m.tied_output},
                {"quiet", &r->quiet},
                {"f16", &r->l.f16}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (strcmp(key, list[i].key) != 0) continue;
        *list[i].field = true;
        return true;
    }
    return false;
}

// A shape is taken first, so that every other option changes it wherever it stands.
static bool parse(struct request *r, int argc, char **argv, struct err *e)
{
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--shape") && !gen_shape(argv[i + 1], &r->g, e)) return false;
    for (int i = 1; i < argc; i++) {
        const char *key = argv[i] + 2, *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool known = !strcmp(argv[i], "--shape") && value;
        if (strncmp(argv[i], "--", 2) != 0)
            return err_set(e, ERR_ARG, "%s is not an option", argv[i]);
        if (set_flag(r, key)) continue;
        if (!value) return err_set(e, ERR_ARG, "--%s needs a value, or is not an option", key);
        if (!set_u32(r, key, value, &known) || !set_f32(r, key, value, &known) ||
            !set_text(r, key, value, &known))
            return err_set(e, ERR_ARG, "--%s %s is not understood", key, value);
        if (!known) return err_set(e, ERR_ARG, "--%s is not an option", key);
        i++;
    }
    if (!r->out) return err_set(e, ERR_ARG, "--out FILE is missing");
    return r->base || r->g.mix || r->g.pure || err_set(e, ERR_ARG, "--mix or --pure is missing");
}

static bool set_scaling(struct request *r, struct err *e)
{
    struct tiny_model *m = &r->g.m;
    if (!r->scaling) return true;
    float factor = r->rope_factor > 0 ? r->rope_factor : 8;
    bool llama3 = !strcmp(r->scaling, "llama3");
    if (!llama3 && strcmp(r->scaling, "linear") != 0 && strcmp(r->scaling, "yarn") != 0)
        return err_set(e, ERR_ARG, "--rope-scaling %s is not known", r->scaling);
    m->llama3_factor = llama3 ? factor : 0;
    m->rope_scaling = llama3 ? NULL : r->scaling;
    m->rope_factor = llama3 ? 0 : factor;
    return true;
}

int main(int argc, char **argv)
{
    struct request r = {.g.m.seed = 1, .l.seed = 1};
    struct err e = {0};
    struct progress progress;
    if (argc < 2 || !strcmp(argv[1], "--help")) {
        fputs(usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (!parse(&r, argc, argv, &e) || !set_scaling(&r, &e)) {
        fprintf(stderr, "gen_model: %s\n", e.msg);
        return 2;
    }
    cancel_install();
    progress_init(&progress, !r.quiet);
    r.g.progress = &progress;
    bool ok = r.base ? tiny_lora_write(&r.l, r.base, r.out, &e) : gen_write(&r.g, r.out, &e);
    if (ok) return 0;
    fprintf(stderr, "gen_model: %s\n", e.msg);
    return e.code == ERR_CANCELLED ? 130 : 1;
}
