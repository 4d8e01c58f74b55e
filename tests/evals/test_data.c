// Reading data sets: CSV and gzip traps, hostile files, the bundled archive.
#include "eval_test.h"
#include "evals/dataset.h"

#include <zlib.h>

static void csv(void **state)
{
    (void)state;
    struct err e = {0};
    struct csv_table t;
    const char *text = "a , b,\" c \"\r\n\"x\ny\",\"say \"\"no\"\"\",\n,,last";
    assert_ok(csv_read(text, strlen(text), "t.csv", &t, &e), e);
    assert_int_equal(t.n, 3);
    assert_string_equal(t.rows[0].fields[0], "a ");
    assert_string_equal(t.rows[0].fields[1], " b");
    assert_string_equal(t.rows[0].fields[2], " c ");
    assert_int_equal(t.rows[0].n, 3);
    assert_string_equal(t.rows[1].fields[0], "x\ny");
    assert_string_equal(t.rows[1].fields[1], "say \"no\"");
    assert_string_equal(t.rows[1].fields[2], "");
    assert_int_equal(t.rows[2].n, 3);
    assert_string_equal(t.rows[2].fields[2], "last");
    csv_table_free(&t);
    assert_ok(csv_read("", 0, "t.csv", &t, &e), e);
    assert_int_equal(t.n, 0);
    csv_table_free(&t);
    text = "good,row\nbad,\"never closed\n";
    assert_false(csv_read(text, strlen(text), "t.csv", &t, &e));
    assert_non_null(strstr(e.msg, "t.csv: row 2"));
}

static void jsonl(void **state)
{
    (void)state;
    struct err e = {0};
    const char *text = "{\"a\":1}\n\n{\"a\":2}";
    cJSON *all = jsonl_parse(text, strlen(text), "t.jsonl", &e);
    assert_int_equal(cJSON_GetArraySize(all), 2);
    cJSON_Delete(all);
    text = "{\"a\":1}\n{\"a\":";
    assert_null(jsonl_parse(text, strlen(text), "t.jsonl", &e));
    assert_non_null(strstr(e.msg, "t.jsonl line 2"));
    assert_null(jsonl_parse("[1]\n", 4, "t.jsonl", &e));
    assert_non_null(strstr(e.msg, "not a JSON object"));
}

static void packed(void **state)
{
    (void)state;
    struct err e = {0};
    const char *dir = "data_test.tmp";
    struct data_source src = {.dir = dir};
    assert_ok(file_remove_tree(dir, &e) && file_mkdirs("data_test.tmp/h", &e), e);
    char *data, line[] = "{\"x\": \"0123456789012345678901234567890123456789\"}\n";
    size_t size, n = 0;
    gzFile z = gzopen("data_test.tmp/h/x.jsonl.gz", "wb");
    for (int i = 0; i < 20000; i++) // unpacks to far more than the first buffer
        n += (size_t)gzwrite(z, line, (unsigned)strlen(line));
    assert_int_equal(gzclose(z), Z_OK);
    assert_ok(data_read(&src, "h/x.jsonl", &data, &size, &e), e);
    assert_int_equal(size, n);
    assert_memory_equal(data + n - strlen(line), line, strlen(line) + 1);
    free(data);
    // cut short, then not gzip at all
    assert_ok(file_read("data_test.tmp/h/x.jsonl.gz", 1 << 24, &data, &size, &e), e);
    assert_ok(file_write("data_test.tmp/h/y.jsonl.gz", data, size / 2, &e), e);
    free(data);
    assert_false(data_read(&src, "h/y.jsonl", &data, &size, &e));
    assert_non_null(strstr(e.msg, "not a whole gzip file"));
    assert_ok(file_write("data_test.tmp/h/y.jsonl.gz", "", 0, &e), e);
    assert_false(data_read(&src, "h/y.jsonl", &data, &size, &e));
    assert_false(data_read(&src, "h/none.jsonl", &data, &size, &e));
    assert_non_null(strstr(e.msg, "there is no h/none.jsonl"));
    assert_ok(file_remove_tree(dir, &e), e);
}

static void bundle(void **state)
{
    (void)state;
    struct err e = {0};
    struct data_source src = {0};
    struct data_names names;
    char *data, *whole;
    size_t size, whole_size;
    assert_true(data_exists(&src, "gsm8k/test.jsonl"));
    assert_false(data_exists(&src, "gsm8k/test"));
    assert_ok(data_read(&src, "gsm8k/test.jsonl", &data, &size, &e), e);
    assert_ok(file_read(LECTERN_SOURCE_DIR "/evals/data/gsm8k/test.jsonl", 1 << 24, &whole,
                        &whole_size, &e),
              e);
    assert_int_equal(size, whole_size);
    assert_memory_equal(data, whole, size);
    free(data);
    free(whole);
    assert_ok(data_list(&src, "gsm8k", ".jsonl", &names, &e), e);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.names[0], "test");
    assert_string_equal(names.names[1], "train");
    data_names_free(&names);
    assert_false(data_read(&src, "no/file", &data, &size, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv),
        cmocka_unit_test(jsonl),
        cmocka_unit_test(packed),
        cmocka_unit_test(bundle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
