// One of the nine sections: why, prediction, objectives, points, example, lab, checks without
// their answers, deliverable, resources, reflection, next.
#include "reports/plan_parts.h"

#include <string.h>

static void words(struct plan *p, const char *side, const char *text)
{
    if (text[0])
        doc_text(p->doc, &(struct para){.style = ST_BODY, .side = side, .before = 7}, text);
}

static const char *check_anchor(struct plan *p, const char *what, double section, double check)
{
    return doc_printf(p->doc, "%s-%.0f-%.0f", what, section, check);
}

static bool has_check(const cJSON *section, double number)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, report_get(section, "checks"))
    {
        if (report_num(c, "number") == number) return true;
    }
    return false;
}

static void prediction(struct plan *p, const cJSON *s)
{
    struct doc *d = p->doc;
    if (!report_has(s, "prediction")) return;
    doc_space(d, 12);
    doc_frame_begin(d, DOC_ACCENT_TINT, true);
    const struct span head = {
        .text = "Predict first", .bold = true, .tinted = true, .color = DOC_ACCENT};
    doc_spans(d, &(struct para){.style = ST_BODY, .keep_next = true}, &head, 1);
    doc_text(d, &(struct para){.style = ST_BODY, .before = -2, .keep_next = true},
             report_str(s, "prediction"));
    const struct span sure = {.text = "How sure?   \xe2\x98\x90 guessing   \xe2\x98\x90 fairly   "
                                      "\xe2\x98\x90 certain"};
    doc_answer_lines(d, 1, &sure, 1);
    doc_frame_end(d);
    doc_space(d, 3);
}

static void objectives(struct plan *p, const cJSON *s)
{
    struct doc *d = p->doc;
    const cJSON *o;
    const char *side = "You will be able to";
    cJSON_ArrayForEach(o, report_get(s, "objectives"))
    {
        double check = report_num(o, "check");
        bool link = check > 0 && has_check(s, check);
        const struct span spans[] = {
            {.text = report_str(o, "text")},
            {.text = report_has(o, "bloom") ? doc_printf(d, "  %s", report_str(o, "bloom")) : "",
             .italic = true,
             .tinted = true,
             .color = DOC_GREY},
            {.text = link ? "  " : ""},
            {.text = link ? doc_printf(d, "check %.0f", check) : "",
             .dest = check_anchor(p, "check", report_num(s, "number"), check)}};
        doc_spans(d,
                  &(struct para){.style = ST_BODY,
                                 .side = side,
                                 .checkbox = true,
                                 .hang = 17,
                                 .indent = 17,
                                 .before = side ? 7 : -1},
                  spans, 4);
        side = NULL;
    }
}

static void bullets(struct plan *p, const char *side, const cJSON *list)
{
    const cJSON *t;
    cJSON_ArrayForEach(t, list)
    {
        doc_text(p->doc,
                 &(struct para){.style = ST_BODY,
                                .side = side,
                                .label = "\xe2\x80\xa2",
                                .hang = 11,
                                .indent = 11,
                                .before = side ? 7 : -2},
                 t->valuestring);
        side = NULL;
    }
}

static void points(struct plan *p, const cJSON *s)
{
    const cJSON *point;
    cJSON_ArrayForEach(point, report_get(s, "points"))
    {
        if (report_has(point, "title")) {
            bool first = point == report_get(s, "points")->child;
            doc_text(p->doc,
                     &(struct para){.style = ST_H3,
                                    .keep_next = true,
                                    .before = first ? 5 : 0,
                                    .side = first ? "Read" : NULL},
                     report_str(point, "title"));
        }
        report_paragraphs(p, &(struct para){.style = ST_BODY, .before = -1},
                          report_get(point, "paragraphs"));
    }
}

static void example(struct plan *p, const cJSON *s)
{
    const cJSON *ex = report_get(s, "example");
    struct doc *d = p->doc;
    if (!report_len(report_get(ex, "paragraphs"))) return;
    doc_space(d, 12);
    doc_frame_begin(d, DOC_TINT, false);
    const char *title = report_str(ex, "title");
    const struct span head[] = {
        {.text = "Worked example", .bold = true, .tinted = true, .color = DOC_ACCENT},
        {.text = title[0] ? doc_printf(d, "  %s", title) : "", .bold = true}};
    doc_spans(d, &(struct para){.style = ST_BODY, .keep_next = true}, head, 2);
    report_paragraphs(p, &(struct para){.style = ST_BODY, .before = -1},
                      report_get(ex, "paragraphs"));
    doc_frame_end(d);
    doc_space(d, 3);
}

static void lab_step(struct plan *p, const cJSON *step, size_t i)
{
    struct doc *d = p->doc;
    const struct span spans[] = {{.text = doc_printf(d, "%zu.  ", i), .bold = true},
                                 {.text = report_str(step, "text")}};
    bool command = report_has(step, "command");
    doc_spans(
        d,
        &(struct para){
            .style = ST_BODY, .checkbox = true, .hang = 17, .indent = 17, .keep_next = command},
        spans, 2);
    if (!command) return;
    doc_column(d, DOC_SIDE + 17, DOC_WIDTH - DOC_SIDE - 17);
    doc_code(d, report_str(step, "command"), true);
    doc_main(d);
}

static void lab(struct plan *p, const cJSON *s)
{
    const cJSON *l = report_get(s, "lab"), *step;
    struct doc *d = p->doc;
    size_t i = 1;
    if (!l || (!report_len(report_get(l, "steps")) && !report_has(l, "title"))) return;
    const char *title = report_has(l, "title") ? report_str(l, "title") : "Lab";
    doc_outline(d, 1, doc_printf(d, "Lab: %s", title));
    const struct span head[] = {
        {.text = title},
        {.text = report_num(l, "minutes") > 0
                     ? doc_printf(d, "   %s", report_minutes(p, report_num(l, "minutes")))
                     : "",
         .tinted = true,
         .color = DOC_GREY}};
    doc_spans(d, &(struct para){.style = ST_H3, .side = "Lab", .keep_next = true, .before = 6},
              head, 2);
    cJSON_ArrayForEach(step, report_get(l, "steps")) lab_step(p, step, i++);
    words(p, "You should see", report_str(l, "expect"));
    words(p, "If it fails", report_str(l, "if_it_fails"));
}

static void checks(struct plan *p, const cJSON *s)
{
    struct doc *d = p->doc;
    const cJSON *c;
    double section = report_num(s, "number");
    const char *side = "Check yourself";
    if (report_len(report_get(s, "checks"))) doc_outline(d, 1, "Checks");
    cJSON_ArrayForEach(c, report_get(s, "checks"))
    {
        double n = report_num(c, "number");
        doc_anchor(d, check_anchor(p, "check", section, n));
        doc_text(d,
                 &(struct para){.style = ST_BODY,
                                .side = side,
                                .label = doc_printf(d, "%.0f", n),
                                .hang = 17,
                                .indent = 17,
                                .before = side ? 9 : 5,
                                .keep_next = true},
                 report_str(c, "question"));
        doc_column(d, DOC_SIDE + 17, DOC_WIDTH - DOC_SIDE - 17);
        const char *answer = check_anchor(p, "answer", section, n);
        const struct span note[] = {{.text = "Sure?  \xe2\x98\x90 guessing  \xe2\x98\x90 fairly  "
                                             "\xe2\x98\x90 certain     "},
                                    {.text = "answer on page ", .dest = answer},
                                    {.page_of = answer}};
        doc_answer_lines(d, 2, note, 3);
        doc_main(d);
        side = NULL;
    }
}

static void deliverable(struct plan *p, const cJSON *s)
{
    if (report_has(s, "deliverable"))
        doc_text(p->doc,
                 &(struct para){.style = ST_BODY,
                                .side = "Deliverable",
                                .checkbox = true,
                                .hang = 17,
                                .indent = 17,
                                .before = 9},
                 report_str(s, "deliverable"));
}

static void resources(struct plan *p, const cJSON *s)
{
    struct doc *d = p->doc;
    const cJSON *r;
    const char *side = "Resources";
    cJSON_ArrayForEach(r, report_get(s, "resources"))
    {
        const char *url = report_str(r, "url");
        const struct span spans[] = {
            {.text = report_has(r, "title") ? report_str(r, "title") : url, .uri = url},
            {.text = report_num(r, "minutes") > 0
                         ? doc_printf(d, "  %s", report_minutes(p, report_num(r, "minutes")))
                         : "",
             .tinted = true,
             .color = DOC_GREY}};
        doc_spans(d,
                  &(struct para){.style = ST_BODY,
                                 .side = side,
                                 .label = "\xe2\x80\xa2",
                                 .hang = 11,
                                 .indent = 11,
                                 .before = side ? 9 : -3},
                  spans, 2);
        side = NULL;
    }
}

static void reflection(struct plan *p, const cJSON *s)
{
    if (!report_has(s, "reflection")) return;
    doc_text(p->doc,
             &(struct para){.style = ST_BODY, .side = "Reflect", .before = 9, .keep_next = true},
             report_str(s, "reflection"));
    doc_answer_lines(p->doc, 2, NULL, 0);
}

static void section(struct plan *p, const cJSON *s)
{
    struct doc *d = p->doc;
    double number = report_num(s, "number");
    const char *weeks = report_weeks(p, number), *band = report_str(s, "band");
    const char *lead = doc_printf(
        d, "%s%s%s%s%s%s", report_minutes(p, report_num(s, "minutes")),
        weeks[0] ? (strpbrk(weeks, ",\xe2") ? "  \xc2\xb7  weeks " : "  \xc2\xb7  week ") : "",
        weeks, band[0] ? "  \xc2\xb7  depth: " : "", band,
        cJSON_IsTrue(report_get(s, "optional")) ? "  \xc2\xb7  optional" : "");
    report_chapter(p, doc_printf(d, "%.0f", number), report_str(s, "title"),
                   doc_printf(d, "section-%.0f", number), lead);
    words(p, "Why", report_str(s, "why"));
    prediction(p, s);
    objectives(p, s);
    bullets(p, "Before you start", report_get(s, "prerequisites"));
    points(p, s);
    example(p, s);
    lab(p, s);
    checks(p, s);
    deliverable(p, s);
    resources(p, s);
    reflection(p, s);
    words(p, "Next", report_str(s, "next"));
}

void report_sections(struct plan *p)
{
    const cJSON *s;
    cJSON_ArrayForEach(s, p->sections) section(p, s);
}
