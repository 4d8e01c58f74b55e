// Typesetting: a document is a vertical list of items (a line of text, a table row, a chart),
// each with the drawing operations inside it. doc_finish breaks the list into pages, resolves
// links and page numbers, asserts that nothing leaves the margins, and draws.
//
//   page 595 x 842 pt (A4), text area 495 wide:
//   | 50 | side column 96 | gap 14 | main column 385 | 50 |
//
// All functions keep the first failure (out of memory) in the document; doc_finish reports it.
// Coordinates inside an item: x from the text area's left edge, y down from the item's top.
#ifndef LECTERN_REPORTS_LAYOUT_H
#define LECTERN_REPORTS_LAYOUT_H

#include "reports/pdf.h"

#define DOC_PAGE_WIDTH 595.28
#define DOC_PAGE_HEIGHT 841.89
#define DOC_MARGIN_X 50.0
#define DOC_TOP 74.0     // the text area's top; the running header stands above
#define DOC_BOTTOM 770.0 // and its bottom; the footer stands below
#define DOC_WIDTH 495.28 // full text area
#define DOC_SIDE 110.0   // where the main column begins
#define DOC_MAX_PAGES 3000

// One accent and greys; every text colour has a contrast of at least 4.5 on white and tint.
static const struct rgb DOC_INK = {0x1f, 0x23, 0x28}, DOC_GREY = {0x55, 0x5d, 0x66},
                        DOC_RULE = {0xc9, 0xce, 0xd4}, DOC_TINT = {0xf2, 0xf4, 0xf6},
                        DOC_ACCENT = {0x0b, 0x55, 0x7f}, DOC_ACCENT_TINT = {0xe9, 0xf2, 0xf8},
                        DOC_WHITE = {0xff, 0xff, 0xff}, DOC_MIDDLE = {0x8a, 0x93, 0x9d};

enum doc_style {
    ST_BODY,
    ST_SMALL, // notes, captions, tables' second lines
    ST_TABLE, // cells
    ST_HEAD,  // column heads
    ST_LEAD,  // the sentence under a title
    ST_TITLE, // a chapter's title
    ST_H2,
    ST_H3,
    ST_COVER, // the cover's title, white on the accent
    ST_COVER_SMALL,
    ST_COMMAND, // code blocks
    ST_N
};

struct doc_type {
    enum font_role face;
    double size, leading, before; // points; before: space above unless at a page's top
    struct rgb color;
};
const struct doc_type *doc_type(enum doc_style style);

enum doc_align { ALIGN_LEFT, ALIGN_RIGHT, ALIGN_CENTRE };

// A piece of a paragraph. Text is UTF-8; `code` between backquotes is set in the code face unless
// plain is true. At most one of uri, dest and page_of is set; names are those of doc_anchor.
struct span {
    const char *text;
    bool bold, italic, plain, code;
    bool tinted; // use color instead of the style's
    struct rgb color;
    const char *uri;     // external link; only http:// and https:// become links
    const char *dest;    // internal link
    const char *page_of; // text is ignored: the page number of that anchor, linked to it
};

struct para {
    enum doc_style style;
    enum doc_align align;
    double indent;     // from the current left edge
    double before;     // extra space above
    const char *label; // list label in front of the first line, at indent - hang
    double hang;
    const char *side; // small capital label in the side column, beside the first line
    bool keep_next;   // no page break between this paragraph and what follows
    bool checkbox;    // an empty box as label
};

struct doc;

bool doc_create(struct doc **out, struct pdf *pdf, struct err *e);
void doc_destroy(struct doc *d); // does not destroy the pdf
struct pdf *doc_pdf(struct doc *d);
// A string owned by the document; "" when memory is exhausted. Numbers: whole ones only, so that
// no locale's decimal comma gets in.
const char *doc_printf(struct doc *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Footer's left words on every page.
void doc_footer(struct doc *d, const char *text);
// Running header from the next item on; NULL for none.
void doc_mark(struct doc *d, const char *text);
void doc_page_break(struct doc *d);
void doc_space(struct doc *d, double points);     // dropped at a page's top
void doc_need(struct doc *d, double points);      // page break unless this much room is left
void doc_keep(struct doc *d);                     // no page break after the last item
void doc_anchor(struct doc *d, const char *name); // the next item is where links to name go
void doc_outline(struct doc *d, unsigned level, const char *title); // likewise
// The current column; frames and lists narrow it, doc_column sets it anew.
void doc_column(struct doc *d, double left, double width);
void doc_main(struct doc *d);
void doc_full(struct doc *d);
double doc_left(const struct doc *d);
double doc_width(const struct doc *d);

void doc_spans(struct doc *d, const struct para *p, const struct span *spans, size_t n);
void doc_text(struct doc *d, const struct para *p, const char *text);
// Lines of code on a tint. shell: long lines end in a backslash where the shell allows it,
// else in a mark; nothing is cut.
void doc_code(struct doc *d, const char *text, bool shell);
// Ruled lines to write on; a note (small, may be none) stands at the right end of the last one.
void doc_answer_lines(struct doc *d, unsigned n, const struct span *note, size_t n_note);

// What stands between begin and end gets a background and, if bar, an accent bar at its left.
void doc_frame_begin(struct doc *d, struct rgb fill, bool bar);
void doc_frame_end(struct doc *d);

struct column {
    const char *title;
    double share; // of the current width; the shares of a table add up to 1
    enum doc_align align;
    bool code, bold;
};
enum { DOC_MAX_COLUMNS = 8 };
struct cell {
    const char *text; // NULL: empty
    const char *uri, *dest, *page_of;
    bool bold;
};
void doc_caption(struct doc *d, const char *kind, const char *text); // "Table 1. text"
void doc_table_compact(struct doc *d);                               // the next table has low rows
void doc_table_begin(struct doc *d, const struct column *cols, size_t n);
void doc_table_row(struct doc *d, const struct cell *cells); // as many as columns
void doc_table_end(struct doc *d);

// A box of the given height drawn by hand: begin, drawing calls, end.
void doc_box_begin(struct doc *d, double space_before, double height);
void doc_box_end(struct doc *d);
// y is the baseline; align tells which end of the text x is. Returns the width drawn.
// The text is cleaned of what has no glyph; max_width > 0 cuts it with an ellipsis.
double doc_draw_text(struct doc *d, enum font_role face, double size, struct rgb color, double x,
                     double y, enum doc_align align, double max_width, const char *text);
void doc_draw_rect(struct doc *d, double x, double y, double w, double h, struct rgb fill);
void doc_draw_frame(struct doc *d, double x, double y, double w, double h, double width,
                    struct rgb color);
void doc_draw_line(struct doc *d, double x0, double y0, double x1, double y1, double width,
                   struct rgb color, unsigned dash);
void doc_draw_curve(struct doc *d, const double p[8], double width, struct rgb color);
void doc_draw_polygon(struct doc *d, const double *xy, size_t n, struct rgb fill); // n <= 4
void doc_draw_link(struct doc *d, double x, double y, double w, double h, const char *dest);
double doc_measure(struct doc *d, enum font_role face, double size, const char *text);
// Breaks text into at most max lines of at most width points; returns their number. The lines
// are owned by the document. The last line is cut with an ellipsis when the text is longer.
size_t doc_fit(struct doc *d, enum font_role face, double size, double width, const char *text,
               const char **lines, size_t max);

// The item count so far, and the move of the items from `from` on to position `to`: how a table
// of contents that is made last comes to stand in front.
size_t doc_mark_items(const struct doc *d);
void doc_move(struct doc *d, size_t from, size_t to);

// Chapters in order, as doc_chapter was called: for the table of contents.
void doc_chapter(struct doc *d, const char *number, const char *title, const char *anchor);
size_t doc_n_chapters(const struct doc *d);
void doc_contents_line(struct doc *d, size_t chapter); // number, title, dotted leader, page

// Breaks pages and draws. strict: anything outside its item or the margins is ERR_INTERNAL.
bool doc_finish(struct doc *d, bool strict, size_t *n_pages, struct err *e);

#endif
