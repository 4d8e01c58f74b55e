// Compiles every pipeline that the engine makes for Llamas, on one device, and runs none: for drivers
// whose GPU is not here, which Mesa can be told to assume (RADV_FORCE_FAMILY=navi21).
//
//   compile_kernels [-v] [DEVICE]     DEVICE: part of its name; else the first that is a GPU
//
// Prints what the driver says of registers and spills (VK_KHR_pipeline_executable_properties), -v: of
// each pipeline and the seconds it took. Status 1 where one does not compile.
#include "base/clock.h"
#include "engine/kernels/kernels.h"
#include "engine/model/forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tally {
    struct gpu gpu;
    PFN_vkCreateComputePipelines create;
    bool statistics, verbose;
    uint32_t n, failed, spilling, vgprs;
    double seconds, longest;
    char kernel[96], slowest[96];
};

static struct tally tally; // the hook below has no argument for it

// ------------------------------------------------------------------------------- statistics

static uint64_t value_of(const VkPipelineExecutableStatisticKHR *s)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return s->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR: return (uint64_t)s->value.f64;
    default: return s->value.u64;
    }
}

static void take_statistics(VkPipeline pipeline)
{
    VkPipelineExecutableStatisticKHR s[48];
    uint32_t n = 48;
    bool spills = false;
    for (uint32_t i = 0; i < n; i++)
        s[i] = (VkPipelineExecutableStatisticKHR){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                        .pipeline = pipeline};
    if (tally.gpu.vk.vkGetPipelineExecutableStatisticsKHR(tally.gpu.device, &info, &n, s) < 0) return;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t v = value_of(&s[i]);
        bool spill = strstr(s[i].name, "pill") || strstr(s[i].name, "Scratch");
        spills |= spill && v;
        if (!strcmp(s[i].name, "VGPRs") && v > tally.vgprs) tally.vgprs = (uint32_t)v;
        if (tally.verbose && (spill || strstr(s[i].name, "GPRs") || strstr(s[i].name, "Code")))
            printf("  %s %llu", s[i].name, (unsigned long long)v);
    }
    tally.spilling += spills;
    if (spills) printf("%s%s spills\n", tally.verbose ? "\n" : "", tally.kernel);
}

// Stands in for the driver's function, and asks for statistics.
static VKAPI_ATTR VkResult VKAPI_CALL create_counted(VkDevice device, VkPipelineCache cache,
                                                     uint32_t n,
                                                     const VkComputePipelineCreateInfo *info,
                                                     const VkAllocationCallbacks *alloc,
                                                     VkPipeline *out)
{
    VkComputePipelineCreateInfo more = *info;
    if (tally.statistics) more.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
    double start = clock_s();
    VkResult r = tally.create(device, cache, n, &more, alloc, out);
    double took = clock_s() - start;
    tally.n++;
    tally.seconds += took;
    if (took > tally.longest) {
        tally.longest = took;
        memcpy(tally.slowest, tally.kernel, sizeof tally.slowest);
    }
    if (tally.verbose) printf("%-40s %7.3f s", tally.kernel, took);
    if (r == VK_SUCCESS && tally.statistics) take_statistics(*out);
    if (tally.verbose) printf("\n");
    return r;
}

// ---------------------------------------------------------------------------------- a device

static bool has(VkPhysicalDevice d, const char *name)
{
    static VkExtensionProperties p[512];
    uint32_t n = 512;
    if (vkEnumerateDeviceExtensionProperties(d, NULL, &n, p) < 0) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!strcmp(p[i].extensionName, name)) return true;
    return false;
}

static VkPhysicalDevice find(VkInstance instance, const char *want, struct gpu_caps *caps)
{
    VkPhysicalDevice d[16];
    VkPhysicalDeviceProperties p;
    uint32_t n = 16;
    if (vkEnumeratePhysicalDevices(instance, &n, d) < 0) return VK_NULL_HANDLE;
    for (uint32_t i = 0; i < n; i++) {
        *caps = (struct gpu_caps){0};
        VkPhysicalDeviceSubgroupProperties sub = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
        VkPhysicalDeviceProperties2 p2 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                          .pNext = &sub};
        vkGetPhysicalDeviceProperties(d[i], &p);
        vkGetPhysicalDeviceProperties2(d[i], &p2);
        (void)snprintf(caps->name, sizeof caps->name, "%s", p.deviceName);
        bool cpu = p.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
        (void)snprintf(caps->type, sizeof caps->type, "%s", cpu ? "cpu" : "discrete");
        caps->subgroup_size = sub.subgroupSize;
        caps->subgroup_shuffle = sub.subgroupSize >= 8 &&
                                 sub.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
        caps->max_texel_elements = p.limits.maxTexelBufferElements;
        caps->max_workgroup = p.limits.maxComputeWorkGroupInvocations;
        caps->shared_bytes = p.limits.maxComputeSharedMemorySize;
        caps->max_storage_buffers = p.limits.maxPerStageDescriptorStorageBuffers;
        caps->api_version = p.apiVersion;
        gpu_probe_features(d[i], caps);
        if (want ? strstr(p.deviceName, want) != NULL : !cpu) return d[i];
    }
    return VK_NULL_HANDLE;
}

static bool open_device(const char *want, struct gpu *g)
{
    static const char *const ext = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    if (volkInitialize() != VK_SUCCESS ||
        vkCreateInstance(
            &(VkInstanceCreateInfo){
                .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                .pApplicationInfo =
                    &(VkApplicationInfo){.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                         .apiVersion = VK_API_VERSION_1_3}},
            NULL, &g->instance) != VK_SUCCESS)
        return false;
    volkLoadInstanceOnly(g->instance);
    g->physical = find(g->instance, want, &g->caps);
    if (!g->physical) return false;
    tally.statistics = has(g->physical, ext);
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR f = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE};
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueCount = 1,
                                     .pQueuePriorities = &(float){1}};
    gpu_choose_features(g, NULL);
    if (gpu_make_device(g, &(VkDeviceCreateInfo){.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                                 .pNext = tally.statistics ? &f : NULL,
                                                 .queueCreateInfoCount = 1,
                                                 .pQueueCreateInfos = &queue,
                                                 .enabledExtensionCount = tally.statistics,
                                                 .ppEnabledExtensionNames = &ext}) != VK_SUCCESS)
        return false;
    tally.create = g->vk.vkCreateComputePipelines;
    g->vk.vkCreateComputePipelines = create_counted;
    return true;
}

// ---------------------------------------------------------------------------------- kernels

static void count(bool ok, const struct err *e)
{
    if (ok) return;
    tally.failed++;
    printf("%s: %s\n", tally.kernel, e->msg);
}

static const char *path_name(void)
{
    return tally.gpu.texel ? "texel" : "ssbo";
}

static void compile_rows(void)
{
    const struct gpu_pipeline *p;
    struct kernels k;
    struct err e;
    kernels_init(&k, &tally.gpu);
    for (uint32_t f = 0; f < N_WEIGHT_FORMATS; f++)
        for (uint32_t nt = 1; nt <= 4; nt += 3) {
            (void)snprintf(tally.kernel, sizeof tally.kernel, "matmul %s, %u tokens, %s",
                           weight_layout((enum weight_format)f)->name, nt, path_name());
            count(kernels_matmul(&k, (enum weight_format)f, nt, &p, &e), &e);
        }
    static const uint32_t tokens[N_CLASSES] = {1, 4, 64};
    for (uint32_t f = 0; f < N_WEIGHT_FORMATS; f++)
        for (uint32_t c = 0; c < N_CLASSES; c++)
            for (uint32_t w = WAY_PLAIN + 1; w < N_WAYS; w++) {
                enum weight_format format = (enum weight_format)f;
                uint32_t groups[3];
                if (!matmul_can(&tally.gpu, format, (enum matmul_class)c, (enum matmul_way)w))
                    continue;
                (void)snprintf(tally.kernel, sizeof tally.kernel, "matmul %s, %s, %u tokens, %s",
                               weight_layout(format)->name, matmul_way_name((enum matmul_way)w),
                               tokens[c], path_name());
                count(kernels_matmul_way(&k, format, (enum matmul_way)w, 128, tokens[c], &p, groups,
                                         &e),
                      &e);
            }
    for (uint32_t mode = 0; mode < 3; mode++)
        for (uint32_t want = 1; want < 8; want++) {
            (void)snprintf(tally.kernel, sizeof tally.kernel, "norm %u, forms %u, %s", mode, want,
                           path_name());
            count(kernels_norm(&k, (enum norm_mode)mode, want, &p, &e), &e);
        }
    for (uint32_t kv = KV_F16; kv <= KV_Q4_0; kv++) {
        (void)snprintf(tally.kernel, sizeof tally.kernel, "rope, cache %u, %s", kv, path_name());
        count(kernels_rope(&k, kv, &p, &e), &e);
        (void)snprintf(tally.kernel, sizeof tally.kernel, "shift, cache %u, %s", kv, path_name());
        count(kernels_shift(&k, kv, &p, &e), &e);
    }
    kernels_destroy(&k);
}

// Heads of SmolLM2, of Llama 2 7B, 3 8B and 70B: width, and query heads a key/value head.
static void compile_attention(uint32_t kv)
{
    static const uint32_t shapes[][2] = {{64, 3}, {128, 1}, {128, 4}, {128, 8}};
    const struct gpu_pipeline *p;
    struct kernels k;
    struct err e;
    kernels_init(&k, &tally.gpu);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        uint32_t dim = shapes[i][0], group = shapes[i][1], heads, tokens;
        forward_tile(&tally.gpu, dim, group, &heads, &tokens);
        for (uint32_t t = 1; t <= tokens; t += tokens > 1 ? tokens - 1 : 1) {
            (void)snprintf(tally.kernel, sizeof tally.kernel,
                           "attention %u, %u of %u heads, %u tokens, cache %u, %s", dim, heads,
                           group, t, kv, path_name());
            count(kernels_attention(&k, dim, group, heads, t, kv, &p, &e), &e);
        }
    }
    kernels_destroy(&k);
}

int main(int argc, char **argv)
{
    struct gpu *g = &tally.gpu;
    tally.verbose = argc > 1 && !strcmp(argv[1], "-v");
    if (!open_device(argc > 1 + tally.verbose ? argv[1 + tally.verbose] : NULL, g)) {
        printf("no such device\n");
        return 1;
    }
    compile_rows();
    if (g->texel && (g->dot || g->coop)) { // these read otherwise there
        g->texel = false;
        compile_rows();
        g->texel = true;
    }
    compile_attention(KV_F16);
    compile_attention(KV_Q8_0);
    if (g->dot) printf("integer dot; ");
    if (g->coop)
        printf("cooperative matrices of %u x %u x %u; ", g->caps.coop[0], g->caps.coop[1],
               g->caps.coop[2]);
    printf("%s: %u pipelines in %.1f s (longest %.1f s: %s), %u failed", g->caps.name, tally.n,
           tally.seconds, tally.longest, tally.slowest, tally.failed);
    if (tally.statistics) printf(", %u spill, at most %u VGPRs", tally.spilling, tally.vgprs);
    printf("\n");
    return tally.failed > 0; // the device is left open: RADV crashes when it closes one without hardware
}
