// matmul for GPUs (split, by integer dot products, by cooperative matrices) on every device that
// can, a software device too: every format, odd sizes, one, few and many tokens, against double.
#include "engine/model/repack.h"
#include "engine/ref/ref.h"
#include "tests/kernels/harness.h"

static const enum quant_type all_types[] = {QUANT_Q4_0, QUANT_Q4_K, QUANT_Q8_0, QUANT_IQ4_XS,
                                            QUANT_Q5_0, QUANT_Q5_K, QUANT_Q6_K, QUANT_Q3_K,
                                            QUANT_Q2_K, QUANT_F16,  QUANT_BF16, QUANT_F32};
enum { N_TYPES = sizeof all_types / sizeof all_types[0] };

struct tier_case {
    enum matmul_way way;
    enum quant_type type;
    size_t n_rows, n_cols, n_tokens;
    bool add;
    enum kt_pattern pattern;
};

struct tier_run { // its buffers, to look at once more
    struct kt_weights w;
    struct kt_buf acts, y;
    struct kt_expect x;
    size_t stride, offset;
};

// WAY_SPLIT. test_matmul.c's chain of n_blocks + 16, and one addition a slice of the workgroup: 16
// more.
//
// WAY_DOT. Integer sums are exact. A half of 16 columns adds four rounded terms at most, each a
// product of three; then one addition a block and one a slice of the workgroup: a chain of n_blocks
// + 16 slices + 12, each 2^-24 of what was added so far.
//
// WAY_COOP. d n + m rounds twice, 2^-24 of |d n| + |m| each. To f16, which Vulkan may round towards
// zero: weights by 2^-10 of |w|, activations of |x|, both by 2^-24 among the subnormals. The sum,
// in whatever order, rounds once a column (and once a block more), by 2^-23 where it truncates, as
// matrix units may.
static double tolerance(const struct tier_case *c, const struct kt_weights *w, const double *x,
                        size_t row, double residual)
{
    size_t width = w->n_blocks * 32;
    double sum_abs = 0, rounded = 0;
    for (size_t i = 0; i < width; i++) {
        double mag = w->mag[row * width + i], v = fabs(x[i]);
        sum_abs += mag * v;
        rounded += (0x1p-10 * mag + 0x1p-24) * v * (1 + 0x1p-10) +
                   mag * (1 + 0x1p-10) * (0x1p-10 * v + 0x1p-24);
    }
    double tol = 0x1p-23 * fabs(residual) + 0x1p-120;
    if (c->way < WAY_COOP) return tol + ((double)w->n_blocks + 32 + 1) * 0x1p-24 * sum_abs;
    return tol + rounded + ((double)(width + w->n_blocks) + 3) * 0x1p-23 * (sum_abs + rounded);
}

static void expect(struct kt *t, const struct tier_case *c, struct tier_run *r, const double *x)
{
    size_t width = r->w.n_blocks * 32, rows = r->w.n_tiles * 32;
    double *y = calloc(c->n_tokens * c->n_rows, sizeof *y), *old = calloc(r->y.words, sizeof *old);
    assert_true(y && old);
    if (c->add) { // the residual lies where the result goes
        kt_values(t, KT_RANDOM, old, r->y.words);
        kt_free(t, &r->y);
        r->y = kt_floats(t, old, c->n_tokens * r->stride);
        for (size_t i = 0; i < c->n_tokens; i++)
            memcpy(y + i * c->n_rows, old + i * r->stride + r->offset, c->n_rows * sizeof *y);
    }
    ref_matmul(r->w.w, x, c->n_rows, width, c->n_tokens, c->add, y);
    for (size_t i = 0; i < c->n_tokens; i++)
        for (size_t row = 0; row < rows; row++) {
            size_t at = i * r->stride + r->offset + row;
            double before = c->add ? old[at] : 0;
            if (row < c->n_rows)
                kt_expect_at(&r->x, at, y[i * c->n_rows + row],
                             tolerance(c, &r->w, x + i * width, row, before));
            else // rows of padding: zero weights
                kt_expect_at(&r->x, at, before, 0);
        }
    free(y);
    free(old);
}

static void dispatch(struct kt *t, const struct tier_case *c, const struct tier_run *r,
                     const struct kt_buf *acts, const struct kt_buf *y)
{
    const struct gpu_pipeline *p;
    uint32_t groups[3];
    struct err e;
    struct push_matmul push = {.n_tiles = (uint32_t)r->w.n_tiles,
                               .n_blocks = (uint32_t)r->w.n_blocks,
                               .n_tokens = (uint32_t)c->n_tokens,
                               .y_stride = (uint32_t)r->stride / 4,
                               .y_offset = (uint32_t)r->offset / 4,
                               .add = c->add};
    if (!kernels_matmul_way(&t->k, r->w.format, c->way, push.n_tiles, push.n_tokens, &p, groups,
                            &e))
        fail_msg("%s", e.msg);
    kt_run_groups(t, p, (const struct kt_buf *[]){&r->w.tiles, acts, y, y}, &push, groups);
}

static struct tier_run run_case(struct kt *t, const struct tier_case *c)
{
    struct tier_run r = {.w = kt_weights(t, c->type, c->n_rows, c->n_cols), .offset = 32};
    double *x = calloc(c->n_tokens * r.w.n_blocks * 32, sizeof *x);
    assert_non_null(x);
    r.stride = r.w.n_tiles * 32 + 64;
    r.acts = kt_acts(t, c->pattern, matmul_act(r.w.format, c->way), c->n_tokens, r.w.n_blocks, x);
    r.y = kt_upload(t, NULL, c->n_tokens * r.stride);
    r.x = kt_expect(&r.y);
    expect(t, c, &r, x);
    free(x);
    dispatch(t, c, &r, &r.acts, &r.y);
    return r;
}

static void free_run(struct kt *t, struct tier_run *r)
{
    kt_expect_free(&r->x);
    kt_free(t, &r->acts);
    kt_free(t, &r->y);
    kt_weights_free(t, &r->w);
}

static void tier_case(struct kt *t, const struct tier_case *c)
{
    char what[128];
    struct tier_run r = run_case(t, c);
    (void)snprintf(what, sizeof what, "%s, %s [%zu, %zu] x %zu, pattern %d",
                   matmul_way_name(c->way), quant_info(c->type)->name, c->n_rows, c->n_cols,
                   c->n_tokens, (int)c->pattern);
    kt_check(t, &r.y, &r.x, what);
    free_run(t, &r);
}

static bool can(const struct kt *t, enum quant_type type, size_t n_tokens, enum matmul_way w)
{
    return matmul_can(&t->gpu, repack_format(type, 32 * BLOCK_COLS),
                      matmul_class((uint32_t)n_tokens), w);
}

// KT_MIXED and KT_SPIKE go beyond what f16 holds. norm makes no integers of KT_TINY (its scales
// would be subnormal, which a device may flush to zero).
static enum kt_pattern pattern(enum matmul_way w, size_t k)
{
    static const enum kt_pattern dot[] = {KT_RANDOM, KT_MIXED, KT_ZERO, KT_SPIKE, KT_EQUAL};
    static const enum kt_pattern coop[] = {KT_RANDOM, KT_ZERO, KT_TINY, KT_EQUAL};
    return w == WAY_COOP ? coop[k % 4] : dot[k % 5];
}

static void check_sizes(struct kt *t)
{
    static const size_t rows[] = {1, 31, 33, 100}, cols[] = {32, 96, 576};
    static const size_t tokens[] = {1, 16, 2, 64, 5, 67};
    size_t n_run[N_WAYS] = {0};
    for (uint32_t w = WAY_SPLIT; w < N_WAYS; w++)
        for (size_t i = 0; i < N_TYPES; i++)
            for (size_t k = 0; k < 12; k++) {
                size_t n = quant_info(all_types[i])->block == 256 ? 256 * (k % 3 + 1) : cols[k % 3];
                struct tier_case c = {(enum matmul_way)w,
                                      all_types[i],
                                      rows[k % 4],
                                      n,
                                      tokens[k % 6],
                                      k % 5 == 2,
                                      pattern((enum matmul_way)w, k + i)};
                if (!can(t, c.type, c.n_tokens, c.way)) continue;
                n_run[w]++;
                tier_case(t, &c);
            }
    print_message("%s: split %zu cases, dot %zu, coop %zu\n", t->name, n_run[WAY_SPLIT],
                  n_run[WAY_DOT], n_run[WAY_COOP]);
}

// The largest sums of integers, and the widest matrix of any Llama.
static void check_extremes(struct kt *t)
{
    for (uint32_t w = WAY_SPLIT; w < N_WAYS; w++)
        for (size_t i = 0; i < N_TYPES; i++) {
            struct tier_case c = {(enum matmul_way)w, all_types[i], 33, 512, 17, false, KT_EQUAL};
            if (w == WAY_SPLIT) c.n_tokens = 3;
            if (!can(t, c.type, c.n_tokens, c.way)) continue;
            for (t->fill = 1; t->fill <= 256; t->fill += 255)
                tier_case(t, &c);
            t->fill = 0;
            if (i % 4) continue;
            c.n_cols = 53248;
            c.pattern = KT_RANDOM;
            tier_case(t, &c);
            c.n_tokens = 1;
            if (can(t, c.type, 1, c.way)) tier_case(t, &c);
        }
}

// A flipped bit of weights or activations must be noticed, a wrong value of y too.
static void check_tester(struct kt *t)
{
    char msg[256];
    for (uint32_t w = WAY_SPLIT; w < N_WAYS; w++) {
        struct tier_case c = {(enum matmul_way)w,      QUANT_Q4_0, 33,       96,
                              w == WAY_SPLIT ? 3 : 17, false,      KT_RANDOM};
        if (!can(t, c.type, c.n_tokens, c.way)) continue;
        struct tier_run r = run_case(t, &c);
        uint32_t *got = kt_read(t, &r.y);
        assert_true(kt_compare(&r.y, got, &r.x, msg));
        free(got);
        uint32_t *words = kt_read(t, &r.acts);
        words[1] ^= w < WAY_COOP ? 0x40u : 0x80000000u; // an integer by 64, or a sign
        struct kt_buf bad = kt_upload(t, words, r.acts.words), y = kt_upload(t, NULL, r.y.words);
        dispatch(t, &c, &r, &bad, &y);
        got = kt_read(t, &y);
        assert_false(kt_compare(&y, got, &r.x, msg));
        free(got);
        free(words);
        kt_free(t, &bad);
        kt_free(t, &y);
        free_run(t, &r);
    }
}

#define TIERS(name)                                                                                \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        kt_tiers(check_##name);                                                                    \
    }
TIERS(sizes)
TIERS(extremes)
TIERS(tester)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_extremes),
                                       cmocka_unit_test(test_tester)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
