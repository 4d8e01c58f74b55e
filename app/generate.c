#include "app/generate.h"
#include "base/clock.h"
#include "base/size.h"

#include <stdlib.h>

uint32_t generate_drop(const struct engine *g, uint32_t keep)
{
    uint64_t n_ctx = engine_info(g)->n_ctx, kept = size_align(keep, ENGINE_PAGE);
    return kept + 2 * ENGINE_PAGE > n_ctx ? 0
                                          : (uint32_t)size_align((n_ctx - kept) / 2, ENGINE_PAGE);
}

// Where the context is full: room for the next token, or an error.
static bool make_room(struct engine *g, const struct generate_params *p,
                      struct generate_result *out, struct err *e)
{
    uint32_t n_ctx = engine_info(g)->n_ctx, drop = p->shift ? generate_drop(g, p->keep) : 0;
    if (engine_seq_len(g, 0) < n_ctx) return true;
    if (!drop)
        return err_set(e, ERR_ARG, "the context of %u positions is full: choose a larger --ctx",
                       n_ctx);
    if (!engine_seq_shift(g, 0, p->keep, drop, e)) return false;
    out->forgotten += drop;
    return true;
}

// Runs the tokens and picks the next one.
static bool next_token(struct engine *g, const struct generate_params *p, const int32_t *tokens,
                       size_t n, float *logits, int32_t *id, struct err *e)
{
    struct engine_item item = {.seq = 0, .tokens = tokens, .n = n, .want = LOGITS_LAST};
    if (p->sampler->p.temperature <= 0) return engine_run_greedy(g, &item, 1, id, e);
    return engine_run(g, &item, 1, logits, e) &&
           sampler_pick(p->sampler, logits, engine_info(g)->n_vocab, id, e);
}

static bool decode(struct engine *g, const struct generate_params *p, int32_t id, float *logits,
                   struct generate_result *out, struct err *e)
{
    const struct vocab *v = engine_vocab(g);
    struct vocab_stream s;
    vocab_stream_begin(&s, v, false, p->strip_lead);
    for (uint32_t i = 0; i < p->max_new; i++) {
        if (!tokens_push(&out->ids, id, e)) return false;
        out->ended = vocab_is_eog(v, id) && !p->ignore_eog;
        if (out->ended) break;
        if (p->on_text && !vocab_stream_put(&s, id, p->on_text, p->ctx, e)) return false;
        if (i + 1 == p->max_new) break;
        if (!make_room(g, p, out, e)) return false;
        int32_t fed = id;
        if (!next_token(g, p, &fed, 1, logits, &id, e)) return false;
    }
    return !p->on_text || vocab_stream_end(&s, p->on_text, p->ctx, e);
}

bool generate(struct engine *g, const struct generate_params *p, struct generate_result *out,
              struct err *e)
{
    *out = (struct generate_result){0};
    size_t bytes = engine_info(g)->n_vocab * sizeof(float);
    float *logits = malloc(bytes);
    if (!logits) return err_nomem(e, "logits", bytes);
    int32_t id;
    double start = clock_s();
    bool ok = next_token(g, p, p->prompt, p->n_prompt, logits, &id, e);
    out->prefill_s = clock_s() - start;
    start = clock_s();
    ok = ok && decode(g, p, id, logits, out, e);
    out->decode_s = clock_s() - start;
    free(logits);
    return ok;
}
