// engine.h's struct engine: opening, closing, what it says of itself.
#include "engine/model/engine_internal.h"
#include "engine/tokenizer/tok.h"
#include "base/clock.h"
#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void describe_device(const struct gpu_caps *c, struct engine_device *d)
{
    *d = (struct engine_device){
        .index = c->index,
        .tier = c->tier,
        .api_version = c->api_version,
        .subgroup_size = c->subgroup_size,
        .heap_bytes = c->heap_bytes,
        .budget_bytes = c->budget_bytes,
        .budget_known = c->budget_known,
        .max_buffer_range = c->max_buffer_range,
        .max_allocation = c->max_allocation,
        .max_texel_elements = c->max_texel_elements,
        .max_workgroup = c->max_workgroup,
        .shared_bytes = c->shared_bytes,
        .unified = c->unified,
        .fp16 = c->fp16,
        .int8_dot = c->int8_dot,
        .coopmat = c->coopmat,
        .usable = c->usable,
    };
    memcpy(d->name, c->name, sizeof d->name);
    memcpy(d->driver, c->driver, sizeof d->driver);
    memcpy(d->type, c->type, sizeof d->type);
    memcpy(d->uuid, c->uuid, sizeof d->uuid);
    memcpy(d->why_not, c->why_not, sizeof d->why_not);
}

bool engine_devices(struct engine_device **out, size_t *n, struct err *e)
{
    struct gpu_caps *caps;
    *out = NULL;
    if (!gpu_list(&caps, n, e)) return false;
    *out = calloc(*n, sizeof **out);
    for (size_t i = 0; *out && i < *n; i++)
        describe_device(&caps[i], &(*out)[i]);
    free(caps);
    return *out || err_nomem(e, "the device list", *n * sizeof **out);
}

static void describe(struct engine *g)
{
    const struct config *c = &g->config;
    const struct weights *w = &g->weights;
    const struct forward *f = &g->forward;
    g->info = (struct engine_info){
        .arch = "llama",
        .n_params = w->n_params,
        .weight_bytes_file = w->file_bytes,
        .weight_bytes_device = w->device_bytes,
        .weight_bytes_token = w->device_bytes - (w->tied ? 0 : w->embd.m[0].buf.allocated),
        .kv_bytes = f->kv_bytes,
        .scratch_bytes = f->scratch_bytes,
        .n_layers = c->n_layers,
        .n_embd = c->n_embd,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .n_ff = c->n_ff,
        .n_vocab = c->n_vocab,
        .n_ctx_train = c->n_ctx_train,
        .n_ctx = f->p.n_ctx,
        .n_seqs = f->p.n_seqs,
        .n_batch = f->p.n_batch,
        .rope_theta = c->rope_theta,
        .norm_eps = c->norm_eps,
        .tied_output = w->tied,
    };
    memcpy(g->info.name, c->name, sizeof g->info.name);
    (void)snprintf(g->info.file_type, sizeof g->info.file_type, "%s",
                   quant_info(w->main_type)->name);
    (void)snprintf(g->info.load_path, sizeof g->info.load_path, "%s",
                   g->gpu.texel ? "texel" : "ssbo");
}

static bool alloc_host(struct engine *g, struct err *e)
{
    const struct forward_params *p = &g->forward.p;
    g->seq_len = calloc(p->n_seqs, sizeof *g->seq_len);
    g->runs = calloc(p->n_seqs, sizeof *g->runs);
    g->tokens = calloc(p->n_batch, sizeof *g->tokens);
    g->rows = calloc(p->n_batch, sizeof *g->rows);
    return (g->seq_len && g->runs && g->tokens && g->rows) ||
           err_nomem(e, "the batch", p->n_batch * sizeof *g->tokens);
}

// Drivers compile at first dispatch: a pass of each kind now, so that no later call pays for it.
static bool warm_up(struct engine *g, struct err *e)
{
    float *logits = malloc(g->config.n_vocab * sizeof *logits);
    if (!logits) return err_nomem(e, "logits", g->config.n_vocab * sizeof *logits);
    const int32_t ids[2] = {0, 0};
    bool ok = true;
    for (size_t n = g->forward.p.n_batch > 1 ? 2 : 1; ok && n > 0; n--) {
        struct engine_item item = {.seq = 0, .tokens = ids, .n = n, .want = LOGITS_LAST};
        ok = engine_run(g, &item, 1, logits, e) && engine_seq_truncate(g, 0, 0, e);
    }
    free(logits);
    return ok;
}

static bool open_engine(struct engine *g, const struct engine_params *p, struct err *e)
{
    uint32_t n_ctx = p->n_ctx;
    if (!gguf_open(p->model_path, &g->file, e) || !config_read(&g->file, &g->config, e) ||
        !vocab_load(&g->file, &g->vocab, e))
        return false;
    if (vocab_size(g->vocab) > g->config.n_vocab)
        return err_set(e, ERR_FORMAT, "%s: %u tokens have no row in token_embd.weight",
                       p->model_path, vocab_size(g->vocab) - g->config.n_vocab);
    if (!n_ctx) n_ctx = g->config.n_ctx_train < 4096 ? g->config.n_ctx_train : 4096;
    struct forward_params f = {
        .n_ctx = (uint32_t)size_align(n_ctx, 32),
        .n_seqs = p->n_seqs ? p->n_seqs : 1,
        .n_batch = p->n_batch ? p->n_batch : 512,
        .kv_f32 = p->kv == ENGINE_KV_F32,
    };
    if (!gpu_create(p->device, p->validate, NULL, &g->gpu, e)) return false;
    describe_device(&g->gpu.caps, &g->device);
    return weights_load(&g->gpu, &g->file, &g->config, p->progress, &g->weights, e) &&
           forward_create(&g->gpu, &g->config, &g->weights, &f, &g->forward, e) &&
           alloc_host(g, e) && warm_up(g, e);
}

bool engine_open(const struct engine_params *p, struct engine **out, struct err *e)
{
    double start = clock_s();
    *out = NULL;
    struct engine *g = calloc(1, sizeof *g);
    if (!g) return err_nomem(e, "the engine", sizeof *g);
    if (!open_engine(g, p, e)) {
        engine_close(g);
        return false;
    }
    describe(g);
    g->info.load_s = clock_s() - start;
    *out = g;
    return true;
}

void engine_close(struct engine *g)
{
    if (!g) return;
    forward_destroy(&g->forward);
    weights_free(&g->gpu, &g->weights);
    gpu_destroy(&g->gpu);
    gguf_close(&g->file);
    vocab_close(g->vocab);
    free(g->seq_len);
    free(g->tokens);
    free(g->runs);
    free(g->rows);
    free(g);
}

const struct engine_info *engine_info(const struct engine *g)
{
    return &g->info;
}

const struct engine_device *engine_device(const struct engine *g)
{
    return &g->device;
}

const struct vocab *engine_vocab(const struct engine *g)
{
    return g->vocab;
}
