// Boxes drawn by hand: each call adds an operation to the last item.
#include "reports/layout_internal.h"

#include <string.h>

void doc_box_begin(struct doc *d, double space_before, double height)
{
    layout_item(d, space_before, height);
}

void doc_box_end(struct doc *d)
{
    (void)d;
}

double doc_draw_text(struct doc *d, enum font_role face, double size, struct rgb color, double x,
                     double y, enum doc_align align, double max_width, const char *text)
{
    const struct doc_type type = {.face = face, .size = size, .leading = size, .color = color};
    const char *line = text;
    if (max_width > 0 && doc_fit(d, face, size, max_width, text, &line, 1) == 0) return 0;
    const struct span span = {.text = line, .plain = true, .tinted = true, .color = color};
    struct shaped s;
    if (!layout_shape(d, &type, &span, 1, 1e9, &s)) return 0;
    double w = s.n_lines ? s.lines[0].width : 0;
    if (align == ALIGN_RIGHT) x -= w;
    if (align == ALIGN_CENTRE) x -= w / 2;
    if (s.n_lines) layout_draw_line(d, &type, &span, &s, 0, x, y, w, ALIGN_LEFT);
    layout_shaped_free(&s);
    return w;
}

void doc_draw_rect(struct doc *d, double x, double y, double w, double h, struct rgb fill)
{
    struct op *o = layout_op(d, OP_RECT);
    if (!o) return;
    o->x = x;
    o->y = y;
    o->w = w;
    o->h = h;
    o->color = fill;
}

void doc_draw_frame(struct doc *d, double x, double y, double w, double h, double width,
                    struct rgb color)
{
    struct op *o = layout_op(d, OP_FRAME);
    if (!o) return;
    o->x = x;
    o->y = y;
    o->w = w;
    o->h = h;
    o->size = width;
    o->color = color;
}

void doc_draw_line(struct doc *d, double x0, double y0, double x1, double y1, double width,
                   struct rgb color, unsigned dash)
{
    struct op *o = layout_op(d, OP_LINE);
    if (!o) return;
    o->x = x0;
    o->y = y0;
    o->w = x1 - x0;
    o->h = y1 - y0;
    o->size = width;
    o->color = color;
    o->dash = dash;
}

void doc_draw_curve(struct doc *d, const double p[8], double width, struct rgb color)
{
    struct op *o = layout_op(d, OP_CURVE);
    if (!o) return;
    memcpy(o->p, p, sizeof o->p);
    o->n = 4;
    o->size = width;
    o->color = color;
}

void doc_draw_polygon(struct doc *d, const double *xy, size_t n, struct rgb fill)
{
    struct op *o = n <= 4 ? layout_op(d, OP_POLY) : NULL;
    if (!o) return;
    memcpy(o->p, xy, 2 * n * sizeof *xy);
    o->n = (unsigned)n;
    o->color = fill;
}

void doc_draw_link(struct doc *d, double x, double y, double w, double h, const char *dest)
{
    struct op *o = layout_op(d, OP_DEST);
    if (!o) return;
    o->x = x;
    o->y = y;
    o->w = w;
    o->h = h;
    o->text = layout_keep(d, dest, strlen(dest));
}
