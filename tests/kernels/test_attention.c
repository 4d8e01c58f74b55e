// rope + KV write, and attention: head sizes, head groups, chunk borders, long contexts.
#include "base/half.h"
#include "base/size.h"
#include "engine/ref/ref.h"
#include "tests/kernels/harness.h"

// Tables begin with entries that no dispatch may read, rows with columns of another part.
enum { LEAD = 3, SKIP = 32 };

// --------------------------------------------------------------------------------------- rope

struct rope_case {
    uint32_t n_heads, n_kv_heads, head_dim, n_tokens;
    bool kv_f32;
    enum kt_pattern pattern;
};

struct rope_run {
    struct push_rope push;
    uint32_t cells[5], n_cells;
    double *qkv; // [n_tokens, 4 * qkv_stride]
    float angles[(LEAD + 5) * 128];
};

// A rotation: two products and one sum of f32 values: 2 * 2^-24 of |a cos| + |b sin|. q is scaled
// after it: one more. In f16 the value is then rounded; Vulkan lets a device round either way:
// 2^-10 of it, or 2^-24 among the subnormals.
static void expect_head(struct kt_expect *x, size_t at, const double *v, const float *angles,
                        const struct rope_case *c, int part, double scale)
{
    double out[256];
    if (part < 2) ref_rope(v, angles, c->head_dim, out);
    for (size_t i = 0; i < c->head_dim; i++) {
        size_t j = i & ~(size_t)1;
        double y = part == 2 ? v[i] : out[i] * scale;
        double tol = part == 2 ? 0 : 3 * 0x1p-24 * (fabs(v[j]) + fabs(v[j + 1])) * scale + 0x1p-126;
        if (part > 0 && !c->kv_f32) {
            y = fmin(65504, fmax(-65504, y));
            tol += 0x1p-10 * fabs(y) + 0x1p-24;
        }
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
                    row + SKIP + h * c->head_dim, angles, c, 0, (double)p->q_scale);
    for (uint32_t h = 0; h < c->n_kv_heads; h++) {
        size_t at = ((size_t)r->cells[t] * c->n_kv_heads + h) * p->kv_dim;
        expect_head(kv, at, row + 4 * p->k_offset + h * c->head_dim, angles, c, 1, 1);
        expect_head(kv, p->v_base + at, row + 4 * p->v_offset + h * c->head_dim, angles, c, 2, 1);
    }
}

// The cache as floats, so that one comparison serves both types: a word of two halves that nobody
// wrote is left to be seen as written.
static void check_cache(struct kt *t, const struct rope_case *c, struct kt_buf *kv,
                        struct kt_expect *x, const char *what)
{
    uint32_t *got = kt_read(t, kv);
    char msg[256];
    if (c->kv_f32) {
        if (!kt_compare(kv, got, x, msg)) fail_msg("%s: %s: cache: %s", t->name, what, msg);
        free(got);
        return;
    }
    for (size_t i = 0; i < x->n; i++) {
        uint16_t half = (uint16_t)(got[i / 2] >> 16 * (i % 2));
        double v = (double)f16_to_f32(half);
        bool same = half == (uint16_t)(POISON >> 16 * (i % 2));
        if (x->written[i] ? !(fabs(v - x->value[i]) <= x->tol[i]) : !same)
            fail_msg("%s: %s: cache element %zu is %.9g, expected %.9g +- %.3g", t->name, what, i,
                     v, x->value[i], x->tol[i]);
    }
    for (size_t i = kv->words; i < kv->words + GUARD_WORDS; i++)
        assert_int_equal(got[i], POISON);
    free(got);
}

static void setup_rope(struct kt *t, const struct rope_case *c, struct rope_run *r, uint32_t *table)
{
    uint32_t nq = c->n_heads * c->head_dim, nk = c->n_kv_heads * c->head_dim;
    uint32_t kv_dim = (uint32_t)size_align(c->head_dim, 64);
    r->n_cells = 40;
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
        r->cells[i] = (i * 17 + 31) % r->n_cells; // 31, 8, 25, 2, 19: no order
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
                   c->n_heads, c->n_kv_heads, c->head_dim, c->n_tokens, c->kv_f32 ? "f32" : "f16",
                   (int)c->pattern);
    memcpy(words, r.angles, sizeof words);
    size_t elements = 2 * (size_t)r.push.v_base;
    struct kt_buf qkv = kt_floats(t, r.qkv, (size_t)c->n_tokens * 4 * r.push.qkv_stride),
                  angles = kt_upload(t, words, (LEAD + c->n_tokens) * c->head_dim),
                  tb = kt_upload(t, table, 4 * (LEAD + c->n_tokens)),
                  q = kt_upload(t, NULL, (size_t)c->n_tokens * 4 * r.push.q_stride),
                  kv = kt_upload(t, NULL, c->kv_f32 ? elements : elements / 2);
    struct kt_buf as_elements = {.words = elements};
    struct kt_expect xq = kt_expect(&q), xkv = kt_expect(&as_elements);
    for (uint32_t i = 0; i < c->n_tokens; i++)
        expect_token(c, &r, i, &xq, &xkv);
    if (!kernels_rope(&t->k, c->kv_f32 ? KV_F32 : KV_F16, &p, &e)) fail_msg("%s", e.msg);
    kt_run(t, p, (const struct kt_buf *[]){&qkv, &angles, &tb, &q, &kv}, &r.push, c->n_tokens, 1);
    kt_check(t, &q, &xq, what);
    check_cache(t, c, &kv, &xkv, what);
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
                      dims[] = {8, 32, 64, 128};

static void check_rope(struct kt *t)
{
    static const uint32_t tokens[] = {1, 2, 3, 5};
    for (uint32_t i = 0; i < 40; i++) {
        struct rope_case c = {heads[i % 5][0], heads[i % 5][1],
                              dims[i % 4],     tokens[i / 3 % 4],
                              i % 2 == 1,      (enum kt_pattern)(i % KT_N_PATTERNS)};
        rope_case(t, &c);
    }
}

// ---------------------------------------------------------------------------------- attention

struct attention_case {
    uint32_t group, n_kv_heads, head_dim, heads; // heads: query heads of a tile, divides group
    uint32_t tile_tokens;
    bool kv_f32;
    uint32_t n_seqs;
    uint32_t past[2], n[2]; // positions before, tokens of each sequence
};

struct attention_run {
    uint32_t kv_dim, n_ctx, n_tokens, n_tiles;
    struct push_attention push;
    double *q, *k, *v; // k, v: [n_seqs * n_ctx, n_kv_heads, head_dim] as the cache holds them
    uint32_t *tiles;
    struct kt_buf kv, pages;
};

// Where position `at` of all sequences' positions in a row lies: pages in no order.
static size_t cell_of(const struct attention_case *c, const struct attention_run *r, size_t at)
{
    size_t n_pages = (size_t)c->n_seqs * r->n_ctx / KV_PAGE; // a prime above it: every page once
    return (at / KV_PAGE * 10007 + 1) % n_pages * KV_PAGE + at % KV_PAGE;
}

static void fill_pages(struct kt *t, const struct attention_case *c, struct attention_run *r)
{
    size_t n = LEAD + (size_t)c->n_seqs * r->n_ctx / KV_PAGE;
    uint32_t *table = malloc(4 * n * sizeof *table);
    assert_non_null(table);
    for (size_t i = 0; i < 4 * n; i++)
        table[i] = i / 4 < LEAD || i % 4 ? POISON
                                         : (uint32_t)cell_of(c, r, (i / 4 - LEAD) * KV_PAGE);
    r->pages = kt_upload(t, table, 4 * n);
    free(table);
}

// The cache: random rows; behind a sequence's positions keys are NaN (masked) and values large but
// finite (weight 0); elements beyond head_dim are NaN.
static void fill_cache(struct kt *t, const struct attention_case *c, struct attention_run *r)
{
    size_t cells = (size_t)c->n_seqs * r->n_ctx, half = cells * c->n_kv_heads * r->kv_dim;
    uint32_t *words = malloc(2 * half * 4);
    assert_non_null(words);
    for (size_t i = 0; i < 2 * half; i++)
        words[i] = POISON;
    for (size_t cell = 0; cell < cells; cell++) {
        size_t seq = cell / r->n_ctx, pos = cell % r->n_ctx;
        bool live = pos < c->past[seq] + c->n[seq];
        for (size_t i = 0; i < (size_t)c->n_kv_heads * c->head_dim; i++) {
            size_t at = (cell_of(c, r, cell) * c->n_kv_heads + i / c->head_dim) * r->kv_dim +
                        i % c->head_dim;
            size_t own = cell * c->n_kv_heads * c->head_dim + i;
            r->k[own] = ref_kv(kt_uniform(t, -2, 2), c->kv_f32);
            r->v[own] = ref_kv(live ? kt_uniform(t, -1, 1) : 6e4, c->kv_f32);
            if (live) words[at] = half_bits((float)r->k[own]);
            words[half + at] = half_bits((float)r->v[own]);
        }
    }
    r->push.v_base = (uint32_t)half;
    if (!c->kv_f32)
        for (size_t i = 0; i < 2 * half; i += 2) { // two halves a word, in place
            uint32_t lo = f32_to_f16(half_float(words[i])),
                     hi = f32_to_f16(half_float(words[i + 1]));
            words[i / 2] = lo | hi << 16;
        }
    r->kv = kt_upload(t, words, c->kv_f32 ? 2 * half : half);
    free(words);
}

static void make_tiles(const struct attention_case *c, struct attention_run *r)
{
    uint32_t first = 0;
    for (uint32_t s = 0; s < c->n_seqs; s++)
        for (uint32_t at = 0; at < c->n[s]; at += c->tile_tokens) {
            uint32_t left = c->n[s] - at, n = left < c->tile_tokens ? left : c->tile_tokens;
            memcpy(r->tiles + 4 * (LEAD + r->n_tiles++),
                   (uint32_t[]){first, n, LEAD + s * r->n_ctx / KV_PAGE, c->past[s] + at}, 16);
            first += n;
        }
    r->n_tokens = first;
}

// Error of one query's output, from the exact weights:
//   score       head_dim products and sums in chains of head_dim/4 + 2: (head_dim/4 + 4) 2^-24 sum
//   |q k| weight      exp(x): 3 + 2|x| ULP, |x| the distance to the largest score; each chunk of 32
//   may
//               rescale by exp of a difference: together 3 ULP a chunk and 2|x| once more
//   sums        n products and additions, and a rescale a chunk: (n + chunks + 8) 2^-24
// in the numerator with |v|, in the denominator with |y|.
static void expect_query(const struct attention_case *c, const double *q, const double *k,
                         const double *v, size_t n, struct kt_expect *x, size_t at)
{
    size_t hd = c->head_dim, stride = c->n_kv_heads * hd;
    double out[256], scale[256] = {0}, most = -INFINITY, total = 0, err_s = 0, err_w = 0;
    double chunks = (double)size_div_up(n, 32);
    double *score = malloc(n * sizeof *score);
    assert_non_null(score);
    for (size_t p = 0; p < n; p++) {
        double sum = 0, sum_abs = 0;
        for (size_t i = 0; i < hd; i++) {
            sum += q[i] * k[p * stride + i];
            sum_abs += fabs(q[i] * k[p * stride + i]);
        }
        score[p] = sum;
        most = fmax(most, sum);
        err_s = fmax(err_s, ((double)hd / 4 + 4) * 0x1p-24 * sum_abs);
    }
    for (size_t p = 0; p < n; p++) {
        double far = most - score[p], w = exp(-far);
        double rel = 2 * err_s + far * 0x1p-23 + (3 + 3 * chunks + 4 * far) * 0x1p-23 +
                     ((double)n + chunks + 8) * 0x1p-24;
        total += w;
        err_w += w * rel;
        for (size_t i = 0; i < hd; i++)
            scale[i] += w * rel * fabs(v[p * stride + i]);
    }
    ref_attention(q, k, v, n, stride, hd, out);
    for (size_t i = 0; i < hd; i++) // and the division: 2.5 ULP, one product
        kt_expect_at(x, at + i, out[i],
                     (scale[i] + err_w * fabs(out[i])) / total + 4 * 0x1p-23 * fabs(out[i]) +
                         0x1p-126);
    free(score);
}

static void expect_all(const struct attention_case *c, const struct attention_run *r,
                       struct kt_expect *x)
{
    size_t hd = c->head_dim, row = c->n_kv_heads * hd, stride = 4 * r->push.q_stride;
    for (uint32_t i = 0; i < r->n_tiles; i++) {
        const uint32_t *tile = r->tiles + 4 * (LEAD + i);
        for (uint32_t j = 0; j < tile[1]; j++)
            for (uint32_t h = 0; h < c->group * c->n_kv_heads; h++) {
                size_t at = (tile[0] + j) * stride + SKIP + h * hd;
                size_t base = (tile[2] - LEAD) * KV_PAGE * row + h / c->group * hd;
                expect_query(c, r->q + at, r->k + base, r->v + base, tile[3] + j + 1, x, at);
            }
    }
}

static void attention_case(struct kt *t, const struct attention_case *c)
{
    struct attention_run r = {.kv_dim = (uint32_t)size_align(c->head_dim, 64)};
    uint32_t n_heads = c->group * c->n_kv_heads, tiles[4 * 64] = {POISON, POISON}, longest = 0;
    char what[160];
    const struct gpu_pipeline *p;
    struct err e;
    for (uint32_t s = 0; s < c->n_seqs; s++)
        longest = c->past[s] + c->n[s] > longest ? c->past[s] + c->n[s] : longest;
    r.n_ctx = (uint32_t)size_align(longest, 32);
    r.tiles = tiles;
    make_tiles(c, &r);
    r.push.n_kv_heads = c->n_kv_heads;
    r.push.kv_dim = r.kv_dim;
    r.push.q_offset = SKIP / 4;
    r.push.q_stride = (uint32_t)size_align(SKIP + n_heads * c->head_dim, 32) / 4;
    r.push.tile_base = LEAD;
    size_t cells = (size_t)c->n_seqs * r.n_ctx * c->n_kv_heads * c->head_dim;
    size_t nq = (size_t)r.n_tokens * 4 * r.push.q_stride;
    r.q = calloc(nq, sizeof *r.q);
    r.k = calloc(cells, sizeof *r.k);
    r.v = calloc(cells, sizeof *r.v);
    assert_true(r.q && r.k && r.v);
    kt_values(t, KT_RANDOM, r.q, nq);
    fill_cache(t, c, &r);
    fill_pages(t, c, &r);
    struct kt_buf q = kt_floats(t, r.q, nq), tb = kt_upload(t, tiles, 4 * (LEAD + r.n_tiles)),
                  out = kt_upload(t, NULL, nq);
    struct kt_expect x = kt_expect(&out);
    expect_all(c, &r, &x);
    if (!kernels_attention(&t->k, c->head_dim, c->group, c->heads, c->tile_tokens,
                           c->kv_f32 ? KV_F32 : KV_F16, &p, &e))
        fail_msg("%s", e.msg);
    kt_run(t, p, (const struct kt_buf *[]){&q, &r.kv, &tb, &r.pages, &out}, &r.push,
           n_heads / c->heads, r.n_tiles);
    (void)snprintf(what, sizeof what,
                   "attention %u x %u heads of %u (%u a tile), %u tokens a tile, %s, past %u, n %u",
                   c->group, c->n_kv_heads, c->head_dim, c->heads, c->tile_tokens,
                   c->kv_f32 ? "f32" : "f16", c->past[0], c->n[0]);
    kt_check(t, &out, &x, what);
    kt_expect_free(&x);
    kt_free(t, &q);
    kt_free(t, &tb);
    kt_free(t, &out);
    kt_free(t, &r.kv);
    kt_free(t, &r.pages);
    free(r.q);
    free(r.k);
    free(r.v);
}

// Query heads a key/value head, key/value heads, head size, heads and tokens of a tile: those that
// the engine chooses, each for decode and prefill. Pipelines with many queries take seconds to
// compile on a software device (with shared memory in place of shuffles, ten): they run on the
// first path only, the small ones on every path.
static const uint32_t shapes[][5] = {
    {1, 1, 8, 1, 1},  {1, 2, 32, 1, 2}, {3, 3, 64, 3, 1},  {1, 8, 8, 1, 6},   {3, 1, 32, 3, 2},
    {3, 3, 64, 3, 2}, {8, 1, 64, 8, 1}, {1, 3, 128, 1, 4}, {4, 2, 128, 2, 2},
};

static void check_attention(struct kt *t)
{
    static const uint32_t past[] = {0, 30, 31, 32, 33, 63, 64, 100};
    bool first = t->gpu.texel && t->gpu.subgroups && !t->gpu.force_staging;
    uint32_t n_shapes = first ? 9 : t->gpu.force_staging ? 2 : t->gpu.subgroups ? 5 : 3;
    for (uint32_t i = 0; i < 8 * n_shapes; i++) { // every shape over every border
        const uint32_t *s = shapes[i / 8];
        struct attention_case c = {.group = s[0],
                                   .n_kv_heads = s[1],
                                   .head_dim = s[2],
                                   .heads = s[3],
                                   .tile_tokens = s[4],
                                   .kv_f32 = i / 8 % 2 == 1,
                                   .n_seqs = 1 + i % 2,
                                   .past = {past[i % 8], past[(i + 3) % 8]},
                                   .n = {1 + i % 5, 1 + i / 2 % 3}};
        attention_case(t, &c);
    }
    struct attention_case other = {.group = 3,
                                   .n_kv_heads = 3,
                                   .head_dim = 64,
                                   .heads = 3,
                                   .tile_tokens = 1,
                                   .n_seqs = 1,
                                   .past = {32},
                                   .n = {1}};
    if (first) attention_case(t, &other); // the default model's decode, f16
}

// 70,007 positions: a loop over positions would pass Mesa 22.3's 65,535 iterations.
static void check_long(struct kt *t)
{
    for (uint32_t f32 = 0; f32 < 2; f32++)
        attention_case(t, &(struct attention_case){.group = 1,
                                                   .n_kv_heads = 1,
                                                   .head_dim = 8,
                                                   .heads = 1,
                                                   .tile_tokens = 1,
                                                   .kv_f32 = f32,
                                                   .n_seqs = 1,
                                                   .past = {70006},
                                                   .n = {1}});
}

#define EVERYWHERE(name)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        kt_everywhere(check_##name);                                                               \
    }
EVERYWHERE(rope)
EVERYWHERE(attention)
EVERYWHERE(long)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rope), cmocka_unit_test(test_attention), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
