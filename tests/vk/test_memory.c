// Choices that this machine's devices do not put to the test: memory types and queue families as
// drivers of GPUs shape them (not read from such machines: none was here).
#include "engine/vk/gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
    SEEN = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
    CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
    VRAM = VK_MEMORY_HEAP_DEVICE_LOCAL_BIT,
};
#define GIB ((VkDeviceSize)1 << 30)

struct machine {
    const char *name;
    VkPhysicalDeviceMemoryProperties m;
    bool unified;
    uint32_t want[4]; // types for GPU_DEVICE, GPU_UPLOAD, GPU_READBACK, GPU_STAGING
};

static const struct machine machines[] = {
    {"GeForce, 256 MiB BAR",
     {.memoryHeapCount = 3,
      .memoryHeaps = {{8 * GIB, VRAM}, {16 * GIB, 0}, {GIB / 4, VRAM}},
      .memoryTypeCount = 5,
      .memoryTypes = {{0, 1}, {LOCAL, 0}, {SEEN, 1}, {SEEN | CACHED, 1}, {LOCAL | SEEN, 2}}},
     false,
     {1, 4, 3, 2}},
    {"GeForce, resizable BAR",
     {.memoryHeapCount = 2,
      .memoryHeaps = {{8 * GIB, VRAM}, {16 * GIB, 0}},
      .memoryTypeCount = 5,
      .memoryTypes = {{0, 1}, {LOCAL, 0}, {SEEN, 1}, {SEEN | CACHED, 1}, {LOCAL | SEEN, 0}}},
     false,
     {4, 4, 3, 2}},
    {"Radeon, 256 MiB BAR",
     {.memoryHeapCount = 3,
      .memoryHeaps = {{8 * GIB - GIB / 4, VRAM}, {16 * GIB, 0}, {GIB / 4, VRAM}},
      .memoryTypeCount = 4,
      .memoryTypes = {{LOCAL, 0}, {SEEN, 1}, {LOCAL | SEEN, 2}, {SEEN | CACHED, 1}}},
     false,
     {0, 2, 3, 1}},
    {"Radeon beside the processor",
     {.memoryHeapCount = 2,
      .memoryHeaps = {{5 * GIB, VRAM}, {10 * GIB, VRAM}},
      .memoryTypeCount = 4,
      .memoryTypes = {{LOCAL, 1}, {LOCAL | SEEN, 0}, {LOCAL | SEEN, 1}, {LOCAL | SEEN | CACHED, 0}}},
     true,
     {2, 1, 3, 1}},
    {"device memory that the host does not see",
     {.memoryHeapCount = 1,
      .memoryHeaps = {{4 * GIB, VRAM}},
      .memoryTypeCount = 2,
      .memoryTypes = {{LOCAL, 0}, {SEEN | CACHED, 0}}},
     false,
     {0, 1, 1, 1}},
    {"Mali, lavapipe",
     {.memoryHeapCount = 1,
      .memoryHeaps = {{8 * GIB, VRAM}},
      .memoryTypeCount = 1,
      .memoryTypes = {{LOCAL | SEEN | CACHED, 0}}},
     true,
     {0, 0, 0, 0}},
};

static void test_types(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        const struct machine *m = &machines[i];
        struct gpu g = {.memory = m->m};
        if (gpu_unified(&m->m) != m->unified) fail_msg("%s: unified", m->name);
        for (uint32_t kind = GPU_DEVICE; kind <= GPU_STAGING; kind++) {
            uint32_t got;
            assert_true(gpu_memory_type(&g, (enum gpu_memory)kind, UINT32_MAX, &got));
            if (got != m->want[kind])
                fail_msg("%s: kind %u in type %u, not %u", m->name, kind, got, m->want[kind]);
        }
    }
}

// What a buffer may not use is not used; the small heap is still there when all else is refused.
static void test_allowed(void **state)
{
    (void)state;
    struct gpu g = {.memory = machines[0].m};
    uint32_t got;
    assert_true(gpu_memory_type(&g, GPU_DEVICE, 1u << 4 | 1u << 2, &got));
    assert_int_equal(got, 4);
    assert_true(gpu_memory_type(&g, GPU_UPLOAD, 1u << 2, &got));
    assert_int_equal(got, 2);
    assert_false(gpu_memory_type(&g, GPU_DEVICE, 1u << 2 | 1u << 3, &got));
    g.force_staging = true;
    assert_true(gpu_memory_type(&g, GPU_DEVICE, UINT32_MAX, &got));
    assert_int_equal(got, 1);
}

static void test_transfer(void **state)
{
    (void)state;
    enum {
        G = VK_QUEUE_GRAPHICS_BIT,
        C = VK_QUEUE_COMPUTE_BIT,
        T = VK_QUEUE_TRANSFER_BIT,
        S = VK_QUEUE_SPARSE_BINDING_BIT,
        VIDEO = 0x20
    };
    const VkQueueFamilyProperties nvidia[] = {
        {G | C | T | S, 16, 0, {0}}, {T | S, 2, 0, {0}}, {C | T | S, 8, 0, {0}}, {T | S | VIDEO, 1, 0, {0}}};
    const VkQueueFamilyProperties video[] = {
        {G | C | T, 1, 0, {0}}, {C | T, 4, 0, {0}}, {T | VIDEO, 1, 0, {0}}, {T, 2, 0, {0}}};
    assert_int_equal(gpu_transfer_family(nvidia, 4, 0), 1);
    assert_int_equal(gpu_transfer_family(video, 4, 0), 3);
    assert_int_equal(gpu_transfer_family(video, 3, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_types), cmocka_unit_test(test_allowed),
                                       cmocka_unit_test(test_transfer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
