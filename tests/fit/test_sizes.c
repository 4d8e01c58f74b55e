// Sizes of every Llama: known totals here; with ../shared, every cell of the reference's tables.
#include "base/file.h"
#include "fit/sizes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct list {
    struct fit_model *m;
    size_t n;
};

static int load(void **state)
{
    static struct list l;
    struct err e;
    if (!fit_models(&l.m, &l.n, &e)) {
        print_error("%s\n", e.msg);
        return -1;
    }
    *state = &l;
    return 0;
}

static int unload(void **state)
{
    free(((struct list *)*state)->m);
    return 0;
}

static const struct fit_model *find(const struct list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->m[i].name, name)) return &l->m[i];
    return NULL;
}

// The published parameter counts follow from the dimensions.
static void test_params(void **state)
{
    const struct list *l = *state;
    assert_int_equal(l->n, 22);
    for (size_t i = 0; i < l->n; i++)
        assert_int_equal(fit_params(&l->m[i]), l->m[i].n_params);
    assert_int_equal(find(l, "Llama 3.1 8B")->n_params, 8030261248);
    assert_int_equal(find(l, "SmolLM2 135M")->n_params, 134515008);
}

// Llama 3.1 8B: bits a weight that llama.cpp's quantiser prints (its README), to their digits.
static void test_golden_bits(void **state)
{
    static const struct {
        enum fit_quant q;
        double bits;
    } golden[] = {{FIT_Q2_K, 3.1593},   {FIT_Q3_K_S, 3.6429}, {FIT_Q3_K_L, 4.2979},
                  {FIT_IQ4_XS, 4.4597}, {FIT_Q4_K_S, 4.6672}, {FIT_Q4_K_M, 4.8944},
                  {FIT_Q5_K_S, 5.5704}, {FIT_Q5_K_M, 5.7036}, {FIT_Q6_K, 6.5633},
                  {FIT_Q8_0, 8.5008},   {FIT_F16, 16.0005}};
    const struct fit_model *m = find(*state, "Llama 3.1 8B");
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        struct fit_bytes b;
        fit_weights(m, golden[i].q, &b);
        double bits = (double)b.file * 8 / (double)m->n_params;
        if (fabs(bits - golden[i].bits) > 0.5e-4 + 1e-9)
            fail_msg("%s: %.5f bits, published %.4f", fit_quant_name(golden[i].q), bits,
                     golden[i].bits);
    }
}

// Models whose rules differ: odd numbers of layers, 80 layers with shared values, rows that are not
// multiples of 256, a tied output.
static void test_golden_models(void **state)
{
    static const struct {
        const char *model;
        enum fit_quant q;
        double bits;
    } golden[] = {
        {"Llama 3.1 405B", FIT_Q4_K_M, 4.791}, {"Llama 3.1 70B", FIT_Q4_K_M, 4.820},
        {"Llama 3.1 8B", FIT_Q3_K_M, 3.996},   {"Llama 2 7B", FIT_Q2_K, 3.006},
        {"SmolLM2 135M", FIT_Q4_K_M, 6.165},   {"SmolLM2 135M", FIT_Q3_K_M, 5.455},
        {"Llama 3.2 1B", FIT_Q5_K_M, 5.850},   {"TinyLlama 1.1B", FIT_IQ4_XS, 4.429},
    };
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        const struct fit_model *m = find(*state, golden[i].model);
        struct fit_bytes b;
        fit_weights(m, golden[i].q, &b);
        double bits = (double)b.file * 8 / (double)m->n_params;
        if (fabs(bits - golden[i].bits) > 0.5e-3 + 1e-9)
            fail_msg("%s %s: %.5f bits, expected %.3f", m->name, fit_quant_name(golden[i].q), bits,
                     golden[i].bits);
    }
}

// SmolLM2 135M Q4_1, summed by hand: 30 layers of q and o 576 x 576, k and v 192 x 576, gate, up
// and down 1536 x 576; 20 bytes a block of 32 columns; tied Q8_0 embedding (576 is not a multiple
// of 256, so Q6_K falls back), 34 bytes a block.
static void test_by_hand(void **state)
{
    struct fit_bytes b;
    fit_weights(find(*state, "SmolLM2 135M"), FIT_Q4_1, &b);
    uint64_t layer = (2 * 576 * 576 + 2 * 192 * 576 + 3 * 1536 * 576) / 32 * 20;
    uint64_t norms = 61 * 576 * 4, embd = 49152ull * 576 / 32 * 34;
    assert_int_equal(b.file, 30 * layer + norms + embd);
    assert_int_equal(b.file_token, b.file);
    // On the device: 640 bytes a tile of 32 x 32 in q4, 1152 in q8.
    uint64_t tiles = (2 * 18 * 18 + 2 * 6 * 18 + 3 * 48 * 18) * 30;
    assert_int_equal(b.device, tiles * 640 + 1536 * 18 * 1152 + norms);
    assert_string_equal(b.types[0], "Q8_0");
    assert_string_equal(b.types[1], "Q4_1");
    assert_null(b.types[2]);
    struct fit_bytes one;
    fit_layer(find(*state, "SmolLM2 135M"), FIT_Q4_1, 7, &one);
    assert_int_equal(one.file, layer + 2 * 576 * 4);
    assert_int_equal(one.device, tiles / 30 * 640 + 2 * 576 * 4);
}

// An embedding that is not the output matrix stays in the file: 32,000 rows of 4096 in Q4_0.
static void test_embedding(void **state)
{
    struct fit_bytes b;
    fit_weights(find(*state, "Llama 2 7B"), FIT_Q4_0, &b);
    uint64_t row = 4096 / 32 * 18;
    assert_int_equal(b.file - b.file_token, 31999 * row);
    uint64_t q4s = 32ull * (4 * 4096 * 4096 + 3 * 11008 * 4096) / 16 * 9; // layers
    uint64_t q6 = 32000ull * 4096 / 8 * 7;                                // output
    assert_int_equal(b.device, q4s + q6 + 65 * 4096 * 4);
}

static void test_order(void **state)
{
    const struct list *l = *state;
    for (size_t i = 0; i < l->n; i++) {
        struct fit_bytes small, large;
        fit_weights(&l->m[i], FIT_Q4_0, &small);
        fit_weights(&l->m[i], FIT_Q8_0, &large);
        assert_true(small.file < large.file);
        assert_true(small.file_token <= small.file);
        fit_weights(&l->m[i], FIT_F16, &large);
        assert_true(large.file > 2 * l->m[i].n_params);
        // F16 is kept as it is: only padding to 32 rows differs, and a row of an embedding that is
        // not the output.
        uint64_t row = l->m[i].tied ? 0 : 2 * l->m[i].n_embd, read = large.file_token - row;
        assert_true(large.device >= read && large.device - read < read / 1000);
    }
}

// ----------------------------------------------------------------- tables of the reference

static char *next_cell(char **at)
{
    char *start = *at + strspn(*at, " |"), *end = start + strcspn(start, "|");
    if (!*end) return NULL;
    *at = end;
    while (end > start && end[-1] == ' ')
        end--;
    *end = '\0';
    if (**at == '\0') (*at)++;
    return start;
}

// The reference's name: "Llama-3.1 8B" is ours with a space.
static const struct fit_model *by_reference_name(const struct list *l, const char *name)
{
    char ours[64];
    if (!strncmp(name, "CodeLlama", 9))
        (void)snprintf(ours, sizeof ours, "Code Llama%s", name + 9);
    else
        (void)snprintf(ours, sizeof ours, "%s", name);
    for (char *p = ours; *p; p++)
        if (*p == '-') *p = ' ';
    return find(l, ours);
}

static double cell_of(const struct fit_model *m, enum fit_quant q, int table)
{
    struct fit_bytes b;
    fit_weights(m, q, &b);
    if (table == 2) return (double)b.file / 0x1p30;
    if (table == 3) return (double)b.file * 8 / (double)m->n_params;
    return (double)b.file_token / 1e9;
}

// Compares the table behind `heading`; returns how many cells it held.
static int check_table(const struct list *l, char *text, const char *heading, int table)
{
    char *at = strstr(text, heading), *end = at ? strstr(at + 4, "\n### ") : NULL;
    int cells = 0;
    assert_non_null(at);
    while ((at = strstr(at, "\n| ")) && (!end || at < end)) {
        char line[512], *cursor = line;
        at++;
        (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        char *name = next_cell(&cursor);
        const struct fit_model *m = name ? by_reference_name(l, name) : NULL;
        for (int q = 0; m && q < FIT_N_QUANTS; q++, cells++) {
            char *cell = next_cell(&cursor), *dot = cell ? strchr(cell, '.') : NULL;
            assert_non_null(dot);
            double half = 0.5 * pow(10, -(double)strlen(dot + 1)), got = cell_of(m, q, table);
            if (fabs(got - strtod(cell, NULL)) > half * (1 + 1e-6))
                fail_msg("%s %s: %.6f, the table says %s", m->name, fit_quant_name(q), got, cell);
        }
    }
    return cells;
}

static void test_reference_tables(void **state)
{
    char *text;
    size_t size;
    struct err e;
    if (!file_read(LECTERN_SOURCE_DIR "/../shared/reference/models.md", 1 << 20, &text, &size,
                   &e)) {
        print_message("no ../shared: the reference's tables are not compared\n");
        skip();
    }
    assert_int_equal(check_table(*state, text, "### B2.", 2), 22 * 16);
    assert_int_equal(check_table(*state, text, "### B3.", 3), 22 * 16);
    assert_int_equal(check_table(*state, text, "### B4.", 4), 22 * 16);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params),        cmocka_unit_test(test_golden_bits),
        cmocka_unit_test(test_golden_models), cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_embedding),     cmocka_unit_test(test_order),
        cmocka_unit_test(test_reference_tables),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
