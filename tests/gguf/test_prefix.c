// Cut files: a prefix of a GGUF file fails with a sentence or is a whole file. Each prefix lies in
// a block of exactly its size, so that with SANITIZE=address one byte read too many stops the test.
//
// Small files: every prefix of the metadata. A prefix is read from its start, so that a vocabulary
// of N bytes would take N^2 / 2: there it is every prefix of the first bytes, those around the
// edges of keys and values, and a sample. Data: the edges of tensors and a sample.
#include "base/file.h"
#include "engine/model/config.h"
#include "engine/model/inspect.h"
#include "engine/tokenizer/tok.h"
#include "tests/tiny_split.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { SMALL = 64 << 10, EDGE = 12, SAMPLES = 96 };

struct file {
    const char *name;
    const unsigned char *bytes;
    size_t size;
    size_t end; // of the last byte that the file needs
    size_t tried, opened;
};

static void must(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->msg);
}

// Everything that a load reads before it needs a device. Its results do not matter here.
static void read_all(const struct gguf *g)
{
    static struct config c;
    struct vocab *v;
    cJSON *doc;
    struct err e = {0};
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < g->n_tensors; i++)
        sum = (unsigned char)(sum + g->tensors[i].data[0] +
                              g->tensors[i].data[g->tensors[i].size - 1]);
    (void)config_read(g, &c, &e);
    if (vocab_load(g, &v, &e)) vocab_close(v);
    if (inspect_file(g, &doc, &e)) cJSON_Delete(doc);
}

static void try_prefix(struct file *f, size_t n)
{
    struct gguf g;
    struct err e = {0};
    unsigned char *block = malloc(n);
    if (n) memcpy(block, f->bytes, n);
    bool ok = gguf_open_memory(block, n, f->name, false, &g, &e);
    if (ok != (n >= f->end))
        fail_msg("%s: %zu bytes of %zu: %s", f->name, n, f->size, ok ? "opened" : e.msg);
    if (!ok && (e.code != ERR_FORMAT || !strstr(e.msg, f->name)))
        fail_msg("%s: %zu bytes: the sentence is: %s", f->name, n, e.msg);
    if (ok) {
        read_all(&g);
        f->opened++;
    } else {
        assert_null(g.shards);
        assert_null(g.kv);
    }
    f->tried++;
    gguf_close(&g);
    free(block);
}

static void try_around(struct file *f, size_t at)
{
    for (size_t n = at > EDGE ? at - EDGE : 0; n <= at + EDGE && n <= f->size; n++)
        try_prefix(f, n);
}

static void try_range(struct file *f, size_t begin, size_t end)
{
    for (size_t n = begin; n <= end && n <= f->size; n++)
        try_prefix(f, n);
}

static void try_sample(struct file *f, size_t begin, size_t end)
{
    size_t step = (end - begin) / SAMPLES + 1;
    for (size_t n = begin; n < end; n += step)
        try_prefix(f, n);
}

static void all_prefixes(struct file *f)
{
    struct gguf g;
    struct err e = {0};
    must(gguf_open_memory(f->bytes, f->size, f->name, false, &g, &e), &e);
    size_t start = g.shards[0].data_offset < f->size ? g.shards[0].data_offset : f->size;
    const struct gguf_kv *last = g.n_kv ? &g.kv[g.n_kv - 1] : NULL;
    f->end = last ? (size_t)(last->data - f->bytes) + last->size : 24;
    for (size_t i = 0; i < g.n_tensors; i++) {
        size_t end = (size_t)(g.tensors[i].data - f->bytes) + g.tensors[i].size;
        if (end > f->end) f->end = end;
    }
    if (start <= SMALL) {
        try_range(f, 0, start);
    } else {
        try_range(f, 0, SMALL / 8);
        for (size_t i = 0; i < g.n_kv; i++) {
            try_around(f, (size_t)(g.kv[i].data - f->bytes));
            try_around(f, (size_t)(g.kv[i].data - f->bytes) + g.kv[i].size);
        }
        try_sample(f, 0, start);
    }
    for (size_t i = 0; i < g.n_tensors; i++)
        try_around(f, (size_t)(g.tensors[i].data - f->bytes) + g.tensors[i].size);
    try_sample(f, start, f->size);
    try_prefix(f, f->size);
    gguf_close(&g);
}

static void put_le64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

// The file with its first keys and no tensors, then with all keys and its first tensors: whole
// files in which anything that a reader wants may be missing.
static void cut_counts(struct file *f)
{
    struct gguf g;
    struct err e = {0};
    must(gguf_open_memory(f->bytes, f->size, f->name, false, &g, &e), &e);
    size_t n_kv = g.n_kv, n_tensors = g.n_tensors;
    gguf_close(&g);
    unsigned char *copy = malloc(f->size);
    memcpy(copy, f->bytes, f->size);
    for (size_t k = 0; k <= n_kv + n_tensors; k++) {
        put_le64(copy + 8, k > n_kv ? k - n_kv : 0);
        put_le64(copy + 16, k > n_kv ? n_kv : k);
        must(gguf_open_memory(copy, f->size, f->name, false, &g, &e), &e);
        read_all(&g);
        gguf_close(&g);
    }
    free(copy);
}

static void check(const char *name, const unsigned char *bytes, size_t size)
{
    struct file f = {.name = name, .bytes = bytes, .size = size};
    all_prefixes(&f);
    cut_counts(&f);
    print_message("%s: %zu prefixes of %zu bytes, %zu are whole files\n", name, f.tried, size,
                  f.opened);
    assert_true(f.opened > 0 && f.opened < f.tried);
}

static void check_tiny(struct tiny *t, const char *name)
{
    unsigned char *bytes;
    size_t size;
    struct err e = {0};
    must(tiny_bytes(t, &bytes, &size, &e), &e);
    check(name, bytes, size);
    free(bytes);
    tiny_free(t);
}

static void test_every_kind_of_value(void **state)
{
    (void)state;
    struct tiny t;
    tiny_begin(&t, 3);
    for (uint32_t type = 0; type < GGUF_N_VALUE_TYPES; type++) {
        char key[32];
        if (type == GGUF_STRING || type == GGUF_ARRAY) continue;
        static const size_t bytes[GGUF_N_VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
        unsigned char array[12 + 24] = {(unsigned char)type, 0, 0, 0, 3};
        snprintf(key, sizeof key, "one.%u", type);
        tiny_raw(&t, key, type, "\1\0\0\0\0\0\0\0", bytes[type]);
        snprintf(key, sizeof key, "three.%u", type);
        tiny_raw(&t, key, GGUF_ARRAY, array, 12 + 3 * bytes[type]);
    }
    tiny_strs(&t, "strings", (const char *const[]){"", "a", "three"}, 3);
    tiny_strs(&t, "none", NULL, 0);
    tiny_str(&t, "last", "a string");
    check_tiny(&t, "keys of every kind");

    tiny_begin(&t, 2);
    t.alignment = 256;
    tiny_u32(&t, "general.alignment", 256);
    tiny_tensor(&t, "a", QUANT_F32, 4, (const uint64_t[]){1, 1, 1, 2}, "\0\0\0\0\0\0\0\1", 8);
    tiny_tensor(&t, "b", QUANT_F16, 1, (const uint64_t[]){3}, "\1\2\3\4\5\6", 6);
    check_tiny(&t, "aligned to 256");

    tiny_begin(&t, 3);
    tiny_split_keys(&t, 0, 1, 1);
    tiny_tensor(&t, "a", QUANT_F32, 1, (const uint64_t[]){1}, "\0\0\0\1", 4);
    check_tiny(&t, "part 1 of 1");
}

static bool check_file(const char *path)
{
    struct err e = {0};
    struct text t = {0};
    FILE *f = fopen(path, "rb");
    char buf[65536];
    if (!f) return false;
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        text_add(&t, buf, n);
    fclose(f);
    const char *base = strrchr(path, '/');
    must(!t.failed || err_nomem(&e, path, t.size), &e);
    check(base ? base + 1 : path, (const unsigned char *)t.data, t.size);
    text_free(&t);
    return true;
}

static void test_tiny_models(void **state)
{
    (void)state;
    static const char path[] = "prefix_tiny.gguf";
    const struct tiny_model models[] = {
        {.seed = 1, .n_layers = 1, .n_embd = 32, .n_ff = 32, .vocab = TINY_SPM},
        {.seed = 2,
         .n_layers = 1,
         .n_embd = 32,
         .vocab = TINY_BPE,
         .type = QUANT_Q4_1,
         .rope_freqs = true,
         .tied_output = true,
         .chat_template = "{% for m in messages %}<|im_start|>{% endfor %}"},
    };
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct err e = {0};
        must(tiny_model_write(&models[i], path, &e), &e);
        assert_true(check_file(path));
    }
    unlink(path);
}

static void check_folder(const char *dir)
{
    DIR *d = opendir(dir);
    char path[2048];
    if (!d) {
        print_message("skipped: no %s here\n", dir);
        skip();
    }
    for (struct dirent *entry; (entry = readdir(d));) {
        size_t n = strlen(entry->d_name);
        if (n < 5 || strcmp(entry->d_name + n - 5, ".gguf") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        assert_true(check_file(path));
    }
    closedir(d);
}

static void test_fixture_models(void **state)
{
    (void)state;
    check_folder(LECTERN_SOURCE_DIR "/../shared/fixtures/models");
}

static void test_fixture_vocabularies(void **state)
{
    (void)state;
    check_folder(LECTERN_SOURCE_DIR "/../shared/fixtures/vocab");
}

// The same through files, whose maps end in the zeros of their last page.
static void test_through_files(void **state)
{
    (void)state;
    static const char path[] = "prefix_file.gguf";
    const struct tiny_model m = {.seed = 3, .n_layers = 1, .n_embd = 32, .n_ff = 32};
    struct err e = {0};
    struct gguf whole, g;
    must(tiny_model_write(&m, path, &e), &e);
    must(gguf_open(path, &whole, &e), &e);
    size_t size = whole.shards[0].map.size;
    for (size_t n = 0; n < size; n += n % 97 + 31) {
        must(file_write("prefix_cut.gguf", whole.shards[0].map.data, n, &e), &e);
        if (gguf_open("prefix_cut.gguf", &g, &e)) fail_msg("%zu bytes of %zu were opened", n, size);
        assert_int_equal(e.code, ERR_FORMAT);
    }
    gguf_close(&whole);
    unlink("prefix_cut.gguf");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_value), cmocka_unit_test(test_tiny_models),
        cmocka_unit_test(test_fixture_models),      cmocka_unit_test(test_fixture_vocabularies),
        cmocka_unit_test(test_through_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
