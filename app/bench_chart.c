// The chart of lectern bench: a bar a speed, its dot the median, its line from lowest to highest.
#include "app/bench.h"
#include "app/svg.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 720, LEFT = 190, PLOT = 420, ROW = 26, TOP = 78, GAP = 64 };

static const struct svg_font label = {12.5, SVG_END, SVG_INK, false};
static const struct svg_font value = {12.5, SVG_START, SVG_INK, true};
static const struct svg_font tick = {11, SVG_MIDDLE, SVG_SOFT, false};

static void row_words(const struct bench_speed *b, char *out, size_t size)
{
    char number[32];
    size_t used = 0;
    if (b->phase == FIT_PREFILL) {
        (void)snprintf(out, size, "%s tokens", svg_number(b->s.n_tokens, number));
        return;
    }
    if (b->s.batch > 1) used = (size_t)snprintf(out, size, "%u together, ", b->s.batch);
    if (b->s.depth)
        (void)snprintf(out + used, size - used, "behind %s", svg_number(b->s.depth, number));
    else
        (void)snprintf(out + used, size - used, "empty context");
}

static void draw_axis(struct text *t, const struct svg_axis *a, double top, double bottom)
{
    double v;
    char words[32];
    for (unsigned i = 0; svg_axis_tick(a, i, &v); i++) {
        double x = svg_axis_pixel(a, v);
        svg_line(t, x, top, x, bottom, SVG_GRID, 1);
        svg_text(t, x, bottom + 15, &tick, svg_number(v, words));
    }
}

static void draw_row(struct text *t, const struct svg_axis *a, const struct bench_speed *b,
                     double y)
{
    const struct fit_speed *s = &b->s;
    double low = svg_axis_pixel(a, s->low), median = svg_axis_pixel(a, s->median);
    double high = svg_axis_pixel(a, s->high);
    char words[64], number[32], all[160];
    row_words(b, words, sizeof words);
    (void)svg_number(s->median, number);
    (void)snprintf(all, sizeof all, "%s: %.2f tokens/s, %.2f to %.2f in %u runs", words, s->median,
                   s->low, s->high, s->runs);
    svg_text(t, LEFT - 10, y + 4, &label, words);
    svg_rect(t, LEFT, y - 6, median - LEFT, 12, "#bcd3e8");
    svg_line(t, low, y, high, y, SVG_ACCENT, 1.6);
    svg_line(t, low, y - 4, low, y + 4, SVG_ACCENT, 1.6);
    svg_line(t, high, y - 4, high, y + 4, SVG_ACCENT, 1.6);
    svg_figure(t, median, y, SVG_ACCENT, all);
    svg_text(t, high + 9, y + 4, &value, number);
}

// The rows of one phase with an axis of their own; returns the height that they took.
static double draw_phase(struct text *t, const struct bench_result *r, enum fit_phase phase,
                         double top)
{
    const struct svg_font head = {13.5, SVG_START, SVG_INK, true};
    double most = 0, y = top + ROW / 2.0;
    unsigned n = 0;
    for (unsigned i = 0; i < r->n; i++)
        if (r->speed[i].phase == phase) {
            most = r->speed[i].s.high > most ? r->speed[i].s.high : most;
            n++;
        }
    if (!n) return 0;
    struct svg_axis a = svg_axis_linear(most, 6, LEFT, PLOT);
    draw_axis(t, &a, top, top + n * ROW);
    svg_text(t, 24, top - 12, &head,
             phase == FIT_PREFILL ? "Reading a prompt, tokens/s" : "Writing, tokens/s");
    for (unsigned i = 0; i < r->n; i++) {
        if (r->speed[i].phase != phase) continue;
        draw_row(t, &a, &r->speed[i], y);
        y += ROW;
    }
    return n * ROW + GAP;
}

static void draw_words(struct text *t, const struct engine *g, double height)
{
    const struct engine_info *i = engine_info(g);
    const struct svg_font head = {17, SVG_START, SVG_INK, true};
    const struct svg_font small = {11, SVG_START, SVG_SOFT, false};
    char words[256], date[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm)) (void)strftime(date, sizeof date, "%Y-%m-%d", &tm);
    (void)snprintf(words, sizeof words, "%.60s, %s, %.1f M parameters", i->name, i->file_type,
                   (double)i->n_params / 1e6);
    svg_text(t, 24, 34, &head, words);
    (void)snprintf(words, sizeof words, "%.100s, %s", engine_device(g)->driver, date);
    svg_text(t, 24, height - 30, &small, words);
    svg_text(t, 24, height - 14, &small,
             "Dots are medians, lines reach from the lowest to the highest of the runs. Several "
             "together: the speed of all.");
}

bool bench_chart(const char *path, const struct engine *g, const struct bench_result *r,
                 struct err *e)
{
    struct text t = {0};
    unsigned n_phases = 0;
    for (unsigned i = 0; i < r->n; i++)
        n_phases += !i || r->speed[i].phase != r->speed[i - 1].phase;
    double height = TOP + (double)r->n * ROW + n_phases * GAP + 20, at = TOP;
    svg_begin(&t, WIDTH, height, "Measured speeds of a language model");
    draw_words(&t, g, height);
    at += draw_phase(&t, r, FIT_PREFILL, at);
    (void)draw_phase(&t, r, FIT_DECODE, at);
    svg_end(&t);
    bool ok = t.failed ? err_nomem(e, "the chart", t.size) : file_write(path, t.data, t.size, e);
    text_free(&t);
    return ok;
}
