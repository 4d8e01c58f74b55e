// Tables: hairlines between rows, no vertical rules, heads repeated on every page. A row's cells
// are broken into lines of their column's width.
#include "reports/layout_internal.h"

#include <stdio.h>
#include <string.h>

static const double GAP = 10, PAD_NORMAL = 3.2, PAD_COMPACT = 1.4;
enum { WHOLE_ROW = 12 }; // lines

void doc_caption(struct doc *d, const char *kind, const char *text)
{
    bool figure = !strcmp(kind, "Figure");
    unsigned *n = figure ? &d->n_figures_named : &d->n_tables_named;
    char number[48];
    snprintf(number, sizeof number, "%.20s %u.", kind, ++*n);
    const struct span spans[] = {{.text = number, .bold = true, .tinted = true, .color = DOC_INK},
                                 {.text = " "},
                                 {.text = text}};
    doc_spans(d, &(struct para){.style = ST_SMALL, .before = 8, .keep_next = true}, spans, 3);
    d->pending_space += 3;
}

static double column_x(const struct doc *d, size_t c)
{
    double x = d->left;
    for (size_t i = 0; i < c; i++)
        x += d->cols[i].share * d->width;
    return x;
}

static double column_width(const struct doc *d, size_t c)
{
    return d->cols[c].share * d->width - (c + 1 < d->n_cols ? GAP : 0);
}

static void rule(struct doc *d, double y, double width, struct rgb color)
{
    doc_draw_line(d, d->left, y, d->left + d->width, y, width, color, 0);
}

// A row of shaped cells as items; the last one carries the rule below.
static void emit_row(struct doc *d, enum doc_style base, const struct cell *cells, bool head)
{
    struct shaped s[DOC_MAX_COLUMNS] = {0};
    struct span spans[DOC_MAX_COLUMNS];
    struct doc_type types[DOC_MAX_COLUMNS];
    size_t n_lines = 0;
    const double pad = d->compact ? PAD_COMPACT : PAD_NORMAL;
    for (size_t c = 0; c < d->n_cols; c++) {
        types[c] = *doc_type(base);
        const struct cell *cell = &cells[c];
        spans[c] = (struct span){.text = cell->text ? cell->text : "",
                                 .bold = cell->bold || d->cols[c].bold || head,
                                 .code = d->cols[c].code && !head,
                                 .plain = head,
                                 .uri = cell->uri,
                                 .dest = cell->dest,
                                 .page_of = cell->page_of};
        if (spans[c].code) types[c].size -= 0.6;
        if (!layout_shape(d, &types[c], &spans[c], 1, column_width(d, c), &s[c])) goto done;
        if (s[c].n_lines > n_lines) n_lines = s[c].n_lines;
    }
    if (n_lines == 0) n_lines = 1;
    // A short row is one item with its cells one after the other, as they are read; a long one
    // is an item a line, so that it may cross a page.
    size_t step = head || n_lines <= WHOLE_ROW ? n_lines : 1;
    for (size_t i = 0; i < n_lines; i += step) {
        bool last = i + step >= n_lines;
        double top = i ? 0 : pad, lead = types[0].leading;
        double height = lead * (double)step + top + (last ? pad : 0);
        struct item *it = layout_item(d, 0, height);
        if (!it) break;
        it->keep = head || (!last && (i == 0 || i + 2 == n_lines));
        for (size_t c = 0; c < d->n_cols; c++)
            for (size_t k = i; k < i + step && k < s[c].n_lines; k++)
                layout_draw_line(d, &types[c], &spans[c], &s[c], k, column_x(d, c),
                                 top + lead * (double)(k - i) + layout_ascent(&types[c]),
                                 column_width(d, c), d->cols[c].align);
        if (last) rule(d, height - 0.3, head ? 0.9 : 0.4, head ? DOC_GREY : DOC_RULE);
    }
done:
    for (size_t c = 0; c < d->n_cols; c++)
        layout_shaped_free(&s[c]);
}

void doc_table_compact(struct doc *d)
{
    d->compact = true;
}

void doc_table_begin(struct doc *d, const struct column *cols, size_t n)
{
    struct cell heads[DOC_MAX_COLUMNS] = {0};
    d->cols = cols;
    d->n_cols = n;
    for (size_t c = 0; c < n; c++)
        heads[c].text = cols[c].title;
    if (!layout_grow(d, &d->tables, &d->cap_tables, d->n_tables, sizeof *d->tables)) return;
    struct table *t = &d->tables[d->n_tables++];
    *t = (struct table){0};
    size_t first = d->n_items;
    d->in_head = true;
    d->table = (unsigned)d->n_tables;
    emit_row(d, ST_HEAD, heads, true);
    d->in_head = false;
    for (size_t i = first; i < d->n_items && t->n_head < 3; i++)
        t->head[t->n_head++] = d->items[i];
}

void doc_table_row(struct doc *d, const struct cell *cells)
{
    emit_row(d, ST_TABLE, cells, false);
}

void doc_table_end(struct doc *d)
{
    d->table = 0;
    d->compact = false;
    d->n_cols = 0;
    d->pending_space += 8;
}
