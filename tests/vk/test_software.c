// How wide lavapipe's vectors are, and where what it compiles for a width is kept.
#include "base/file.h"
#include "engine/vk/gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char here[2048];

// Lanes of lavapipe's subgroups, listed anew; skipped where there is none, or one that is not widened.
static uint32_t lanes(bool widened)
{
    struct gpu_caps *caps;
    size_t n;
    struct err e;
    uint32_t found = 0;
    bool gpu = false;
    if (!gpu_list(&caps, &n, &e)) skip();
    for (size_t i = 0; i < n; i++) {
        gpu |= strcmp(caps[i].type, "cpu") != 0;
        uint32_t mesa = gpu_mesa_version(caps[i].driver);
        if (!strncmp(caps[i].name, "llvmpipe", 8) && (!widened || mesa == 22 || mesa >= 25))
            found = caps[i].subgroup_size;
    }
    free(caps);
    if (!found || (widened && gpu)) skip();
#if defined(__x86_64__)
    if (widened && !__builtin_cpu_supports("avx512vl")) skip();
#else
    if (widened) skip();
#endif
    return found;
}

static int fresh(void **state)
{
    (void)state;
    unsetenv("LP_NATIVE_VECTOR_WIDTH");
    unsetenv("MESA_SHADER_CACHE_DIR");
    unsetenv("MESA_SHADER_CACHE_DISABLE");
    return setenv("XDG_CACHE_HOME", here, 1);
}

static void test_version(void **state)
{
    (void)state;
    assert_int_equal(gpu_mesa_version("llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"), 22);
    assert_int_equal(gpu_mesa_version("radv Mesa 25.0.7-2"), 25);
    assert_int_equal(gpu_mesa_version("NVIDIA 550.54"), 0);
}

static void test_users_width(void **state)
{
    (void)state;
    char dir[4096];
    struct err e;
    setenv("LP_NATIVE_VECTOR_WIDTH", "256", 1);
    assert_int_equal(lanes(false), 8);
    assert_true(file_path(dir, sizeof dir, &e, "%s/lectern/mesa-256", here));
    assert_string_equal(getenv("MESA_SHADER_CACHE_DIR"), dir);
}

static void test_widened(void **state)
{
    (void)state;
    char dir[4096];
    struct err e;
    assert_int_equal(lanes(true), 16);
    assert_string_equal(getenv("LP_NATIVE_VECTOR_WIDTH"), "512");
    assert_true(file_path(dir, sizeof dir, &e, "%s/lectern/mesa-512", here));
    assert_string_equal(getenv("MESA_SHADER_CACHE_DIR"), dir);
    assert_int_equal(access(dir, W_OK), 0);
    assert_int_equal(lanes(true), 16); // and stays so
}

static void test_users_cache(void **state)
{
    (void)state;
    char dir[4096];
    struct err e;
    setenv("MESA_SHADER_CACHE_DIR", here, 1);
    assert_int_equal(lanes(true), 16);
    assert_true(file_path(dir, sizeof dir, &e, "%s/mesa-512", here));
    assert_string_equal(getenv("MESA_SHADER_CACHE_DIR"), dir);
}

static void test_no_cache(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    assert_int_equal(lanes(true), 16);
    assert_null(getenv("MESA_SHADER_CACHE_DIR"));
    assert_string_equal(getenv("MESA_SHADER_CACHE_DISABLE"), "true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_version, fresh),
        cmocka_unit_test_setup(test_users_width, fresh),
        cmocka_unit_test_setup(test_widened, fresh),
        cmocka_unit_test_setup(test_users_cache, fresh),
        cmocka_unit_test_setup(test_no_cache, fresh),
    };
    if (!getcwd(here, sizeof here)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
