// Byte-level BPE. The text is cut into words by the pre-tokenizer (pre.c); in each word bytes join
// pair by pair in the order of the file's merge list.
//
// In the file every byte is written as a letter (GPT-2's alphabet): the printable bytes of
// Latin-1 as themselves, the other 68 in order as U+0100, U+0101, ... A merge is "LEFT RIGHT".
#include "engine/tokenizer/tok.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct merge_text {
    uint32_t at, size, left; // of bpe.texts; left: bytes of the left half
};

struct merge_slot {
    uint32_t tag;  // more of the hash: few texts are compared in vain
    uint32_t rank; // + 1; 0: free
};

// Merges are found by the texts that meet, so that loading needs no look at the tokens.
struct tok_bpe {
    struct pre *pre;
    bool whole_words;
    struct text texts;
    struct merge_text *merges; // [number of merges], by rank
    struct merge_slot *slots;
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
    text_add(out, text.s, text.n);
    if (out->failed) return true;
    char *to = out->data + before;
    for (size_t i = 0; i < text.n; i++) { // in place: a letter is not shorter than its byte
        uint32_t c = (unsigned char)text.s[i];
        if (c >= 0xc2 && c < 0xe0 && i + 1 < text.n && (text.s[i + 1] & 0xc0) == 0x80)
            c = (c & 31) << 6 | ((unsigned char)text.s[++i] & 63);
        else if (c >= 0x80)
            c = UINT32_MAX;
        int byte = byte_of(c);
        if (byte < 0) {
            out->size = before;
            return false;
        }
        to[n++] = (char)byte;
    }
    out->size = before + n;
    to[n] = '\0';
    return true;
}

// The slot that holds the pair of text[0..left) and text[left..size), or the free one for it.
static struct merge_slot *merge_at(const struct tok_bpe *b, const char *text, uint32_t size,
                                   uint32_t left, uint32_t *tag)
{
    uint64_t h = (tok_hash(text, size) ^ left) * 0x9e3779b97f4a7c15u;
    *tag = (uint32_t)h;
    for (uint32_t i = (uint32_t)(h >> 32) & b->mask;; i = (i + 1) & b->mask) {
        struct merge_slot *slot = &b->slots[i];
        if (!slot->rank) return slot;
        if (slot->tag != *tag) continue;
        struct merge_text m = b->merges[slot->rank - 1];
        if (m.size == size && m.left == left && !memcmp(b->texts.data + m.at, text, size))
            return slot;
    }
}

static bool add_merge(struct tok_bpe *b, struct gguf_str line, uint32_t rank, const char *path,
                      struct err *e)
{
    const char *space = line.n > 2 ? memchr(line.s + 1, ' ', line.n - 2) : NULL;
    size_t at = b->texts.size, n = space ? (size_t)(space - line.s) : 0;
    uint32_t tag;
    if (!space)
        return err_set(e, ERR_FORMAT, "%s: merge %u is not two texts with a space between", path,
                       rank);
    if (line.n > UINT32_MAX - at)
        return err_set(e, ERR_UNSUPPORTED, "%s: the merges' texts are larger than 4 GiB", path);
    if (!bpe_decode((struct gguf_str){line.s, n}, &b->texts)) return true; // no text can reach it
    uint32_t left = (uint32_t)(b->texts.size - at);
    if (!bpe_decode((struct gguf_str){space + 1, line.n - n - 1}, &b->texts)) {
        b->texts.size = at;
        return true;
    }
    if (b->texts.failed) return err_nomem(e, "the merges", line.n);
    struct merge_text m = {(uint32_t)at, (uint32_t)(b->texts.size - at), left};
    b->merges[rank] = m;
    struct merge_slot *slot = merge_at(b, b->texts.data + at, m.size, left, &tag);
    if (!slot->rank) *slot = (struct merge_slot){tag, rank + 1};
    return true;
}

static bool load_merges(struct vocab *v, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.merges");
    struct tok_bpe *b = v->bpe;
    bool ok = true;
    if (!kv || kv->type != GGUF_ARRAY || kv->elem != GGUF_STRING || kv->count > INT32_MAX / 4)
        return err_set(e, ERR_FORMAT, "%s: tokenizer.ggml.merges must be a list of strings",
                       g->path);
    uint32_t n = 64;
    while (n < kv->count + kv->count / 2)
        n *= 2;
    b->mask = n - 1;
    b->slots = calloc(n, sizeof *b->slots);
    b->merges = calloc(kv->count + 1, sizeof *b->merges);
    if (!b->slots || !b->merges) return err_nomem(e, "the merges", n * sizeof *b->slots);
    for (uint32_t i = 0; ok && i < kv->count; i++)
        ok = add_merge(b, gguf_array_string(kv, i), i, g->path, e);
    return ok;
}

bool bpe_load(struct vocab *v, const struct gguf *g, struct err *e)
{
    v->bpe = calloc(1, sizeof *v->bpe);
    if (!v->bpe) return err_nomem(e, "the vocabulary", sizeof *v->bpe);
    if (!pre_open(g, &v->bpe->pre, &v->bpe->whole_words, &v->add_bos, e) ||
        !tok_table_reserve(v, v->n_tokens, e))
        return false;
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (v->type[i] == TOK_NORMAL || v->type[i] == TOK_UNDEFINED || v->type[i] == TOK_UNUSED)
            tok_table_add(v, i);
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (v->type[i] == TOK_USER) tok_table_add(v, i);
    for (int b = 0; b < 256; b++)
        v->byte_token[b] = tok_find(v, &(char){(char)b}, 1);
    return load_merges(v, g, e);
}

void bpe_free(struct vocab *v)
{
    if (!v->bpe) return;
    pre_close(v->bpe->pre);
    text_free(&v->bpe->texts);
    free(v->bpe->slots);
    free(v->bpe->merges);
    free(v->bpe);
    v->bpe = NULL;
}

// --------------------------------------------------------------------------------- tokenizing

struct bpe_run {
    const struct vocab *v;
    struct merge_work work;
    struct tokens *out;
};

// Which tokens the parts are is asked once, at the end.
static bool rule(const struct vocab *v, const char *text, const struct merge_symbol *l,
                 const struct merge_symbol *r, uint32_t *rank, int32_t *id)
{
    uint32_t tag;
    const struct merge_slot *slot =
        merge_at(v->bpe, text + l->at, l->size + r->size, l->size, &tag);
    *rank = slot->rank - 1;
    *id = -1;
    return slot->rank != 0;
}

static bool push_word(void *ctx, const char *word, size_t size, struct err *e)
{
    struct bpe_run *r = ctx;
    const struct vocab *v = r->v;
    int32_t whole = v->bpe->whole_words ? tok_find(v, word, size) : -1;
    if (whole >= 0) return tokens_push(r->out, whole, e);
    merge_begin(&r->work, word);
    for (size_t i = 0; i < size; i++)
        if (!merge_add(&r->work, 1, v->byte_token[(unsigned char)word[i]], e)) return false;
    if (!merge_run(v, &r->work, rule, e)) return false;
    for (int32_t i = size ? 0 : -1; i >= 0; i = r->work.symbols[i].next) {
        const struct merge_symbol *s = &r->work.symbols[i];
        int32_t id = s->size > 1 ? tok_find(v, word + s->at, s->size) : s->id;
        if (id >= 0) {
            if (!tokens_push(r->out, id, e)) return false;
            continue;
        }
        for (uint32_t k = 0; k < s->size; k++)
            if (!tok_push_byte(v, (unsigned char)word[s->at + k], r->out, e)) return false;
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
        if (!pre_split(r->v->bpe->pre, text + begin, at - begin, push_word, r, e)) return false;
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
    bool ok = push_text(&r, text, size, e);
    merge_free(&r.work);
    return ok;
}
