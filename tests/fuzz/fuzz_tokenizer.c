// Vocabularies and texts. An input that begins with "GGUF" is a file, and the text that it
// tokenizes; any other says how to make a file, so that most changes leave one that opens:
//
//   0     kind: of pres below
//   1     which keys there are: enum keys
//   2, 3  ids of BOS and EOS; 255: no such key
//   4     tokens, zero-terminated: type and score, a byte each, then the text; an empty one ends
//         merges, zero-terminated: "LEFT RIGHT"; an empty one ends
//         the text
//
// Whatever opens must tokenize any text, give ids in range, and bring the text back, in whole
// characters when it comes piece by piece.
#include "base/utf8.h"
#include "engine/tokenizer/tok.h"
#include "tests/fuzz/fuzz.h"
#include "tests/tiny_gguf.h"

enum { N_TOKENS = 512, N_MERGES = 256, SPELLED = 8, LONG = 256 };
enum keys {
    KEY_BYTES = 1, // a token for every byte
    KEY_ADD_BOS = 2,
    KEY_ADD_EOS = 4,
    KEY_NO_SPACE = 8,
    KEY_SQUEEZE = 16,
    KEY_NO_TYPES = 32,
    KEY_UNKNOWN = 64, // token 0
    KEY_EOT = 128     // token 1
};

// One of every rule of pre.c.
static const char *const pres[] = {
    NULL, // SentencePiece
    "llama-bpe", "smaug-bpe",    "minicpm5",       "smollm", "gpt-2",   "qwen2",    "seed-coder",
    "tekken",    "deepseek-llm", "deepseek-coder", "viking", "default", "nonesuch",
};
enum { N_PRES = sizeof pres / sizeof pres[0] };

// --------------------------------------------------------------------------- making a vocabulary

struct made {
    const char *tokens[N_TOKENS], *merges[N_MERGES];
    int32_t types[N_TOKENS];
    float scores[N_TOKENS];
    size_t n, n_merges;
    char bytes[256][SPELLED];
};

static void read_tokens(struct made *m, const char **at, const char *end)
{
    while (m->n < N_TOKENS - 256) {
        const char *s = fuzz_part(at, end);
        if (!s[0]) return;
        m->tokens[m->n] = s[1] ? s + 2 : "";
        m->types[m->n] = (unsigned char)s[0] % TOK_N_TYPES;
        m->scores[m->n++] = (float)s[1];
    }
}

static void read_merges(struct made *m, const char **at, const char *end)
{
    while (m->n_merges < N_MERGES) {
        const char *s = fuzz_part(at, end);
        if (!s[0]) return;
        m->merges[m->n_merges++] = s;
    }
}

// As the file spells a byte: SentencePiece's name, or the letter of GPT-2's alphabet.
static void add_bytes(struct made *m, bool spm)
{
    uint32_t others = 256;
    for (uint32_t b = 0; b < 256; b++) {
        bool plain = (b > 32 && b < 127) || (b > 160 && b != 173);
        char *s = m->bytes[b];
        if (spm)
            snprintf(s, SPELLED, "<0x%02X>", b);
        else
            s[utf8_encode(plain ? b : others++, s)] = '\0';
        m->tokens[m->n] = s;
        m->types[m->n] = spm ? TOK_BYTE : TOK_NORMAL;
        m->scores[m->n++] = 0;
    }
}

static void put_keys(struct tiny *t, const uint8_t head[4])
{
    unsigned keys = head[1];
    if (head[2] != 255) tiny_u32(t, "tokenizer.ggml.bos_token_id", head[2]);
    if (head[3] != 255) tiny_u32(t, "tokenizer.ggml.eos_token_id", head[3]);
    if (keys & KEY_UNKNOWN) tiny_u32(t, "tokenizer.ggml.unknown_token_id", 0);
    if (keys & KEY_EOT) tiny_u32(t, "tokenizer.ggml.eot_token_id", 1);
    if (keys & KEY_ADD_BOS) tiny_bool(t, "tokenizer.ggml.add_bos_token", true);
    if (keys & KEY_ADD_EOS) tiny_bool(t, "tokenizer.ggml.add_eos_token", true);
    if (keys & KEY_NO_SPACE) tiny_bool(t, "tokenizer.ggml.add_space_prefix", false);
    if (keys & KEY_SQUEEZE) tiny_bool(t, "tokenizer.ggml.remove_extra_whitespaces", true);
}

// The file that a head and the parts behind it ask for. Caller frees *file.
static void make(const uint8_t head[4], const char **at, const char *end, unsigned char **file,
                 size_t *size)
{
    static struct made m;
    const char *pre = pres[head[0] % N_PRES];
    struct tiny t;
    struct err e = {0};
    m = (struct made){0};
    read_tokens(&m, at, end);
    read_merges(&m, at, end);
    if (head[1] & KEY_BYTES) add_bytes(&m, !pre);
    tiny_begin(&t, 3);
    tiny_str(&t, "tokenizer.ggml.model", pre ? "gpt2" : "llama");
    if (pre && strcmp(pre, "default") != 0) tiny_str(&t, "tokenizer.ggml.pre", pre);
    tiny_strs(&t, "tokenizer.ggml.tokens", m.tokens, m.n);
    tiny_strs(&t, "tokenizer.ggml.merges", m.merges, m.n_merges);
    tiny_f32s(&t, "tokenizer.ggml.scores", m.scores, m.n);
    if (!(head[1] & KEY_NO_TYPES)) tiny_i32s(&t, "tokenizer.ggml.token_type", m.types, m.n);
    put_keys(&t, head);
    MUST(tiny_bytes(&t, file, size, &e));
    tiny_free(&t);
}

// ------------------------------------------------------------------------------- tokenizing with
// it

struct joined {
    struct text t;
    struct text cuts; // for every byte of t: 1 where a call ended behind it
};

static bool join(void *ctx, const char *text, size_t size, struct err *e)
{
    struct joined *j = ctx;
    (void)e;
    MUST(size > 0);
    text_add(&j->t, text, size);
    for (size_t i = 0; i < size; i++)
        text_add(&j->cuts, &(char){i + 1 == size}, 1);
    return true;
}

static void check_characters(const struct joined *j)
{
    uint32_t cp;
    for (size_t i = 0, n; i < j->t.size; i += n) {
        n = utf8_decode(j->t.data + i, j->t.size - i, &cp);
        for (size_t k = 0; k + 1 < n; k++)
            MUST(!j->cuts.data[i + k]);
    }
}

// Can the ids be turned back into exactly this text? Every byte needs a token; SentencePiece adds a
// space behind specials, squeezes spaces if it is told to, and writes them as U+2581.
static bool exact(const struct vocab *v, const char *text, size_t size, unsigned flags,
                  const struct tokens *ids)
{
    bool spm = v->model == TOK_SPM;
    for (int b = 0; b < 256; b++)
        if (v->byte_token[b] < 0) return false;
    if (flags & (TOK_ADD_BOS | TOK_ADD_EOS) || (spm && v->squeeze)) return false;
    for (size_t i = 0; spm && i < ids->n; i++)
        if (v->type[ids->ids[i]] != TOK_NORMAL && v->type[ids->ids[i]] != TOK_BYTE) return false;
    for (size_t i = 0; spm && i + 3 <= size; i++)
        if (!memcmp(text + i, "\xe2\x96\x81", 3)) return false;
    return true;
}

static void use(const struct vocab *v, const char *text, size_t size, unsigned flags)
{
    struct tokens ids = {0};
    struct err e = {0};
    struct joined j = {0};
    struct vocab_stream s;
    char *whole;
    size_t n;
    if (!vocab_tokenize(v, text, size, flags, &ids, &e)) {
        fuzz_sentence(&e);
        MUST(ids.n == 0);
        tokens_free(&ids);
        return;
    }
    vocab_stream_begin(&s, v, true, true);
    for (size_t i = 0; i < ids.n; i++) {
        MUST(ids.ids[i] >= 0 && (uint32_t)ids.ids[i] < vocab_size(v));
        MUST(vocab_stream_put(&s, ids.ids[i], join, &j, &e));
    }
    MUST(vocab_stream_end(&s, join, &j, &e));
    MUST(vocab_detokenize(v, ids.ids, ids.n, true, true, &whole, &n, &e));
    MUST(!j.t.failed && !j.cuts.failed);
    check_characters(&j);
    MUST(n == j.t.size && (!n || !memcmp(whole, j.t.data, n)));
    if (exact(v, text, size, flags, &ids)) MUST(n == size && (!n || !memcmp(whole, text, n)));
    free(whole);
    text_free(&j.t);
    text_free(&j.cuts);
    tokens_free(&ids);
}

// The text lies in a block of its size, so that a sanitizer sees a read beyond it.
static void use_file(const unsigned char *file, size_t n, const uint8_t *text, size_t size)
{
    struct gguf g;
    struct vocab *v = NULL;
    struct err e = {0};
    char *block = malloc(size ? size : 1);
    MUST(block);
    if (size) memcpy(block, text, size);
    if (gguf_open_memory(file, n, "input", true, &g, &e)) {
        bool ok = vocab_load(&g, &v, &e);
        gguf_close(&g); // nothing may be borrowed from it
        MUST(ok == (v != NULL));
        for (unsigned flags = 0; ok && flags < 8; flags += size < LONG ? 1 : 7) // for speed
            use(v, block, size, flags);
    }
    if (!v) fuzz_sentence(&e);
    vocab_close(v);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) return 0;
    if (!memcmp(data, "GGUF", 4)) {
        use_file(data, size, data, size);
        return 0;
    }
    char *copy = fuzz_copy(data, size);
    const char *at = copy + 4, *end = copy + size;
    unsigned char *file;
    size_t n;
    make(data, &at, end, &file, &n);
    use_file(file, n, data + (at - copy), (size_t)(end - at));
    free(file);
    free(copy);
    return 0;
}
