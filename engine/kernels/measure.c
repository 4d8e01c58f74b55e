// Times the ways of multiplying on the device, on a matrix of 1,024 rows and 4,096 columns (a
// sixteenth of a layer's largest in an 8B model), and compares their results: a driver that
// computes wrongly loses its kernel here, not a user an answer.
#include "base/clock.h"
#include "engine/kernels/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1024, COLS = 4096, TILES = ROWS / TILE_ROWS, BLOCKS = COLS / BLOCK_COLS, MOST = 64 };

// Activations in bytes of a scale for 16 values are off by 0.4 % (rms: 1/127 of the largest, which
// is 1.6 times the rms, over the root of 12), so are sums of their products with random weights;
// the plain way's 0.2 % and f16's 0.05 % come to that. A wrong kernel is off by 100 %.
#define WRONG 0.02

struct bench {
    struct gpu *gpu;
    struct kernels k;
    struct gpu_sets sets;
    struct gpu_cmd cmd;
    enum weight_format f;
    struct gpu_buf weights, x, table, acts[N_ACT_FORMS], y;
    float *plain, *got; // [MOST, ROWS]
};

static const uint32_t tokens[N_CLASSES] = {1, 4, MOST};

// -------------------------------------------------------------------------------------- contents

static uint32_t noise(uint64_t i) // splitmix64, upper half
{
    i = (i + 1) * 0x9e3779b97f4a7c15u;
    i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(i >> 32);
}

// Whether a texel of a tile holds scales; others are integers of any value.
static bool is_scale(enum weight_format f, uint64_t texel)
{
    static const uint32_t integers[N_WEIGHT_FORMATS] = {
        [WEIGHT_Q2] = 16, [WEIGHT_Q3] = 24, [WEIGHT_Q4] = 32,
        [WEIGHT_Q5] = 40, [WEIGHT_Q6] = 48, [WEIGHT_Q8] = 64,
    };
    uint32_t block = weight_layout(f)->block_texels;
    return f == WEIGHT_Q4S ? texel % (2 * block) < 8 : texel % block >= integers[f];
}

// Scales and plain weights: halves of sign, 0x3c and seven bits: 1 to 1.12 as f16, 2^-7 and a bit
// more as bf16 and f32.
static bool fill_weights(void *ctx, void *dst, uint64_t begin, uint64_t end, struct err *e)
{
    const struct bench *b = ctx;
    uint32_t *words = dst;
    (void)e;
    for (uint64_t at = begin / 4; at < end / 4; at++) {
        uint32_t v = noise(at);
        words[at - begin / 4] = is_scale(b->f, at / 4) ? (v & 0x807f807fu) | 0x3c003c00u : v;
    }
    return true;
}

static bool fill_x(void *ctx, void *dst, uint64_t begin, uint64_t end, struct err *e)
{
    float *x = dst;
    (void)ctx, (void)e;
    for (uint64_t at = begin / 4; at < end / 4; at++)
        x[at - begin / 4] = (float)(int32_t)noise(~at) * 0x1p-31f;
    return true;
}

// ---------------------------------------------------------------------------------------- running

static bool create(struct bench *b, struct err *e)
{
    struct gpu *g = b->gpu;
    uint64_t bytes = (uint64_t)TILES * BLOCKS * weight_layout(b->f)->block_texels * 16;
    kernels_init(&b->k, g);
    b->plain = calloc(2, (size_t)MOST * ROWS * sizeof *b->plain);
    if (!b->plain) return err_nomem(e, "a measurement", (uint64_t)2 * MOST * ROWS * 4);
    b->got = b->plain + (size_t)MOST * ROWS;
    for (uint32_t a = 0; a < N_ACT_FORMS; a++) {
        uint64_t n = (uint64_t)MOST * BLOCKS * act_texels((enum act_form)a) * 16;
        if (!gpu_buf_create(g, GPU_DEVICE, n, "measured activations", &b->acts[a], e)) return false;
    }
    return gpu_buf_create(g, GPU_DEVICE, bytes, "measured weights", &b->weights, e) &&
           gpu_buf_create(g, GPU_DEVICE, (uint64_t)MOST * COLS * 4, "measured x", &b->x, e) &&
           gpu_buf_create(g, GPU_DEVICE, 16, "measured table", &b->table, e) &&
           gpu_buf_create(g, GPU_DEVICE, (uint64_t)MOST * ROWS * 4, "measured y", &b->y, e) &&
           gpu_buf_fill(g, &b->weights, 16, fill_weights, b, e) &&
           gpu_buf_fill(g, &b->x, 16, fill_x, b, e) && gpu_buf_zero(g, &b->table, e) &&
           gpu_buf_zero(g, &b->y, e) && gpu_sets_create(g, 1 + N_CLASSES * N_WAYS, &b->sets, e) &&
           gpu_cmd_create(g, &b->cmd, e);
}

static void destroy(struct bench *b)
{
    struct gpu *g = b->gpu;
    gpu_cmd_destroy(g, &b->cmd);
    gpu_sets_destroy(g, &b->sets);
    for (uint32_t a = 0; a < N_ACT_FORMS; a++)
        gpu_buf_destroy(g, &b->acts[a]);
    gpu_buf_destroy(g, &b->weights);
    gpu_buf_destroy(g, &b->x);
    gpu_buf_destroy(g, &b->table);
    gpu_buf_destroy(g, &b->y);
    kernels_destroy(&b->k);
    free(b->plain);
}

// n times in one submission, each behind the one before, as in a pass.
static bool repeat(struct bench *b, const struct gpu_pipeline *p, VkDescriptorSet set,
                   const void *push, const uint32_t groups[3], uint32_t n, double *seconds,
                   struct err *e)
{
    if (!gpu_begin(b->gpu, &b->cmd, e)) return false;
    for (uint32_t i = 0; i < n; i++) {
        gpu_dispatch(b->gpu, &b->cmd, p, set, push, groups);
        gpu_barrier(b->gpu, &b->cmd);
    }
    if (!gpu_end(b->gpu, &b->cmd, e)) return false;
    double start = clock_s();
    if (!gpu_submit(b->gpu, &b->cmd, e)) return false;
    *seconds = (clock_s() - start) / n;
    return true;
}

// Every form of activations from the same values.
static bool make_acts(struct bench *b, struct err *e)
{
    const struct gpu_pipeline *p;
    VkDescriptorSet set;
    double seconds;
    uint32_t want = 1u << ACT_I9 | 1u << ACT_I10 | 1u << ACT_F32;
    struct push_norm push = {
        .n_rows = MOST, .n_cols = COLS, .n_blocks = BLOCKS, .x_stride = COLS / 4};
    const struct gpu_buf *bufs[] = {&b->x,       &b->x,       &b->table,  &b->acts[0],
                                    &b->acts[1], &b->acts[2], &b->acts[3]};
    if (b->gpu->dot) want |= 1u << ACT_I8;
    return kernels_norm(&b->k, NORM_PLAIN, want, &p, e) &&
           gpu_set_make(b->gpu, &b->sets, p, bufs, &set, e) &&
           repeat(b, p, set, &push, (uint32_t[]){MOST, 1, 1}, 1, &seconds, e);
}

static bool same(const struct bench *b, size_t n)
{
    double diff = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)b->got[i] - (double)b->plain[i];
        diff += d * d;
        sum += (double)b->plain[i] * (double)b->plain[i];
    }
    return diff <= WRONG * WRONG * sum; // false for NaN
}

// About 2 ms three times over, the least counts.
static bool time_way(struct bench *b, enum matmul_class c, enum matmul_way w, double *us,
                     struct err *e)
{
    const struct gpu_pipeline *p;
    VkDescriptorSet set;
    uint32_t groups[3], n = tokens[c];
    double once, each, best = INFINITY;
    struct push_matmul push = {
        .n_tiles = TILES, .n_blocks = BLOCKS, .n_tokens = n, .y_stride = ROWS / 4};
    const struct gpu_buf *bufs[] = {&b->weights, &b->acts[matmul_act(b->f, w)], &b->y, &b->y};
    float *y = w == WAY_PLAIN ? b->plain : b->got;
    size_t n_y = (size_t)n * ROWS;
    if (!kernels_matmul_way(&b->k, b->f, w, TILES, n, &p, groups, e))
        return w != WAY_PLAIN && e->code != ERR_MEMORY; // refused: a kernel less
    if (!gpu_set_make(b->gpu, &b->sets, p, bufs, &set, e) ||
        !repeat(b, p, set, &push, groups, 1, &once, e) || // compiled by now
        !gpu_buf_read(b->gpu, &b->y, 0, y, n_y * sizeof *y, e))
        return false;
    if (w != WAY_PLAIN && !same(b, n_y)) return true;
    if (!gpu_buf_zero(b->gpu, &b->y, e) || !repeat(b, p, set, &push, groups, 1, &once, e))
        return false;
    uint32_t times = once < 2e-5 ? 100 : once > 2e-3 ? 1 : (uint32_t)(2e-3 / once);
    for (uint32_t i = 0; i < 3; i++) {
        if (!repeat(b, p, set, &push, groups, times, &each, e)) return false;
        best = fmin(best, each);
    }
    *us = best * 1e6;
    return true;
}

bool measure_ways(struct gpu *gpu, enum weight_format f, double us[N_CLASSES][N_WAYS],
                  struct err *e)
{
    struct bench b = {.gpu = gpu, .f = f};
    bool ok = create(&b, e) && make_acts(&b, e);
    for (uint32_t c = 0; c < N_CLASSES; c++)
        for (uint32_t w = 0; w < N_WAYS; w++) {
            us[c][w] = NAN;
            if (ok && matmul_can(gpu, f, (enum matmul_class)c, (enum matmul_way)w))
                ok = time_way(&b, (enum matmul_class)c, (enum matmul_way)w, &us[c][w], e);
        }
    destroy(&b);
    return ok;
}
