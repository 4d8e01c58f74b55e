// Attention: head sizes, head groups, chunk borders, long contexts.
#include "base/size.h"
#include "engine/ref/ref.h"
#include "tests/kernels/cache.h"

// Tables begin with entries that no dispatch may read, rows with columns of another part.
enum { LEAD = 3, SKIP = 32 };

struct attention_case {
    uint32_t group, n_kv_heads, head_dim, heads; // heads: query heads of a tile, divides group
    uint32_t tile_tokens;
    uint32_t kv_type;
    uint32_t n_seqs;
    uint32_t past[2], n[2]; // positions before, tokens of each sequence
    uint32_t n_groups;      // workgroups a tile; 0: 1
};

struct attention_run {
    uint32_t kv_dim, n_ctx, n_tokens, n_tiles;
    struct push_attention push;
    double *q, *k, *v; // k, v: [n_seqs * n_ctx, n_kv_heads, head_dim] as the cache holds them
    uint32_t *tiles;
    struct kt_buf kv, pages, partial;
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
        table[i] =
            i / 4 < LEAD || i % 4 ? POISON : (uint32_t)cell_of(c, r, (i / 4 - LEAD) * KV_PAGE);
    r->pages = kt_upload(t, table, 4 * n);
    free(table);
}

// The cache: random rows; behind a sequence's positions keys are NaN (masked) and values large but
// finite (weight 0); elements beyond head_dim are NaN, or bits of any number.
static void fill_cache(struct kt *t, const struct attention_case *c, struct attention_run *r)
{
    size_t hd = c->head_dim, rows = (size_t)c->n_seqs * r->n_ctx * c->n_kv_heads;
    size_t v_base = rows * r->kv_dim, n = kt_kv_words(c->kv_type, v_base);
    uint32_t *words = malloc(n * sizeof *words);
    double row[256];
    assert_non_null(words);
    for (size_t i = 0; i < n; i++)
        words[i] = POISON;
    for (size_t i = 0; i < rows; i++) {
        size_t pos = i / c->n_kv_heads, seq = pos / r->n_ctx;
        size_t at = kt_kv_row(cell_of(c, r, pos), i % c->n_kv_heads, c->n_kv_heads) * r->kv_dim;
        bool live = pos % r->n_ctx < c->past[seq] + c->n[seq];
        for (size_t k = 0; k < hd; k++)
            row[k] = kt_uniform(t, -2, 2);
        ref_kv_row(c->kv_type, row, hd, r->k + i * hd);
        kt_kv_put(c->kv_type, words, v_base, at, row, hd);
        if (!live) kt_kv_spoil(c->kv_type, words, v_base, at, hd);
        for (size_t k = 0; k < hd; k++)
            row[k] = live ? kt_uniform(t, -1, 1) : 6e4;
        ref_kv_row(c->kv_type, row, hd, r->v + i * hd);
        kt_kv_put(c->kv_type, words, v_base, v_base + at, row, hd);
    }
    r->push.v_base = (uint32_t)v_base;
    r->kv = kt_upload(t, words, n);
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
//               rescale by exp of a difference, as joining slices does: together 3 ULP for each
//               chunk of its slice and each slice, and 2|x| once more
//   sums        n products and additions, a rescale a chunk, two products and an addition a slice:
//               (n + chunks + 3 slices + 8) 2^-24
// in the numerator with |v|, in the denominator with |y|.
static void expect_query(const struct attention_case *c, const double *q, const double *k,
                         const double *v, size_t n, struct kt_expect *x, size_t at)
{
    size_t hd = c->head_dim, stride = c->n_kv_heads * hd;
    double out[256], scale[256] = {0}, most = -INFINITY, total = 0, err_s = 0, err_w = 0;
    double chunks = (double)size_div_up(n, KV_PAGE), slices = (double)size_div_up(n, KV_SLICE);
    double rescales = fmin(chunks, KV_SLICE / KV_PAGE) + slices;
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
        double rel = 2 * err_s + far * 0x1p-23 + (3 + 3 * rescales + 4 * far) * 0x1p-23 +
                     ((double)n + chunks + 3 * slices + 8) * 0x1p-24;
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

// Zeroed counters, then records that nobody has written yet.
static void make_partial(struct kt *t, const struct attention_case *c, struct attention_run *r)
{
    size_t heads = c->group * c->n_kv_heads, counters = size_align(r->n_tiles * heads, 4);
    uint32_t n_slices = (uint32_t)size_div_up(r->n_ctx, KV_SLICE);
    size_t n = counters + r->n_tiles * n_slices * heads * (c->head_dim + 4);
    uint32_t *words = malloc(n * sizeof *words);
    assert_non_null(words);
    for (size_t i = 0; i < n; i++)
        words[i] = i < counters ? 0 : POISON;
    r->push.n_groups = c->n_groups ? c->n_groups : 1;
    r->push.max_slices = n_slices;
    r->push.n_heads = (uint32_t)heads;
    r->push.partial_base = (uint32_t)counters / 4;
    r->partial = kt_upload(t, words, n);
    free(words);
}

static void check_counters(struct kt *t, const struct attention_run *r, const char *what)
{
    uint32_t *words = kt_read(t, &r->partial);
    for (uint32_t i = 0; i < 4 * r->push.partial_base; i++)
        if (words[i]) fail_msg("%s: %s: counter %u is left at %u", t->name, what, i, words[i]);
    for (size_t i = 0; i < GUARD_WORDS; i++)
        assert_int_equal(words[r->partial.words + i], POISON);
    free(words);
}

// FNV-1a of all that was written, to tell whether two runs gave the same bits.
static uint64_t hash_of(struct kt *t, const struct kt_buf *b)
{
    uint32_t *words = kt_read(t, b);
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < b->words; i++)
        hash = (hash ^ words[i]) * 0x100000001b3u;
    free(words);
    return hash;
}

static uint64_t attention_case(struct kt *t, const struct attention_case *c)
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
    make_partial(t, c, &r);
    struct kt_buf q = kt_floats(t, r.q, nq), tb = kt_upload(t, tiles, 4 * (LEAD + r.n_tiles)),
                  out = kt_upload(t, NULL, nq);
    struct kt_expect x = kt_expect(&out);
    expect_all(c, &r, &x);
    if (!kernels_attention(&t->k, c->head_dim, c->group, c->heads, c->tile_tokens, c->kv_type, &p,
                           &e))
        fail_msg("%s", e.msg);
    kt_run_groups(t, p, (const struct kt_buf *[]){&q, &r.kv, &tb, &r.pages, &out, &r.partial},
                  &r.push, (uint32_t[]){n_heads / c->heads, r.n_tiles, r.push.n_groups});
    (void)snprintf(
        what, sizeof what,
        "attention %u x %u heads of %u (%u a tile), %u tokens a tile, %s, past %u, n %u, "
        "%u workgroups a tile",
        c->group, c->n_kv_heads, c->head_dim, c->heads, c->tile_tokens, kt_kv_name(c->kv_type),
        c->past[0], c->n[0], r.push.n_groups);
    kt_check(t, &out, &x, what);
    check_counters(t, &r, what);
    uint64_t hash = hash_of(t, &out);
    kt_expect_free(&x);
    kt_free(t, &q);
    kt_free(t, &tb);
    kt_free(t, &out);
    kt_free(t, &r.kv);
    kt_free(t, &r.pages);
    kt_free(t, &r.partial);
    free(r.q);
    free(r.k);
    free(r.v);
    return hash;
}

// Query heads a key/value head, key/value heads, head size, heads and tokens of a tile: those that
// the engine chooses, each for decode and prefill; without shuffles it takes one query a tile
// (forward_tile). Pipelines with many queries take seconds to compile on a software device: they
// run on the first path only, the small ones on every path.
static const uint32_t shapes[][5] = {
    {1, 1, 8, 1, 1},  {1, 2, 32, 1, 2}, {3, 3, 64, 3, 1},  {1, 8, 8, 1, 6},   {3, 1, 32, 3, 2},
    {3, 3, 64, 3, 4}, {8, 1, 64, 8, 1}, {1, 3, 128, 1, 8}, {4, 2, 128, 4, 2},
};

static void choose_shape(const struct kt *t, const uint32_t *s, struct attention_case *c)
{
    c->group = s[0];
    c->n_kv_heads = s[1];
    c->head_dim = s[2];
    c->heads = t->gpu.subgroups ? s[3] : 1;
    c->tile_tokens = t->gpu.subgroups ? s[4] : 1;
}

static void check_attention(struct kt *t)
{
    static const uint32_t past[] = {0, 30, 31, 32, 33, 63, 64, 100};
    bool first = t->gpu.texel && t->gpu.subgroups && !t->gpu.force_staging;
    uint32_t n_shapes = first ? 9 : t->gpu.force_staging ? 2 : t->gpu.subgroups ? 5 : 3;
    for (uint32_t i = 0; i < 8 * n_shapes; i++) { // every shape over every border
        const uint32_t *s = shapes[i / 8];
        struct attention_case c = {.kv_type = i / 8 % KT_KV_TYPES,
                                   .n_seqs = 1 + i % 2,
                                   .past = {past[i % 8], past[(i + 3) % 8]},
                                   .n = {1 + i % 5, 1 + i / 2 % 3}};
        choose_shape(t, s, &c);
        attention_case(t, &c);
    }
    // The other types: of a small shape, and of the default model's decode.
    for (uint32_t type = 0; type < KT_KV_TYPES; type++)
        for (uint32_t j = 0; j < (first ? 2 : 1); j++) {
            const uint32_t *s = shapes[1 + j];
            struct attention_case c = {.kv_type = type, .n_seqs = 1, .past = {45}, .n = {2}};
            choose_shape(t, s, &c);
            attention_case(t, &c);
        }
}

// Contexts of several slices, shared by fewer workgroups than slices, as many, and more.
static void check_slices(struct kt *t)
{
    static const uint32_t past[] = {511, 512, 1023, 1600}, groups[] = {1, 2, 3, 4, 7};
    static const uint32_t small[][5] = {{1, 2, 32, 1, 1}, {2, 2, 8, 2, 1}, {3, 1, 64, 3, 1}};
    bool first = t->gpu.texel && t->gpu.subgroups && !t->gpu.force_staging;
    for (uint32_t i = 0; i < (first ? 60u : 20u); i++) {
        struct attention_case c = {.kv_type = (i + i / 20) % KT_KV_TYPES,
                                   .n_seqs = 2,
                                   .past = {past[i % 4], past[(i + 1 + i / 4) % 4] - 400},
                                   .n = {1, 1},
                                   .n_groups = groups[i % 5]};
        choose_shape(t, small[i / 20], &c);
        attention_case(t, &c);
    }
    struct attention_case c = {.n_seqs = 1, .past = {506}, .n = {20}}; // tiles over the border
    choose_shape(t, shapes[4], &c);
    attention_case(t, &c);
}

// The same bits, whoever computes which slice, and in whatever tiles: two tokens at the border of
// slices.
static void check_same(struct kt *t)
{
    static const uint32_t groups[] = {1, 2, 3, 8};
    for (uint32_t past = 1023; past < 1026; past++) {
        uint64_t want = 0, rng = t->rng;
        for (uint32_t i = 0; i < (t->gpu.subgroups ? 5u : 4u); i++) {
            t->rng = rng;
            uint64_t got =
                attention_case(t, &(struct attention_case){.group = 3,
                                                           .n_kv_heads = 1,
                                                           .head_dim = 32,
                                                           .heads = t->gpu.subgroups ? 3 : 1,
                                                           .tile_tokens = i < 4 ? 1 : 2,
                                                           .n_seqs = 1,
                                                           .past = {past},
                                                           .n = {2},
                                                           .n_groups = groups[i % 4]});
            if (i && got != want)
                fail_msg("%s: behind %u: %s give other bits", t->name, past,
                         i < 4 ? "more workgroups" : "larger tiles");
            want = got;
        }
    }
}

// 70,007 positions: a loop over positions would pass Mesa 22.3's 65,535 iterations.
static void check_long(struct kt *t)
{
    for (uint32_t type = 0; type < KT_KV_TYPES; type++)
        attention_case(t, &(struct attention_case){.group = 1,
                                                   .n_kv_heads = 1,
                                                   .head_dim = 8,
                                                   .heads = 1,
                                                   .tile_tokens = 1,
                                                   .kv_type = type,
                                                   .n_seqs = 1,
                                                   .past = {70006},
                                                   .n = {1},
                                                   .n_groups = type % 2 ? 32 : 1});
}

#define EVERYWHERE(name)                                                                           \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        kt_everywhere(check_##name);                                                               \
    }
EVERYWHERE(attention)
EVERYWHERE(slices)
EVERYWHERE(same)
EVERYWHERE(long)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_slices), cmocka_unit_test(test_same),
                                       cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
