// Vector charts as items of a document. Every value is also written in words beside its mark, so
// the charts read without colour and without a legend.
#ifndef LECTERN_REPORTS_CHART_H
#define LECTERN_REPORTS_CHART_H

#include "reports/layout.h"

struct chart_score {
    const char *label;
    double score, low, high, chance; // 0 to 1; chance 0: none drawn
    double n;                        // items
};
// A row a score: a dot, its interval as whiskers, a dashed tick where guessing would land.
void chart_scores(struct doc *d, const struct chart_score *s, size_t n);

struct chart_bar {
    const char *label, *note; // note stands behind the value: the basis
    double value;             // >= 0
    bool dark;                // filled in the accent, else hatched by a frame
};
// Horizontal bars from zero, the value and the unit written at their ends.
void chart_bars(struct doc *d, const struct chart_bar *b, size_t n, const char *unit,
                unsigned decimals);

struct chart_task {
    const char *label, *total; // words at both ends of the row
    const char *dest;          // link, may be NULL
    const double *minutes;     // [n_weeks] minutes in each week
    const double *start;       // [n_weeks] minutes of that week that come before
    bool outlined;             // review and buffer: frames instead of filled bars
};
// Gantt: a row a task, a column a week; a bar's place in its week follows the sessions' order.
void chart_gantt(struct doc *d, const struct chart_task *tasks, size_t n, size_t n_weeks,
                 const double *week_minutes, const double *week_number);

struct chart_node {
    const char *number, *title, *dest;
    bool optional;
    size_t needs[16]; // indices of other nodes
    size_t n_needs;
};
// Prerequisites from top to bottom. A circle is ERR_FORMAT.
bool chart_graph(struct doc *d, const struct chart_node *nodes, size_t n, struct err *e);

// value with a fixed number of decimals and always a point, whatever the locale.
const char *chart_fixed(double value, unsigned decimals, char *out, size_t out_size);

#endif
