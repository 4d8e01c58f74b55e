#include "fit/predict.h"
#include "base/size.h"

#include <stdio.h>
#include <string.h>

enum { MIN_CTX = 256 }; // less is not worth calling a fit

const char *fit_verdict_name(enum fit_verdict v)
{
    static const char *const names[] = {"fits", "fits with less context", "larger than memory"};
    return names[v];
}

struct fit_basis fit_basis(double bytes_s, double decode_s, double bytes_token, uint32_t n_layers)
{
    struct fit_basis b = {.bytes_s = bytes_s, .decode_s = decode_s};
    if (!(bytes_s > 0) || !(decode_s > 0) || !n_layers) return b;
    double rest = decode_s - bytes_token / bytes_s;
    if (rest > 0)
        b.layer_s = rest / n_layers;
    else // the machine was busier while the matvec was timed: a token is what really happened
        b.bytes_s = bytes_token / decode_s;
    return b;
}

uint64_t fit_budget(const struct engine_device *d, uint64_t ram_available_bytes, uint64_t own_bytes)
{
    uint64_t budget = d->budget_bytes;
    bool software = !strcmp(d->type, "cpu"); // its heap is a figure that allocation does not keep
    if (software || d->unified) {
        uint64_t ram = ram_available_bytes + own_bytes;
        budget = software ? ram : size_min(ram, budget);
    }
    uint64_t margin = size_max(budget / 10, 512ull << 20);
    return budget > margin ? budget - margin : 0;
}

static struct engine_plan plan_of(const struct engine_device *d, const struct fit_model *m,
                                  uint32_t n_ctx)
{
    struct engine_plan p = {
        .n_layers = m->n_layers,
        .n_embd = m->n_embd,
        .n_heads = m->n_heads,
        .n_kv_heads = m->n_kv_heads,
        .head_dim = m->head_dim,
        .n_ff = m->n_ff,
        .n_vocab = m->n_vocab,
        .n_ctx = n_ctx,
    };
    engine_plan(d, &p);
    return p;
}

// The largest context, in steps of 32 positions, whose cache fits the budget, and a head of a layer
// a buffer.
static uint32_t max_context(const struct engine_device *d, const struct fit_model *m,
                            uint64_t weights, uint64_t budget)
{
    struct engine_plan p = plan_of(d, m, 32), two = plan_of(d, m, 64);
    uint64_t step = two.kv_bytes + two.scratch_bytes - p.kv_bytes - p.scratch_bytes;
    uint64_t fixed = weights + p.kv_bytes + p.scratch_bytes - step;
    if (fixed >= budget) return 0;
    uint64_t steps = (budget - fixed) / step;
    steps = size_min(steps, d->max_buffer_range / p.kv_head_bytes);
    return (uint32_t)size_min(steps * 32, m->n_ctx_train);
}

static void judge(const struct engine_device *d, uint64_t budget, struct fit_row *r)
{
    if (r->weights.largest > engine_max_matrix_bytes(d)) {
        r->max_ctx = 0;
        (void)snprintf(
            r->why, sizeof r->why, "a matrix of %.2f GiB, the device takes %.2f GiB in one buffer",
            (double)r->weights.largest / 0x1p30, (double)engine_max_matrix_bytes(d) / 0x1p30);
    } else if (r->max_ctx < MIN_CTX) {
        r->max_ctx = 0;
        (void)snprintf(r->why, sizeof r->why, "needs %.2f GiB, the budget is %.2f GiB",
                       (double)r->total_bytes / 0x1p30, (double)budget / 0x1p30);
    } else if (r->max_ctx < r->n_ctx) {
        r->verdict = FIT_LESS_CONTEXT;
        (void)snprintf(r->why, sizeof r->why, "at most %u positions of context", r->max_ctx);
    } else {
        r->verdict = FIT_YES;
    }
}

void fit_predict(const struct engine_device *d, const struct fit_model *m, enum fit_quant q,
                 uint32_t n_ctx, uint64_t budget_bytes, const struct fit_basis *basis,
                 struct fit_row *out)
{
    *out = (struct fit_row){.verdict = FIT_TOO_LARGE};
    fit_weights(m, q, &out->weights);
    out->n_ctx = n_ctx < m->n_ctx_train ? n_ctx : m->n_ctx_train;
    struct engine_plan p = plan_of(d, m, out->n_ctx);
    out->kv_bytes = p.kv_bytes;
    out->scratch_bytes = p.scratch_bytes;
    out->total_bytes = out->weights.device + p.kv_bytes + p.scratch_bytes;
    out->max_ctx = max_context(d, m, out->weights.device, budget_bytes);
    judge(d, budget_bytes, out);
    if (basis->bytes_s > 0 && basis->decode_s > 0)
        out->decode_tok_s =
            1 / ((double)out->weights.device_token / basis->bytes_s + m->n_layers * basis->layer_s);
}
