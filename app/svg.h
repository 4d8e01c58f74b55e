// Small SVG pictures: shapes and text into a growing text, and axes with round numbers.
// Lengths are pixels, y grows downwards. Text is UTF-8; what XML does not allow is replaced.
#ifndef LECTERN_SVG_H
#define LECTERN_SVG_H

#include "base/json.h"

#define SVG_INK "#1d2733"
#define SVG_SOFT "#667380" // second text, axes
#define SVG_GRID "#e3e7eb"
#define SVG_ACCENT "#1f5f99"

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

struct svg_font {
    double size;
    enum svg_anchor anchor;
    const char *color;
    bool bold;
};

// title is the picture's name for who does not see it. svg_end closes; t.failed tells whether
// memory was short.
void svg_begin(struct text *t, double width, double height, const char *title);
void svg_end(struct text *t);
void svg_line(struct text *t, double x1, double y1, double x2, double y2, const char *color,
              double width);
void svg_rect(struct text *t, double x, double y, double w, double h, const char *color);
// A measured value: class "figure", with its words for who points at it.
void svg_figure(struct text *t, double x, double y, const char *color, const char *words);
void svg_text(struct text *t, double x, double y, const struct svg_font *f, const char *words);

struct svg_axis { // of values from lo to hi, drawn from pixel at to pixel at + length
    double lo, hi, step, at, length; // step: between ticks
    bool log;                        // ticks at 1, 2, 5 times powers of ten; step is not used
};
// From zero to a round number at or above most, with at most `ticks` steps.
struct svg_axis svg_axis_linear(double most, unsigned ticks, double at, double length);
// Powers and their fifths and halves around least and most, both above 0.
struct svg_axis svg_axis_log(double least, double most, double at, double length);
double svg_axis_pixel(const struct svg_axis *a, double v);
// The i-th tick's value; false behind the last.
bool svg_axis_tick(const struct svg_axis *a, unsigned i, double *v);

// "8,192", "0.25", "1.5": what a reader needs of v.
const char *svg_number(double v, char out[32]);

#endif
