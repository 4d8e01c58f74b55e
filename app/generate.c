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

static bool decode(struct engine *g, const struct generate_params *p, float *logits,
                   struct generate_result *out, struct err *e)
{
    uint32_t n_vocab = engine_info(g)->n_vocab;
    const struct vocab *v = engine_vocab(g);
    struct vocab_stream s;
    vocab_stream_begin(&s, v, false, p->strip_lead);
    for (uint32_t i = 0; i < p->max_new; i++) {
        int32_t id;
        if (!sampler_pick(p->sampler, logits, n_vocab, &id, e) || !tokens_push(&out->ids, id, e))
            return false;
        out->ended = vocab_is_eog(v, id) && !p->ignore_eog;
        if (out->ended) break;
        if (p->on_text && !vocab_stream_put(&s, id, p->on_text, p->ctx, e)) return false;
        if (i + 1 == p->max_new) break;
        if (!make_room(g, p, out, e)) return false;
        struct engine_item item = {.seq = 0, .tokens = &id, .n = 1, .want = LOGITS_LAST};
        if (!engine_run(g, &item, 1, logits, e)) return false;
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
    struct engine_item item = {
        .seq = 0, .tokens = p->prompt, .n = p->n_prompt, .want = LOGITS_LAST};
    double start = clock_s();
    bool ok = engine_run(g, &item, 1, logits, e);
    out->prefill_s = clock_s() - start;
    start = clock_s();
    ok = ok && decode(g, p, logits, out, e);
    out->decode_s = clock_s() - start;
    free(logits);
    return ok;
}
