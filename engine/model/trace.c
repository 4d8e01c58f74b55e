// Times of kernels, and how fast the device reads.
#include "engine/model/engine_internal.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SPANS = 4096, // dispatches of a submission: 8B in one is 320
    READ_RUNS = 3,
    READ_BLOCKS = 128, // columns of the matrix that is read, in blocks of 32
};
#define READ_MOST ((uint64_t)256 << 20)
#define READ_LEAST ((uint64_t)1 << 20)

// The command buffer may hold a pass that was recorded otherwise.
static void set_trace(struct stage *s, struct gpu_trace *t)
{
    s->forward.cmd.trace = t;
    memset(&s->forward.recorded, 0, sizeof s->forward.recorded);
}

static void stop(struct engine *g)
{
    for (uint32_t k = 0; k < g->place.n_stages; k++) {
        set_trace(&g->stages[k], NULL);
        gpu_trace_destroy(&g->stages[k].gpu, &g->stages[k].trace);
    }
}

bool engine_trace_begin(struct engine *g, struct err *e)
{
    stop(g);
    for (uint32_t k = 0; k < g->place.n_stages; k++) {
        struct stage *s = &g->stages[k];
        if (!gpu_trace_create(&s->gpu, MAX_SPANS, &s->trace, e)) {
            stop(g);
            return false;
        }
        set_trace(s, &s->trace);
    }
    return true;
}

// "blk.7.attn_q.weight" is "attn_q".
static void use_of(const struct gpu_span *s, char *out, size_t size)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)size_min(s->note_size, 63),
                   s->note ? s->note : "");
    const char *at = !strncmp(name, "blk.", 4) ? strchr(name + 4, '.') : NULL;
    char *end = strstr(name, ".weight");
    if (end) *end = '\0';
    (void)snprintf(out, size, "%.31s", at ? at + 1 : name);
}

static void add(struct engine_kernel *list, size_t *n, const struct kernels *k,
                const struct gpu_sum *s)
{
    struct engine_kernel one = {0};
    kernels_label(k, s->span.pipeline, one.name, sizeof one.name);
    use_of(&s->span, one.use, sizeof one.use);
    size_t i = 0;
    while (i < *n && (strcmp(list[i].name, one.name) || strcmp(list[i].use, one.use)))
        i++;
    if (i == *n) list[(*n)++] = one;
    list[i].n += s->n;
    list[i].seconds += s->seconds;
    list[i].bytes += (double)s->span.bytes;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const struct engine_kernel *)a)->seconds;
    double y = ((const struct engine_kernel *)b)->seconds;
    return (x < y) - (x > y);
}

bool engine_trace_end(struct engine *g, struct engine_kernel **out, size_t *n, struct err *e)
{
    size_t most = 0;
    *n = 0;
    for (uint32_t k = 0; k < g->place.n_stages; k++)
        most += g->stages[k].trace.n_sums;
    *out = calloc(most ? most : 1, sizeof **out);
    if (!*out) {
        stop(g);
        return err_nomem(e, "times of kernels", most * sizeof **out);
    }
    for (uint32_t k = 0; k < g->place.n_stages; k++)
        for (uint32_t i = 0; i < g->stages[k].trace.n_sums; i++)
            add(*out, n, &g->stages[k].forward.kernels, &g->stages[k].trace.sums[i]);
    qsort(*out, *n, sizeof **out, by_time);
    stop(g);
    return true;
}

// ------------------------------------------------------------------------------ reading

struct reader {
    struct gpu *gpu;
    struct kernels *kernels;
    struct gpu_buf weights, acts, y;
    struct gpu_sets sets;
    struct gpu_cmd cmd;
};

// As much as there is room for, in one view of a kernel.
static bool make_room(struct reader *r, struct err *e)
{
    uint64_t bytes = READ_MOST < r->gpu->max_matrix ? READ_MOST : r->gpu->max_matrix & ~1023ull;
    while (!gpu_buf_create(r->gpu, GPU_DEVICE, bytes, "zeros to read", &r->weights, e)) {
        bytes = (bytes / 2) & ~1023ull;
        if (bytes < READ_LEAST || !e || e->code != ERR_MEMORY) return false;
    }
    uint64_t tile = 32 * READ_BLOCKS * 16; // texels of the smallest layout
    uint64_t rows = bytes / tile * TILE_ROWS;
    return gpu_buf_zero(r->gpu, &r->weights, e) &&
           gpu_buf_create(r->gpu, GPU_DEVICE, READ_BLOCKS * 8 * 16, "zeros", &r->acts, e) &&
           gpu_buf_zero(r->gpu, &r->acts, e) &&
           gpu_buf_create(r->gpu, GPU_DEVICE, rows * 4, "sums", &r->y, e) &&
           gpu_sets_create(r->gpu, N_WEIGHT_FORMATS, &r->sets, e) &&
           gpu_cmd_create(r->gpu, &r->cmd, e);
}

// Best seconds of a matvec in one format over the buffer, and the bytes that it reads.
static bool time_format(struct reader *r, enum weight_format f, double *seconds, double *bytes,
                        struct err *e)
{
    const struct gpu_pipeline *p;
    VkDescriptorSet set;
    uint64_t tile = (uint64_t)weight_layout(f)->block_texels * 16 * READ_BLOCKS;
    uint32_t per_group = r->kernels->tile_lanes / TILE_LANES, groups[3];
    struct push_matmul push = {.n_blocks = READ_BLOCKS, .n_tokens = 1};
    push.n_tiles =
        (uint32_t)size_min(r->weights.size / tile, (size_t)r->gpu->caps.max_groups[2] * per_group);
    push.y_stride = push.n_tiles * TILE_ROWS / 4;
    *bytes = (double)(tile * push.n_tiles);
    *seconds = 1e9;
    if (!kernels_matmul(r->kernels, f, 1, &p, e) ||
        !gpu_set_make(r->gpu, &r->sets, p,
                      (const struct gpu_buf *[]){&r->weights, &r->acts, &r->y, &r->y}, &set, e) ||
        !gpu_begin(r->gpu, &r->cmd, e))
        return false;
    kernels_matmul_groups(r->kernels, 1, push.n_tiles, 1, groups);
    gpu_dispatch(r->gpu, &r->cmd, p, set, &push, groups);
    gpu_barrier(r->gpu, &r->cmd);
    if (!gpu_end(r->gpu, &r->cmd, e)) return false;
    for (int i = 0; i <= READ_RUNS; i++) {
        double start = clock_s();
        if (!cancel_check(e) || !gpu_submit(r->gpu, &r->cmd, e)) return false;
        double took = clock_s() - start;
        if (i && took < *seconds) *seconds = took; // the first one may compile
    }
    return true;
}

bool engine_read_speed(struct engine *g, double *bytes_s, uint64_t *bytes, const char **format,
                       struct err *e)
{
    struct stage *s = &g->stages[0];
    struct reader r = {.gpu = &s->gpu, .kernels = &s->forward.kernels};
    *bytes_s = 0;
    *bytes = 0;
    *format = "";
    // Those with the fewest operations a byte.
    static const enum weight_format formats[] = {WEIGHT_F32, WEIGHT_F16, WEIGHT_Q8};
    bool ok = make_room(&r, e);
    for (uint32_t i = 0; ok && i < sizeof formats / sizeof formats[0]; i++) {
        double seconds, read;
        ok = time_format(&r, formats[i], &seconds, &read, e);
        if (!ok || read / seconds <= *bytes_s) continue;
        *bytes_s = read / seconds;
        *bytes = (uint64_t)read;
        *format = weight_layout(formats[i])->name;
    }
    gpu_cmd_destroy(r.gpu, &r.cmd);
    gpu_sets_destroy(r.gpu, &r.sets);
    gpu_buf_destroy(r.gpu, &r.y);
    gpu_buf_destroy(r.gpu, &r.acts);
    gpu_buf_destroy(r.gpu, &r.weights);
    return ok;
}
