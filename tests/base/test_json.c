// base/json: typed getters, their sentences, files.
#include "base/file.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "test_base_json.json"

static const char doc[] = "{\"s\": \"x\", \"i\": 42, \"r\": 1.5, \"big\": 1e300, \"b\": true, "
                          "\"n\": null, \"a\": [1], \"o\": {\"k\": 2}, \"version\": 3}";

static cJSON *parsed(const char *text)
{
    struct err e = {0};
    cJSON *j = json_parse(text, strlen(text), "doc", &e);
    if (!j) fail_msg("%s", e.msg);
    return j;
}

static void test_getters(void **state)
{
    (void)state;
    cJSON *j = parsed(doc);
    struct err e = {0};
    const char *s;
    const cJSON *v;
    double d;
    int64_t i;
    assert_true(json_string(j, "s", &s, "doc", &e));
    assert_string_equal(s, "x");
    assert_true(json_number(j, "r", &d, "doc", &e) && d == 1.5);
    assert_true(json_int(j, "i", &i, "doc", &e) && i == 42);
    assert_true(json_array(j, "a", &v, "doc", &e) && cJSON_GetArraySize(v) == 1);
    assert_true(json_object(j, "o", &v, "doc", &e) && json_int(v, "k", &i, "doc", &e) && i == 2);
    assert_string_equal(json_string_or(j, "s", "f"), "x");
    assert_string_equal(json_string_or(j, "i", "f"), "f");
    assert_string_equal(json_string_or(j, "none", "f"), "f");
    assert_true(json_number_or(j, "r", 9) == 1.5 && json_number_or(j, "n", 9) == 9);
    assert_true(json_bool_or(j, "b", false) && !json_bool_or(j, "s", false));
    assert_true(json_bool_or(j, "none", true));
    assert_true(json_version(j, 3, "doc", &e));
    assert_int_equal(e.code, ERR_NONE);
    cJSON_Delete(j);
}

static void refused(bool ok, struct err *e, const char *part, const char *key)
{
    assert_false(ok);
    assert_int_equal(e->code, ERR_FORMAT);
    if (!strstr(e->msg, part) || !strstr(e->msg, key) || strncmp(e->msg, "doc:", 4))
        fail_msg("wanted doc: ... %s ... %s, got %s", key, part, e->msg);
    *e = (struct err){0};
}

static void test_getters_refuse(void **state)
{
    (void)state;
    cJSON *j = parsed(doc);
    struct err e = {0};
    const char *s;
    const cJSON *v;
    double d;
    int64_t i;
    refused(json_string(j, "i", &s, "doc", &e), &e, "of another type", "\"i\"");
    assert_null(s);
    refused(json_string(j, "none", &s, "doc", &e), &e, "missing", "\"none\"");
    refused(json_number(j, "s", &d, "doc", &e), &e, "a number", "\"s\"");
    refused(json_int(j, "r", &i, "doc", &e), &e, "whole number", "\"r\"");
    refused(json_int(j, "big", &i, "doc", &e), &e, "whole number", "\"big\"");
    refused(json_array(j, "o", &v, "doc", &e), &e, "an array", "\"o\"");
    assert_null(v);
    refused(json_object(j, "a", &v, "doc", &e), &e, "an object", "\"a\"");
    refused(json_object(j, "S", &v, "doc", &e), &e, "missing", "\"S\""); // case matters
    assert_false(json_version(j, 1, "doc", &e));
    assert_non_null(strstr(e.msg, "version 3"));
    assert_non_null(strstr(e.msg, "version 1"));
    cJSON_Delete(j);
}

static void test_parse_refuses(void **state)
{
    (void)state;
    struct err e = {0};
    assert_null(json_parse("{\"a\": 1,\n\n  oops}", 17, "here", &e));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_string_equal(e.msg, "here: not valid JSON near line 3");
    for (size_t n = 0; n < sizeof doc - 1; n++) // every prefix
        if (json_parse(doc, n, "cut", &e)) fail_msg("%zu bytes are no document", n);
    assert_null(json_parse("{}\n\n}", 5, "more", &e)); // behind the document
    assert_string_equal(e.msg, "more: not valid JSON near line 3");
    cJSON *spaced = json_parse(" [1] \r\n2", 7, "spaced", &e); // 2 does not belong to the text
    assert_true(cJSON_IsArray(spaced));
    cJSON_Delete(spaced);
    size_t deep = 100000;
    char *nest = malloc(deep);
    assert_non_null(nest);
    memset(nest, '[', deep);
    assert_null(json_parse(nest, deep, "deep", &e)); // no stack overflow
    free(nest);
    assert_null(json_load("no/such.json", &e));
    assert_int_equal(e.code, ERR_IO);
}

static void test_save(void **state)
{
    (void)state;
    cJSON *j = parsed(doc), *back;
    struct err e = {0};
    char *text;
    size_t size;
    assert_true(json_save(PATH, j, &e));
    assert_true(file_read(PATH, 1 << 20, &text, &size, &e));
    assert_int_equal(text[size - 1], '\n');
    free(text);
    back = json_load(PATH, &e);
    assert_non_null(back);
    assert_true(cJSON_Compare(j, back, true));
    assert_false(json_save("no/such/folder.json", j, &e));
    assert_int_equal(e.code, ERR_IO);
    cJSON_Delete(j);
    cJSON_Delete(back);
    unlink(PATH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_getters_refuse),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_save),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
