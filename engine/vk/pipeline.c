// Compute pipelines and descriptor sets. Reads are texel buffers, uniform or storage ones
// (gpu.texel, gpu_pipeline.images), or storage buffers; writes are storage buffers.
#include "engine/vk/gpu.h"

#include <assert.h>
#include <stdlib.h>

static VkDescriptorType binding_type(const struct gpu *g, const struct gpu_pipeline *p, uint32_t i)
{
    if (i >= p->n_reads || !g->texel) return VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    return p->images >> i & 1 ? VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER
                              : VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
}

static VkResult create_layouts(struct gpu *g, struct gpu_pipeline *p)
{
    VkDescriptorSetLayoutBinding bindings[GPU_MAX_BINDINGS];
    uint32_t n = p->n_reads + p->n_writes;
    for (uint32_t i = 0; i < n; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = binding_type(g, p, i),
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        };
    VkResult r = g->vk.vkCreateDescriptorSetLayout(
        g->device,
        &(VkDescriptorSetLayoutCreateInfo){
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
            .bindingCount = n,
            .pBindings = bindings,
        },
        NULL, &p->set_layout);
    if (r != VK_SUCCESS) return r;
    return g->vk.vkCreatePipelineLayout(g->device,
                                        &(VkPipelineLayoutCreateInfo){
                                            .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                            .setLayoutCount = 1,
                                            .pSetLayouts = &p->set_layout,
                                            .pushConstantRangeCount = 1,
                                            .pPushConstantRanges =
                                                &(VkPushConstantRange){
                                                    .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                                    .size = p->push_bytes,
                                                },
                                        },
                                        NULL, &p->layout);
}

static VkResult create_pipeline(struct gpu *g, const struct gpu_pipeline_params *p,
                                VkShaderModule module, struct gpu_pipeline *out)
{
    VkSpecializationMapEntry entries[GPU_MAX_SPEC];
    assert(p->n_spec <= GPU_MAX_SPEC);
    for (uint32_t i = 0; i < p->n_spec; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = p->subgroup_size,
    };
    bool sized = p->subgroup_size && g->caps.size_control;
    return g->vk.vkCreateComputePipelines(
        g->device, g->cache, 1,
        &(VkComputePipelineCreateInfo){
            .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
            .layout = out->layout,
            .stage =
                {
                    .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                    .pNext = sized ? &size : NULL,
                    .flags = sized ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                    .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                    .module = module,
                    .pName = "main",
                    .pSpecializationInfo =
                        &(VkSpecializationInfo){
                            .mapEntryCount = p->n_spec,
                            .pMapEntries = entries,
                            .dataSize = 4 * p->n_spec,
                            .pData = p->spec,
                        },
                },
        },
        NULL, &out->pipeline);
}

bool gpu_pipeline_declare(struct gpu *g, const struct gpu_pipeline_params *p,
                          struct gpu_pipeline *out, struct err *e)
{
    assert(p->n_reads + p->n_writes <= GPU_MAX_BINDINGS);
    *out = (struct gpu_pipeline){
        .n_reads = p->n_reads,
        .n_writes = p->n_writes,
        .push_bytes = p->push_bytes,
        .images = p->images,
    };
    VkResult r = create_layouts(g, out);
    if (r == VK_SUCCESS) return true;
    gpu_pipeline_destroy(g, out);
    gpu_fail(e, r, "lay out a compute pipeline");
    return err_prefix(e, "kernel %s", p->name);
}

bool gpu_pipeline_build(struct gpu *g, const struct gpu_pipeline_params *p,
                        struct gpu_pipeline *out, struct err *e)
{
    VkShaderModule module = VK_NULL_HANDLE;
    assert(!out->pipeline);
    VkResult r =
        g->vk.vkCreateShaderModule(g->device,
                                   &(VkShaderModuleCreateInfo){
                                       .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                       .codeSize = p->spirv_bytes,
                                       .pCode = (const uint32_t *)(const void *)p->spirv,
                                   },
                                   NULL, &module);
    if (r == VK_SUCCESS) r = create_pipeline(g, p, module, out);
    if (module) g->vk.vkDestroyShaderModule(g->device, module, NULL);
    if (r == VK_SUCCESS) return true;
    gpu_fail(e, r, "build a compute pipeline");
    return err_prefix(e, "kernel %s", p->name);
}

void gpu_pipeline_destroy(struct gpu *g, struct gpu_pipeline *p)
{
    if (p->pipeline) g->vk.vkDestroyPipeline(g->device, p->pipeline, NULL);
    if (p->layout) g->vk.vkDestroyPipelineLayout(g->device, p->layout, NULL);
    if (p->set_layout) g->vk.vkDestroyDescriptorSetLayout(g->device, p->set_layout, NULL);
    *p = (struct gpu_pipeline){0};
}

bool gpu_sets_create(struct gpu *g, uint32_t max_sets, struct gpu_sets *out, struct err *e)
{
    VkDescriptorPoolSize sizes[3] = {
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, max_sets * GPU_MAX_BINDINGS},
        {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, max_sets * GPU_MAX_BINDINGS},
        {VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER, max_sets * GPU_MAX_BINDINGS},
    };
    *out = (struct gpu_sets){0};
    VkResult r =
        g->vk.vkCreateDescriptorPool(g->device,
                                     &(VkDescriptorPoolCreateInfo){
                                         .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                         .maxSets = max_sets,
                                         .poolSizeCount = g->images ? 3 : 2,
                                         .pPoolSizes = sizes,
                                     },
                                     NULL, &out->pool);
    return r == VK_SUCCESS || gpu_fail(e, r, "create a descriptor pool");
}

void gpu_sets_destroy(struct gpu *g, struct gpu_sets *s)
{
    if (s->pool) g->vk.vkDestroyDescriptorPool(g->device, s->pool, NULL);
    *s = (struct gpu_sets){0};
}

bool gpu_set_make(struct gpu *g, struct gpu_sets *s, const struct gpu_pipeline *p,
                  const struct gpu_buf *const *bufs, VkDescriptorSet *out, struct err *e)
{
    VkResult r =
        g->vk.vkAllocateDescriptorSets(g->device,
                                       &(VkDescriptorSetAllocateInfo){
                                           .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                           .descriptorPool = s->pool,
                                           .descriptorSetCount = 1,
                                           .pSetLayouts = &p->set_layout,
                                       },
                                       out);
    if (r != VK_SUCCESS) return gpu_fail(e, r, "allocate a descriptor set");
    VkWriteDescriptorSet writes[GPU_MAX_BINDINGS];
    VkDescriptorBufferInfo infos[GPU_MAX_BINDINGS];
    uint32_t n = p->n_reads + p->n_writes;
    for (uint32_t i = 0; i < n; i++) {
        VkDescriptorType type = binding_type(g, p, i);
        if (type == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER ? bufs[i]->size > g->caps.max_buffer_range
                                                      : !bufs[i]->view)
            return err_set(e, ERR_UNSUPPORTED,
                           "a buffer of %llu MiB is larger than %s lets a kernel see",
                           (unsigned long long)bufs[i]->size >> 20, g->caps.name);
        infos[i] = (VkDescriptorBufferInfo){
            .buffer = bufs[i]->buffer, .offset = bufs[i]->offset, .range = bufs[i]->size};
        writes[i] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = *out,
            .dstBinding = i,
            .descriptorCount = 1,
            .descriptorType = type,
            .pBufferInfo = &infos[i],
            .pTexelBufferView = &bufs[i]->view,
        };
    }
    g->vk.vkUpdateDescriptorSets(g->device, n, writes, 0, NULL);
    return true;
}
