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

// Its exchanges between 16 lanes were measured on 22.3.6 and 25.0.7; versions between them may make
// loops of both kinds (shaders/lib/lanes.glsl).
static bool widens(VkPhysicalDevice d)
{
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties sub = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &driver};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &sub};
    VkPhysicalDeviceProperties base;
    vkGetPhysicalDeviceProperties(d, &base);
    if (base.apiVersion < VK_API_VERSION_1_2) return false;
    vkGetPhysicalDeviceProperties2(d, &p);
    uint32_t mesa = gpu_mesa_version(driver.driverInfo);
    return driver.driverID == VK_DRIVER_ID_MESA_LLVMPIPE && sub.subgroupSize == 8 &&
           (mesa == 22 || mesa >= 25);
}

// Mesa keeps compiled kernels by their source, whatever the width: those of another would be taken
// for these. A folder of their own, or none kept.
static bool own_cache(void)
{
    char dir[4096], all[4096];
    struct err ignored;
    const char *set = getenv(CACHE);
    bool ok = set ? file_path(all, sizeof all, &ignored, "%s", set)
                  : file_cache_dir(all, sizeof all, &ignored);
    ok = ok && file_path(dir, sizeof dir, &ignored, "%s/mesa-512", all) &&
         file_mkdirs(dir, &ignored);
    return !(ok ? setenv(CACHE, dir, 1) : setenv("MESA_SHADER_CACHE_DISABLE", "true", 1));
}

bool gpu_widen(VkInstance instance)
{
    VkPhysicalDevice devices[16];
    uint32_t n = 16;
    bool any = false;
    if (getenv(WIDTH) || !has_avx512()) return false;
    VkResult r = vkEnumeratePhysicalDevices(instance, &n, devices);
    for (uint32_t i = 0; (r == VK_SUCCESS || r == VK_INCOMPLETE) && i < n; i++)
        any |= widens(devices[i]);
    return any && own_cache() && !setenv(WIDTH, "512", 1);
}
