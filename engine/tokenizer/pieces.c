// Ids back to text, at once and as they come.
#include "engine/tokenizer/tok.h"
#include "base/utf8.h"

#include <string.h>

const char *vocab_piece(const struct vocab *v, int32_t id, bool with_special, size_t *size)
{
    *size = 0;
    if (!tok_in_range(v, id) || (vocab_is_special(v, id) && !with_special)) return "";
    return tok_text(v, (uint32_t)id, size);
}

// The piece without the space that SentencePiece puts before a text's first word, while *strip.
static const char *stripped_piece(const struct vocab *v, int32_t id, bool with_special, bool *strip,
                                  size_t *size)
{
    const char *s = vocab_piece(v, id, with_special, size);
    if (!*strip || !tok_in_range(v, id) || vocab_is_special(v, id)) return s;
    *strip = false;
    if (!*size || s[0] != ' ') return s;
    --*size;
    return s + 1;
}

static bool strips(const struct vocab *v, bool strip_lead)
{
    return strip_lead && v->model == TOK_SPM && v->add_space;
}

bool vocab_detokenize(const struct vocab *v, const int32_t *ids, size_t n, bool with_special,
                      bool strip_lead, char **out, size_t *size, struct err *e)
{
    struct text t = {0};
    bool strip = strips(v, strip_lead);
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *s = stripped_piece(v, ids[i], with_special, &strip, &len);
        text_add(&t, s, len);
    }
    text_add(&t, "", 0); // an empty text is a string too
    *out = t.data;
    *size = t.size;
    if (!t.failed) return true;
    text_free(&t);
    *out = NULL;
    return err_nomem(e, "a text of tokens", *size);
}

void vocab_stream_begin(struct vocab_stream *s, const struct vocab *v, bool with_special,
                        bool strip_lead)
{
    *s =
        (struct vocab_stream){.v = v, .with_special = with_special, .strip = strips(v, strip_lead)};
}

bool vocab_stream_put(struct vocab_stream *s, int32_t id, vocab_text *out, void *ctx, struct err *e)
{
    char buf[256];
    size_t size, n = s->n_held;
    const char *piece = stripped_piece(s->v, id, s->with_special, &s->strip, &size);
    memcpy(buf, s->held, n);
    while (size) {
        size_t take = size < sizeof buf - n ? size : sizeof buf - n;
        memcpy(buf + n, piece, take);
        piece += take;
        size -= take;
        n += take;
        size_t tail = utf8_incomplete_tail(buf, n), whole = n - tail;
        if (whole && !out(ctx, buf, whole, e)) return false;
        memmove(buf, buf + whole, tail);
        n = tail;
    }
    memcpy(s->held, buf, n); // at most 3 bytes
    s->n_held = n;
    return true;
}

bool vocab_stream_end(struct vocab_stream *s, vocab_text *out, void *ctx, struct err *e)
{
    size_t n = s->n_held;
    s->n_held = 0;
    return n == 0 || out(ctx, s->held, n, e);
}
