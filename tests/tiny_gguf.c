// The writer's side of engine/gguf/gguf.h, and the seeded models.
#include "tests/tiny_gguf.h"
#include "base/file.h"
#include "base/half.h"
#include "base/size.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// -------------------------------------------------------------------------------- the writer

static void put_u32(struct text *t, uint32_t v)
{
    unsigned char b[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                          (unsigned char)(v >> 24)};
    text_add(t, (const char *)b, 4);
}

static void put_u64(struct text *t, uint64_t v)
{
    put_u32(t, (uint32_t)v);
    put_u32(t, (uint32_t)(v >> 32));
}

static void put_string(struct text *t, const char *s)
{
    put_u64(t, strlen(s));
    text_puts(t, s);
}

static void put_key(struct tiny *t, const char *key, uint32_t type)
{
    put_string(&t->kvs, key);
    put_u32(&t->kvs, type);
    t->n_kvs++;
}

static void put_array(struct tiny *t, const char *key, uint32_t elem, size_t n)
{
    put_key(t, key, GGUF_ARRAY);
    put_u32(&t->kvs, elem);
    put_u64(&t->kvs, n);
}

void tiny_begin(struct tiny *t, uint32_t version)
{
    *t = (struct tiny){.version = version, .alignment = 32};
}

void tiny_free(struct tiny *t)
{
    text_free(&t->kvs);
    text_free(&t->infos);
    text_free(&t->data);
    *t = (struct tiny){0};
}

void tiny_u32(struct tiny *t, const char *key, uint32_t v)
{
    put_key(t, key, GGUF_U32);
    put_u32(&t->kvs, v);
}

void tiny_f32(struct tiny *t, const char *key, float v)
{
    put_key(t, key, GGUF_F32);
    put_u32(&t->kvs, half_bits(v));
}

void tiny_bool(struct tiny *t, const char *key, bool v)
{
    put_key(t, key, GGUF_BOOL);
    text_add(&t->kvs, v ? "\1" : "\0", 1);
}

void tiny_str(struct tiny *t, const char *key, const char *v)
{
    put_key(t, key, GGUF_STRING);
    put_string(&t->kvs, v);
}

void tiny_i32s(struct tiny *t, const char *key, const int32_t *v, size_t n)
{
    put_array(t, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        put_u32(&t->kvs, (uint32_t)v[i]);
}

void tiny_f32s(struct tiny *t, const char *key, const float *v, size_t n)
{
    put_array(t, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        put_u32(&t->kvs, half_bits(v[i]));
}

void tiny_strs(struct tiny *t, const char *key, const char *const *v, size_t n)
{
    put_array(t, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_string(&t->kvs, v[i]);
}

void tiny_raw(struct tiny *t, const char *key, uint32_t type, const void *bytes, size_t size)
{
    put_key(t, key, type);
    text_add(&t->kvs, bytes, size);
}

static void pad(struct text *t, size_t alignment)
{
    while (!t->failed && t->size % alignment)
        text_add(t, "\0", 1);
}

void tiny_tensor_at(struct tiny *t, const char *name, uint32_t type, uint32_t n_dims,
                    const uint64_t *ne, uint64_t offset)
{
    put_string(&t->infos, name);
    put_u32(&t->infos, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(&t->infos, ne[i]);
    put_u32(&t->infos, type);
    put_u64(&t->infos, offset);
    t->n_tensors++;
}

void tiny_tensor(struct tiny *t, const char *name, uint32_t type, uint32_t n_dims,
                 const uint64_t *ne, const void *bytes, size_t size)
{
    tiny_tensor_at(t, name, type, n_dims, ne, t->data.size);
    text_add(&t->data, bytes, size);
    pad(&t->data, t->alignment);
}

bool tiny_bytes(const struct tiny *t, unsigned char **out, size_t *size, struct err *e)
{
    struct text file = {0};
    text_puts(&file, "GGUF");
    put_u32(&file, t->version);
    put_u64(&file, t->n_tensors);
    put_u64(&file, t->n_kvs);
    text_add(&file, t->kvs.data, t->kvs.size);
    text_add(&file, t->infos.data, t->infos.size);
    if (t->n_tensors) pad(&file, t->alignment);
    text_add(&file, t->data.data, t->data.size);
    if (file.failed || t->kvs.failed || t->infos.failed || t->data.failed) {
        text_free(&file);
        return err_nomem(e, "a small GGUF file", file.size);
    }
    *out = (unsigned char *)file.data;
    *size = file.size;
    return true;
}

bool tiny_write(const struct tiny *t, const char *path, struct err *e)
{
    unsigned char *bytes;
    size_t size;
    if (!tiny_bytes(t, &bytes, &size, e)) return false;
    bool ok = file_write(path, bytes, size, e);
    free(bytes);
    return ok;
}

// ------------------------------------------------------------------------------ quantisation

static void put_u16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static uint16_t f32_to_bf16(float v) // to nearest even; the tests quantise no NaN
{
    uint32_t u = half_bits(v);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static int level(float v, float inv, int lo, int hi)
{
    long q = lroundf(v * inv);
    return q < lo ? lo : q > hi ? hi : (int)q;
}

static void q8_0(const float *x, unsigned char *b)
{
    float top = 0;
    for (int i = 0; i < 32; i++)
        top = fmaxf(top, fabsf(x[i]));
    uint16_t d = f32_to_f16(top / 127);
    float inv = d ? 1 / f16_to_f32(d) : 0;
    put_u16(b, d);
    for (int i = 0; i < 32; i++)
        b[2 + i] = (unsigned char)level(x[i], inv, -127, 127);
}

// The element of largest size becomes -8, so that the whole range of 4 bits is used.
static void q4_0(const float *x, unsigned char *b)
{
    float top = 0;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(top)) top = x[i];
    uint16_t d = f32_to_f16(top / -8);
    float inv = f16_to_f32(d) != 0 ? 1 / f16_to_f32(d) : 0;
    put_u16(b, d);
    for (int i = 0; i < 16; i++)
        b[2 + i] = (unsigned char)((level(x[i], inv, -8, 7) + 8) |
                                   (level(x[i + 16], inv, -8, 7) + 8) << 4);
}

static void q4_1(const float *x, unsigned char *b)
{
    float lo = x[0], hi = x[0];
    for (int i = 1; i < 32; i++) {
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    uint16_t d = f32_to_f16((hi - lo) / 15), m = f32_to_f16(lo);
    float inv = d ? 1 / f16_to_f32(d) : 0, min = f16_to_f32(m);
    put_u16(b, d);
    put_u16(b + 2, m);
    for (int i = 0; i < 16; i++)
        b[4 + i] = (unsigned char)(level(x[i] - min, inv, 0, 15) |
                                   level(x[i + 16] - min, inv, 0, 15) << 4);
}

bool tiny_quantise(uint32_t type, const float *x, size_t n, unsigned char **out, size_t *size)
{
    const struct quant_info *info = quant_info(type);
    if (!info || !quant_row_bytes((enum quant_type)type, n, size)) return false;
    unsigned char *b = malloc(*size + 1);
    *out = b;
    if (!b) return false;
    for (size_t i = 0; i < n; i += info->block, b += info->block_bytes, x += info->block) {
        uint32_t u = half_bits(*x);
        switch (type) {
        case QUANT_F32:
            put_u16(b, (uint16_t)u);
            put_u16(b + 2, (uint16_t)(u >> 16));
            break;
        case QUANT_F16: put_u16(b, f32_to_f16(*x)); break;
        case QUANT_BF16: put_u16(b, f32_to_bf16(*x)); break;
        case QUANT_Q8_0: q8_0(x, b); break;
        case QUANT_Q4_0: q4_0(x, b); break;
        case QUANT_Q4_1: q4_1(x, b); break;
        default: free(*out); return false;
        }
    }
    return true;
}

// --------------------------------------------------------------------------------- tokenizer

enum { WORD_BYTES = 40, N_BYTES = 256 };

struct words { // a token list under construction
    char (*text)[WORD_BYTES];
    float *scores;
    int32_t *types;
    uint32_t n, cap;
};

static void words_add(struct words *w, int32_t type, float score, const char *text)
{
    if (w->n == w->cap) return;
    snprintf(w->text[w->n], WORD_BYTES, "%s", text);
    w->scores[w->n] = score;
    w->types[w->n++] = type;
}

// GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for U+0100...
static void byte_letter(int byte, char out[5])
{
    int n = 0;
    uint32_t cp = (uint32_t)byte;
    bool plain = false;
    for (int i = 0; i <= byte; i++) {
        plain = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;
        if (!plain) n++;
    }
    if (!plain) cp = (uint32_t)(255 + n);
    out[utf8_encode(cp, out)] = '\0';
}

// Each word is the one before it plus a letter where that is a chain that merges can climb.
static const char *const chain[] = {"th", "the", "in", "ing", "an", "and",
                                    "er", "on",  "re", "he",  "or", "to"};
enum { N_CHAIN = sizeof chain / sizeof chain[0] };

static void spm_words(struct words *w)
{
    char s[WORD_BYTES];
    words_add(w, 2, 0, "<unk>");
    words_add(w, 3, 0, "<s>");
    words_add(w, 3, 0, "</s>");
    for (int b = 0; b < N_BYTES; b++) {
        snprintf(s, sizeof s, "<0x%02X>", (unsigned)b);
        words_add(w, 6, 0, s);
    }
    for (int i = 0; i < N_CHAIN; i++)
        words_add(w, 1, -1 - (float)i, chain[i]);
    for (int i = 0; i < N_CHAIN; i++) {
        snprintf(s, sizeof s, "\xe2\x96\x81%s", chain[i]);
        words_add(w, 1, -20 - (float)i, s);
    }
    words_add(w, 1, -100, "\xe2\x96\x81");
    for (int c = 'a'; c <= 'z'; c++) {
        snprintf(s, sizeof s, "%c", c);
        words_add(w, 1, -101 - (float)(c - 'a'), s);
    }
}

static void bpe_words(struct words *w, struct words *merges, bool letters)
{
    char s[WORD_BYTES], letter[5];
    words_add(w, 3, 0, "<|endoftext|>");
    words_add(w, 3, 0, "<|im_start|>");
    words_add(w, 3, 0, "<|im_end|>");
    for (int b = 0; b < N_BYTES; b++) {
        byte_letter(b, letter);
        words_add(w, 1, 0, letter);
    }
    for (int i = 0; i < N_CHAIN; i++) {
        size_t n = strlen(chain[i]);
        words_add(w, 1, 0, chain[i]);
        snprintf(s, sizeof s, "%.*s %s", (int)(n - 1), chain[i], chain[i] + n - 1);
        words_add(merges, 1, 0, s);
    }
    for (int i = 0; i < N_CHAIN; i++) {
        snprintf(s, sizeof s, "\xc4\xa0%s", chain[i]);
        words_add(w, 1, 0, s);
        snprintf(s, sizeof s, "\xc4\xa0 %s", chain[i]);
        words_add(merges, 1, 0, s);
    }
    for (int c = 'A'; letters && c <= 'D'; c++) {
        snprintf(s, sizeof s, "\xc4\xa0%c", c);
        words_add(w, 1, 0, s);
        snprintf(s, sizeof s, "\xc4\xa0 %c", c);
        words_add(merges, 1, 0, s);
    }
}

static bool words_make(struct words *w, uint32_t cap)
{
    *w = (struct words){.cap = cap};
    w->text = calloc(cap + 1, sizeof *w->text);
    w->scores = calloc(cap + 1, sizeof *w->scores);
    w->types = calloc(cap + 1, sizeof *w->types);
    return w->text && w->scores && w->types;
}

static void words_free(struct words *w)
{
    free(w->text);
    free(w->scores);
    free(w->types);
}

static bool put_words(struct tiny *t, const char *key, const struct words *w)
{
    const char **list = calloc(w->n + 1, sizeof *list);
    if (!list) return false;
    for (uint32_t i = 0; i < w->n; i++)
        list[i] = w->text[i];
    tiny_strs(t, key, list, w->n);
    free(list);
    return true;
}

bool tiny_vocab_keys(struct tiny *t, enum tiny_vocab vocab, uint32_t n, struct err *e)
{
    struct words w, merges = {0};
    bool ok = words_make(&w, n) && words_make(&merges, 2 * N_CHAIN + 4);
    if (!ok) goto done;
    if (vocab == TINY_SPM)
        spm_words(&w);
    else
        bpe_words(&w, &merges, vocab == TINY_BPE_LETTERS);
    while (w.n < n) { // padding that no text gives
        char s[WORD_BYTES];
        snprintf(s, sizeof s, "<pad%u>", w.n);
        words_add(&w, 3, 0, s);
    }
    tiny_str(t, "tokenizer.ggml.model", vocab == TINY_SPM ? "llama" : "gpt2");
    tiny_str(t, "tokenizer.ggml.pre", vocab == TINY_SPM ? "default" : "smollm");
    ok = put_words(t, "tokenizer.ggml.tokens", &w);
    tiny_i32s(t, "tokenizer.ggml.token_type", w.types, w.n);
    if (vocab == TINY_SPM)
        tiny_f32s(t, "tokenizer.ggml.scores", w.scores, w.n);
    else
        ok = ok && put_words(t, "tokenizer.ggml.merges", &merges);
    if (n > 2) {
        tiny_u32(t, "tokenizer.ggml.bos_token_id", 1);
        tiny_u32(t, "tokenizer.ggml.eos_token_id", 2);
    }
    if (vocab == TINY_SPM) tiny_u32(t, "tokenizer.ggml.unknown_token_id", 0);
done:
    words_free(&w);
    words_free(&merges);
    return ok ? true : err_nomem(e, "a small vocabulary", n);
}

// ------------------------------------------------------------------------------------- model

// splitmix64: a good sequence from any seed.
uint64_t tiny_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t tiny_random_state(uint64_t seed, const char *name)
{
    for (const char *p = name; *p; p++)
        seed = (seed ^ (unsigned char)*p) * 0x100000001b3u;
    return seed;
}

static float uniform(uint64_t *state) // [-1, 1)
{
    return (float)(tiny_random(state) >> 40) * 0x1p-23f - 1;
}

// A tensor of its own random sequence: centre + spread * uniform.
static bool put_random(struct tiny *t, const struct tiny_model *m, const char *name,
                       enum quant_type type, uint64_t row, uint64_t n_rows, float centre,
                       float spread, struct err *e)
{
    uint64_t state = tiny_random_state(m->seed, name);
    size_t bytes, n = (size_t)(row * n_rows);
    if (!quant_row_bytes(type, row, &bytes)) type = QUANT_F16;
    float *x = malloc((n + 1) * sizeof *x);
    if (!x) return err_nomem(e, name, n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = centre + spread * uniform(&state);
    unsigned char *packed;
    bool ok = tiny_quantise(type, x, n, &packed, &bytes);
    free(x);
    if (!ok) return err_set(e, ERR_ARG, "%s: cannot make weights of type %d", name, (int)type);
    tiny_tensor(t, name, type, n_rows > 1 ? 2 : 1, (uint64_t[]){row, n_rows}, packed, bytes);
    free(packed);
    return true;
}

static bool put_matrix(struct tiny *t, const struct tiny_model *m, const char *name, uint32_t row,
                       uint32_t n_rows, struct err *e)
{
    return put_random(t, m, name, m->type, row, n_rows, 0, sqrtf(3 / (float)row), e);
}

static bool put_layer(struct tiny *t, const struct tiny_model *m, uint32_t layer, struct err *e)
{
    uint32_t q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    const struct {
        const char *name;
        uint32_t row, n_rows; // n_rows 0: a norm
    } list[] = {
        {"attn_norm", m->n_embd, 0},      {"attn_q", m->n_embd, q},
        {"attn_k", m->n_embd, kv},        {"attn_v", m->n_embd, kv},
        {"attn_output", q, m->n_embd},    {"ffn_norm", m->n_embd, 0},
        {"ffn_gate", m->n_embd, m->n_ff}, {"ffn_up", m->n_embd, m->n_ff},
        {"ffn_down", m->n_ff, m->n_embd},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, list[i].name);
        bool ok = list[i].n_rows ? put_matrix(t, m, name, list[i].row, list[i].n_rows, e)
                                 : put_random(t, m, name, QUANT_F32, list[i].row, 1, 1, 0.1f, e);
        if (!ok) return false;
    }
    return true;
}

static void put_scaling(struct tiny *t, const struct tiny_model *m)
{
    char key[128];
    snprintf(key, sizeof key, "%s.rope.scaling.type", m->arch);
    if (m->rope_scaling) tiny_str(t, key, m->rope_scaling);
    snprintf(key, sizeof key, "%s.rope.scaling.factor", m->arch);
    if (m->rope_factor != 0) tiny_f32(t, key, m->rope_factor);
    snprintf(key, sizeof key, "%s.rope.scaling.original_context_length", m->arch);
    if (m->rope_scaling && m->rope_orig_ctx) tiny_u32(t, key, m->rope_orig_ctx);
}

void tiny_model_keys(struct tiny *t, const struct tiny_model *m)
{
    const struct {
        const char *key;
        uint32_t v;
    } list[] = {
        {"block_count", m->n_layers},          {"context_length", m->n_ctx},
        {"embedding_length", m->n_embd},       {"feed_forward_length", m->n_ff},
        {"attention.head_count", m->n_heads},  {"attention.head_count_kv", m->n_kv_heads},
        {"rope.dimension_count", m->head_dim}, {"vocab_size", m->n_vocab},
    };
    char key[128];
    tiny_str(t, "general.architecture", m->arch);
    tiny_str(t, "general.name", m->name);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        snprintf(key, sizeof key, "%s.%s", m->arch, list[i].key);
        tiny_u32(t, key, list[i].v);
    }
    if (m->head_dim * m->n_heads != m->n_embd) {
        snprintf(key, sizeof key, "%s.attention.key_length", m->arch);
        tiny_u32(t, key, m->head_dim);
        snprintf(key, sizeof key, "%s.attention.value_length", m->arch);
        tiny_u32(t, key, m->head_dim);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", m->arch);
    tiny_f32(t, key, m->norm_eps);
    snprintf(key, sizeof key, "%s.rope.freq_base", m->arch);
    tiny_f32(t, key, m->rope_theta);
    put_scaling(t, m);
    if (m->chat_template) tiny_str(t, "tokenizer.chat_template", m->chat_template);
}

// Llama 3.1: waves longer than the original context are stretched by the factor, those that fit
// into it more than four times are kept, and between the frequencies are mixed linearly.
static float llama3_freq(const struct tiny_model *m, uint32_t i)
{
    double freq = pow((double)m->rope_theta, -2.0 * i / m->head_dim);
    double turns = freq * m->rope_orig_ctx / (2 * 3.14159265358979323846);
    double keep = fmin(1, fmax(0, (turns - 1) / (4 - 1)));
    return (float)(1 / ((1 - keep) / (double)m->llama3_factor + keep));
}

uint32_t tiny_rope_freqs(const struct tiny_model *m, float *out)
{
    uint32_t n = m->head_dim / 2;
    if (!m->rope_freqs && m->llama3_factor == 0) return 0;
    for (uint32_t i = 0; i < n; i++)
        out[i] = m->rope_freqs ? 1 + 7 * (float)i / (float)n : llama3_freq(m, i);
    return n;
}

static void put_rope_freqs(struct tiny *t, const struct tiny_model *m)
{
    float factors[512];
    uint64_t n = tiny_rope_freqs(m, factors);
    if (!n) return;
    tiny_tensor_at(t, "rope_freqs.weight", QUANT_F32, 1, &n, t->data.size);
    for (uint64_t i = 0; i < n; i++)
        put_u32(&t->data, half_bits(factors[i]));
    pad(&t->data, t->alignment);
}

static uint32_t or_u32(uint32_t v, uint32_t fallback)
{
    return v ? v : fallback;
}

struct tiny_model tiny_model_defaults(const struct tiny_model *in)
{
    struct tiny_model m = *in;
    if (!m.arch) m.arch = "llama";
    if (!m.name) m.name = "tiny";
    if (m.llama3_factor != 0) m.rope_orig_ctx = or_u32(m.rope_orig_ctx, 8192);
    m.n_layers = or_u32(m.n_layers, 2);
    m.n_embd = or_u32(m.n_embd, 64);
    m.n_heads = or_u32(m.n_heads, 4);
    m.n_kv_heads = or_u32(m.n_kv_heads, m.n_heads);
    m.head_dim = or_u32(m.head_dim, m.n_embd / m.n_heads);
    m.n_ff = or_u32(m.n_ff, 96);
    m.n_vocab = or_u32(m.n_vocab, 320);
    m.n_ctx = or_u32(m.n_ctx, 128);
    if (m.rope_theta == 0) m.rope_theta = 10000;
    if (m.norm_eps == 0) m.norm_eps = 1e-5f;
    return m;
}

bool tiny_model_write(const struct tiny_model *in, const char *path, struct err *e)
{
    struct tiny_model m = tiny_model_defaults(in);
    struct tiny t;
    tiny_begin(&t, 3);
    tiny_model_keys(&t, &m);
    bool ok = tiny_vocab_keys(&t, m.vocab, m.n_vocab, e) &&
              put_matrix(&t, &m, "token_embd.weight", m.n_embd, m.n_vocab, e) &&
              put_random(&t, &m, "output_norm.weight", QUANT_F32, m.n_embd, 1, 1, 0.1f, e);
    if (ok && !m.tied_output) ok = put_matrix(&t, &m, "output.weight", m.n_embd, m.n_vocab, e);
    if (ok) put_rope_freqs(&t, &m);
    for (uint32_t i = 0; ok && i < m.n_layers; i++)
        ok = put_layer(&t, &m, i, e);
    ok = ok && tiny_write(&t, path, e);
    tiny_free(&t);
    return ok;
}
