#include "tests/kernels/cache.h"
#include "base/half.h"
#include "engine/ref/ref.h"

static const uint32_t bits_of[KT_KV_TYPES] = {
    [KV_F16] = 16, [KV_F32] = 32, [KV_Q8_0] = 8, [KV_Q4_0] = 4};

const char *kt_kv_name(uint32_t type)
{
    static const char *const names[KT_KV_TYPES] = {"f16", "f32", "q8_0", "q4_0"};
    return names[type];
}

static size_t plain_words(uint32_t type, size_t v_base)
{
    return 2 * v_base * bits_of[type] / 32;
}

size_t kt_kv_row(size_t cell, size_t head, size_t n_heads)
{
    return (cell / KV_PAGE * n_heads + head) * KV_PAGE + cell % KV_PAGE;
}

size_t kt_kv_words(uint32_t type, size_t v_base)
{
    return plain_words(type, v_base) + (type >= KV_Q8_0 ? 2 * v_base / 64 : 0);
}

// A field of `bits` bits, counted from the lowest of a word.
static uint32_t get(const uint32_t *words, uint32_t bits, size_t i)
{
    uint32_t v = words[i * bits / 32] >> i * bits % 32;
    return bits == 32 ? v : v & ((1u << bits) - 1);
}

static void put(uint32_t *words, uint32_t bits, size_t i, uint32_t v)
{
    uint32_t mask = bits == 32 ? UINT32_MAX : (1u << bits) - 1, shift = (uint32_t)(i * bits % 32);
    words[i * bits / 32] = (words[i * bits / 32] & ~(mask << shift)) | (v & mask) << shift;
}

uint32_t kt_kv_bits(uint32_t type, const uint32_t *words, size_t at)
{
    return get(words, bits_of[type], at);
}

uint32_t kt_kv_scale(uint32_t type, const uint32_t *words, size_t v_base, size_t at)
{
    return get(words + plain_words(type, v_base), 16, at / 32);
}

// The integer that the bits stand for.
static int integer(uint32_t type, uint32_t v)
{
    return type == KV_Q4_0 ? (int)v - 8 : v < 128 ? (int)v : (int)v - 256;
}

double kt_kv_get(uint32_t type, const uint32_t *words, size_t v_base, size_t at)
{
    uint32_t v = kt_kv_bits(type, words, at);
    if (type == KV_F32) return (double)half_float(v);
    if (type == KV_F16) return (double)f16_to_f32((uint16_t)v);
    uint32_t scale = kt_kv_scale(type, words, v_base, at);
    return integer(type, v) * (double)f16_to_f32((uint16_t)scale);
}

void kt_kv_put(uint32_t type, uint32_t *words, size_t v_base, size_t at, const double *row,
               size_t head_dim)
{
    for (size_t i = 0; type < KV_Q8_0 && i < head_dim; i++) {
        double kept;
        ref_kv_row(type, row + i, 1, &kept);
        put(words, bits_of[type], at + i,
            type == KV_F32 ? half_bits((float)kept) : f32_to_f16((float)kept));
    }
    for (size_t b = 0; type >= KV_Q8_0 && b < head_dim; b += 32) {
        size_t n = head_dim - b < 32 ? head_dim - b : 32;
        double block[32] = {0};
        int q[32];
        memcpy(block, row + b, n * sizeof *row);
        double scale = ref_kv_block(type, block, q);
        for (size_t i = 0; i < n; i++)
            put(words, bits_of[type], at + b + i, (uint32_t)(q[i] + (type == KV_Q4_0 ? 8 : 0)));
        put(words + plain_words(type, v_base), 16, (at + b) / 32, f32_to_f16((float)scale));
    }
}

void kt_kv_spoil(uint32_t type, uint32_t *words, size_t v_base, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        if (type < KV_Q8_0)
            put(words, bits_of[type], i, type == KV_F32 ? 0x7fc00000u : 0x7e00u);
        else
            put(words + plain_words(type, v_base), 16, i / 32, 0x7e00u);
}

// ------------------------------------------------------------------------------------ comparison

struct compared {
    uint32_t type;
    size_t v_base;
    const uint32_t *got, *before;
    const struct kt_expect *x;
};

// f16 clamps, then rounds; Vulkan lets a device round either way: 2^-10 of the value, or 2^-24
// among the subnormals.
static bool plain_ok(const struct compared *c, size_t i)
{
    if (!c->x->written[i])
        return kt_kv_bits(c->type, c->got, i) == kt_kv_bits(c->type, c->before, i);
    double want = c->x->value[i], tol = c->x->tol[i];
    if (c->type == KV_F16) {
        want = fmin(65504, fmax(-65504, want));
        tol += 0x1p-10 * fabs(want) + 0x1p-24;
    }
    return fabs(kt_kv_get(c->type, c->got, c->v_base, i) - want) <= tol;
}

static int rounded(uint32_t type, double t)
{
    if (type == KV_Q8_0) return (int)fmin(127, fmax(-127, round(t)));
    return (int)fmin(15, fmax(0, floor(t + 8.5))) - 8;
}

// A block of 32 against ref_kv_block's rule. The scale d = D (1 + 2.5 ULP) and what the largest
// value is off; its f16 is off by 2^-10 of it or 2^-24. An integer may be one of those that the
// rule gives for t = value / d within its error: that of the value and d, 2.5 ULP of 1/d, half a
// ULP of the product and of t + 8.5 or + 0.5 (at most 128). In f16 a scale below 2^-25 is 0.
static bool block_ok(const struct compared *c, size_t at)
{
    double up = 0, down = 0, off = 0;
    for (size_t i = at; i < at + 32; i++) {
        if (!c->x->written[i]) continue;
        up = fmax(up, c->x->value[i]);
        down = fmax(down, -c->x->value[i]);
        off = fmax(off, c->x->tol[i]);
    }
    double n = c->type == KV_Q8_0 ? 127 : 8, d = fmin(65504, fmax(up, down) / n);
    double err_d = off / n + 5 * 0x1p-24 * d;
    double s = (double)f16_to_f32((uint16_t)kt_kv_scale(c->type, c->got, c->v_base, at));
    double sign = c->type == KV_Q8_0 || down > up ? 1 : -1;
    if (c->type == KV_Q4_0 && fabs(up - down) <= 2 * off)
        sign = copysign(1, s); // either is largest
    if (!(fabs(s - sign * d) <= err_d + 0x1p-10 * d + 0x1p-24)) return false;
    if (d < 0x1p-25) return s == 0 || d > 0x1p-26;
    for (size_t i = at; i < at + 32; i++) {
        double v = c->x->written[i] ? c->x->value[i] : 0, t = sign * v / d;
        double tol = c->x->written[i] ? c->x->tol[i] : 0;
        double err = tol / d + fabs(t) * (2 * err_d / d + 6 * 0x1p-24) + 128 * 0x1p-24;
        int q = integer(c->type, kt_kv_bits(c->type, c->got, i));
        if (q < rounded(c->type, t - err) || q > rounded(c->type, t + err)) return false;
    }
    return true;
}

static bool unit_ok(const struct compared *c, size_t at)
{
    if (c->x->written[at]) return block_ok(c, at) && block_ok(c, at + 32);
    for (size_t i = at; i < at + 64; i++)
        if (kt_kv_bits(c->type, c->got, i) != kt_kv_bits(c->type, c->before, i)) return false;
    size_t scale = plain_words(c->type, c->v_base) + at / 64;
    return c->got[scale] == c->before[scale];
}

void kt_kv_check(struct kt *t, uint32_t type, const struct kt_buf *kv, size_t v_base,
                 const struct kt_expect *x, const char *what)
{
    struct compared c = {type, v_base, kt_read(t, kv), kv->before, x};
    size_t step = type >= KV_Q8_0 ? 64 : 1;
    for (size_t i = 0; i < 2 * v_base; i += step)
        if (step == 1 ? !plain_ok(&c, i) : !unit_ok(&c, i))
            fail_msg("%s: %s: cache element %zu (%s) is %.9g, expected %.9g +- %.3g and rounding",
                     t->name, what, i, x->written[i] ? "written" : "not to be written",
                     kt_kv_get(type, c.got, v_base, i), x->value[i], x->tol[i]);
    for (size_t i = kv->words; i < kv->words + GUARD_WORDS; i++)
        assert_int_equal(c.got[i], POISON);
    free((void *)(uintptr_t)c.got);
}
