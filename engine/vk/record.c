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
    return r == VK_SUCCESS || gpu_fail(e, r, "record commands");
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
    g->vk.vkCmdBindPipeline(c->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, p->pipeline);
    g->vk.vkCmdBindDescriptorSets(c->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, p->layout, 0, 1, &set, 0,
                                  NULL);
    g->vk.vkCmdPushConstants(c->cmd, p->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, p->push_bytes,
                             push);
    g->vk.vkCmdDispatch(c->cmd, groups[0], groups[1], groups[2]);
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
                          &(VkBufferCopy){src_at, dst_at, size});
}

bool gpu_submit(struct gpu *g, const struct gpu_cmd *c, struct err *e)
{
    VkResult r = g->vk.vkQueueSubmit(g->queue, 1,
                                     &(VkSubmitInfo){
                                         .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                         .commandBufferCount = 1,
                                         .pCommandBuffers = &c->cmd,
                                     },
                                     g->fence);
    if (r == VK_SUCCESS) r = g->vk.vkWaitForFences(g->device, 1, &g->fence, VK_TRUE, UINT64_MAX);
    if (r == VK_SUCCESS) r = g->vk.vkResetFences(g->device, 1, &g->fence);
    if (r != VK_SUCCESS) return gpu_fail(e, r, "run work on the Vulkan device");
    return gpu_validated(g, e);
}
