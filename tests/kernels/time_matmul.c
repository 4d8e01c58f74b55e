// Times repacking and the matmul kernel of every type:
//
//   time_matmul [rows cols [types...]]     default 4096 14336, every type
//
// Best of several runs, on the device that LECTERN_DEVICE names (default: the best one), wall clock
// around one submission. GB/s: repacking counts the file's bytes, one thread; the kernel counts the
// layout's bytes.
#include "base/clock.h"
#include "base/size.h"
#include "engine/model/repack.h"
#include "engine/ref/ref.h"
#include "tests/kernels/harness.h"

enum { RUNS = 7 };

struct timing {
    struct kt *t;
    struct gguf_tensor tensor;
    unsigned char *tiles;
    size_t tile_bytes, n_tiles, n_blocks;
    enum weight_format format;
};

static double repack_seconds(struct timing *m)
{
    double best = 1e9;
    for (int i = 0; i < RUNS; i++) {
        double t0 = clock_s();
        for (size_t tile = 0; tile < m->n_tiles; tile++)
            repack_tile(&m->tensor, tile, m->tiles + tile * m->tile_bytes);
        best = fmin(best, clock_s() - t0);
    }
    return best;
}

static double matmul_seconds(struct timing *m, struct kt_buf *tiles, uint32_t n_tokens)
{
    struct kt *t = m->t;
    enum act_form form = weight_layout(m->format)->act;
    size_t record = act_texels(form) * 4, stride = m->n_tiles * 32;
    uint32_t *words = calloc(n_tokens * m->n_blocks * record, sizeof *words);
    double v[32], best = 1e9;
    const struct gpu_pipeline *p;
    struct err e;
    assert_non_null(words);
    for (size_t i = 0; i < n_tokens * m->n_blocks; i++) {
        kt_values(t, KT_RANDOM, v, 32);
        ref_act_encode(form, v, words + i * record);
    }
    struct kt_buf acts = kt_upload(t, words, n_tokens * m->n_blocks * record);
    struct kt_buf y = kt_upload(t, NULL, n_tokens * stride);
    struct push_matmul push = {.n_tiles = (uint32_t)m->n_tiles,
                               .n_blocks = (uint32_t)m->n_blocks,
                               .n_tokens = n_tokens,
                               .y_stride = (uint32_t)stride / 4};
    uint32_t groups[3];
    kernels_matmul_groups(&t->k, n_tokens, push.n_tiles, n_tokens, groups);
    if (!kernels_matmul(&t->k, m->format, n_tokens, &p, &e)) fail_msg("%s", e.msg);
    for (int i = 0; i < RUNS; i++) {
        double t0 = clock_s();
        kt_run_groups(t, p, (const struct kt_buf *[]){tiles, &acts, &y, &y}, &push, groups);
        best = fmin(best, clock_s() - t0);
    }
    kt_free(t, &acts);
    kt_free(t, &y);
    free(words);
    return best;
}

static void time_type(struct kt *t, enum quant_type type, size_t n_rows, size_t n_cols)
{
    struct timing m = {.t = t, .format = repack_format(type, n_cols)};
    size_t row_bytes;
    assert_true(quant_row_bytes(type, n_cols, &row_bytes));
    unsigned char *data = malloc(n_rows * row_bytes);
    m.n_blocks = size_div_up(n_cols, BLOCK_COLS);
    m.n_tiles = size_div_up(n_rows, TILE_ROWS);
    m.tile_bytes = m.n_blocks * weight_layout(m.format)->block_texels * 16;
    m.tiles = calloc(m.n_tiles, m.tile_bytes);
    assert_true(data && m.tiles);
    kt_random_rows(t, type, size_min(n_rows, 32), n_cols, data);
    for (size_t r = 32; r < n_rows; r++)
        memcpy(data + r * row_bytes, data + r % 32 * row_bytes, row_bytes);
    m.tensor = (struct gguf_tensor){.type = type, .ne = {n_cols, n_rows, 1, 1}, .data = data};
    double bytes = (double)m.n_tiles * (double)m.tile_bytes, repack = repack_seconds(&m);
    struct kt_buf tiles = kt_upload(t, (const uint32_t *)(const void *)m.tiles,
                                    m.n_tiles * m.tile_bytes / 4);
    double one = matmul_seconds(&m, &tiles, 1), four = matmul_seconds(&m, &tiles, 4);
    print_message("%-7s %-5s repack %6.2f GB/s   matvec %8.0f us %6.2f GB/s   4 tokens %8.0f us "
                  "%6.2f GB/s\n",
                  quant_info(type)->name, weight_layout(m.format)->name,
                  (double)(n_rows * row_bytes) / repack * 1e-9, one * 1e6, bytes / one * 1e-9,
                  four * 1e6, bytes / four * 1e-9);
    kt_free(t, &tiles);
    free(m.tiles);
    free(data);
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 3; i < argc; i++)
        if (!strcmp(argv[i], name)) return true;
    return argc < 4;
}

int main(int argc, char **argv)
{
    struct kt t = {.rng = 1};
    struct err e;
    size_t rows = argc > 2 ? strtoul(argv[1], NULL, 10) : 4096;
    size_t cols = argc > 2 ? strtoul(argv[2], NULL, 10) : 14336;
    if (!gpu_create(getenv("LECTERN_DEVICE"), false, NULL, &t.gpu, &e)) fail_msg("%s", e.msg);
    kernels_init(&t.k, &t.gpu);
    print_message("%s, %s; [%zu, %zu]\n", t.gpu.caps.name, t.gpu.caps.driver, rows, cols);
    for (uint32_t type = 0; type < 64; type++)
        if (quant_info(type) && wanted(quant_info(type)->name, argc, argv))
            time_type(&t, (enum quant_type)type, rows, cols);
    kernels_destroy(&t.k);
    gpu_destroy(&t.gpu);
    return 0;
}
