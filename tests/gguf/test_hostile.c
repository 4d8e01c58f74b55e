// Values that are well formed each by itself and wrong, absurd or malicious as a whole.
#include "engine/model/config.h"
#include "engine/model/inspect.h"
#include "tests/tiny_split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void must(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->msg);
}

// Sentences go to terminals.
static void plain(const char *s)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~') fail_msg("%s", s);
}

static void le64_at(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static void refused_bytes(const unsigned char *bytes, size_t size, enum err_code code,
                          const char *says)
{
    struct gguf g;
    struct err e = {0};
    if (gguf_open_memory(bytes, size, "file", true, &g, &e)) fail_msg("opened, wanted: %s", says);
    if (e.code != code || !strstr(e.msg, says)) fail_msg("wanted %s, got %s", says, e.msg);
    plain(e.msg);
}

// Opens t and reads its shape; frees t.
static void refused_config(struct tiny *t, const char *says)
{
    static struct config c;
    unsigned char *bytes;
    size_t size;
    struct gguf g;
    struct err e = {0};
    must(tiny_bytes(t, &bytes, &size, &e), &e);
    must(gguf_open_memory(bytes, size, "file", false, &g, &e), &e);
    if (config_read(&g, &c, &e)) fail_msg("read, wanted: %s", says);
    if (!strstr(e.msg, says)) fail_msg("wanted %s, got %s", says, e.msg);
    plain(e.msg);
    gguf_close(&g);
    free(bytes);
    tiny_free(t);
}

// ------------------------------------------------------------------------------------- numbers

static const uint64_t huge[] = {1000,
                                UINT32_MAX,
                                (uint64_t)1 << 32,
                                (uint64_t)1 << 60,
                                ((uint64_t)1 << 61) + 1, // times 8 is 8
                                ((uint64_t)1 << 62) + 1, // times 4 is 4
                                INT64_MAX,
                                (uint64_t)1 << 63,
                                UINT64_MAX - 7,
                                UINT64_MAX};
enum { N_HUGE = sizeof huge / sizeof huge[0] };

// Every length word of a file, one after the other, takes every huge value: none is believed, none
// decides how much memory is asked for, and none costs time.
static void test_lengths(void **state)
{
    (void)state;
    struct tiny t;
    unsigned char *bytes;
    size_t size;
    struct err e = {0};
    clock_t start = clock();
    tiny_begin(&t, 3);
    tiny_str(&t, "s", "value");                        // 24: key, 37: value
    tiny_strs(&t, "a", (const char *const[]){"x"}, 1); // 50: key, 67: count, 75
    tiny_i32s(&t, "i", (const int32_t[]){1}, 1);       // 84: key, 101: count
    tiny_tensor(&t, "t", QUANT_F32, 2, (const uint64_t[]){1, 1}, "\0\0\0\0", 4); // 113, 126, 134
    must(tiny_bytes(&t, &bytes, &size, &e), &e);
    static const struct {
        size_t at;
        unsigned char is;
    } words[] = {{8, 1},  {16, 3}, {24, 1},  {37, 5},  {50, 1},  {67, 1},
                 {75, 1}, {84, 1}, {101, 1}, {113, 1}, {126, 1}, {134, 1}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        unsigned char *p = bytes + words[i].at;
        assert_int_equal(p[0], words[i].is);
        for (size_t k = 0; k < N_HUGE; k++) {
            le64_at(p, huge[k]);
            refused_bytes(bytes, size, ERR_FORMAT, "file");
        }
        le64_at(p, words[i].is);
    }
    // Milliseconds; 2^60 of anything would be years.
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 5);
    free(bytes);
    tiny_free(&t);
}

static void test_alignment(void **state)
{
    (void)state;
    static const struct {
        uint32_t alignment;
        bool good;
    } list[] = {{0, false},       {1, true},         {2, true},          {3, false},
                {8, true},        {48, false},       {4096, true},       {1 << 20, true},
                {1 << 21, false}, {1u << 31, false}, {UINT32_MAX, false}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct tiny t;
        struct gguf g;
        struct err e = {0};
        unsigned char *bytes;
        size_t size;
        float got[2];
        tiny_begin(&t, 3);
        if (list[i].good) t.alignment = list[i].alignment;
        tiny_u32(&t, "general.alignment", list[i].alignment);
        tiny_str(&t, "odd", "length"); // data of alignment 1 begins at an odd address
        tiny_tensor(&t, "a", QUANT_F16, 1, (const uint64_t[]){1}, "\0\x3c", 2);
        tiny_tensor(&t, "b", QUANT_F32, 1, (const uint64_t[]){2}, "\0\0\x80\x3f\0\0\0\x40", 8);
        must(tiny_bytes(&t, &bytes, &size, &e), &e);
        tiny_free(&t);
        if (list[i].good) {
            must(gguf_open_memory(bytes, size, "file", false, &g, &e), &e);
            const struct gguf_tensor *b = gguf_tensor(&g, "b");
            assert_true(quant_dequantise(b->type, b->data, 2, got));
            assert_true(got[0] == 1 && got[1] == 2);
            gguf_close(&g);
        } else {
            refused_bytes(bytes, size, ERR_FORMAT, "not a power of two up to 1048576");
        }
        free(bytes);
    }
}

static void test_many_parts(void **state)
{
    (void)state;
    static const uint32_t counts[] = {3, 65536, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct tiny t;
        struct gguf g;
        struct err e = {0};
        tiny_begin(&t, 3);
        tiny_u32(&t, "split.no", UINT32_MAX);
        tiny_u32(&t, "split.count", counts[i]);
        tiny_u32(&t, "split.tensors.count", UINT32_MAX);
        must(tiny_write(&t, "hostile-00001-of-00003.gguf", &e), &e);
        tiny_free(&t);
        assert_false(gguf_open("hostile-00001-of-00003.gguf", &g, &e));
        assert_int_equal(e.code, ERR_FORMAT);
        assert_non_null(strstr(e.msg, "is part 4294967296 of"));
        assert_null(g.shards);
    }
    remove("hostile-00001-of-00003.gguf");
}

// --------------------------------------------------------------------------------------- texts

#define ESCAPE "a\x1b]0;x\x07\x7f\xc2\x9b\n"

// A name that a terminal would obey, wherever a sentence can repeat it.
static void test_control_characters(void **state)
{
    (void)state;
    static const char nested[] = "\x09\0\0\0\1\0\0\0\0\0\0\0";
    static const uint64_t one[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (int what = 0; what < 9; what++) {
        struct tiny t;
        unsigned char *bytes;
        size_t size;
        struct err e = {0};
        struct gguf g;
        tiny_begin(&t, 3);
        switch (what) {
        case 0: tiny_raw(&t, ESCAPE, 99, "", 0); break;
        case 1: tiny_raw(&t, ESCAPE, GGUF_ARRAY, nested, 12); break;
        case 2: tiny_raw(&t, ESCAPE, GGUF_ARRAY, "\x63\0\0\0\1\0\0\0\0\0\0\0", 12); break;
        case 3: tiny_raw(&t, ESCAPE, GGUF_ARRAY, "\4\0\0\0\1\0\0\0\0\0\0\x01", 12); break;
        case 4: tiny_u32(&t, ESCAPE, 1), tiny_u32(&t, ESCAPE, 1); break;
        case 5: tiny_tensor_at(&t, ESCAPE, 0, 9, one, 0); break;
        case 6: tiny_tensor_at(&t, ESCAPE, 99, 1, one, 0); break;
        case 7: tiny_tensor_at(&t, ESCAPE, 0, 1, one, 1); break;
        default: tiny_tensor_at(&t, ESCAPE, 0, 1, one, 1 << 20); break;
        }
        must(tiny_bytes(&t, &bytes, &size, &e), &e);
        assert_false(gguf_open_memory(bytes, size, "file", false, &g, &e));
        if (!strstr(e.msg, "'a?]0;x?")) fail_msg("the name is not shown: %s", e.msg);
        plain(e.msg);
        free(bytes);
        tiny_free(&t);
    }
}

static void put_shape(struct tiny *t)
{
    tiny_begin(t, 3);
    tiny_str(t, "general.architecture", "llama");
    tiny_u32(t, "llama.block_count", 1);
    tiny_u32(t, "llama.embedding_length", 16);
    tiny_u32(t, "llama.feed_forward_length", 16);
    tiny_u32(t, "llama.context_length", 64);
    tiny_u32(t, "llama.attention.head_count", 2);
    static const float zeros[32] = {0};
    tiny_tensor(t, "token_embd.weight", QUANT_F32, 2, (const uint64_t[]){16, 2}, zeros, 128);
}

static void test_config(void **state)
{
    (void)state;
    struct tiny t;
    static const float freqs[][4] = {
        {1, 0, 1, 1}, {1, 1, 1, -2}, {NAN, 1, 1, 1}, {1, INFINITY, 1, 1}};
    tiny_begin(&t, 3);
    tiny_str(&t, "general.architecture", ESCAPE);
    refused_config(&t, "architecture 'a?]0;x?");
    put_shape(&t);
    tiny_str(&t, "llama.rope.scaling.type", ESCAPE);
    refused_config(&t, "rope scaling type a?]0;x?");
    for (size_t i = 0; i < sizeof freqs / sizeof freqs[0]; i++) {
        put_shape(&t);
        tiny_tensor(&t, "rope_freqs.weight", QUANT_F32, 1, (const uint64_t[]){4}, freqs[i], 16);
        refused_config(&t, "rope_freqs.weight holds");
    }
    static struct config c;
    struct gguf g;
    struct err e = {0};
    unsigned char *bytes;
    size_t size;
    put_shape(&t);
    tiny_str(&t, "general.name", "evil\x1b[2J\x7fname");
    must(tiny_bytes(&t, &bytes, &size, &e), &e);
    must(gguf_open_memory(bytes, size, "file", false, &g, &e), &e);
    must(config_read(&g, &c, &e), &e);
    assert_string_equal(c.name, "evil [2J name");
    gguf_close(&g);
    free(bytes);
    tiny_free(&t);
}

// Sums over tensors of a type that says nothing of its size: no wrap.
static void test_impossible_sums(void **state)
{
    (void)state;
    const uint64_t ne[] = {INT64_MAX};
    struct tiny t;
    struct gguf g;
    struct err e = {0};
    unsigned char *bytes;
    size_t size;
    cJSON *doc;
    tiny_begin(&t, 3);
    tiny_tensor_at(&t, "a", 99, 1, ne, 0);
    tiny_tensor_at(&t, "b", 98, 1, ne, 0);
    tiny_tensor_at(&t, "c", 97, 1, ne, 0);
    must(tiny_bytes(&t, &bytes, &size, &e), &e);
    must(gguf_open_memory(bytes, size, "file", true, &g, &e), &e);
    assert_false(inspect_file(&g, &doc, &e));
    assert_non_null(strstr(e.msg, "more than any file can hold"));
    assert_null(doc);
    gguf_close(&g);
    free(bytes);
    tiny_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),    cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_many_parts), cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_config),     cmocka_unit_test(test_impossible_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
