// The prerequisite graph, drawn in layers (after Sugiyama, 1981): a node's layer is the longest
// way to it; an edge that another way already implies is left out; an edge that jumps layers
// passes through dummy nodes, so it never crosses a box; the order in a layer is the average
// place of its parents, swept a few times.
#include "reports/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NODES = 48, MAX_ALL = 512, MAX_LAYERS = 48, SWEEPS = 6 };
static const double BOX_H = 38, LAYER_GAP = 26, BOX_MAX_W = 128, GAP_X = 12;

struct gnode {
    size_t layer, parents[16], n_parents;
    double place, x; // order in the layer, centre
    bool dummy;
};

struct graph {
    struct gnode node[MAX_ALL];
    size_t n, n_real, n_layers;
    size_t layer[MAX_LAYERS][MAX_ALL], n_in[MAX_LAYERS];
};

static bool rank_nodes(struct graph *g, const struct chart_node *nodes, size_t n, struct err *e)
{
    bool changed = true;
    for (size_t round = 0; changed; round++) {
        if (round > n)
            return err_set(e, ERR_FORMAT,
                           "plan.json: the prerequisites of the sections go round in a circle");
        changed = false;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < nodes[i].n_needs; k++) {
                size_t want = g->node[nodes[i].needs[k]].layer + 1;
                if (g->node[i].layer >= want) continue;
                g->node[i].layer = want;
                changed = true;
            }
    }
    return true;
}

// Is there a way from b's ancestors to a, other than the direct edge a -> b?
static bool implied(const struct chart_node *nodes, size_t a, size_t b, size_t n)
{
    bool reach[MAX_NODES] = {false};
    for (size_t k = 0; k < nodes[b].n_needs; k++)
        if (nodes[b].needs[k] != a) reach[nodes[b].needs[k]] = true;
    for (size_t round = 0; round < n; round++)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; reach[i] && k < nodes[i].n_needs; k++)
                reach[nodes[i].needs[k]] = true;
    return reach[a];
}

static void add_edge(struct graph *g, size_t a, size_t b)
{
    size_t from = a;
    for (size_t layer = g->node[a].layer + 1; layer < g->node[b].layer && g->n < MAX_ALL; layer++) {
        struct gnode *dummy = &g->node[g->n];
        *dummy = (struct gnode){.layer = layer, .parents = {from}, .n_parents = 1, .dummy = true};
        from = g->n++;
    }
    struct gnode *to = &g->node[b];
    if (to->n_parents < 16) to->parents[to->n_parents++] = from;
}

static void order_layers(struct graph *g)
{
    for (size_t i = 0; i < g->n; i++) {
        size_t l = g->node[i].layer;
        if (l + 1 > g->n_layers) g->n_layers = l + 1;
        g->node[i].place = (double)g->n_in[l];
        g->layer[l][g->n_in[l]++] = i;
    }
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (size_t l = 1; l < g->n_layers; l++) {
            double key[MAX_ALL];
            for (size_t i = 0; i < g->n_in[l]; i++) {
                const struct gnode *v = &g->node[g->layer[l][i]];
                key[i] = 0;
                for (size_t k = 0; k < v->n_parents; k++) {
                    const struct gnode *p = &g->node[v->parents[k]];
                    key[i] += (p->place + 0.5) / (double)g->n_in[p->layer] / (double)v->n_parents;
                }
            }
            for (size_t i = 1; i < g->n_in[l]; i++) // insertion sort: stable, small
                for (size_t k = i; k > 0 && key[k] < key[k - 1] - 1e-9; k--) {
                    double t = key[k];
                    size_t v = g->layer[l][k];
                    key[k] = key[k - 1];
                    key[k - 1] = t;
                    g->layer[l][k] = g->layer[l][k - 1];
                    g->layer[l][k - 1] = v;
                }
            for (size_t i = 0; i < g->n_in[l]; i++)
                g->node[g->layer[l][i]].place = (double)i;
        }
}

// Dummies need less room than boxes.
static double box_width(const struct graph *g, double width)
{
    double w = BOX_MAX_W;
    for (size_t l = 0; l < g->n_layers; l++) {
        double boxes = 0, dummies = 0;
        for (size_t i = 0; i < g->n_in[l]; i++)
            *(g->node[g->layer[l][i]].dummy ? &dummies : &boxes) += 1;
        if (boxes > 0) w = fmin(w, (width - dummies * GAP_X * 2) / boxes - GAP_X);
    }
    return fmax(w, 24);
}

static void place_layers(struct graph *g, double left, double width, double box)
{
    for (size_t l = 0; l < g->n_layers; l++) {
        double sum = 0, x;
        for (size_t i = 0; i < g->n_in[l]; i++)
            sum += (g->node[g->layer[l][i]].dummy ? GAP_X : box) + GAP_X;
        x = left + (width - sum) / 2;
        double free_each = fmax(0, (width - sum) / (double)(g->n_in[l] + 1)) * 0.5;
        x -= free_each * ((double)g->n_in[l] - 1) / 2;
        for (size_t i = 0; i < g->n_in[l]; i++) {
            struct gnode *v = &g->node[g->layer[l][i]];
            double w = (v->dummy ? GAP_X : box) + GAP_X;
            v->x = x + w / 2;
            x += w + free_each;
        }
    }
}

static double layer_y(size_t layer)
{
    return 4 + (BOX_H + LAYER_GAP) * (double)layer;
}

static void draw_edges(struct doc *d, const struct graph *g)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct gnode *v = &g->node[i];
        for (size_t k = 0; k < v->n_parents; k++) {
            const struct gnode *p = &g->node[v->parents[k]];
            double y0 = layer_y(p->layer) + BOX_H, y1 = layer_y(v->layer) - (v->dummy ? 0 : 5);
            const double c[8] = {p->x, y0, p->x, y0 + LAYER_GAP * 0.55, v->x, y1 - LAYER_GAP * 0.55,
                                 v->x, y1};
            doc_draw_curve(d, c, 0.9, DOC_GREY);
            if (v->dummy) {
                doc_draw_line(d, v->x, y1, v->x, y1 + BOX_H, 0.9, DOC_GREY, 0);
                continue;
            }
            const double head[] = {v->x - 3, y1, v->x + 3, y1, v->x, y1 + 5};
            doc_draw_polygon(d, head, 3, DOC_GREY);
        }
    }
}

static void draw_box(struct doc *d, const struct chart_node *n, double cx, double y, double w)
{
    const char *lines[2];
    double x = cx - w / 2;
    doc_draw_rect(d, x, y, w, BOX_H, n->optional ? DOC_WHITE : DOC_ACCENT_TINT);
    doc_draw_frame(d, x, y, w, BOX_H, 0.8, n->optional ? DOC_MIDDLE : DOC_ACCENT);
    double num = doc_draw_text(d, FONT_BOLD, 12, DOC_ACCENT, x + 7, y + BOX_H / 2 + 4, ALIGN_LEFT,
                               24, n->number);
    size_t n_lines = doc_fit(d, FONT_TEXT, 8, w - num - 20, n->title, lines, 2);
    for (size_t i = 0; i < n_lines; i++)
        doc_draw_text(d, FONT_TEXT, 8, DOC_INK, x + num + 13,
                      y + BOX_H / 2 + 3 + 10 * ((double)i - ((double)n_lines - 1) / 2), ALIGN_LEFT,
                      0, lines[i]);
    if (n->dest) doc_draw_link(d, x, y, w, BOX_H, n->dest);
}

bool chart_graph(struct doc *d, const struct chart_node *nodes, size_t n, struct err *e)
{
    if (!n || n > MAX_NODES) return true; // the table beside the figure says it all
    struct graph *g = calloc(1, sizeof *g);
    if (!g) return err_nomem(e, "the prerequisite graph", sizeof *g);
    g->n = g->n_real = n;
    if (!rank_nodes(g, nodes, n, e)) {
        free(g);
        return false;
    }
    for (size_t b = 0; b < n; b++)
        for (size_t k = 0; k < nodes[b].n_needs; k++)
            if (!implied(nodes, nodes[b].needs[k], b, n)) add_edge(g, nodes[b].needs[k], b);
    order_layers(g);
    double height = layer_y(g->n_layers - 1) + BOX_H + 4;
    if (height < DOC_BOTTOM - DOC_TOP - 40) {
        double box = box_width(g, doc_width(d));
        place_layers(g, doc_left(d), doc_width(d), box);
        doc_box_begin(d, 4, height);
        draw_edges(d, g);
        for (size_t i = 0; i < n; i++)
            draw_box(d, &nodes[i], g->node[i].x, layer_y(g->node[i].layer), box);
        doc_box_end(d);
    }
    free(g);
    return true;
}
