// rope and its cache write, and shift: head sizes, cache types, values of every size.
#include "base/half.h"
#include "base/size.h"
#include "engine/ref/ref.h"
#include "tests/kernels/cache.h"

// Tables begin with entries that no dispatch may read, rows with columns of another part.
enum { LEAD = 3, SKIP = 32 };

// --------------------------------------------------------------------------------------- rope

struct rope_case {
    uint32_t n_heads, n_kv_heads, head_dim, n_tokens;
    uint32_t kv_type;
    enum kt_pattern pattern;
};

struct rope_run {
    struct push_rope push;
    uint32_t cells[5], n_cells;
    double *qkv; // [n_tokens, 4 * qkv_stride]
    float angles[(LEAD + 5) * 128];
};

// A rotation: two products and one sum of f32 values: 2 * 2^-24 of |a cos| + |b sin|. q is scaled
// after it: one more.
static void expect_head(struct kt_expect *x, size_t at, const double *v, const float *angles,
                        size_t head_dim, int part, double scale)
{
    double out[256];
    if (part < 2) ref_rope(v, angles, head_dim, out);
    for (size_t i = 0; i < head_dim; i++) {
        size_t j = i & ~(size_t)1;
        double y = part == 2 ? v[i] : out[i] * scale;
        double tol = part == 2 ? 0 : 3 * 0x1p-24 * (fabs(v[j]) + fabs(v[j + 1])) * scale + 0x1p-126;
        kt_expect_at(x, at + i, y, tol);
    }
}

static void expect_token(const struct rope_case *c, const struct rope_run *r, uint32_t t,
                         struct kt_expect *q, struct kt_expect *kv)
{
    const struct push_rope *p = &r->push;
    const double *row = r->qkv + (size_t)t * 4 * p->qkv_stride;
    const float *angles = r->angles + (size_t)(LEAD + t) * c->head_dim;
    for (uint32_t h = 0; h < c->n_heads; h++)
        expect_head(q, (size_t)t * 4 * p->q_stride + SKIP + h * c->head_dim,
                    row + SKIP + h * c->head_dim, angles, c->head_dim, 0, (double)p->q_scale);
    for (uint32_t h = 0; h < c->n_kv_heads; h++) {
        size_t at = kt_kv_row(r->cells[t], h, c->n_kv_heads) * p->kv_dim;
        expect_head(kv, at, row + 4 * p->k_offset + h * c->head_dim, angles, c->head_dim, 1, 1);
        expect_head(kv, p->v_base + at, row + 4 * p->v_offset + h * c->head_dim, angles,
                    c->head_dim, 2, 1);
    }
}

static void setup_rope(struct kt *t, const struct rope_case *c, struct rope_run *r, uint32_t *table)
{
    uint32_t nq = c->n_heads * c->head_dim, nk = c->n_kv_heads * c->head_dim;
    uint32_t kv_dim = (uint32_t)size_align(c->head_dim, 64);
    r->n_cells = 2 * KV_PAGE;
    r->push = (struct push_rope){.token_base = LEAD,
                                 .n_heads = c->n_heads,
                                 .n_kv_heads = c->n_kv_heads,
                                 .head_dim = c->head_dim,
                                 .kv_dim = kv_dim,
                                 .q_offset = SKIP / 4,
                                 .k_offset = (uint32_t)size_align(SKIP + nq, 32) / 4,
                                 .q_stride = (uint32_t)size_align(SKIP + nq, 32) / 4,
                                 .v_base = r->n_cells * c->n_kv_heads * kv_dim,
                                 .q_scale = (float)(1 / sqrt(c->head_dim))};
    r->push.v_offset = r->push.k_offset + (uint32_t)size_align(nk, 32) / 4;
    r->push.qkv_stride = r->push.v_offset + (uint32_t)size_align(nk, 32) / 4;
    size_t n = (size_t)c->n_tokens * 4 * r->push.qkv_stride;
    r->qkv = calloc(n, sizeof *r->qkv);
    assert_non_null(r->qkv);
    kt_values(t, c->pattern, r->qkv, n);
    for (uint32_t i = 0; i < LEAD * c->head_dim; i++)
        r->angles[i] = NAN;
    for (uint32_t i = 0; i < 4 * LEAD; i++)
        table[i] = POISON;
    for (uint32_t i = 0; i < c->n_tokens; i++) {
        r->cells[i] = (i * 17 + 31) % r->n_cells; // 31, 48, 1, 18, 35: no order, two pages
        memcpy(table + 4 * (LEAD + i), (uint32_t[]){POISON, r->cells[i], POISON, POISON}, 16);
        for (uint32_t k = 0; k < c->head_dim / 2; k++) {
            double angle = kt_uniform(t, 0, 7);
            float *pair = r->angles + (LEAD + i) * c->head_dim + 2 * k;
            pair[0] = (float)cos(angle);
            pair[1] = (float)sin(angle);
        }
    }
}

static void rope_case(struct kt *t, const struct rope_case *c)
{
    struct rope_run r = {0};
    uint32_t table[4 * (LEAD + 5)], words[(LEAD + 5) * 128];
    char what[128];
    const struct gpu_pipeline *p;
    struct err e;
    setup_rope(t, c, &r, table);
    (void)snprintf(what, sizeof what, "rope %u/%u heads of %u, %u tokens, %s, pattern %d",
                   c->n_heads, c->n_kv_heads, c->head_dim, c->n_tokens, kt_kv_name(c->kv_type),
                   (int)c->pattern);
    memcpy(words, r.angles, sizeof words);
    size_t elements = 2 * (size_t)r.push.v_base;
    struct kt_buf qkv = kt_floats(t, r.qkv, (size_t)c->n_tokens * 4 * r.push.qkv_stride),
                  angles = kt_upload(t, words, (LEAD + c->n_tokens) * c->head_dim),
                  tb = kt_upload(t, table, 4 * (LEAD + c->n_tokens)),
                  q = kt_upload(t, NULL, (size_t)c->n_tokens * 4 * r.push.q_stride),
                  kv = kt_upload(t, NULL, kt_kv_words(c->kv_type, r.push.v_base));
    struct kt_buf as_elements = {.words = elements};
    struct kt_expect xq = kt_expect(&q), xkv = kt_expect(&as_elements);
    for (uint32_t i = 0; i < c->n_tokens; i++)
        expect_token(c, &r, i, &xq, &xkv);
    if (!kernels_rope(&t->k, c->kv_type, &p, &e)) fail_msg("%s", e.msg);
    kt_run(t, p, (const struct kt_buf *[]){&qkv, &angles, &tb, &q, &kv}, &r.push, c->n_tokens, 1);
    kt_check(t, &q, &xq, what);
    kt_kv_check(t, c->kv_type, &kv, r.push.v_base, &xkv, what);
    kt_expect_free(&xq);
    kt_expect_free(&xkv);
    kt_free(t, &qkv);
    kt_free(t, &angles);
    kt_free(t, &tb);
    kt_free(t, &q);
    kt_free(t, &kv);
    free(r.qkv);
}

static const uint32_t heads[][2] = {{1, 1}, {3, 1}, {8, 8}, {8, 2}, {9, 3}},
                      dims[] = {8, 32, 64, 128, 80};

static void check_rope(struct kt *t)
{
    static const uint32_t tokens[] = {1, 2, 3, 5};
    for (uint32_t i = 0; i < 80; i++) {
        struct rope_case c = {heads[i % 5][0], heads[i % 5][1],
                              dims[i / 4 % 5], tokens[i / 3 % 4],
                              i % KT_KV_TYPES, (enum kt_pattern)((i + i / 5) % KT_N_PATTERNS)};
        rope_case(t, &c);
    }
}

// -------------------------------------------------------------------------------------- shift

enum { PAGES = 4 };

// Rows of every page in every head; elements behind head_dim as rope leaves them: what they were,
// or zeros in quantised types.
static uint32_t *make_cache(struct kt *t, uint32_t type, size_t v_base, uint32_t head_dim)
{
    size_t kv_dim = size_align(head_dim, 64), n = kt_kv_words(type, v_base);
    uint32_t *words = malloc(n * sizeof *words);
    double row[128] = {0};
    assert_non_null(words);
    for (size_t i = 0; i < n; i++)
        words[i] = POISON;
    for (size_t i = 0; i < 2 * v_base; i += kv_dim) {
        kt_values(t, i % 3 ? KT_RANDOM : KT_SPIKE, row, head_dim);
        for (size_t k = 0; k < head_dim; k++)
            row[k] = fmin(6e4, fmax(-6e4, row[k]));
        kt_kv_put(type, words, v_base, i, row, type >= KV_Q8_0 ? kv_dim : head_dim);
    }
    return words;
}

// What rows of a page become: rotated by the pair's angle, an error of the rotation as for rope.
static void expect_page(struct kt_expect *x, uint32_t type, const uint32_t *words, size_t v_base,
                        size_t page, size_t n_heads, size_t head_dim, const float *angles)
{
    size_t kv_dim = size_align(head_dim, 64);
    for (size_t r = page * KV_PAGE * n_heads; r < (page + 1) * KV_PAGE * n_heads; r++) {
        double row[128];
        for (size_t k = 0; k < head_dim; k++)
            row[k] = kt_kv_get(type, words, v_base, r * kv_dim + k);
        expect_head(x, r * kv_dim, row, angles, head_dim, 1, 1);
        for (size_t k = head_dim; type >= KV_Q8_0 && k < kv_dim; k++)
            kt_expect_at(x, r * kv_dim + k, 0, 0);
    }
}

// Pages 3 and 1 of four, in this order behind entries of the table that stay. Keys of other pages,
// and all values, are untouched.
static void shift_case(struct kt *t, uint32_t n_heads, uint32_t head_dim, uint32_t type)
{
    const uint32_t moved[] = {3, 1}, kv_dim = (uint32_t)size_align(head_dim, 64);
    uint32_t table[4 * (LEAD + 2)], words[128];
    float angles[128];
    char what[64];
    const struct gpu_pipeline *p;
    struct err e;
    size_t v_base = (size_t)PAGES * KV_PAGE * n_heads * kv_dim;
    uint32_t *cache = make_cache(t, type, v_base, head_dim);
    for (uint32_t i = 0; i < head_dim / 2; i++) {
        double angle = kt_uniform(t, 0, 7);
        angles[2 * i] = (float)cos(angle);
        angles[2 * i + 1] = (float)sin(angle);
    }
    memcpy(words, angles, sizeof words);
    for (uint32_t i = 0; i < 4 * (LEAD + 2); i++)
        table[i] = i % 4 || i < 4 * LEAD ? POISON : moved[i / 4 - LEAD] * KV_PAGE;
    struct kt_buf ab = kt_upload(t, words, head_dim), tb = kt_upload(t, table, 4 * (LEAD + 2)),
                  kv = kt_upload(t, cache, kt_kv_words(type, v_base)),
                  as_elements = {.words = 2 * v_base};
    struct kt_expect x = kt_expect(&as_elements);
    for (uint32_t i = 0; i < 2; i++)
        expect_page(&x, type, cache, v_base, moved[i], n_heads, head_dim, angles);
    if (!kernels_shift(&t->k, type, &p, &e)) fail_msg("%s", e.msg);
    struct push_shift push = {LEAD, n_heads, head_dim, kv_dim, (uint32_t)v_base};
    kt_run(t, p, (const struct kt_buf *[]){&ab, &tb, &kv}, &push, 2, KV_PAGE);
    (void)snprintf(what, sizeof what, "shift %u heads of %u, %s", n_heads, head_dim,
                   kt_kv_name(type));
    kt_kv_check(t, type, &kv, v_base, &x, what);
    kt_expect_free(&x);
    kt_free(t, &ab);
    kt_free(t, &tb);
    kt_free(t, &kv);
    free(cache);
}

static void check_shift(struct kt *t)
{
    for (uint32_t type = 0; type < KT_KV_TYPES; type++)
        for (uint32_t i = 0; i < 5; i++)
            shift_case(t, 1 + i % 3, dims[i], type);
}

#define EVERYWHERE(name)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        kt_everywhere(check_##name);                                                               \
    }
EVERYWHERE(rope)
EVERYWHERE(shift)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rope), cmocka_unit_test(test_shift)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
