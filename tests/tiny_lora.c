#include "tests/tiny_lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char all_targets[] = "attn_q,attn_k,attn_v,attn_output,ffn_gate,ffn_up,ffn_down";

// "blk.3.attn_q.weight" is a target when the list has "attn_q".
static bool is_target(struct gguf_str name, const char *list)
{
    static const char tail[] = ".weight";
    size_t n_tail = sizeof tail - 1, n = name.n;
    if (n < n_tail || memcmp(name.s + n - n_tail, tail, n_tail) != 0 || memcmp(name.s, "blk.", 4))
        return false;
    n -= n_tail;
    size_t start = n;
    while (start && name.s[start - 1] != '.')
        start--;
    for (const char *p = list; *p;) {
        size_t k = strcspn(p, ",");
        if (k == n - start && !memcmp(p, name.s + start, k)) return true;
        p += k + (p[k] == ',');
    }
    return false;
}

// Uniform values of variance spread^2.
static bool put_half(struct tiny *t, const struct tiny_lora *l, struct gguf_str of,
                     const char *half, uint64_t row, uint64_t n_rows, double spread)
{
    char name[160];
    enum quant_type type = l->f16 ? QUANT_F16 : QUANT_F32;
    size_t n = (size_t)(row * n_rows), size;
    unsigned char *packed;
    (void)snprintf(name, sizeof name, "%.*s.%s", of.n > 128 ? 128 : (int)of.n, of.s, half);
    uint64_t state = tiny_random_state(l->seed, name);
    float *x = malloc((n + 1) * sizeof *x);
    if (!x) return false;
    for (size_t i = 0; i < n; i++) {
        double u = (double)(tiny_random(&state) >> 11) * 0x1p-52 - 1;
        x[i] = (float)(u * spread * sqrt(3));
    }
    bool ok = tiny_quantise(type, x, n, &packed, &size);
    free(x);
    if (!ok) return false;
    tiny_tensor(t, name, type, 2, (uint64_t[]){row, n_rows}, packed, size);
    free(packed);
    return true;
}

// Entries of B A have the variance rank Var[a] Var[b]; a takes 1 / row length, b the rest.
static bool put_pair(struct tiny *t, const struct tiny_lora *l, const struct gguf_tensor *w)
{
    double scale = (double)l->alpha / l->rank, r = l->rank;
    return put_half(t, l, w->name, "lora_a", w->ne[0], l->rank, 1 / sqrt((double)w->ne[0])) &&
           put_half(t, l, w->name, "lora_b", l->rank, w->ne[1],
                    (double)l->strength / (scale * sqrt(r)));
}

static struct tiny_lora with_defaults(const struct tiny_lora *in)
{
    struct tiny_lora l = *in;
    if (!l.rank) l.rank = 8;
    if (l.alpha == 0) l.alpha = 16;
    if (l.strength == 0) l.strength = 0.5f;
    if (!l.targets) l.targets = all_targets;
    return l;
}

bool tiny_lora_write(const struct tiny_lora *in, const char *base, const char *path, struct err *e)
{
    struct tiny_lora l = with_defaults(in);
    struct gguf g;
    struct gguf_str arch;
    struct tiny t;
    char name[64] = "";
    if (!gguf_open(base, &g, e)) return false;
    tiny_begin(&t, 3);
    bool ok = gguf_string(&g, "general.architecture", &arch, e);
    if (ok) (void)snprintf(name, sizeof name, "%.*s", arch.n > 60 ? 60 : (int)arch.n, arch.s);
    tiny_str(&t, "general.architecture", name);
    tiny_str(&t, "general.type", "adapter");
    tiny_str(&t, "adapter.type", "lora");
    tiny_f32(&t, "adapter.lora.alpha", l.alpha);
    for (size_t i = 0; ok && i < g.n_tensors; i++)
        if (g.tensors[i].n_dims == 2 && is_target(g.tensors[i].name, l.targets))
            ok = put_pair(&t, &l, &g.tensors[i]) || err_nomem(e, "an adapter", l.rank);
    if (ok && !t.n_tensors)
        ok = err_set(e, ERR_ARG, "%s has no matrix of the targets %s", base, l.targets);
    ok = ok && tiny_write(&t, path, e);
    tiny_free(&t);
    gguf_close(&g);
    return ok;
}
