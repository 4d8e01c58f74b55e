// Kernels as pipelines, built on demand: a kernel and its specialisation constants name one.
#ifndef LECTERN_KERNELS_H
#define LECTERN_KERNELS_H

#include "base/err.h"
#include "engine/kernels/list.h"
#include "engine/vk/gpu.h"

#define LECTERN_C
#include "shaders/push.h"

#define KERNEL_ENUM(name, ...) KERNEL_##name,
enum kernel { EVERY_KERNEL(KERNEL_ENUM) N_KERNELS };
#undef KERNEL_ENUM

// Layouts of weights on the device, shaders/formats/*.glsl. The order is that of the lists.
enum weight_format {
    WEIGHT_Q2,
    WEIGHT_Q3,
    WEIGHT_Q4,
    WEIGHT_Q4S,
    WEIGHT_Q5,
    WEIGHT_Q6,
    WEIGHT_Q8,
    WEIGHT_F16,
    WEIGHT_BF16,
    WEIGHT_F32,
    N_WEIGHT_FORMATS
};

// Forms of activations that norm.comp writes; each weight format reads one, and each tier's matmul.
enum act_form { ACT_I9, ACT_I10, ACT_F32, ACT_I8, N_ACT_FORMS };

struct weight_layout {
    const char *name;
    uint32_t block_texels; // 16-byte texels a tile and block of 32 columns
    uint32_t unit_blocks;  // blocks that share texels: rows of such a layout are whole units
    enum act_form act;
};
const struct weight_layout *weight_layout(enum weight_format f);
uint32_t act_texels(enum act_form a); // 16-byte texels a token and block of 32 columns

// Ways to multiply: matmul.comp, which every device runs; matmul_split.comp, the same for GPUs and
// few tokens; matmul_dot*.comp; matmul_coop.comp.
enum matmul_way { WAY_PLAIN, WAY_SPLIT, WAY_DOT, WAY_COOP, N_WAYS };
// Numbers of tokens that may want different ways: 1; up to 15; more.
enum matmul_class { CLASS_ONE, CLASS_FEW, CLASS_MANY, N_CLASSES };
enum { MANY_TOKENS = 16 };
const char *matmul_way_name(enum matmul_way w); // "plain", "split", "dot", "coop"
enum matmul_class matmul_class(uint32_t n_tokens);
// Whether the device has a kernel for this.
bool matmul_can(const struct gpu *gpu, enum weight_format f, enum matmul_class c,
                enum matmul_way w);
enum act_form matmul_act(enum weight_format f, enum matmul_way w);

struct kernel_choice { // choose.h makes one; zeros: WAY_PLAIN everywhere
    unsigned char way[N_WEIGHT_FORMATS][N_CLASSES]; // enum matmul_way
};

enum norm_mode { NORM_PLAIN, NORM_RMS, NORM_SWIGLU };

// KERNELS_MAX_TOKENS: tokens a lane of matmul computes at most. Rows of activations are read, and
// thrown away, up to a multiple of it.
enum { KERNEL_MAX_SPEC = 22, KERNELS_MAX = 192, KERNELS_MAX_TOKENS = 8 };

struct kernel_entry {
    enum kernel id;
    uint32_t spec[KERNEL_MAX_SPEC], n_spec, subgroup_size;
    bool wanted;
    struct gpu_pipeline pipeline;
};

// What the functions below get a pipeline for. Building takes drivers long, so it is put off:
enum kernels_use {
    KERNELS_RUN,   // it is built
    KERNELS_SETS,  // to make descriptor sets from: not built
    KERNELS_WANTED // kernels_build will be called for it: not built yet
};

struct kernels {
    struct gpu *gpu;     // borrowed
    uint32_t row_lanes;  // local size of the kernels with one workgroup a row
    uint32_t tile_lanes; // local size of matmul: a multiple of TILE_LANES
    uint32_t lanes;      // of kernels that exchange: 8, or 16 on a software device that has them
    bool wide;           // matmul shares activations by shuffles: a workgroup is `lanes`
    enum kernels_use use;
    struct kernel_choice choice;
    uint32_t n;
    struct kernel_entry entry[KERNELS_MAX];
};

uint64_t kernels_fingerprint(void); // of the code of all kernels: another build, another number
void kernels_init(struct kernels *k, struct gpu *gpu);
void kernels_destroy(struct kernels *k);
// Builds what was asked for with KERNELS_WANTED, on every core.
bool kernels_build(struct kernels *k, struct err *e);

// Pipelines are borrowed until kernels_destroy.
// Tokens a lane for a pass of n_tokens.
uint32_t kernels_matmul_tokens(const struct kernels *k, uint32_t n_tokens);
// nt: tokens a lane, 1 to KERNELS_MAX_TOKENS.
bool kernels_matmul(struct kernels *k, enum weight_format f, uint32_t nt,
                    const struct gpu_pipeline **out, struct err *e);
// Its workgroups for n_tiles by n_tokens.
void kernels_matmul_groups(const struct kernels *k, uint32_t nt, uint32_t n_tiles,
                           uint32_t n_tokens, uint32_t groups[3]);
// The kernel of a way for n_tokens, and the workgroups for n_tiles of them.
bool kernels_matmul_way(struct kernels *k, enum weight_format f, enum matmul_way w,
                        uint32_t n_tiles, uint32_t n_tokens, const struct gpu_pipeline **out,
                        uint32_t groups[3], struct err *e);
// The way that the choice says.
enum matmul_way kernels_way(const struct kernels *k, enum weight_format f, uint32_t n_tokens);
// want: bit 1 << form for each form written; ACT_I8 only where gpu->dot.
bool kernels_norm(struct kernels *k, enum norm_mode mode, uint32_t want,
                  const struct gpu_pipeline **out, struct err *e);
// layer.comp's specialisation constants, in order; kernels_layer sets the last two.
struct kernel_layer {
    uint32_t phases; // LAYER_QKV ...
    uint32_t nt;     // tokens, 1 to KERNELS_MAX_TOKENS
    uint32_t head_dim, n_heads, n_kv_heads;
    uint32_t heads;  // query heads of an attention item, a divisor of those that share keys
    uint32_t slices; // of the context
    uint32_t n_embd, n_ff, kv_type;
    uint32_t qkv_tiles[3], qkv_format[3]; // runs of tiles of one enum weight_format
    uint32_t o_format, gate_format, up_format, down_format;
    uint32_t lanes, broadcast;
};
// A bit 1 << format each: whether there is a module that reads them all.
bool kernels_layer_reads(uint32_t formats);
bool kernels_meet(struct kernels *k, const struct gpu_pipeline **out, struct err *e);
bool kernels_layer(struct kernels *k, const struct kernel_layer *spec,
                   const struct gpu_pipeline **out, struct err *e);
// kv_type: KV_F16 ...
bool kernels_rope(struct kernels *k, uint32_t kv_type, const struct gpu_pipeline **out,
                  struct err *e);
bool kernels_shift(struct kernels *k, uint32_t kv_type, const struct gpu_pipeline **out,
                   struct err *e);
bool kernels_argmax(struct kernels *k, const struct gpu_pipeline **out, struct err *e);
// group: query heads a key/value head; heads (a divisor of group) and tokens of a tile.
bool kernels_attention(struct kernels *k, uint32_t head_dim, uint32_t group, uint32_t heads,
                       uint32_t tokens, uint32_t kv_type, const struct gpu_pipeline **out,
                       struct err *e);

// What a pipeline of k is, in words: "matmul_q4, 4 tokens". label.c
void kernels_label(const struct kernels *k, const struct gpu_pipeline *p, char *out, size_t size);

#endif
