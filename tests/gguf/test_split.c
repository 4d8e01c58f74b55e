// Split models: the same model from its parts, every way in which parts do not fit together, and
// the pages that are given back.
#include "base/file.h"
#include "tests/model/common.h"
#include "tests/tiny_split.h"

#include <unistd.h>

#define WHOLE "split_whole.gguf"
#define STEM "split_tiny"

static void must(bool ok, const struct err *e)
{
    if (!ok) fail_msg("%s", e->msg);
}

static const char *part_path(uint32_t no, uint32_t count)
{
    static char path[256];
    tiny_split_path(STEM, no, count, path, sizeof path);
    return path;
}

static void remove_parts(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        unlink(part_path(i, count));
}

// ------------------------------------------------------------------------------ parts that fit

static void same_kvs(const struct gguf *a, const struct gguf *b)
{
    for (size_t i = 0; i < a->n_kv; i++) {
        char key[256];
        snprintf(key, sizeof key, "%.*s", (int)a->kv[i].key.n, a->kv[i].key.s);
        const struct gguf_kv *kv = gguf_find(b, key);
        if (!kv) fail_msg("%s is lost", key);
        assert_int_equal(kv->type, a->kv[i].type);
        assert_int_equal(kv->size, a->kv[i].size);
        assert_memory_equal(kv->data, a->kv[i].data, kv->size);
    }
    assert_int_equal(b->n_kv, a->n_kv + 3);
}

static void same_tensors(const struct gguf *a, const struct gguf *b)
{
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        char name[256];
        const struct gguf_tensor *x = &a->tensors[i];
        snprintf(name, sizeof name, "%.*s", (int)x->name.n, x->name.s);
        const struct gguf_tensor *y = gguf_tensor(b, name);
        if (!y) fail_msg("%s is lost", name);
        assert_int_equal(x->type, y->type);
        assert_memory_equal(x->ne, y->ne, sizeof x->ne);
        assert_int_equal(x->size, y->size);
        assert_memory_equal(x->data, y->data, x->size);
        const struct file_map *map = &b->shards[y->shard].map;
        assert_true(y->data >= map->data && y->data + y->size <= map->data + map->size);
    }
}

static void test_same_content(void **state)
{
    (void)state;
    const struct tiny_model m = {.seed = 5, .type = QUANT_Q8_0, .n_kv_heads = 2};
    struct gguf whole, parts;
    struct err e = {0};
    must(tiny_model_write(&m, WHOLE, &e), &e);
    must(gguf_open(WHOLE, &whole, &e), &e);
    assert_int_equal(whole.n_shards, 1);
    for (uint32_t count = 2; count <= 7; count += 5) {
        for (int bare = 0; bare < 2; bare++) {
            must(tiny_split(WHOLE, STEM, count, bare, &e), &e);
            for (uint32_t open = 0; open < count; open++) { // any part stands for all
                must(gguf_open(part_path(open, count), &parts, &e), &e);
                assert_int_equal(parts.n_shards, count);
                assert_string_equal(parts.path, part_path(0, count));
                assert_string_equal(parts.shards[1].path, part_path(1, count));
                same_kvs(&whole, &parts);
                same_tensors(&whole, &parts);
                gguf_close(&parts);
                assert_null(parts.shards);
            }
            remove_parts(count);
        }
    }
    gguf_close(&whole);
}

static float *logits_of(const char *path, size_t *n)
{
    struct engine *g = open_model((struct engine_params){.model_path = path});
    struct err e;
    int32_t ids[40];
    *n = engine_info(g)->n_vocab;
    for (int32_t i = 0; i < 40; i++)
        ids[i] = (i * 37 + 5) % 320;
    struct engine_item item = {0, ids, 40, LOGITS_ALL};
    float *l = logits_for(g, 40);
    if (!engine_run(g, &item, 1, l, &e)) fail_msg("%s", e.msg);
    engine_close(g);
    *n *= 40;
    return l;
}

// The same weights in the same order through the same kernels: the same bits.
static void test_same_logits(void **state)
{
    (void)state;
    const struct tiny_model m = {.seed = 6, .type = QUANT_Q4_1, .n_kv_heads = 2};
    struct err e = {0};
    struct vocab *v;
    size_t n, n_parts;
    must(tiny_model_write(&m, WHOLE, &e), &e);
    must(tiny_split(WHOLE, STEM, 3, false, &e), &e);
    must(vocab_open(part_path(1, 3), &v, &e), &e);
    assert_int_equal(vocab_size(v), 320);
    vocab_close(v);
    float *whole = logits_of(WHOLE, &n), *parts = logits_of(part_path(2, 3), &n_parts);
    assert_int_equal(n, n_parts);
    assert_memory_equal(whole, parts, n * sizeof *whole);
    free(whole);
    free(parts);
    remove_parts(3);
}

static void test_inspect_parts(void **state)
{
    (void)state;
    const struct tiny_model m = {.seed = 7};
    struct err e = {0};
    cJSON *whole, *parts;
    must(tiny_model_write(&m, WHOLE, &e), &e);
    must(tiny_split(WHOLE, STEM, 3, true, &e), &e);
    must(engine_inspect(WHOLE, &whole, &e), &e);
    must(engine_inspect(part_path(1, 3), &parts, &e), &e);
    assert_null(cJSON_GetObjectItemCaseSensitive(whole, "shards"));
    const cJSON *shards = cJSON_GetObjectItemCaseSensitive(parts, "shards"), *s;
    double bytes = 0, tensors = 0, data = 0;
    assert_int_equal(cJSON_GetArraySize(shards), 3);
    cJSON_ArrayForEach(s, shards)
    {
        bytes += json_number_or(s, "file_bytes", 0);
        tensors += json_number_or(s, "n_tensors", 0);
        data += json_number_or(s, "tensor_bytes", 0);
    }
    assert_int_equal(json_number_or(shards->child, "n_tensors", -1), 0);
    assert_true(bytes == json_number_or(parts, "file_bytes", 0));
    assert_true(tensors == json_number_or(whole, "n_tensors", 0));
    assert_true(data == json_number_or(whole, "tensor_bytes", 0));
    assert_true(data == json_number_or(parts, "tensor_bytes", 0));
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(parts, "tensors");
    assert_int_equal(json_number_or(cJSON_GetArrayItem(list, 0), "shard", -1), 1);
    assert_int_equal(json_number_or(cJSON_GetArrayItem(list, 0), "offset", -1), 0);
    assert_int_equal(json_number_or(cJSON_GetArrayItem(list, (int)tensors - 1), "shard", -1), 2);
    cJSON_Delete(whole);
    cJSON_Delete(parts);
    remove_parts(3);
}

// -------------------------------------------------------------------------- parts that do not

struct part { // of a model of two parts with the tensors "a" and "b"
    uint32_t no, count, total;
    const char *tensor, *name; // NULL: none
    bool plain;                // no split keys
};

static void write_part(const char *path, const struct part *p)
{
    static const float one = 1;
    struct tiny t;
    struct err e = {0};
    tiny_begin(&t, 3);
    if (p->name) tiny_str(&t, "general.name", p->name);
    if (!p->plain) tiny_split_keys(&t, p->no, p->count, p->total);
    if (p->tensor) tiny_tensor(&t, p->tensor, QUANT_F32, 1, (const uint64_t[]){1}, &one, 4);
    must(tiny_write(&t, path, &e), &e);
    tiny_free(&t);
}

static void refused(const char *path, enum err_code code, const char *file, const char *says)
{
    struct gguf g;
    struct err e = {0};
    if (gguf_open(path, &g, &e)) fail_msg("opened, wanted: %s", says);
    if (e.code != code || !strstr(e.msg, says) || !strstr(e.msg, file))
        fail_msg("wanted %s of %s, got %s", says, file, e.msg);
    assert_null(g.shards);
    assert_null(g.kv);
}

static void test_parts_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        struct part first, second;
        int guilty; // the part that the sentence names
        const char *says;
    } list[] = {
        {{0, 2, 2, "a", "m", 0}, {1, 2, 2, "b", "other", 0}, 1, "its general.name differs"},
        {{0, 2, 2, "a", "m", 0}, {1, 2, 3, "b", "m", 0}, 1, "one of 3 tensors, not 2"},
        {{0, 2, 2, "a", "m", 0}, {0, 2, 2, "b", "m", 0}, 1, "says that it is part 1 of 2, where"},
        {{0, 2, 2, "a", "m", 0}, {1, 3, 2, "b", "m", 0}, 1, "says that it is part 2 of 3, where"},
        {{0, 2, 2, "a", "m", 0}, {0, 0, 0, "b", "m", 1}, 1, "says that it is part 1 of 1, where"},
        {{0, 2, 2, "a", "m", 0}, {1, 2, 2, "a", "m", 0}, 1, "'a' is there and in part 1"},
        {{0, 2, 2, "a", "m", 0}, {1, 2, 2, NULL, "m", 0}, 0, "hold 1 tensors, but should hold 2"},
        {{0, 2, 1, "a", "m", 0}, {1, 2, 1, "b", "m", 0}, 0, "hold 2 tensors, but should hold 1"},
        {{2, 2, 2, "a", "m", 0}, {1, 2, 2, "b", "m", 0}, 0, "says that it is part 3 of 2"},
        {{1, 2, 2, "a", "m", 0}, {1, 2, 2, "b", "m", 0}, 0, "is part 2 of 2"},
        {{0, 3, 2, "a", "m", 0}, {1, 2, 2, "b", "m", 0}, 0, "should end in -00001-of-00003.gguf"},
    };
    char guilty[256];
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        write_part(part_path(0, 2), &list[i].first);
        write_part(part_path(1, 2), &list[i].second);
        tiny_split_path(STEM, (uint32_t)list[i].guilty, 2, guilty, sizeof guilty);
        refused(part_path(0, 2), ERR_FORMAT, guilty, list[i].says);
    }
    remove_parts(2);
}

static void test_missing_and_broken(void **state)
{
    (void)state;
    const struct part a = {0, 2, 2, "a", "m", false}, b = {1, 2, 2, "b", "m", false};
    struct gguf g;
    struct err e = {0};
    write_part(part_path(0, 2), &a);
    refused(part_path(0, 2), ERR_IO, "split_tiny-00002-of-00002.gguf", "is missing: it is part 2");
    write_part(part_path(1, 2), &b);
    must(gguf_open(part_path(0, 2), &g, &e), &e);
    assert_int_equal(g.n_tensors, 2);
    gguf_close(&g);
    unlink(part_path(0, 2));
    refused(part_path(1, 2), ERR_IO, "split_tiny-00001-of-00002.gguf", "is missing: it is part 1");
    write_part("split_renamed.gguf", &a);
    refused("split_renamed.gguf", ERR_FORMAT, "split_renamed",
            "should end in -00001-of-00002.gguf");
    unlink("split_renamed.gguf");
    must(file_write(part_path(0, 2), "GGUF\3\0\0\0", 8, &e), &e);
    refused(part_path(1, 2), ERR_FORMAT, "split_tiny-00001-of-00002.gguf", "cut short");
    const struct part alone = {0, 1, 1, "a", "m", false};
    write_part(WHOLE, &alone); // one part of one: a whole file under any name
    must(gguf_open(WHOLE, &g, &e), &e);
    gguf_close(&g);
    remove_parts(2);
}

// A part's other keys are not used: a long vocabulary in it is freed, not joined.
static void test_keys_of_other_parts(void **state)
{
    (void)state;
    const struct part a = {0, 2, 2, "a", NULL, false};
    struct tiny t;
    struct gguf g;
    struct err e = {0};
    write_part(part_path(0, 2), &a);
    tiny_begin(&t, 2);
    t.alignment = 64; // of this part alone
    tiny_u32(&t, "general.alignment", 64);
    tiny_strs(&t, "words", (const char *const[]){"x", "y"}, 2);
    tiny_split_keys(&t, 1, 2, 2);
    tiny_tensor(&t, "b", QUANT_F32, 1, (const uint64_t[]){1}, "\0\0\0\x40", 4);
    must(tiny_write(&t, part_path(1, 2), &e), &e);
    tiny_free(&t);
    must(gguf_open(part_path(0, 2), &g, &e), &e);
    assert_null(gguf_find(&g, "words"));
    assert_int_equal(g.version, 3);
    assert_int_equal(g.shards[1].data_offset % 64, 0);
    assert_memory_equal(gguf_tensor(&g, "b")->data, "\0\0\0\x40", 4);
    gguf_close(&g);
    remove_parts(2);
}

// --------------------------------------------------------------------------------------- pages

// kB of the map around p that are in this process's page table, from /proc.
static unsigned long resident_kb(const void *p)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long begin, end, kb = 0;
    bool here = false;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            here = (uintptr_t)p >= begin && (uintptr_t)p < end;
        else if (here && sscanf(line, "Rss: %lu kB", &kb) == 1)
            break;
    }
    fclose(f);
    return kb;
}

// Dropped pages leave a file's map and come back when read; memory of the caller, which dropping
// would empty, is left alone.
static void test_drop_and_expect(void **state)
{
    (void)state;
    enum { N = 65536 };
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static float row[N];
    struct tiny t;
    struct gguf g;
    struct err e = {0};
    unsigned char *bytes;
    size_t size;
    for (int i = 0; i < N; i++)
        row[i] = (float)i;
    tiny_begin(&t, 3);
    tiny_tensor(&t, "a", QUANT_F32, 1, (const uint64_t[]){N}, row, sizeof row);
    must(tiny_write(&t, WHOLE, &e), &e);
    must(tiny_bytes(&t, &bytes, &size, &e), &e);
    tiny_free(&t);
    unsigned char *whole_pages = aligned_alloc(page, (size + page - 1) / page * page);
    assert_non_null(whole_pages); // the kernel drops nothing else
    memcpy(whole_pages, bytes, size);
    for (int memory = 0; memory < 2; memory++) {
        if (memory)
            must(gguf_open_memory(whole_pages, size, "memory", false, &g, &e), &e);
        else
            must(gguf_open(WHOLE, &g, &e), &e);
        const struct gguf_tensor *a = gguf_tensor(&g, "a");
        gguf_expect(&g, a, 0, a->size);
        gguf_expect(&g, a, 5000, UINT64_MAX);
        gguf_expect(&g, a, UINT64_MAX, 1);
        assert_memory_equal(a->data, row, sizeof row); // touches every page
        unsigned long before = resident_kb(a->data);
        gguf_drop(&g, a, 0, a->size);
        if (!memory) // but for the pages at both ends
            assert_true(resident_kb(a->data) + (sizeof row - 2 * page) / 1024 <= before);
        gguf_drop(&g, a, 5000, UINT64_MAX);
        gguf_drop(&g, a, UINT64_MAX, UINT64_MAX);
        assert_memory_equal(a->data, row, sizeof row);
        gguf_close(&g);
    }
    free(bytes);
    free(whole_pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_content),       cmocka_unit_test(test_same_logits),
        cmocka_unit_test(test_inspect_parts),      cmocka_unit_test(test_parts_that_do_not_fit),
        cmocka_unit_test(test_missing_and_broken), cmocka_unit_test(test_keys_of_other_parts),
        cmocka_unit_test(test_drop_and_expect),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(WHOLE);
    return failed;
}
