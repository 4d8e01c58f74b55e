#include "engine/model/fused.h"
#include "base/parallel.h"
#include "base/size.h"
#include "engine/model/forward.h"

#include <stdlib.h>
#include <string.h>

enum {
    MIN_EMBD = 256, // toys compute faster than this kernel compiles, a second once
    MAX_SLICES = 4,
    MAX_HEADS = 4,      // query heads of an attention item: their keys' sums stay in registers
    MAX_TURNS = 60000,  // of loops in an invocation: Mesa 22.3 ends it at 65,535 in all
    PROBE_SPINS = 4000, // looks at a meeting, about 2 ms there
    // Passes between tries, at first and at most: three tries of 2 ms in 16 passes of 10 ms and
    // more are 4 %, soon nothing.
    FIRST_PAUSE = 16,
    LAST_PAUSE = 1024,
    // Turns of a dispatch's loops beside looking, where it takes several layers: the other half is
    // for looking, 15 ms there.
    WORK_TURNS = MAX_TURNS / 2,
    // Of a layer's weights: reading so much takes 3 ms, of which meetings instead of dispatches
    // save 4 x 40 us, while a processor that is taken away costs a longer pass more often, and
    // more.
    MAX_MEETING_BYTES = 48 << 20,
};

uint32_t fused_groups(const struct gpu *gpu, const struct config *c)
{
    bool software = !strcmp(gpu->caps.type, "cpu") && gpu->texel && gpu->subgroups && !gpu->split &&
                    !gpu->dot && !gpu->coop;
    return software && c->n_embd >= MIN_EMBD && !gpu->no_fused ? parallel_workers() : 0;
}

static uint32_t blocks(uint32_t columns)
{
    return (uint32_t)size_div_up(columns, BLOCK_COLS);
}

static uint32_t heads_an_item(uint32_t group)
{
    uint32_t heads = group < MAX_HEADS ? group : MAX_HEADS;
    while (group % heads)
        heads--;
    return heads;
}

// As few slices of the context as give the workgroups about the same work.
static uint32_t slices(uint32_t items, uint32_t n_groups)
{
    uint32_t best = 1;
    double best_idle = 2;
    for (uint32_t s = 1; s <= MAX_SLICES; s++) {
        double work = (double)items * s / n_groups;
        double idle = (double)size_div_up((uint64_t)items * s, n_groups) / work - 1;
        if (idle < best_idle - 0.1) best = s, best_idle = idle;
    }
    return best;
}

static struct kernel_layer common(const struct gpu *gpu, const struct config *c)
{
    uint32_t heads = heads_an_item(c->n_heads / c->n_kv_heads);
    return (struct kernel_layer){.head_dim = c->head_dim,
                                 .n_heads = c->n_heads,
                                 .n_kv_heads = c->n_kv_heads,
                                 .heads = heads,
                                 .slices = slices(c->n_heads / heads, fused_groups(gpu, c)),
                                 .n_embd = c->n_embd,
                                 .n_ff = c->n_ff};
}

struct fused_bytes fused_scratch(const struct gpu *gpu, const struct config *c)
{
    uint32_t n_groups = fused_groups(gpu, c);
    if (!n_groups) return (struct fused_bytes){0};
    uint64_t q = blocks(c->n_heads * c->head_dim), ff = blocks(c->n_ff), embd = blocks(c->n_embd);
    uint64_t most = size_max(size_max(q, ff), embd), n = FUSED_MAX_TOKENS;
    struct kernel_layer k = common(gpu, c);
    return (struct fused_bytes){.acts = n_groups * 2 * n * most * 4 * 16,
                                .hidden = n * ff * BLOCK_COLS * 4,
                                .attended = n * c->n_heads * k.slices * (c->head_dim / 4 + 1) * 16,
                                .meeting = 16,
                                .layers = FUSED_MAX_LAYERS * sizeof(struct layer_entry)};
}

// ----------------------------------------------------------------------------------- a layer

_Static_assert(sizeof(struct layer_entry) == 3 * 16, "layer.comp reads it as three texels");

// What differs from layer to layer. False: its tensors are not what the kernel reads.
static bool describe(const struct forward *f, uint32_t layer, struct kernel_layer *k,
                     struct layer_entry *at, const struct gpu_buf **block)
{
    const struct weights *w = f->weights;
    struct layer *y = &w->layers[layer];
    const struct blocks *b =
        layer < w->n_resident ? &w->resident : &w->slots[(layer - w->n_resident) % 2];
    uint32_t in = y->attn_norm.spot.block, formats = 0;
    *block = &b->at[in].buf;
    for (uint32_t i = 0; i < LAYER_GROUPS; i++) {
        const struct matrix_group *g = layer_group(y, i);
        uint32_t most = i == 0 ? 3 : i == 2 ? 2 : 1;
        if (g->n > most || g->lora) return false;
        for (uint32_t m = 0; m < g->n; m++) {
            if (g->m[m].spot.block != in) return false;
            formats |= 1u << g->m[m].format;
        }
    }
    if (!kernels_layer_reads(formats)) return false;
    if (y->ffn_norm.spot.block != in || !(*block)->view) return false;
    for (uint32_t i = 0; i < y->qkv.n; i++) {
        k->qkv_tiles[i] = y->qkv.m[i].n_tiles;
        k->qkv_format[i] = y->qkv.m[i].format;
        at->qkv[i] = (uint32_t)(y->qkv.m[i].spot.offset / 16);
    }
    const struct matrix *gate = &y->gate_up.m[0], *up = &y->gate_up.m[y->gate_up.n - 1];
    k->o_format = y->o.m[0].format;
    k->gate_format = gate->format;
    k->up_format = up->format;
    k->down_format = y->down.m[0].format;
    at->o = (uint32_t)(y->o.m[0].spot.offset / 16);
    at->down = (uint32_t)(y->down.m[0].spot.offset / 16);
    at->gate = (uint32_t)(gate->spot.offset / 16);
    at->up = (uint32_t)(up->spot.offset / 16);
    if (gate == up)
        at->up += y->gate_up.row_at[1] / TILE_ROWS * gate->n_blocks *
                  weight_layout(gate->format)->block_texels;
    at->attn_norm = (uint32_t)(y->attn_norm.spot.offset / 16);
    at->ffn_norm = (uint32_t)(y->ffn_norm.spot.offset / 16);
    return true;
}

static uint32_t groups(const struct forward *f)
{
    return f->fused.alone ? 1 : f->fused.n_groups;
}

// Turns over n tiles of so many blocks, `products` of them a tile, by one of g workgroups. One
// token takes two blocks a turn with 8 lanes, and two products at once with 16
// (shaders/lib/tile.glsl).
static uint64_t tile_turns(const struct forward *f, uint32_t n_tokens, uint64_t n,
                           uint32_t products, uint64_t n_blocks)
{
    uint32_t halves = f->kernels.lanes / TILE_LANES;
    uint32_t at_once = halves * (n_tokens == 1 && halves == 2 ? 2 : 1);
    uint64_t turns = n_tokens == 1 && halves == 1 ? size_div_up(n_blocks, 2) : n_blocks;
    return size_div_up(size_div_up(n, groups(f)) * products, at_once) * (turns + 5);
}

// Turns of loops that an invocation makes at most: of the largest phase, and of all together.
static void turns(const struct forward *f, uint32_t n_tokens, uint64_t *largest, uint64_t *all)
{
    const struct kernel_layer *k = &f->fused.k;
    uint64_t embd = blocks(k->n_embd), ff = blocks(k->n_ff), q = blocks(k->n_heads * k->head_dim);
    uint64_t kv = blocks(k->n_kv_heads * k->head_dim), n = n_tokens, lanes = f->kernels.lanes;
    uint64_t items = n * k->n_heads / k->heads * k->slices;
    uint64_t norm = n * (12 * embd / lanes + 8);
    uint64_t phase[5] = {
        tile_turns(f, n_tokens, q + 2 * kv, 1, embd) + 2 * (embd + 3) + norm, // in up to 3 runs
        size_div_up(items, groups(f)) * (size_div_up(f->p.n_ctx / KV_PAGE, k->slices) + 4),
        tile_turns(f, n_tokens, embd, 1, q) + n * (q / lanes + 4),
        tile_turns(f, n_tokens, ff, 2, embd) + norm,
        tile_turns(f, n_tokens, embd, 1, ff) + n * (ff / lanes + 4),
    };
    *largest = *all = 0;
    for (uint32_t i = 0; i < 5; i++) {
        *largest = size_max(*largest, phase[i]);
        *all += phase[i];
    }
}

bool fused_takes(const struct forward *f, uint32_t layer, const struct sub_batch *s)
{
    uint64_t largest, all;
    if (!f->fused.n_groups || !f->fused.set[layer] || !s->decode || f->n_subs != 1 ||
        s->n_tokens > FUSED_MAX_TOKENS)
        return false;
    turns(f, s->n_tokens, &largest, &all);
    return largest <= MAX_TURNS;
}

static uint64_t group_bytes(const struct matrix_group *g)
{
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < g->n; k++)
        bytes += g->m[k].bytes;
    return bytes;
}

static uint64_t layer_bytes(struct layer *y)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < LAYER_GROUPS; i++)
        bytes += group_bytes(layer_group(y, i));
    return bytes;
}

// For tables of times: what the phases of n layers read, and how much.
static void note(struct forward *f, uint32_t layer, uint32_t n, uint32_t phases)
{
    static const uint32_t phase_of[LAYER_GROUPS] = {LAYER_QKV, LAYER_O, LAYER_GATE_UP, LAYER_DOWN};
    const struct gguf_tensor *first = NULL;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n * LAYER_GROUPS; i++) {
        uint32_t k = i % LAYER_GROUPS;
        const struct matrix_group *g =
            layer_group(&f->weights->layers[layer + i / LAYER_GROUPS], k);
        if (!(phases & phase_of[k])) continue;
        if (!first) first = g->m[0].t[0];
        bytes += group_bytes(g);
    }
    if (first) gpu_note(&f->cmd, first->name.s, first->name.n, bytes);
}

static bool record_phases(struct forward *f, struct kernel_layer *k, const struct push_layer *push,
                          struct err *e)
{
    const struct gpu_pipeline *p;
    if (!kernels_layer(&f->kernels, k, &p, e)) return false;
    note(f, push->layer, push->n_layers, k->phases);
    gpu_dispatch(f->gpu, &f->cmd, p, f->fused.set[push->layer], push,
                 (uint32_t[]){groups(f), 1, 1});
    gpu_barrier(f->gpu, &f->cmd);
    return true;
}

// How often a workgroup looks at the meetings of a dispatch in all: what turns the phases' loops
// leave; 0: too few, or no use. *n: how many of so many layers it takes. That each meeting looks
// once more, and the loop over layers, fit between MAX_TURNS and what Mesa allows: 6 turns a layer.
static uint32_t spins(const struct forward *f, uint32_t n_tokens, uint32_t *n)
{
    uint64_t largest, all, most = *n;
    *n = 1;
    turns(f, n_tokens, &largest, &all);
    if (!f->fused.meets || all + 4 * PROBE_SPINS > MAX_TURNS) return 0;
    *n = (uint32_t)size_min(most, size_max(WORK_TURNS / all, 1));
    return (uint32_t)(MAX_TURNS - *n * all);
}

bool fused_record(struct forward *f, uint32_t layer, uint32_t *n, const struct sub_batch *s,
                  struct err *e)
{
    struct fused *u = &f->fused;
    struct kernel_layer k = u->k;
    const struct gpu_buf *block;
    struct layer_entry at;
    struct push_layer push = {.layer = layer,
                              .first = s->first,
                              .token_base = s->first,
                              .tile_base = s->first_tile,
                              .n_tokens = s->n_tokens,
                              .v_base = f->kv.v_base,
                              .meetings = u->meetings,
                              .eps = f->config->norm_eps,
                              .q_scale = f->q_scale};
    (void)describe(f, layer, &k, &at, &block);
    k.nt = kernels_matmul_tokens(&f->kernels, s->n_tokens);
    *n = (uint32_t)size_min(*n, u->alike[layer]);
    push.spins = spins(f, s->n_tokens, n);
    push.n_layers = *n;
    if (push.spins) {
        k.phases = LAYER_ALL;
        u->meetings += 5 * *n - 1;
        return record_phases(f, &k, &push, e);
    }
    for (k.phases = LAYER_QKV; k.phases <= LAYER_DOWN; k.phases *= 2)
        if (!record_phases(f, &k, &push, e)) return false;
    return true;
}

// ------------------------------------------------------------------------------------ a pass

static uint32_t *meeting(const struct forward *f) // who came; whether a meeting failed
{
    return f->scratch[SCRATCH_MEETING].map;
}

// Workgroups that do nothing but meet, or with nobody to meet look for 2 ms.
static bool meet_once(struct forward *f, bool nobody, struct err *e)
{
    struct push_layer push = {.spins = PROBE_SPINS, .meetings = nobody};
    const struct gpu_pipeline *p;
    memset(meeting(f), 0, 16);
    if (!kernels_meet(&f->kernels, &p, e) || !gpu_begin(f->gpu, &f->cmd, e)) return false;
    memset(&f->recorded, 0, sizeof f->recorded);
    gpu_dispatch(f->gpu, &f->cmd, p, f->fused.meet_set, &push,
                 (uint32_t[]){f->fused.n_groups, 1, 1});
    gpu_barrier(f->gpu, &f->cmd);
    return gpu_end(f->gpu, &f->cmd, e) && gpu_submit(f->gpu, &f->cmd, e);
}

static bool keep_busy(void *f, struct err *e)
{
    return meet_once(f, true, e);
}

// Whether that many workgroups meet, in three tries: other work may keep one away for a while.
static bool probe(struct forward *f, struct err *e)
{
    bool met = false;
    for (int i = 0; i < 3 && !met; i++) {
        if (!meet_once(f, false, e)) return false;
        met = !meeting(f)[1];
    }
    f->fused.meets = met;
    f->fused.failures = 0;
    return true;
}

bool fused_probe(struct forward *f, struct err *e)
{
    struct fused *u = &f->fused;
    const struct gpu_buf *bufs[] = {&f->scratch[SCRATCH_MEETING]};
    const struct gpu_pipeline *p;
    if (!u->n_groups) return true;
    if (!kernels_meet(&f->kernels, &p, e) ||
        !gpu_set_make(f->gpu, &u->sets, p, bufs, &u->meet_set, e) ||
        !gpu_spread_threads(keep_busy, f, e))
        return false;
    if (layer_bytes(&f->weights->layers[0]) > MAX_MEETING_BYTES) return true;
    u->pause = FIRST_PAUSE;
    return probe(f, e);
}

static void probe_again(struct forward *f)
{
    struct fused *u = &f->fused;
    struct err ignored; // a lost device is told by the pass
    if (u->meets || !u->pause || ++u->since < u->pause) return;
    u->since = 0;
    u->pause = (uint32_t)size_min(2 * u->pause, LAST_PAUSE);
    (void)probe(f, &ignored);
}

void fused_begin(struct forward *f, uint32_t n_tokens)
{
    struct fused *u = &f->fused;
    if (!u->n_groups || n_tokens > FUSED_MAX_TOKENS) return;
    probe_again(f);
    memcpy(u->x, forward_input(f), (size_t)n_tokens * forward_stride(f) * sizeof *u->x);
    meeting(f)[1] = 0;
}

void fused_submit(struct forward *f)
{
    if (f->fused.n_groups) meeting(f)[0] = 0;
}

bool fused_again(struct forward *f, uint32_t n_tokens)
{
    struct fused *u = &f->fused;
    if (!u->n_groups || n_tokens > FUSED_MAX_TOKENS) return false;
    bool failed = meeting(f)[1] != 0;
    if (failed || u->alone) memset(&f->recorded, 0, sizeof f->recorded);
    if (!failed) {
        if (!u->alone) u->failures = 0;
        u->alone = false;
        return false;
    }
    meeting(f)[1] = 0;
    u->alone = true;
    u->meets = ++u->failures < FUSED_MAX_FAILURES;
    memcpy(forward_input(f), u->x, (size_t)n_tokens * forward_stride(f) * sizeof *u->x);
    return true;
}

static bool make_set(struct forward *f, uint32_t layer, const struct gpu_buf *block,
                     const struct gpu_buf *kv, const struct gpu_pipeline *p, struct err *e)
{
    const struct gpu_buf *s = f->scratch;
    const struct gpu_buf *bufs[] = {block,
                                    &s[SCRATCH_X],
                                    &s[SCRATCH_LAYER_ACTS],
                                    &s[SCRATCH_Q],
                                    kv,
                                    &s[SCRATCH_LAYER_ATTENDED],
                                    &s[SCRATCH_LAYER_HIDDEN],
                                    &f->kv.table,
                                    &s[SCRATCH_TABLE],
                                    &s[SCRATCH_TILES],
                                    &s[SCRATCH_ANGLES],
                                    &s[SCRATCH_LAYERS],
                                    block,
                                    &s[SCRATCH_X],
                                    &s[SCRATCH_LAYER_ACTS],
                                    kv,
                                    &s[SCRATCH_Q],
                                    &s[SCRATCH_LAYER_ATTENDED],
                                    &s[SCRATCH_LAYER_HIDDEN],
                                    &s[SCRATCH_MEETING]};
    return gpu_set_make(f->gpu, &f->fused.sets, p, bufs, &f->fused.set[layer], e);
}

struct described { // what layers of a dispatch have in common
    struct kernel_layer k;
    const struct gpu_buf *block, *kv;
};

// From the last layer to the first, so that `alike` counts on.
static bool describe_all(struct forward *f, struct err *e)
{
    struct fused *u = &f->fused;
    struct layer_entry *table = f->scratch[SCRATCH_LAYERS].map;
    struct described next = {0};
    for (uint32_t i = f->weights->n_layers; i-- > 0;) {
        struct described d = {.k = u->k};
        const struct gpu_pipeline *p; // all of them have the same bindings
        if (i >= FUSED_MAX_LAYERS || !describe(f, i, &d.k, &table[i], &d.block)) {
            next.block = NULL;
            continue;
        }
        d.k.nt = 1;
        d.k.phases = LAYER_ALL;
        d.kv = kv_store_span(&f->kv, f->weights->first_layer + i, &table[i].kv_unit);
        u->alike[i] = d.block == next.block && d.kv == next.kv && !memcmp(&d.k, &next.k, sizeof d.k)
                          ? u->alike[i + 1] + 1
                          : 1;
        if (!kernels_layer(&f->kernels, &d.k, &p, e) || !make_set(f, i, d.block, d.kv, p, e))
            return false;
        next = d;
    }
    return true;
}

bool fused_create(struct forward *f, struct err *e)
{
    struct fused *u = &f->fused;
    const struct weights *w = f->weights;
    if (!fused_groups(f->gpu, f->config) || f->kv.n_parts != 1 || f->p.kv_type > KV_F32 ||
        !w->n_layers)
        return true;
    u->k = common(f->gpu, f->config);
    u->k.kv_type = f->p.kv_type;
    size_t x = (size_t)FUSED_MAX_TOKENS * forward_stride(f);
    u->set = calloc(w->n_layers, sizeof(VkDescriptorSet));
    u->alike = calloc(w->n_layers, sizeof *u->alike);
    u->x = malloc(x * sizeof *u->x);
    if (!u->set || !u->alike || !u->x) return err_nomem(e, "a pass", x * sizeof *u->x);
    u->n_groups = fused_groups(f->gpu, f->config);
    return gpu_sets_create(f->gpu, w->n_layers + 1, &u->sets, e) && describe_all(f, e);
}

void fused_destroy(struct forward *f)
{
    gpu_sets_destroy(f->gpu, &f->fused.sets);
    free(f->fused.set);
    free(f->fused.alike);
    free(f->fused.x);
    f->fused = (struct fused){0};
}
