// Scores with intervals, bars, Gantt.
#include "reports/chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LABEL = 140; // width of the labels at the left

const char *chart_fixed(double value, unsigned decimals, char *out, size_t out_size)
{
    static const long long scale[] = {1, 10, 100, 1000};
    unsigned dec = decimals > 3 ? 3 : decimals;
    if (!isfinite(value) || fabs(value) > 1e15) {
        snprintf(out, out_size, "%s", value > 0 ? "very large" : "very small");
        return out;
    }
    long long v = llround(fabs(value) * (double)scale[dec]);
    const char *sign = value < 0 && v ? "\xe2\x88\x92" : "";
    if (dec)
        snprintf(out, out_size, "%s%lld.%0*lld", sign, v / scale[dec], (int)dec, v % scale[dec]);
    else
        snprintf(out, out_size, "%s%lld", sign, v);
    return out;
}

static double clamp01(double v)
{
    return v > 0 ? v < 1 ? v : 1 : 0; // NaN becomes 0
}

static void percent_axis(struct doc *d, double x, double w, double height)
{
    for (int i = 0; i <= 4; i++) {
        char text[32];
        double at = x + w * i / 4;
        snprintf(text, sizeof text, i == 4 ? "%d %%" : "%d", i * 25);
        doc_draw_line(d, at, 4, at, height - 16, 0.4, DOC_RULE, 0);
        doc_draw_text(d, FONT_TEXT, 8, DOC_GREY, at, height - 5, ALIGN_CENTRE, 0, text);
    }
}

static void dot(struct doc *d, double x, double y, double r, struct rgb color)
{
    const double diamond[] = {x - r, y, x, y - r, x + r, y, x, y + r};
    doc_draw_polygon(d, diamond, 4, color);
}

static void score_row(struct doc *d, const struct chart_score *s, double x, double w, double y)
{
    char a[40], b[40], c[40], words[128];
    double at = x + w * clamp01(s->score), lo = x + w * clamp01(s->low),
           hi = x + w * clamp01(s->high), left = doc_left(d);
    doc_draw_text(d, FONT_BOLD, 9.5, DOC_INK, left, y + 1, ALIGN_LEFT, LABEL - 8, s->label);
    snprintf(words, sizeof words, "%s items", chart_fixed(s->n, 0, a, sizeof a));
    doc_draw_text(d, FONT_TEXT, 8, DOC_GREY, left, y + 12, ALIGN_LEFT, LABEL - 8, words);
    doc_draw_line(d, x, y, x + w, y, 0.5, DOC_RULE, 0);
    if (s->chance > 0) {
        double mid = x + w * clamp01(s->chance);
        doc_draw_line(d, mid, y - 11, mid, y + 11, 1, DOC_GREY, 2);
        snprintf(words, sizeof words, "chance %s", chart_fixed(s->chance * 100, 0, a, sizeof a));
        doc_draw_text(d, FONT_ITALIC, 7.5, DOC_GREY, mid, y + 18.5, ALIGN_CENTRE, 0, words);
    }
    doc_draw_line(d, lo, y, hi, y, 2, DOC_ACCENT, 0);
    doc_draw_line(d, lo, y - 4, lo, y + 4, 1.2, DOC_ACCENT, 0);
    doc_draw_line(d, hi, y - 4, hi, y + 4, 1.2, DOC_ACCENT, 0);
    dot(d, at, y, 4.6, DOC_ACCENT);
    snprintf(words, sizeof words, "%s %%", chart_fixed(s->score * 100, 1, a, sizeof a));
    doc_draw_text(d, FONT_BOLD, 9.5, DOC_INK, x + w + 14, y + 1, ALIGN_LEFT, 0, words);
    snprintf(words, sizeof words, "%s to %s", chart_fixed(s->low * 100, 1, b, sizeof b),
             chart_fixed(s->high * 100, 1, c, sizeof c));
    doc_draw_text(d, FONT_TEXT, 8, DOC_GREY, x + w + 14, y + 12, ALIGN_LEFT, 76, words);
}

void chart_scores(struct doc *d, const struct chart_score *s, size_t n)
{
    double row = 40, height = 12 + row * (double)n + 18, x = doc_left(d) + LABEL,
           w = doc_width(d) - LABEL - 90;
    doc_box_begin(d, 4, height);
    percent_axis(d, x, w, height);
    for (size_t i = 0; i < n; i++)
        score_row(d, &s[i], x, w, 18 + row * (double)i);
    doc_box_end(d);
}

void chart_bars(struct doc *d, const struct chart_bar *b, size_t n, const char *unit,
                unsigned decimals)
{
    double top = 0, x = doc_left(d) + 150, w = doc_width(d) - 150 - 130;
    for (size_t i = 0; i < n; i++)
        top = fmax(top, b[i].value);
    for (size_t i = 0; i < n; i++) { // an item a bar: a long chart may cross a page
        char value[40], words[160];
        double len = top > 0 ? w * fmax(0, b[i].value) / top : 0;
        doc_box_begin(d, i ? 0 : 4, 17);
        doc_draw_text(d, FONT_TEXT, 9, DOC_INK, doc_left(d), 11.5, ALIGN_LEFT, 142, b[i].label);
        if (b[i].dark)
            doc_draw_rect(d, x, 3, len, 11, DOC_ACCENT);
        else
            doc_draw_rect(d, x, 3, len, 11, DOC_RULE);
        if (!b[i].dark && len > 1) doc_draw_frame(d, x, 3, len, 11, 0.6, DOC_GREY);
        doc_draw_line(d, x, 0, x, 17, 0.8, DOC_GREY, 0);
        snprintf(words, sizeof words, "%s %.40s",
                 chart_fixed(b[i].value, decimals, value, sizeof value), unit);
        double end =
            doc_draw_text(d, FONT_BOLD, 9, DOC_INK, x + len + 6, 11.5, ALIGN_LEFT, 80, words);
        double rest = doc_left(d) + doc_width(d) - (x + len + 6 + end + 5);
        if (b[i].note && rest > 20)
            doc_draw_text(d, FONT_TEXT, 8.5, DOC_GREY, x + len + 6 + end + 5, 11.5, ALIGN_LEFT,
                          rest, b[i].note);
        doc_box_end(d);
        if (i == 0 || i + 2 == n) doc_keep(d);
    }
}

struct gantt {
    double x, week_width; // of the first week's column
    size_t n_weeks, label_every;
    const double *week_minutes, *week_number;
};

static void gantt_head(struct doc *d, const struct gantt *g)
{
    char text[40];
    doc_box_begin(d, 4, 16);
    doc_draw_text(d, FONT_BOLD, 8, DOC_GREY, doc_left(d), 10, ALIGN_LEFT, 0, "Week");
    for (size_t w = 0; w < g->n_weeks; w += g->label_every)
        doc_draw_text(d, FONT_BOLD, 8, DOC_GREY, g->x + g->week_width * ((double)w + 0.5), 10,
                      ALIGN_CENTRE, 0, chart_fixed(g->week_number[w], 0, text, sizeof text));
    doc_draw_line(d, doc_left(d), 15.7, doc_left(d) + doc_width(d), 15.7, 0.8, DOC_GREY, 0);
    doc_box_end(d);
    doc_keep(d);
}

static void gantt_row(struct doc *d, const struct gantt *g, const struct chart_task *t, bool band)
{
    const double h = 18;
    doc_box_begin(d, 0, h);
    if (band) doc_draw_rect(d, doc_left(d), 0, doc_width(d), h, DOC_TINT);
    for (size_t w = 0; w <= g->n_weeks; w++)
        if (w % g->label_every == 0 || w == g->n_weeks)
            doc_draw_line(d, g->x + g->week_width * (double)w, 0, g->x + g->week_width * (double)w,
                          h, 0.4, DOC_RULE, 0);
    for (size_t w = 0; w < g->n_weeks; w++) {
        double whole = g->week_minutes[w];
        if (!(t->minutes[w] > 0) || !(whole > 0)) continue;
        double a = clamp01(t->start[w] / whole), b = clamp01((t->start[w] + t->minutes[w]) / whole);
        double x = g->x + g->week_width * ((double)w + a), len = g->week_width * (b - a);
        if (t->outlined) {
            doc_draw_rect(d, x, 5, len, h - 10, DOC_WHITE);
            doc_draw_frame(d, x, 5, len, h - 10, 0.8, DOC_ACCENT);
        } else {
            doc_draw_rect(d, x, 4, len, h - 8, DOC_ACCENT);
        }
    }
    doc_draw_text(d, FONT_TEXT, 9, DOC_INK, doc_left(d), 12.2, ALIGN_LEFT, g->x - doc_left(d) - 8,
                  t->label);
    doc_draw_text(d, FONT_TEXT, 8.5, DOC_GREY, doc_left(d) + doc_width(d), 12.2, ALIGN_RIGHT, 52,
                  t->total);
    if (t->dest) doc_draw_link(d, doc_left(d), 0, g->x - doc_left(d), h, t->dest);
    doc_box_end(d);
    doc_keep(d);
}

void chart_gantt(struct doc *d, const struct chart_task *tasks, size_t n, size_t n_weeks,
                 const double *week_minutes, const double *week_number)
{
    struct gantt g = {.x = doc_left(d) + 150,
                      .n_weeks = n_weeks,
                      .label_every = 1,
                      .week_minutes = week_minutes,
                      .week_number = week_number};
    if (!n_weeks) return;
    g.week_width = (doc_width(d) - 150 - 58) / (double)n_weeks;
    while (g.week_width * (double)g.label_every < 14)
        g.label_every++;
    gantt_head(d, &g);
    for (size_t i = 0; i < n; i++)
        gantt_row(d, &g, &tasks[i], i % 2 == 0);
    doc_box_begin(d, 0, 4);
    doc_draw_line(d, doc_left(d), 0.3, doc_left(d) + doc_width(d), 0.3, 0.4, DOC_RULE, 0);
    doc_box_end(d);
}
