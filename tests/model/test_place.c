// What lives where: the sums are the allocator's to the byte, and the logits are the same to the
// bit however a model is placed: resident, streamed, split over devices, cut into pieces, through
// staging, and whether its tiles come from the tile cache, which survives whatever befalls its
// file.
#include "engine/kernels/choose.h"
#include "engine/model/engine_internal.h"
#include "tests/model/common.h"
#include "base/file.h"
#include "tests/tiny_gguf.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char path[] = "place_tiny.gguf";
enum { N = 70, STEPS = 4, LAYERS = 7 };

static void write_seeded(enum quant_type type, bool tied, uint64_t seed)
{
    struct err e;
    struct tiny_model m = {.seed = seed,
                           .n_layers = LAYERS,
                           .n_embd = 256,
                           .n_heads = 4,
                           .n_kv_heads = 2,
                           .n_ff = 512,
                           .type = type,
                           .tied_output = tied};
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
}

static void write_model(enum quant_type type, bool tied)
{
    write_seeded(type, tied, 31);
}

// Fused layers (engine/model/fused.h) add in another order than the kernels that matrices in pieces
// need: with or without them, but not both, the bits are the same.
static bool with_fused;

static struct engine *open_with(struct engine_params p, const struct gpu_limits *wanted)
{
    struct engine *g = NULL;
    struct err e;
    struct gpu_limits copy = wanted ? *wanted : (struct gpu_limits){0}, *limits = &copy;
    limits->no_fused = !with_fused;
    p.model_path = path;
    if (!p.n_batch) p.n_batch = 16;
    p.n_ctx = 96;
    if (!engine_open_limited(&p, limits, &g, &e)) fail_msg("%s", e.msg);
    for (uint32_t k = 0; k < g->place.n_stages; k++) // to the byte
        assert_int_equal(g->stages[k].gpu.allocated_bytes, place_stage_bytes(&g->place.stage[k]));
    return g;
}

static float *logits_of(struct engine *g)
{
    return prompt_and_steps(g, N, STEPS);
}

static void same_open(struct engine *g, const float *want, const char *what)
{
    float *got = logits_of(g);
    size_t n = (N + STEPS) * (size_t)engine_info(g)->n_vocab, differ = 0;
    for (size_t i = 0; i < n; i++)
        differ += memcmp(&got[i], &want[i], sizeof *got) != 0;
    if (differ) fail_msg("%s: %zu of %zu logits differ", what, differ, n);
    free(got);
}

static void same(struct engine *g, const float *want, const char *what)
{
    same_open(g, want, what);
    engine_close(g);
}

// Bytes with which exactly `n` layers stay and the others are streamed, on each of n_devices.
static uint64_t budget_for(uint32_t n, uint32_t n_devices)
{
    struct engine *g = open_with((struct engine_params){0}, NULL);
    uint64_t all = place_stage_bytes(&g->place.stage[0]), step = 4096, found = 0;
    struct err e;
    for (uint64_t budget = all - step; !found && budget > step; budget -= step) {
        struct place p = g->place;
        p.n_stages = n_devices;
        for (uint32_t k = 0; k < n_devices; k++)
            p.stage[k] = (struct place_stage){.gpu = &g->stages[0].gpu, .budget = budget};
        p.p.n_batch = 16;
        if (place_decide(&g->file, &g->config, &p, &e) && !p.smaller_batch && !p.smaller_ctx &&
            p.stage[0].n_resident == n && p.stage[0].n_resident < p.stage[0].n_layers)
            found = budget;
    }
    if (!found) fail_msg("no budget keeps %u layers", n);
    engine_close(g);
    return found;
}

static void check_type(enum quant_type type, bool tied)
{
    static const struct {
        const char *what;
        struct gpu_limits limits;
    } limits[] = {{"staging", {.force_staging = true}},
                  {"pieces of 64 KiB", {.max_matrix = 65536}},
                  {"short submissions", {.max_work = 1}},
                  {"pieces, staging", {.max_matrix = 65536, .force_staging = true}}};
    char what[96];
    write_model(type, tied);
    struct engine *g = open_with((struct engine_params){0}, NULL);
    assert_int_equal(engine_info(g)->n_resident, LAYERS);
    float *want = logits_of(g);
    engine_close(g);
    for (uint32_t n = 0; n < 4; n += n ? 2 : 1) {
        struct engine_params p = {.max_bytes = {budget_for(n, 1)}};
        for (size_t i = 0; i <= sizeof limits / sizeof limits[0]; i++) {
            const struct gpu_limits *l = i ? &limits[i - 1].limits : NULL;
            (void)snprintf(what, sizeof what, "%s, %u of %u layers resident, %s",
                           quant_info(type)->name, n, LAYERS, i ? limits[i - 1].what : "plain");
            g = open_with(p, l);
            if (!i) assert_int_equal(engine_info(g)->n_resident, n);
            same(g, want, what);
        }
    }
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        same(open_with((struct engine_params){0}, &limits[i].limits), want, limits[i].what);
    same(open_with((struct engine_params){.device = "0,0"}, NULL), want, "two devices");
    same(open_with((struct engine_params){.device = "0,0,0", .n_batch = 512}, NULL), want,
         "three devices, another batch");
    struct gpu_limits staging = {.force_staging = true};
    same(open_with((struct engine_params){.device = "0,0"}, &staging), want,
         "two devices, staging");
    struct engine_params both = {.device = "0,0",
                                 .max_bytes = {budget_for(0, 2), budget_for(0, 2)}};
    same(open_with(both, NULL), want, "two small devices");
    free(want);
}

static void test_fused_bits(void **state)
{
    (void)state;
    const struct gpu_limits staging = {.force_staging = true}, work = {.max_work = 1};
    with_fused = true;
    write_model(QUANT_Q4_0, false);
    const struct engine_params streamed = {.max_bytes = {budget_for(2, 1)}};
    struct engine *g = open_with((struct engine_params){0}, NULL);
    bool fused = g->stages[0].forward.fused.n_groups != 0;
    float *want = logits_of(g);
    engine_close(g);
    same(open_with(streamed, NULL), want, "fused, streamed");
    same(open_with(streamed, &staging), want, "fused, streamed, staging");
    same(open_with((struct engine_params){0}, &work), want, "fused, short submissions");
    same(open_with((struct engine_params){.device = "0,0"}, NULL), want, "fused, two devices");
    free(want);
    with_fused = false;
    if (!fused) skip(); // not a software device, or a model that is too small
}

static void test_same_bits(void **state)
{
    (void)state;
    check_type(QUANT_Q4_0, false);
    check_type(QUANT_F16, true);
}

// With the kernels of the highest tier the same: sizes exact, bits the same however it is placed.
static void test_tiers(void **state)
{
    (void)state;
    const struct gpu_limits staging = {.force_staging = true}, pieces = {.max_matrix = 65536};
    for (uint32_t tier = 2; tier <= ENGINE_MAX_TIER; tier++) {
        struct engine_params p = {.tier_given = true, .tier = tier};
        write_model(QUANT_Q4_0, false);
        struct engine *g = open_with(p, NULL);
        float *want = logits_of(g);
        engine_close(g);
        same(open_with(p, &staging), want, "a higher tier, staging");
        same(open_with(p, &pieces), want, "a higher tier, pieces");
        p.device = "0,0";
        same(open_with(p, NULL), want, "a higher tier, two devices");
        p.device = NULL;
        p.max_bytes[0] = budget_for(1, 1);
        same(open_with(p, NULL), want, "a higher tier, streamed");
        free(want);
    }
}

// A pass that ends early leaves the streaming thread somewhere; the next one starts over.
static void test_cancelled_pass(void **state)
{
    (void)state;
    struct err e;
    write_model(QUANT_Q4_0, false);
    struct engine *g = open_with((struct engine_params){0}, NULL);
    float *want = logits_of(g);
    engine_close(g);
    g = open_with((struct engine_params){.max_bytes = {budget_for(2, 1)}}, NULL);
    int32_t id = 5;
    struct engine_item item = {0, &id, 1, LOGITS_NONE};
    for (int layer = 2; layer < LAYERS; layer++) { // as after a failure behind this layer
        assert_true(stream_acquire(&g->stages[0].stream, 2, &e));
        for (int i = 3; i <= layer; i++) {
            stream_release(&g->stages[0].stream, (uint32_t)i - 1);
            assert_true(stream_acquire(&g->stages[0].stream, (uint32_t)i, &e));
        }
        assert_true(engine_run(g, &item, 1, NULL, &e));
        assert_true(engine_seq_truncate(g, 0, 0, &e));
    }
    same(g, want, "after passes that ended early");
    free(want);
}

static struct engine_layout seen[16];
static uint32_t n_seen;

static void take_layout(void *ctx, const struct engine_layout *l)
{
    (void)ctx;
    if (n_seen < 16) seen[n_seen++] = *l;
}

// A device that refuses memory which its budget promised.
static void test_refused(void **state)
{
    (void)state;
    struct err e = {0};
    write_model(QUANT_Q4_0, false);
    struct engine *g = open_with((struct engine_params){0}, NULL);
    float *want = logits_of(g);
    uint64_t all = place_stage_bytes(&g->place.stage[0]);
    engine_close(g);
    for (uint64_t left = all - 4096; left > all / 2; left -= all / 8) {
        struct gpu_limits limits = {.max_bytes = left};
        n_seen = 0;
        g = open_with((struct engine_params){.on_layout = take_layout}, &limits);
        assert_true(n_seen > 1 && !seen[0].refused && seen[1].refused);
        const struct engine_layout *last = &seen[n_seen - 1];
        assert_true(last->device[0].total_bytes <= left);
        assert_true(last->smaller_batch || last->device[0].n_resident < LAYERS);
        same(g, want, "after a refusal");
    }
    struct gpu_limits nothing = {.max_bytes = 1000};
    struct engine_params p = {.model_path = path};
    assert_false(engine_open_limited(&p, &nothing, &g, &e));
    assert_null(g);
    assert_int_equal(e.code, ERR_MEMORY);
    free(want);
}

// What does not fit is made smaller: first the batch, then streaming, last the context.
static void test_smaller(void **state)
{
    (void)state;
    struct engine_layout l;
    struct err e = {0};
    write_model(QUANT_Q4_0, false);
    struct engine_params p = {.model_path = path, .n_ctx = 4096, .n_batch = 512};
    assert_true(engine_lay_out(&p, &l, &e));
    assert_false(l.smaller_batch || l.smaller_ctx);
    assert_int_equal(l.n_pass, 512);
    assert_int_equal(l.device[0].n_resident, LAYERS);
    assert_true(l.token_s > 0);
    uint64_t all = l.device[0].total_bytes, kv = l.device[0].kv_bytes;
    p.max_bytes[0] = all - 65536;
    assert_true(engine_lay_out(&p, &l, &e));
    assert_true(l.smaller_batch && !l.smaller_ctx && l.device[0].n_resident == LAYERS);
    assert_true(l.device[0].total_bytes <= p.max_bytes[0]);
    p.max_bytes[0] = kv + (l.device[0].total_bytes - kv) / 4;
    assert_true(engine_lay_out(&p, &l, &e));
    assert_true(!l.smaller_ctx && l.device[0].n_resident < LAYERS);
    assert_true(l.stream_bytes_s > 0 && l.n_pass % l.n_batch == 0);
    p.max_bytes[0] = kv;
    assert_true(engine_lay_out(&p, &l, &e));
    assert_true(l.smaller_ctx && l.n_ctx < 4096 && l.device[0].total_bytes <= kv);
    p.max_bytes[0] = 4096;
    assert_false(engine_lay_out(&p, &l, &e));
    assert_int_equal(e.code, ERR_MEMORY);
    p = (struct engine_params){.model_path = path, .device = "0,0,0,0,0,0,0,0"};
    assert_false(engine_lay_out(&p, &l, &e)); // 8 devices, 7 layers
    assert_int_equal(e.code, ERR_ARG);
    p.device = "0,0,0,0,0,0,0,0,0";
    assert_false(engine_lay_out(&p, &l, &e));
}

// ----------------------------------------------------------------------------- the tile cache

static char tiles[4096]; // the model's file of tiles

static void clear_tiles(void)
{
    char dir[4096];
    struct err e;
    if (!realpath(".", dir)) fail_msg("no working folder");
    strcat(dir, "/place_cache");
    assert_int_equal(setenv("XDG_CACHE_HOME", dir, 1), 0);
    strcat(dir, "/lectern"); // beside it drivers keep theirs
    if (!file_remove_tree(dir, &e)) fail_msg("%s", e.msg);
}

// Opens with the cache, which is `there` from the start or written, and checks what is computed.
static void with_tiles(struct engine_params p, const struct gpu_limits *limits, const float *want,
                       bool there, const char *what)
{
    p.tile_cache = true;
    struct engine *g = open_with(p, limits);
    assert_string_equal(engine_info(g)->warning, "");
    bool whole = there || engine_info(g)->n_resident == LAYERS; // else the first pass writes it
    assert_int_equal(tile_cache_mode(&g->tiles), whole ? TILES_READ : TILES_WRITE);
    same_open(g, want, what);
    assert_int_equal(tile_cache_mode(&g->tiles), TILES_READ);
    strcpy(tiles, g->tiles.path);
    assert_true(file_exists(tiles) && !file_exists(g->tiles.tmp));
    engine_close(g);
}

static float *want_logits(void)
{
    struct engine *g = open_with((struct engine_params){0}, NULL);
    float *want = logits_of(g);
    engine_close(g);
    return want;
}

// The same file of tiles, and the same bits, whoever writes and whoever reads it.
static void check_tiles(enum quant_type type, bool tied)
{
    write_model(type, tied);
    float *want = want_logits();
    const struct gpu_limits limits[] = {{0},
                                        {.force_staging = true},
                                        {.max_matrix = 65536},
                                        {.max_matrix = 65536, .force_staging = true}};
    const struct engine_params places[] = {
        {0},
        {.max_bytes = {budget_for(0, 1)}},
        {.max_bytes = {budget_for(3, 1)}},
        {.device = "0,0"},
    };
    char *first = NULL, *bytes;
    size_t size, n;
    struct err e;
    for (size_t i = 0; i < 16; i++) {
        clear_tiles();
        with_tiles(places[i / 4], &limits[i % 4], want, false, "tiles that are written");
        if (!file_read(tiles, 1 << 26, &bytes, &n, &e)) fail_msg("%s", e.msg);
        if (!first) {
            first = bytes;
            size = n;
            continue;
        }
        assert_int_equal(n, size);
        assert_memory_equal(bytes, first, n);
        free(bytes);
        for (size_t k = 0; k < 4; k++)
            if (k != i / 4 && (i + k) % 5 == 0)
                with_tiles(places[k], &limits[(i + k) % 4], want, true, "tiles that are read");
    }
    free(first);
    free(want);
}

static void test_tiles(void **state)
{
    (void)state;
    check_tiles(QUANT_Q4_0, false);
    check_tiles(QUANT_F16, true);
}

static void flip(uint64_t at)
{
    unsigned char c;
    int fd = open(tiles, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &c, 1, (off_t)at) == 1);
    c ^= 16;
    assert_true(pwrite(fd, &c, 1, (off_t)at) == 1 && close(fd) == 0);
}

// Damage is found, does no harm, and is mended by the same load or the next one.
static void test_damaged_tiles(void **state)
{
    (void)state;
    write_model(QUANT_Q4_0, false);
    float *want = want_logits();
    const struct engine_params plain = {0}, streamed = {.max_bytes = {budget_for(1, 1)}};
    struct stat st;
    clear_tiles();
    with_tiles(plain, NULL, want, false, "written");
    assert_int_equal(stat(tiles, &st), 0);
    for (off_t size = 0; size < st.st_size; size += st.st_size / 3) {
        assert_int_equal(truncate(tiles, size), 0);
        with_tiles(plain, NULL, want, true, "after a cut");
    }
    for (uint64_t at = 0; at < 160; at += 13) { // header, key and first sums
        flip(at);
        with_tiles(plain, NULL, want, true, "after a flip in the header");
    }
    for (int i = 1; i < 4; i++) {
        struct engine_params p = i % 2 ? plain : streamed;
        flip((uint64_t)st.st_size * (unsigned)i / 4 + 1);
        p.tile_cache = true;
        struct engine *g = open_with(p, NULL);
        same_open(g, want, "tiles with a flip");
        if (tile_cache_mode(&g->tiles) != TILES_OFF || file_exists(tiles))
            fail_msg("a flip in a tile was not found (%d)", i);
        engine_close(g);
        with_tiles(p, NULL, want, false, "after a flip in a tile");
    }
    free(want);
}

static void set_time(time_t s)
{
    const struct timespec times[2] = {{.tv_sec = s}, {.tv_sec = s}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

// Another model under the same name and of the same time: other types, or other weights alone. And
// the same bytes of another time.
static void test_changed_model(void **state)
{
    (void)state;
    const struct engine_params plain = {0};
    float *want = NULL;
    char *before, *after;
    size_t n;
    struct err e;
    clear_tiles();
    for (uint64_t i = 0; i < 4; i++) {
        write_seeded(i / 2 ? QUANT_Q4_1 : QUANT_Q4_0, false, 31 + i % 2);
        set_time(1000000000);
        free(want);
        want = want_logits();
        with_tiles(plain, NULL, want, true, "another model");
        with_tiles(plain, NULL, want, true, "the same model");
    }
    assert_true(file_read(tiles, 1 << 26, &before, &n, &e));
    set_time(1000000001);
    with_tiles(plain, NULL, want, true, "another time");
    assert_true(file_read(tiles, 1 << 26, &after, &n, &e));
    assert_memory_not_equal(before + 64, after + 64, 64); // the key
    assert_memory_equal(before + 128, after + 128, n - 128);
    free(before);
    free(after);
    free(want);
}

static void no_tiles(const float *want, const char *why)
{
    struct engine_params p = {.tile_cache = true};
    struct engine *g = open_with(p, NULL);
    if (!strstr(engine_info(g)->warning, why))
        fail_msg("warning \"%s\", not %s", engine_info(g)->warning, why);
    assert_int_equal(tile_cache_mode(&g->tiles), TILES_OFF);
    same(g, want, why);
    assert_false(file_exists(tiles));
}

// Does the driver keep device memory in memory files? Newer Mesa and SwiftShader do.
static bool memory_in_files(void)
{
    struct engine *g = open_with((struct engine_params){0}, NULL);
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = strstr(line, "/memfd:") != NULL;
    if (f) (void)fclose(f);
    engine_close(g);
    return found;
}

// A full disk, a file that somebody else is writing or left behind, a folder that cannot be made.
static void test_no_tiles(void **state)
{
    (void)state;
    char tmp[sizeof tiles + 8], dir[4096];
    struct rlimit old, small;
    struct err e;
    write_model(QUANT_Q4_0, false);
    float *want = want_logits();
    clear_tiles();
    with_tiles((struct engine_params){0}, NULL, want, false, "written");
    assert_int_equal(unlink(tiles), 0);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", tiles);

    if (memory_in_files()) {
        print_message("not with a full disk: this driver's memory is files itself\n");
    } else {
        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        small = (struct rlimit){100000, old.rlim_max}; // stands for a full disk
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        no_tiles(want, "cannot be kept");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_false(file_exists(tmp));
    }

    if (!file_write(tmp, "left behind", 11, &e)) fail_msg("%s", e.msg);
    int fd = open(tmp, O_RDWR);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    no_tiles(want, "another process");
    assert_int_equal(close(fd), 0);
    with_tiles((struct engine_params){0}, NULL, want, false, "left behind");

    clear_tiles();
    (void)snprintf(dir, sizeof dir, "%s/lectern", getenv("XDG_CACHE_HOME"));
    if (!file_write(dir, "", 0, &e)) fail_msg("%s", e.msg);
    no_tiles(want, "folder");
    if (!file_remove_tree(getenv("XDG_CACHE_HOME"), &e)) fail_msg("%s", e.msg);
    free(want);
}

// Ids alone are those of the largest logits, seen by the host or found on the device.
static void test_greedy(void **state)
{
    (void)state;
    struct tiny_model m = {.seed = 33, .n_kv_heads = 2};
    struct gpu_limits staging = {.force_staging = true};
    struct err e;
    if (!tiny_model_write(&m, path, &e)) fail_msg("%s", e.msg);
    for (int k = 0; k < 2; k++) {
        struct engine *g;
        struct engine_params p = {.model_path = path, .n_seqs = 2, .n_batch = 16};
        if (!engine_open_limited(&p, k ? &staging : NULL, &g, &e)) fail_msg("%s", e.msg);
        int32_t ids[40], got[41];
        float *want = logits_for(g, 41);
        uint32_t v = engine_info(g)->n_vocab;
        for (int32_t i = 0; i < 40; i++)
            ids[i] = (i * 37 + 11) % (int32_t)v;
        struct engine_item items[] = {{0, ids, 40, LOGITS_ALL}, {1, ids + 7, 20, LOGITS_LAST}};
        assert_true(engine_run(g, items, 2, want, &e));
        for (uint32_t q = 0; q < 2; q++)
            assert_true(engine_seq_truncate(g, q, 0, &e));
        assert_true(engine_run_greedy(g, items, 2, got, &e));
        for (uint32_t i = 0; i < 41; i++)
            assert_int_equal(got[i], logits_largest(want + i * v, v));
        free(want);
        engine_close(g);
    }
    remove(path);
}

// ---------------------------------------------------------------------------- chosen kernels

// A device that measures does so once: the second time the same kernels compute the same bits.
static void test_chosen(void **state)
{
    (void)state;
    const struct gpu_limits as_gpu = {.as_gpu = true};
    char kept[4096];
    struct err e;
    clear_tiles();
    write_model(QUANT_Q8_0, false);
    struct engine *g = open_with((struct engine_params){0}, &as_gpu);
    const struct stage *s = &g->stages[0];
    assert_true(choose_path(&s->gpu, kept, sizeof kept, &e));
    assert_int_equal(file_exists(kept), s->gpu.split);
    struct kernel_choice choice = s->choice;
    float *want = logits_of(g);
    engine_close(g);
    g = open_with((struct engine_params){0}, &as_gpu);
    assert_memory_equal(&g->stages[0].choice, &choice, sizeof choice);
    same(g, want, "chosen before");
    free(want);
    if (!file_remove_tree(getenv("XDG_CACHE_HOME"), &e)) fail_msg("%s", e.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),         cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_fused_bits),     cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_cancelled_pass), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_smaller),        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_damaged_tiles),  cmocka_unit_test(test_changed_model),
        cmocka_unit_test(test_no_tiles),       cmocka_unit_test(test_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
