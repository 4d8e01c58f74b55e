#include "evals/lm.h"
#include "base/clock.h"
#include "evals/extract.h"
#include "evals/pytext.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Prompts are tokenised as lm-eval's transformers back-end does: special tokens are recognised,
// BOS is added when the tokenizer says so.
static const unsigned tok_flags = TOK_SPECIAL | TOK_ADD_BOS;

uint32_t lm_slots_of(const struct engine *g, uint32_t n_slots)
{
    uint32_t n_seqs = engine_info(g)->n_seqs, n = n_seqs > 1 ? n_seqs - 1 : 1;
    if (n_slots && n_slots < n) n = n_slots;
    return n < LM_MAX_SLOTS ? n : LM_MAX_SLOTS;
}

bool lm_open(struct lm *lm, struct engine *g, const struct lm_params *p, struct err *e)
{
    const struct engine_info *info = engine_info(g);
    bool spare = info->n_seqs > 1;
    *lm = (struct lm){.g = g,
                      .vocab = engine_vocab(g),
                      .n_ctx = info->n_ctx,
                      .n_vocab = info->n_vocab,
                      .n_slots = lm_slots_of(g, p->n_slots),
                      .shares = spare && !p->no_reuse};
    for (uint32_t i = 0; i < lm->n_slots; i++)
        lm->slots[i].seq = i + spare;
    size_t bytes = (size_t)LM_MAX_SLOTS * lm->n_vocab * sizeof(float);
    lm->logits = malloc(bytes);
    return lm->logits || err_nomem(e, "logits", bytes);
}

void lm_close(struct lm *lm)
{
    for (uint32_t i = 0; i < lm->n_slots; i++) {
        lm_release(&lm->slots[i]);
        (void)engine_seq_truncate(lm->g, lm->slots[i].seq, 0, NULL);
    }
    if (lm->g) (void)engine_seq_truncate(lm->g, 0, 0, NULL);
    tokens_free(&lm->prefix);
    free(lm->logits);
    *lm = (struct lm){0};
}

static void count(struct lm *lm, const struct engine_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lm->n_computed += items[i].n;
}

static bool run(struct lm *lm, const struct engine_item *items, size_t n, float *logits,
                struct err *e)
{
    count(lm, items, n);
    return engine_run(lm->g, items, n, logits, e);
}

bool lm_set_prefix(struct lm *lm, const char *text, size_t size, struct err *e)
{
    tokens_free(&lm->prefix);
    if (!lm->shares) return true;
    if (!engine_seq_truncate(lm->g, 0, 0, e)) return false;
    if (!size) return true;
    if (!vocab_tokenize(lm->vocab, text, size, tok_flags, &lm->prefix, e)) return false;
    const struct engine_item it = {
        .seq = 0, .tokens = lm->prefix.ids, .n = lm->prefix.n, .want = LOGITS_NONE};
    bool ok = true;
    if (lm->prefix.n > lm->n_ctx)
        tokens_free(&lm->prefix);
    else
        ok = run(lm, &it, 1, NULL, e);
    if (!ok) tokens_free(&lm->prefix);
    return ok;
}

// Makes `seq` hold what it can share of ids[0..n), but not the last one, whose logits are wanted.
static bool share(struct lm *lm, uint32_t seq, const int32_t *ids, size_t n, size_t *shared,
                  struct err *e)
{
    *shared = 0;
    while (*shared + 1 < n && *shared < lm->prefix.n && ids[*shared] == lm->prefix.ids[*shared])
        (*shared)++;
    if (!engine_seq_truncate(lm->g, seq, 0, e)) return false;
    return !*shared || engine_seq_copy(lm->g, seq, 0, (uint32_t)*shared, e);
}

// ------------------------------------------------------------------------------------ letters

static bool is_largest(const float *logits, uint32_t n, int32_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (logits[i] > logits[id] || (logits[i] == logits[id] && (int32_t)i < id)) return false;
    return true;
}

struct choice {
    struct tokens whole; // enc(context + continuation)
    size_t n_cont;       // its last tokens, which count
};

struct choices { // of one context
    struct choice of[EVAL_LETTERS];
};

// One token each behind the same tokens: one row of logits serves all.
static bool same_context(const struct choices *c)
{
    const struct tokens *first = &c->of[0].whole;
    for (int i = 0; i < EVAL_LETTERS; i++)
        if (c->of[i].n_cont != 1 || c->of[i].whole.n != first->n ||
            memcmp(c->of[i].whole.ids, first->ids, (first->n - 1) * sizeof(int32_t)) != 0)
            return false;
    return true;
}

// Input of a choice: whole[-(n_ctx + 1):][:-1].
static const int32_t *input_of(const struct lm *lm, const struct choice *c, size_t *n)
{
    size_t skip = c->whole.n > lm->n_ctx + (size_t)1 ? c->whole.n - lm->n_ctx - 1 : 0;
    *n = c->whole.n - 1 - skip;
    return c->whole.ids + skip;
}

static void read_letters(const struct lm *lm, const struct choices *c, const float *row,
                         struct eval_response *out)
{
    for (int i = 0; i < EVAL_LETTERS; i++) {
        int32_t id = c->of[i].whole.ids[c->of[i].whole.n - 1];
        out->logprob[i] = logits_logprob(row, lm->n_vocab, id);
        out->greedy[i] = is_largest(row, lm->n_vocab, id);
    }
}

// All contexts of which one row is enough, together.
static bool score_together(struct lm *lm, const struct choices *c, size_t n,
                           struct eval_response *out, struct err *e)
{
    struct engine_item items[LM_MAX_SLOTS];
    size_t of[LM_MAX_SLOTS], n_items = 0;
    for (size_t k = 0; k < n; k++) {
        size_t size, shared;
        uint32_t seq = lm->slots[n_items].seq;
        if (!same_context(&c[k])) continue;
        const int32_t *ids = input_of(lm, &c[k].of[0], &size);
        if (!share(lm, seq, ids, size, &shared, e)) return false;
        of[n_items] = k;
        items[n_items++] = (struct engine_item){
            .seq = seq, .tokens = ids + shared, .n = size - shared, .want = LOGITS_LAST};
    }
    if (n_items && !run(lm, items, n_items, lm->logits, e)) return false;
    for (size_t i = 0; i < n_items; i++)
        read_letters(lm, &c[of[i]], lm->logits + i * lm->n_vocab, &out[of[i]]);
    return true;
}

// Continuations of several tokens: token by token behind the context.
static bool score_alone(struct lm *lm, const struct choice *c, double *logprob, bool *greedy,
                        struct err *e)
{
    size_t n, shared;
    uint32_t seq = lm->slots[0].seq;
    const int32_t *ids = input_of(lm, c, &n);
    size_t n_cont = c->n_cont < n ? c->n_cont : n, first = n - n_cont + 1; // tokens before scores
    *logprob = 0;
    *greedy = true;
    if (!share(lm, seq, ids, first, &shared, e)) return false;
    for (size_t k = 0; k < n_cont; k++) {
        size_t from = k ? first + k - 1 : shared, to = first + k;
        const struct engine_item it = {
            .seq = seq, .tokens = ids + from, .n = to - from, .want = LOGITS_LAST};
        if (!run(lm, &it, 1, lm->logits, e)) return false;
        int32_t id = ids[to]; // the input lacks only the last token of `whole`, which lies behind
        *logprob += logits_logprob(lm->logits, lm->n_vocab, id);
        *greedy = *greedy && is_largest(lm->logits, lm->n_vocab, id);
    }
    return true;
}

// enc(context + " A"): "Answer:" ends without a space, or lm-eval moves the spaces over.
static bool encode_choice(struct lm *lm, const char *context, size_t size, size_t n_context,
                          int letter, struct choice *c, struct err *e)
{
    struct text t = {0};
    text_add(&t, context, size);
    text_printf(&t, " %c", 'A' + letter);
    bool ok = !t.failed || err_nomem(e, "a prompt", t.cap);
    ok = ok && vocab_tokenize(lm->vocab, t.data, t.size, tok_flags, &c->whole, e);
    text_free(&t);
    if (ok && c->whole.n <= n_context)
        return err_set(e, ERR_UNSUPPORTED, "the tokenizer gives the letter %c no token of its own",
                       'A' + letter);
    c->n_cont = ok ? c->whole.n - n_context : 0;
    return ok;
}

static bool encode(struct lm *lm, const struct lm_question *q, struct choices *c, struct err *e)
{
    struct tokens ctx = {0};
    size_t bare = q->size;
    while (bare && q->text[bare - 1] == ' ') // what moves to the continuation is not context
        bare--;
    bool ok = vocab_tokenize(lm->vocab, q->text, bare, tok_flags, &ctx, e);
    for (int i = 0; ok && i < EVAL_LETTERS; i++)
        ok = encode_choice(lm, q->text, q->size, ctx.n, i, &c->of[i], e);
    tokens_free(&ctx);
    return ok;
}

bool lm_letters(struct lm *lm, const struct lm_question *q, size_t n, struct eval_response *out,
                struct err *e)
{
    assert(n <= lm->n_slots);
    struct choices c[LM_MAX_SLOTS] = {0};
    bool ok = true;
    for (size_t k = 0; ok && k < n; k++)
        ok = encode(lm, &q[k], &c[k], e);
    ok = ok && score_together(lm, c, n, out, e);
    for (size_t k = 0; ok && k < n; k++)
        for (int i = 0; ok && i < EVAL_LETTERS && !same_context(&c[k]); i++)
            ok = score_alone(lm, &c[k].of[i], &out[k].logprob[i], &out[k].greedy[i], e);
    for (size_t k = 0; k < n; k++)
        for (int i = 0; i < EVAL_LETTERS; i++)
            tokens_free(&c[k].of[i].whole);
    return ok;
}

// --------------------------------------------------------------------------------- generation

void lm_release(struct lm_slot *slot)
{
    tokens_free(&slot->pending);
    text_free(&slot->text);
    *slot = (struct lm_slot){.seq = slot->seq};
}

bool lm_busy(const struct lm *lm)
{
    for (uint32_t i = 0; i < lm->n_slots; i++)
        if (lm->slots[i].active) return true;
    return false;
}

bool lm_start(struct lm *lm, struct lm_slot *slot, uint32_t item, const struct eval_task *t,
              const char *prompt, size_t size, struct err *e)
{
    struct tokens all = {0};
    size_t shared;
    if (lm->n_ctx <= t->max_gen_toks)
        return err_set(e, ERR_ARG,
                       "%s generates up to %u tokens: a context of %u leaves no room for the "
                       "prompt; give a larger --ctx or leave the task out",
                       t->name, t->max_gen_toks, lm->n_ctx);
    if (!vocab_tokenize(lm->vocab, prompt, size, tok_flags, &all, e)) {
        tokens_free(&all);
        return false;
    }
    size_t room = lm->n_ctx - t->max_gen_toks, skip = all.n > room ? all.n - room : 0;
    bool ok = all.n > 0 || err_set(e, ERR_FORMAT, "an item of %s has an empty prompt", t->name);
    ok = ok && share(lm, slot->seq, all.ids + skip, all.n - skip, &shared, e);
    slot->pending.n = 0;
    for (size_t i = ok ? skip + shared : all.n; ok && i < all.n; i++)
        ok = tokens_push(&slot->pending, all.ids[i], e);
    tokens_free(&all);
    slot->active = ok;
    slot->item = item;
    slot->until = t->until;
    slot->max_tokens = t->max_gen_toks;
    slot->start_s = clock_s();
    return ok;
}

static bool finish(struct lm_slot *s, struct err *e)
{
    struct text clean = {0};
    pytext_utf8(&clean, s->text.data ? s->text.data : "",
                extract_cut(s->text.data, s->text.size, s->until));
    bool failed = clean.failed;
    text_free(&s->text);
    s->text = clean; // data is NULL for an empty answer
    s->finished = true;
    s->active = false;
    return !failed || err_nomem(e, "an answer", s->text.cap);
}

static bool take_token(struct lm *lm, struct lm_slot *s, int32_t id, struct err *e)
{
    size_t n;
    if (vocab_is_eog(lm->vocab, id)) return finish(s, e);
    const char *piece = vocab_piece(lm->vocab, id, false, &n);
    text_add(&s->text, piece, n);
    if (s->text.failed) return err_nomem(e, "an answer", s->text.cap);
    s->n_generated++;
    bool stop = s->text.size && extract_cut(s->text.data, s->text.size, s->until) < s->text.size;
    if (stop || s->n_generated >= s->max_tokens) return finish(s, e);
    s->pending.n = 0;
    return tokens_push(&s->pending, id, e);
}

// A pass for these slots: their pending tokens, then a new one for each.
static bool run_slots(struct lm *lm, struct lm_slot *const *slots, size_t n, struct err *e)
{
    struct engine_item items[LM_MAX_SLOTS];
    int32_t ids[LM_MAX_SLOTS];
    for (size_t i = 0; i < n; i++)
        items[i] = (struct engine_item){.seq = slots[i]->seq,
                                        .tokens = slots[i]->pending.ids,
                                        .n = slots[i]->pending.n,
                                        .want = LOGITS_LAST};
    count(lm, items, n);
    if (n && !engine_run_greedy(lm->g, items, n, ids, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (!take_token(lm, slots[i], ids[i], e)) return false;
    return true;
}

bool lm_step(struct lm *lm, struct err *e)
{
    enum { TOGETHER = 8 }; // a software device adds in another order in passes of more tokens
    struct lm_slot *prompts[LM_MAX_SLOTS] = {0}, *texts[LM_MAX_SLOTS] = {0};
    size_t n_prompts = 0, n_texts = 0;
    for (uint32_t i = 0; i < lm->n_slots; i++) {
        struct lm_slot *s = &lm->slots[i];
        if (!s->active) continue;
        if (s->n_generated)
            texts[n_texts++] = s;
        else
            prompts[n_prompts++] = s;
    }
    if (!run_slots(lm, prompts, n_prompts, e)) return false;
    for (size_t at = 0, n; at < n_texts; at += n) {
        n = n_texts - at < TOGETHER ? n_texts - at : TOGETHER;
        if (!run_slots(lm, texts + at, n, e)) return false;
    }
    return true;
}
