#include "engine/model/place.h"
#include "base/ram.h"
#include "base/size.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_COMFORT = 64, BATCH_LEAST = 16, CTX_LEAST = 256, PASS_STREAMED = 2048 };

uint64_t place_stage_bytes(const struct place_stage *s)
{
    return s->resident_bytes + s->slot_bytes + s->lora_bytes + s->kv_bytes + s->scratch_bytes;
}

// -------------------------------------------------------------------------------- the budget

uint64_t place_budget(const struct gpu_caps *c)
{
    uint64_t free_bytes = c->budget_bytes;
    struct ram ram;
    ram_read(&ram);
    if (!strcmp(c->type, "cpu")) // its heap is a figure that allocation does not keep
        free_bytes = ram.available;
    else if (c->unified)
        free_bytes = size_min(c->budget_bytes, ram.available);
    return ram_spare(free_bytes);
}

// ---------------------------------------------------------------------------------- a stage

static void scratch_of(struct place_stage *s, const struct config *c, const struct weights *w,
                       const struct forward_params *p)
{
    uint64_t bytes[N_SCRATCH];
    forward_scratch(s->gpu, c, w, p, bytes);
    s->scratch_bytes = 0;
    for (int i = 0; i < N_SCRATCH; i++)
        if (bytes[i]) s->scratch_bytes += gpu_buf_bytes(s->gpu, bytes[i]);
}

// Places with n_resident layers and takes the sums; true when they fit.
static bool try_resident(struct place_stage *s, struct weights *w, uint32_t n_resident, bool *fits,
                         struct err *e)
{
    if (!weights_place(w, s->gpu, n_resident, e)) return false;
    s->n_resident = n_resident;
    s->resident_bytes = weights_resident_bytes(w, s->gpu);
    s->slot_bytes = weights_slot_bytes(w, s->gpu);
    *fits = place_stage_bytes(s) <= s->budget;
    return true;
}

// The most layers that stay. streaming: whether fewer than all are allowed.
static bool most_resident(struct place_stage *s, struct weights *w, bool streaming, bool *fits,
                          struct err *e)
{
    if (!try_resident(s, w, s->n_layers, fits, e)) return false;
    if (*fits || !streaming) return true;
    uint32_t lo = 0, hi = s->n_layers; // lo fits or is 0, hi does not
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (!try_resident(s, w, mid, fits, e)) return false;
        *(*fits ? &lo : &hi) = mid;
    }
    return try_resident(s, w, lo, fits, e);
}

static bool place_stage(const struct gguf *g, const struct config *c, const struct place *p,
                        bool streaming, struct place_stage *s, bool *fits, struct err *e)
{
    struct weights w;
    if (!weights_describe(g, c, s->gpu, s->first_layer, s->n_layers, s->has_output, &w, e))
        return false;
    bool ok = lora_measure(s->gpu, &p->lora, c, &w, p->p.n_batch, &s->lora_bytes, e);
    struct kv_params kv = forward_kv(c, &w, &p->p, &p->pages);
    scratch_of(s, c, &w, &p->p);
    ok = ok && kv_store_bytes(s->gpu, &kv, &s->kv_bytes, e) &&
         most_resident(s, &w, streaming, fits, e);
    s->streamed_bytes = 0;
    for (uint32_t i = s->n_resident; i < s->n_layers; i++)
        s->streamed_bytes += w.layers[i].file_bytes;
    bool mapped = s->gpu->caps.unified && !s->gpu->force_staging;
    s->staging_bytes = mapped ? 0 : (uint64_t)2 * UPLOAD_STAGING;
    weights_free(s->gpu, &w);
    return ok;
}

// --------------------------------------------------------------------------------- deciding

// Layers in proportion to the budgets, at least one a device.
static void share_out(struct place *p, uint32_t n_layers)
{
    double sum = 0, so_far = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < p->n_stages; i++)
        sum += (double)p->stage[i].budget;
    for (uint32_t i = 0; i < p->n_stages; i++) {
        struct place_stage *s = &p->stage[i];
        uint32_t rest = p->n_stages - i - 1, end;
        so_far += (double)s->budget;
        end = rest ? (uint32_t)(n_layers * so_far / sum + 0.5) : n_layers;
        if (end < first + 1) end = first + 1;
        if (end > n_layers - rest) end = n_layers - rest;
        s->first_layer = first;
        s->n_layers = end - first;
        s->has_output = !rest;
        first = end;
    }
}

static bool decide_stages(const struct gguf *g, const struct config *c, struct place *p,
                          bool streaming, bool *fits, struct err *e)
{
    *fits = true;
    for (uint32_t i = 0; i < p->n_stages; i++) {
        bool one;
        if (!place_stage(g, c, p, streaming, &p->stage[i], &one, e)) return false;
        *fits &= one;
    }
    return true;
}

static uint32_t resident(const struct place *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_stages; i++)
        n += p->stage[i].n_resident;
    return n;
}

// As many tokens share one reading of the streamed layers as cost one resident layer at most.
static bool decide_streaming(const struct gguf *g, const struct config *c, struct place *p,
                             bool *fits, struct err *e)
{
    p->p.n_pass = p->p.n_batch;
    if (!decide_stages(g, c, p, true, fits, e)) return false;
    if (!*fits) return true;
    struct place least = *p;
    uint32_t batches = (uint32_t)size_max(PASS_STREAMED / p->p.n_batch, 1);
    for (; batches > 1; batches /= 2) {
        p->p.n_pass = batches * p->p.n_batch;
        if (!decide_stages(g, c, p, true, fits, e)) return false;
        if (*fits && resident(p) + 1 >= resident(&least)) return true;
    }
    *p = least;
    *fits = true;
    return true;
}

static bool limit_batch(const struct gguf *g, const struct config *c, struct place *p,
                        struct err *e)
{
    for (uint32_t i = 0; i < p->n_stages; i++) {
        struct weights w;
        struct place_stage *s = &p->stage[i];
        if (!weights_describe(g, c, s->gpu, s->first_layer, s->n_layers, s->has_output, &w, e))
            return false;
        uint32_t most = forward_max_batch(s->gpu, c, &w);
        if (p->p.n_batch > most) p->p.n_batch = most;
        weights_free(s->gpu, &w);
    }
    return true;
}

// Room in the pool for n_seqs full sequences.
static void set_pages(struct place *p)
{
    uint32_t seq_pages = p->p.n_ctx / KV_PAGE;
    p->pages = (struct kv_pages){
        .n_seqs = p->p.n_seqs, .seq_pages = seq_pages, .n_pages = p->p.n_seqs * seq_pages};
}

static void halve_context(struct place *p)
{
    p->p.n_ctx = (uint32_t)size_max(size_align(p->p.n_ctx / 2, KV_PAGE), CTX_LEAST);
    p->smaller_ctx = true;
    set_pages(p);
}

// Halves the context until a kernel can see a head's part of the cache.
static bool limit_context(const struct config *c, struct place *p, struct err *e)
{
    const struct forward_params *q = &p->p;
    while (q->n_ctx > CTX_LEAST && q->n_seqs > UINT32_MAX / q->n_ctx)
        halve_context(p);
    if (q->n_seqs > UINT32_MAX / q->n_ctx)
        return err_set(e, ERR_MEMORY, "%u sequences of %u positions are too many", q->n_seqs,
                       q->n_ctx);
    set_pages(p);
    for (uint32_t i = 0; i < p->n_stages; i++) {
        struct weights layers = {.n_layers = p->stage[i].n_layers};
        for (uint64_t bytes;;) {
            struct kv_params kv = forward_kv(c, &layers, q, &p->pages);
            if (kv_store_bytes(p->stage[i].gpu, &kv, &bytes, e)) break;
            if (q->n_ctx <= CTX_LEAST) return false;
            halve_context(p);
        }
    }
    return true;
}

static bool too_large(const struct place *p, struct err *e)
{
    for (uint32_t i = 0; i < p->n_stages; i++) {
        const struct place_stage *s = &p->stage[i];
        if (place_stage_bytes(s) <= s->budget) continue;
        return err_set(
            e, ERR_MEMORY,
            "%s has %llu MiB for this model, but with every layer streamed, %u positions "
            "and batches of %u it needs %llu: use a smaller model or quantization",
            s->gpu->caps.name, (unsigned long long)s->budget >> 20, p->p.n_ctx, p->p.n_batch,
            (unsigned long long)(place_stage_bytes(s) >> 20) + 1);
    }
    return err_set(e, ERR_MEMORY, "the model does not fit");
}

// One step smaller; false: nothing is left to give up.
static bool shrink(struct place *p)
{
    struct forward_params *q = &p->p;
    if (q->n_batch > BATCH_LEAST) {
        q->n_batch = (uint32_t)size_max(q->n_batch / 2, BATCH_LEAST);
        p->smaller_batch = true;
    } else if (q->n_ctx > CTX_LEAST) {
        halve_context(p);
    } else {
        return false;
    }
    return true;
}

bool place_decide(const struct gguf *g, const struct config *c, struct place *p, struct err *e)
{
    bool fits;
    if (p->n_stages > c->n_layers)
        return err_set(e, ERR_ARG, "%u devices for %u layers: name fewer with --device",
                       p->n_stages, c->n_layers);
    share_out(p, c->n_layers);
    if (!limit_batch(g, c, p, e) || !limit_context(c, p, e)) return false;
    uint32_t wanted = p->p.n_batch;
    for (uint32_t n = wanted; n >= BATCH_COMFORT || n == wanted; n /= 2) {
        p->p.n_batch = p->p.n_pass = n;
        if (!decide_stages(g, c, p, false, &fits, e)) return false;
        p->smaller_batch |= fits && n < wanted;
        if (fits) return true;
    }
    for (p->p.n_batch = wanted;;) {
        if (!decide_streaming(g, c, p, &fits, e)) return false;
        if (fits) return true;
        if (!shrink(p)) return too_large(p, e);
    }
}
