// LoRA adapters: the engine with adapters against the reference pass, in double, of a model whose
// weights are W + s B A; files that must be refused.
#include "base/file.h"
#include "base/half.h"
#include "engine/model/lora.h"
#include "engine/ref/ref_model.h"
#include "tests/model/common.h"
#include "tests/tiny_gguf.h"

static const char model_path[] = "lora_base.gguf";

enum { ALL_TARGETS = 0x7f, ALL = 0xff, N_IDS = 24, MAX_ADAPTERS = 3 };

struct adapter { // what a file holds and how it is used
    uint32_t seed, rank;
    unsigned targets; // bits 1 << enum lora_target
    float alpha;      // 0: the key is missing
    float scale;
    enum quant_type type;
};

// ----------------------------------------------------------------------------- making files

static const char *const target_names[] = {"attn_q",   "attn_k", "attn_v",   "attn_output",
                                           "ffn_gate", "ffn_up", "ffn_down", "output"};

static void tensor_name(uint32_t layer, unsigned target, char out[64])
{
    if (target == LORA_OUTPUT)
        strcpy(out, "output.weight");
    else
        (void)snprintf(out, 64, "blk.%u.%s.weight", layer, target_names[target]);
}

static float noise(uint32_t *state) // [-1, 1)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1;
}

// [n_rows, n_cols] of variance 1 / n_cols, so that B A x is of the size of x.
static void put_random(struct tiny *t, const char *name, const char *half, enum quant_type type,
                       uint64_t n_cols, uint64_t n_rows, uint32_t seed)
{
    char full[80];
    size_t n = n_cols * n_rows, bytes;
    unsigned char *packed;
    float *v = malloc(n * sizeof *v);
    assert_non_null(v);
    (void)snprintf(full, sizeof full, "%s.%s", name, half);
    for (const char *p = full; *p; p++)
        seed = (seed ^ (unsigned char)*p) * 16777619u;
    for (size_t i = 0; i < n; i++)
        v[i] = sqrtf(3 / (float)n_cols) * noise(&seed);
    assert_true(tiny_quantise(type, v, n, &packed, &bytes));
    tiny_tensor(t, full, type, 2, (uint64_t[]){n_cols, n_rows}, packed, bytes);
    free(packed);
    free(v);
}

static void begin(struct tiny *t, float alpha)
{
    tiny_begin(t, 3);
    tiny_str(t, "general.type", "adapter");
    tiny_str(t, "general.architecture", "llama");
    tiny_str(t, "adapter.type", "lora");
    if (alpha != 0) tiny_f32(t, "adapter.lora.alpha", alpha);
}

static void finish(struct tiny *t, const char *path)
{
    struct err e;
    if (!tiny_write(t, path, &e)) fail_msg("%s", e.msg);
    tiny_free(t);
}

static void write_adapter(const struct adapter *a, const struct config *c, const char *path)
{
    struct tiny t;
    begin(&t, a->alpha);
    for (uint32_t i = 0; i < c->n_layers; i++)
        for (unsigned k = 0; k <= LORA_OUTPUT; k++) {
            uint64_t n_in, n_out;
            char name[64];
            if (!(a->targets >> k & 1) || (k == LORA_OUTPUT && i)) continue;
            lora_shape(c, (enum lora_target)k, &n_in, &n_out);
            tensor_name(i, k, name);
            put_random(&t, name, "lora_a", a->type, n_in, a->rank, a->seed);
            put_random(&t, name, "lora_b", a->rank % 32 ? QUANT_F32 : a->type, a->rank, n_out,
                       a->seed);
        }
    finish(&t, path);
}

static void make_base(const struct tiny_model *m, struct config *c)
{
    struct gguf g;
    struct err e;
    if (!tiny_model_write(m, model_path, &e) || !gguf_open(model_path, &g, &e) ||
        !config_read(&g, c, &e))
        fail_msg("%s", e.msg);
    gguf_close(&g);
}

// ------------------------------------------------------------------------------ the reference

static float *floats(const struct gguf_tensor *t)
{
    float *f = malloc(t->n_elements * sizeof *f);
    assert_true(f && quant_dequantise(t->type, t->data, t->n_elements, f));
    return f;
}

// w += scale * alpha / r * B A, each element summed in double; without alpha: w += scale * B A.
static void add_product(float *w, const struct adapter *a, const struct gguf_tensor *ta,
                        const struct gguf_tensor *tb)
{
    float *va = floats(ta), *vb = floats(tb);
    size_t r = ta->ne[1], n_in = ta->ne[0];
    double s = a->alpha != 0 ? (double)a->scale * (double)a->alpha / (double)r : (double)a->scale;
    for (size_t i = 0; i < tb->ne[1]; i++)
        for (size_t j = 0; j < n_in; j++) {
            double sum = 0;
            for (size_t k = 0; k < r; k++)
                sum += (double)vb[i * r + k] * (double)va[k * n_in + j];
            w[i * n_in + j] = (float)((double)w[i * n_in + j] + s * sum);
        }
    free(va);
    free(vb);
}

static bool in_file(const struct gguf *g, const struct gguf_tensor *t)
{
    const struct file_map *m = &g->shards[0].map;
    return t->data >= m->data && t->data < m->data + m->size;
}

// Every tensor of g that the file adapts becomes f32 in memory of its own, which the caller frees.
static void merge(struct gguf *g, const struct adapter *a, const char *path)
{
    struct gguf f;
    struct err e;
    if (!gguf_open(path, &f, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];
        char name[96];
        (void)snprintf(name, sizeof name, "%.*s.lora_a", (int)t->name.n, t->name.s);
        const struct gguf_tensor *ta = gguf_tensor(&f, name), *tb;
        if (!ta) continue;
        name[strlen(name) - 1] = 'b';
        tb = gguf_tensor(&f, name);
        float *w = floats(t);
        add_product(w, a, ta, tb);
        if (!in_file(g, t)) free((void *)(uintptr_t)t->data);
        t->type = QUANT_F32;
        t->data = (const unsigned char *)w;
    }
    gguf_close(&f);
}

static double *reference(const struct config *c, const struct adapter *a, size_t n,
                         const char (*paths)[32], const int32_t *ids)
{
    struct gguf g;
    struct err e;
    double *logits = malloc(N_IDS * (size_t)c->n_vocab * sizeof *logits);
    assert_non_null(logits);
    if (!gguf_open(model_path, &g, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        merge(&g, &a[i], paths[i]);
    if (!ref_model_logits(&g, c, ids, N_IDS, KV_F32, logits, &e)) fail_msg("%s", e.msg);
    for (size_t i = 0; i < g.n_tensors; i++)
        if (!in_file(&g, &g.tensors[i])) free((void *)(uintptr_t)g.tensors[i].data);
    gguf_close(&g);
    return logits;
}

// --------------------------------------------------------------------------------- comparing

struct measured {
    double prefill, decode; // worst rms_rel of a position against the reference
    double effect;          // least rms_rel of a later position against the model without adapters
    uint64_t bytes;
};

static double worst(const float *got, const double *want, uint32_t n_vocab)
{
    double most = 0;
    for (size_t i = 0; i < N_IDS; i++)
        most = fmax(most, rms_rel(got + i * n_vocab, want + i * n_vocab, n_vocab));
    return most;
}

static void run(struct engine *g, const int32_t *ids, size_t n, float *logits)
{
    struct err e;
    struct engine_item item = {0, ids, n, LOGITS_ALL};
    if (!engine_run(g, &item, 1, logits, &e)) fail_msg("%s", e.msg);
}

static struct engine *open_with(const struct adapter *a, size_t n, const char (*paths)[32],
                                uint32_t tier)
{
    struct engine_lora loras[MAX_ADAPTERS];
    for (size_t i = 0; i < n; i++)
        loras[i] = (struct engine_lora){.path = paths[i], .scale = a[i].scale};
    return open_model((struct engine_params){.model_path = model_path,
                                             .kv = ENGINE_KV_F32,
                                             .n_batch = tier < 3 ? 9 : 32, // three passes or one
                                             .tier_given = tier > 0,
                                             .tier = tier,
                                             .loras = loras,
                                             .n_loras = (uint32_t)n});
}

// tier: 0 for the one that is usual on the device.
static struct measured measure_at(uint32_t tier, const struct tiny_model *m,
                                  const struct adapter *a, size_t n)
{
    static const char paths[MAX_ADAPTERS][32] = {"lora_0.gguf", "lora_1.gguf", "lora_2.gguf"};
    struct config c;
    struct measured r = {.effect = 1e9};
    struct err e;
    int32_t ids[N_IDS];
    uint32_t seed = 3;
    make_base(m, &c);
    for (size_t i = 0; i < n; i++)
        write_adapter(&a[i], &c, paths[i]);
    for (size_t i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)((noise(&seed) + 1) / 2 * (float)c.n_vocab);
    struct engine *g = open_with(a, n, paths, tier);
    float *got = logits_for(g, N_IDS);
    double *want = reference(&c, a, n, paths, ids), *plain = reference(&c, a, 0, paths, ids);
    run(g, ids, N_IDS, got);
    r.prefill = worst(got, want, c.n_vocab);
    for (size_t i = N_IDS / 2; i < N_IDS; i++) // q and k do nothing to the first
        r.effect = fmin(r.effect, rms_rel(got + i * c.n_vocab, plain + i * c.n_vocab, c.n_vocab));
    assert_true(engine_seq_truncate(g, 0, 0, &e));
    for (size_t i = 0; i < N_IDS; i++)
        run(g, ids + i, 1, got + i * c.n_vocab);
    r.decode = worst(got, want, c.n_vocab);
    r.bytes = engine_info(g)->lora_bytes;
    assert_int_equal(engine_info(g)->n_loras, n);
    engine_close(g);
    free(got);
    free(want);
    free(plain);
    return r;
}

static struct measured measure(const struct tiny_model *m, const struct adapter *a, size_t n)
{
    return measure_at(0, m, a, n);
}

// f32 rounding in test_engine.c's terms: chains of additions times 2^-24 a stage, nine stages that
// add undiminished. A chain is W's row (96 at most), A's row (96) and B's (the stacked ranks), and
// one rounding each of s B and of the reference's W + s B A.
static double f32_limit(uint32_t ranks)
{
    return 9 * (96 + 96 + ranks + 2) * 0x1p-24;
}

// An adapter that is not applied, or to another tensor, is an error of its effect's size; of that
// every limit must be a small part.
static void check(const char *what, struct measured r, double limit)
{
    print_message("%-12s prefill %.2e, decode %.2e (limit %.1e), effect %.2f\n", what, r.prefill,
                  r.decode, limit, r.effect);
    assert_true(r.effect >= 8 * limit);
    assert_true(r.prefill <= limit);
    assert_true(r.decode <= limit);
}

// ------------------------------------------------------------------------------------- tests

static void test_targets(void **state)
{
    (void)state;
    struct tiny_model m = {.seed = 31, .n_kv_heads = 2};
    for (unsigned k = 0; k <= LORA_OUTPUT; k++) {
        struct adapter a = {.seed = k, .rank = 8, .targets = 1u << k, .alpha = 8, .scale = 1};
        check(target_names[k], measure(&m, &a, 1), f32_limit(8));
    }
    struct adapter q_v = {.seed = 9, .rank = 8, .targets = 1 << LORA_Q | 1 << LORA_V, .scale = 1};
    check("q, v", measure(&m, &q_v, 1), f32_limit(16)); // k lies between
}

// Ranks that are no multiple of 32, with and without alpha, a negative scale, tensors that only
// some of the files adapt; the second shape has rows and columns that are no multiples of 32.
static void test_several(void **state)
{
    (void)state;
    const struct adapter a[] = {
        {.seed = 1, .rank = 8, .targets = ALL, .alpha = 4, .scale = 1},
        {.seed = 2, .rank = 33, .targets = 0xb5, .scale = -0.7f, .type = QUANT_F16},
        {.seed = 3, .rank = 16, .targets = 0x5a, .alpha = 8, .scale = 1.5f, .type = QUANT_BF16},
    };
    struct tiny_model m = {.seed = 32, .n_kv_heads = 2};
    check("three", measure(&m, a, 3), f32_limit(3 * 57));
    m = (struct tiny_model){
        .seed = 33, .n_embd = 36, .n_heads = 3, .n_kv_heads = 1, .head_dim = 8, .n_ff = 44};
    check("odd shape", measure(&m, a, 3), f32_limit(3 * 57));
}

// Gate and up of ranks at which the zeros of a common B would cost more than two dispatches.
static void test_apart(void **state)
{
    (void)state;
    enum { RANK = 320, FF = 1024 };
    struct tiny_model m = {.seed = 34, .n_layers = 1, .n_ff = FF};
    struct adapter a = {
        .seed = 4, .rank = RANK, .targets = 1 << LORA_GATE | 1 << LORA_UP, .scale = 0.5f};
    struct measured r = measure(&m, &a, 1);
    check("apart", r, 9 * (FF + 64 + RANK + 2) * 0x1p-24);
    uint64_t apart = 2 * RANK * 4 * (64 + FF), together = 2 * RANK * 4 * (64 + 2 * FF);
    assert_true(r.bytes >= apart && r.bytes < together);
}

// The adapter is exact, the base as in test_engine.c: 0.4 % (0.1 % of 10 bits) of an activation's
// rms a matrix, sqrt(9) stages, times three.
static void test_quantised(void **state)
{
    (void)state;
    const struct adapter a = {
        .seed = 5, .rank = 32, .targets = ALL, .scale = 0.5f, .type = QUANT_Q8_0};
    struct tiny_model m = {.seed = 35, .type = QUANT_Q8_0};
    check("Q8_0", measure(&m, &a, 1), 0.009);
    m.type = QUANT_Q4_0;
    check("Q4_0", measure(&m, &a, 1), 0.036);
}

// Kernels of higher tiers read other forms of activations; the adapters still need theirs. Limits
// of test_engine.c's test_tiers.
static void test_tiers(void **state)
{
    (void)state;
    const struct adapter a = {.seed = 5, .rank = 32, .targets = ALL, .scale = 0.5f};
    const struct tiny_model m = {.seed = 35, .type = QUANT_Q4_0};
    for (uint32_t tier = 1; tier <= ENGINE_MAX_TIER; tier++)
        check("tier", measure_at(tier, &m, &a, 1), 0.036);
}

static void test_zero(void **state)
{
    (void)state;
    static const char paths[2][32] = {"lora_0.gguf", "lora_1.gguf"};
    struct adapter a[2] = {{.seed = 6, .rank = 8, .targets = ALL, .alpha = 8, .scale = 0}};
    struct config c;
    int32_t ids[N_IDS] = {1, 2, 3};
    make_base(&(struct tiny_model){.seed = 36, .type = QUANT_Q4_0}, &c);
    write_adapter(&a[0], &c, paths[0]);
    struct engine *plain = open_with(a, 0, paths, 0), *zero = open_with(a, 1, paths, 0);
    float *want = logits_for(plain, N_IDS), *got = logits_for(plain, N_IDS);
    run(plain, ids, N_IDS, want);
    run(zero, ids, N_IDS, got);
    assert_memory_equal(got, want, N_IDS * c.n_vocab * sizeof *got);
    assert_int_equal(engine_info(zero)->lora_bytes, 0);
    assert_int_equal(engine_info(zero)->n_loras, 1);
    engine_close(zero);
    engine_close(plain);
    free(want);
    free(got);
}

// ------------------------------------------------------------------------------ what is refused

enum flaw {
    NOT_AN_ADAPTER,
    OTHER_TYPE,
    OTHER_ARCH,
    ALORA,
    BAD_ALPHA,
    EMPTY,
    ONLY_A,
    ONLY_B,
    UNKNOWN,
    NORM,
    EMBEDDING,
    LAYER_BEYOND,
    TIED_OUTPUT,
    WRONG_IN,
    WRONG_OUT,
    RANKS_DIFFER,
    THREE_DIMS_A,
    THREE_DIMS_B,
    N_FLAWS
};

static void put_zeros(struct tiny *t, const char *name, uint32_t n_dims, const uint64_t ne[3])
{
    size_t n = 4;
    for (uint32_t i = 0; i < n_dims; i++)
        n *= ne[i];
    void *zeros = calloc(1, n);
    assert_non_null(zeros);
    tiny_tensor(t, name, QUANT_F32, n_dims, ne, zeros, n);
    free(zeros);
}

static void put_pair(struct tiny *t, const char *name, uint64_t n_in, uint64_t ra, uint64_t rb,
                     uint64_t n_out)
{
    char full[80];
    (void)snprintf(full, sizeof full, "%s.lora_a", name);
    put_zeros(t, full, 2, (uint64_t[]){n_in, ra, 1});
    full[strlen(full) - 1] = 'b';
    put_zeros(t, full, 2, (uint64_t[]){rb, n_out, 1});
}

// A good pair, or what is wrong in its place.
static void put_flawed(struct tiny *t, enum flaw f)
{
    const char q[] = "blk.0.attn_q.weight";
    switch (f) {
    case EMPTY: break;
    case ONLY_A: put_zeros(t, "blk.1.ffn_up.weight.lora_a", 2, (uint64_t[]){64, 4, 1}); break;
    case ONLY_B: put_zeros(t, "blk.1.ffn_up.weight.lora_b", 2, (uint64_t[]){4, 96, 1}); break;
    case UNKNOWN: put_pair(t, "blk.0.attn_qkv.weight", 64, 4, 4, 64); break;
    case NORM: put_zeros(t, "blk.0.attn_norm\x1b.weight", 1, (uint64_t[]){64, 1, 1}); break;
    case EMBEDDING: put_pair(t, "token_embd\x7f.weight", 4, 320, 4, 64); break;
    case LAYER_BEYOND: put_pair(t, "blk.2.attn_q.weight", 64, 4, 4, 64); break;
    case TIED_OUTPUT: put_pair(t, "output.weight", 64, 4, 4, 320); break;
    case WRONG_IN: put_pair(t, q, 96, 4, 4, 64); break;
    case WRONG_OUT: put_pair(t, q, 64, 4, 4, 32); break;
    case RANKS_DIFFER: put_pair(t, q, 64, 4, 8, 64); break;
    case THREE_DIMS_A:
        put_zeros(t, "blk.0.attn_q.weight.lora_a", 3, (uint64_t[]){64, 4, 2});
        put_zeros(t, "blk.0.attn_q.weight.lora_b", 2, (uint64_t[]){4, 64, 1});
        break;
    case THREE_DIMS_B:
        put_zeros(t, "blk.0.attn_q.weight.lora_a", 2, (uint64_t[]){64, 4, 1});
        put_zeros(t, "blk.0.attn_q.weight.lora_b", 3, (uint64_t[]){2, 64, 2});
        break;
    default: put_pair(t, q, 64, 4, 4, 64); break;
    }
}

static void write_flawed(enum flaw f, const char *path)
{
    struct tiny t;
    tiny_begin(&t, 3);
    if (f != NOT_AN_ADAPTER) tiny_str(&t, "general.type", "adapter");
    tiny_str(&t, "general.architecture", f == OTHER_ARCH ? "qwen\x1b" : "llama");
    tiny_str(&t, "adapter.type", f == OTHER_TYPE ? "control\nvector" : "lora");
    tiny_f32(&t, "adapter.lora.alpha", f == BAD_ALPHA ? NAN : 4);
    if (f == ALORA) tiny_i32s(&t, "adapter.alora.invocation_tokens", (int32_t[]){1, 2}, 2);
    put_flawed(&t, f);
    finish(&t, path);
}

static void refused(const struct config *c, struct engine_lora in, enum err_code code,
                    const char *part)
{
    struct lora_file f;
    struct err e = {0};
    if (lora_file_open(&in, c, false, &f, &e)) fail_msg("taken, where '%s' was expected", part);
    if (e.code != code || !strstr(e.msg, part)) fail_msg("%s, not '%s'", e.msg, part);
    if (!strstr(e.msg, in.path)) fail_msg("no file in '%s'", e.msg);
    assert_null(f.tensors);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        enum err_code code;
        const char *part;
    } want[N_FLAWS] = {
        [NOT_AN_ADAPTER] = {ERR_FORMAT, "is not an adapter"},
        [OTHER_TYPE] = {ERR_UNSUPPORTED, "'control?vector'"},
        [OTHER_ARCH] = {ERR_UNSUPPORTED, "'qwen?'"},
        [ALORA] = {ERR_UNSUPPORTED, "aLoRA"},
        [BAD_ALPHA] = {ERR_FORMAT, "adapter.lora.alpha"},
        [EMPTY] = {ERR_FORMAT, "no tensors"},
        [ONLY_A] = {ERR_FORMAT, "blk.1.ffn_up.weight.lora_a without blk.1.ffn_up.weight.lora_b"},
        [ONLY_B] = {ERR_FORMAT, "blk.1.ffn_up.weight.lora_b without blk.1.ffn_up.weight.lora_a"},
        [UNKNOWN] = {ERR_UNSUPPORTED, "blk.0.attn_qkv.weight.lora_a adapts no matrix"},
        [NORM] = {ERR_UNSUPPORTED, "blk.0.attn_norm?.weight adapts no matrix"},
        [EMBEDDING] = {ERR_UNSUPPORTED, "embedding (token_embd?.weight.lora_a)"},
        [LAYER_BEYOND] = {ERR_UNSUPPORTED, "blk.2.attn_q.weight.lora_a adapts no matrix"},
        [TIED_OUTPUT] = {ERR_UNSUPPORTED, "output.weight.lora_a adapts no matrix"},
        [WRONG_IN] = {ERR_FORMAT, "rows of 96, the model's have 64"},
        [WRONG_OUT] = {ERR_FORMAT, "lora_b is 32 x 4, expected 64 x 4"},
        [RANKS_DIFFER] = {ERR_FORMAT, "lora_b is 64 x 8, expected 64 x 4"},
        [THREE_DIMS_A] = {ERR_FORMAT, "lora_a"},
        [THREE_DIMS_B] = {ERR_FORMAT, "lora_b"},
    };
    const char path[] = "lora_bad.gguf";
    struct config c;
    make_base(&(struct tiny_model){.seed = 37}, &c);
    for (int f = 0; f < N_FLAWS; f++) {
        write_flawed((enum flaw)f, path);
        refused(&c, (struct engine_lora){path, 1}, want[f].code, want[f].part);
    }
    write_flawed(N_FLAWS, path); // without a flaw it is taken
    struct lora_file f;
    struct err e;
    if (!lora_file_open(&(struct engine_lora){path, 1}, &c, false, &f, &e)) fail_msg("%s", e.msg);
    lora_file_close(&f);
    refused(&c, (struct engine_lora){path, NAN}, ERR_ARG, "not a finite number");
    refused(&c, (struct engine_lora){"lora_missing.gguf", 1}, ERR_IO, "");
    refused(&c, (struct engine_lora){model_path, 1}, ERR_FORMAT, "is not an adapter");
    remove(path);
}

// The largest rank, on a model of single numbers.
static void test_rank(void **state)
{
    (void)state;
    const char path[] = "lora_rank.gguf";
    const struct config c = {.n_layers = 1,
                             .n_embd = 1,
                             .n_heads = 1,
                             .n_kv_heads = 1,
                             .head_dim = 1,
                             .n_ff = 1,
                             .n_vocab = 1};
    for (uint64_t r = 65536; r <= 65537; r++) {
        struct tiny t;
        struct lora_file f;
        struct err e;
        begin(&t, 1);
        put_pair(&t, "blk.0.ffn_up.weight", 1, r, r, 1);
        finish(&t, path);
        if (r > 65536)
            refused(&c, (struct engine_lora){path, 1}, ERR_FORMAT, "rank 65537, not 1 to 65536");
        else if (!lora_file_open(&(struct engine_lora){path, 1}, &c, false, &f, &e))
            fail_msg("%s", e.msg);
        else
            lora_file_close(&f);
    }
    remove(path);
}

static void test_prefixes(void **state)
{
    (void)state;
    const char path[] = "lora_prefix.gguf";
    struct file_map map;
    struct config c;
    struct err e;
    struct lora_file f;
    make_base(&(struct tiny_model){.seed = 37}, &c);
    write_flawed(N_FLAWS, path);
    if (!map_open(path, &map, &e)) fail_msg("%s", e.msg);
    unsigned char *bytes = malloc(map.size);
    size_t size = map.size;
    assert_non_null(bytes);
    memcpy(bytes, map.data, size);
    map_close(&map);
    for (size_t n = 0; n < size; n += n < 600 ? 1 : 61) {
        assert_true(file_write(path, bytes, n, &e));
        e = (struct err){0};
        if (lora_file_open(&(struct engine_lora){path, 1}, &c, true, &f, &e))
            fail_msg("%zu of %zu bytes are taken", n, size);
        assert_true(e.code != ERR_NONE);
    }
    free(bytes);
    remove(path);
}

// An engine that cannot have its adapter does not open, whatever was loaded before.
static void test_engine_refuses(void **state)
{
    (void)state;
    const char good[] = "lora_good.gguf", bad[] = "lora_bad.gguf";
    struct config c;
    struct err e = {0};
    struct engine *g;
    make_base(&(struct tiny_model){.seed = 37}, &c);
    write_flawed(N_FLAWS, good);
    write_flawed(RANKS_DIFFER, bad);
    struct engine_lora loras[] = {{good, 1}, {bad, 1}};
    struct engine_params p = {.model_path = model_path, .loras = loras, .n_loras = 1};
    engine_close(open_model(p)); // skips without a device
    p.n_loras = 2;
    assert_false(engine_open(&p, &g, &e));
    assert_null(g);
    assert_int_equal(e.code, ERR_FORMAT);
    assert_non_null(strstr(e.msg, bad));
    remove(good);
    remove(bad);
}

static void test_inspect(void **state)
{
    (void)state;
    const char path[] = "lora_inspect.gguf";
    cJSON *doc;
    struct err e;
    write_flawed(N_FLAWS, path);
    if (!engine_inspect(path, &doc, &e)) fail_msg("%s", e.msg);
    assert_int_equal(json_number_or(doc, "n_tensors", 0), 2);
    assert_int_equal(json_number_or(doc, "parameters", 0), 2 * 4 * 64);
    char *text = cJSON_PrintUnformatted(doc);
    assert_non_null(text);
    assert_non_null(strstr(text, "\"adapter.lora.alpha\""));
    assert_non_null(strstr(text, "blk.0.attn_q.weight.lora_b"));
    cJSON_free(text);
    cJSON_Delete(doc);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),        cmocka_unit_test(test_several),
        cmocka_unit_test(test_apart),          cmocka_unit_test(test_quantised),
        cmocka_unit_test(test_zero),           cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_engine_refuses), cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
