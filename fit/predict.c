#include "fit/predict.h"
#include "base/ram.h"
#include "base/size.h"

#include <stdio.h>
#include <string.h>

enum { MIN_CTX = 256 }; // less is not worth calling a fit

const char *fit_verdict_name(enum fit_verdict v)
{
    static const char *const names[] = {"fits", "fits with less context", "streamed",
                                        "larger than memory"};
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
    return ram_spare(budget);
}

// False where kernels cannot see a cache of n_ctx positions.
static bool plan_of(const struct engine_device *d, const struct fit_model *m,
                    const struct fit_bytes *w, uint32_t n_ctx, uint32_t n_batch,
                    struct engine_plan *p)
{
    *p = (struct engine_plan){
        .n_layers = m->n_layers,
        .n_embd = m->n_embd,
        .n_heads = m->n_heads,
        .n_kv_heads = m->n_kv_heads,
        .head_dim = m->head_dim,
        .n_ff = m->n_ff,
        .n_vocab = m->n_vocab,
        .n_ctx = n_ctx,
        .n_batch = n_batch,
    };
    memcpy(p->types, w->types, sizeof p->types);
    return engine_plan(d, p);
}

// The largest context, in steps of 32 positions, whose cache fits the budget and the device.
static uint32_t max_context(const struct engine_device *d, const struct fit_model *m,
                            const struct fit_bytes *w, uint64_t budget)
{
    uint32_t lo = 0, hi = m->n_ctx_train / 32 + 1; // lo fits or is 0, hi does not count
    while (hi - lo > 1) {
        struct engine_plan p;
        uint32_t mid = lo + (hi - lo) / 2;
        bool fits =
            plan_of(d, m, w, mid * 32, 0, &p) && w->device + p.kv_bytes + p.scratch_bytes <= budget;
        *(fits ? &lo : &hi) = mid;
    }
    return lo * 32;
}

// The most layers that stay beside `rest` bytes and two slots, which the others share in turn.
// False: not even none.
static bool stream(const struct fit_model *m, enum fit_quant q, uint64_t rest, uint64_t budget,
                   struct fit_row *r)
{
    uint64_t stays = r->weights.device, slot[2] = {0};
    r->n_resident = m->n_layers;
    r->streamed_bytes = 0;
    while (r->n_resident && stays + slot[0] + slot[1] + rest > budget) {
        struct fit_bytes y;
        fit_layer(m, q, --r->n_resident, &y);
        uint64_t first = size_max(slot[1], y.device); // the layers behind it change places
        stays -= y.device;
        slot[1] = slot[0];
        slot[0] = first;
        r->streamed_bytes += y.file;
    }
    return stays + slot[0] + slot[1] + rest <= budget;
}

// With a batch of 512 or, before it is given up, of one token.
static bool streams(const struct engine_device *d, const struct fit_model *m, enum fit_quant q,
                    uint64_t budget, struct fit_row *r)
{
    static const uint32_t batches[] = {0, 1};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct engine_plan p;
        if (plan_of(d, m, &r->weights, r->n_ctx, batches[i], &p) &&
            stream(m, q, p.kv_bytes + p.scratch_bytes, budget, r))
            return true;
    }
    return false;
}

static void judge(const struct engine_device *d, const struct fit_model *m, enum fit_quant q,
                  uint64_t budget, struct fit_row *r)
{
    if (r->max_ctx >= MIN_CTX) {
        r->n_resident = m->n_layers;
        r->verdict = r->max_ctx < r->n_ctx ? FIT_LESS_CONTEXT : FIT_YES;
        if (r->verdict == FIT_LESS_CONTEXT)
            (void)snprintf(r->why, sizeof r->why, "at most %u positions of context", r->max_ctx);
        return;
    }
    r->max_ctx = 0;
    if (streams(d, m, q, budget, r)) {
        r->verdict = FIT_STREAMED;
        (void)snprintf(r->why, sizeof r->why,
                       "%u of %u layers stay, %.2f GiB are read from the file for every token",
                       r->n_resident, m->n_layers, (double)r->streamed_bytes / 0x1p30);
        return;
    }
    r->n_resident = 0;
    r->streamed_bytes = 0;
    (void)snprintf(r->why, sizeof r->why, "needs %.2f GiB, the budget is %.2f GiB",
                   (double)r->total_bytes / 0x1p30, (double)budget / 0x1p30);
}

void fit_predict(const struct engine_device *d, const struct fit_model *m, enum fit_quant q,
                 uint32_t n_ctx, uint64_t budget_bytes, const struct fit_basis *basis,
                 struct fit_row *out)
{
    struct engine_plan p;
    *out = (struct fit_row){.verdict = FIT_TOO_LARGE};
    fit_weights(m, q, &out->weights);
    out->n_ctx = n_ctx < m->n_ctx_train ? n_ctx : m->n_ctx_train;
    (void)plan_of(d, m, &out->weights, out->n_ctx, 0, &p); // where it fails, max_ctx is below n_ctx
    out->kv_bytes = p.kv_bytes;
    out->scratch_bytes = p.scratch_bytes;
    out->total_bytes = out->weights.device + p.kv_bytes + p.scratch_bytes;
    out->max_ctx = max_context(d, m, &out->weights, budget_bytes);
    judge(d, m, q, budget_bytes, out);
    if (basis->bytes_s > 0 && basis->decode_s > 0 && out->verdict != FIT_STREAMED)
        out->decode_tok_s =
            1 / ((double)out->weights.device / basis->bytes_s + m->n_layers * basis->layer_s);
}
