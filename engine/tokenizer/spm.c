// SentencePiece vocabularies: characters join into the neighbour pair whose text has the best
// score; what is no token at the end becomes bytes. Source: the SentencePiece model format.
//
// U+2581 in tokens and text stands for a space; both are kept as spaces here. Where no token has
// a space behind a non-space, pairs never join over the start of a word, and each word can be
// merged alone with the same result, which keeps the heap small.
#include "engine/tokenizer/tok.h"
#include "base/half.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char meta_space[] = "\xe2\x96\x81"; // U+2581

static void add_unescaped(struct text *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        bool meta = n - i >= 3 && memcmp(s + i, meta_space, 3) == 0;
        text_add(out, meta ? " " : s + i, 1);
        i += meta ? 3 : 1;
    }
}

// "<0x0A>" to 10; -1 for anything else.
static int byte_of(struct gguf_str s)
{
    char digits[3] = {0}, *end;
    if (s.n != 6 || memcmp(s.s, "<0x", 3) != 0 || s.s[5] != '>') return -1;
    memcpy(digits, s.s + 3, 2);
    long byte = strtol(digits, &end, 16);
    return end == digits + 2 ? (int)byte : -1;
}

bool spm_decode(struct gguf_str text, enum tok_type type, struct text *out)
{
    int byte = type == TOK_BYTE ? byte_of(text) : -1;
    if (byte >= 0)
        text_add(out, &(char){(char)byte}, 1);
    else if (type == TOK_NORMAL || type == TOK_UNDEFINED || type == TOK_UNUSED)
        add_unescaped(out, text.s, text.n);
    else
        return false;
    return true;
}

// Floats to whole numbers in the opposite order: the best score gives the lowest rank.
static uint32_t rank_of(float score)
{
    uint32_t u = half_bits(score == 0 ? 0.0f : score); // -0 and 0 are the same score
    if (isnan(score)) return UINT32_MAX;
    return u >> 31 ? u : ~(u | 0x80000000u);
}

static bool crosses_words(const char *s, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (s[i] == ' ' && s[i - 1] != ' ') return true;
    return false;
}

bool spm_load(struct vocab *v, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    const struct gguf_kv *scores = gguf_find(g, "tokenizer.ggml.scores");
    if (!scores || scores->type != GGUF_ARRAY || scores->count != v->n_tokens)
        return err_set(e, ERR_FORMAT, "%s: tokenizer.ggml.scores must hold %u numbers", g->path,
                       v->n_tokens);
    v->rank = calloc(v->n_tokens, sizeof *v->rank);
    if (!v->rank) return err_nomem(e, "the vocabulary", v->n_tokens * sizeof *v->rank);
    if (!tok_table_reserve(v, v->n_tokens, e)) return false;
    v->split_words = true;
    for (int b = 0; b < 256; b++)
        v->byte_token[b] = -1;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        size_t size;
        const char *text = tok_text(v, i, &size);
        v->rank[i] = rank_of(gguf_array_f32(scores, i));
        if (v->type[i] == TOK_BYTE && byte_of(gguf_array_string(tokens, i)) >= 0)
            v->byte_token[byte_of(gguf_array_string(tokens, i))] = (int32_t)i;
        if (v->type[i] != TOK_NORMAL && v->type[i] != TOK_UNDEFINED && v->type[i] != TOK_USER)
            continue;
        if (crosses_words(text, size)) v->split_words = false;
        tok_table_add(v, i);
    }
    return true;
}

static bool rule(const struct vocab *v, const char *text, const struct merge_symbol *l,
                 const struct merge_symbol *r, uint32_t *rank, int32_t *id)
{
    *id = tok_find(v, text + l->at, l->size + r->size);
    if (*id < 0) return false;
    *rank = v->rank[*id];
    return true;
}

static bool merge_part(const struct vocab *v, struct merge_work *w, const char *text, size_t size,
                       struct tokens *out, struct err *e)
{
    merge_begin(w, text);
    for (size_t i = 0; i < size;) {
        uint32_t cp;
        size_t n = utf8_decode(text + i, size - i, &cp);
        if (!merge_add(w, (uint32_t)n, tok_find(v, text + i, n), e)) return false;
        i += n;
    }
    if (!merge_run(v, w, rule, e)) return false;
    for (int32_t i = w->n ? 0 : -1; i >= 0; i = w->symbols[i].next) {
        const struct merge_symbol *s = &w->symbols[i];
        if (s->id >= 0) {
            if (!tokens_push(out, s->id, e)) return false;
            continue;
        }
        for (uint32_t k = 0; k < s->size; k++)
            if (!tok_push_byte(v, (unsigned char)text[s->at + k], out, e)) return false;
    }
    return true;
}

// SentencePiece's remove_extra_whitespaces: one space for a run of them, none at the ends.
static void squeeze_spaces(struct text *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->size; i++)
        if (t->data[i] != ' ' || (n && t->data[n - 1] != ' ')) t->data[n++] = t->data[i];
    t->size = n && t->data[n - 1] == ' ' ? n - 1 : n;
}

bool spm_tokenize(const struct vocab *v, const char *text, size_t size, bool lead,
                  struct tokens *out, struct err *e)
{
    struct text s = {0}, plain = {0};
    struct merge_work w = {0};
    bool ok = true;
    add_unescaped(&plain, text, size);
    if (v->squeeze) squeeze_spaces(&plain);
    if (lead && v->add_space && plain.size) text_add(&s, " ", 1);
    text_add(&s, plain.data, plain.size);
    bool failed = plain.failed || s.failed;
    text_free(&plain);
    if (failed) {
        text_free(&s);
        return err_nomem(e, "tokenizing", size);
    }
    for (size_t begin = 0, i = 1; ok && begin < s.size; i++) {
        bool word = v->split_words && i < s.size && s.data[i] == ' ' && s.data[i - 1] != ' ';
        if (i < s.size && !word) continue;
        ok = merge_part(v, &w, s.data + begin, i - begin, out, e);
        begin = i;
    }
    merge_free(&w);
    text_free(&s);
    return ok;
}
