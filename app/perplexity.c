#include "app/perplexity.h"
#include "base/cancel.h"
#include "base/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 64 }; // logits at a time: 64 x 128,256 x 4 bytes = 33 MB for Llama 3

struct job {
    struct engine *g;
    const struct perplexity_params *p;
    const int32_t *ids;
    size_t n;
    float *logits; // [ROWS, n_vocab]
    struct progress *progress;
    struct perplexity *out;
};

// Running mean and squares (Welford), so that long texts lose no digits.
static void add(struct perplexity *o, double nll)
{
    double d = nll - o->mean_nll;
    o->n_scored++;
    o->mean_nll += d / (double)o->n_scored;
    o->sum2 += d * (nll - o->mean_nll);
}

static bool append(struct job *j, const int32_t *ids, size_t n, enum engine_logits want,
                   struct err *e)
{
    struct engine_item item = {.tokens = ids, .n = n, .want = want};
    return !n || engine_run(j->g, &item, 1, want == LOGITS_NONE ? NULL : j->logits, e);
}

// Row i of the logits judges ids[first + i].
static bool score(struct job *j, size_t first, size_t rows, struct err *e)
{
    uint32_t n_vocab = engine_info(j->g)->n_vocab;
    char note[48];
    for (size_t i = 0; i < rows; i++) {
        double nll = -logits_logprob(j->logits + i * n_vocab, n_vocab, j->ids[first + i]);
        if (!isfinite(nll))
            return err_set(e, ERR_FORMAT,
                           "the model gives no number for token %zu of the text (id %d): its "
                           "weights are damaged or overflow",
                           first + i, j->ids[first + i]);
        add(j->out, nll);
    }
    (void)snprintf(note, sizeof note, "perplexity %.4f", exp(j->out->mean_nll));
    progress_update(j->progress, first + rows, note);
    return cancel_check(e);
}

// Scores ids[from..to) behind ids[begin..from). The last token is never run: nothing follows it.
static bool window(struct job *j, size_t begin, size_t from, size_t to, struct err *e)
{
    bool bos = j->p->bos >= 0;
    j->out->n_windows++;
    if (!engine_seq_truncate(j->g, 0, 0, e)) return false;
    if (from == begin) { // nothing of the text goes before the first token to score
        if (bos && !append(j, &j->p->bos, 1, LOGITS_ALL, e)) return false;
        if (bos && !score(j, from, 1, e)) return false;
        from++;
    } else if ((bos && !append(j, &j->p->bos, 1, LOGITS_NONE, e)) ||
               !append(j, j->ids + begin, from - 1 - begin, LOGITS_NONE, e)) {
        return false;
    }
    while (from < to) {
        size_t rows = size_min(to - from, ROWS);
        if (!append(j, j->ids + from - 1, rows, LOGITS_ALL, e) || !score(j, from, rows, e))
            return false;
        from += rows;
    }
    return true;
}

static bool windows(struct job *j, struct err *e)
{
    uint32_t n_ctx = j->p->n_ctx, stride = j->p->stride ? j->p->stride : n_ctx / 2;
    size_t room = n_ctx - (j->p->bos >= 0), step = size_min(stride, room);
    if (!window(j, 0, 0, size_min(room, j->n), e)) return false;
    for (size_t from = room; from < j->n; from += step)
        if (!window(j, from - (room - step), from, size_min(from + step, j->n), e)) return false;
    return engine_seq_truncate(j->g, 0, 0, e);
}

bool perplexity_measure(struct engine *g, const struct perplexity_params *p, const int32_t *ids,
                        size_t n, struct progress *progress, struct perplexity *out, struct err *e)
{
    struct job j = {g, p, ids, n, NULL, progress, out};
    uint32_t most = engine_info(g)->n_ctx, n_vocab = engine_info(g)->n_vocab;
    *out = (struct perplexity){0};
    if (p->n_ctx < 2 || p->n_ctx > most || p->stride > p->n_ctx)
        return err_set(e, ERR_ARG,
                       "windows of %u tokens, stride %u: the window must be 2 to %u tokens and the "
                       "stride at most the window",
                       p->n_ctx, p->stride, most);
    if (n + (p->bos >= 0) < 2)
        return err_set(e, ERR_ARG, "the text has %zu tokens: too few to score one", n);
    j.logits = malloc((size_t)ROWS * n_vocab * sizeof *j.logits);
    if (!j.logits) return err_nomem(e, "logits", (size_t)ROWS * n_vocab * sizeof *j.logits);
    progress_begin(progress, "perplexity", n);
    bool ok = windows(&j, e);
    progress_end(progress);
    free(j.logits);
    if (!ok) return false;
    double count = (double)out->n_scored;
    out->perplexity = exp(out->mean_nll);
    out->std_error_nll = count > 1 ? sqrt(out->sum2 / (count - 1) / count) : (double)NAN;
    out->std_error = out->perplexity * out->std_error_nll;
    return true;
}
