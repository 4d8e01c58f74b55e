// One model over devices of two drivers, in one process: the residual stream goes from one to the
// other by the host. On one driver, named twice, the logits are the same to the bit (test_place.c);
// over two they differ by their rounding.
//
// The second driver: whatever Vulkan lists beside the first, else SwiftShader from the cache folder,
// where tools/portability.sh puts it. With one driver alone only the runs over it are made.
#include "base/file.h"
#include "engine/model/engine_internal.h"
#include "tests/model/common.h"
#include "tests/tiny_gguf.h"

static const char path[] = "vendors_tiny.gguf";
enum { N = 40, STEPS = 4, LAYERS = 6, N_EMBD = 256, N_FF = 512 };

static struct engine *open_on(const char *device, uint64_t max_bytes, bool staging)
{
    struct engine *g = NULL;
    struct err e;
    struct engine_params p = {.model_path = path,
                              .device = device,
                              .kv = ENGINE_KV_F32,
                              .n_ctx = 96,
                              .n_batch = 16,
                              .max_bytes = {max_bytes, max_bytes},
                              .validate = true};
    struct gpu_limits limits = {.force_staging = staging};
    if (engine_open_limited(&p, &limits, &g, &e)) return g;
    p.validate = false;
    if (e.code != ERR_DEVICE || !engine_open_limited(&p, &limits, &g, &e))
        fail_msg("%s: %s", device, e.msg);
    print_message("without the validation layer\n");
    return g;
}

static float *logits_of(struct engine *g)
{
    return prompt_and_steps(g, N, STEPS);
}

// Bytes a device with which both stream: less than all by 0.8 of a layer. Two slots for a stage of
// three layers save one.
static uint64_t streaming_bytes(const char *device)
{
    struct engine *g = open_on(device, 0, false);
    const struct place_stage *s = g->place.stage;
    uint64_t layer = s[0].resident_bytes / s[0].n_layers;
    uint64_t bytes = place_stage_bytes(&s[1]) - layer / 5 * 4;
    engine_close(g);
    return bytes;
}

// Largest rms_rel of a row.
static double worst(const float *got, const float *want, size_t n_vocab)
{
    double most = 0, row[1024];
    assert_true(n_vocab <= 1024);
    for (size_t i = 0; i < N + STEPS; i++) {
        for (size_t k = 0; k < n_vocab; k++)
            row[k] = (double)want[i * n_vocab + k];
        double r = rms_rel(got + i * n_vocab, row, n_vocab);
        most = r > most ? r : most;
    }
    return most;
}

static void compare(const char *device, uint64_t max_bytes, bool staging, const float *want,
                    double limit)
{
    struct engine *g = open_on(device, max_bytes, staging);
    float *got = logits_of(g);
    double r = worst(got, want, engine_info(g)->n_vocab);
    print_message("%-6s %u of %u layers resident%s: rms_rel %.2e (limit %.1e)\n", device,
                  engine_info(g)->n_resident, LAYERS, staging ? ", staging" : "", r, limit);
    if (max_bytes) assert_true(engine_info(g)->n_resident < LAYERS);
    if (!(r <= limit)) fail_msg("%s: rms_rel %g, at most %g", device, r, limit);
    free(got);
    engine_close(g);
}

static float *alone(size_t device)
{
    char name[32];
    struct err e;
    struct tiny_model m = {.seed = 47,
                           .n_layers = LAYERS,
                           .n_embd = N_EMBD,
                           .n_heads = 4,
                           .n_kv_heads = 2,
                           .n_ff = N_FF,
                           .type = QUANT_F32};
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
    (void)snprintf(name, sizeof name, "%zu", device);
    struct engine *g = open_on(name, 0, false);
    float *want = logits_of(g);
    engine_close(g);
    return want;
}

// The first usable device that is not SwiftShader, and the first of another driver, or n.
static size_t two_devices(size_t *first, size_t *other)
{
    struct gpu_caps *caps;
    struct err e;
    size_t n;
    if (!gpu_list(&caps, &n, &e)) {
        print_message("skipped: %s\n", e.msg);
        skip();
    }
    *first = 0;
    *other = n;
    for (size_t i = n; i-- > 0;)
        if (caps[i].usable && !strstr(caps[i].name, "SwiftShader")) *first = i;
    for (size_t i = n; i-- > 0;)
        if (caps[i].usable && strcmp(caps[i].driver, caps[*first].driver)) *other = i;
    print_message("%s%s%s\n", caps[*first].name, *other < n ? " and " : "",
                  *other < n ? caps[*other].name : "");
    free(caps);
    return n;
}

static void compare_pair(size_t a, size_t b, const float *want, double limit)
{
    char pair[64];
    (void)snprintf(pair, sizeof pair, "%zu,%zu", a, b);
    uint64_t bytes = streaming_bytes(pair);
    compare(pair, 0, false, want, limit);
    compare(pair, 0, true, want, limit);
    compare(pair, bytes, false, want, limit);
    compare(pair, bytes, true, want, limit);
}

static void test_one_driver(void **state)
{
    (void)state;
    size_t first, other;
    (void)two_devices(&first, &other);
    float *want = alone(first);
    compare_pair(first, first, want, 0);
    free(want);
}

// Weights, activations and cache are f32. Each of the 4 * LAYERS + 1 products that a logit's path
// goes through, with the norms between them, adds up to n_ff terms, in chains of any shape: an error
// of at most n_ff * 2^-24 each relative to its sum of magnitudes, but it grows as the root of
// independent roundings, sqrt(n_ff) * 2^-24 = 1.3e-6, of sums whose terms cancel to their root again;
// test_engine.c's plain types have the same form. The stages' errors add: 25 * 1.3e-6 = 3.4e-5 for
// one run, and both runs err.
static void test_two_drivers(void **state)
{
    (void)state;
    size_t first, other, n = two_devices(&first, &other);
    if (other == n) {
        print_message("skipped: one driver only; tools/portability.sh fetches another\n");
        skip();
    }
    float *want = alone(first);
    double limit = 2 * (4 * LAYERS + 1) * sqrt(N_FF) * 0x1p-24;
    compare_pair(first, other, want, limit);
    compare_pair(other, first, want, limit);
    free(want);
}

static int clean_up(void **state)
{
    (void)state;
    remove(path);
    return 0;
}

int main(void)
{
    char cache[2048], icd[4096];
    struct err e;
    if (file_cache_dir(cache, sizeof cache, &e)) {
        (void)snprintf(icd, sizeof icd, "%s/drivers/swiftshader/icd.json", cache);
        if (file_exists(icd)) (void)setenv("VK_ADD_DRIVER_FILES", icd, 0);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_driver),
                                       cmocka_unit_test(test_two_drivers)};
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
