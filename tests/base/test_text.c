// base/err, base/utf8, base/size, and struct text with its JSON strings.
#include "base/err.h"
#include "base/json.h"
#include "base/size.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_err(void **state)
{
    (void)state;
    struct err e = {0};
    char big[2000];
    assert_false(err_set(&e, ERR_FORMAT, "%s: %d bytes", "a.gguf", 7));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_string_equal(e.msg, "a.gguf: 7 bytes");
    assert_false(err_prefix(&e, "block %d", 3));
    assert_string_equal(e.msg, "block 3: a.gguf: 7 bytes");
    assert_int_equal(e.code, ERR_FORMAT);
    assert_false(err_nomem(&e, "logits", 123));
    assert_int_equal(e.code, ERR_MEMORY);
    assert_non_null(strstr(e.msg, "123 bytes for logits"));
    assert_false(err_set(NULL, ERR_IO, "nobody listens"));
    assert_false(err_prefix(NULL, "nobody listens"));

    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_false(err_set(&e, ERR_IO, "%s", big));
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1); // cut, not overrun
    assert_false(err_prefix(&e, "front"));
    assert_int_equal(strncmp(e.msg, "front: xxx", 10), 0);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    assert_false(err_prefix(&e, "%s", big));
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);

    for (int c = ERR_NONE; c <= ERR_INTERNAL; c++)
        assert_true(err_code_name((enum err_code)c)[0] != '\0');
    assert_string_equal(err_code_name(ERR_CANCELLED), "cancelled");
    assert_string_equal(err_code_name((enum err_code)999), "unknown");
}

static void test_size(void **state)
{
    (void)state;
    size_t r = 1;
    assert_true(size_add(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &r));
    assert_true(size_mul(SIZE_MAX, 1, &r) && r == SIZE_MAX);
    assert_true(size_mul(SIZE_MAX, 0, &r) && r == 0);
    assert_true(size_mul(0, SIZE_MAX, &r) && r == 0);
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &r));
    assert_true(size_mul(SIZE_MAX / 3, 3, &r));
    assert_int_equal(size_align(0, 32), 0);
    assert_int_equal(size_align(1, 32), 32);
    assert_int_equal(size_align(32, 32), 32);
    assert_int_equal(size_div_up(SIZE_MAX, 2), SIZE_MAX / 2 + 1);
    assert_int_equal(size_div_up(64, 32), 2);
    assert_int_equal(size_min(3, 4), 3);
    assert_int_equal(size_max(3, 4), 4);
}

// Every code point there and back; surrogates and beyond give U+FFFD.
static void test_utf8_all(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x110010; cp++) {
        char s[4];
        uint32_t got;
        bool valid = cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
        size_t n = utf8_encode(cp, s);
        size_t want = !valid ? 3 : cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        if (n != want || utf8_decode(s, n, &got) != n || got != (valid ? cp : 0xfffd))
            fail_msg("U+%04X: %zu bytes, back U+%04X", cp, n, got);
        for (size_t cut = 1; cut < n; cut++) {
            if (utf8_decode(s, cut, &got) != 1 || got != 0xfffd) fail_msg("U+%04X cut", cp);
            if (utf8_incomplete_tail(s, cut) != cut) fail_msg("U+%04X: tail of %zu", cp, cut);
        }
        if (utf8_incomplete_tail(s, n)) fail_msg("U+%04X is not whole", cp);
    }
}

static void test_utf8_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf", // overlong
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf", // surrogates
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe", // too large
        "\xc3(",
        "\xe2\x82(",
        "\xf0\x9f\x98(", // a continuation is missing
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t cp;
        assert_int_equal(utf8_decode(bad[i], strlen(bad[i]), &cp), 1);
        assert_int_equal(cp, 0xfffd);
    }
    assert_int_equal(utf8_incomplete_tail("", 0), 0);
    assert_int_equal(utf8_incomplete_tail("ab\xe2\x82", 4), 2);
    assert_int_equal(utf8_incomplete_tail("\x80\x80\x80\x80", 4), 0); // nothing can complete it
    assert_int_equal(utf8_incomplete_tail("\xff", 1), 0);
}

static void json_is(const char *s, size_t size, bool ascii, const char *want)
{
    struct text t = {0};
    text_json(&t, s, size, ascii);
    assert_false(t.failed);
    assert_string_equal(t.data, want);
    assert_int_equal(t.size, strlen(want));
    text_free(&t);
}

// The right-hand sides are what Python's json.dumps prints, without and with ensure_ascii.
static void test_text_json(void **state)
{
    (void)state;
    json_is("", 0, false, "\"\"");
    json_is("a\"b\\c/", 6, false, "\"a\\\"b\\\\c/\"");
    json_is("\b\t\n\f\r", 5, true, "\"\\b\\t\\n\\f\\r\"");
    json_is("\0\x01\x1f\x7f", 4, false, "\"\\u0000\\u0001\\u001f\x7f\"");
    json_is("\x7f", 1, true, "\"\\u007f\"");
    json_is("\xc3\xa9\xe2\x82\xac", 5, false, "\"\xc3\xa9\xe2\x82\xac\"");
    json_is("\xc3\xa9\xe2\x82\xac", 5, true, "\"\\u00e9\\u20ac\"");
    json_is("\xf0\x9f\x98\x80", 4, false, "\"\xf0\x9f\x98\x80\"");
    json_is("\xf0\x9f\x98\x80", 4, true, "\"\\ud83d\\ude00\"");
    json_is("\xf4\x8f\xbf\xbf", 4, true, "\"\\udbff\\udfff\"");
    json_is("a\xff\xe2\x82", 4, false, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    json_is("\xff", 1, true, "\"\\ufffd\"");
}

static void test_text(void **state)
{
    (void)state;
    struct text t = {0};
    char *big = malloc(5001);
    assert_non_null(big);
    memset(big, 'y', 5000);
    big[5000] = '\0';
    text_add(&t, NULL, 0);
    assert_string_equal(t.data, "");
    for (int i = 0; i < 1000; i++) // over every size of the buffer
        text_printf(&t, "%d,", i);
    assert_int_equal(t.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_string_equal(t.data + t.size - 8, "998,999,");
    text_printf(&t, "%s!", big); // longer than the local buffer
    assert_int_equal(t.size, 3890 + 5001);
    assert_int_equal(t.data[t.size - 1], '!');
    assert_int_equal(strlen(t.data), t.size);
    text_add(&t, "\0z", 2);
    assert_int_equal(t.data[t.size - 1], 'z');
    free(big);
    text_free(&t);
    assert_null(t.data);
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err),       cmocka_unit_test(test_size),
        cmocka_unit_test(test_utf8_all),  cmocka_unit_test(test_utf8_bad),
        cmocka_unit_test(test_text_json), cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
