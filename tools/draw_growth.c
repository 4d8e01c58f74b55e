// draw_growth FIGURES.tsv CHART.svg: what a token costs as things grow, four panels.
// growth.sh makes the figures. Lines of the file, fields with tabs between:
//
//   caption  TEXT                                    below the panels, in order
//   figure   PANEL  SERIES  X  MS  LOWEST  HIGHEST   milliseconds a token, a median of runs
//   limit    PANEL  SERIES  X  MS                    not measured so, but computed: a dashed line
//
// PANEL is context, model, batch or threads; X its positions, parameters, sequences, threads.
#include "app/svg.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ROWS = 512,
    MAX_CAPTIONS = 6,
    MAX_SERIES = 4,
    WIDTH = 940,
    PANEL_W = 450,
    PANEL_H = 300,
    TOP = 56,
    PLOT_X = 62, // of the axes in their panel
    PLOT_Y = 62,
    PLOT_W = 360,
    PLOT_H = 186,
};

struct panel {
    const char *name, *title, *x_label;
    bool log;       // both axes
    bool own_ticks; // x has a tick where there is a figure
};

static const struct panel panels[] = {
    {"context", "Behind a longer context", "positions before the token", false, false},
    {"model", "With a larger model", "parameters", true, false},
    {"batch", "Of several sequences together", "sequences", false, true},
    {"threads", "On more threads", "threads of the driver", false, true},
};
enum { N_PANELS = sizeof panels / sizeof panels[0] };

static const char *const colors[MAX_SERIES] = {SVG_ACCENT, "#c2571a", "#3d8b57", "#7b5aa6"};

struct row {
    const struct panel *panel;
    const char *series;
    double x, ms, low, high;
    bool limit;
};

struct growth {
    struct row row[MAX_ROWS];
    size_t n;
    const char *caption[MAX_CAPTIONS];
    size_t n_captions;
};

// ------------------------------------------------------------------------------------ reading

static const struct panel *find_panel(const char *name)
{
    for (size_t i = 0; i < N_PANELS; i++)
        if (!strcmp(panels[i].name, name)) return &panels[i];
    return NULL;
}

static bool number(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return *text && !*end && isfinite(*out);
}

static bool take_row(struct growth *g, char **field, size_t n)
{
    struct row r = {.limit = !strcmp(field[0], "limit")};
    if (n != (r.limit ? 5u : 7u) || g->n == MAX_ROWS) return false;
    r.panel = find_panel(field[1]);
    r.series = field[2];
    bool ok = r.panel && number(field[3], &r.x) && number(field[4], &r.ms);
    r.low = r.high = r.ms;
    if (!r.limit) ok = ok && number(field[5], &r.low) && number(field[6], &r.high);
    if (!ok || !(r.low > 0 && r.low <= r.ms && r.ms <= r.high)) return false;
    if (r.x < 0 || (r.panel->log && r.x <= 0)) return false;
    g->row[g->n++] = r;
    return true;
}

static bool take_line(struct growth *g, char *line)
{
    char *field[8], *rest = line;
    size_t n = 0;
    while (rest && n < 8)
        field[n++] = strsep(&rest, "\t");
    if (!strcmp(field[0], "figure") || !strcmp(field[0], "limit")) return take_row(g, field, n);
    if (strcmp(field[0], "caption") || n != 2 || g->n_captions == MAX_CAPTIONS) return false;
    g->caption[g->n_captions++] = field[1];
    return true;
}

static bool parse(struct growth *g, char *text, const char *path, struct err *e)
{
    unsigned at = 1;
    for (char *line; (line = strsep(&text, "\n")); at++)
        if (*line && !take_line(g, line))
            return err_set(e, ERR_FORMAT, "%s: line %u is not understood", path, at);
    return g->n || err_set(e, ERR_FORMAT, "%s: there are no figures", path);
}

// ------------------------------------------------------------------------------------ drawing

struct view { // a panel with its axes
    const struct growth *g;
    const struct panel *p;
    struct svg_axis x, y;
    const char *series[MAX_SERIES];
    unsigned n_series;
};

static unsigned series_index(struct view *v, const char *name)
{
    for (unsigned i = 0; i < v->n_series; i++)
        if (!strcmp(v->series[i], name)) return i;
    if (v->n_series == MAX_SERIES) return MAX_SERIES - 1;
    v->series[v->n_series] = name;
    return v->n_series++;
}

static bool make_view(const struct growth *g, const struct panel *p, double left, double top,
                      struct view *v)
{
    double x_lo = INFINITY, x_hi = 0, y_lo = INFINITY, y_hi = 0;
    *v = (struct view){.g = g, .p = p};
    for (size_t i = 0; i < g->n; i++) {
        const struct row *r = &g->row[i];
        if (r->panel != p) continue;
        (void)series_index(v, r->series);
        x_lo = fmin(x_lo, r->x);
        x_hi = fmax(x_hi, r->x);
        y_lo = fmin(y_lo, r->low);
        y_hi = fmax(y_hi, r->high);
    }
    left += PLOT_X;
    top += PLOT_Y;
    v->x = p->log ? svg_axis_log(x_lo, x_hi, left, PLOT_W) : svg_axis_linear(x_hi, 5, left, PLOT_W);
    if (p->own_ticks) {
        v->x.lo = fmax(0, x_lo - 0.25 * (x_hi - x_lo));
        v->x.hi = fmax(x_hi + 0.06 * x_hi, v->x.lo + 1);
    }
    if (!p->log && !p->own_ticks) v->x.hi = fmax(x_hi, 1);
    v->y = p->log ? svg_axis_log(y_lo, y_hi, top + PLOT_H, -PLOT_H)
                  : svg_axis_linear(y_hi, 5, top + PLOT_H, -PLOT_H);
    return v->n_series > 0;
}

// 1,100,000,000 as "1.1 B".
static const char *short_number(double v, char out[32])
{
    char digits[32];
    bool billions = v >= 1e9, millions = v >= 1e6;
    if (!millions) return svg_number(v, out);
    (void)snprintf(digits, sizeof digits, "%.3g", v / (billions ? 1e9 : 1e6));
    (void)snprintf(out, 32, "%.20s %c", digits, billions ? 'B' : 'M');
    return out;
}

static void draw_x_tick(struct text *t, const struct view *v, double value)
{
    const struct svg_font f = {11, SVG_MIDDLE, SVG_SOFT, false};
    char words[32];
    double x = svg_axis_pixel(&v->x, value);
    svg_line(t, x, v->y.at, x, v->y.at + 4, SVG_SOFT, 1);
    svg_text(t, x, v->y.at + 17, &f, short_number(value, words));
}

static void draw_axes(struct text *t, const struct view *v)
{
    const struct svg_font f = {11, SVG_END, SVG_SOFT, false};
    const struct svg_font name = {11.5, SVG_MIDDLE, SVG_SOFT, false};
    double value, right = v->x.at + v->x.length;
    char words[32];
    for (unsigned i = 0; svg_axis_tick(&v->y, i, &value); i++) {
        double y = svg_axis_pixel(&v->y, value);
        svg_line(t, v->x.at, y, right, y, SVG_GRID, 1);
        svg_text(t, v->x.at - 8, y + 4, &f, svg_number(value, words));
    }
    svg_line(t, v->x.at, v->y.at, right, v->y.at, SVG_SOFT, 1);
    for (unsigned i = 0; !v->p->own_ticks && svg_axis_tick(&v->x, i, &value); i++)
        draw_x_tick(t, v, value);
    for (size_t i = 0; v->p->own_ticks && i < v->g->n; i++)
        if (v->g->row[i].panel == v->p && !strcmp(v->g->row[i].series, v->series[0]))
            draw_x_tick(t, v, v->g->row[i].x);
    svg_text(t, v->x.at + v->x.length / 2, v->y.at + 36, &name, v->p->x_label);
}

static void draw_dashes(struct text *t, double x1, double y1, double x2, double y2,
                        const char *color)
{
    double length = hypot(x2 - x1, y2 - y1);
    for (double at = 0; at < length; at += 9) {
        double a = at / length, b = fmin(at + 4, length) / length;
        svg_line(t, x1 + a * (x2 - x1), y1 + a * (y2 - y1), x1 + b * (x2 - x1), y1 + b * (y2 - y1),
                 color, 1.4);
    }
}

static void draw_solid(struct text *t, double x1, double y1, double x2, double y2,
                       const char *color)
{
    svg_line(t, x1, y1, x2, y2, color, 1.8);
}

static void draw_point(struct text *t, const struct view *v, const struct row *r, const char *color)
{
    char words[160], x[32], ms[32];
    double at = svg_axis_pixel(&v->x, r->x);
    if (r->limit) return;
    (void)snprintf(words, sizeof words, "%.60s, %s %s: %s ms", r->series, short_number(r->x, x),
                   v->p->x_label, svg_number(r->ms, ms));
    svg_line(t, at, svg_axis_pixel(&v->y, r->low), at, svg_axis_pixel(&v->y, r->high), color, 1.4);
    svg_figure(t, at, svg_axis_pixel(&v->y, r->ms), color, words);
}

static void draw_series(struct text *t, const struct view *v, unsigned k)
{
    const struct row *last = NULL;
    for (size_t i = 0; i < v->g->n; i++) {
        const struct row *r = &v->g->row[i];
        if (r->panel != v->p || strcmp(r->series, v->series[k])) continue;
        double x2 = svg_axis_pixel(&v->x, r->x), y2 = svg_axis_pixel(&v->y, r->ms);
        if (last) {
            double x1 = svg_axis_pixel(&v->x, last->x), y1 = svg_axis_pixel(&v->y, last->ms);
            (r->limit ? draw_dashes : draw_solid)(t, x1, y1, x2, y2, colors[k]);
        }
        last = r;
    }
    for (size_t i = 0; i < v->g->n; i++)
        if (v->g->row[i].panel == v->p && !strcmp(v->g->row[i].series, v->series[k]))
            draw_point(t, v, &v->g->row[i], colors[k]);
}

static bool dashed(const struct view *v, unsigned k)
{
    for (size_t i = 0; i < v->g->n; i++)
        if (v->g->row[i].panel == v->p && !strcmp(v->g->row[i].series, v->series[k]))
            return v->g->row[i].limit;
    return false;
}

static void draw_legend(struct text *t, const struct view *v, double x, double y)
{
    for (unsigned k = 0; k < v->n_series; k++) {
        const struct svg_font f = {11.5, SVG_START, colors[k], true};
        (dashed(v, k) ? draw_dashes : draw_solid)(t, x, y - 4, x + 15, y - 4, colors[k]);
        svg_text(t, x + 20, y, &f, v->series[k]);
        x += 38 + 6.2 * (double)strlen(v->series[k]);
    }
}

static void draw_panel(struct text *t, const struct growth *g, const struct panel *p, double left,
                       double top)
{
    const struct svg_font title = {14, SVG_START, SVG_INK, true};
    const struct svg_font unit = {11.5, SVG_END, SVG_SOFT, false};
    const struct svg_font none = {12, SVG_MIDDLE, SVG_SOFT, false};
    struct view v;
    svg_text(t, left + 24, top + 22, &title, p->title);
    if (!make_view(g, p, left, top, &v)) {
        svg_text(t, left + PANEL_W / 2.0, top + PANEL_H / 2.0, &none, "not measured");
        return;
    }
    draw_axes(t, &v);
    svg_text(t, v.x.at + v.x.length, top + 22, &unit, "ms a token");
    draw_legend(t, &v, left + 24, top + 42);
    for (unsigned k = v.n_series; k-- > 0;)
        draw_series(t, &v, k);
}

static void draw(struct text *t, const struct growth *g)
{
    const struct svg_font title = {18, SVG_START, SVG_INK, true};
    const struct svg_font small = {11, SVG_START, SVG_SOFT, false};
    double below = TOP + 2 * PANEL_H + 10;
    svg_begin(t, WIDTH, below + 16 * (double)g->n_captions + 14,
              "Milliseconds a token, as context, model, batch and threads grow");
    svg_text(t, 34, 36, &title, "What a token costs: milliseconds");
    for (size_t i = 0; i < N_PANELS; i++)
        draw_panel(t, g, &panels[i], 10 + (double)(i % 2) * (PANEL_W + 20),
                   TOP + (double)(i / 2) * PANEL_H);
    for (size_t i = 0; i < g->n_captions; i++)
        svg_text(t, 34, below + 16 * (double)(i + 1), &small, g->caption[i]);
    svg_end(t);
}

int main(int argc, char **argv)
{
    static struct growth g;
    struct text t = {0};
    struct err e = {0};
    char *text = NULL;
    size_t size;
    if (argc != 3) {
        fprintf(stderr, "usage: draw_growth FIGURES.tsv CHART.svg\n");
        return 2;
    }
    bool ok = file_read(argv[1], 1 << 20, &text, &size, &e) && parse(&g, text, argv[1], &e);
    if (ok) {
        draw(&t, &g);
        ok =
            t.failed ? err_nomem(&e, "the chart", t.size) : file_write(argv[2], t.data, t.size, &e);
    }
    if (!ok) fprintf(stderr, "draw_growth: %s\n", e.msg);
    text_free(&t);
    free(text);
    return ok ? 0 : 1;
}
