// The line breaker and the page builder, without a plan.
#include "reports/layout_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct font_set fonts;
    struct pdf *pdf;
    struct doc *doc;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e = {0};
    struct pdf_info info = {.title = "Test", .lang = "en", .year = 2026, .month = 1, .day = 5};
    *state = f;
    if (!f || !fonts_find(NULL, &f->fonts, &e) || !pdf_create(&f->pdf, &f->fonts, &info, &e) ||
        !doc_create(&f->doc, f->pdf, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    doc_destroy(f->doc);
    pdf_destroy(f->pdf);
    free(f);
    return 0;
}

static const char *const texts[] = {
    "A short line.",
    "Both are decoder-only transformers with RMSNorm, rotary positions and SwiGLU; the second "
    "one reads 15 % fewer tokens for 98 362 432 bytes.",
    "Donaudampfschifffahrtselektrizit\xc3\xa4tenhauptbetriebswerkbauunterbeamtengesellschaft",
    "See https://huggingface.co/docs/transformers/main/en/quantization/overview?library=gguf&a=b "
    "and then `lectern run --greedy -n 48 'The capital of France is'` \xe2\x89\xa5 \xe2\x9c\x93.",
    "one\ntwo\n\nfour",
    "",
    " \n ",
    "` a lone backquote",
};

// No line is wider than the column and no character but spaces is lost, at any width.
static void lines_fit(void **state)
{
    struct fixture *f = *state;
    const struct doc_type *type = doc_type(ST_BODY);
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
        for (double width = 20; width < 500; width += 7.3) {
            const struct span span = {.text = texts[t]};
            struct shaped s;
            assert_true(layout_shape(f->doc, type, &span, 1, width, &s));
            size_t at = 0;
            for (size_t i = 0; i < s.n_lines; i++) {
                assert_true(s.lines[i].width <= width + 0.01);
                for (; at < s.lines[i].from; at++)
                    assert_int_equal(s.g[at].cp, ' ');
                at = s.lines[i].to;
            }
            for (; at < s.n; at++)
                assert_int_equal(s.g[at].cp, ' ');
            layout_shaped_free(&s);
        }
}

// Addresses break after / ? & = and never inside :// ; numbers keep their groups and units.
static void break_places(void **state)
{
    struct fixture *f = *state;
    const struct span spans[] = {{.text = "https://a.b/c?d=e&f x 98 362 432 15 % end"}};
    struct shaped s;
    assert_true(layout_shape(f->doc, doc_type(ST_BODY), spans, 1, 400, &s));
    for (size_t i = 0; i + 1 < s.n; i++) {
        uint32_t c = s.g[i].cp, next = s.g[i + 1].cp;
        if (c == ':' || (c == '/' && next == '/')) assert_int_equal(s.g[i].brk, BRK_NONE);
        if (c == '?' || c == '&' || c == '=') assert_int_equal(s.g[i].brk, BRK_SOFT);
        if (c == ' ' && (next == '3' || next == '4' || next == '%'))
            assert_int_equal(s.g[i].brk, BRK_NONE);
        if (c == ' ' && next == 'e') assert_int_equal(s.g[i].brk, BRK_SPACE);
    }
    layout_shaped_free(&s);
}

// What no face has is spelt out; what the text face lacks comes from the symbol face.
static void missing_glyphs(void **state)
{
    struct fixture *f = *state;
    const struct span span = {.text = "\xf0\x9f\x98\x80\xe2\x98\x90"};
    struct shaped s;
    char drawn[32] = "";
    assert_true(layout_shape(f->doc, doc_type(ST_BODY), &span, 1, 400, &s));
    for (size_t i = 0; i + 1 < s.n; i++) {
        size_t n = strlen(drawn);
        drawn[n] = (char)s.g[i].cp;
        drawn[n + 1] = '\0';
    }
    assert_string_equal(drawn, "[U+1F600]");
    assert_int_equal(s.g[s.n - 1].cp, 0x2610);
    assert_int_equal(s.g[s.n - 1].face, FONT_SYMBOL);
    for (size_t i = 0; i < s.n; i++)
        assert_true(pdf_glyph_width(f->pdf, (enum font_role)s.g[i].face, s.g[i].cp) >= 0);
    layout_shaped_free(&s);
}

// The assertion itself: text wider than the page and a box lower than its item are found.
static void overflow_is_found(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    doc_box_begin(f->doc, 0, 20);
    doc_draw_text(f->doc, FONT_TEXT, 10, DOC_INK, 480, 12, ALIGN_LEFT, 0, "beyond the margin");
    assert_false(doc_finish(f->doc, true, &n, &e));
    assert_int_equal(e.code, ERR_INTERNAL);
}

static void deep_box_is_found(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    doc_box_begin(f->doc, 0, 20);
    doc_draw_rect(f->doc, 0, 0, 10, 40, DOC_INK);
    assert_false(doc_finish(f->doc, true, &n, &e));
    assert_int_equal(e.code, ERR_INTERNAL);
}

static void dead_link_is_found(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    const struct span span = {.text = "nowhere", .dest = "nowhere"};
    doc_spans(f->doc, &(struct para){.style = ST_BODY}, &span, 1);
    assert_false(doc_finish(f->doc, true, &n, &e));
    assert_non_null(strstr(e.msg, "nowhere"));
}

// Headings stand on the page of the two lines that follow; paragraphs leave no single line.
static void no_widows(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    for (int i = 0; i < 120; i++) {
        doc_text(f->doc, &(struct para){.style = ST_H3, .keep_next = true}, "Heading");
        doc_text(f->doc, &(struct para){.style = ST_BODY}, texts[1]);
        doc_text(f->doc, &(struct para){.style = ST_BODY},
                 "Four lines are needed here, so this goes on for a while: how it goes on does not "
                 "matter, as long as it fills the column two more times, which it does about now, "
                 "and then once again, until the last line has been reached after all of this.");
    }
    assert_true(doc_finish(f->doc, true, &n, &e));
    assert_true(n > 5);
    const struct item *it = f->doc->items;
    for (size_t i = 0; i + 2 < f->doc->n_items; i++) {
        bool heading = it[i].height == doc_type(ST_H3)->leading;
        if (heading) assert_true(it[i + 1].page == it[i].page && it[i + 2].page == it[i].page);
    }
    for (size_t i = 1; i + 1 < f->doc->n_items; i++) { // a page never ends or begins with one line
        bool starts = it[i].before > 0, next_starts = it[i + 1].before > 0;
        if (it[i].page != it[i + 1].page) assert_true(!starts || next_starts);
        if (it[i].page != it[i - 1].page) assert_true(starts || !next_starts);
    }
}

// A table that crosses pages shows its heads on each: they are drawn above the first row.
static void heads_repeat(void **state)
{
    struct fixture *f = *state;
    static const struct column cols[] = {{"Name", 0.5, ALIGN_LEFT, false, false},
                                         {"Value", 0.5, ALIGN_RIGHT, false, false}};
    struct err e = {0};
    size_t n, tops = 0;
    doc_table_begin(f->doc, cols, 2);
    for (int i = 0; i < 100; i++)
        doc_table_row(f->doc, (const struct cell[]){{.text = "row"}, {.text = "1.0"}});
    doc_table_end(f->doc);
    assert_true(doc_finish(f->doc, true, &n, &e));
    for (size_t i = 1; i < f->doc->n_items; i++)
        if (f->doc->items[i].page != f->doc->items[i - 1].page) {
            assert_true(f->doc->items[i].y > DOC_TOP + 10); // room for the heads
            tops++;
        }
    assert_int_equal(tops, n - 1);
    assert_true(n >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(break_places, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_glyphs, setup, teardown),
        cmocka_unit_test_setup_teardown(overflow_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(deep_box_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(dead_link_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(no_widows, setup, teardown),
        cmocka_unit_test_setup_teardown(heads_repeat, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
