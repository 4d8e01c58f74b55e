// Command buffers: record, submit, wait.
#include "engine/vk/gpu.h"

#include <assert.h>

bool gpu_cmd_create(struct gpu *g, struct gpu_cmd *out, struct err *e)
{
    *out = (struct gpu_cmd){0};
    VkResult r =
        g->vk.vkAllocateCommandBuffers(g->device,
                                       &(VkCommandBufferAllocateInfo){
                                           .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                           .commandPool = g->pool,
                                           .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                           .commandBufferCount = 1,
                                       },
                                       &out->cmd);
    return r == VK_SUCCESS || gpu_fail(e, r, "allocate a command buffer");
}

void gpu_cmd_destroy(struct gpu *g, struct gpu_cmd *c)
{
    if (c->cmd) g->vk.vkFreeCommandBuffers(g->device, g->pool, 1, &c->cmd);
    *c = (struct gpu_cmd){0};
}

bool gpu_begin(struct gpu *g, struct gpu_cmd *c, struct err *e)
{
    VkResult r = g->vk.vkBeginCommandBuffer(
        c->cmd, &(VkCommandBufferBeginInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO});
    if (r != VK_SUCCESS) return gpu_fail(e, r, "record commands");
    if (c->trace) gpu_trace_begin(g, c);
    return true;
}

bool gpu_end(struct gpu *g, struct gpu_cmd *c, struct err *e)
{
    VkResult r = g->vk.vkEndCommandBuffer(c->cmd);
    return r == VK_SUCCESS || gpu_fail(e, r, "record commands");
}

void gpu_dispatch(struct gpu *g, struct gpu_cmd *c, const struct gpu_pipeline *p,
                  VkDescriptorSet set, const void *push, const uint32_t groups[3])
{
    for (int i = 0; i < 3; i++)
        assert(groups[i] && groups[i] <= g->caps.max_groups[i]);
    if (c->dry) return;
    assert(p->pipeline);
    g->vk.vkCmdBindPipeline(c->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, p->pipeline);
    g->vk.vkCmdBindDescriptorSets(c->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &set, 0,
                                  NULL);
    g->vk.vkCmdPushConstants(c->cmd, p->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, p->push_bytes,
                             push);
    bool timed = c->trace && gpu_trace_open(g, c, p);
    g->vk.vkCmdDispatch(c->cmd, groups[0], groups[1], groups[2]);
    if (timed) gpu_trace_close(g, c);
}

void gpu_note(struct gpu_cmd *c, const char *what, size_t size, uint64_t bytes)
{
    c->note = what;
    c->note_size = size;
    c->note_bytes = bytes;
}

void gpu_barrier(struct gpu *g, struct gpu_cmd *c)
{
    const VkPipelineStageFlags stages =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    g->vk.vkCmdPipelineBarrier(c->cmd, stages, stages | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                               &(VkMemoryBarrier){
                                   .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                   .srcAccessMask = writes,
                                   .dstAccessMask = writes | VK_ACCESS_SHADER_READ_BIT |
                                                    VK_ACCESS_TRANSFER_READ_BIT |
                                                    VK_ACCESS_HOST_READ_BIT,
                               },
                               0, NULL, 0, NULL);
}

void gpu_copy(struct gpu *g, struct gpu_cmd *c, const struct gpu_buf *src, uint64_t src_at,
              const struct gpu_buf *dst, uint64_t dst_at, uint64_t size)
{
    assert(src_at + size <= src->size && dst_at + size <= dst->size);
    g->vk.vkCmdCopyBuffer(c->cmd, src->buffer, dst->buffer, 1,
                          &(VkBufferCopy){src->offset + src_at, dst->offset + dst_at, size});
}

static VkResult submit(struct gpu *g, VkQueue queue, VkCommandBuffer cmd, VkFence fence)
{
    pthread_mutex_lock(&g->queue_lock);
    VkResult r = g->vk.vkQueueSubmit(queue, 1,
                                     &(VkSubmitInfo){
                                         .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                         .commandBufferCount = 1,
                                         .pCommandBuffers = &cmd,
                                     },
                                     fence);
    pthread_mutex_unlock(&g->queue_lock);
    return r;
}

static VkResult wait(struct gpu *g, VkFence fence)
{
    VkResult r = g->vk.vkWaitForFences(g->device, 1, &fence, VK_TRUE, UINT64_MAX);
    return r == VK_SUCCESS ? g->vk.vkResetFences(g->device, 1, &fence) : r;
}

bool gpu_submit(struct gpu *g, const struct gpu_cmd *c, struct err *e)
{
    VkResult r = submit(g, g->queue, c->cmd, g->fence);
    if (r == VK_SUCCESS) r = wait(g, g->fence);
    if (r != VK_SUCCESS) return gpu_fail(e, r, "run work on the Vulkan device");
    return (!c->trace || gpu_trace_read(g, c->trace, e)) && gpu_validated(g, e);
}

// ---------------------------------------------------------------------------------- copying

bool gpu_copier_create(struct gpu *g, struct gpu_copier *out, struct err *e)
{
    *out = (struct gpu_copier){0};
    VkResult r =
        g->vk.vkCreateCommandPool(g->device,
                                  &(VkCommandPoolCreateInfo){
                                      .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                      .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                      .queueFamilyIndex = g->transfer_family,
                                  },
                                  NULL, &out->pool);
    if (r == VK_SUCCESS)
        r = g->vk.vkAllocateCommandBuffers(
            g->device,
            &(VkCommandBufferAllocateInfo){
                .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                .commandPool = out->pool,
                .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                .commandBufferCount = 1,
            },
            &out->cmd);
    if (r == VK_SUCCESS)
        r = g->vk.vkCreateFence(g->device,
                                &(VkFenceCreateInfo){.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO},
                                NULL, &out->fence);
    if (r == VK_SUCCESS) return true;
    gpu_copier_destroy(g, out);
    return gpu_fail(e, r, "set up the transfer queue");
}

void gpu_copier_destroy(struct gpu *g, struct gpu_copier *c)
{
    struct err ignored;
    (void)gpu_copier_wait(g, c, &ignored);
    if (c->fence) g->vk.vkDestroyFence(g->device, c->fence, NULL);
    if (c->pool) g->vk.vkDestroyCommandPool(g->device, c->pool, NULL); // and its command buffer
    *c = (struct gpu_copier){0};
}

bool gpu_copier_start(struct gpu *g, struct gpu_copier *c, const struct gpu_buf *src,
                      const struct gpu_buf *dst, uint64_t dst_at, uint64_t size, struct err *e)
{
    struct gpu_cmd cmd = {.cmd = c->cmd};
    assert(!c->busy);
    if (!gpu_begin(g, &cmd, e)) return false;
    gpu_copy(g, &cmd, src, 0, dst, dst_at, size);
    if (!gpu_end(g, &cmd, e)) return false;
    VkResult r = submit(g, g->transfer, c->cmd, c->fence);
    c->busy = r == VK_SUCCESS;
    return c->busy || gpu_fail(e, r, "copy weights to the device");
}

bool gpu_copier_wait(struct gpu *g, struct gpu_copier *c, struct err *e)
{
    if (!c->busy) return true;
    c->busy = false;
    VkResult r = wait(g, c->fence);
    return r == VK_SUCCESS || gpu_fail(e, r, "copy weights to the device");
}
