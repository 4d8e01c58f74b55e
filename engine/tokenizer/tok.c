// Vocabularies: loading, and special tokens in texts. The public functions of engine.h.
#include "engine/tokenizer/tok.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

bool tokens_push(struct tokens *t, int32_t id, struct err *e)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        int32_t *grown =
            cap > SIZE_MAX / sizeof *grown ? NULL : realloc(t->ids, cap * sizeof *grown);
        if (!grown) return err_nomem(e, "token ids", cap * sizeof *grown);
        t->ids = grown;
        t->cap = cap;
    }
    t->ids[t->n++] = id;
    return true;
}

void tokens_free(struct tokens *t)
{
    free(t->ids);
    *t = (struct tokens){0};
}

// ------------------------------------------------------------------------------------ loading

static bool load_model(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct gguf_str name;
    if (!gguf_find(g, "tokenizer.ggml.model"))
        return err_set(e, ERR_FORMAT, "%s holds no tokenizer (tokenizer.ggml.model is missing)",
                       g->path);
    if (!gguf_string(g, "tokenizer.ggml.model", &name, e)) return false;
    bool bpe = name.n == 4 && memcmp(name.s, "gpt2", 4) == 0;
    bool spm = name.n == 5 && memcmp(name.s, "llama", 5) == 0;
    if (!bpe && !spm)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s has a tokenizer of another kind than 'gpt2' and 'llama', which Lectern "
                       "cannot use",
                       g->path);
    v->model = bpe ? TOK_BPE : TOK_SPM;
    v->add_bos = v->add_space = spm; // when the file does not say
    return true;
}

static bool load_types(struct vocab *v, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *types = gguf_find(g, "tokenizer.ggml.token_type");
    if (types && (types->type != GGUF_ARRAY || types->count != v->n_tokens))
        return err_set(e, ERR_FORMAT, "%s: tokenizer.ggml.token_type must hold %u numbers", g->path,
                       v->n_tokens);
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        int64_t type = types ? gguf_array_int(types, i) : TOK_NORMAL;
        if (type < 0 || type >= TOK_N_TYPES)
            return err_set(e, ERR_FORMAT, "%s: token %u has the unknown type %lld", g->path, i,
                           (long long)type);
        v->type[i] = (uint8_t)type;
    }
    return true;
}

// Texts as raw bytes. One that its alphabet cannot spell is taken literally.
static bool load_texts(struct vocab *v, const struct gguf *g, const struct gguf_kv *tokens,
                       struct err *e)
{
    struct text buf = {0};
    bool ok = true;
    (void)g;
    for (uint32_t i = 0; ok && i < v->n_tokens; i++) {
        struct gguf_str s = gguf_array_string(tokens, i);
        enum tok_type type = (enum tok_type)v->type[i];
        bool literal = type == TOK_CONTROL || type == TOK_UNKNOWN || type == TOK_USER;
        buf.size = 0;
        bool decoded =
            !literal && (v->model == TOK_BPE ? bpe_decode(s, &buf) : spm_decode(s, type, &buf));
        if (buf.failed)
            ok = err_nomem(e, "the vocabulary", s.n);
        else if (decoded)
            ok = tok_add(v, buf.data ? buf.data : "", buf.size, e);
        else
            ok = tok_add(v, s.s, s.n, e);
    }
    text_free(&buf);
    return ok;
}

static bool token_is(const struct vocab *v, int32_t id, const char *text)
{
    size_t size;
    if (id < 0 || (uint32_t)id >= v->n_tokens) return false;
    const char *s = tok_text(v, (uint32_t)id, &size);
    return size == strlen(text) && memcmp(s, text, size) == 0;
}

// Tokens that end a generation in some model of the family, whatever the file's keys say.
static const char *const eog_names[] = {
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<EOT>",
    "<|EOT|>",
    "<|eot|>",
    "<|eom|>",
    "<end_of_turn>",
    ("<\xef\xbd\x9c"
     "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"),
};

static bool is_eog_name(const struct vocab *v, uint32_t id)
{
    size_t size;
    if (*tok_text(v, id, &size) != '<') return false;
    for (size_t k = 0; k < sizeof eog_names / sizeof eog_names[0]; k++)
        if (token_is(v, (int32_t)id, eog_names[k])) return true;
    return false;
}

// Some writers give these tokens the type of plain text; they are never meant as that.
static void mark_eog(struct vocab *v)
{
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        if (v->spans[i].size == 0 || !is_eog_name(v, i)) continue;
        v->type[i] = TOK_CONTROL;
        v->eog[i] = true;
    }
}

static bool load_id(const struct vocab *v, const struct gguf *g, const char *key, int32_t *out,
                    struct err *e)
{
    uint32_t id;
    *out = -1;
    if (!gguf_find(g, key)) return true;
    if (!gguf_u32(g, key, &id, e)) return false;
    if (id == UINT32_MAX) return true; // some writers' way to say "none"
    if (id >= v->n_tokens)
        return err_set(e, ERR_FORMAT, "%s: %s is %u, but there are %u tokens", g->path, key, id,
                       v->n_tokens);
    *out = (int32_t)id;
    return true;
}

static bool load_special_ids(struct vocab *v, const struct gguf *g, struct err *e)
{
    int32_t eot, eom;
    if (!load_id(v, g, "tokenizer.ggml.bos_token_id", &v->bos, e) ||
        !load_id(v, g, "tokenizer.ggml.eos_token_id", &v->eos, e) ||
        !load_id(v, g, "tokenizer.ggml.unknown_token_id", &v->unk, e) ||
        !load_id(v, g, "tokenizer.ggml.eot_token_id", &eot, e) ||
        !load_id(v, g, "tokenizer.ggml.eom_token_id", &eom, e))
        return false;
    if (v->model == TOK_SPM) { // where SentencePiece puts them, should the keys be missing
        if (v->unk < 0 && token_is(v, 0, "<unk>")) v->unk = 0;
        if (v->bos < 0 && token_is(v, 1, "<s>")) v->bos = 1;
        if (v->eos < 0 && token_is(v, 2, "</s>")) v->eos = 2;
    }
    const int32_t named[] = {v->eos, eot, eom};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (named[i] >= 0) v->eog[named[i]] = true;
    return gguf_bool_or(g, "tokenizer.ggml.add_bos_token", v->add_bos, &v->add_bos, e) &&
           gguf_bool_or(g, "tokenizer.ggml.add_eos_token", false, &v->add_eos, e) &&
           gguf_bool_or(g, "tokenizer.ggml.add_space_prefix", v->add_space, &v->add_space, e) &&
           gguf_bool_or(g, "tokenizer.ggml.remove_extra_whitespaces", false, &v->squeeze, e);
}

// qsort has no context argument, so texts are sorted through pointers to both.
struct sorted {
    const char *s;
    size_t n;
    int32_t id;
};

static int compare_sorted(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int d = memcmp(x->s, y->s, size_min(x->n, y->n));
    if (d) return d;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static bool load_specials(struct vocab *v, struct err *e)
{
    struct sorted *list = calloc(v->n_tokens, sizeof *list);
    v->specials = calloc(v->n_tokens, sizeof *v->specials);
    if (!list || !v->specials) {
        free(list);
        return err_nomem(e, "the special tokens", v->n_tokens * sizeof *list);
    }
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        struct sorted s = {.id = (int32_t)i};
        s.s = tok_text(v, i, &s.n);
        bool special =
            v->type[i] == TOK_CONTROL || v->type[i] == TOK_USER || v->type[i] == TOK_UNKNOWN;
        if (!special || s.n == 0) continue;
        v->special_first[(unsigned char)s.s[0]] = true;
        list[v->n_specials++] = s;
    }
    qsort(list, v->n_specials, sizeof *list, compare_sorted);
    for (uint32_t i = 0; i < v->n_specials; i++)
        v->specials[i] = list[i].id;
    free(list);
    return true;
}

static bool load(struct vocab *v, const struct gguf *g, struct err *e)
{
    if (!load_model(v, g, e)) return false;
    const struct gguf_kv *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    if (!tokens || tokens->type != GGUF_ARRAY || tokens->elem != GGUF_STRING || !tokens->count ||
        tokens->count > INT32_MAX / 4)
        return err_set(e, ERR_FORMAT, "%s: tokenizer.ggml.tokens must be a list of strings",
                       g->path);
    v->n_tokens = (uint32_t)tokens->count;
    v->type = calloc(v->n_tokens, sizeof *v->type);
    v->eog = calloc(v->n_tokens, sizeof *v->eog);
    v->spans = calloc(v->n_tokens, sizeof *v->spans);
    if (!v->type || !v->eog || !v->spans) return err_nomem(e, "the vocabulary", v->n_tokens);
    if (!load_types(v, g, e) || !load_texts(v, g, tokens, e)) return false;
    mark_eog(v);
    if (!load_specials(v, e)) return false;
    if (!(v->model == TOK_BPE ? bpe_load(v, g, e) : spm_load(v, g, e))) return false;
    return load_special_ids(v, g, e) && chat_load(v, g, e);
}

bool vocab_load(const struct gguf *g, struct vocab **out, struct err *e)
{
    *out = NULL;
    struct vocab *v = calloc(1, sizeof *v);
    if (!v) return err_nomem(e, "the vocabulary", sizeof *v);
    if (!load(v, g, e)) {
        vocab_close(v);
        return false;
    }
    *out = v;
    return true;
}

bool vocab_open(const char *path, struct vocab **out, struct err *e)
{
    struct gguf g;
    *out = NULL;
    if (!gguf_open(path, &g, e)) return false;
    bool ok = vocab_load(&g, out, e);
    gguf_close(&g);
    return ok;
}

void vocab_close(struct vocab *v)
{
    if (!v) return;
    bpe_free(v);
    chat_free(v);
    text_free(&v->bytes);
    free(v->type);
    free(v->eog);
    free(v->spans);
    free(v->slots);
    free(v->specials);
    free(v->rank);
    free(v);
}

// ------------------------------------------------------------------------------------- getters

uint32_t vocab_size(const struct vocab *v)
{
    return v->n_tokens;
}

int32_t vocab_bos(const struct vocab *v)
{
    return v->bos;
}

int32_t vocab_eos(const struct vocab *v)
{
    return v->eos;
}

bool vocab_adds_bos(const struct vocab *v)
{
    return v->add_bos && v->bos >= 0;
}

bool vocab_adds_eos(const struct vocab *v)
{
    return v->add_eos && v->eos >= 0;
}

bool vocab_is_eog(const struct vocab *v, int32_t id)
{
    return tok_in_range(v, id) && v->eog[id];
}

bool vocab_is_special(const struct vocab *v, int32_t id)
{
    return tok_in_range(v, id) && (v->type[id] == TOK_CONTROL || v->type[id] == TOK_UNKNOWN);
}

// ---------------------------------------------------------------------------------- tokenizing

bool tok_push_byte(const struct vocab *v, unsigned char byte, struct tokens *out, struct err *e)
{
    int32_t id = v->byte_token[byte];
    if (id < 0) id = v->unk;
    if (id < 0)
        return err_set(e, ERR_FORMAT,
                       "the vocabulary has no token for the byte 0x%02x and none for the unknown",
                       byte);
    return tokens_push(out, id, e);
}

// The first special in [lo, hi), all equal in their first `depth` bytes, whose next byte is not
// below `byte`.
static uint32_t lower(const struct vocab *v, uint32_t lo, uint32_t hi, size_t depth, unsigned byte)
{
    while (lo < hi) {
        size_t size;
        uint32_t mid = lo + (hi - lo) / 2;
        const char *s = tok_text(v, (uint32_t)v->specials[mid], &size);
        if (size <= depth || (unsigned char)s[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

// The longest special token at the start of text that the flags allow, or -1.
static int32_t special_at(const struct vocab *v, const char *text, size_t size, unsigned flags,
                          size_t *length)
{
    int32_t best = -1;
    uint32_t lo = 0, hi = v->n_specials;
    for (size_t depth = 0; depth < size; depth++) {
        unsigned byte = (unsigned char)text[depth];
        lo = lower(v, lo, hi, depth, byte);
        hi = lower(v, lo, hi, depth, byte + 1);
        if (lo == hi) break;
        int32_t id = v->specials[lo]; // of a range, the text that ends here stands first
        if (v->spans[id].size == depth + 1 && (v->type[id] == TOK_USER || flags & TOK_SPECIAL)) {
            best = id;
            *length = depth + 1;
        }
    }
    return best;
}

static bool push_plain(const struct vocab *v, const char *text, size_t size, bool lead,
                       struct tokens *out, struct err *e)
{
    if (size == 0) return true;
    return v->model == TOK_BPE ? bpe_tokenize(v, text, size, out, e)
                               : spm_tokenize(v, text, size, lead, out, e);
}

static bool push_all(const struct vocab *v, const char *text, size_t size, unsigned flags,
                     struct tokens *out, struct err *e)
{
    size_t begin = 0;
    bool lead = true;
    for (size_t i = 0; i < size;) {
        size_t length = 0;
        int32_t id = v->special_first[(unsigned char)text[i]]
                         ? special_at(v, text + i, size - i, flags, &length)
                         : -1;
        if (id < 0) {
            i++;
            continue;
        }
        if (!push_plain(v, text + begin, i - begin, lead, out, e) || !tokens_push(out, id, e))
            return false;
        begin = i += length;
        lead = true;
    }
    return push_plain(v, text + begin, size - begin, lead, out, e);
}

static bool put_bos(const struct vocab *v, struct tokens *out, size_t at, struct err *e)
{
    if (out->n > at && out->ids[at] == v->bos) return true;
    if (!tokens_push(out, v->bos, e)) return false;
    memmove(out->ids + at + 1, out->ids + at, (out->n - 1 - at) * sizeof *out->ids);
    out->ids[at] = v->bos;
    return true;
}

bool vocab_tokenize(const struct vocab *v, const char *text, size_t size, unsigned flags,
                    struct tokens *out, struct err *e)
{
    size_t before = out->n;
    if (size > INT32_MAX / 2)
        return err_set(e, ERR_ARG, "a text of %zu bytes is too long to tokenize at once", size);
    bool ok = push_all(v, text, size, flags, out, e);
    if (ok && flags & TOK_ADD_BOS && vocab_adds_bos(v)) ok = put_bos(v, out, before, e);
    if (ok && flags & TOK_ADD_EOS && vocab_adds_eos(v)) ok = tokens_push(out, v->eos, e);
    if (!ok) out->n = before;
    return ok;
}
