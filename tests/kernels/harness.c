#include "tests/kernels/harness.h"
#include "base/half.h"
#include "base/size.h"
#include "engine/model/repack.h"
#include "engine/ref/ref.h"

// ------------------------------------------------------------------------------------ devices

static const struct {
    const char *name;
    struct gpu_limits limits;
} paths[] = {
    {"texel", {0}},
    {"ssbo", {.force_ssbo = true}},
    {"no_subgroup", {.no_subgroup = true}},
    {"staging", {.force_staging = true, .no_images = true}},
};

static void on_device(uint32_t device, const char *path, const struct gpu_limits *limits,
                      void (*check)(struct kt *t))
{
    char want[16];
    struct err e = {0};
    struct kt t = {.rng = 0x9e3779b97f4a7c15u + device};
    (void)snprintf(want, sizeof want, "%u", device);
    bool validated = gpu_create(want, true, limits, &t.gpu, &e);
    if (validated && limits->tier == 3 && t.gpu.caps.coopmat && !t.gpu.coop) {
        gpu_destroy(&t.gpu); // the layer is too old for them
        validated = false;
    }
    if (!validated && !gpu_create(want, false, limits, &t.gpu, &e)) fail_msg("%s", e.msg);
    (void)snprintf(t.name, sizeof t.name, "%s, %s", t.gpu.caps.name, path);
    if (!validated) print_message("%s: without the validation layer\n", t.name);
    kernels_init(&t.k, &t.gpu);
    check(&t);
    kernels_destroy(&t.k);
    if (!gpu_validated(&t.gpu, &e)) fail_msg("%s: %s", t.name, e.msg);
    gpu_destroy(&t.gpu);
}

void kt_everywhere(void (*check)(struct kt *t))
{
    struct gpu_caps *caps;
    size_t n, used = 0;
    struct err e;
    if (!gpu_list(&caps, &n, &e)) {
        print_message("skipped: %s\n", e.msg);
        skip();
    }
    for (size_t i = 0; i < n; i++)
        for (size_t p = 0; caps[i].usable && p < sizeof paths / sizeof paths[0]; p++, used++)
            on_device((uint32_t)i, paths[p].name, &paths[p].limits, check);
    free(caps);
    if (!used) skip();
}

void kt_tiers(void (*check)(struct kt *t))
{
    struct gpu_caps *caps;
    size_t n, used = 0;
    struct err e;
    if (!gpu_list(&caps, &n, &e)) skip();
    for (size_t i = 0; i < n; i++)
        for (int ssbo = 0; caps[i].usable && ssbo < 2; ssbo++) {
            struct gpu_limits limits = {.force_ssbo = ssbo, .tier_given = true, .tier = 3};
            on_device((uint32_t)i, ssbo ? "tier 3, ssbo" : "tier 3", &limits, check);
            used++;
        }
    free(caps);
    if (!used) skip();
}

// ------------------------------------------------------------------------------------- values

static uint64_t next(struct kt *t) // xorshift64*
{
    t->rng ^= t->rng >> 12;
    t->rng ^= t->rng << 25;
    t->rng ^= t->rng >> 27;
    return t->rng * 0x2545f4914f6cdd1du;
}

double kt_uniform(struct kt *t, double lo, double hi)
{
    return lo + (hi - lo) * (double)(next(t) >> 11) * 0x1p-53;
}

uint32_t kt_below(struct kt *t, uint32_t n)
{
    return (uint32_t)(next(t) >> 32) % n;
}

void kt_values(struct kt *t, enum kt_pattern p, double *out, size_t n)
{
    double one = kt_below(t, 2) ? 1 : -1;
    for (size_t i = 0; i < n; i++) {
        double v = kt_uniform(t, -1, 1);
        if (p == KT_MIXED) v = ldexp(v, (int)kt_below(t, 41) - 20);
        if (p == KT_ZERO) v = 0;
        if (p == KT_SPIKE) v *= i == n / 2 ? 0x1p40 : 0x1p-10;
        if (p == KT_TINY) v = copysign(0x1p-125, v) * (1 + fabs(v));
        if (p == KT_EQUAL) v = one;
        out[i] = (double)(float)v;
    }
}

// ------------------------------------------------------------------------------------ buffers

static bool copy_words(void *ctx, void *dst, uint64_t begin, uint64_t end, struct err *e)
{
    (void)e;
    memcpy(dst, (const char *)ctx + begin, end - begin);
    return true;
}

struct kt_buf kt_upload(struct kt *t, const uint32_t *data, size_t words)
{
    struct kt_buf b = {.words = words};
    struct err e;
    size_t all = size_align(words + GUARD_WORDS, 4);
    b.before = malloc(all * sizeof *b.before);
    assert_non_null(b.before);
    for (size_t i = 0; i < all; i++)
        b.before[i] = data && i < words ? data[i] : POISON;
    if (!gpu_buf_create(&t->gpu, GPU_DEVICE, all * 4, "test", &b.gpu, &e) ||
        !gpu_buf_fill(&t->gpu, &b.gpu, 16, copy_words, b.before, &e))
        fail_msg("%s: %s", t->name, e.msg);
    return b;
}

struct kt_buf kt_floats(struct kt *t, const double *v, size_t n)
{
    uint32_t *words = malloc((n + 1) * sizeof *words);
    assert_non_null(words);
    for (size_t i = 0; i < n; i++)
        words[i] = half_bits((float)v[i]);
    struct kt_buf b = kt_upload(t, words, n);
    free(words);
    return b;
}

void kt_free(struct kt *t, struct kt_buf *b)
{
    gpu_buf_destroy(&t->gpu, &b->gpu);
    free(b->before);
    *b = (struct kt_buf){0};
}

void kt_run(struct kt *t, const struct gpu_pipeline *p, const struct kt_buf *const *bufs,
            const void *push, uint32_t x, uint32_t y)
{
    kt_run_groups(t, p, bufs, push, (uint32_t[]){x, y, 1});
}

void kt_run_groups(struct kt *t, const struct gpu_pipeline *p, const struct kt_buf *const *bufs,
                   const void *push, const uint32_t groups[3])
{
    struct gpu_sets sets = {0};
    struct gpu_cmd cmd = {0};
    struct err e = {0};
    VkDescriptorSet set;
    const struct gpu_buf *list[GPU_MAX_BINDINGS];
    for (uint32_t i = 0; i < p->n_reads + p->n_writes; i++)
        list[i] = &bufs[i]->gpu;
    bool ok = gpu_sets_create(&t->gpu, 1, &sets, &e) &&
              gpu_set_make(&t->gpu, &sets, p, list, &set, &e) &&
              gpu_cmd_create(&t->gpu, &cmd, &e) && gpu_begin(&t->gpu, &cmd, &e);
    if (ok) {
        gpu_dispatch(&t->gpu, &cmd, p, set, push, groups);
        gpu_barrier(&t->gpu, &cmd);
        ok = gpu_end(&t->gpu, &cmd, &e) && gpu_submit(&t->gpu, &cmd, &e);
    }
    if (!ok) fail_msg("%s: %s", t->name, e.msg);
    gpu_cmd_destroy(&t->gpu, &cmd);
    gpu_sets_destroy(&t->gpu, &sets);
}

uint32_t *kt_read(struct kt *t, const struct kt_buf *b)
{
    struct err e;
    uint32_t *words = malloc((b->words + GUARD_WORDS) * sizeof *words);
    assert_non_null(words);
    if (!gpu_buf_read(&t->gpu, &b->gpu, 0, words, (b->words + GUARD_WORDS) * 4, &e))
        fail_msg("%s: %s", t->name, e.msg);
    return words;
}

// --------------------------------------------------------------------------------- comparison

struct kt_expect kt_expect(const struct kt_buf *b)
{
    struct kt_expect x = {.n = b->words};
    x.value = calloc(x.n + 1, sizeof *x.value);
    x.tol = calloc(x.n + 1, sizeof *x.tol);
    x.written = calloc(x.n + 1, sizeof *x.written);
    assert_true(x.value && x.tol && x.written);
    return x;
}

void kt_expect_at(struct kt_expect *x, size_t i, double value, double tol)
{
    assert_true(i < x->n);
    x->value[i] = value;
    x->tol[i] = tol;
    x->written[i] = true;
}

void kt_expect_free(struct kt_expect *x)
{
    free(x->value);
    free(x->tol);
    free(x->written);
    *x = (struct kt_expect){0};
}

bool kt_compare(const struct kt_buf *b, const uint32_t *got, const struct kt_expect *x,
                char msg[256])
{
    for (size_t i = 0; i < b->words + GUARD_WORDS; i++) {
        if (i >= x->n || !x->written[i]) {
            if (got[i] == b->before[i]) continue;
            (void)snprintf(msg, 256, "word %zu of %zu was written (%08x)", i, x->n, got[i]);
            return false;
        }
        double v = (double)half_float(got[i]);
        if (fabs(v - x->value[i]) <= x->tol[i]) continue; // false for NaN
        (void)snprintf(msg, 256, "word %zu of %zu is %.9g (%08x), expected %.9g +- %.3g", i, x->n,
                       v, got[i], x->value[i], x->tol[i]);
        return false;
    }
    return true;
}

void kt_check(struct kt *t, const struct kt_buf *b, const struct kt_expect *x, const char *what)
{
    char msg[256];
    uint32_t *got = kt_read(t, b);
    if (!kt_compare(b, got, x, msg)) fail_msg("%s: %s: %s", t->name, what, msg);
    free(got);
}

// ------------------------------------------------------------------------------------ weights

static void put_f16(unsigned char *p, double v)
{
    uint16_t h = f32_to_f16((float)v);
    p[0] = (unsigned char)h;
    p[1] = (unsigned char)(h >> 8);
}

// A block of random bytes, or all of them alike, with finite scales (and minimums): some of them
// f16 subnormals.
static void random_block(struct kt *t, enum quant_type type, unsigned char *p)
{
    uint32_t bytes = quant_info(type)->block_bytes, d = 0, m = UINT32_MAX;
    for (uint32_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)(t->fill ? (uint32_t)t->fill - 1 : kt_below(t, 256));
    switch (type) { // where the f16 scale and minimum lie
    case QUANT_Q4_1:
    case QUANT_Q5_1:
    case QUANT_Q4_K:
    case QUANT_Q5_K: m = 2; break;
    case QUANT_Q2_K:
        d = 80;
        m = 82;
        break;
    case QUANT_Q3_K:
    case QUANT_Q6_K: d = bytes - 2; break;
    default: break;
    }
    put_f16(p + d, ldexp(kt_uniform(t, -1, 1), -(int)kt_below(t, 20)));
    if (m < bytes) put_f16(p + m, ldexp(kt_uniform(t, -1, 1), -(int)kt_below(t, 12)));
}

static void random_plain(struct kt *t, enum quant_type type, unsigned char *p)
{
    float f = (float)ldexp(kt_uniform(t, -1, 1), -(int)kt_below(t, 14));
    uint32_t u = half_bits(f);
    if (type == QUANT_F32) memcpy(p, &f, 4);
    if (type == QUANT_F16) put_f16(p, (double)f);
    if (type == QUANT_BF16) memcpy(p, &(uint16_t){(uint16_t)(u >> 16)}, 2);
}

void kt_random_rows(struct kt *t, enum quant_type type, size_t n_rows, size_t n_cols,
                    unsigned char *data)
{
    const struct quant_info *q = quant_info(type);
    for (size_t b = 0; b < n_rows * (n_cols / q->block); b++, data += q->block_bytes)
        if (q->block == 1)
            random_plain(t, type, data);
        else
            random_block(t, type, data);
}

// What a layout that keeps scales in f16 holds of d. A rounded scale is within 2^-11 of it, or
// 2^-25 among the subnormals.
static double kept(enum weight_format f, float d)
{
    bool half = f != WEIGHT_Q8;
    double k = half ? (double)f16_to_f32(f32_to_f16(d)) : (double)d;
    assert_true(fabs(k - (double)d) <= fmax(0x1p-11 * fabs((double)d), 0x1p-25));
    return k;
}

static void groups_row(struct kt_weights *w, const struct quant_group *g, double *row, double *mag)
{
    // q5 holds n = q + 16 and m = -16 d, q4 with Q4_0 n = q + 8 and m = -8 d
    int zero = w->tensor.type == QUANT_Q5_0                             ? 16
               : w->tensor.type == QUANT_Q4_0 && w->format == WEIGHT_Q4 ? 8
                                                                        : 0;
    for (size_t c = 0; c < w->n_cols; c++, g += c % 32 == 0) {
        size_t i = c % 32;
        double d = kept(w->format, g->d[i / 16]), n = g->q[i] + zero;
        double m = zero ? -zero * d : kept(w->format, g->m[i / 16]);
        row[c] = d * n + m;
        mag[c] = fabs(d * n) + fabs(m);
    }
}

static void plain_row(struct kt_weights *w, const unsigned char *src, float *f, double *row,
                      double *mag)
{
    assert_true(quant_dequantise(w->tensor.type, src, w->n_cols, f));
    for (size_t c = 0; c < w->n_cols; c++) {
        row[c] = (double)f[c];
        mag[c] = fabs(row[c]);
    }
}

static void fill_tensor(struct kt *t, struct kt_weights *w, unsigned char *data)
{
    enum quant_type type = w->tensor.type;
    size_t row_bytes = w->tensor.size / w->n_rows, width = w->n_blocks * 32;
    float *f = malloc(w->n_cols * sizeof *f);
    struct quant_group *g = calloc(w->n_blocks + 1, sizeof *g);
    assert_true(f && g);
    for (size_t r = 0; r < w->n_rows; r++) {
        unsigned char *src = data + r * row_bytes;
        kt_random_rows(t, type, 1, w->n_cols, src);
        if (quant_is_grouped(type)) {
            quant_groups(type, src, w->n_cols, g);
            groups_row(w, g, w->w + r * width, w->mag + r * width);
        } else {
            plain_row(w, src, f, w->w + r * width, w->mag + r * width);
        }
    }
    free(f);
    free(g);
}

struct kt_weights kt_weights(struct kt *t, enum quant_type type, size_t n_rows, size_t n_cols)
{
    struct kt_weights w = {.n_rows = n_rows,
                           .n_cols = n_cols,
                           .n_blocks = size_div_up(n_cols, 32),
                           .n_tiles = size_div_up(n_rows, 32),
                           .format = repack_format(type, n_cols)};
    size_t row_bytes, width = w.n_blocks * 32;
    assert_true(quant_row_bytes(type, n_cols, &row_bytes));
    unsigned char *data = malloc(n_rows * row_bytes);
    w.w = calloc(n_rows * width, sizeof *w.w);
    w.mag = calloc(n_rows * width, sizeof *w.mag);
    size_t tile = w.n_blocks * weight_layout(w.format)->block_texels * 16;
    unsigned char *tiles = malloc(w.n_tiles * tile);
    assert_true(data && w.w && w.mag && tiles);
    w.tensor = (struct gguf_tensor){.type = type,
                                    .n_dims = 2,
                                    .ne = {n_cols, n_rows, 1, 1},
                                    .n_elements = n_rows * n_cols,
                                    .size = n_rows * row_bytes,
                                    .data = data};
    fill_tensor(t, &w, data);
    for (size_t i = 0; i < w.n_tiles; i++)
        repack_tile(&w.tensor, i, tiles + i * tile);
    w.tiles = kt_upload(t, (const uint32_t *)(const void *)tiles, w.n_tiles * tile / 4);
    free(tiles);
    return w;
}

struct kt_buf kt_acts(struct kt *t, enum kt_pattern pattern, enum act_form form, size_t n_tokens,
                      size_t n_blocks, double *x)
{
    size_t record = act_texels(form) * 4, rows = (n_tokens + 7) / 8 * 8;
    uint32_t *words = malloc(rows * n_blocks * record * 4);
    double v[32], sum;
    assert_non_null(words);
    for (size_t i = 0; i < rows * n_blocks * record; i++)
        words[i] = 0x7fc0deadu; // another NaN than what results begin as
    for (size_t i = 0; i < n_tokens * n_blocks; i++) {
        kt_values(t, pattern, v, 32);
        ref_act_encode(form, v, words + i * record);
        ref_act_decode(form, words + i * record, x + 32 * i, &sum);
    }
    struct kt_buf b = kt_upload(t, words, rows * n_blocks * record);
    free(words);
    return b;
}

void kt_weights_free(struct kt *t, struct kt_weights *w)
{
    kt_free(t, &w->tiles);
    free((void *)(uintptr_t)w->tensor.data);
    free(w->w);
    free(w->mag);
    *w = (struct kt_weights){0};
}
