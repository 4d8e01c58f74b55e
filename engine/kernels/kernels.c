#include "engine/kernels/kernels.h"
#include "base/cancel.h"
#include "base/parallel.h"
#include "base/size.h"

#include <assert.h>
#include <string.h>

#define SYMBOL(name, path)                                                                         \
    extern const unsigned char spv_##name##_##path[];                                              \
    extern const size_t spv_##name##_##path##_size;
#define SYMBOLS(name, ...) SYMBOL(name, texel) SYMBOL(name, ssbo)
#define STREAM_SYMBOLS(name, ...) SYMBOL(name, texel) SYMBOL(name, ssbo) SYMBOL(name, image)
#define SOFTWARE_SYMBOLS(name, ...) SYMBOL(name, texel) SYMBOL(name, image)
#define PUSH_SIZE(name, reads, writes, push, streams)                                              \
    _Static_assert(sizeof(struct push) % 4 == 0 && sizeof(struct push) <= 128, "push constants");
#define IMAGE_SYMBOLS(name, ...) SYMBOL(name, image)
KERNEL_LIST(SYMBOLS)
STREAM_KERNEL_LIST(STREAM_SYMBOLS)
SOFTWARE_KERNEL_LIST(SOFTWARE_SYMBOLS)
IMAGE_KERNEL_LIST(IMAGE_SYMBOLS)
EVERY_KERNEL(PUSH_SIZE)

enum {
    SPLIT_LANES = 128, // of matmul_split.comp and matmul_dot.comp, which says why
    MATMUL_PART = 64,  // tokens that tiles are kept for: their activations fit second caches
    MATMUL_RUN = 4,    // workgroups of neighbouring tiles
};

enum path { PATH_TEXEL, PATH_SSBO, PATH_IMAGE, N_PATHS };

struct kernel_info {
    const char *name;
    uint32_t n_reads, n_writes, push_bytes, streams;
    const unsigned char *spirv[N_PATHS]; // NULL: there is none
    const size_t *spirv_bytes[N_PATHS];
};

#define CODE(id, path, at)                                                                         \
    .spirv[at] = spv_##id##_##path, .spirv_bytes[at] = &spv_##id##_##path##_size
#define INFO(id, reads, writes, push, reads_streams)                                               \
    .name = #id, .n_reads = reads, .n_writes = writes, .push_bytes = sizeof(struct push),          \
    .streams = reads_streams
#define TEXEL(id) CODE(id, texel, PATH_TEXEL)
#define SSBO(id) CODE(id, ssbo, PATH_SSBO)
#define IMAGE(id) CODE(id, image, PATH_IMAGE)
#define KERNEL_INFO(id, ...) {INFO(id, __VA_ARGS__), TEXEL(id), SSBO(id)},
#define STREAM_INFO(id, ...) {INFO(id, __VA_ARGS__), TEXEL(id), SSBO(id), IMAGE(id)},
#define SOFTWARE_INFO(id, ...) {INFO(id, __VA_ARGS__), TEXEL(id), IMAGE(id)},
#define IMAGE_INFO(id, ...) {INFO(id, __VA_ARGS__), IMAGE(id)},
static const struct kernel_info infos[N_KERNELS] = {KERNEL_LIST(KERNEL_INFO) STREAM_KERNEL_LIST(
    STREAM_INFO) SOFTWARE_KERNEL_LIST(SOFTWARE_INFO) IMAGE_KERNEL_LIST(IMAGE_INFO)};

const struct weight_layout *weight_layout(enum weight_format f)
{
    static const struct weight_layout layouts[N_WEIGHT_FORMATS] = {
        [WEIGHT_Q2] = {"q2", 32, 1, ACT_I10},      [WEIGHT_Q3] = {"q3", 32, 1, ACT_I10},
        [WEIGHT_Q4] = {"q4", 40, 1, ACT_I9},       [WEIGHT_Q4S] = {"q4s", 36, 2, ACT_I9},
        [WEIGHT_Q5] = {"q5", 48, 1, ACT_I10},      [WEIGHT_Q6] = {"q6", 56, 1, ACT_I10},
        [WEIGHT_Q8] = {"q8", 72, 1, ACT_I10},      [WEIGHT_F16] = {"f16", 128, 1, ACT_F32},
        [WEIGHT_BF16] = {"bf16", 128, 1, ACT_F32}, [WEIGHT_F32] = {"f32", 256, 1, ACT_F32},
    };
    return &layouts[f];
}

uint32_t act_texels(enum act_form a)
{
    static const uint32_t texels[N_ACT_FORMS] = {
        [ACT_I9] = 4, [ACT_I10] = 4, [ACT_F32] = 8, [ACT_I8] = 3};
    return texels[a];
}

const char *matmul_way_name(enum matmul_way w)
{
    static const char *const names[N_WAYS] = {"plain", "split", "dot", "coop"};
    return names[w];
}

enum matmul_class matmul_class(uint32_t n_tokens)
{
    return n_tokens == 1 ? CLASS_ONE : n_tokens < MANY_TOKENS ? CLASS_FEW : CLASS_MANY;
}

bool matmul_can(const struct gpu *gpu, enum weight_format f, enum matmul_class c, enum matmul_way w)
{
    if (w == WAY_SPLIT) return gpu->split && c != CLASS_MANY;
    if (w == WAY_DOT) return gpu->dot && f <= WEIGHT_Q8;
    if (w == WAY_COOP) return gpu->coop && KERNELS_HAVE_COOP && c == CLASS_MANY;
    return true;
}

enum act_form matmul_act(enum weight_format f, enum matmul_way w)
{
    return w == WAY_DOT ? ACT_I8 : w == WAY_COOP ? ACT_F32 : weight_layout(f)->act;
}

enum matmul_way kernels_way(const struct kernels *k, enum weight_format f, uint32_t n_tokens)
{
    return (enum matmul_way)k->choice.way[f][matmul_class(n_tokens)];
}

uint64_t kernels_fingerprint(void)
{
    uint64_t h = 0xcbf29ce484222325u; // FNV-1a
    for (uint32_t k = 0; k < N_KERNELS; k++)
        for (uint32_t path = 0; path < N_PATHS; path++)
            for (size_t i = 0; infos[k].spirv[path] && i < *infos[k].spirv_bytes[path]; i++)
                h = (h ^ infos[k].spirv[path][i]) * 0x100000001b3u;
    return h;
}

void kernels_init(struct kernels *k, struct gpu *gpu)
{
    bool software = !strcmp(gpu->caps.type, "cpu");
    *k = (struct kernels){.gpu = gpu, .row_lanes = 64, .tile_lanes = 64, .lanes = 8};
    if (gpu->images && gpu->caps.subgroup_size == 16) k->lanes = 16;
    if (software) k->row_lanes = k->tile_lanes = k->lanes; // a subgroup a workgroup is cheapest
    k->wide = software && gpu->subgroups;
}

void kernels_destroy(struct kernels *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        gpu_pipeline_destroy(k->gpu, &k->entry[i].pipeline);
    *k = (struct kernels){0};
}

static struct gpu_pipeline_params params(const struct kernels *k, const struct kernel_entry *x)
{
    const struct kernel_info *info = &infos[x->id];
    enum path path = k->gpu->texel ? PATH_TEXEL : PATH_SSBO;
    if (k->gpu->images && info->spirv[PATH_IMAGE]) path = PATH_IMAGE;
    assert(info->spirv[path]);
    return (struct gpu_pipeline_params){
        .name = info->name,
        .spirv = info->spirv[path],
        .spirv_bytes = *info->spirv_bytes[path],
        .n_reads = info->n_reads,
        .images = path == PATH_IMAGE ? info->streams : 0,
        .n_writes = info->n_writes,
        .push_bytes = info->push_bytes,
        .spec = x->spec,
        .n_spec = x->n_spec,
        .subgroup_size = x->subgroup_size,
    };
}

static bool build(struct kernels *k, struct kernel_entry *x, struct err *e)
{
    struct gpu_pipeline_params p = params(k, x);
    return x->pipeline.pipeline || gpu_pipeline_build(k->gpu, &p, &x->pipeline, e);
}

// The entry of a kernel with these constants, declared where it is new.
static struct kernel_entry *find(struct kernels *k, const struct kernel_entry *like, struct err *e)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (k->entry[i].id == like->id &&
            !memcmp(k->entry[i].spec, like->spec, sizeof like->spec))
            return &k->entry[i];
    if (k->n == KERNELS_MAX) {
        err_set(e, ERR_INTERNAL, "more than %d pipelines", KERNELS_MAX);
        return NULL;
    }
    struct kernel_entry *x = &k->entry[k->n];
    *x = *like;
    struct gpu_pipeline_params p = params(k, x);
    if (!gpu_pipeline_declare(k->gpu, &p, &x->pipeline, e)) return NULL;
    k->n++;
    return x;
}

static bool get_sized(struct kernels *k, enum kernel id, const uint32_t *spec, uint32_t n_spec,
                      uint32_t subgroup_size, const struct gpu_pipeline **out, struct err *e)
{
    struct kernel_entry like = {.id = id, .n_spec = n_spec, .subgroup_size = subgroup_size};
    if (n_spec) memcpy(like.spec, spec, n_spec * sizeof *spec);
    struct kernel_entry *x = find(k, &like, e);
    if (!x) return false;
    *out = &x->pipeline;
    if (k->use == KERNELS_WANTED) x->wanted = true;
    return k->use != KERNELS_RUN || build(k, x, e);
}

static size_t code_bytes(const struct kernels *k, uint32_t i)
{
    return params(k, &k->entry[i]).spirv_bytes;
}

struct wanted {
    struct kernels *k;
    uint32_t entry[KERNELS_MAX];
};

static bool build_wanted(void *ctx, uint64_t i, uint32_t worker, struct err *e)
{
    struct wanted *w = ctx;
    (void)worker;
    return cancel_check(e) && build(w->k, &w->k->entry[w->entry[i]], e);
}

bool kernels_build(struct kernels *k, struct err *e)
{
    struct wanted w = {.k = k};
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n; i++) { // the longest first
        if (!k->entry[i].wanted) continue;
        uint32_t at = n++;
        for (; at && code_bytes(k, w.entry[at - 1]) < code_bytes(k, i); at--)
            w.entry[at] = w.entry[at - 1];
        w.entry[at] = i;
    }
    return parallel_for(n, parallel_workers(), build_wanted, &w, e);
}

uint32_t kernels_matmul_tokens(const struct kernels *k, uint32_t n_tokens)
{
    if (n_tokens == 1) return 1;
    if (!k->wide) return 4;
    // Whole fetches of activations (shaders/lib/acts.glsl): with 2 and 6 tokens of 16 lanes
    // lavapipe keeps the sums in memory, for what would be the others', and is 20 times slower.
    return (uint32_t)size_min(size_align(n_tokens, k->lanes / 4), KERNELS_MAX_TOKENS);
}

static bool get(struct kernels *k, enum kernel id, const uint32_t *spec, uint32_t n_spec,
                const struct gpu_pipeline **out, struct err *e)
{
    return get_sized(k, id, spec, n_spec, 0, out, e);
}

bool kernels_matmul(struct kernels *k, enum weight_format f, uint32_t nt,
                    const struct gpu_pipeline **out, struct err *e)
{
    assert(nt >= 1 && nt <= KERNELS_MAX_TOKENS);
    uint32_t spec[] = {k->tile_lanes, nt, k->gpu->broadcast};
    enum kernel first = k->wide ? KERNEL_matmul_wide_q2 : KERNEL_matmul_q2;
    return get(k, first + (enum kernel)f, spec, 3, out, e);
}

void kernels_matmul_groups(const struct kernels *k, uint32_t nt, uint32_t n_tiles,
                           uint32_t n_tokens, uint32_t groups[3])
{
    uint32_t all = (uint32_t)size_div_up(n_tokens, nt);
    uint32_t parts = (uint32_t)size_div_up(all, MATMUL_PART / nt);
    uint32_t tiles = k->tile_lanes / TILE_LANES * (k->lanes == 16 && nt == 1 ? 2 : 1);
    uint32_t tile_groups = (uint32_t)size_div_up(n_tiles, tiles);
    groups[0] = (uint32_t)size_min(tile_groups, MATMUL_RUN);
    groups[1] = (uint32_t)size_div_up(all, parts);
    groups[2] = parts * (uint32_t)size_div_up(tile_groups, groups[0]);
}

// first: the kernel of WEIGHT_Q2.
static bool get_split(struct kernels *k, enum kernel first, enum weight_format f, uint32_t n_tiles,
                      uint32_t n_tokens, const struct gpu_pipeline **out, uint32_t groups[3],
                      struct err *e)
{
    uint32_t spec[] = {SPLIT_LANES, n_tokens == 1 ? 1 : 4};
    groups[0] = n_tiles;
    groups[1] = (uint32_t)size_div_up(n_tokens, spec[1]);
    return get(k, first + (enum kernel)f, spec, 2, out, e);
}

static bool get_dot(struct kernels *k, enum weight_format f, uint32_t n_tiles, uint32_t n_tokens,
                    const struct gpu_pipeline **out, uint32_t groups[3], struct err *e)
{
    if (matmul_class(n_tokens) == CLASS_MANY) {
        groups[0] = (uint32_t)size_div_up(n_tiles, 2);
        groups[1] = (uint32_t)size_div_up(n_tokens, 64);
        return get(k, KERNEL_matmul_dot_tile_q2 + (enum kernel)f, NULL, 0, out, e);
    }
    return get_split(k, KERNEL_matmul_dot_q2, f, n_tiles, n_tokens, out, groups, e);
}

#ifdef LECTERN_COOP
static bool get_coop(struct kernels *k, enum weight_format f, uint32_t n_tiles, uint32_t n_tokens,
                     const struct gpu_pipeline **out, uint32_t groups[3], struct err *e)
{
    const struct gpu_caps *c = &k->gpu->caps;
    uint32_t spec[] = {4 * c->coop_subgroup, c->coop[0], c->coop[1], c->coop[2]};
    groups[0] = (uint32_t)size_div_up(n_tiles, 2);
    groups[1] = (uint32_t)size_div_up(n_tokens, 64);
    return get_sized(k, KERNEL_matmul_coop_q2 + (enum kernel)f, spec, 4, c->coop_subgroup, out, e);
}
#else
static bool get_coop(struct kernels *k, enum weight_format f, uint32_t n_tiles, uint32_t n_tokens,
                     const struct gpu_pipeline **out, uint32_t groups[3], struct err *e)
{
    (void)k, (void)f, (void)n_tiles, (void)n_tokens, (void)out, (void)groups;
    return err_set(e, ERR_INTERNAL, "this build has no kernels for cooperative matrices");
}
#endif

bool kernels_matmul_way(struct kernels *k, enum weight_format f, enum matmul_way w,
                        uint32_t n_tiles, uint32_t n_tokens, const struct gpu_pipeline **out,
                        uint32_t groups[3], struct err *e)
{
    groups[2] = 1;
    if (w == WAY_SPLIT)
        return get_split(k, KERNEL_matmul_split_q2, f, n_tiles, n_tokens, out, groups, e);
    if (w == WAY_DOT) return get_dot(k, f, n_tiles, n_tokens, out, groups, e);
    if (w == WAY_COOP) return get_coop(k, f, n_tiles, n_tokens, out, groups, e);
    uint32_t nt = kernels_matmul_tokens(k, n_tokens);
    kernels_matmul_groups(k, nt, n_tiles, n_tokens, groups);
    return kernels_matmul(k, f, nt, out, e);
}

bool kernels_norm(struct kernels *k, enum norm_mode mode, uint32_t want,
                  const struct gpu_pipeline **out, struct err *e)
{
    uint32_t spec[] = {k->row_lanes,        mode,
                       want >> ACT_I9 & 1,  want >> ACT_I10 & 1,
                       want >> ACT_F32 & 1, want >> ACT_I8 & 1};
    assert(k->gpu->dot || !spec[5]);
    if (k->gpu->dot) return get(k, KERNEL_norm_i8, spec, 6, out, e);
    return get(k, KERNEL_norm, spec, 5, out, e);
}

// The smallest module of layer.comp that reads these formats; N_KERNELS where there is none.
static enum kernel layer_module(uint32_t formats)
{
    enum { Q2 = 1 << WEIGHT_Q2, Q3 = 1 << WEIGHT_Q3, Q4 = 1 << WEIGHT_Q4, Q5 = 1 << WEIGHT_Q5 };
    enum { Q6 = 1 << WEIGHT_Q6, Q8 = 1 << WEIGHT_Q8, Q4S = 1 << WEIGHT_Q4S };
    static const struct {
        uint32_t formats;
        enum kernel id;
    } modules[] = {
        {Q4, KERNEL_layer_q4},
        {Q4S, KERNEL_layer_q4s},
        {Q6, KERNEL_layer_q6},
        {Q8, KERNEL_layer_q8},
        {Q4 | Q4S, KERNEL_layer_q4_q4s},
        {Q4 | Q5, KERNEL_layer_q4_q5},
        {Q4 | Q6, KERNEL_layer_q4_q6},
        {Q5 | Q6, KERNEL_layer_q5_q6},
        {Q6 | Q8, KERNEL_layer_q6_q8},
        {Q2 | Q3 | Q4 | Q4S | Q5, KERNEL_layer_q2_q3_q4_q4s_q5},
        {Q4 | Q4S | Q5 | Q6 | Q8, KERNEL_layer_q4_q4s_q5_q6_q8},
    };
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (!(formats & ~modules[i].formats)) return modules[i].id;
    return N_KERNELS;
}

bool kernels_layer_reads(uint32_t formats)
{
    return layer_module(formats) != N_KERNELS;
}

bool kernels_meet(struct kernels *k, const struct gpu_pipeline **out, struct err *e)
{
    uint32_t spec[] = {k->lanes, k->gpu->broadcast};
    return get(k, KERNEL_meet, spec, 2, out, e);
}

bool kernels_layer(struct kernels *k, const struct kernel_layer *spec,
                   const struct gpu_pipeline **out, struct err *e)
{
    uint32_t words[KERNEL_MAX_SPEC], formats = 0;
    for (uint32_t i = 0; i < 3; i++)
        if (spec->qkv_tiles[i]) formats |= 1u << spec->qkv_format[i];
    formats |= 1u << spec->o_format | 1u << spec->gate_format | 1u << spec->up_format |
               1u << spec->down_format;
    enum kernel id = layer_module(formats);
    assert(id != N_KERNELS);
    _Static_assert(KERNEL_layer_two_q4 - KERNEL_layer_q4 ==
                       KERNEL_layer_two_q4_q4s_q5_q6_q8 - KERNEL_layer_q4_q4s_q5_q6_q8,
                   "modules for two tiles in the same order");
    if (k->lanes == 16 && spec->nt == 1) id += KERNEL_layer_two_q4 - KERNEL_layer_q4;
    _Static_assert(sizeof *spec == sizeof words, "one word a constant");
    struct kernel_layer all = *spec;
    all.lanes = k->lanes;
    all.broadcast = k->gpu->broadcast;
    memcpy(words, &all, sizeof words);
    return get(k, id, words, KERNEL_MAX_SPEC, out, e);
}

bool kernels_rope(struct kernels *k, uint32_t kv_type, const struct gpu_pipeline **out,
                  struct err *e)
{
    uint32_t spec[] = {k->row_lanes, kv_type};
    return get(k, KERNEL_rope, spec, 2, out, e);
}

bool kernels_shift(struct kernels *k, uint32_t kv_type, const struct gpu_pipeline **out,
                   struct err *e)
{
    uint32_t spec[] = {k->row_lanes, kv_type};
    return get(k, KERNEL_shift, spec, 2, out, e);
}

bool kernels_argmax(struct kernels *k, const struct gpu_pipeline **out, struct err *e)
{
    return get(k, KERNEL_argmax, &k->row_lanes, 1, out, e);
}

bool kernels_attention(struct kernels *k, uint32_t head_dim, uint32_t group, uint32_t heads,
                       uint32_t tokens, uint32_t kv_type, const struct gpu_pipeline **out,
                       struct err *e)
{
    assert(head_dim % 8 == 0 && group % heads == 0 && tokens >= 1);
    uint32_t spec[] = {head_dim, group, heads, tokens, kv_type, k->lanes, k->gpu->broadcast};
    return get(k, k->gpu->subgroups ? KERNEL_attention : KERNEL_attention_shared, spec, 7, out, e);
}
