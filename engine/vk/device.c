// Instance, choice of the device, its capabilities, queue. Nothing above Vulkan 1.1 is required;
// everything else is probed.
#include "engine/vk/gpu.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { // most storage buffers of a kernel that every device runs: norm reads 3 and writes 3
    TEXEL_STORAGE = 3,
    SSBO_STORAGE = 6
};

// The layer takes what it does not know for a mistake.
#define COOPMAT_SINCE VK_MAKE_API_VERSION(0, 1, 3, 255)

bool gpu_fail(struct err *e, VkResult r, const char *what)
{
    switch (r) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return err_set(e, ERR_MEMORY, "cannot %s: out of host memory", what);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return err_set(e, ERR_MEMORY, "cannot %s: out of device memory; try a smaller --ctx", what);
    case VK_ERROR_DEVICE_LOST:
        return err_set(e, ERR_DEVICE, "cannot %s: the Vulkan device was lost; run it again", what);
    default: return err_set(e, ERR_DEVICE, "cannot %s: Vulkan error %d", what, (int)r);
    }
}

bool gpu_validated(struct gpu *g, struct err *e)
{
    if (!g->validation_message[0]) return true;
    return err_set(e, ERR_INTERNAL, "validation: %.240s", g->validation_message);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *user)
{
    (void)severity, (void)types;
    struct gpu *g = user;
    if (!g->validation_message[0])
        (void)snprintf(g->validation_message, sizeof g->validation_message, "%s", data->pMessage);
    return VK_FALSE;
}

static const char VALIDATION[] = "VK_LAYER_KHRONOS_validation";

// The version of Vulkan that the layer was written for; 0: it is not installed.
static uint32_t layer_version(const char *name)
{
    uint32_t n = 0, version = 0;
    VkLayerProperties *p = NULL;
    if (vkEnumerateInstanceLayerProperties(&n, NULL) == VK_SUCCESS && n &&
        (p = calloc(n, sizeof *p)) && vkEnumerateInstanceLayerProperties(&n, p) == VK_SUCCESS)
        for (uint32_t i = 0; i < n; i++)
            if (!strcmp(p[i].layerName, name)) version = p[i].specVersion;
    free(p);
    return version;
}

static bool make_instance(bool validate, VkInstance *out, struct err *e)
{
    static const char *const layer = VALIDATION;
    static const char *const ext = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    if (volkInitialize() != VK_SUCCESS)
        return err_set(e, ERR_DEVICE,
                       "no Vulkan loader on this machine: install libvulkan1 and a driver (without "
                       "a GPU: mesa-vulkan-drivers, which brings lavapipe)");
    uint32_t version = VK_API_VERSION_1_0;
    if (vkEnumerateInstanceVersion) vkEnumerateInstanceVersion(&version);
    if (version < VK_API_VERSION_1_1)
        return err_set(e, ERR_DEVICE, "the Vulkan loader is older than 1.1: update libvulkan1");
    if (validate && !layer_version(layer))
        return err_set(e, ERR_DEVICE,
                       "the Vulkan validation layer is not installed: install "
                       "vulkan-validationlayers, or run without --validate");
    VkResult r = vkCreateInstance(
        &(VkInstanceCreateInfo){
            .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
            .pApplicationInfo =
                &(VkApplicationInfo){
                    .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                    .pApplicationName = "lectern",
                    .pEngineName = "lectern",
                    .apiVersion = version < VK_API_VERSION_1_3 ? version : VK_API_VERSION_1_3,
                },
            .enabledLayerCount = validate,
            .ppEnabledLayerNames = &layer,
            .enabledExtensionCount = validate,
            .ppEnabledExtensionNames = &ext,
        },
        NULL, out);
    if (r == VK_ERROR_INCOMPATIBLE_DRIVER)
        return err_set(e, ERR_DEVICE,
                       "no Vulkan driver on this machine: install your GPU's, or "
                       "mesa-vulkan-drivers for the software device");
    if (r != VK_SUCCESS) return gpu_fail(e, r, "create a Vulkan instance");
    volkLoadInstanceOnly(*out);
    return true;
}

static bool create_instance(bool validate, VkInstance *out, struct err *e)
{
    gpu_keep_width_apart();
    if (!make_instance(validate, out, e)) return false;
    if (!gpu_widen(*out)) return true;
    vkDestroyInstance(*out, NULL);
    if (!make_instance(validate, out, e)) return false;
    if (gpu_widened(*out)) return true;
    vkDestroyInstance(*out, NULL);
    return make_instance(validate, out, e);
}

static const char *type_name(VkPhysicalDeviceType t)
{
    switch (t) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "cpu";
    default: return "other";
    }
}

static bool compute_family(VkPhysicalDevice d, uint32_t *out)
{
    VkQueueFamilyProperties q[16];
    uint32_t n = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(d, &n, q);
    for (uint32_t i = 0; i < n; i++)
        if (q[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            *out = i;
            return true;
        }
    return false;
}

static void probe_memory(VkPhysicalDevice d, struct gpu_caps *c)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    c->budget_known = gpu_has_extension(d, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    VkPhysicalDeviceMemoryProperties2 m = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = c->budget_known ? &budget : NULL};
    vkGetPhysicalDeviceMemoryProperties2(d, &m);
    const VkPhysicalDeviceMemoryProperties *p = &m.memoryProperties;
    c->unified = gpu_unified(p);
    for (uint32_t i = 0; i < p->memoryHeapCount; i++)
        if (p->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT &&
            p->memoryHeaps[i].size > c->heap_bytes) {
            c->heap_bytes = p->memoryHeaps[i].size;
            c->budget_bytes = c->budget_known ? budget.heapBudget[i] : c->heap_bytes;
        }
}

static void judge(VkPhysicalDevice d, const VkPhysicalDeviceLimits *l, struct gpu_caps *c)
{
    uint32_t family, storage = l->maxPerStageDescriptorStorageBuffers;
    if (!compute_family(d, &family))
        (void)snprintf(c->why_not, sizeof c->why_not, "no compute queue");
    else if (!c->heap_bytes)
        (void)snprintf(c->why_not, sizeof c->why_not, "no memory heap");
    else if (storage < (gpu_texel(c) ? TEXEL_STORAGE : SSBO_STORAGE))
        (void)snprintf(c->why_not, sizeof c->why_not,
                       "a kernel may bind %u storage buffers there, which is too few", storage);
    else
        c->usable = true;
}

static void probe(VkPhysicalDevice d, uint32_t index, struct gpu_caps *c)
{
    *c = (struct gpu_caps){.index = index};
    VkPhysicalDeviceProperties base;
    vkGetPhysicalDeviceProperties(d, &base);
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties m3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
        .pNext = base.apiVersion >= VK_API_VERSION_1_2 ? &driver : NULL};
    VkPhysicalDeviceSubgroupProperties sub = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &m3};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                                       .pNext = &sub};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &id};
    if (base.apiVersion >= VK_API_VERSION_1_1) vkGetPhysicalDeviceProperties2(d, &p);
    const VkPhysicalDeviceLimits *l = &base.limits;
    (void)snprintf(c->name, sizeof c->name, "%s", base.deviceName);
    if (snprintf(c->driver, sizeof c->driver, "%s %s", driver.driverName, driver.driverInfo) < 0)
        c->driver[0] = '\0';
    (void)snprintf(c->type, sizeof c->type, "%s", type_name(base.deviceType));
    for (size_t i = 0; i < VK_UUID_SIZE; i++)
        (void)snprintf(c->uuid + 2 * i, 3, "%02x", id.deviceUUID[i]);
    c->api_version = base.apiVersion;
    c->driver_version = base.driverVersion;
    c->max_storage_buffers = l->maxPerStageDescriptorStorageBuffers;
    c->max_images = l->maxPerStageDescriptorStorageImages;
    c->subgroup_size = sub.subgroupSize;
    c->subgroup_shuffle = sub.subgroupSize >= 8 &&
                          (sub.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                          (sub.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
    c->subgroup_broadcast = sub.supportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT;
    c->max_buffer_range = l->maxStorageBufferRange;
    c->max_allocation = m3.maxMemoryAllocationSize;
    c->max_texel_elements = l->maxTexelBufferElements;
    c->max_workgroup = l->maxComputeWorkGroupInvocations;
    memcpy(c->max_groups, l->maxComputeWorkGroupCount, sizeof c->max_groups);
    c->shared_bytes = l->maxComputeSharedMemorySize;
    c->max_allocations = l->maxMemoryAllocationCount;
    if (base.apiVersion < VK_API_VERSION_1_1) {
        (void)snprintf(c->why_not, sizeof c->why_not, "the driver's Vulkan is older than 1.1");
        return;
    }
    probe_memory(d, c);
    gpu_probe_features(d, c);
    judge(d, l, c);
}

static bool name_contains(const char *name, const char *part)
{
    for (; *name; name++)
        if (!strncasecmp(name, part, strlen(part))) return true;
    return false;
}

static bool is_number(const char *s)
{
    bool digits = *s != 0;
    for (; *s; s++)
        digits &= isdigit((unsigned char)*s) != 0;
    return digits;
}

// The n-th device is among those that LECTERN_DEVICES names.
static bool visible(uint32_t n, const struct gpu_caps *c)
{
    const char *list = getenv("LECTERN_DEVICES");
    char names[512], *rest = names;
    if (!list || !*list) return true;
    (void)snprintf(names, sizeof names, "%s", list);
    for (char *one; (one = strsep(&rest, ","));)
        if (is_number(one) ? strtoul(one, NULL, 10) == n : *one && name_contains(c->name, one))
            return true;
    return false;
}

static size_t keep_visible(VkPhysicalDevice *devices, struct gpu_caps *caps, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!visible((uint32_t)i, &caps[i])) continue;
        devices[kept] = devices[i];
        caps[kept] = caps[i];
        caps[kept].index = (uint32_t)kept;
        kept++;
    }
    return kept;
}

// Physical devices of the instance with their caps, each deviceUUID once. Caller frees both.
static bool enumerate(VkInstance instance, VkPhysicalDevice **devices, struct gpu_caps **caps,
                      size_t *n, struct err *e)
{
    uint32_t count = 0;
    *n = 0;
    *devices = NULL;
    *caps = NULL;
    VkResult r = vkEnumeratePhysicalDevices(instance, &count, NULL);
    if (r != VK_SUCCESS || !count)
        return err_set(e, ERR_DEVICE,
                       "Vulkan finds no device: install a GPU driver, or mesa-vulkan-drivers for "
                       "the software device");
    *devices = calloc(count, sizeof **devices);
    *caps = calloc(count, sizeof **caps);
    if (!*devices || !*caps) {
        err_nomem(e, "the device list", count * sizeof **caps);
        goto fail;
    }
    r = vkEnumeratePhysicalDevices(instance, &count, *devices);
    if (r != VK_SUCCESS && r != VK_INCOMPLETE) {
        gpu_fail(e, r, "list Vulkan devices");
        goto fail;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct gpu_caps *c = &(*caps)[*n];
        probe((*devices)[i], (uint32_t)*n, c);
        bool seen = false;
        for (size_t j = 0; j < *n; j++)
            seen |= !strcmp((*caps)[j].uuid, c->uuid) && !strcmp((*caps)[j].name, c->name);
        if (!seen) (*devices)[(*n)++] = (*devices)[i];
    }
    *n = keep_visible(*devices, *caps, *n);
    if (*n) return true;
    err_set(e, ERR_ARG, "LECTERN_DEVICES names none of the %u Vulkan devices here", count);
fail:
    free(*devices);
    free(*caps);
    *devices = NULL;
    *caps = NULL;
    return false;
}

bool gpu_list(struct gpu_caps **out, size_t *n, struct err *e)
{
    VkInstance instance;
    VkPhysicalDevice *devices;
    *out = NULL;
    *n = 0;
    if (!create_instance(false, &instance, e)) return false;
    bool ok = enumerate(instance, &devices, out, n, e);
    if (ok) free(devices);
    vkDestroyInstance(instance, NULL);
    return ok;
}

// Higher is better; a software device is the last resort.
static int preference(const struct gpu_caps *c)
{
    static const char *const order[] = {"other", "cpu", "virtual", "integrated", "discrete"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(c->type, order[i])) return i;
    return 0;
}

static bool choose(const struct gpu_caps *caps, size_t n, const char *want, size_t *out,
                   struct err *e)
{
    size_t best = n;
    bool number = want && is_number(want);
    for (size_t i = 0; i < n; i++) {
        bool match =
            !want || (number ? strtoul(want, NULL, 10) == i : name_contains(caps[i].name, want));
        if (!match || (!want && !caps[i].usable)) continue;
        if (best == n || preference(&caps[i]) > preference(&caps[best])) best = i;
    }
    if (best == n && want)
        return err_set(e, ERR_ARG, "no Vulkan device matches '%s': lectern devices lists them",
                       want);
    if (best == n || !caps[best].usable)
        return err_set(e, ERR_DEVICE, "%s cannot be used: %s",
                       best == n ? "no Vulkan device" : caps[best].name,
                       best == n ? caps[0].why_not : caps[best].why_not);
    *out = best;
    return true;
}

// Families for video and the like may copy too, but are for something else.
uint32_t gpu_transfer_family(const VkQueueFamilyProperties *q, uint32_t n, uint32_t compute)
{
    const VkQueueFlags alone =
        VK_QUEUE_TRANSFER_BIT | VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT;
    for (uint32_t i = 0; i < n; i++)
        if (q[i].queueCount && q[i].queueFlags & VK_QUEUE_TRANSFER_BIT &&
            !(q[i].queueFlags & ~alone))
            return i;
    return compute;
}

static bool create_device(struct gpu *g, struct err *e)
{
    if (!compute_family(g->physical, &g->queue_family))
        return err_set(e, ERR_DEVICE, "%s has no compute queue", g->caps.name);
    VkQueueFamilyProperties q[16];
    uint32_t n = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(g->physical, &n, q);
    g->transfer_family = gpu_transfer_family(q, n, g->queue_family);
    bool two = g->transfer_family != g->queue_family;
    const float priority = 1;
    VkDeviceQueueCreateInfo queues[] = {
        {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
         .queueFamilyIndex = g->queue_family,
         .queueCount = 1,
         .pQueuePriorities = &priority},
        {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
         .queueFamilyIndex = g->transfer_family,
         .queueCount = 1,
         .pQueuePriorities = &priority},
    };
    VkResult r = gpu_make_device(g, &(VkDeviceCreateInfo){
                                        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                        .queueCreateInfoCount = two ? 2 : 1,
                                        .pQueueCreateInfos = queues,
                                    });
    if (r != VK_SUCCESS) return gpu_fail(e, r, "open the Vulkan device");
    g->vk.vkGetDeviceQueue(g->device, g->queue_family, 0, &g->queue);
    g->vk.vkGetDeviceQueue(g->device, g->transfer_family, 0, &g->transfer);
    r = g->vk.vkCreateCommandPool(g->device,
                                  &(VkCommandPoolCreateInfo){
                                      .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                      .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                      .queueFamilyIndex = g->queue_family,
                                  },
                                  NULL, &g->pool);
    if (r == VK_SUCCESS)
        r = g->vk.vkCreateFence(g->device,
                                &(VkFenceCreateInfo){.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO},
                                NULL, &g->fence);
    if (r == VK_SUCCESS)
        r = g->vk.vkCreatePipelineCache(
            g->device,
            &(VkPipelineCacheCreateInfo){.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO},
            NULL, &g->cache);
    return r == VK_SUCCESS || gpu_fail(e, r, "set up the Vulkan device");
}

static bool create_messenger(struct gpu *g, struct err *e)
{
    VkResult r = vkCreateDebugUtilsMessengerEXT(
        g->instance,
        &(VkDebugUtilsMessengerCreateInfoEXT){
            .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
            .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                               VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
            .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
            .pfnUserCallback = on_message,
            .pUserData = g,
        },
        NULL, &g->messenger);
    return r == VK_SUCCESS || gpu_fail(e, r, "listen to the validation layer");
}

uint64_t gpu_max_matrix(const struct gpu_caps *c, bool texel)
{
    uint64_t most = texel ? (uint64_t)c->max_texel_elements * 16 : c->max_buffer_range;
    return c->max_allocation && c->max_allocation < most ? c->max_allocation : most;
}

bool gpu_texel(const struct gpu_caps *c)
{
    return c->max_texel_elements >= GPU_MIN_TEXELS;
}

bool gpu_create(const char *want, bool validate, const struct gpu_limits *limits, struct gpu *out,
                struct err *e)
{
    VkPhysicalDevice *devices = NULL;
    struct gpu_caps *caps = NULL;
    size_t n = 0, chosen = 0;
    *out = (struct gpu){0};
    if (!create_instance(validate, &out->instance, e)) return false;
    bool ok = (!validate || create_messenger(out, e)) &&
              enumerate(out->instance, &devices, &caps, &n, e) && choose(caps, n, want, &chosen, e);
    if (ok) {
        out->physical = devices[chosen];
        out->caps = caps[chosen];
        gpu_choose_features(out, limits);
        if (validate && layer_version(VALIDATION) < COOPMAT_SINCE) out->coop = false;
    }
    free(devices);
    free(caps);
    if (!ok || !create_device(out, e)) goto fail;
    out->queue_lock_made = !pthread_mutex_init(&out->queue_lock, NULL);
    if (!out->queue_lock_made) {
        err_set(e, ERR_MEMORY, "cannot make a lock for %s", out->caps.name);
        goto fail;
    }
    vkGetPhysicalDeviceMemoryProperties(out->physical, &out->memory);
    out->force_staging = limits && limits->force_staging;
    out->no_timestamps = limits && limits->no_timestamps;
    out->no_fused = limits && limits->no_fused;
    if (limits && limits->max_buffer_range && limits->max_buffer_range < out->caps.max_buffer_range)
        out->caps.max_buffer_range = limits->max_buffer_range;
    out->max_bytes = limits ? limits->max_bytes : 0;
    out->max_matrix = gpu_max_matrix(&out->caps, out->texel);
    if (limits && limits->max_matrix) out->max_matrix = limits->max_matrix;
    // A software device was measured at 26e9 a second; 5e10 a tenth of a second is a small GPU's.
    out->max_work = strcmp(out->caps.type, "cpu") ? 5e10 : 4e9;
    if (limits && limits->max_work > 0) out->max_work = limits->max_work;
    return true;
fail:
    gpu_destroy(out);
    return false;
}

void gpu_destroy(struct gpu *g)
{
    if (g->device) {
        g->vk.vkDeviceWaitIdle(g->device);
        g->vk.vkDestroyPipelineCache(g->device, g->cache, NULL);
        g->vk.vkDestroyFence(g->device, g->fence, NULL);
        g->vk.vkDestroyCommandPool(g->device, g->pool, NULL);
        g->vk.vkDestroyDevice(g->device, NULL);
    }
    if (g->queue_lock_made) pthread_mutex_destroy(&g->queue_lock);
    if (g->messenger) vkDestroyDebugUtilsMessengerEXT(g->instance, g->messenger, NULL);
    if (g->instance) vkDestroyInstance(g->instance, NULL);
    *g = (struct gpu){0};
}
