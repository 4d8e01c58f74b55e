// Cover, the plan on one page, the machine.
#include "reports/plan_parts.h"

#include <string.h>

static void cover_title(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *learner = report_get(p->json, "learner");
    const char *lines[4], *name = report_str(learner, "name"),
                          *start = report_str(learner, "start_date");
    const struct doc_type *type = doc_type(ST_COVER);
    size_t n =
        doc_fit(d, type->face, type->size, DOC_WIDTH - 56, report_str(p->json, "title"), lines, 4);
    double y = 74, height = 74 + type->leading * (double)n + 66;
    doc_anchor(d, "cover");
    doc_outline(d, 0, "Plan at a glance");
    doc_full(d);
    doc_box_begin(d, 0, height);
    doc_draw_rect(d, 0, 0, DOC_WIDTH, height, DOC_ACCENT);
    doc_draw_text(d, FONT_BOLD, 9.5, DOC_WHITE, 28, 34, ALIGN_LEFT, 0,
                  "LECTERN  \xc2\xb7  LEARNING PLAN FOR THE LLAMA FAMILY");
    for (size_t i = 0; i < n; i++, y += type->leading)
        doc_draw_text(d, type->face, type->size, DOC_WHITE, 28, y, ALIGN_LEFT, 0, lines[i]);
    doc_draw_rect(d, 28, y - 16, 32, 2, DOC_WHITE);
    const char *who = name[0] && !strstr(report_str(p->json, "title"), name)
                          ? doc_printf(d, "For %s", name)
                          : "Made for one learner, one machine and the scores measured on it";
    doc_draw_text(d, FONT_TEXT, 13, DOC_WHITE, 28, y + 9, ALIGN_LEFT, DOC_WIDTH - 56, who);
    double hours = report_num(learner, "hours_per_week"), weeks = report_num(learner, "weeks");
    const char *when =
        hours > 0 && weeks > 0
            ? doc_printf(d, "%s a week for %.0f week%s%s%s", report_minutes(p, hours * 60), weeks,
                         weeks == 1 ? "" : "s", start[0] ? ", from " : "", report_date(p, start))
            : "";
    doc_draw_text(d, FONT_TEXT, 11, DOC_WHITE, 28, y + 27, ALIGN_LEFT, DOC_WIDTH - 56, when);
    doc_box_end(d);
}

// A label in the side column and a value beside it, with a hairline above.
static void glance_row(struct plan *p, const char *label, const char *value, bool first)
{
    struct doc *d = p->doc;
    doc_box_begin(d, first ? 2 : 3.5, 1);
    doc_draw_line(d, 0, 0.5, DOC_WIDTH, 0.5, 0.4, DOC_RULE, 0);
    doc_box_end(d);
    doc_keep(d);
    doc_text(d, &(struct para){.style = ST_BODY, .side = label, .before = -2}, value);
}

static void cover_first_step(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *step = report_get(p->json, "first_step");
    if (!report_has(step, "text") && !report_has(step, "command")) return;
    double minutes = report_num(step, "minutes");
    const char *head = minutes > 0
                           ? doc_printf(d, "First step today, %s", report_minutes(p, minutes))
                           : "First step today";
    doc_full(d);
    doc_space(d, 16);
    doc_frame_begin(d, DOC_ACCENT_TINT, true);
    const struct span spans[] = {{.text = head, .bold = true, .tinted = true, .color = DOC_ACCENT}};
    doc_spans(d, &(struct para){.style = ST_BODY, .keep_next = true}, spans, 1);
    if (report_has(step, "text"))
        doc_text(d, &(struct para){.style = ST_BODY, .before = -2, .keep_next = true},
                 report_str(step, "text"));
    if (report_has(step, "command")) doc_code(d, report_str(step, "command"), true);
    doc_frame_end(d);
}

static void cover_milestones(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *m, *list = report_get(p->json, "milestones");
    size_t n = 0;
    if (!report_len(list)) return;
    doc_text(d, &(struct para){.style = ST_H2, .keep_next = true}, "Milestones");
    doc_main(d);
    cJSON_ArrayForEach(m, list)
    {
        if (n == 6) break; // the whole list has its own chapter
        const char *week =
            report_num(m, "week") > 0 ? doc_printf(d, "Week %.0f", report_num(m, "week")) : "";
        glance_row(p, week, report_str(m, "title"), n++ == 0);
    }
}

void report_cover(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *row;
    cover_title(p);
    doc_main(d);
    doc_space(d, 10);
    doc_column(d, 0, DOC_WIDTH);
    doc_text(d, &(struct para){.style = ST_H2, .keep_next = true}, "The plan at a glance");
    doc_main(d);
    bool first = true;
    cJSON_ArrayForEach(row, report_get(p->json, "glance"))
    {
        glance_row(p, report_str(row, "label"), report_str(row, "value"), first);
        first = false;
    }
    cover_first_step(p);
    cover_milestones(p);
}

static void overview_table(struct plan *p)
{
    static const struct column cols[] = {
        {"", 0.06, ALIGN_LEFT, false, true},       {"Section", 0.46, ALIGN_LEFT, false, false},
        {"Time", 0.15, ALIGN_RIGHT, false, false}, {"Weeks", 0.13, ALIGN_RIGHT, false, false},
        {"Depth", 0.12, ALIGN_LEFT, false, false}, {"Page", 0.08, ALIGN_RIGHT, false, false}};
    struct doc *d = p->doc;
    const cJSON *s;
    doc_full(d);
    doc_caption(d, "Table", "The sections, the time they take and the weeks they fall in.");
    doc_table_begin(d, cols, 6);
    cJSON_ArrayForEach(s, p->sections)
    {
        const char *anchor = doc_printf(d, "section-%.0f", report_num(s, "number"));
        bool optional = cJSON_IsTrue(report_get(s, "optional"));
        const struct cell cells[] = {
            {.text = doc_printf(d, "%.0f", report_num(s, "number"))},
            {.text = doc_printf(d, "%s%s", report_str(s, "title"), optional ? " (optional)" : ""),
             .dest = anchor},
            {.text = report_minutes(p, report_num(s, "minutes"))},
            {.text = report_weeks(p, report_num(s, "number"))},
            {.text = report_str(s, "band")},
            {.page_of = anchor}};
        doc_table_row(d, cells);
    }
    doc_table_end(d);
}

static void overview_legend(struct plan *p)
{
    static const char *const words[][2] = {
        {"Read", "Text stands in one column; the words in the left margin say what each part is "
                 "for. Every page asks something of you: predict, run, answer, write."},
        {"Predict first", "Write your guess before you measure. Being wrong on paper is how the "
                          "number sticks."},
        {"Commands", "Lines in the code face on grey run as they stand. A line that ends in a "
                     "backslash goes on in the next one; \xe2\x86\xa9 marks a line that was only "
                     "too long for the paper."},
        {"Checks", "Answer in writing and say how sure you are; answers with reasons stand at the "
                   "back, with links both ways."},
        {"Numbers", "Each says where it comes from: measured (here), exact (counted), modelled "
                    "(computed from measured ones) or published (by others)."},
    };
    report_part(p, "How to use this plan");
    doc_main(p->doc);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        doc_text(p->doc, &(struct para){.style = ST_BODY, .side = words[i][0]}, words[i][1]);
}

void report_overview(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *m;
    double minutes = 0;
    report_chapter(p, "", "The plan on one page", "overview", "");
    overview_table(p);
    cJSON_ArrayForEach(m, report_get(p->json, "schedule")) minutes += report_num(m, "minutes");
    if (minutes > 0)
        doc_text(d, &(struct para){.style = ST_SMALL},
                 doc_printf(d, "With reviews and buffer the schedule holds %s in %zu week%s.",
                            report_minutes(p, minutes), report_len(report_get(p->json, "schedule")),
                            report_len(report_get(p->json, "schedule")) == 1 ? "" : "s"));
    overview_legend(p);
}

static const char *verdict_mark(const char *verdict)
{
    if (!strcmp(verdict, "fits")) return "\xe2\x9c\x93 ";     // check mark
    if (!strncmp(verdict, "fits", 4) || !strcmp(verdict, "streamed"))
        return "\xe2\x96\xb3 "; // triangle
    return verdict[0] ? "\xc3\x97 " : "";                     // times
}

static const char *number_or_dash(struct plan *p, const cJSON *row, const char *key,
                                  unsigned decimals)
{
    const cJSON *v = report_get(row, key);
    return cJSON_IsNumber(v) ? report_fixed(p, v->valuedouble, decimals) : "\xe2\x80\x93";
}

static void machine_table(struct plan *p, const cJSON *table, const cJSON *pick)
{
    static const struct column cols[] = {{"Model", 0.22, ALIGN_LEFT, false, false},
                                         {"Format", 0.11, ALIGN_LEFT, false, false},
                                         {"Weights GiB", 0.09, ALIGN_RIGHT, false, false},
                                         {"In all GiB", 0.09, ALIGN_RIGHT, false, false},
                                         {"Context", 0.10, ALIGN_RIGHT, false, false},
                                         {"Verdict", 0.20, ALIGN_LEFT, false, false},
                                         {"tok/s", 0.08, ALIGN_RIGHT, false, false},
                                         {"Speed is", 0.11, ALIGN_LEFT, false, false}};
    struct doc *d = p->doc;
    const cJSON *r;
    doc_full(d);
    doc_caption(d, "Table",
                "What fits this machine. The bold line is the pick; weights as in the file; in "
                "all = weights as the device holds them (an embedding of its own stays in the "
                "file), cache and scratch at the context given. Streamed: layers that do not fit "
                "are read from the file for every token.");
    doc_table_compact(d);
    doc_table_begin(d, cols, 8);
    cJSON_ArrayForEach(r, table)
    {
        bool picked = !strcmp(report_str(r, "model"), report_str(pick, "model")) &&
                      !strcmp(report_str(r, "quant"), report_str(pick, "quant"));
        const char *verdict = report_str(r, "verdict");
        struct cell cells[] = {{.text = report_str(r, "model")},
                               {.text = report_str(r, "quant")},
                               {.text = number_or_dash(p, r, "weight_gib", 2)},
                               {.text = number_or_dash(p, r, "total_gib", 2)},
                               {.text = number_or_dash(p, r, "n_ctx", 0)},
                               {.text = doc_printf(d, "%s%s", verdict_mark(verdict), verdict)},
                               {.text = number_or_dash(p, r, "decode_tok_s", 1)},
                               {.text = report_str(r, "basis")}};
        for (size_t i = 0; i < 8; i++)
            cells[i].bold = picked;
        doc_table_row(d, cells);
    }
    doc_table_end(d);
    doc_main(d);
}

enum { MAX_BARS = 24 };

static void machine_chart(struct plan *p, const cJSON *table)
{
    struct chart_bar bars[MAX_BARS];
    size_t n = 0;
    const cJSON *r;
    cJSON_ArrayForEach(r, table)
    {
        const cJSON *v = report_get(r, "decode_tok_s");
        if (!cJSON_IsNumber(v) || n == MAX_BARS ||
            strncmp(report_str(r, "verdict"), "fits", 4) != 0)
            continue;
        const char *basis = report_str(r, "basis");
        bars[n++] = (struct chart_bar){
            .label = doc_printf(p->doc, "%s %s", report_str(r, "model"), report_str(r, "quant")),
            .note = basis,
            .value = v->valuedouble,
            .dark = !strcmp(basis, "measured")};
    }
    if (n < 2) return;
    doc_full(p->doc);
    doc_caption(
        p->doc, "Figure",
        "Decode speed: how many tokens a second each model that fits writes here. Dark bars are "
        "measured, light ones modelled.");
    chart_bars(p->doc, bars, n, "tok/s", 1);
    doc_space(p->doc, 8);
    doc_main(p->doc);
}

static void machine_measured(struct plan *p, const cJSON *measured)
{
    static const struct column cols[] = {{"Quantity", 0.48, ALIGN_LEFT, false, false},
                                         {"Value", 0.34, ALIGN_RIGHT, false, false},
                                         {"Basis", 0.18, ALIGN_LEFT, false, false}};
    const cJSON *r;
    if (!report_len(measured)) return;
    doc_caption(p->doc, "Table", "The machine in numbers.");
    doc_table_compact(p->doc);
    doc_table_begin(p->doc, cols, 3);
    cJSON_ArrayForEach(r, measured)
    {
        const struct cell cells[] = {{.text = report_str(r, "label")},
                                     {.text = report_str(r, "value")},
                                     {.text = report_str(r, "basis")}};
        doc_table_row(p->doc, cells);
    }
    doc_table_end(p->doc);
}

void report_machine(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *machine = report_get(p->json, "machine"), *pick = report_get(machine, "pick"),
                *table = report_get(machine, "table");
    if (!machine) return;
    report_chapter(p, "", "Your machine", "machine", "What runs here, how fast, and how we know.");
    report_paragraphs(p, &(struct para){.style = ST_BODY, .side = "What it is"},
                      report_get(machine, "paragraphs"));
    if (report_has(pick, "model")) {
        doc_space(d, 8);
        doc_frame_begin(d, DOC_ACCENT_TINT, true);
        const char *name =
            doc_printf(d, "The pick: %s %s", report_str(pick, "model"), report_str(pick, "quant"));
        const struct span head = {.text = name, .bold = true, .tinted = true, .color = DOC_ACCENT};
        doc_spans(d, &(struct para){.style = ST_BODY, .keep_next = report_has(pick, "why")}, &head,
                  1);
        if (report_has(pick, "why"))
            doc_text(d, &(struct para){.style = ST_BODY, .before = -2}, report_str(pick, "why"));
        doc_frame_end(d);
    }
    machine_measured(p, report_get(machine, "measured"));
    if (report_len(table)) machine_table(p, table, pick);
    machine_chart(p, table);
}
