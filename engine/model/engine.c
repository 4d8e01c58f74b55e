// engine.h's struct engine: opening, closing, what it says of itself.
#include "engine/model/engine_internal.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/parallel.h"
#include "base/size.h"
#include "engine/kernels/choose.h"
#include "engine/model/embed.h"
#include "engine/model/repack.h"
#include "engine/tokenizer/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void engine_describe_device(const struct gpu_caps *c, struct engine_device *d)
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

const char *engine_feature_name(enum engine_feature f)
{
    static const char *const names[ENGINE_N_FEATURES] = {"texel", "subgroups", "fp16", "int-dot",
                                                         "coopmat"};
    return f < ENGINE_N_FEATURES ? names[f] : NULL;
}

// What was measured on it, without opening it.
static void describe_kernels(const struct gpu_caps *c, struct engine_device *d)
{
    struct gpu g = {.caps = *c};
    gpu_choose_features(&g, NULL);
    d->measures = g.split || g.dot || (g.coop && KERNELS_HAVE_COOP);
    if (d->measures) choose_describe(&g, d->kernels, sizeof d->kernels);
}

bool engine_devices(struct engine_device **out, size_t *n, struct err *e)
{
    struct gpu_caps *caps;
    *out = NULL;
    if (!gpu_list(&caps, n, e)) return false;
    *out = calloc(*n, sizeof **out);
    for (size_t i = 0; *out && i < *n; i++) {
        engine_describe_device(&caps[i], &(*out)[i]);
        describe_kernels(&caps[i], &(*out)[i]);
    }
    free(caps);
    return *out || err_nomem(e, "the device list", *n * sizeof **out);
}

// Parameters and the type that has the most bytes, from the file's tensors.
static void count_types(const struct gguf *g, struct engine_info *out)
{
    uint64_t bytes[64] = {0}, best = 0;
    enum quant_type main_type = QUANT_F32;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        out->n_params += t->n_elements;
        out->weight_bytes_file += t->size;
        if ((unsigned)t->type >= 64) continue;
        bytes[t->type] += t->size;
        if (bytes[t->type] > best) {
            best = bytes[t->type];
            main_type = t->type;
        }
    }
    const struct gguf_tensor *freqs = gguf_tensor(g, "rope_freqs.weight");
    if (freqs) out->n_params -= freqs->n_elements; // a table, not parameters
    (void)snprintf(out->file_type, sizeof out->file_type, "%s", quant_info(main_type)->name);
}

static void describe(struct engine *g)
{
    const struct config *c = &g->config;
    const struct forward_params *p = &g->place.p;
    struct engine_info *i = &g->info;
    *i = (struct engine_info){
        .arch = "llama",
        .n_layers = c->n_layers,
        .n_embd = c->n_embd,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .head_dim = c->head_dim,
        .n_ff = c->n_ff,
        .n_vocab = c->n_vocab,
        .n_ctx_train = c->n_ctx_train,
        .n_ctx = p->n_ctx,
        .n_seqs = p->n_seqs,
        .n_batch = p->n_batch,
        .n_devices = g->place.n_stages,
        .rope_theta = c->rope_theta,
        .norm_eps = c->norm_eps,
        .tied_output = c->tied_output,
    };
    for (uint32_t k = 0; k < g->place.n_stages; k++) {
        const struct stage *s = &g->stages[k];
        i->weight_bytes_device += g->place.stage[k].resident_bytes;
        i->weight_bytes_token += weights_matrix_bytes(&s->weights);
        i->kv_bytes += s->forward.kv_bytes;
        i->scratch_bytes += s->forward.scratch_bytes;
        i->lora_bytes += s->lora.device_bytes;
        i->n_resident += s->weights.n_resident;
    }
    count_types(&g->file, i);
    memcpy(i->name, c->name, sizeof i->name);
    (void)snprintf(i->load_path, sizeof i->load_path, "%s",
                   g->stages[0].gpu.texel ? "texel" : "ssbo");
    if (p->n_ctx > size_align(c->n_ctx_train, 32)) // the engine rounds up
        (void)snprintf(g->info.warning, sizeof g->info.warning,
                       "the context of %u positions is longer than the %u that the model was "
                       "trained on: behind those it meets distances it has never seen, and its "
                       "predictions get worse, often to the point of nonsense",
                       p->n_ctx, c->n_ctx_train);
}

// ------------------------------------------------------------------------------------ opening

static bool alloc_host(struct engine *g, struct err *e)
{
    const struct forward_params *p = &g->place.p;
    g->copies = calloc(size_max(p->n_seqs, g->pages.seq_pages), sizeof *g->copies);
    g->runs = calloc(p->n_seqs, sizeof *g->runs);
    g->ids = calloc(p->n_pass, sizeof *g->ids);
    g->tokens = calloc(p->n_pass, sizeof *g->tokens);
    g->rows = calloc(p->n_pass, sizeof *g->rows);
    return (g->copies && g->runs && g->ids && g->tokens && g->rows) ||
           err_nomem(e, "the batch", p->n_pass * sizeof *g->tokens);
}

// Takes all memory of a stage; nothing is read yet, so that a refusal costs little.
static bool allocate(struct engine *g, uint32_t k, struct err *e)
{
    const struct place_stage *s = &g->place.stage[k];
    struct stage *t = &g->stages[k];
    return weights_describe(&g->file, &g->config, &t->gpu, s->first_layer, s->n_layers,
                            s->has_output, &t->weights, e) &&
           weights_place(&t->weights, &t->gpu, s->n_resident, e) &&
           weights_allocate(&t->weights, &t->gpu, e) &&
           lora_load(&t->gpu, &g->place.lora, &g->config, &t->weights, &t->lora, e) &&
           forward_create(&t->gpu, &g->config, &t->weights, &t->stream, &g->place.p, &g->pages,
                          &t->choice, &t->forward, e);
}

static void release(struct engine *g)
{
    for (uint32_t k = 0; k < g->n_gpus; k++) {
        struct stage *t = &g->stages[k];
        stream_destroy(&t->stream);
        gpu_trace_destroy(&t->gpu, &t->trace);
        forward_destroy(&t->forward);
        lora_free(&t->lora);
        weights_free(&t->gpu, &t->weights);
    }
    kv_pages_destroy(&g->pages);
}

static uint64_t resident_file_bytes(const struct engine *g)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < g->place.n_stages; k++) {
        const struct weights *w = &g->stages[k].weights;
        if (w->has_output) sum += w->output.m[0].t[0]->size;
        for (uint32_t i = 0; i < w->n_resident; i++)
            sum += w->layers[i].file_bytes;
    }
    return sum;
}

static void open_tiles(struct engine *g)
{
    const struct weights *w[ENGINE_MAX_DEVICES];
    for (uint32_t k = 0; k < g->place.n_stages; k++)
        w[k] = &g->stages[k].weights;
    tile_cache_open(&g->file, w, g->place.n_stages, &g->tiles);
}

struct loading {
    struct engine *g;
    struct progress *progress;
    struct tile_cache *tiles;
    uint64_t done; // bytes of the file
};

static bool fill_weights(struct loading *l, struct err *e)
{
    bool ok = true;
    for (uint32_t k = 0; ok && k < l->g->place.n_stages; k++) {
        struct stage *t = &l->g->stages[k];
        struct uploader u;
        uploader_create(&t->gpu, &l->g->file, l->tiles, &u);
        ok = upload_resident(&u, &t->weights, l->progress, &l->done, e);
        uploader_destroy(&u);
    }
    if (ok) progress_update(l->progress, l->done, "building kernels");
    return ok;
}

static bool build_kernels(struct engine *g, struct err *e)
{
    bool ok = true;
    for (uint32_t k = 0; ok && k < g->place.n_stages; k++)
        ok = forward_build(&g->stages[k].forward, e);
    return ok;
}

static bool fill_or_build(void *ctx, uint64_t i, uint32_t worker, struct err *e)
{
    struct loading *l = ctx;
    (void)worker;
    return i == 0 ? fill_weights(l, e) : build_kernels(l->g, e);
}

// Weights are filled beside the building of kernels, of which one takes a driver a third of a
// second on one thread.
static bool load(struct engine *g, struct progress *progress, struct err *e)
{
    struct tile_cache *tiles = g->tiles.file ? &g->tiles : NULL;
    struct loading l = {.g = g, .progress = progress, .tiles = tiles};
    progress_begin(progress, "Loading", resident_file_bytes(g));
    bool ok = parallel_for(2, 2, fill_or_build, &l, e);
    for (uint32_t k = 0; ok && k < g->place.n_stages; k++) {
        struct stage *t = &g->stages[k];
        ok = forward_warm_up(&t->forward, e) &&
             stream_create(&t->gpu, &g->file, &t->weights, tiles, &t->stream, e);
    }
    progress_end(progress);
    return ok;
}

// After a refusal: what the device gave before it is what it has, unless that was little.
static void lower_budget(struct place_stage *s, uint64_t given)
{
    uint64_t wanted = place_stage_bytes(s);
    s->budget = given > wanted / 2 ? size_min(given, wanted / 20 * 19) : wanted / 5 * 4;
}

static uint32_t resident(const struct engine_layout *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_devices; i++)
        n += l->device[i].n_resident;
    return n;
}

// Takes memory as the layout says, a smaller layout where a device refuses.
static bool allocate_all(struct engine *g, const struct engine_params *p, struct err *e)
{
    for (bool refused = false;; refused = true) {
        if (!place_decide(&g->file, &g->config, &g->place, e)) return false;
        if (p->on_layout) {
            struct engine_layout l;
            layout_describe(&g->place, &l);
            l.refused = refused;
            if (resident(&l) < l.n_layers) layout_estimate(g, &l); // else nobody waits for it
            p->on_layout(p->on_layout_ctx, &l);
        }
        const struct kv_pages *sizes = &g->place.pages;
        uint32_t k = 0;
        if (!kv_pages_create(sizes->n_seqs, sizes->seq_pages, sizes->n_pages, &g->pages, e))
            return false;
        while (k < g->place.n_stages && allocate(g, k, e))
            k++;
        if (k == g->place.n_stages) return true;
        uint64_t given = k < g->n_gpus ? g->stages[k].gpu.allocated_bytes : 0;
        release(g);
        if (!e || e->code != ERR_MEMORY || cancel_requested()) return false;
        lower_budget(&g->place.stage[k], given);
    }
}

static struct gpu_limits limits_of(const struct engine_params *p, const struct gpu_limits *lowered)
{
    struct gpu_limits l = lowered ? *lowered : (struct gpu_limits){0};
    if (p->tier_given) {
        l.tier_given = true;
        l.tier = p->tier;
    }
    l.force_ssbo |= p->disable >> ENGINE_TEXEL & 1;
    l.no_subgroup |= p->disable >> ENGINE_SUBGROUPS & 1;
    l.no_fp16 |= p->disable >> ENGINE_FP16 & 1;
    l.no_dot |= p->disable >> ENGINE_INT_DOT & 1;
    l.no_coopmat |= p->disable >> ENGINE_COOPMAT & 1;
    return l;
}

// The devices of "A,B,...".
static bool open_devices(struct engine *g, const struct engine_params *p,
                         const struct gpu_limits *limits, struct err *e)
{
    const struct gpu_limits l = limits_of(p, limits);
    char names[512], *rest = names;
    if (p->device && strlen(p->device) >= sizeof names)
        return err_set(e, ERR_ARG, "the list of devices is too long");
    (void)snprintf(names, sizeof names, "%s", p->device ? p->device : "");
    while (rest) {
        char *name = p->device ? strsep(&rest, ",") : (rest = NULL);
        if (g->n_gpus == ENGINE_MAX_DEVICES)
            return err_set(e, ERR_ARG, "--device names more than %d devices", ENGINE_MAX_DEVICES);
        if (!gpu_create(name, p->validate, &l, &g->stages[g->n_gpus].gpu, e)) return false;
        g->place.stage[g->n_gpus].gpu = &g->stages[g->n_gpus].gpu;
        g->n_gpus++;
    }
    g->place.n_stages = g->n_gpus;
    return true;
}

// Devices that share memory share its budget: software devices have the machine's.
static void set_budgets(struct engine *g, const struct engine_params *p)
{
    for (uint32_t i = 0; i < g->n_gpus; i++) {
        const struct gpu_caps *a = &g->stages[i].gpu.caps;
        uint32_t sharers = 0;
        for (uint32_t k = 0; k < g->n_gpus; k++) {
            const struct gpu_caps *b = &g->stages[k].gpu.caps;
            sharers += !strcmp(a->uuid, b->uuid) || (a->unified && b->unified);
        }
        g->place.stage[i].budget = p->max_bytes[i] ? p->max_bytes[i] : place_budget(a) / sharers;
    }
}

// Everything that takes no memory for the model.
static bool prepare(struct engine *g, const struct engine_params *p,
                    const struct gpu_limits *limits, struct err *e)
{
    uint32_t n_ctx = p->n_ctx;
    if (!gguf_open(p->model_path, &g->file, e) || !config_read(&g->file, &g->config, e) ||
        !embed_check(&g->file, &g->config, e) || !open_devices(g, p, limits, e))
        return false;
    if (!n_ctx) n_ctx = g->config.n_ctx_train < 4096 ? g->config.n_ctx_train : 4096;
    g->place.p = (struct forward_params){
        .n_ctx = (uint32_t)size_align(n_ctx, 32),
        .n_seqs = p->n_seqs ? p->n_seqs : 1,
        .n_batch = p->n_batch ? p->n_batch : 512,
        .kv_type = (uint32_t)p->kv,
        .progress = p->pass_progress,
    };
    g->place.lora = (struct lora_params){p->loras, p->n_loras};
    engine_describe_device(&g->stages[0].gpu.caps, &g->device);
    set_budgets(g, p);
    return true;
}

// Before the model takes the memory that a measurement needs.
static bool choose_kernels(struct engine *g, struct err *e)
{
    uint32_t formats = 0;
    for (size_t i = 0; i < g->file.n_tensors; i++)
        if (g->file.tensors[i].n_dims == 2)
            formats |= 1u << repack_format(g->file.tensors[i].type, g->file.tensors[i].ne[0]);
    for (uint32_t k = 0; k < g->n_gpus; k++)
        if (!kernels_choose(&g->stages[k].gpu, formats, &g->stages[k].choice, NULL, e))
            return false;
    return true;
}

static bool open_vocab(struct engine *g, const struct engine_params *p, struct err *e)
{
    if (!vocab_load(&g->file, &g->vocab, e)) return false;
    if (vocab_size(g->vocab) <= g->config.n_vocab) return true;
    return err_set(e, ERR_FORMAT, "%s: %u tokens have no row in token_embd.weight", p->model_path,
                   vocab_size(g->vocab) - g->config.n_vocab);
}

bool engine_open_limited(const struct engine_params *p, const struct gpu_limits *limits,
                         struct engine **out, struct err *e)
{
    double start = clock_s();
    *out = NULL;
    struct engine *g = calloc(1, sizeof *g);
    if (!g) return err_nomem(e, "the engine", sizeof *g);
    bool ok = prepare(g, p, limits, e) && open_vocab(g, p, e) && choose_kernels(g, e) &&
              allocate_all(g, p, e) && alloc_host(g, e);
    if (ok && p->tile_cache) open_tiles(g);
    if (!ok || !load(g, p->progress, e)) {
        engine_close(g);
        return false;
    }
    describe(g);
    if (!*g->info.warning && g->tiles.why.code)
        (void)snprintf(g->info.warning, sizeof g->info.warning, "no tile cache: %.240s",
                       g->tiles.why.msg);
    g->info.n_loras = p->n_loras;
    g->info.load_s = clock_s() - start;
    *out = g;
    return true;
}

bool engine_open(const struct engine_params *p, struct engine **out, struct err *e)
{
    return engine_open_limited(p, NULL, out, e);
}

bool engine_lay_out(const struct engine_params *p, struct engine_layout *out, struct err *e)
{
    *out = (struct engine_layout){0};
    struct engine *g = calloc(1, sizeof *g);
    if (!g) return err_nomem(e, "the engine", sizeof *g);
    bool ok = prepare(g, p, NULL, e) && place_decide(&g->file, &g->config, &g->place, e);
    if (ok) {
        layout_describe(&g->place, out);
        layout_estimate(g, out);
    }
    engine_close(g);
    return ok;
}

void engine_close(struct engine *g)
{
    if (!g) return;
    release(g);
    for (uint32_t k = 0; k < g->n_gpus; k++)
        gpu_destroy(&g->stages[k].gpu);
    tile_cache_close(&g->tiles);
    gguf_close(&g->file);
    vocab_close(g->vocab);
    free(g->copies);
    free(g->ids);
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
