// Buffers: one allocation each, mapped where the host can see device memory, else filled through a
// staging buffer.
#include "engine/vk/gpu.h"
#include "base/size.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { STAGING_BYTES = 16 << 20 };

struct wish { // flags that a memory type must have, better has, better has not
    VkMemoryPropertyFlags need, like, avoid;
};

static struct wish wish_of(const struct gpu *g, enum gpu_memory kind)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                seen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                       VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    switch (kind) {
    case GPU_DEVICE: return (struct wish){local, g->force_staging ? 0 : seen, 0};
    case GPU_UPLOAD: return (struct wish){seen, local, 0};
    case GPU_READBACK: return (struct wish){seen, cached, 0};
    case GPU_STAGING: break;
    }
    return (struct wish){seen, 0, local};
}

uint64_t gpu_largest_heap(const VkPhysicalDeviceMemoryProperties *m)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < m->memoryHeapCount; i++)
        if (m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
            most = size_max(most, m->memoryHeaps[i].size);
    return most;
}

// Cards without a resizable BAR show the host 256 MiB of their memory as a heap of its own: weights
// must not go there only because it is mapped.
static int score_of(const struct gpu *g, enum gpu_memory kind, uint32_t type)
{
    const VkMemoryType *t = &g->memory.memoryTypes[type];
    struct wish w = wish_of(g, kind);
    int score = __builtin_popcount(t->propertyFlags & w.like) -
                __builtin_popcount(t->propertyFlags & w.avoid);
    bool small = g->memory.memoryHeaps[t->heapIndex].size < gpu_largest_heap(&g->memory);
    return kind == GPU_DEVICE && small ? score - 32 : score;
}

bool gpu_memory_type(const struct gpu *g, enum gpu_memory kind, uint32_t allowed, uint32_t *out)
{
    VkMemoryPropertyFlags need = wish_of(g, kind).need;
    int best = INT_MIN;
    for (uint32_t i = 0; i < g->memory.memoryTypeCount; i++) {
        if (!(allowed >> i & 1u) || (g->memory.memoryTypes[i].propertyFlags & need) != need)
            continue;
        int score = score_of(g, kind, i);
        if (score <= best) continue;
        best = score;
        *out = i;
    }
    return best > INT_MIN;
}

bool gpu_unified(const VkPhysicalDeviceMemoryProperties *m)
{
    const VkMemoryPropertyFlags all = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                                      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                      VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool seen = false;
    for (uint32_t i = 0; i < m->memoryHeapCount; i++)
        if (!(m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)) return false;
    for (uint32_t i = 0; i < m->memoryTypeCount; i++)
        seen |= (m->memoryTypes[i].propertyFlags & all) == all &&
                m->memoryHeaps[m->memoryTypes[i].heapIndex].size == gpu_largest_heap(m);
    return seen;
}

// Takes memory of the best type that has it left.
static VkResult allocate(struct gpu *g, enum gpu_memory kind, struct gpu_buf *b,
                         const VkMemoryRequirements *r, uint32_t *type)
{
    VkResult v = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (g->max_bytes && g->allocated_bytes + r->size > g->max_bytes) return v;
    for (uint32_t left = r->memoryTypeBits;
         v == VK_ERROR_OUT_OF_DEVICE_MEMORY && gpu_memory_type(g, kind, left, type);
         left &= ~(1u << *type))
        v = g->vk.vkAllocateMemory(g->device,
                                   &(VkMemoryAllocateInfo){
                                       .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .allocationSize = r->size,
                                       .memoryTypeIndex = *type,
                                   },
                                   NULL, &b->memory);
    return v;
}

static bool bind_memory(struct gpu *g, enum gpu_memory kind, struct gpu_buf *b, const char *name,
                        struct err *e)
{
    const VkMemoryPropertyFlags seen =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkMemoryRequirements r;
    b->kind = kind;
    g->vk.vkGetBufferMemoryRequirements(g->device, b->buffer, &r);
    uint32_t type = 0;
    if (!gpu_memory_type(g, kind, r.memoryTypeBits, &type))
        return err_set(e, ERR_DEVICE, "%s has no memory type for %s", g->caps.name, name);
    if (g->caps.max_allocation && r.size > g->caps.max_allocation)
        return err_set(e, ERR_MEMORY, "%s needs %llu bytes in one piece; %s allows %llu", name,
                       (unsigned long long)r.size, g->caps.name,
                       (unsigned long long)g->caps.max_allocation);
    VkResult v = allocate(g, kind, b, &r, &type);
    if (v != VK_SUCCESS)
        return err_set(e, ERR_MEMORY,
                       "%s has no %llu MiB left for %s: try a smaller --ctx or a smaller model",
                       g->caps.name, (unsigned long long)(r.size >> 20) + 1, name);
    g->n_allocations++;
    b->allocated = r.size;
    if (kind != GPU_STAGING) g->allocated_bytes += r.size;
    v = g->vk.vkBindBufferMemory(g->device, b->buffer, b->memory, 0);
    VkMemoryPropertyFlags flags = g->memory.memoryTypes[type].propertyFlags;
    bool visible = (flags & seen) == seen;
    b->cached = flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    if (v == VK_SUCCESS && visible && !(kind == GPU_DEVICE && g->force_staging))
        v = g->vk.vkMapMemory(g->device, b->memory, 0, VK_WHOLE_SIZE, 0, &b->map);
    return v == VK_SUCCESS || gpu_fail(e, v, "bind a buffer");
}

static bool create_view(struct gpu *g, struct gpu_buf *b, struct err *e)
{
    if (!g->texel || b->size / 16 > g->caps.max_texel_elements) return true;
    VkResult r = g->vk.vkCreateBufferView(g->device,
                                          &(VkBufferViewCreateInfo){
                                              .sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                              .buffer = b->buffer,
                                              .format = VK_FORMAT_R32G32B32A32_UINT,
                                              .offset = b->offset,
                                              .range = b->is_view ? b->size : VK_WHOLE_SIZE,
                                          },
                                          NULL, &b->view);
    return r == VK_SUCCESS || gpu_fail(e, r, "create a texel view");
}

// Buffers are shared with the transfer queue where that is another family's.
static VkResult create_buffer(struct gpu *g, uint64_t size, VkBuffer *out)
{
    const uint32_t families[] = {g->queue_family, g->transfer_family};
    bool shared = families[0] != families[1];
    VkBufferUsageFlags texel = g->texel ? VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT : 0;
    if (g->images) texel |= VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT;
    return g->vk.vkCreateBuffer(
        g->device,
        &(VkBufferCreateInfo){
            .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
            .size = size,
            .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                     VK_BUFFER_USAGE_TRANSFER_DST_BIT | texel,
            .sharingMode = shared ? VK_SHARING_MODE_CONCURRENT : VK_SHARING_MODE_EXCLUSIVE,
            .queueFamilyIndexCount = shared ? 2 : 0,
            .pQueueFamilyIndices = families,
        },
        NULL, out);
}

static uint64_t rounded(uint64_t bytes)
{
    return size_align(bytes ? bytes : 16, 16);
}

uint64_t gpu_buf_bytes(struct gpu *g, uint64_t bytes)
{
    VkBuffer b;
    VkMemoryRequirements r;
    if (!g->device) return rounded(bytes);
    if (create_buffer(g, rounded(bytes), &b) != VK_SUCCESS) return 0;
    g->vk.vkGetBufferMemoryRequirements(g->device, b, &r);
    g->vk.vkDestroyBuffer(g->device, b, NULL);
    return r.size;
}

bool gpu_buf_view(struct gpu *g, const struct gpu_buf *owner, uint64_t offset, uint64_t bytes,
                  struct gpu_buf *out, struct err *e)
{
    assert(offset % GPU_ALIGN == 0 && offset + rounded(bytes) <= owner->size);
    *out = (struct gpu_buf){.buffer = owner->buffer,
                            .offset = offset,
                            .size = rounded(bytes),
                            .map = owner->map ? (char *)owner->map + offset : NULL,
                            .cached = owner->cached,
                            .kind = owner->kind,
                            .is_view = true};
    return create_view(g, out, e);
}

bool gpu_buf_create(struct gpu *g, enum gpu_memory kind, uint64_t bytes, const char *name,
                    struct gpu_buf *out, struct err *e)
{
    *out = (struct gpu_buf){.size = rounded(bytes)};
    VkResult r = create_buffer(g, out->size, &out->buffer);
    if (r != VK_SUCCESS) {
        gpu_fail(e, r, "create a buffer");
        goto fail;
    }
    if (!bind_memory(g, kind, out, name, e) || !create_view(g, out, e)) goto fail;
    if (g->messenger)
        vkSetDebugUtilsObjectNameEXT(
            g->device, &(VkDebugUtilsObjectNameInfoEXT){
                           .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
                           .objectType = VK_OBJECT_TYPE_BUFFER,
                           .objectHandle = (uint64_t)out->buffer,
                           .pObjectName = name,
                       });
    return true;
fail:
    gpu_buf_destroy(g, out);
    return false;
}

void gpu_buf_destroy(struct gpu *g, struct gpu_buf *b)
{
    if (b->view) g->vk.vkDestroyBufferView(g->device, b->view, NULL);
    if (b->buffer && !b->is_view) g->vk.vkDestroyBuffer(g->device, b->buffer, NULL);
    if (b->memory) {
        g->vk.vkFreeMemory(g->device, b->memory, NULL);
        g->n_allocations--;
        if (b->kind != GPU_STAGING) g->allocated_bytes -= b->allocated;
    }
    *b = (struct gpu_buf){0};
}

// Copies size bytes between buffers and waits.
static bool copy_now(struct gpu *g, const struct gpu_buf *src, uint64_t src_at,
                     const struct gpu_buf *dst, uint64_t dst_at, uint64_t size, struct err *e)
{
    struct gpu_cmd c;
    if (!gpu_cmd_create(g, &c, e)) return false;
    bool ok = gpu_begin(g, &c, e);
    if (ok) {
        gpu_barrier(g, &c);
        gpu_copy(g, &c, src, src_at, dst, dst_at, size);
        gpu_barrier(g, &c);
        ok = gpu_end(g, &c, e) && gpu_submit(g, &c, e);
    }
    gpu_cmd_destroy(g, &c);
    return ok;
}

static bool fill_pieces(struct gpu *g, struct gpu_buf *b, uint64_t piece, struct gpu_buf *staging,
                        gpu_fill *fill, void *ctx, struct err *e)
{
    for (uint64_t at = 0; at < b->size; at += piece) {
        uint64_t end = at + piece < b->size ? at + piece : b->size;
        void *dst = b->map ? (char *)b->map + at : staging->map;
        if (!fill(ctx, dst, at, end, e)) return false;
        if (!b->map && !copy_now(g, staging, 0, b, at, end - at, e)) return false;
    }
    return true;
}

bool gpu_buf_fill(struct gpu *g, struct gpu_buf *b, uint64_t step, gpu_fill *fill, void *ctx,
                  struct err *e)
{
    uint64_t piece = size_max(STAGING_BYTES / step, 1) * step;
    struct gpu_buf staging = {0};
    if (!b->map &&
        !gpu_buf_create(g, GPU_STAGING, size_min(piece, b->size), "staging", &staging, e))
        return false;
    bool ok = fill_pieces(g, b, piece, &staging, fill, ctx, e);
    gpu_buf_destroy(g, &staging);
    return ok;
}

bool gpu_buf_zero(struct gpu *g, struct gpu_buf *b, struct err *e)
{
    if (b->map) {
        memset(b->map, 0, b->size);
        return true;
    }
    struct gpu_cmd c;
    if (!gpu_cmd_create(g, &c, e)) return false;
    bool ok = gpu_begin(g, &c, e);
    if (ok) {
        g->vk.vkCmdFillBuffer(c.cmd, b->buffer, b->offset, b->size, 0);
        gpu_barrier(g, &c);
        ok = gpu_end(g, &c, e) && gpu_submit(g, &c, e);
    }
    gpu_cmd_destroy(g, &c);
    return ok;
}

bool gpu_buf_read(struct gpu *g, const struct gpu_buf *b, uint64_t offset, void *dst, uint64_t size,
                  struct err *e)
{
    if (b->map) {
        memcpy(dst, (const char *)b->map + offset, size);
        return true;
    }
    struct gpu_buf back = {0};
    if (!gpu_buf_create(g, GPU_READBACK, size, "read back", &back, e)) return false;
    bool ok = copy_now(g, b, offset, &back, 0, size, e);
    if (ok) memcpy(dst, back.map, size);
    gpu_buf_destroy(g, &back);
    return ok;
}
