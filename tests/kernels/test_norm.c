// norm: three modes, three activation forms, gathered rows, padding, extreme inputs.
#include "base/half.h"
#include "base/size.h"
#include "engine/ref/ref.h"
#include "tests/kernels/harness.h"

struct norm_case {
    enum norm_mode mode;
    uint32_t want;
    size_t n_cols, n_rows;
    bool gather;
    enum kt_pattern pattern;
};

struct norm_run {
    size_t n_blocks, stride, offset2; // floats
    double *src, *gain, *v, *err;     // v: [n_rows, 32 * n_blocks] wanted; err: of f32 arithmetic
};

// Rounding of the f32 value v, relative to |v|:
//   RMS     sum of squares: a lane adds n/4/lanes dots of 4, then all lanes: chain of relative
//   errors
//           2^-24 each, halved by the root; inversesqrt 2 ULP, division 2.5 ULP (halved), two
//           products
//   SWIGLU  exp 3 + 2|x| ULP (Vulkan's bound), 1 + e, division 2.5 ULP, one product; ULP <= 2^-23
static double relative(const struct kt *t, const struct norm_case *c, double x)
{
    double n4 = (double)c->n_cols / 4, lanes = t->k.row_lanes;
    if (c->mode == NORM_RMS) return ((ceil(n4 / lanes) + 4 + lanes) / 2 + 8) * 0x1p-24;
    if (c->mode == NORM_SWIGLU) return (3 + 2 * fabs(x) + 1 + 2.5 + 1) * 0x1p-23;
    return 0;
}

static void reference_row(struct kt *t, const struct norm_case *c, struct norm_run *r, size_t row,
                          size_t token)
{
    const double *x = r->src + token * r->stride, *u = x + r->offset2;
    double *v = r->v + row * r->n_blocks * 32, *err = r->err + row * r->n_blocks * 32;
    if (c->mode == NORM_RMS) ref_rmsnorm(x, r->gain, c->n_cols, 0x1p-17, v);
    if (c->mode == NORM_SWIGLU) ref_swiglu(x, u, c->n_cols, v);
    if (c->mode == NORM_PLAIN) memcpy(v, x, c->n_cols * sizeof *v);
    for (size_t i = 0; i < c->n_cols; i++) {
        err[i] = relative(t, c, x[i]) * fabs(v[i]);
        // exp(-x) overflows at 88.7 and gives -0 for what is below 89 * exp(-88.7) of u.
        if (c->mode == NORM_SWIGLU) err[i] += 0x1p-120 * fabs(u[i]);
        if (err[i] >
            fabs(v[i]) + 0x1p-120 * fabs(u[i])) // |x| so large that the bound says nothing:
            err[i] = fabs(v[i]) * 0x1p-20 + 0x1p-120 * fabs(u[i]); // e^-x is 0 or infinity
        // A device may flush what it computes below 2^-126 to zero.
        err[i] += c->mode == NORM_PLAIN ? 0 : 0x1p-126;
    }
}

// A record of integers: each value lies within half a step (and what f32 arithmetic adds) of v.
//   scale = most / m, q = round(v * (m / most)), value = q * scale; four operations of at most
//   2.5 ULP on numbers up to m, so m * 8 * 2^-23 of a step more.
static void check_record(struct kt *t, const char *what, enum act_form form, const uint32_t *got,
                         const double *v, const double *err)
{
    double x[32], sum, total = 0, abs_total = 0;
    size_t span = form == ACT_I10 ? 32 : 16;
    double top = form == ACT_I9 ? 255 : form == ACT_I8 ? 127 : 511;
    ref_act_decode(form, got, x, &sum);
    for (size_t i = 0; i < 32; i++) {
        double most = 0, slack = 0;
        for (size_t j = i / span * span; j < i / span * span + span; j++) {
            most = fmax(most, fabs(v[j]));
            slack = fmax(slack, err[j]);
        }
        double step = (most + slack) / top;
        double tol = step * (0.5 + top * 8 * 0x1p-23) + 2 * slack + 0x1p-99; // flushed when tiny
        if (!(fabs(x[i] - v[i]) <= tol))
            fail_msg("%s: %s: value %zu is %.9g, expected %.9g +- %.3g", t->name, what, i, x[i],
                     v[i], tol);
        total += x[i];
        abs_total += fabs(x[i]);
    }
    if (form != ACT_I8 && (got[10] >> 20 || got[0] >> 30))
        fail_msg("%s: %s: unused bits are set", t->name, what);
    if (form == ACT_I10 && (got[14] || got[15])) fail_msg("%s: %s: padding is set", t->name, what);
    // Integer sums are exact; scale * sum twice and one addition round.
    if (form == ACT_I9 && !(fabs(sum - total) <= 4 * 0x1p-24 * abs_total + 0x1p-120))
        fail_msg("%s: %s: sum is %.9g, its values give %.9g", t->name, what, sum, total);
    for (size_t half = 0; form != ACT_I8 && half < 2; half++) {
        int q = 0;
        for (size_t i = 16 * half; i < 16 * half + 16; i++)
            q += (int)(got[i / 3] << (22 - 10 * (i % 3))) >> 22;
        uint32_t word = form == ACT_I9 ? got[11 + half] : got[12 + half];
        if (word != (uint32_t)(form == ACT_I9 ? -8 * 65537 * q : q))
            fail_msg("%s: %s: half %zu has %08x, its fields sum to %d", t->name, what, half, word,
                     q);
    }
}

static void check_form(struct kt *t, const struct norm_case *c, const struct norm_run *r,
                       enum act_form form, const struct kt_buf *out)
{
    static const char *const forms[] = {"i9", "i10", "f32", "i8"};
    char what[128];
    (void)snprintf(what, sizeof what, "norm mode %d, %s, %zu columns, pattern %d", (int)c->mode,
                   forms[form], c->n_cols, (int)c->pattern);
    struct kt_expect x = kt_expect(out);
    size_t record = act_texels(form) * 4, n = c->n_rows * r->n_blocks;
    uint32_t *got = kt_read(t, out);
    for (size_t b = 0; (c->want >> form & 1) && b < n; b++) {
        if (form != ACT_F32)
            check_record(t, what, form, got + b * record, r->v + 32 * b, r->err + 32 * b);
        for (size_t i = 0; i < record; i++) {
            double v = form == ACT_F32 ? r->v[32 * b + i] : (double)half_float(got[b * record + i]);
            kt_expect_at(&x, b * record + i, v, form == ACT_F32 ? r->err[32 * b + i] : 0);
            // integer words were judged above and may be bit patterns of NaN: take them as they are
            if (form != ACT_F32) out->before[b * record + i] = got[b * record + i];
            if (form != ACT_F32) x.written[b * record + i] = false;
        }
    }
    free(got);
    kt_check(t, out, &x, what);
    kt_expect_free(&x);
}

static void fill(struct kt *t, const struct norm_case *c, struct norm_run *r)
{
    size_t n_tokens = c->n_rows + 3;
    kt_values(t, KT_RANDOM, r->gain, c->n_cols);
    for (size_t i = 0; i < n_tokens; i++) {
        double *x = r->src + i * r->stride;
        kt_values(t, c->pattern, x, c->n_cols);
        kt_values(t, c->pattern, x + r->offset2, c->n_cols);
        for (size_t k = 0; c->mode == NORM_SWIGLU && k < c->n_cols; k++)
            if (c->pattern == KT_SPIKE) // gates far on both sides, and near where exp overflows
                x[k] =
                    (double)(float)(k % 3 == 0 ? 1e4 * x[k + r->offset2] : -80 - (double)(k % 12));
            else if (c->pattern == KT_MIXED)
                x[k] = (double)(float)fmax(-200, fmin(200, x[k]));
    }
}

static void norm_case(struct kt *t, const struct norm_case *c)
{
    struct norm_run r = {.n_blocks = size_div_up(c->n_cols, 32)};
    size_t width = 32 * r.n_blocks, n_tokens = c->n_rows + 3;
    r.offset2 = width + 4;
    r.stride = 2 * width + 8;
    r.src = calloc(n_tokens * r.stride, sizeof *r.src);
    r.gain = calloc(width, sizeof *r.gain);
    r.v = calloc(c->n_rows * width, sizeof *r.v);
    r.err = calloc(c->n_rows * width, sizeof *r.err);
    uint32_t *table = calloc(4 * c->n_rows, sizeof *table);
    assert_true(r.src && r.gain && r.v && r.err && table);
    fill(t, c, &r);
    for (size_t i = 0; i < c->n_rows; i++) {
        size_t token = c->gather ? n_tokens - 1 - i : i;
        table[4 * i + 3] = (uint32_t)token;
        reference_row(t, c, &r, i, token);
    }
    struct kt_buf src = kt_floats(t, r.src, n_tokens * r.stride),
                  gain = kt_floats(t, r.gain, width), tb = kt_upload(t, table, 4 * c->n_rows),
                  out[N_ACT_FORMS];
    for (uint32_t f = 0; f < N_ACT_FORMS; f++)
        out[f] = kt_upload(t, NULL, c->n_rows * r.n_blocks * act_texels((enum act_form)f) * 4);
    struct push_norm push = {(uint32_t)c->n_rows,
                             (uint32_t)c->n_cols,
                             (uint32_t)r.n_blocks,
                             (uint32_t)r.stride / 4,
                             0,
                             (uint32_t)r.offset2 / 4,
                             c->gather,
                             0x1p-17f};
    const struct gpu_pipeline *p;
    struct err e;
    if (!kernels_norm(&t->k, c->mode, c->want, &p, &e)) fail_msg("%s", e.msg);
    kt_run(t, p, (const struct kt_buf *[]){&src, &gain, &tb, &out[0], &out[1], &out[2], &out[3]},
           &push, (uint32_t)c->n_rows, 1);
    for (uint32_t f = 0; f < N_ACT_FORMS; f++) {
        check_form(t, c, &r, (enum act_form)f, &out[f]);
        kt_free(t, &out[f]);
    }
    kt_free(t, &src);
    kt_free(t, &gain);
    kt_free(t, &tb);
    free(r.src);
    free(r.gain);
    free(r.v);
    free(r.err);
    free(table);
}

static void check_norm(struct kt *t)
{
    static const size_t cols[] = {32, 36, 8, 576}, rows[] = {1, 2, 3, 5};
    for (uint32_t mode = 0; mode < 3; mode++)
        for (uint32_t want = 1; want < 8; want++)
            for (uint32_t p = 0; p < KT_N_PATTERNS; p++) {
                size_t k = mode + want + p;
                struct norm_case c = {(enum norm_mode)mode, want,       cols[k % 4],
                                      rows[(want + p) % 4], p % 2 == 1, (enum kt_pattern)p};
                norm_case(t, &c);
            }
}

static void check_i8(struct kt *t) // beside the other forms, and alone
{
    static const size_t cols[] = {32, 36, 8, 576};
    if (!t->gpu.dot) return;
    for (uint32_t mode = 0; mode < 3; mode++)
        for (uint32_t p = 0; p < KT_N_PATTERNS; p++)
            norm_case(t, &(struct norm_case){(enum norm_mode)mode, p % 2 ? 15 : 8,
                                             cols[(mode + p) % 4], 1 + p % 3, p % 2 == 1,
                                             (enum kt_pattern)p});
    norm_case(t, &(struct norm_case){NORM_RMS, 15, 53248, 2, true, KT_RANDOM});
}

static void check_wide(struct kt *t) // n_ff and n_embd of the largest Llama
{
    norm_case(t, &(struct norm_case){NORM_SWIGLU, 7, 53248, 2, false, KT_RANDOM});
    norm_case(t, &(struct norm_case){NORM_RMS, 7, 53248, 2, true, KT_RANDOM});
}

static void test_norm(void **state)
{
    (void)state;
    kt_everywhere(check_norm);
}

static void test_wide(void **state)
{
    (void)state;
    kt_everywhere(check_wide);
}

static void test_i8(void **state)
{
    (void)state;
    kt_tiers(check_i8);
}

// The reference's own records: what is encoded comes back within half a step.
static void test_records(void **state)
{
    (void)state;
    double v[32], x[32], sum;
    uint32_t record[32];
    for (int i = 0; i < 32; i++)
        v[i] = i * i - 300.5;
    for (uint32_t f = 0; f < N_ACT_FORMS; f++) {
        ref_act_encode((enum act_form)f, v, record);
        ref_act_decode((enum act_form)f, record, x, &sum);
        for (int i = 0; i < 32; i++)
            assert_true(fabs(x[i] - v[i]) <= (f == ACT_F32  ? 0
                                              : f == ACT_I8 ? 2.60
                                              : f == ACT_I9 ? 1.30
                                                            : 0.65));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records), cmocka_unit_test(test_norm),
                                       cmocka_unit_test(test_wide), cmocka_unit_test(test_i8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
