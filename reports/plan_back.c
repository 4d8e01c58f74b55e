// Milestones, answers, glossary, resource index, provenance.
#include "reports/plan_parts.h"

#include <stdlib.h>
#include <string.h>

void report_milestones(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *m, *list = report_get(p->json, "milestones");
    if (!report_len(list)) return;
    report_chapter(
        p, "", "Milestones", "milestones",
        "What you will be able to show, and in which week. Tick them when they are passed.");
    cJSON_ArrayForEach(m, list)
    {
        const char *side =
            report_num(m, "week") > 0 ? doc_printf(d, "Week %.0f", report_num(m, "week")) : NULL;
        const struct span head[] = {{.text = report_num(m, "number") > 0
                                                 ? doc_printf(d, "%.0f.  ", report_num(m, "number"))
                                                 : ""},
                                    {.text = report_str(m, "title")}};
        doc_spans(d, &(struct para){.style = ST_H3, .side = side, .keep_next = true}, head, 2);
        const struct span pass[] = {{.text = "Passed when: ", .bold = true},
                                    {.text = report_str(m, "pass")}};
        doc_spans(d,
                  &(struct para){
                      .style = ST_BODY, .before = -2, .checkbox = true, .hang = 17, .indent = 17},
                  pass, 2);
    }
}

static void answer(struct plan *p, double section, const cJSON *c)
{
    struct doc *d = p->doc;
    double n = report_num(c, "number");
    const char *back = doc_printf(d, "check-%.0f-%.0f", section, n);
    doc_anchor(d, doc_printf(d, "answer-%.0f-%.0f", section, n));
    const struct span question[] = {
        {.text = report_str(c, "question"), .italic = true, .tinted = true, .color = DOC_GREY},
        {.text = "  "},
        {.text = "page ", .dest = back},
        {.page_of = back}};
    struct para para = {.style = ST_TABLE,
                        .label = doc_printf(d, "%.0f", n),
                        .hang = 17,
                        .indent = 17,
                        .before = 7,
                        .keep_next = true};
    doc_spans(d, &para, question, 4);
    doc_text(d,
             &(struct para){
                 .style = ST_TABLE, .indent = 17, .before = 1, .keep_next = report_has(c, "why")},
             report_str(c, "answer"));
    if (!report_has(c, "why")) return;
    const struct span why[] = {{.text = "Why: ", .bold = true}, {.text = report_str(c, "why")}};
    doc_spans(d, &(struct para){.style = ST_TABLE, .indent = 17, .before = 1}, why, 2);
}

void report_answers(struct plan *p)
{
    const cJSON *s, *c;
    bool any = false;
    cJSON_ArrayForEach(s, p->sections) any = any || report_len(report_get(s, "checks"));
    if (!any) return;
    report_chapter(p, "", "Answers", "answers",
                   "Come here after you have written your own. The page number leads back to the "
                   "question.");
    cJSON_ArrayForEach(s, p->sections)
    {
        const cJSON *checks = report_get(s, "checks");
        if (!report_len(checks)) continue;
        doc_text(
            p->doc,
            &(struct para){.style = ST_H3,
                           .before = 6,
                           .keep_next = true,
                           .side = doc_printf(p->doc, "Section %.0f", report_num(s, "number"))},
            report_str(s, "title"));
        cJSON_ArrayForEach(c, checks) answer(p, report_num(s, "number"), c);
    }
}

static unsigned char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : (unsigned char)c;
}

// By ASCII letters without case: strcasecmp would follow the locale.
static int by_term(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    const char *s = report_str(*x, "term"), *t = report_str(*y, "term");
    while (*s && lower(*s) == lower(*t)) {
        s++;
        t++;
    }
    if (lower(*s) != lower(*t)) return lower(*s) < lower(*t) ? -1 : 1;
    return strcmp(report_str(*x, "meaning"), report_str(*y, "meaning"));
}

void report_glossary(struct plan *p)
{
    const cJSON *list = report_get(p->json, "glossary"), *g;
    size_t n = report_len(list), i = 0;
    if (!n) return;
    const cJSON **sorted = calloc(n, sizeof *sorted);
    if (!sorted) return;
    cJSON_ArrayForEach(g, list) sorted[i++] = g;
    qsort(sorted, n, sizeof(const cJSON *), by_term);
    report_chapter_flow(p, "Glossary", "glossary", "");
    for (i = 0; i < n; i++) {
        const struct span spans[] = {{.text = report_str(sorted[i], "term"), .bold = true},
                                     {.text = "  "},
                                     {.text = report_str(sorted[i], "meaning")}};
        doc_spans(p->doc, &(struct para){.style = ST_TABLE, .before = 3}, spans, 3);
    }
    free(sorted);
}

struct entry {
    const cJSON *resource;
    const char *sections;
};

static bool same(const cJSON *a, const cJSON *b)
{
    return !strcmp(report_str(a, "url"), report_str(b, "url")) &&
           !strcmp(report_str(a, "title"), report_str(b, "title"));
}

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    double i = report_num(x->resource, "id"), j = report_num(y->resource, "id");
    if (i != j) return i < j ? -1 : 1;
    int c = strcmp(report_str(x->resource, "title"), report_str(y->resource, "title"));
    return c ? c : strcmp(report_str(x->resource, "url"), report_str(y->resource, "url"));
}

static void resource_table(struct plan *p, const struct entry *list, size_t n)
{
    static const struct column cols[] = {{"No.", 0.06, ALIGN_RIGHT, false, false},
                                         {"Title", 0.34, ALIGN_LEFT, false, false},
                                         {"Address", 0.42, ALIGN_LEFT, false, false},
                                         {"Minutes", 0.09, ALIGN_RIGHT, false, false},
                                         {"Sections", 0.09, ALIGN_RIGHT, false, false}};
    doc_full(p->doc);
    doc_caption(p->doc, "Table", "Everything the sections point to.");
    doc_table_compact(p->doc);
    doc_table_begin(p->doc, cols, 5);
    for (size_t i = 0; i < n; i++) {
        const cJSON *r = list[i].resource;
        const struct cell cells[] = {
            {.text = report_num(r, "id") > 0 ? report_fixed(p, report_num(r, "id"), 0) : ""},
            {.text = report_str(r, "title")},
            {.text = report_str(r, "url"), .uri = report_str(r, "url")},
            {.text =
                 report_num(r, "minutes") > 0 ? report_fixed(p, report_num(r, "minutes"), 0) : ""},
            {.text = list[i].sections}};
        doc_table_row(p->doc, cells);
    }
    doc_table_end(p->doc);
    doc_main(p->doc);
}

bool report_resources(struct plan *p)
{
    size_t cap = 0, n = 0;
    const cJSON *s, *r;
    cJSON_ArrayForEach(s, p->sections) cap += report_len(report_get(s, "resources"));
    if (!cap) return true;
    struct entry *list = calloc(cap, sizeof *list);
    if (!list) return err_nomem(p->e, "the resource index", cap * sizeof *list);
    cJSON_ArrayForEach(s, p->sections)
    {
        cJSON_ArrayForEach(r, report_get(s, "resources"))
        {
            size_t i = 0;
            while (i < n && !same(list[i].resource, r))
                i++;
            if (i == n) list[n++] = (struct entry){.resource = r, .sections = ""};
            list[i].sections = doc_printf(p->doc, "%s%s%.0f", list[i].sections,
                                          list[i].sections[0] ? ", " : "", report_num(s, "number"));
        }
    }
    qsort(list, n, sizeof *list, by_id);
    const char *when = report_str(report_get(p->json, "provenance"), "resources_checked");
    report_chapter_flow(
        p, "Resource index", "resources",
        when[0] ? doc_printf(p->doc, "Addresses last checked: %s.", report_date(p, when)) : "");
    resource_table(p, list, n);
    free(list);
    return true;
}

static void hashes(struct plan *p)
{
    static const struct column cols[] = {{"Input", 0.22, ALIGN_LEFT, false, false},
                                         {"SHA-256", 0.78, ALIGN_LEFT, true, false}};
    static const char *const rows[][2] = {{"learner_sha256", "learner.json"},
                                          {"hardware_sha256", "hardware.json"},
                                          {"results_sha256", "results.json"},
                                          {"prompt_sha256", "prompt.txt"}};
    const cJSON *inputs = report_get(p->json, "inputs");
    if (!inputs) return;
    doc_caption(p->doc, "Table", "What the plan was made from.");
    doc_table_begin(p->doc, cols, 2);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!report_has(inputs, rows[i][0])) continue;
        const struct cell cells[] = {{.text = rows[i][1]},
                                     {.text = report_str(inputs, rows[i][0])}};
        doc_table_row(p->doc, cells);
    }
    doc_table_end(p->doc);
}

static void rules(struct plan *p)
{
    static const struct column cols[] = {{"Rule", 0.24, ALIGN_LEFT, true, false},
                                         {"Because", 0.38, ALIGN_LEFT, false, false},
                                         {"Effect on the plan", 0.38, ALIGN_LEFT, false, false}};
    const cJSON *r, *list = report_get(p->json, "rules");
    if (!report_len(list)) return;
    doc_caption(p->doc, "Table",
                "Every rule that shaped this plan. Another learner, machine or "
                "score fires others.");
    doc_table_compact(p->doc);
    doc_table_begin(p->doc, cols, 3);
    cJSON_ArrayForEach(r, list)
    {
        const struct cell cells[] = {{.text = report_str(r, "id")},
                                     {.text = report_str(r, "because")},
                                     {.text = report_str(r, "effect")}};
        doc_table_row(p->doc, cells);
    }
    doc_table_end(p->doc);
}

void report_provenance(struct plan *p)
{
    struct doc *d = p->doc;
    const cJSON *pro = report_get(p->json, "provenance"), *l;
    const char *tool = report_str(pro, "tool"), *side = "Licences";
    report_chapter_flow(p, "Provenance", "provenance",
                        "Where every line of this plan comes from, and how to make it again.");
    if (report_has(pro, "command")) {
        doc_text(d, &(struct para){.style = ST_BODY, .side = "Make it again", .keep_next = true},
                 "The same inputs give the same plan, byte for byte:");
        doc_code(d, report_str(pro, "command"), true);
    }
    doc_full(d);
    hashes(p);
    rules(p);
    doc_main(d);
    cJSON_ArrayForEach(l, report_get(pro, "licences"))
    {
        doc_text(d,
                 &(struct para){.style = ST_BODY,
                                .side = side,
                                .label = "\xe2\x80\xa2",
                                .hang = 11,
                                .indent = 11,
                                .before = side ? 6 : -3},
                 l->valuestring);
        side = NULL;
    }
    doc_text(d, &(struct para){.style = ST_BODY, .side = "Colophon", .before = 6},
             doc_printf(d, "Made by %s. Set in %s and %s, with symbols from DejaVu Sans.",
                        tool[0] ? tool : "lectern", p->fonts->text_name, p->fonts->code_name));
}
