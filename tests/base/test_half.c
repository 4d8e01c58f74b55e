// base/half.h against IEEE 754's definition: every one of the 65,536 bit patterns one way, and the
// other way every value, every midpoint between neighbours and the floats next to it. Rounding is
// monotonic, so those decide all floats.
#include "base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

// (-1)^s * 2^(max(e, 1) - 25) * (m + 1024 where e > 0), from the definition of binary16.
static double by_definition(uint16_t h)
{
    int exp = h >> 10 & 31, man = h & 1023;
    double v = exp == 31 ? (man ? (double)NAN : (double)INFINITY)
                         : ldexp(man + (exp ? 1024 : 0), (exp ? exp : 1) - 25);
    return h & 0x8000 ? -v : v;
}

static bool is_nan(uint16_t h)
{
    return (h & 0x7fff) > 0x7c00;
}

static void test_every_f16(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        double want = by_definition((uint16_t)h);
        float got = f16_to_f32((uint16_t)h);
        if (is_nan((uint16_t)h)) {
            if (!isnan(got)) fail_msg("%04x is no NaN", h);
            continue;
        }
        if ((double)got != want || !signbit(got) != !(h >> 15))
            fail_msg("%04x gives %a, wanted %a", h, (double)got, want);
    }
}

static void test_back(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t got = f32_to_f16(f16_to_f32((uint16_t)h));
        if (is_nan((uint16_t)h) ? !is_nan(got) : got != h)
            fail_msg("%04x comes back as %04x", h, got);
        if ((got ^ h) & 0x8000) fail_msg("%04x comes back with another sign", h);
    }
}

static void rounds_to(float f, uint32_t want)
{
    uint16_t got = f32_to_f16(f), neg = f32_to_f16(-f);
    if (got != want) fail_msg("%a rounds to %04x, wanted %04x", (double)f, got, want);
    if (neg != (want | 0x8000)) fail_msg("%a rounds to %04x", (double)-f, neg);
}

// The step above the largest value, 65504, leads to 65536, which does not exist: infinity.
static void test_midpoints(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double lo = by_definition((uint16_t)h);
        double hi = h == 0x7bff ? 65536 : by_definition((uint16_t)(h + 1));
        float mid = (float)((lo + hi) / 2); // 12 bits: exact
        assert_true((double)mid == (lo + hi) / 2);
        rounds_to(mid, h + (h & 1)); // to even
        rounds_to(nextafterf(mid, 0), h);
        rounds_to(nextafterf(mid, INFINITY), h + 1);
    }
}

static void test_ends(void **state)
{
    (void)state;
    rounds_to(0x1p-149f, 0); // the smallest float
    rounds_to(0x1p-126f, 0);
    for (float f = 65520; f < 3e38f; f *= 1.0001f) // no NaN and nothing finite above the largest
        rounds_to(f, 0x7c00);
    rounds_to(3.4028235e38f, 0x7c00);
    rounds_to(INFINITY, 0x7c00);
    assert_true(is_nan(f32_to_f16(NAN)));
    assert_true(is_nan(f32_to_f16(half_float(0x7f800001)))); // its mantissa bit is cut off
}

static void test_bf16(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++)
        assert_int_equal(half_bits(bf16_to_f32((uint16_t)h)), h << 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_f16), cmocka_unit_test(test_back),
        cmocka_unit_test(test_midpoints), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
