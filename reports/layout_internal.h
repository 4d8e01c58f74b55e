// What the files of the layout share; not for others.
#ifndef LECTERN_REPORTS_LAYOUT_INTERNAL_H
#define LECTERN_REPORTS_LAYOUT_INTERNAL_H

#include "reports/layout.h"

enum op_kind {
    OP_TEXT,    // x, y baseline, text
    OP_PAGEREF, // x, y, w reserved, text = anchor; align
    OP_RECT,    // x, y, w, h
    OP_FRAME,   // x, y, w, h; size = line width
    OP_LINE,    // x, y to w, h; size = line width
    OP_CURVE,   // p
    OP_POLY,    // p, n
    OP_URI,     // x, y, w, h, text
    OP_DEST,    // x, y, w, h, text
};

struct op {
    enum op_kind kind;
    enum font_role face;
    enum doc_align align;
    struct rgb color;
    unsigned dash, n;
    double x, y, w, h, size;
    double p[8];
    const char *text; // in the arena
};

struct item {
    double before, height;
    bool keep;        // no page break after it
    bool page_break;  // starts a page
    double need;      // room that must be left, else a page break
    unsigned frame;   // index into frames + 1
    unsigned table;   // index into tables + 1: its heads are repeated
    bool head;        // belongs to the heads themselves
    const char *mark; // running header from here on; "" for none; NULL: unchanged
    size_t op0, n_ops;
    double flex;    // points of height at its top that a tight page may take away
    double squeeze; // 1, or the share of `before` that is left; set by pagination
    size_t page;    // set by pagination
    double y;       // page coordinates of its top
};

struct frame {
    double x, w;
    struct rgb fill;
    bool bar;
};

struct table { // the heads, copied so that moving items cannot hurt
    struct item head[3];
    size_t n_head;
};

struct anchor {
    const char *name;
    size_t item;
};

struct outline {
    const char *title;
    unsigned level;
    size_t item;
};

struct chapter {
    const char *number, *title, *anchor;
};

struct doc {
    struct pdf *pdf;
    struct err first;
    struct item *items;
    size_t n_items, cap_items;
    struct op *ops;
    size_t n_ops, cap_ops;
    struct frame *frames;
    size_t n_frames, cap_frames;
    struct table *tables;
    size_t n_tables, cap_tables;
    struct anchor *anchors;
    size_t n_anchors, cap_anchors;
    struct outline *outlines;
    size_t n_outlines, cap_outlines;
    struct chapter *chapters;
    size_t n_chapters, cap_chapters;
    char **arena; // strings, freed with the document
    size_t n_arena, cap_arena;

    // state of the builder
    double left, width;
    double pending_space, pending_need;
    bool pending_break, in_head, drop_before, compact;
    const char *pending_mark, *footer;
    unsigned frame, table; // current, 0 = none
    unsigned frame_depth;
    size_t frame_item;              // its first item
    double frame_left, frame_width; // restored by doc_frame_end
    const struct column *cols;
    size_t n_cols;
    unsigned n_tables_named, n_figures_named;
};

// One laid out character of a paragraph.
enum brk { BRK_NONE, BRK_SPACE, BRK_SOFT, BRK_CHAR, BRK_HARD };
struct glyph {
    uint32_t cp;
    float width;
    uint8_t face, brk; // brk: a line may end after this glyph
    uint8_t code;      // inside backquotes
    uint16_t span;
    float scale; // size = style's size * scale
};
struct line {
    size_t from, to; // glyphs, without the space at the end
    double width;
};
struct shaped {
    struct glyph *g;
    size_t n, cap;
    struct line *lines;
    size_t n_lines;
};

bool layout_grow(struct doc *d, void *array, size_t *cap, size_t n, size_t size);
const char *layout_keep(struct doc *d, const char *text, size_t n); // copies into the arena
struct item *layout_item(struct doc *d, double before, double height);
struct op *layout_op(struct doc *d, enum op_kind kind); // belongs to the last item
void layout_nomem(struct doc *d);

// Shapes the spans and breaks them into lines of at most width points.
bool layout_shape(struct doc *d, const struct doc_type *type, const struct span *spans, size_t n,
                  double width, struct shaped *out);
void layout_shaped_free(struct shaped *s);
// Draws line i with its left edge (or right, or middle) at x and its baseline at y.
void layout_draw_line(struct doc *d, const struct doc_type *type, const struct span *spans,
                      const struct shaped *s, size_t i, double x, double y, double width,
                      enum doc_align align);
double layout_ascent(const struct doc_type *type); // baseline below a line's top

#endif
