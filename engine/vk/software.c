// Mesa's lavapipe, the software device: how wide its vectors are. It takes 256 bits of an AVX-512
// processor unless LP_NATIVE_VECTOR_WIDTH says otherwise when its library starts, which reads it
// anew for an instance made after the last one was destroyed.
#include "base/file.h"
#include "engine/vk/gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char WIDTH[] = "LP_NATIVE_VECTOR_WIDTH", CACHE[] = "MESA_SHADER_CACHE_DIR";

static bool has_avx512(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

uint32_t gpu_mesa_version(const char *driver)
{
    const char *mesa = strstr(driver, "Mesa ");
    return mesa ? (uint32_t)strtoul(mesa + 5, NULL, 10) : 0;
}

// Lanes of lavapipe's subgroups, where its exchanges between 16 of them were measured, on 22.3.6
// and 25.0.7: versions between them may make loops of both kinds (shaders/lib/lanes.glsl). 0:
// another device.
static uint32_t lanes(VkPhysicalDevice d)
{
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties sub = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &driver};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &sub};
    VkPhysicalDeviceProperties base;
    vkGetPhysicalDeviceProperties(d, &base);
    if (base.apiVersion < VK_API_VERSION_1_2) return 0;
    vkGetPhysicalDeviceProperties2(d, &p);
    uint32_t mesa = gpu_mesa_version(driver.driverInfo);
    bool known = driver.driverID == VK_DRIVER_ID_MESA_LLVMPIPE && (mesa == 22 || mesa >= 25);
    return known ? sub.subgroupSize : 0;
}

// The instance has a lavapipe with so many lanes, and none but software devices: a GPU's driver
// takes long to start twice.
static bool has_lanes(VkInstance instance, uint32_t n_lanes)
{
    VkPhysicalDevice devices[16];
    VkPhysicalDeviceProperties p;
    uint32_t n = 16;
    bool any = false;
    VkResult r = vkEnumeratePhysicalDevices(instance, &n, devices);
    for (uint32_t i = 0; (r == VK_SUCCESS || r == VK_INCOMPLETE) && i < n; i++) {
        vkGetPhysicalDeviceProperties(devices[i], &p);
        if (p.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU) return false;
        any |= lanes(devices[i]) == n_lanes;
    }
    return any;
}

// A folder of their own for kernels of this width, or none are kept.
static bool own_cache(uint32_t width)
{
    char name[32], dir[4096], all[4096];
    struct err ignored;
    const char *set = getenv(CACHE);
    (void)snprintf(name, sizeof name, "/mesa-%u", width);
    if (set && strlen(set) > strlen(name) && !strcmp(set + strlen(set) - strlen(name), name))
        return true; // it is ours
    bool ok = set ? file_path(all, sizeof all, &ignored, "%s", set)
                  : file_cache_dir(all, sizeof all, &ignored);
    ok =
        ok && file_path(dir, sizeof dir, &ignored, "%s%s", all, name) && file_mkdirs(dir, &ignored);
    return !(ok ? setenv(CACHE, dir, 1) : setenv("MESA_SHADER_CACHE_DISABLE", "true", 1));
}

void gpu_keep_width_apart(void)
{
    const char *width = getenv(WIDTH);
    if (width) (void)own_cache((uint32_t)strtoul(width, NULL, 10));
}

bool gpu_widen(VkInstance instance)
{
    if (getenv(WIDTH) || !has_avx512() || !has_lanes(instance, 8)) return false;
    return own_cache(512) && !setenv(WIDTH, "512", 1);
}

bool gpu_widened(VkInstance instance)
{
    if (has_lanes(instance, 16)) return true;
    setenv("MESA_SHADER_CACHE_DISABLE", "true", 1);
    return false;
}
