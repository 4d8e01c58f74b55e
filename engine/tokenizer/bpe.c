// Byte-level BPE. The text is cut into words by the pre-tokenizer's expression; in each word
// bytes join pair by pair in the order of the file's merge list.
//
// In the file every byte is written as a letter (GPT-2's alphabet): the printable bytes of
// Latin-1 as themselves, the other 68 in order as U+0100, U+0101, ... A merge is "LEFT RIGHT".
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/tokenizer/tok.h"
#include "base/size.h"
#include "base/utf8.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

// Unicode's White_Space, spelled out because \s of PCRE2 also takes U+180E.
#define WS                                                                                         \
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"       \
    "\\x{3000}"
#define CONTRACTION "'s|'t|'re|'ve|'m|'ll|'d"

// GPT-2: contractions, letters, digits, other signs each with one space before it, white space
// without the space that belongs to what follows.
#define SPLIT_GPT2                                                                                 \
    CONTRACTION "| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|[" WS "]+(?![^" WS "])|[" WS "]+"
// SmolLM: first every digit is cut off alone, then the GPT-2 rule is applied to what lies between;
// so a digit ends a run of white space as the end of the text does.
#define SPLIT_SMOLLM                                                                               \
    CONTRACTION "| ?\\p{L}+|\\p{N}| ?[^" WS "\\p{L}\\p{N}]+|[" WS "]+(?![^" WS "\\p{N}])|[" WS "]" \
                "+"
// Llama 3: contractions in either case, any sign before letters, digits in threes, line ends
// joined to what stands before them.
#define SPLIT_LLAMA3                                                                               \
    "(?i:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^" WS                       \
    "\\p{L}\\p{N}]+[\\r\\n]*|[" WS "]*[\\r\\n]+|[" WS "]+(?![^" WS "])|[" WS "]+"

static const struct pre {
    const char *name; // tokenizer.ggml.pre
    const char *pattern;
    bool whole_words; // a word that is a token is taken as it is, before any merge
    bool add_bos;     // when the file does not say
} pres[] = {
    {"smollm", SPLIT_SMOLLM, false, false}, {"llama-bpe", SPLIT_LLAMA3, true, true},
    {"llama3", SPLIT_LLAMA3, true, true},   {"llama-v3", SPLIT_LLAMA3, true, true},
    {"gpt-2", SPLIT_GPT2, false, false},    {"gpt2", SPLIT_GPT2, false, false},
    {"default", SPLIT_GPT2, false, false},
};

struct merge_slot {
    uint32_t left, right; // symbols; left = UINT32_MAX: free
    uint32_t rank;
    int32_t id;
};

struct tok_bpe {
    pcre2_code *split;
    bool whole_words;
    struct merge_slot *merges;
    uint32_t mask;
};

// ------------------------------------------------------------------------------------ loading

static bool is_plain(uint32_t cp)
{
    return (cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255);
}

// The byte that a letter stands for, -1: none.
static int byte_of(uint32_t cp)
{
    if (cp < 256) return is_plain(cp) ? (int)cp : -1;
    uint32_t k = cp - 256;
    if (k <= 32) return (int)k;              // 0 to 32
    if (k <= 66) return (int)(127 + k - 33); // 127 to 160
    return k == 67 ? 173 : -1;
}

bool bpe_decode(struct gguf_str text, struct text *out)
{
    size_t before = out->size, n = 0;
    char chunk[128];
    for (size_t i = 0; i < text.n;) {
        uint32_t cp;
        i += utf8_decode(text.s + i, text.n - i, &cp);
        int byte = byte_of(cp);
        if (byte < 0) {
            out->size = before;
            return false;
        }
        chunk[n++] = (char)byte;
        if (n < sizeof chunk && i < text.n) continue;
        text_add(out, chunk, n);
        n = 0;
    }
    return true;
}

static uint32_t merge_hash(uint32_t left, uint32_t right)
{
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)((h ^ h >> 29) * 0xbf58476d1ce4e5b9u >> 32);
}

static struct merge_slot *merge_at(const struct tok_bpe *b, uint32_t left, uint32_t right)
{
    uint32_t i = merge_hash(left, right) & b->mask;
    while (b->merges[i].left != UINT32_MAX &&
           (b->merges[i].left != left || b->merges[i].right != right))
        i = (i + 1) & b->mask;
    return &b->merges[i];
}

// Decoded halves stand one after the other in buf, so that the product is their whole.
static bool add_merge(struct vocab *v, struct gguf_str line, uint32_t rank, struct text *buf,
                      const char *path, struct err *e)
{
    const char *space = line.n > 2 ? memchr(line.s + 1, ' ', line.n - 2) : NULL;
    uint32_t left, right, both;
    if (!space)
        return err_set(e, ERR_FORMAT, "%s: merge %u is not two texts with a space between", path,
                       rank);
    size_t n = (size_t)(space - line.s);
    buf->size = 0;
    if (!bpe_decode((struct gguf_str){line.s, n}, buf)) return true; // no text can reach it
    size_t left_size = buf->size;
    if (!bpe_decode((struct gguf_str){space + 1, line.n - n - 1}, buf)) return true;
    if (buf->failed) return err_nomem(e, "the merges", line.n);
    if (!tok_intern(v, buf->data, left_size, &left, e) ||
        !tok_intern(v, buf->data + left_size, buf->size - left_size, &right, e) ||
        !tok_intern(v, buf->data, buf->size, &both, e))
        return false;
    struct merge_slot *slot = merge_at(v->bpe, left, right);
    if (slot->left == UINT32_MAX) *slot = (struct merge_slot){left, right, rank, (int32_t)both};
    return true;
}

static bool load_merges(struct vocab *v, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.merges");
    struct text buf = {0};
    bool ok = true;
    if (!kv || kv->type != GGUF_ARRAY || kv->elem != GGUF_STRING || kv->count > INT32_MAX / 4)
        return err_set(e, ERR_FORMAT, "%s: tokenizer.ggml.merges must be a list of strings",
                       g->path);
    uint32_t n = 64;
    while (n < kv->count * 2)
        n *= 2;
    v->bpe->merges = malloc(n * sizeof *v->bpe->merges);
    if (!v->bpe->merges) return err_nomem(e, "the merges", n * sizeof *v->bpe->merges);
    memset(v->bpe->merges, 0xff, n * sizeof *v->bpe->merges); // all free
    v->bpe->mask = n - 1;
    for (uint32_t i = 0; ok && i < kv->count; i++)
        ok = add_merge(v, gguf_array_string(kv, i), i, &buf, g->path, e);
    text_free(&buf);
    return ok;
}

static bool compile(struct tok_bpe *b, const char *pattern, struct err *e)
{
    int code;
    size_t at;
    char why[128];
    b->split = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &code, &at, NULL);
    if (b->split) {
        (void)pcre2_jit_compile(b->split, PCRE2_JIT_COMPLETE); // slower without, the same result
        return true;
    }
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return err_set(e, ERR_INTERNAL, "PCRE2 refuses the tokenizer's expression at %zu: %s", at, why);
}

static bool find_pre(const struct gguf *g, const struct pre **out, struct err *e)
{
    struct gguf_str name = {"default", 7};
    char shown[41];
    if (gguf_find(g, "tokenizer.ggml.pre") && !gguf_string(g, "tokenizer.ggml.pre", &name, e))
        return false;
    for (size_t i = 0; i < sizeof pres / sizeof pres[0]; i++) {
        *out = &pres[i];
        if (strlen(pres[i].name) == name.n && memcmp(pres[i].name, name.s, name.n) == 0)
            return true;
    }
    size_t n = size_min(name.n, sizeof shown - 1);
    for (size_t i = 0; i < n; i++) // the file's bytes must not speak to the terminal
        shown[i] = name.s[i] >= ' ' && name.s[i] <= '~' ? name.s[i] : '?';
    shown[n] = '\0';
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: Lectern does not know the pre-tokenizer '%s'; it knows smollm, llama-bpe "
                   "and gpt-2",
                   g->path, shown);
}

bool bpe_load(struct vocab *v, const struct gguf *g, struct err *e)
{
    const struct pre *pre = NULL;
    if (!find_pre(g, &pre, e)) return false;
    v->add_bos = pre->add_bos;
    v->bpe = calloc(1, sizeof *v->bpe);
    if (!v->bpe) return err_nomem(e, "the vocabulary", sizeof *v->bpe);
    v->bpe->whole_words = pre->whole_words;
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if ((v->type[i] == TOK_NORMAL || v->type[i] == TOK_UNDEFINED || v->type[i] == TOK_UNUSED) &&
            !tok_table_add(v, i, e))
            return false;
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (v->type[i] == TOK_USER && !tok_table_add(v, i, e)) return false;
    for (int b = 0; b < 256; b++) {
        uint32_t id;
        if (!tok_intern(v, &(char){(char)b}, 1, &id, e)) return false;
        v->byte_symbol[b] = (int32_t)id;
    }
    return load_merges(v, g, e) && compile(v->bpe, pre->pattern, e);
}

void bpe_free(struct vocab *v)
{
    if (!v->bpe) return;
    pcre2_code_free(v->bpe->split);
    free(v->bpe->merges);
    free(v->bpe);
    v->bpe = NULL;
}

// --------------------------------------------------------------------------------- tokenizing

struct bpe_run {
    const struct vocab *v;
    struct merge_work work;
    pcre2_match_data *match;
    pcre2_match_context *context;
    struct tokens *out;
};

static bool rule(const struct vocab *v, const char *text, const struct merge_symbol *l,
                 const struct merge_symbol *r, uint32_t *rank, int32_t *id)
{
    (void)text;
    const struct merge_slot *slot = merge_at(v->bpe, (uint32_t)l->id, (uint32_t)r->id);
    *rank = slot->rank;
    *id = slot->id;
    return slot->left != UINT32_MAX;
}

static bool push_word(struct bpe_run *r, const char *word, size_t size, struct err *e)
{
    const struct vocab *v = r->v;
    int32_t whole = v->bpe->whole_words ? tok_find(v, word, size) : -1;
    if (whole >= 0 && (uint32_t)whole < v->n_tokens) return tokens_push(r->out, whole, e);
    merge_begin(&r->work, word);
    for (size_t i = 0; i < size; i++)
        if (!merge_add(&r->work, 1, v->byte_symbol[(unsigned char)word[i]], e)) return false;
    if (!merge_run(v, &r->work, rule, e)) return false;
    for (int32_t i = size ? 0 : -1; i >= 0; i = r->work.symbols[i].next) {
        const struct merge_symbol *s = &r->work.symbols[i];
        if ((uint32_t)s->id < v->n_tokens) {
            if (!tokens_push(r->out, s->id, e)) return false;
            continue;
        }
        for (uint32_t k = 0; k < s->size; k++)
            if (!tok_push_byte(v, (unsigned char)word[s->at + k], r->out, e)) return false;
    }
    return true;
}

// text[0..size) is valid UTF-8. The expressions match at every position, so words leave no gap.
static bool push_valid(struct bpe_run *r, const char *text, size_t size, struct err *e)
{
    for (size_t at = 0; at < size;) {
        int rc = pcre2_match(r->v->bpe->split, (PCRE2_SPTR)text, size, at, PCRE2_NO_UTF_CHECK,
                             r->match, r->context);
        size_t end = rc > 0 ? pcre2_get_ovector_pointer(r->match)[1] : at;
        if (end <= at)
            return err_set(e, ERR_INTERNAL, "splitting the text into words failed at byte %zu (%d)",
                           at, rc);
        if (!push_word(r, text + at, end - at, e)) return false;
        at = end;
    }
    return true;
}

// Bytes that are not UTF-8 are a word of their own.
static bool push_text(struct bpe_run *r, const char *text, size_t size, struct err *e)
{
    for (size_t at = 0; at < size;) {
        size_t begin = at;
        uint32_t cp;
        bool bad = false;
        while (at < size && !bad) {
            size_t n = utf8_decode(text + at, size - at, &cp);
            bad = cp == 0xfffd && n == 1;
            if (!bad) at += n;
        }
        if (!push_valid(r, text + begin, at - begin, e)) return false;
        for (begin = at; at < size && utf8_decode(text + at, size - at, &cp) == 1 && cp == 0xfffd;)
            at++;
        if (at > begin && !push_word(r, text + begin, at - begin, e)) return false;
    }
    return true;
}

bool bpe_tokenize(const struct vocab *v, const char *text, size_t size, struct tokens *out,
                  struct err *e)
{
    struct bpe_run r = {.v = v, .out = out};
    r.match = pcre2_match_data_create_from_pattern(v->bpe->split, NULL);
    r.context = pcre2_match_context_create(NULL);
    bool ok = false;
    if (!r.match || !r.context) {
        err_nomem(e, "tokenizing", 0);
    } else { // a run of white space is walked back step by step: long runs need many steps
        pcre2_set_match_limit(r.context, UINT32_MAX);
        ok = push_text(&r, text, size, e);
    }
    pcre2_match_data_free(r.match);
    pcre2_match_context_free(r.context);
    merge_free(&r.work);
    return ok;
}
