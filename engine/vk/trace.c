// Timestamps around dispatches. Both of a pair wait for the compute stage: the first for what was
// before, the second for the dispatch itself; a barrier before the first keeps the dispatch from
// beginning sooner. So dispatches that could run side by side are timed one after the other.
#include "engine/vk/gpu.h"

#include <stdlib.h>

// ns of a tick and the bits of the counter that mean something; 0 bits: no clock.
static uint32_t clock_bits(const struct gpu *g, double *tick_ns)
{
    VkQueueFamilyProperties q[16];
    VkPhysicalDeviceProperties p;
    uint32_t n = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(g->physical, &n, q);
    vkGetPhysicalDeviceProperties(g->physical, &p);
    *tick_ns = (double)p.limits.timestampPeriod;
    return g->queue_family < n && !g->no_timestamps ? q[g->queue_family].timestampValidBits : 0;
}

bool gpu_trace_create(struct gpu *g, uint32_t max, struct gpu_trace *out, struct err *e)
{
    double tick_ns;
    uint32_t bits = clock_bits(g, &tick_ns);
    *out = (struct gpu_trace){0};
    if (!bits || tick_ns <= 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "%s has no timestamps: the time of single kernels cannot be measured there",
                       g->caps.name);
    *out = (struct gpu_trace){
        .tick_s = tick_ns * 1e-9, .mask = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX, .max = max};
    out->spans = calloc(max, sizeof *out->spans);
    out->ticks = calloc(2 * (size_t)max, sizeof *out->ticks);
    VkResult r = g->vk.vkCreateQueryPool(g->device,
                                         &(VkQueryPoolCreateInfo){
                                             .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                             .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                             .queryCount = 2 * max,
                                         },
                                         NULL, &out->pool);
    if (r == VK_SUCCESS && out->spans && out->ticks) return true;
    gpu_trace_destroy(g, out);
    if (r != VK_SUCCESS) return gpu_fail(e, r, "make room for timestamps");
    return err_nomem(e, "timestamps", max * sizeof *out->spans);
}

void gpu_trace_destroy(struct gpu *g, struct gpu_trace *t)
{
    if (t->pool) g->vk.vkDestroyQueryPool(g->device, t->pool, NULL);
    free(t->spans);
    free(t->ticks);
    free(t->sums);
    *t = (struct gpu_trace){0};
}

void gpu_trace_begin(struct gpu *g, struct gpu_cmd *c)
{
    struct gpu_trace *t = c->trace;
    t->n = t->missed = 0;
    gpu_note(c, NULL, 0, 0); // of a recording that was not traced
    g->vk.vkCmdResetQueryPool(c->cmd, t->pool, 0, 2 * t->max);
}

bool gpu_trace_open(struct gpu *g, struct gpu_cmd *c, const struct gpu_pipeline *p)
{
    struct gpu_trace *t = c->trace;
    if (t->n == t->max) {
        t->missed++;
        return false;
    }
    t->spans[t->n] = (struct gpu_span){p, c->note, c->note_size, c->note_bytes};
    gpu_note(c, NULL, 0, 0);
    gpu_barrier(g, c);
    g->vk.vkCmdWriteTimestamp(c->cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, t->pool, 2 * t->n);
    return true;
}

void gpu_trace_close(struct gpu *g, struct gpu_cmd *c)
{
    struct gpu_trace *t = c->trace;
    g->vk.vkCmdWriteTimestamp(c->cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, t->pool, 2 * t->n + 1);
    t->n++;
}

static bool add(struct gpu_trace *t, const struct gpu_span *s, double seconds, struct err *e)
{
    struct gpu_sum *at = t->sums;
    while (at < t->sums + t->n_sums &&
           (at->span.pipeline != s->pipeline || at->span.note != s->note))
        at++;
    if (at == t->sums + t->n_sums) {
        if (t->n_sums == t->cap) {
            uint32_t cap = t->cap ? 2 * t->cap : 64;
            struct gpu_sum *grown = realloc(t->sums, cap * sizeof *grown);
            if (!grown) return err_nomem(e, "times of kernels", cap * sizeof *grown);
            t->sums = grown;
            t->cap = cap;
        }
        at = &t->sums[t->n_sums++];
        *at = (struct gpu_sum){.span = *s};
        at->span.bytes = 0;
    }
    at->n++;
    at->seconds += seconds;
    at->span.bytes += s->bytes;
    return true;
}

bool gpu_trace_read(struct gpu *g, struct gpu_trace *t, struct err *e)
{
    if (t->missed)
        return err_set(e, ERR_UNSUPPORTED,
                       "%u kernels of a submission are more than the %u that "
                       "can be timed",
                       t->missed + t->n, t->max);
    if (!t->n) return true;
    VkResult r = g->vk.vkGetQueryPoolResults(
        g->device, t->pool, 0, 2 * t->n, 2 * (size_t)t->n * sizeof *t->ticks, t->ticks,
        sizeof *t->ticks, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
    if (r != VK_SUCCESS) return gpu_fail(e, r, "read timestamps");
    for (uint32_t i = 0; i < t->n; i++) {
        uint64_t ticks = (t->ticks[2 * i + 1] - t->ticks[2 * i]) & t->mask;
        if (!add(t, &t->spans[i], (double)ticks * t->tick_s, e)) return false;
    }
    return true;
}
