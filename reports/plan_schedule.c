// The weeks as a Gantt chart and a table, and the order of the sections as a graph.
#include "reports/plan_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WEEKS = 60, MAX_TASKS = 48 };

struct gantt_data {
    double minutes[MAX_TASKS][MAX_WEEKS], start[MAX_TASKS][MAX_WEEKS];
    double week_minutes[MAX_WEEKS], week_number[MAX_WEEKS], total[MAX_TASKS];
    struct chart_task tasks[MAX_TASKS];
    size_t n;
};

// The row of a session: its section's, or one of the last two for review and buffer.
static size_t task_of(struct plan *p, const cJSON *session, size_t n_sections)
{
    const char *kind = report_str(session, "kind");
    size_t i = 0;
    const cJSON *s;
    if (!strcmp(kind, "review")) return n_sections;
    if (!strcmp(kind, "buffer")) return n_sections + 1;
    cJSON_ArrayForEach(s, p->sections)
    {
        if (i < n_sections && report_num(s, "number") == report_num(session, "section")) return i;
        i++;
    }
    return n_sections + 1;
}

static void fill(struct plan *p, struct gantt_data *g, size_t n_sections, const cJSON *schedule)
{
    const cJSON *week, *s;
    size_t w = 0;
    cJSON_ArrayForEach(week, schedule)
    {
        double at = 0;
        cJSON_ArrayForEach(s, report_get(week, "sessions"))
        {
            size_t t = task_of(p, s, n_sections);
            if (!(g->minutes[t][w] > 0)) g->start[t][w] = at;
            g->minutes[t][w] += report_num(s, "minutes");
            g->total[t] += report_num(s, "minutes");
            at += report_num(s, "minutes");
        }
        g->week_minutes[w] = report_num(week, "minutes") > at ? report_num(week, "minutes") : at;
        g->week_number[w++] = report_num(week, "week");
    }
}

static void add_task(struct plan *p, struct gantt_data *g, size_t row, const char *label,
                     const char *dest, bool outlined)
{
    if (!(g->total[row] > 0)) return;
    g->tasks[g->n++] = (struct chart_task){.label = label,
                                           .total = report_minutes(p, g->total[row]),
                                           .dest = dest,
                                           .minutes = g->minutes[row],
                                           .start = g->start[row],
                                           .outlined = outlined};
}

static bool gantt(struct plan *p, const cJSON *schedule)
{
    struct gantt_data *g = calloc(1, sizeof *g);
    size_t n_sections = report_len(p->sections), i = 0;
    const cJSON *s;
    if (!g) return err_nomem(p->e, "the schedule", sizeof *g);
    if (n_sections > MAX_TASKS - 2) n_sections = MAX_TASKS - 2;
    fill(p, g, n_sections, schedule);
    cJSON_ArrayForEach(s, p->sections)
    {
        if (i == n_sections) break;
        add_task(p, g, i++,
                 doc_printf(p->doc, "%.0f  %s", report_num(s, "number"), report_str(s, "title")),
                 doc_printf(p->doc, "section-%.0f", report_num(s, "number")), false);
    }
    add_task(p, g, n_sections, "Review", NULL, true);
    add_task(p, g, n_sections + 1, "Buffer", NULL, true);
    doc_full(p->doc);
    doc_caption(
        p->doc, "Figure",
        "The weeks. Filled bars are sections, framed ones reviews and buffer; a bar's place "
        "in its week follows the order of the sessions.");
    chart_gantt(p->doc, g->tasks, g->n, report_len(schedule), g->week_minutes, g->week_number);
    doc_space(p->doc, 8);
    free(g);
    return true;
}

static void session_row(struct plan *p, const cJSON *s, const char *week)
{
    struct doc *d = p->doc;
    double section = report_num(s, "section");
    bool linked = section > 0 && report_section(p, section);
    const struct cell cells[] = {{.text = week, .bold = true},
                                 {.text = report_day(p, report_str(s, "date"))},
                                 {.text = "\xe2\x98\x90"},
                                 {.text = report_str(s, "title"),
                                  .dest = linked ? doc_printf(d, "section-%.0f", section) : NULL},
                                 {.text = report_str(s, "kind")},
                                 {.text = report_fixed(p, report_num(s, "minutes"), 0)}};
    doc_table_row(d, cells);
}

static bool has_dates(const cJSON *schedule)
{
    const cJSON *week, *s;
    cJSON_ArrayForEach(week, schedule)
    {
        if (report_has(week, "date")) return true;
        cJSON_ArrayForEach(s, report_get(week, "sessions"))
        {
            if (report_has(s, "date")) return true;
        }
    }
    return false;
}

static void weeks_table(struct plan *p, const cJSON *schedule)
{
    static const struct column dated[] = {
        {"Week", 0.11, ALIGN_LEFT, false, false}, {"Date", 0.14, ALIGN_LEFT, false, false},
        {"", 0.04, ALIGN_LEFT, false, false},     {"Session", 0.54, ALIGN_LEFT, false, false},
        {"Kind", 0.08, ALIGN_LEFT, false, false}, {"Minutes", 0.09, ALIGN_RIGHT, false, false}};
    // without a start the plan counts weeks only: the sessions get the room of the dates
    static const struct column undated[] = {
        {"Week", 0.11, ALIGN_LEFT, false, false}, {"", 0.02, ALIGN_LEFT, false, false},
        {"", 0.04, ALIGN_LEFT, false, false},     {"Session", 0.66, ALIGN_LEFT, false, false},
        {"Kind", 0.08, ALIGN_LEFT, false, false}, {"Minutes", 0.09, ALIGN_RIGHT, false, false}};
    struct doc *d = p->doc;
    const cJSON *week, *s;
    double total = 0;
    doc_caption(d, "Table", "Week by week. Tick a session when it is done.");
    doc_table_compact(d);
    doc_table_begin(d, has_dates(schedule) ? dated : undated, 6);
    cJSON_ArrayForEach(week, schedule)
    {
        const cJSON *sessions = report_get(week, "sessions");
        const char *name = doc_printf(d, "%.0f (%s)", report_num(week, "week"),
                                      report_minutes(p, report_num(week, "minutes")));
        total += report_num(week, "minutes");
        if (!report_len(sessions)) {
            const struct cell cells[6] = {{.text = name, .bold = true},
                                          {.text = report_day(p, report_str(week, "date"))}};
            doc_table_row(d, cells);
        }
        cJSON_ArrayForEach(s, sessions)
        {
            session_row(p, s, s == sessions->child ? name : "");
            if (s == sessions->child && s->next) doc_keep(d);
        }
    }
    const struct cell last[6] = {{.text = "In all", .bold = true},
                                 [3] = {.text = report_minutes(p, total), .bold = true},
                                 [5] = {.text = report_fixed(p, total, 0), .bold = true}};
    doc_table_row(d, last);
    doc_table_end(d);
}

bool report_schedule(struct plan *p)
{
    const cJSON *schedule = report_get(p->json, "schedule");
    if (!report_len(schedule)) return true;
    report_chapter(p, "", "Your schedule", "schedule",
                   "When each section is worked through, with time to come back to it.");
    if (!gantt(p, schedule)) return false;
    weeks_table(p, schedule);
    doc_main(p->doc);
    return true;
}

static size_t index_of(struct plan *p, double number)
{
    size_t i = 0;
    const cJSON *s;
    cJSON_ArrayForEach(s, p->sections)
    {
        if (report_num(s, "number") == number) return i;
        i++;
    }
    return SIZE_MAX;
}

static size_t graph_nodes(struct plan *p, struct chart_node *nodes, const cJSON *list)
{
    size_t n = 0;
    const cJSON *s, *pre, *need;
    cJSON_ArrayForEach(s, p->sections)
    {
        if (n == MAX_TASKS) return 0;
        nodes[n++] =
            (struct chart_node){.number = doc_printf(p->doc, "%.0f", report_num(s, "number")),
                                .title = report_str(s, "title"),
                                .dest = doc_printf(p->doc, "section-%.0f", report_num(s, "number")),
                                .optional = cJSON_IsTrue(report_get(s, "optional"))};
    }
    cJSON_ArrayForEach(pre, list)
    {
        size_t at = index_of(p, report_num(pre, "section"));
        cJSON_ArrayForEach(need, report_get(pre, "needs"))
        {
            size_t from = index_of(p, need->valuedouble);
            if (at == SIZE_MAX || from == SIZE_MAX || nodes[at].n_needs == 16) continue;
            nodes[at].needs[nodes[at].n_needs++] = from;
        }
    }
    return n;
}

static void needs_table(struct plan *p, const struct chart_node *nodes, size_t n)
{
    static const struct column cols[] = {{"", 0.07, ALIGN_LEFT, false, true},
                                         {"Section", 0.55, ALIGN_LEFT, false, false},
                                         {"Needs", 0.38, ALIGN_LEFT, false, false}};
    doc_caption(p->doc, "Table", "The same in words.");
    doc_table_compact(p->doc);
    doc_table_begin(p->doc, cols, 3);
    for (size_t i = 0; i < n; i++) {
        const char *needs = nodes[i].n_needs ? "" : "nothing before it";
        for (size_t k = 0; k < nodes[i].n_needs; k++)
            needs =
                doc_printf(p->doc, "%s%s%s", needs, k ? ", " : "", nodes[nodes[i].needs[k]].number);
        const struct cell cells[] = {{.text = nodes[i].number},
                                     {.text = nodes[i].title, .dest = nodes[i].dest},
                                     {.text = needs}};
        doc_table_row(p->doc, cells);
    }
    doc_table_end(p->doc);
}

bool report_prerequisites(struct plan *p)
{
    const cJSON *list = report_get(p->json, "prerequisites");
    if (!report_len(list)) return true;
    struct chart_node *nodes = calloc(MAX_TASKS, sizeof *nodes);
    if (!nodes) return err_nomem(p->e, "the prerequisites", MAX_TASKS * sizeof *nodes);
    report_chapter(p, "", "What builds on what", "prerequisites",
                   "An arrow leads from a section to those that need it; a white box is optional.");
    size_t n = graph_nodes(p, nodes, list);
    doc_full(p->doc);
    doc_caption(p->doc, "Figure", "Prerequisites. Edges that others imply are left out.");
    bool ok = chart_graph(p->doc, nodes, n, p->e);
    if (ok) needs_table(p, nodes, n);
    doc_main(p->doc);
    free(nodes);
    return ok;
}
