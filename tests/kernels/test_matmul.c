// matmul: every weight format, odd sizes, one and many blocks, one and several tokens.
#include "base/half.h"
#include "engine/ref/ref.h"
#include "tests/kernels/harness.h"

static const enum quant_type all_types[] = {QUANT_Q4_0, QUANT_Q4_1,   QUANT_Q4_K,   QUANT_Q8_0,
                                            QUANT_Q5_0, QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_Q6_K,
                                            QUANT_Q3_K, QUANT_Q5_1,   QUANT_Q5_K,   QUANT_Q2_K,
                                            QUANT_F16,  QUANT_BF16,   QUANT_F32};
enum { N_TYPES = sizeof all_types / sizeof all_types[0] };

// ------------------------------------------------------------------------------------- matmul

struct matmul_case {
    enum quant_type type;
    size_t n_rows, n_cols, n_tokens;
    uint32_t nt;
    bool add;
    enum kt_pattern pattern;
};

struct matmul_run { // its buffers, to look at once more
    struct kt_weights w;
    struct kt_buf acts, y;
    struct kt_expect x;
    size_t stride, offset;
};

// Tolerance. One block gives at most 2 + 4 + 4 + 2 roundings of its parts (products, the sums of
// four- and eight-wide dots, scale and minimum; integer sums are exact), then one addition a block:
// a chain of n_blocks + 12, plus 4 for the record's own f32 sum. Each rounds by 2^-24 of what was
// added so far, which sum |w| |x| bounds, |w| taken as |d n| + |m|. Residual: one rounding more.
static double tolerance(const struct kt_weights *w, const double *x, size_t row, double residual)
{
    size_t width = w->n_blocks * 32;
    double sum_abs = 0;
    for (size_t c = 0; c < width; c++)
        sum_abs += w->mag[row * width + c] * fabs(x[c]);
    double chain = (double)w->n_blocks + 16;
    return (chain + 1) * 0x1p-24 * sum_abs + 0x1p-23 * fabs(residual) + 0x1p-120;
}

static void expect_matmul(struct kt *t, const struct matmul_case *c, struct matmul_run *r,
                          const double *x)
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
                             tolerance(&r->w, x + i * width, row, before));
            else // rows of padding: zero weights
                kt_expect_at(&r->x, at, before, 0);
        }
    free(y);
    free(old);
}

static struct matmul_run run_matmul(struct kt *t, const struct matmul_case *c)
{
    struct matmul_run r = {.w = kt_weights(t, c->type, c->n_rows, c->n_cols), .offset = 32};
    enum act_form form = weight_layout(r.w.format)->act;
    const struct gpu_pipeline *p;
    struct err e;
    double *x = calloc(c->n_tokens * r.w.n_blocks * 32, sizeof *x);
    assert_non_null(x);
    r.stride = r.w.n_tiles * 32 + 64;
    r.acts = kt_acts(t, c->pattern, form, c->n_tokens, r.w.n_blocks, x);
    r.y = kt_upload(t, NULL, c->n_tokens * r.stride);
    r.x = kt_expect(&r.y);
    expect_matmul(t, c, &r, x);
    free(x);
    struct push_matmul push = {.n_tiles = (uint32_t)r.w.n_tiles,
                               .n_blocks = (uint32_t)r.w.n_blocks,
                               .n_tokens = (uint32_t)c->n_tokens,
                               .y_stride = (uint32_t)r.stride / 4,
                               .y_offset = (uint32_t)r.offset / 4,
                               .add = c->add};
    uint32_t groups[3];
    kernels_matmul_groups(&t->k, c->nt, push.n_tiles, push.n_tokens, groups);
    if (!kernels_matmul(&t->k, r.w.format, c->nt, &p, &e)) fail_msg("%s", e.msg);
    kt_run_groups(t, p, (const struct kt_buf *[]){&r.w.tiles, &r.acts, &r.y, &r.y}, &push, groups);
    return r;
}

static void free_run(struct kt *t, struct matmul_run *r)
{
    kt_expect_free(&r->x);
    kt_free(t, &r->acts);
    kt_free(t, &r->y);
    kt_weights_free(t, &r->w);
}

static void matmul_case(struct kt *t, const struct matmul_case *c)
{
    char what[128];
    struct matmul_run r = run_matmul(t, c);
    (void)snprintf(what, sizeof what, "matmul %s [%zu, %zu] x %zu, NT %u, pattern %d",
                   quant_info(c->type)->name, c->n_rows, c->n_cols, c->n_tokens, c->nt,
                   (int)c->pattern);
    kt_check(t, &r.y, &r.x, what);
    free_run(t, &r);
}

static void check_matmul(struct kt *t)
{
    static const size_t rows[] = {1, 31, 33, 100}, cols[] = {32, 96, 576}, tokens[] = {1, 9, 3, 6};
    static const uint32_t nt[] = {1, 4, 2, 8, 6}; // in turn with every size and token count
    for (size_t i = 0; i < N_TYPES; i++)
        for (size_t k = 0; k < 24; k++) {
            size_t n = quant_info(all_types[i])->block == 256 ? 256 * (k % 3 + 1) : cols[k % 3];
            struct matmul_case c = {all_types[i],
                                    rows[k % 4],
                                    n,
                                    tokens[k / 2 % 4],
                                    nt[(k + i) % 5],
                                    k % 5 == 2,
                                    (enum kt_pattern)(k % 4)};
            matmul_case(t, &c);
        }
    matmul_case(t, &(struct matmul_case){QUANT_F16, 33, 36, 3, 4, false, KT_RANDOM});
}

// The largest sums of integers: every weight at one end of its range, every activation too.
static void check_extremes(struct kt *t)
{
    for (size_t i = 0; i < N_TYPES; i++)
        for (t->fill = 1; t->fill <= 256; t->fill += 255)
            matmul_case(t, &(struct matmul_case){all_types[i], 33, 512, 5, 4, false, KT_EQUAL});
    t->fill = 0;
}

// The widest matrix of any Llama: n_ff 53,248. Mesa 22.3 ends an invocation after 65,535 loop
// iterations without a word, so one that loops over columns would be short here.
static void check_wide(struct kt *t)
{
    for (size_t i = 0; i < N_TYPES; i++) {
        struct matmul_case c = {all_types[i], 33, 53248, 5, 4, false, KT_RANDOM};
        matmul_case(t, &c);
        c.n_tokens = c.nt = 1;
        matmul_case(t, &c);
    }
}

// Several parts of a pass, several runs of tiles, the last of each not whole.
static void check_order(struct kt *t)
{
    static const size_t tokens[] = {63, 64, 65, 100, 129, 200};
    static const uint32_t nt[] = {8, 4, 2, 1, 6};
    for (size_t i = 0; i < 30; i++)
        matmul_case(t, &(struct matmul_case){i % 2 ? QUANT_Q8_0 : QUANT_Q4_0, i % 3 ? 545 : 97, 32,
                                             tokens[i % 6], nt[i % 5], false, KT_RANDOM});
}

// The checks themselves: a wrong value, a touched guard, a missing result and a changed weight
// must all be noticed.
static void check_tester(struct kt *t)
{
    char msg[256];
    struct matmul_case c = {QUANT_Q4_0, 33, 96, 3, 4, false, KT_RANDOM};
    struct matmul_run r = run_matmul(t, &c);
    uint32_t *got = kt_read(t, &r.y);
    assert_true(kt_compare(&r.y, got, &r.x, msg));
    size_t at = r.stride + r.offset + 7;
    uint32_t good = got[at];
    got[at] = half_bits((float)(r.x.value[at] + 4 * r.x.tol[at] + 1e-30));
    assert_false(kt_compare(&r.y, got, &r.x, msg));
    got[at] = POISON;
    assert_false(kt_compare(&r.y, got, &r.x, msg));
    got[at] = good;
    got[r.y.words] = 0; // the first guard word
    assert_false(kt_compare(&r.y, got, &r.x, msg));
    got[r.y.words] = POISON;
    got[r.stride - 1] = 0; // between two rows
    assert_false(kt_compare(&r.y, got, &r.x, msg));
    free(got);
    free_run(t, &r);
    for (size_t k = 0; k < 3; k++) { // weights, then activations, then the wrong shape
        r = run_matmul(t, &c);
        struct kt_buf *b = k == 0 ? &r.w.tiles : &r.acts;
        uint32_t *words = kt_read(t, b);
        words[k == 2 ? 8 : 1] ^= k == 2 ? 1u << 22 : 0x00f000f0u;
        struct kt_buf bad = kt_upload(t, words, b->words), y = kt_upload(t, NULL, r.y.words);
        const struct kt_buf *bufs[] = {k ? &r.w.tiles : &bad, k ? &bad : &r.acts, &y, &y};
        struct push_matmul push = {(uint32_t)r.w.n_tiles,  (uint32_t)r.w.n_blocks, 3,
                                   (uint32_t)r.stride / 4, (uint32_t)r.offset / 4, 0};
        const struct gpu_pipeline *p;
        struct err e;
        if (!kernels_matmul(&t->k, r.w.format, 4, &p, &e)) fail_msg("%s", e.msg);
        uint32_t groups[3];
        kernels_matmul_groups(&t->k, 4, push.n_tiles, push.n_tokens, groups);
        kt_run_groups(t, p, bufs, &push, groups);
        got = kt_read(t, &y);
        assert_false(kt_compare(&y, got, &r.x, msg));
        free(got);
        free(words);
        kt_free(t, &bad);
        kt_free(t, &y);
        free_run(t, &r);
    }
}

#define EVERYWHERE(name)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        kt_everywhere(check_##name);                                                               \
    }
EVERYWHERE(matmul)
EVERYWHERE(extremes)
EVERYWHERE(wide)
EVERYWHERE(order)
EVERYWHERE(tester)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matmul),
                                       cmocka_unit_test(test_extremes), cmocka_unit_test(test_wide),
                                       cmocka_unit_test(test_order), cmocka_unit_test(test_tester)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
