// Which kernels a device chooses: by tier, by measurement, from the file that keeps them. A
// software device measures when told to act as a GPU.
#include "base/file.h"
#include "base/json.h"
#include "engine/kernels/choose.h"
#include "tests/kernels/harness.h"

#include <sys/stat.h>
#include <unistd.h>

static const uint32_t Q8 = 1u << WEIGHT_Q8, F32 = 1u << WEIGHT_F32;
static char folder[] = "choose-XXXXXX";

// False: no device here, or none with integer dot products.
static bool open_gpu(struct gpu *gpu, const struct gpu_limits *limits)
{
    struct err e;
    if (!gpu_create(NULL, false, limits, gpu, &e)) return false;
    if (gpu->caps.int8_dot) return true;
    gpu_destroy(gpu);
    return false;
}

static struct choose_report choose(struct gpu *gpu, uint32_t formats, struct kernel_choice *out)
{
    struct choose_report r;
    struct err e;
    if (!kernels_choose(gpu, formats, out, &r, &e)) fail_msg("%s", e.msg);
    return r;
}

static void expect_ways(const struct kernel_choice *k, enum weight_format f, int one, int few,
                        int many)
{
    assert_int_equal(k->way[f][CLASS_ONE], one);
    assert_int_equal(k->way[f][CLASS_FEW], few);
    assert_int_equal(k->way[f][CLASS_MANY], many);
}

static bool kept(const struct gpu *gpu, char path[4096])
{
    struct err e;
    assert_true(choose_path(gpu, path, 4096, &e));
    return file_exists(path);
}

static void test_tiers(void **state)
{
    struct kernel_choice k;
    struct gpu gpu;
    char path[4096];
    (void)state;
    for (uint32_t tier = 0; tier <= 3; tier++) {
        if (!open_gpu(&gpu, &(struct gpu_limits){.tier_given = true, .tier = tier})) skip();
        struct choose_report r = choose(&gpu, Q8 | F32, &k);
        bool coop = tier == 3 && gpu.caps.coopmat && KERNELS_HAVE_COOP;
        bool cpu = !strcmp(gpu.caps.type, "cpu");
        int split = tier >= (cpu ? 2 : 1) ? WAY_SPLIT : WAY_PLAIN;
        expect_ways(&k, WEIGHT_F32, split, split, coop ? WAY_COOP : WAY_PLAIN);
        int few = tier >= 2 ? WAY_DOT : split, many = tier >= 2 ? WAY_DOT : WAY_PLAIN;
        expect_ways(&k, WEIGHT_Q8, few, few, coop ? WAY_COOP : many);
        assert_int_equal(gpu.subgroups, tier >= 1 && gpu.caps.subgroup_shuffle);
        assert_int_equal(r.n_measured + r.n_cached, 0);
        assert_false(kept(&gpu, path));
        gpu_destroy(&gpu);
    }
}

static void test_hidden(void **state)
{
    struct gpu_limits l = {.tier_given = true, .tier = 3, .no_dot = true, .no_coopmat = true};
    struct kernel_choice k;
    struct gpu gpu;
    (void)state;
    if (!open_gpu(&gpu, &l)) skip();
    choose(&gpu, Q8, &k);
    expect_ways(&k, WEIGHT_Q8, WAY_SPLIT, WAY_SPLIT, WAY_PLAIN);
    gpu_destroy(&gpu);
    l = (struct gpu_limits){.tier_given = true, .tier = 3, .no_fp16 = true};
    assert_true(open_gpu(&gpu, &l));
    choose(&gpu, Q8, &k);
    expect_ways(&k, WEIGHT_Q8, WAY_DOT, WAY_DOT, WAY_DOT); // cooperative matrices are of f16
    gpu_destroy(&gpu);
}

static void test_fastest(void **state)
{
    static const struct {
        double us[N_WAYS]; // plain, split, dot, coop
        enum matmul_way q4, q8;
    } cases[] = {
        {{100, NAN, NAN, NAN}, WAY_PLAIN, WAY_PLAIN}, {{100, 99, NAN, NAN}, WAY_SPLIT, WAY_SPLIT},
        {{100, 101, 96, 96}, WAY_PLAIN, WAY_PLAIN},   {{100, 101, 94, NAN}, WAY_DOT, WAY_PLAIN},
        {{100, 90, 50, NAN}, WAY_DOT, WAY_SPLIT},     {{100, 90, 50, 60}, WAY_DOT, WAY_COOP},
        {{100, 90, 50, 40}, WAY_COOP, WAY_COOP},
    };
    (void)state;
    _Static_assert(WAY_SPLIT == WAY_PLAIN + 1 && WAY_DOT == 2 && WAY_COOP == 3, "order of us");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(choose_fastest(cases[i].us, WEIGHT_Q4), cases[i].q4);
        assert_int_equal(choose_fastest(cases[i].us, WEIGHT_Q8), cases[i].q8);
    }
}

static void test_software(void **state)
{
    struct kernel_choice k;
    struct gpu gpu;
    char path[4096];
    (void)state;
    if (!open_gpu(&gpu, NULL)) skip();
    bool cpu = !strcmp(gpu.caps.type, "cpu");
    if (cpu) {
        struct choose_report r = choose(&gpu, Q8 | F32, &k);
        assert_int_equal(r.n_measured + r.n_cached, 0);
        expect_ways(&k, WEIGHT_Q8, WAY_PLAIN, WAY_PLAIN, WAY_PLAIN);
        assert_false(kept(&gpu, path));
    }
    gpu_destroy(&gpu);
    if (!cpu) skip();
}

// Replaces the first `old` in the file; false: it is not there.
static bool edit(const char *path, const char *old, const char *new)
{
    struct err e;
    struct text t = {0};
    char *data;
    size_t n;
    assert_true(file_read(path, 1 << 20, &data, &n, &e));
    char *at = strstr(data, old);
    if (at) {
        text_add(&t, data, (size_t)(at - data));
        text_puts(&t, new);
        text_puts(&t, at + strlen(old));
        assert_true(file_write(path, t.data, t.size, &e));
    }
    text_free(&t);
    free(data);
    return at != NULL;
}

static void expect_anew(struct gpu *gpu, const char *what)
{
    struct kernel_choice k;
    struct choose_report r = choose(gpu, Q8, &k);
    if (r.n_measured != 1 || r.n_cached)
        fail_msg("%s: %u measured, %u from the file", what, r.n_measured, r.n_cached);
    r = choose(gpu, Q8, &k);
    if (r.n_measured || r.n_cached != 1)
        fail_msg("behind %s: %u measured, %u from the file", what, r.n_measured, r.n_cached);
}

static void test_file(void **state)
{
    struct kernel_choice k, again;
    struct gpu gpu;
    struct err e;
    char path[4096], text[256];
    (void)state;
    if (!open_gpu(&gpu, &(struct gpu_limits){.as_gpu = true, .no_coopmat = true})) skip();
    assert_false(kept(&gpu, path));
    struct choose_report r = choose(&gpu, Q8, &k);
    assert_int_equal(r.n_measured, 1);
    assert_true(kept(&gpu, path));
    r = choose(&gpu, Q8, &again);
    assert_int_equal(r.n_measured, 0);
    assert_int_equal(r.n_cached, 1);
    assert_memory_equal(&k, &again, sizeof k);

    const char *other = k.way[WEIGHT_Q8][CLASS_ONE] == WAY_DOT ? "plain" : "dot";
    char now[64], planted[64]; // what stands there is what is taken
    (void)snprintf(now, sizeof now, "\"way\":\t\"%s\"",
                   matmul_way_name((enum matmul_way)k.way[WEIGHT_Q8][CLASS_ONE]));
    (void)snprintf(planted, sizeof planted, "\"way\":\t\"%s\"", other);
    assert_true(edit(path, now, planted));
    choose(&gpu, Q8, &again);
    assert_string_equal(matmul_way_name((enum matmul_way)again.way[WEIGHT_Q8][CLASS_ONE]), other);
    choose_describe(&gpu, text, sizeof text);
    assert_memory_equal(text, "q8 ", 3);
    assert_memory_equal(text + 3, other, strlen(other));

    assert_true(edit(path, planted, "\"way\":\t\"coop\"")); // which was taken from this device
    expect_anew(&gpu, "an impossible way");
    assert_true(file_write(path, "{\"version\": 1, \"formats\": {\"q8\"", 31, &e));
    expect_anew(&gpu, "half a file");
    assert_true(edit(path, "\"driver_version\":\t", "\"driver_version\":\t9"));
    expect_anew(&gpu, "another driver");
    assert_true(edit(path, "\"kernels\":\t\"", "\"kernels\":\t\"f"));
    expect_anew(&gpu, "other kernels");
    gpu_destroy(&gpu);
}

// A second format is added to what is known; where nothing can be kept all goes on.
static void test_adding(void **state)
{
    struct kernel_choice k;
    struct gpu gpu;
    char path[4096], text[256];
    (void)state;
    if (!open_gpu(&gpu, &(struct gpu_limits){.as_gpu = true, .no_coopmat = true})) skip();
    struct choose_report r = choose(&gpu, Q8 | 1u << WEIGHT_Q4, &k);
    assert_int_equal(r.n_cached, 1); // test_file's
    assert_int_equal(r.n_measured, 1);
    choose_describe(&gpu, text, sizeof text);
    assert_non_null(strstr(text, "q4 "));
    assert_non_null(strstr(text, ", q8 "));
    assert_true(kept(&gpu, path));
    assert_int_equal(setenv("XDG_CACHE_HOME", "/proc/self/nowhere", 1), 0);
    r = choose(&gpu, Q8, &k);
    assert_int_equal(r.n_measured, 1);
    assert_false(kept(&gpu, path));
    gpu_destroy(&gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiers),    cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_software), cmocka_unit_test(test_file),
        cmocka_unit_test(test_adding),   cmocka_unit_test(test_fastest)};
    char path[4096];
    struct err e;
    if (!mkdtemp(folder) || !getcwd(path, sizeof path - sizeof folder - 1)) return 1;
    (void)strcat(strcat(path, "/"), folder);
    if (setenv("XDG_CACHE_HOME", path, 1)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return file_remove_tree(path, &e) ? failed : 1;
}
