// The builder: paragraphs, lines to write on and frames become items of the vertical list.
#include "reports/layout_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Body 10 on 13.7 (137 %): a main column of 385 points holds about 79 characters.
const struct doc_type *doc_type(enum doc_style style)
{
    static const struct doc_type types[ST_N] = {
        [ST_BODY] = {FONT_TEXT, 10, 13.7, 5, {0x1f, 0x23, 0x28}},
        [ST_SMALL] = {FONT_TEXT, 8.75, 12, 4, {0x55, 0x5d, 0x66}},
        [ST_TABLE] = {FONT_TEXT, 9, 12, 0, {0x1f, 0x23, 0x28}},
        [ST_HEAD] = {FONT_BOLD, 8, 11, 0, {0x55, 0x5d, 0x66}},
        [ST_LEAD] = {FONT_TEXT, 12, 17, 6, {0x55, 0x5d, 0x66}},
        [ST_TITLE] = {FONT_BOLD, 22, 27, 0, {0x1f, 0x23, 0x28}},
        [ST_H2] = {FONT_BOLD, 13.5, 18, 16, {0x0b, 0x55, 0x7f}},
        [ST_H3] = {FONT_BOLD, 10.75, 15, 9, {0x1f, 0x23, 0x28}},
        [ST_COVER] = {FONT_BOLD, 30, 36, 0, {0xff, 0xff, 0xff}},
        [ST_COVER_SMALL] = {FONT_TEXT, 11.5, 16, 4, {0xff, 0xff, 0xff}},
        [ST_COMMAND] = {FONT_CODE, 8.75, 12.6, 0, {0x1f, 0x23, 0x28}},
    };
    return &types[style];
}

bool doc_create(struct doc **out, struct pdf *pdf, struct err *e)
{
    struct doc *d = *out = calloc(1, sizeof *d);
    if (!d) return err_nomem(e, "the document", sizeof *d);
    d->pdf = pdf;
    d->footer = "";
    doc_main(d);
    return true;
}

void doc_destroy(struct doc *d)
{
    if (!d) return;
    for (size_t i = 0; i < d->n_arena; i++)
        free(d->arena[i]);
    free(d->arena);
    free(d->items);
    free(d->ops);
    free(d->frames);
    free(d->tables);
    free(d->anchors);
    free(d->outlines);
    free(d->chapters);
    free(d);
}

struct pdf *doc_pdf(struct doc *d)
{
    return d->pdf;
}

void layout_nomem(struct doc *d)
{
    if (d->first.code == ERR_NONE) err_nomem(&d->first, "the layout of the report", 0);
}

// Makes room for one more element; array points to the pointer.
bool layout_grow(struct doc *d, void *array, size_t *cap, size_t n, size_t size)
{
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    if (n < *cap) return true;
    size_t want = *cap ? *cap * 2 : 64;
    grown = realloc(old, want * size);
    if (!grown) {
        layout_nomem(d);
        return false;
    }
    memcpy(array, &grown, sizeof grown);
    *cap = want;
    return true;
}

const char *layout_keep(struct doc *d, const char *text, size_t n)
{
    if (!layout_grow(d, &d->arena, &d->cap_arena, d->n_arena, sizeof *d->arena)) return "";
    char *copy = malloc(n + 1);
    if (!copy) {
        layout_nomem(d);
        return "";
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    d->arena[d->n_arena++] = copy;
    return copy;
}

const char *doc_printf(struct doc *d, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *t = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (t) vsnprintf(t, (size_t)n + 1, fmt, again);
    va_end(again);
    if (!t) {
        layout_nomem(d);
        return "";
    }
    const char *kept = layout_keep(d, t, (size_t)n);
    free(t);
    return kept;
}

// NULL only when memory is exhausted; callers may ignore it, the error is kept.
struct item *layout_item(struct doc *d, double before, double height)
{
    if (!layout_grow(d, &d->items, &d->cap_items, d->n_items, sizeof *d->items)) return NULL;
    struct item *it = &d->items[d->n_items++];
    if (d->drop_before) before = d->pending_space = 0; // the padding of a frame is enough
    d->drop_before = false;
    *it = (struct item){.before = before + d->pending_space,
                        .height = height,
                        .page_break = d->pending_break,
                        .need = d->pending_need,
                        .frame = d->frame,
                        .table = d->table,
                        .head = d->in_head,
                        .mark = d->pending_mark,
                        .squeeze = 1,
                        .op0 = d->n_ops};
    d->pending_space = d->pending_need = 0;
    d->pending_break = false;
    d->pending_mark = NULL;
    return it;
}

struct op *layout_op(struct doc *d, enum op_kind kind)
{
    if (!d->n_items) return NULL;
    if (!layout_grow(d, &d->ops, &d->cap_ops, d->n_ops, sizeof *d->ops)) return NULL;
    struct op *o = &d->ops[d->n_ops++];
    *o = (struct op){.kind = kind};
    d->items[d->n_items - 1].n_ops++;
    return o;
}

void doc_footer(struct doc *d, const char *text)
{
    if (!doc_fit(d, FONT_TEXT, 8.5, DOC_WIDTH - 80, text, &d->footer, 1)) d->footer = "";
}

void doc_mark(struct doc *d, const char *text)
{
    if (!text || !doc_fit(d, FONT_TEXT, 8.5, DOC_WIDTH, text, &d->pending_mark, 1))
        d->pending_mark = "";
}

void doc_page_break(struct doc *d)
{
    d->pending_break = true;
}

void doc_space(struct doc *d, double points)
{
    d->pending_space += points;
}

void doc_need(struct doc *d, double points)
{
    d->pending_need = points;
}

void doc_keep(struct doc *d)
{
    if (d->n_items) d->items[d->n_items - 1].keep = true;
}

void doc_anchor(struct doc *d, const char *name)
{
    if (!layout_grow(d, &d->anchors, &d->cap_anchors, d->n_anchors, sizeof *d->anchors)) return;
    d->anchors[d->n_anchors++] =
        (struct anchor){.name = layout_keep(d, name, strlen(name)), .item = d->n_items};
}

void doc_outline(struct doc *d, unsigned level, const char *title)
{
    if (!layout_grow(d, &d->outlines, &d->cap_outlines, d->n_outlines, sizeof *d->outlines)) return;
    const char *clean = ""; // what no face can draw is spelt out, here too
    doc_fit(d, FONT_TEXT, 1, 1e6, title, &clean, 1);
    d->outlines[d->n_outlines++] =
        (struct outline){.title = clean, .level = level, .item = d->n_items};
}

void doc_column(struct doc *d, double left, double width)
{
    d->left = left;
    d->width = width;
}

void doc_main(struct doc *d)
{
    doc_column(d, DOC_SIDE, DOC_WIDTH - DOC_SIDE);
}

void doc_full(struct doc *d)
{
    doc_column(d, 0, DOC_WIDTH);
}

double doc_left(const struct doc *d)
{
    return d->left;
}

double doc_width(const struct doc *d)
{
    return d->width;
}

static void draw_checkbox(struct doc *d, double x, double baseline, double size)
{
    doc_draw_frame(d, x, baseline - size * 0.72, size * 0.78, size * 0.78, 0.7, DOC_GREY);
}

static void draw_labels(struct doc *d, const struct para *p, const struct doc_type *type, double x,
                        double y)
{
    if (p->side)
        doc_draw_text(d, FONT_BOLD, 8, DOC_ACCENT, 0, y, ALIGN_LEFT, DOC_SIDE - 12, p->side);
    if (p->checkbox) draw_checkbox(d, x - p->hang, y, type->size);
    if (p->label)
        doc_draw_text(d, type->face == FONT_CODE ? FONT_CODE : FONT_BOLD, type->size, DOC_ACCENT,
                      x - p->hang, y, ALIGN_LEFT, 0, p->label);
}

void doc_spans(struct doc *d, const struct para *p, const struct span *spans, size_t n)
{
    const struct doc_type *type = doc_type(p->style);
    double x = d->left + p->indent, width = d->width - p->indent;
    struct shaped s;
    if (!layout_shape(d, type, spans, n, width, &s)) return;
    for (size_t i = 0; i < s.n_lines; i++) {
        struct item *it = layout_item(d, i ? 0 : type->before + p->before, type->leading);
        if (!it) break;
        // no widow and no orphan: the first and the last two lines stay together
        it->keep = i + 1 == s.n_lines ? p->keep_next : i == 0 || i + 2 == s.n_lines;
        double y = layout_ascent(type);
        if (i == 0) draw_labels(d, p, type, x, y);
        layout_draw_line(d, type, spans, &s, i, x, y, width, p->align);
    }
    layout_shaped_free(&s);
}

void doc_text(struct doc *d, const struct para *p, const char *text)
{
    const struct span span = {.text = text};
    doc_spans(d, p, &span, 1);
}

void doc_answer_lines(struct doc *d, unsigned n, const struct span *note, size_t n_note)
{
    const struct doc_type *type = doc_type(ST_SMALL);
    struct shaped s = {0};
    double right = d->left + d->width;
    for (unsigned i = 0; i < n; i++) {
        bool last = i + 1 == n;
        struct item *it = layout_item(d, 0, 19);
        if (!it) break;
        it->keep = !last;
        it->flex = 3;
        double w = 0;
        if (last && n_note && layout_shape(d, type, note, n_note, d->width, &s) && s.n_lines) {
            w = s.lines[0].width + 10;
            layout_draw_line(d, type, note, &s, 0, right - w + 10, 16.2, d->width, ALIGN_LEFT);
        }
        doc_draw_line(d, d->left, 17, right - w, 17, 0.5, DOC_MIDDLE, 0);
    }
    layout_shaped_free(&s);
}

enum { FRAME_PAD_X = 11, FRAME_PAD_Y = 7, FRAME_WHOLE = 120 };

void doc_frame_begin(struct doc *d, struct rgb fill, bool bar)
{
    if (d->frame_depth++) return; // one inside another keeps the outer one's background
    if (!layout_grow(d, &d->frames, &d->cap_frames, d->n_frames, sizeof *d->frames)) return;
    d->frames[d->n_frames++] =
        (struct frame){.x = d->left, .w = d->width, .fill = fill, .bar = bar};
    d->frame_item = d->n_items;
    d->frame_left = d->left;
    d->frame_width = d->width;
    d->frame = (unsigned)d->n_frames;
    struct item *pad = layout_item(d, 0, FRAME_PAD_Y);
    if (pad) pad->keep = true;
    d->drop_before = true;
    doc_column(d, d->left + FRAME_PAD_X, d->width - 2 * FRAME_PAD_X);
}

void doc_frame_end(struct doc *d)
{
    if (--d->frame_depth) return;
    doc_keep(d);
    d->pending_space = 0;
    layout_item(d, 0, FRAME_PAD_Y);
    double height = 0;
    for (size_t i = d->frame_item; i < d->n_items; i++)
        height += d->items[i].before + d->items[i].height;
    for (size_t i = d->frame_item; i + 1 < d->n_items && height < FRAME_WHOLE; i++)
        d->items[i].keep = true; // a small frame is never parted
    d->frame = 0;
    doc_column(d, d->frame_left, d->frame_width);
}

size_t doc_mark_items(const struct doc *d)
{
    return d->n_items;
}

static size_t moved(size_t i, size_t from, size_t to, size_t n)
{
    if (i >= from && i < n) return to + (i - from);
    return i >= to && i < from ? i + (n - from) : i;
}

// Items [from, n) come to stand at `to` <= from; what was there moves back.
void doc_move(struct doc *d, size_t from, size_t to)
{
    size_t n = d->n_items, count = n - from;
    struct item *copy = malloc((count ? count : 1) * sizeof *copy);
    if (!copy) {
        layout_nomem(d);
        return;
    }
    memcpy(copy, d->items + from, count * sizeof *copy);
    memmove(d->items + to + count, d->items + to, (from - to) * sizeof *copy);
    memcpy(d->items + to, copy, count * sizeof *copy);
    free(copy);
    for (size_t i = 0; i < d->n_anchors; i++)
        d->anchors[i].item = moved(d->anchors[i].item, from, to, n);
    for (size_t i = 0; i < d->n_outlines; i++)
        d->outlines[i].item = moved(d->outlines[i].item, from, to, n);
}

void doc_chapter(struct doc *d, const char *number, const char *title, const char *anchor)
{
    if (!layout_grow(d, &d->chapters, &d->cap_chapters, d->n_chapters, sizeof *d->chapters)) return;
    d->chapters[d->n_chapters++] =
        (struct chapter){.number = layout_keep(d, number, strlen(number)),
                         .title = layout_keep(d, title, strlen(title)),
                         .anchor = layout_keep(d, anchor, strlen(anchor))};
}

size_t doc_n_chapters(const struct doc *d)
{
    return d->n_chapters;
}

void doc_contents_line(struct doc *d, size_t chapter)
{
    const struct chapter *c = &d->chapters[chapter];
    const struct doc_type *type = doc_type(ST_BODY);
    double x = d->left + 24, right = d->left + d->width, room = d->width - 24 - 40;
    const char *lines[4];
    size_t n = doc_fit(d, FONT_TEXT, type->size, room, c->title, lines, 4);
    for (size_t i = 0; i < n; i++) {
        if (!layout_item(d, i ? 0 : 5, type->leading)) return;
        double y = layout_ascent(type);
        if (i == 0)
            doc_draw_text(d, FONT_BOLD, type->size, DOC_ACCENT, d->left, y, ALIGN_LEFT, 20,
                          c->number);
        double w = doc_draw_text(d, FONT_TEXT, type->size, DOC_INK, x, y, ALIGN_LEFT, 0, lines[i]);
        if (i + 1 < n) {
            doc_keep(d);
            continue;
        }
        // dots on a common grid, so that the leaders of all lines stand below each other
        for (double dot = ceil((x + w + 6) / 4.5) * 4.5; dot < right - 26; dot += 4.5)
            doc_draw_rect(d, dot, y - 0.9, 0.9, 0.9, DOC_MIDDLE);
        struct op *o = layout_op(d, OP_PAGEREF);
        if (!o) return;
        o->face = FONT_TEXT;
        o->size = type->size;
        o->color = DOC_INK;
        o->x = right - 22;
        o->w = 22;
        o->y = y;
        o->align = ALIGN_RIGHT;
        o->text = c->anchor;
        doc_draw_link(d, d->left, 0, d->width, type->leading, c->anchor);
    }
}
