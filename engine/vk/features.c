// What of Vulkan's optional features kernels use: probed, and asked for when the device is made.
// Everything here may be missing; nothing is needed.
#include "engine/vk/gpu.h"

#include <stdlib.h>
#include <string.h>

#ifndef VK_KHR_cooperative_matrix // headers before 1.3.255
typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;
typedef struct VkCooperativeMatrixPropertiesKHR {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    int32_t AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    int32_t scope;
} VkCooperativeMatrixPropertiesKHR;
typedef VkResult(VKAPI_PTR *PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(
    VkPhysicalDevice, uint32_t *, VkCooperativeMatrixPropertiesKHR *);
#endif

enum { // numbers of the registry, which old headers lack
    COOPMAT_FEATURES = 1000506000,
    COOPMAT_PROPERTIES = 1000506001,
    FLOAT16 = 0, // VkComponentTypeKHR
    FLOAT32 = 1,
    SCOPE_SUBGROUP = 3,
    MAX_SHAPES = 64
};

static const char COOPMAT[] = "VK_KHR_cooperative_matrix";
static const char DOT[] = VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME;
static const char SIZE_CONTROL[] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;

bool gpu_has_extension(VkPhysicalDevice d, const char *name)
{
    uint32_t n = 0;
    VkExtensionProperties *p = NULL;
    bool found = false;
    if (vkEnumerateDeviceExtensionProperties(d, NULL, &n, NULL) == VK_SUCCESS && n &&
        (p = calloc(n, sizeof *p)) &&
        vkEnumerateDeviceExtensionProperties(d, NULL, &n, p) == VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            found |= !strcmp(p[i].extensionName, name);
    free(p);
    return found;
}

static void ask(VkPhysicalDevice d, void *features)
{
    VkPhysicalDeviceFeatures2 f = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                   .pNext = features};
    vkGetPhysicalDeviceFeatures2(d, &f);
}

static void ask_properties(VkPhysicalDevice d, void *properties)
{
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = properties};
    vkGetPhysicalDeviceProperties2(d, &p);
}

static void probe_dot(VkPhysicalDevice d, struct gpu_caps *c)
{
    if (c->api_version < VK_API_VERSION_1_3 && !gpu_has_extension(d, DOT)) return;
    VkPhysicalDeviceShaderIntegerDotProductFeatures f = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
    VkPhysicalDeviceShaderIntegerDotProductProperties p = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
    ask(d, &f);
    ask_properties(d, &p);
    c->int8_dot = f.shaderIntegerDotProduct;
    c->int8_dot_fast = c->int8_dot && p.integerDotProduct4x8BitPackedSignedAccelerated;
}

static void probe_size_control(VkPhysicalDevice d, struct gpu_caps *c)
{
    if (c->api_version < VK_API_VERSION_1_3 && !gpu_has_extension(d, SIZE_CONTROL)) return;
    VkPhysicalDeviceSubgroupSizeControlFeatures f = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    VkPhysicalDeviceSubgroupSizeControlProperties p = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    ask(d, &f);
    ask_properties(d, &p);
    c->size_control = f.subgroupSizeControl && f.computeFullSubgroups &&
                      (p.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
    // AMD has both 32 and 64: its matrix instructions are made for 32.
    bool has32 = p.minSubgroupSize <= 32 && p.maxSubgroupSize >= 32;
    c->coop_subgroup = c->size_control && has32 ? 32 : c->subgroup_size;
}

// f16 times f16 with f32 sums, of a shape that matmul_coop.comp can build its parts from.
static bool shape_fits(const VkCooperativeMatrixPropertiesKHR *p)
{
    return p->AType == FLOAT16 && p->BType == FLOAT16 && p->CType == FLOAT32 &&
           p->ResultType == FLOAT32 && p->scope == SCOPE_SUBGROUP && !p->saturatingAccumulation &&
           p->MSize >= 4 && p->NSize && p->KSize >= 8 && 32 % p->MSize == 0 && 32 % p->NSize == 0 &&
           64 % p->KSize == 0;
}

// The largest such shape.
static void probe_shapes(VkPhysicalDevice d, struct gpu_caps *c)
{
    VkCooperativeMatrixPropertiesKHR p[MAX_SHAPES];
    uint32_t n = MAX_SHAPES, most = 0;
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(
            volkGetLoadedInstance(), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    memset(p, 0, sizeof p);
    for (uint32_t i = 0; i < n; i++)
        p[i].sType = (VkStructureType)COOPMAT_PROPERTIES;
    if (!get || get(d, &n, p) < 0) return;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t size = p[i].MSize * p[i].NSize * p[i].KSize;
        if (!shape_fits(&p[i]) || size <= most) continue;
        most = size;
        memcpy(c->coop, (uint32_t[]){p[i].MSize, p[i].NSize, p[i].KSize}, sizeof c->coop);
    }
}

static void probe_coopmat(VkPhysicalDevice d, struct gpu_caps *c)
{
    if (c->api_version < VK_API_VERSION_1_2 || !gpu_has_extension(d, COOPMAT)) return;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR f = {.sType = (VkStructureType)COOPMAT_FEATURES};
    VkPhysicalDeviceVulkanMemoryModelFeatures m = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES, .pNext = &f};
    ask(d, &m);
    if (!f.cooperativeMatrix || !m.vulkanMemoryModel || !c->fp16) return;
    probe_shapes(d, c);
    uint32_t lanes = 4 * c->coop_subgroup; // of a workgroup
    c->coopmat = c->coop[0] && lanes <= c->max_workgroup && c->shared_bytes >= 24 << 10;
}

void gpu_probe_features(VkPhysicalDevice d, struct gpu_caps *c)
{
    VkPhysicalDeviceShaderFloat16Int8Features f16 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
    VkPhysicalDevice8BitStorageFeatures s8 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES, .pNext = &f16};
    VkPhysicalDevice16BitStorageFeatures s16 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, .pNext = &s8};
    if (c->api_version >= VK_API_VERSION_1_2) ask(d, &s16);
    c->fp16 = f16.shaderFloat16;
    c->coop_subgroup = c->subgroup_size;
    probe_dot(d, c);
    probe_size_control(d, c);
    probe_coopmat(d, c);
    c->tier = c->subgroup_shuffle && s16.storageBuffer16BitAccess && s8.storageBuffer8BitAccess;
    if (c->tier == 1 && c->fp16 && c->int8_dot_fast && strcmp(c->type, "cpu")) c->tier = 2;
    if (c->tier == 2 && c->coopmat) c->tier = 3;
}

void gpu_choose_features(struct gpu *g, const struct gpu_limits *l)
{
    const struct gpu_caps *c = &g->caps;
    const struct gpu_limits none = {0};
    if (!l) l = &none;
    bool gpu = l->as_gpu || strcmp(c->type, "cpu") != 0;
    g->forced = l->tier_given;
    g->texel = gpu_texel(c) && !l->force_ssbo;
    g->subgroups = c->subgroup_shuffle && !l->no_subgroup && !(g->forced && l->tier < 1);
    g->split = g->forced ? l->tier >= (gpu ? 1u : 2u) : gpu;
    // norm writes a form of activations more for them
    bool room = c->max_storage_buffers >= (g->texel ? 4 : 7);
    g->dot = room && !l->no_dot &&
             (g->forced ? l->tier >= 2 && c->int8_dot
                        : gpu && (c->int8_dot_fast || (l->as_gpu && c->int8_dot)));
    g->coop = !l->no_coopmat && !l->no_fp16 && c->coopmat && (g->forced ? l->tier >= 3 : gpu);
    // Measured on 25.0.7 (shaders/README.md); 22.3.6 makes loops of broadcasts.
    bool later = gpu_mesa_version(c->driver) >= 23;
    g->images = g->texel && g->subgroups && !gpu && !g->split && !g->dot && !g->coop &&
                !l->no_images && (c->subgroup_size == 16 || later) && c->subgroup_broadcast &&
                c->max_images >= GPU_MAX_BINDINGS && c->api_version >= VK_API_VERSION_1_2;
    g->broadcast = g->images && c->subgroup_size == 16 && later;
}

// --------------------------------------------------------------------------- asking for them

struct gpu_features { // a chain of what vkCreateDevice is asked for, and the extensions behind it
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot;
    VkPhysicalDeviceSubgroupSizeControlFeatures size;
    VkPhysicalDeviceShaderFloat16Int8Features f16;
    VkPhysicalDeviceVulkanMemoryModelFeatures model;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
};

static void chain_in(void **chain, void *features)
{
    ((VkBaseOutStructure *)features)->pNext = *chain;
    *chain = features;
}

static void fill(const struct gpu *g, struct gpu_features *f, VkDeviceCreateInfo *info,
                 const char **extensions)
{
    bool v13 = g->caps.api_version >= VK_API_VERSION_1_3;
    void *chain = (void *)(uintptr_t)info->pNext;
    uint32_t n = info->enabledExtensionCount;
    *f = (struct gpu_features){
        .dot = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
                .shaderIntegerDotProduct = VK_TRUE},
        .size = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
                 .subgroupSizeControl = VK_TRUE,
                 .computeFullSubgroups = VK_TRUE},
        .f16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
                .shaderFloat16 = VK_TRUE},
        .model = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
                  .vulkanMemoryModel = VK_TRUE},
        .coopmat = {.sType = (VkStructureType)COOPMAT_FEATURES, .cooperativeMatrix = VK_TRUE},
    };
    for (uint32_t i = 0; i < n; i++)
        extensions[i] = info->ppEnabledExtensionNames[i];
    if (g->dot) {
        chain_in(&chain, &f->dot);
        if (!v13) extensions[n++] = DOT;
    }
    if (g->coop) {
        chain_in(&chain, &f->f16);
        chain_in(&chain, &f->model);
        chain_in(&chain, &f->coopmat);
        extensions[n++] = COOPMAT;
        if (g->caps.size_control) chain_in(&chain, &f->size);
        if (g->caps.size_control && !v13) extensions[n++] = SIZE_CONTROL;
    }
    info->pNext = chain;
    info->enabledExtensionCount = n;
    info->ppEnabledExtensionNames = extensions;
}

VkResult gpu_make_device(struct gpu *g, const VkDeviceCreateInfo *info)
{
    struct gpu_features features;
    VkDeviceCreateInfo more = *info;
    const char *extensions[8];
    fill(g, &features, &more, extensions);
    VkResult r = vkCreateDevice(g->physical, &more, NULL, &g->device);
    if (r == VK_ERROR_FEATURE_NOT_PRESENT || r == VK_ERROR_EXTENSION_NOT_PRESENT) {
        g->dot = g->coop = false; // a driver that takes back what it offered: go without
        r = vkCreateDevice(g->physical, info, NULL, &g->device);
    }
    if (r == VK_SUCCESS) volkLoadDeviceTable(&g->vk, g->device);
    return r;
}
