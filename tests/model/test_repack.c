// Repacking: every type's tiles read back, bit by bit, after the byte pictures of
// shaders/formats/*.glsl, against the file's own integers, scales and minimums.
#include "base/half.h"
#include "base/size.h"
#include "engine/model/repack.h"
#include "tests/kernels/harness.h"

enum { GUARD = 64 };

static const enum quant_type types[] = {QUANT_Q4_0, QUANT_Q4_1,   QUANT_Q4_K,   QUANT_Q8_0,
                                        QUANT_Q5_0, QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_Q6_K,
                                        QUANT_Q3_K, QUANT_Q5_1,   QUANT_Q5_K,   QUANT_Q2_K,
                                        QUANT_F16,  QUANT_BF16,   QUANT_F32};

// ------------------------------------------------------------------- the pictures, as a reader

struct block { // one lane's view of a block
    const unsigned char *first;
};

static uint32_t word(struct block b, uint32_t texel, uint32_t i)
{
    uint32_t v;
    memcpy(&v, b.first + (size_t)16 * 8 * texel + 4 * i, 4);
    return v;
}

static uint32_t bits(uint32_t v, uint32_t at, uint32_t n)
{
    return v >> at & ((1u << n) - 1);
}

static float half_of(uint32_t v, uint32_t h)
{
    return f16_to_f32((uint16_t)bits(v, 16 * h, 16));
}

struct weight { // w = d*n + m
    int n;
    float d, m;
};

static struct weight q2_at(struct block b, uint32_t r, uint32_t col)
{
    uint32_t h = col / 16, k = col % 16;
    uint32_t w = word(b, h, k / 8 * 2 + r / 2);
    return (struct weight){(int)bits(w, 16 * (r % 2) + 2 * (k % 8), 2), half_of(word(b, 2, r), h),
                           half_of(word(b, 3, r), h)};
}

static struct weight q3_at(struct block b, uint32_t r, uint32_t col)
{
    uint32_t h = col / 16, k = col % 16, i = 2 * h + r / 2, at = 16 * (r % 2), n = 0;
    if (k < 15)
        n = bits(word(b, k / 5, i), at + 3 * (k % 5), 3);
    else
        for (uint32_t j = 0; j < 3; j++)
            n |= bits(word(b, j, i), at + 15, 1) << j;
    return (struct weight){(int)n - 4, half_of(word(b, 3, r), h), 0};
}

static struct weight q4_at(struct block b, uint32_t r, uint32_t col)
{
    uint32_t w = word(b, r / 2 * 2 + col / 16, col % 16 / 4);
    return (struct weight){(int)bits(w, 16 * (r % 2) + 4 * (col % 4), 4),
                           half_of(word(b, 4, r / 2), r % 2),
                           half_of(word(b, 4, 2 + r / 2), r % 2)};
}

// b: a unit of two blocks.
static struct weight q4s_at(struct block b, uint32_t r, uint32_t col)
{
    uint32_t half = col / 32, k = 1 + 4 * half + r / 2 * 2 + col % 32 / 16;
    return (struct weight){(int)bits(word(b, k, col % 16 / 4), 16 * (r % 2) + 4 * (col % 4), 4) - 8,
                           half_of(word(b, 0, 2 * half + r / 2), r % 2), 0};
}

static struct weight q5_at(struct block b, uint32_t r, uint32_t col)
{
    uint32_t n = 0, s = word(b, 5, r);
    if (col < 30)
        n = bits(word(b, col / 6, r), 2 + 5 * (col % 6), 5);
    else
        for (uint32_t i = 0; i < 5; i++) { // ten spare bits, two a word
            uint32_t at = 5 * (col - 30) + i;
            n |= bits(word(b, at / 2, r), at % 2, 1) << i;
        }
    return (struct weight){(int)n, half_of(s, 0), half_of(s, 1)};
}

static struct weight q6_at(struct block b, uint32_t r, uint32_t col)
{
    uint32_t h = col / 16, k = col % 16, n = 0;
    if (k < 15)
        n = bits(word(b, 3 * h + k / 5, r), 2 + 6 * (k % 5), 6);
    else
        for (uint32_t j = 0; j < 3; j++)
            n |= bits(word(b, 3 * h + j, r), 0, 2) << 2 * j;
    return (struct weight){(int)(n ^ 32) - 32, half_of(word(b, 6, r), h), 0};
}

static struct weight q8_at(struct block b, uint32_t r, uint32_t col)
{
    uint32_t w = word(b, 2 * r + col / 16, col % 16 / 4);
    return (struct weight){(int)(bits(w, 8 * (col % 4), 8) ^ 128) - 128,
                           half_float(word(b, 8, r)), 0};
}

static struct weight grouped_at(enum weight_format f, struct block b, uint32_t r, uint32_t col)
{
    switch (f) {
    case WEIGHT_Q2: return q2_at(b, r, col);
    case WEIGHT_Q3: return q3_at(b, r, col);
    case WEIGHT_Q4: return q4_at(b, r, col);
    case WEIGHT_Q4S: return q4s_at(b, r, col);
    case WEIGHT_Q5: return q5_at(b, r, col);
    case WEIGHT_Q6: return q6_at(b, r, col);
    default: return q8_at(b, r, col);
    }
}

// -------------------------------------------------------------------------------------- checks

struct matrix {
    struct gguf_tensor t;
    size_t row_bytes, tile_bytes, block_bytes, n_blocks;
    unsigned char *data, *tile; // one tile and a guard
    struct quant_group *groups;
};

static struct matrix make_matrix(struct kt *t, enum quant_type type, size_t n_rows, size_t n_cols)
{
    struct matrix m = {.n_blocks = size_div_up(n_cols, 32)};
    m.block_bytes = weight_layout(repack_format(type, n_cols))->block_texels * 16u;
    m.tile_bytes = m.n_blocks * m.block_bytes;
    assert_true(quant_row_bytes(type, n_cols, &m.row_bytes));
    m.data = malloc(n_rows * m.row_bytes);
    m.tile = malloc(m.tile_bytes + GUARD);
    m.groups = calloc(m.n_blocks, sizeof *m.groups);
    assert_true(m.data && m.tile && m.groups);
    kt_random_rows(t, type, n_rows, n_cols, m.data);
    m.t = (struct gguf_tensor){.type = type, .ne = {n_cols, n_rows, 1, 1}, .data = m.data};
    return m;
}

static void free_matrix(struct matrix *m)
{
    free(m->data);
    free(m->tile);
    free(m->groups);
}

static float rounded(enum weight_format f, float v)
{
    return f == WEIGHT_Q8 ? v : f16_to_f32(f32_to_f16(v));
}

// Row `row` of the tile against the file's row; src NULL: padding, all weights zero.
static void check_grouped_row(struct matrix *m, uint32_t row, const unsigned char *src)
{
    enum weight_format f = repack_format(m->t.type, m->t.ne[0]);
    int zero = m->t.type == QUANT_Q5_0 ? 16 : m->t.type == QUANT_Q4_0 && f == WEIGHT_Q4 ? 8 : 0;
    uint32_t unit = 32 * weight_layout(f)->unit_blocks;
    if (src) quant_groups(m->t.type, src, (size_t)m->t.ne[0], m->groups);
    for (uint32_t col = 0; col < m->t.ne[0]; col++) {
        struct block b = {m->tile + col / unit * (unit / 32) * m->block_bytes + 16 * (row / 4)};
        struct weight w = grouped_at(f, b, row % 4, col % unit);
        const struct quant_group *g = &m->groups[col / 32];
        float d = g->d[col % 32 / 16], min = g->m[col % 32 / 16];
        if (!src) {
            assert_true(w.d == 0 && w.m == 0);
            continue;
        }
        if (w.n != g->q[col % 32] + zero || w.d != rounded(f, d) ||
            w.m != rounded(f, min - (float)zero * d))
            fail_msg("%s, row %u, column %u: %g * %d + %g, expected %g * (%d + %d) + %g",
                     quant_info(m->t.type)->name, row, col, (double)w.d, w.n, (double)w.m,
                     (double)d, g->q[col % 32], zero, (double)min);
    }
}

static void check_plain_row(struct matrix *m, uint32_t row, const unsigned char *src)
{
    for (size_t i = 0; i < m->block_bytes / 32 * m->n_blocks; i++) {
        size_t at = i % (m->block_bytes / 32), texel = (at / 16 * 4 + row % 4) * 8 + row / 4;
        unsigned char got =
            m->tile[i / (m->block_bytes / 32) * m->block_bytes + 16 * texel + at % 16];
        assert_int_equal(got, src && i < m->row_bytes ? src[i] : 0);
    }
}

// Whatever was there before, the same bytes come out, and none behind them.
static void check_case(struct kt *t, enum quant_type type, size_t n_rows, size_t n_cols)
{
    struct matrix m = make_matrix(t, type, n_rows, n_cols);
    unsigned char *again = malloc(m.tile_bytes);
    assert_non_null(again);
    for (size_t tile = 0; tile < size_div_up(n_rows, 32); tile++) {
        memset(again, 0x55, m.tile_bytes);
        repack_tile(&m.t, tile, again);
        memset(m.tile, 0xaa, m.tile_bytes + GUARD);
        repack_tile(&m.t, tile, m.tile);
        assert_memory_equal(m.tile, again, m.tile_bytes);
        for (size_t i = 0; i < GUARD; i++)
            assert_int_equal(m.tile[m.tile_bytes + i], 0xaa);
        for (uint32_t row = 0; row < 32; row++) {
            const unsigned char *src =
                tile * 32 + row < n_rows ? m.data + (tile * 32 + row) * m.row_bytes : NULL;
            if (quant_is_grouped(type))
                check_grouped_row(&m, row, src);
            else
                check_plain_row(&m, row, src);
        }
    }
    free(again);
    free_matrix(&m);
}

static void test_pictures(void **state)
{
    (void)state;
    struct kt t = {.rng = 7};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t block = quant_info(types[i])->block;
        size_t step = size_max(block, 32);
        check_case(&t, types[i], 1, step);
        check_case(&t, types[i], 32, 9 * step); // a span and a part of one
        check_case(&t, types[i], 67, 3 * step);
        if (block == 1) check_case(&t, types[i], 33, 37);
    }
}

// Bits a weight, as engine/ARCHITECTURE.md states them.
static void test_sizes(void **state)
{
    static const double bits_of[N_WEIGHT_FORMATS] = {
        [WEIGHT_Q2] = 4, [WEIGHT_Q3] = 4, [WEIGHT_Q4] = 5,   [WEIGHT_Q4S] = 4.5, [WEIGHT_Q5] = 6,
        [WEIGHT_Q6] = 7, [WEIGHT_Q8] = 9, [WEIGHT_F16] = 16, [WEIGHT_BF16] = 16, [WEIGHT_F32] = 32};
    (void)state;
    for (size_t f = 0; f < N_WEIGHT_FORMATS; f++)
        assert_true(weight_layout((enum weight_format)f)->block_texels * 128 ==
                    bits_of[f] * 32 * 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pictures),
                                       cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
