// The GGUF reader on good files, on every prefix of one, and on files broken on purpose.
#include "base/file.h"
#include "tests/tiny_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "test_gguf.gguf"

static void must(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->msg);
}

static void write_bytes(const void *bytes, size_t size)
{
    FILE *f = fopen(PATH, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

// Opens PATH, expects a failure of this code with this part of a sentence, and nothing left over.
static void refused(enum err_code code, const char *part)
{
    struct gguf g;
    struct err e = {0};
    if (gguf_open(PATH, &g, &e)) fail_msg("a broken file was opened, wanted: %s", part);
    if (e.code != code || !strstr(e.msg, part)) fail_msg("wanted %s, got %s", part, e.msg);
    assert_null(g.kv);
    assert_null(g.shards);
}

// A small file with a value of every kind and two tensors.
static void make_good(struct tiny *t)
{
    static const float row[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const unsigned char q[2 * 34] = {0};
    tiny_begin(t, 3);
    tiny_str(t, "general.architecture", "llama");
    tiny_u32(t, "u32", 7);
    tiny_f32(t, "f32", 1.5f);
    tiny_bool(t, "yes", true);
    tiny_raw(t, "i8", GGUF_I8, "\xff", 1);
    tiny_raw(t, "u64", GGUF_U64, "\x05\0\0\0\0\0\0\0", 8);
    tiny_raw(t, "big", GGUF_U64, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    tiny_raw(t, "f64", GGUF_F64, "\0\0\0\0\0\0\x04\xc0", 8); // -2.5
    tiny_i32s(t, "ints", (const int32_t[]){-1, 2, 3}, 3);
    tiny_f32s(t, "floats", (const float[]){0.25f, -4}, 2);
    tiny_strs(t, "words", (const char *const[]){"a", "", "ccc"}, 3);
    tiny_tensor(t, "a.weight", QUANT_F32, 2, (const uint64_t[]){4, 2}, row, sizeof row);
    tiny_tensor(t, "b.weight", QUANT_Q8_0, 1, (const uint64_t[]){64}, q, sizeof q);
}

static void test_good(void **state)
{
    (void)state;
    struct tiny t;
    struct gguf g;
    struct err e = {0};
    uint32_t u;
    float f;
    bool b;
    struct gguf_str s;
    make_good(&t);
    must(tiny_write(&t, PATH, &e), &e);
    must(gguf_open(PATH, &g, &e), &e);
    assert_int_equal(g.version, 3);
    assert_int_equal(g.n_kv, 11);
    assert_true(gguf_string(&g, "general.architecture", &s, &e));
    assert_int_equal(s.n, 5);
    assert_memory_equal(s.s, "llama", 5);
    assert_true(gguf_u32(&g, "u32", &u, &e) && u == 7);
    assert_true(gguf_u32(&g, "u64", &u, &e) && u == 5);
    assert_true(gguf_u32_or(&g, "none", 9, &u, &e) && u == 9);
    assert_true(gguf_f32_or(&g, "f32", 0, &f, &e) && f == 1.5f);
    assert_true(gguf_f32_or(&g, "f64", 0, &f, &e) && f == -2.5f);
    assert_true(gguf_f32_or(&g, "i8", 0, &f, &e) && f == -1);
    assert_true(gguf_bool_or(&g, "yes", false, &b, &e) && b);
    assert_true(gguf_bool_or(&g, "none", true, &b, &e) && b);

    assert_false(gguf_u32(&g, "none", &u, &e));
    assert_non_null(strstr(e.msg, "the key none is missing"));
    assert_false(gguf_u32(&g, "i8", &u, &e));
    assert_false(gguf_u32(&g, "big", &u, &e));
    assert_false(gguf_u32(&g, "yes", &u, &e));
    assert_false(gguf_u32_or(&g, "f32", 1, &u, &e));
    assert_false(gguf_f32_or(&g, "words", 1, &f, &e));
    assert_false(gguf_bool_or(&g, "u32", true, &b, &e));
    assert_false(gguf_string(&g, "u32", &s, &e));

    const struct gguf_kv *words = gguf_find(&g, "words"), *ints = gguf_find(&g, "ints");
    assert_int_equal(words->count, 3);
    assert_int_equal(gguf_array_string(words, 1).n, 0);
    assert_memory_equal(gguf_array_string(words, 2).s, "ccc", 3);
    assert_int_equal(gguf_array_string(words, 3).n, 0);
    assert_int_equal(gguf_array_string(ints, 0).n, 0);
    assert_int_equal(gguf_array_int(ints, 0), -1);
    assert_int_equal(gguf_array_int(ints, 3), 0);
    assert_int_equal(gguf_array_int(words, 0), 0);
    assert_true(gguf_array_f32(gguf_find(&g, "floats"), 1) == -4);
    assert_true(gguf_array_f32(ints, 2) == 3);
    assert_null(gguf_find(&g, "word"));

    const struct gguf_tensor *a = gguf_tensor(&g, "a.weight"), *q = gguf_tensor(&g, "b.weight");
    assert_int_equal(a->n_elements, 8);
    assert_int_equal(a->ne[1], 2);
    assert_int_equal(a->ne[2], 1);
    assert_int_equal(a->size, 32);
    assert_memory_equal(a->data + 4, "\0\0\x80\x3f", 4);
    assert_int_equal(q->size, 68);
    assert_null(gguf_tensor(&g, "c.weight"));
    gguf_close(&g);
    tiny_free(&t);
}

static void test_version_2_and_alignment(void **state)
{
    (void)state;
    struct tiny t;
    struct gguf g;
    struct err e = {0};
    tiny_begin(&t, 2);
    t.alignment = 64;
    tiny_u32(&t, "general.alignment", 64);
    tiny_tensor(&t, "a", QUANT_F32, 1, (const uint64_t[]){1}, "\0\0\x80\x3f", 4);
    tiny_tensor(&t, "b", QUANT_F32, 1, (const uint64_t[]){1}, "\0\0\0\x40", 4);
    must(tiny_write(&t, PATH, &e), &e);
    must(gguf_open(PATH, &g, &e), &e);
    assert_int_equal(g.version, 2);
    const struct gguf_shard *file = &g.shards[0];
    assert_int_equal(file->data_offset % 64, 0);
    assert_int_equal(gguf_tensor(&g, "b")->data - file->map.data, file->data_offset + 64);
    assert_memory_equal(gguf_tensor(&g, "b")->data, "\0\0\0\x40", 4);
    gguf_close(&g);
    tiny_free(&t);
}

static void test_every_prefix(void **state)
{
    (void)state;
    struct tiny t;
    unsigned char *bytes;
    size_t size;
    struct err e = {0};
    make_good(&t);
    must(tiny_bytes(&t, &bytes, &size, &e), &e);
    for (size_t n = 0; n < size - 28; n++) { // the last tensor ends 28 bytes of padding before
        struct gguf g;
        write_bytes(bytes, n);
        e = (struct err){0};
        if (gguf_open(PATH, &g, &e)) fail_msg("the first %zu bytes of %zu were opened", n, size);
        assert_int_equal(e.code, ERR_FORMAT);
        if (n && !strstr(e.msg, "cut short") && !strstr(e.msg, "are left"))
            fail_msg("%zu bytes were read as more: %s", n, e.msg);
    }
    free(bytes);
    tiny_free(&t);
}

// Any byte of the header may be anything: open fails with a sentence or gives a file whose every
// value and tensor can be read. (Sanitizers and valgrind make this one bite.)
static void test_every_byte_changed(void **state)
{
    (void)state;
    static const unsigned char masks[] = {0x01, 0x80, 0xff, 0x1f};
    struct tiny t;
    unsigned char *bytes;
    size_t size;
    struct err e = {0};
    unsigned sum = 0;
    make_good(&t);
    must(tiny_bytes(&t, &bytes, &size, &e), &e);
    for (size_t i = 0; i < size; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            struct gguf g;
            bytes[i] ^= masks[m];
            write_bytes(bytes, size);
            bytes[i] ^= masks[m];
            if (!gguf_open(PATH, &g, &e)) continue;
            for (size_t k = 0; k < g.n_kv; k++)
                for (size_t b = 0; b < g.kv[k].size; b++)
                    sum += g.kv[k].data[b];
            for (size_t k = 0; k < g.n_tensors; k++)
                for (size_t b = 0; b < g.tensors[k].size; b++)
                    sum += g.tensors[k].data[b];
            gguf_close(&g);
        }
    }
    assert_int_not_equal(sum, 0);
    free(bytes);
    tiny_free(&t);
}

static void test_bad_start(void **state)
{
    (void)state;
    static const unsigned char huge[24] = "GGUF\3\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
    static const unsigned char kvs[24] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff";
    struct gguf g;
    struct err e = {0};
    assert_false(gguf_open("no-such-file.gguf", &g, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_false(gguf_open(".", &g, &e));
    assert_int_equal(e.code, ERR_IO);
    write_bytes("", 0);
    refused(ERR_FORMAT, "is empty");
    write_bytes("GGML\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    refused(ERR_FORMAT, "not a GGUF file");
    write_bytes("GGUF\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    refused(ERR_UNSUPPORTED, "big-endian");
    write_bytes("GGUF\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
    refused(ERR_UNSUPPORTED, "version 1");
    write_bytes(huge, sizeof huge);
    refused(ERR_FORMAT, "cut short");
    write_bytes(kvs, sizeof kvs);
    refused(ERR_FORMAT, "cut short");
}

// Each case adds one bad thing to an otherwise good file.
enum bad {
    BAD_DUPLICATE_KEY,
    BAD_VALUE_TYPE,
    BAD_ARRAY_TYPE,
    BAD_NESTED,
    BAD_ARRAY_COUNT,
    BAD_STRING_SIZE,
    BAD_STRINGS,
    BAD_EMPTY_KEY,
    BAD_ALIGNMENT,
    BAD_ALIGNMENT_TYPE,
    BAD_BOOL_ALIGNMENT,
    BAD_TENSOR_TYPE,
    BAD_TENSOR_UNKNOWN,
    BAD_NO_DIMS,
    BAD_MANY_DIMS,
    BAD_ZERO_DIM,
    BAD_OVERFLOW,
    BAD_BYTES_OVERFLOW,
    BAD_ROW,
    BAD_OFFSET,
    BAD_OFFSET_END,
    BAD_OFFSET_HUGE,
    BAD_DUPLICATE_TENSOR,
    BAD_ALIAS,
    BAD_OVERLAP,
    N_BAD
};

static const struct {
    enum err_code code;
    const char *part;
} bad_says[N_BAD] = {
    [BAD_DUPLICATE_KEY] = {ERR_FORMAT, "the key 'u32' is there twice"},
    [BAD_VALUE_TYPE] = {ERR_FORMAT, "unknown value type 13"},
    [BAD_ARRAY_TYPE] = {ERR_FORMAT, "array of unknown type 99"},
    [BAD_NESTED] = {ERR_UNSUPPORTED, "array of arrays"},
    [BAD_ARRAY_COUNT] = {ERR_FORMAT, "'x?\?' claims 18446744073709551615 elements"},
    [BAD_STRING_SIZE] = {ERR_FORMAT, "9223372036854775807 bytes long"},
    [BAD_STRINGS] = {ERR_FORMAT, "a string of an array"},
    [BAD_EMPTY_KEY] = {ERR_FORMAT, "has 0 bytes"},
    [BAD_ALIGNMENT] = {ERR_FORMAT, "general.alignment is 48"},
    [BAD_ALIGNMENT_TYPE] = {ERR_FORMAT, "general.alignment is not a whole number"},
    [BAD_BOOL_ALIGNMENT] = {ERR_FORMAT, "general.alignment is not a whole number"},
    [BAD_TENSOR_TYPE] = {ERR_UNSUPPORTED, "tensor 'x' has the weight type 16 (IQ2_XXS)"},
    [BAD_TENSOR_UNKNOWN] = {ERR_UNSUPPORTED, "weight type 4294967295 (unknown)"},
    [BAD_NO_DIMS] = {ERR_FORMAT, "has 0 dimensions"},
    [BAD_MANY_DIMS] = {ERR_FORMAT, "has 5 dimensions"},
    [BAD_ZERO_DIM] = {ERR_FORMAT, "impossible dimension 0"},
    [BAD_OVERFLOW] = {ERR_FORMAT, "impossible dimension"},
    [BAD_BYTES_OVERFLOW] = {ERR_FORMAT, "which F32 cannot hold"},
    [BAD_ROW] = {ERR_FORMAT, "rows of 33 elements, which Q4_1 cannot hold"},
    [BAD_OFFSET] = {ERR_FORMAT, "offset 16, not a multiple of 32"},
    [BAD_OFFSET_END] = {ERR_FORMAT, "cut short: tensor 'x'"},
    [BAD_OFFSET_HUGE] = {ERR_FORMAT, "cut short: tensor 'x'"},
    [BAD_DUPLICATE_TENSOR] = {ERR_FORMAT, "the tensor 'a.weight' is there twice"},
    [BAD_ALIAS] = {ERR_FORMAT, "'b.weight' and 'x' overlap"},
    [BAD_OVERLAP] = {ERR_FORMAT, "the tensors 'x' and 'b.weight' overlap"},
};

static void add_bad_key(struct tiny *t, enum bad what)
{
    switch (what) {
    case BAD_DUPLICATE_KEY: tiny_f32(t, "u32", 1); break;
    case BAD_VALUE_TYPE: tiny_raw(t, "x", 13, "\0\0\0\0", 4); break;
    case BAD_ARRAY_TYPE: tiny_raw(t, "x", GGUF_ARRAY, "\x63\0\0\0\1\0\0\0\0\0\0\0\0", 13); break;
    case BAD_NESTED:
        tiny_raw(t, "x", GGUF_ARRAY, "\x09\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24);
        break;
    case BAD_ARRAY_COUNT: // a key with bytes that a terminal must not see
        tiny_raw(t, "x\x1b\xff", GGUF_ARRAY, "\x04\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
        break;
    case BAD_STRING_SIZE:
        tiny_raw(t, "x", GGUF_STRING, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8);
        break;
    case BAD_STRINGS: // two strings, the second claims more than there is
        tiny_raw(t, "x", GGUF_ARRAY,
                 "\x08\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0a\xff\xff\xff\0\0\0\0\0", 29);
        break;
    case BAD_EMPTY_KEY: tiny_u32(t, "", 1); break;
    case BAD_ALIGNMENT: tiny_u32(t, "general.alignment", 48); break;
    case BAD_ALIGNMENT_TYPE: tiny_str(t, "general.alignment", "32"); break;
    default: tiny_bool(t, "general.alignment", true); break;
    }
}

static void add_bad_tensor(struct tiny *t, enum bad what)
{
    const uint64_t big = (uint64_t)1 << 62, one[4] = {1, 1, 1, 1}, many[5] = {1, 1, 1, 1, 1};
    switch (what) {
    case BAD_TENSOR_TYPE: tiny_tensor_at(t, "x", 16, 1, one, 0); break;
    case BAD_TENSOR_UNKNOWN: tiny_tensor_at(t, "x", UINT32_MAX, 1, one, 0); break;
    case BAD_NO_DIMS: tiny_tensor_at(t, "x", 0, 0, one, 0); break;
    case BAD_MANY_DIMS: tiny_tensor_at(t, "x", 0, 5, many, 0); break;
    case BAD_ZERO_DIM: tiny_tensor_at(t, "x", 0, 2, (const uint64_t[]){4, 0}, 0); break;
    case BAD_OVERFLOW: tiny_tensor_at(t, "x", 0, 2, (const uint64_t[]){big, big}, 0); break;
    case BAD_BYTES_OVERFLOW: tiny_tensor_at(t, "x", 0, 1, &big, 0); break;
    case BAD_ROW: tiny_tensor_at(t, "x", QUANT_Q4_1, 1, (const uint64_t[]){33}, 0); break;
    case BAD_OFFSET: tiny_tensor_at(t, "x", 0, 1, one, 16); break;
    case BAD_OFFSET_END: tiny_tensor_at(t, "x", 0, 1, (const uint64_t[]){1000}, 0); break;
    case BAD_OFFSET_HUGE: tiny_tensor_at(t, "x", 0, 1, one, UINT64_MAX - 31); break;
    case BAD_DUPLICATE_TENSOR: tiny_tensor_at(t, "a.weight", 0, 1, one, 0); break;
    case BAD_ALIAS: tiny_tensor_at(t, "x", 0, 1, one, 64); break; // inside b.weight
    default: // the last element of x is the first two bytes of b.weight
        t->infos.size = 0;
        t->n_tensors = 0;
        tiny_tensor_at(t, "b.weight", QUANT_Q8_0, 1, (const uint64_t[]){64}, 32);
        tiny_tensor_at(t, "x", QUANT_F16, 1, (const uint64_t[]){17}, 0);
        break;
    }
}

static void test_bad_parts(void **state)
{
    (void)state;
    for (int what = 0; what < N_BAD; what++) {
        struct tiny t;
        struct err e = {0};
        make_good(&t);
        if (what < BAD_TENSOR_TYPE)
            add_bad_key(&t, (enum bad)what);
        else
            add_bad_tensor(&t, (enum bad)what);
        must(tiny_write(&t, PATH, &e), &e);
        refused(bad_says[what].code, bad_says[what].part);
        tiny_free(&t);
    }
}

// Every weight type that a file may name and Lectern does not read, with its name; and numbers that
// no type has.
static void test_foreign_types(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        const char *name;
    } list[] = {
        {4, "Q4_2"},    {5, "Q4_3"},        {9, "Q8_1"},        {15, "Q8_K"},       {16, "IQ2_XXS"},
        {17, "IQ2_XS"}, {18, "IQ3_XXS"},    {19, "IQ1_S"},      {21, "IQ3_S"},      {22, "IQ2_S"},
        {24, "I8"},     {25, "I16"},        {26, "I32"},        {27, "I64"},        {28, "F64"},
        {29, "IQ1_M"},  {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"},
        {35, "TQ2_0"},  {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {39, "MXFP4"},
        {40, "NVFP4"},  {41, "Q1_0"},       {42, "Q2_0"},
    };
    size_t at = 0;
    for (uint32_t type = 0; type < 300; type++) {
        if (quant_info(type)) continue;
        struct tiny t;
        struct err e = {0};
        char says[128];
        const char *name = "unknown";
        if (at < sizeof list / sizeof list[0] && list[at].type == type) name = list[at++].name;
        make_good(&t);
        tiny_tensor_at(&t, "blk.3.ffn_up.weight", type, 1, (const uint64_t[]){256}, 0);
        must(tiny_write(&t, PATH, &e), &e);
        tiny_free(&t);
        snprintf(says, sizeof says, "tensor 'blk.3.ffn_up.weight' has the weight type %u (%s)",
                 type, name);
        refused(ERR_UNSUPPORTED, says);
    }
    assert_int_equal(at, sizeof list / sizeof list[0]);
}

// A file of many tiny keys must not take quadratic time.
static void test_many_keys(void **state)
{
    (void)state;
    struct tiny t;
    struct gguf g;
    struct err e = {0};
    uint32_t v;
    tiny_begin(&t, 3);
    for (uint32_t i = 0; i < 200000; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%u", i);
        tiny_u32(&t, key, i);
    }
    must(tiny_write(&t, PATH, &e), &e);
    must(gguf_open(PATH, &g, &e), &e);
    for (uint32_t i = 0; i < 200000; i += 7) {
        char key[32];
        snprintf(key, sizeof key, "k%u", i);
        must(gguf_u32(&g, key, &v, &e), &e);
        assert_int_equal(v, i);
    }
    gguf_close(&g);
    tiny_free(&t);
}

static void test_tiny_model(void **state)
{
    (void)state;
    static const enum quant_type types[] = {QUANT_F32,  QUANT_F16,  QUANT_BF16,
                                            QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_1};
    struct gguf g;
    struct err e = {0};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct tiny_model m = {.seed = 1, .type = types[i], .n_kv_heads = 2, .head_dim = 32};
        must(tiny_model_write(&m, PATH, &e), &e);
        must(gguf_open(PATH, &g, &e), &e);
        const struct gguf_tensor *k = gguf_tensor(&g, "blk.1.attn_k.weight");
        assert_non_null(k);
        assert_int_equal(k->type, types[i]);
        assert_int_equal(k->ne[0], 64);
        assert_int_equal(k->ne[1], 64);
        assert_non_null(gguf_tensor(&g, "output.weight"));
        gguf_close(&g);
    }
}

static void test_shared_models(void **state)
{
    (void)state;
    const char *dir = LECTERN_SOURCE_DIR "/../shared/fixtures/models";
    static const char *const names[] = {"gqa.Q4_1", "gqa.IQ4_XS", "odd.Q4_K_M", "yarn.F16"};
    struct gguf g;
    struct err e = {0};
    char path[1024];
    if (!file_exists(dir)) {
        print_message("skipped: no ../shared here\n");
        skip();
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s.gguf", dir, names[i]);
        must(gguf_open(path, &g, &e), &e);
        assert_true(g.n_tensors >= 20);
        gguf_close(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_version_2_and_alignment),
        cmocka_unit_test(test_every_prefix),  cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_bad_start),     cmocka_unit_test(test_bad_parts),
        cmocka_unit_test(test_many_keys),     cmocka_unit_test(test_tiny_model),
        cmocka_unit_test(test_shared_models), cmocka_unit_test(test_foreign_types),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(PATH);
    return failed;
}
