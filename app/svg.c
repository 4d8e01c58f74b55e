#include "app/svg.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_words(struct text *t, const char *s)
{
    for (size_t n = strlen(s), used; n; s += used, n -= used) {
        uint32_t cp;
        char out[4];
        used = utf8_decode(s, n, &cp);
        if (cp == '<')
            text_puts(t, "&lt;");
        else if (cp == '>')
            text_puts(t, "&gt;");
        else if (cp == '&')
            text_puts(t, "&amp;");
        else if (cp < ' ')
            text_puts(t, " ");
        else
            text_add(t, out, utf8_encode(cp == 0xfffe || cp == 0xffff ? 0xfffd : cp, out));
    }
}

void svg_begin(struct text *t, double width, double height, const char *title)
{
    text_printf(t,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                "viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                "font-family=\"Lato, 'DejaVu Sans', sans-serif\">\n<title>",
                width, height, width, height);
    put_words(t, title);
    text_puts(t, "</title>\n");
    svg_rect(t, 0, 0, width, height, "#ffffff");
}

void svg_end(struct text *t)
{
    text_puts(t, "</svg>\n");
}

void svg_line(struct text *t, double x1, double y1, double x2, double y2, const char *color,
              double width)
{
    text_printf(t,
                "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                "stroke-width=\"%.1f\" stroke-linecap=\"round\"/>\n",
                x1, y1, x2, y2, color, width);
}

void svg_rect(struct text *t, double x, double y, double w, double h, const char *color)
{
    text_printf(t, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x,
                y, w, h, color);
}

void svg_figure(struct text *t, double x, double y, const char *color, const char *words)
{
    text_printf(t,
                "<circle class=\"figure\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.6\" fill=\"%s\" "
                "stroke=\"#ffffff\" stroke-width=\"1.2\"><title>",
                x, y, color);
    put_words(t, words);
    text_puts(t, "</title></circle>\n");
}

void svg_text(struct text *t, double x, double y, const struct svg_font *f, const char *words)
{
    static const char *const anchors[] = {
        [SVG_START] = "start", [SVG_MIDDLE] = "middle", [SVG_END] = "end"};
    text_printf(t,
                "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" text-anchor=\"%s\" "
                "fill=\"%s\"%s>",
                x, y, f->size, anchors[f->anchor], f->color,
                f->bold ? " font-weight=\"bold\"" : "");
    put_words(t, words);
    text_puts(t, "</text>\n");
}

// ---------------------------------------------------------------------------------- axes

// The smallest of 1, 2, 5 times a power of ten that is not below v.
static double round_up(double v)
{
    double power = pow(10, floor(log10(v)));
    for (; power < 10 * v; power *= 10)
        for (int i = 0; i < 3; i++) {
            double r = power * (double[]){1, 2, 5}[i];
            if (r >= v * (1 - 1e-9)) return r;
        }
    return v;
}

struct svg_axis svg_axis_linear(double most, unsigned ticks, double at, double length)
{
    double step = most > 0 ? round_up(most / ticks) : 1;
    double hi = most > 0 ? ceil(most / step * (1 - 1e-9)) * step : 1;
    return (struct svg_axis){.hi = hi, .step = step, .at = at, .length = length};
}

// The largest of 1, 2, 5 times a power of ten that is not above v.
static double round_down(double v)
{
    return 1 / round_up(1 / v);
}

struct svg_axis svg_axis_log(double least, double most, double at, double length)
{
    double lo = round_down(least), hi = round_up(most);
    if (hi <= lo) hi = 10 * lo;
    return (struct svg_axis){.lo = lo, .hi = hi, .at = at, .length = length, .log = true};
}

double svg_axis_pixel(const struct svg_axis *a, double v)
{
    double part = a->log ? log(v / a->lo) / log(a->hi / a->lo) : (v - a->lo) / (a->hi - a->lo);
    return a->at + part * a->length;
}

bool svg_axis_tick(const struct svg_axis *a, unsigned i, double *v)
{
    *v = a->log ? a->lo : a->lo + i * a->step;
    for (unsigned k = 0; a->log && k < i; k++)
        *v = round_up(*v * 1.1);
    return *v <= a->hi * (1 + 1e-9);
}

const char *svg_number(double v, char out[32])
{
    if (fabs(v) < 1000) {
        int decimals = fabs(v) >= 100 || v == floor(v) ? 0 : fabs(v) >= 10 ? 1 : 2;
        (void)snprintf(out, 32, "%.*f", decimals, v);
        return out;
    }
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%.0f", v), at = 0;
    for (int i = 0; i < n && at < 30; i++) {
        if (i && (n - i) % 3 == 0 && digits[i - 1] != '-') out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}
