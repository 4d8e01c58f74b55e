// libharu with the first error kept: drawing calls return nothing, pdf_save tells.
// Coordinates are points (1/72 inch) from the page's top left corner, y downwards.
#ifndef LECTERN_REPORTS_PDF_H
#define LECTERN_REPORTS_PDF_H

#include "base/err.h"
#include "reports/fonts.h"

#include <stddef.h>
#include <stdint.h>

struct rgb {
    uint8_t r, g, b;
};

struct pdf_info {
    const char *title, *author, *subject, *creator; // UTF-8, may be NULL
    const char *lang;                               // "en"
    int year, month, day;                           // creation date; year 0 = none written
};

struct pdf; // one document, owner of everything in it

bool pdf_create(struct pdf **out, const struct font_set *fonts, const struct pdf_info *info,
                struct err *e);
void pdf_destroy(struct pdf *pdf); // NULL is fine

// Width in 1/1000 of the size; -1 when the face has no glyph for cp.
int pdf_glyph_width(struct pdf *pdf, enum font_role face, uint32_t cp);
// Width in points of text in one face; code points without a glyph count as nothing.
double pdf_text_width(struct pdf *pdf, enum font_role face, double size, const char *utf8);

// Appends n pages. pdf_select makes page i (from 0) the one that drawing goes to.
bool pdf_add_pages(struct pdf *pdf, size_t n, double width, double height, struct err *e);
void pdf_select(struct pdf *pdf, size_t i);

// y is the baseline. Every code point must have a glyph in the face, else ERR_INTERNAL is kept.
void pdf_text(struct pdf *pdf, enum font_role face, double size, struct rgb color, double x,
              double y, const char *utf8);
void pdf_rect(struct pdf *pdf, double x, double y, double w, double h, struct rgb fill);
// dash: 0 solid, else the length in whole points of dash and gap.
void pdf_line(struct pdf *pdf, double x0, double y0, double x1, double y1, double width,
              struct rgb color, unsigned dash);
// Bezier from p[0],p[1] through two control points to p[6],p[7].
void pdf_curve(struct pdf *pdf, const double p[8], double width, struct rgb color);
void pdf_polygon(struct pdf *pdf, const double *xy, size_t n, struct rgb fill);
void pdf_frame(struct pdf *pdf, double x, double y, double w, double h, double width,
               struct rgb color);

void pdf_link_uri(struct pdf *pdf, double x, double y, double w, double h, const char *uri);
void pdf_link_page(struct pdf *pdf, double x, double y, double w, double h, size_t page,
                   double page_y);
// level 0 is the outermost; a level may be at most one deeper than the entry before.
void pdf_outline(struct pdf *pdf, unsigned level, const char *title, size_t page, double page_y);

// The finished document, written whole or not at all.
bool pdf_save(struct pdf *pdf, const char *path, struct err *e);

#endif
