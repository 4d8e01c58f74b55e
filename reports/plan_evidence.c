// The model's scores with their intervals, what failed, and, clearly apart, what others published.
#include "reports/plan_parts.h"

#include <string.h>

enum { MAX_SCORES = 24 };

static bool all_official(const cJSON *scores)
{
    const cJSON *s;
    cJSON_ArrayForEach(s, scores)
    {
        if (strcmp(report_str(s, "set"), "official") != 0) return false;
    }
    return true;
}

static void scores_chart(struct plan *p, const cJSON *scores)
{
    struct chart_score rows[MAX_SCORES];
    size_t n = 0;
    const cJSON *s;
    cJSON_ArrayForEach(s, scores)
    {
        if (n == MAX_SCORES) break;
        const char *label = report_str(s, "label");
        rows[n++] = (struct chart_score){.label = label[0] ? label : report_str(s, "task"),
                                         .score = report_num(s, "score"),
                                         .low = report_num(s, "low"),
                                         .high = report_num(s, "high"),
                                         .chance = report_num(s, "chance"),
                                         .n = report_num(s, "n")};
    }
    doc_full(p->doc);
    doc_caption(
        p->doc, "Figure",
        "Share of items answered right, in percent, with the 95 % Wilson interval. A dashed "
        "tick marks what guessing reaches.");
    chart_scores(p->doc, rows, n);
    doc_space(p->doc, 6);
}

static const char *reading(struct plan *p, const cJSON *s)
{
    double low = report_num(s, "low"), high = report_num(s, "high"),
           chance = report_num(s, "chance");
    if (!(chance > 0)) return "free answer, no guessing level";
    if (low <= chance && chance <= high)
        return doc_printf(p->doc, "not told apart from guessing (%s %%)",
                          report_fixed(p, chance * 100, 0));
    return low > chance ? "better than guessing" : "below guessing: look at the prompts";
}

static void scores_table(struct plan *p, const cJSON *scores)
{
    static const struct column cols[] = {{"Benchmark", 0.16, ALIGN_LEFT, false, true},
                                         {"Set", 0.10, ALIGN_LEFT, false, false},
                                         {"Items", 0.07, ALIGN_RIGHT, false, false},
                                         {"Score %", 0.08, ALIGN_RIGHT, false, false},
                                         {"95 % interval", 0.15, ALIGN_RIGHT, false, false},
                                         {"Reading", 0.18, ALIGN_LEFT, false, false},
                                         {"Note", 0.26, ALIGN_LEFT, false, false}};
    struct doc *d = p->doc;
    const cJSON *s;
    doc_caption(d, "Table", "The scores measured here.");
    doc_table_begin(d, cols, 7);
    cJSON_ArrayForEach(s, scores)
    {
        const char *label = report_str(s, "label");
        const struct cell cells[] = {
            {.text = label[0] ? label : report_str(s, "task")},
            {.text = report_str(s, "set")},
            {.text = report_fixed(p, report_num(s, "n"), 0)},
            {.text = report_fixed(p, report_num(s, "score") * 100, 1)},
            {.text = doc_printf(d, "%s to %s", report_fixed(p, report_num(s, "low") * 100, 1),
                                report_fixed(p, report_num(s, "high") * 100, 1))},
            {.text = reading(p, s)},
            {.text = report_str(s, "note")}};
        doc_table_row(d, cells);
    }
    doc_table_end(d);
}

static void failure_line(struct plan *p, const char *side, const char *text, bool keep)
{
    if (text[0])
        doc_text(p->doc,
                 &(struct para){.style = ST_BODY, .side = side, .before = -3, .keep_next = keep},
                 text);
}

static void failures(struct plan *p, const cJSON *list)
{
    const cJSON *f;
    if (!report_len(list)) return;
    doc_full(p->doc);
    report_part(p, "Items it got wrong");
    doc_main(p->doc);
    cJSON_ArrayForEach(f, list)
    {
        const char *category = report_str(f, "category");
        const char *head = doc_printf(p->doc, "%s%s%s", report_task_name(report_str(f, "task")),
                                      category[0] ? ": " : "", category);
        doc_text(p->doc, &(struct para){.style = ST_H3, .keep_next = true}, head);
        if (strchr(report_str(f, "question"), '\n')) { // a program
            failure_line(p, "Asked", "To complete this program:", true);
            doc_code(p->doc, report_str(f, "question"), false);
        } else {
            failure_line(p, "Asked", report_str(f, "question"), true);
        }
        failure_line(p, "Right answer", report_str(f, "expected"), true);
        failure_line(p, "It answered", report_str(f, "got"), false);
    }
}

static void published(struct plan *p, const cJSON *rows, const cJSON *scores)
{
    static const struct column cols[] = {{"Model", 0.30, ALIGN_LEFT, false, false},
                                         {"MMLU", 0.09, ALIGN_RIGHT, false, false},
                                         {"GSM8K", 0.09, ALIGN_RIGHT, false, false},
                                         {"HumanEval", 0.11, ALIGN_RIGHT, false, false},
                                         {"Source", 0.41, ALIGN_LEFT, false, false}};
    struct doc *d = p->doc;
    const cJSON *r;
    if (!report_len(rows)) return;
    doc_full(d);
    report_part(p, "Published scores of other models");
    doc_frame_begin(d, DOC_TINT, true);
    const struct span spans[] = {
        {.text = all_official(scores) ? "Other protocols. " : "Not comparable. ", .bold = true},
        {.text = all_official(scores)
                     ? "These figures come from their publishers, with their own prompts and "
                       "numbers of examples. A difference of a few points says nothing."
                     : "The scores above were measured on sets that are not the official ones; "
                       "these figures were. They show how strong larger models are, not how far "
                       "away yours is. Never print one beside the other."}};
    doc_spans(d, &(struct para){.style = ST_BODY}, spans, 2);
    doc_frame_end(d);
    doc_caption(d, "Table", "Published by others, in percent; none of it was measured here.");
    doc_table_compact(d);
    doc_table_begin(d, cols, 5);
    cJSON_ArrayForEach(r, rows)
    {
        const char *key[] = {"mmlu", "gsm8k", "humaneval"}, *text[3];
        for (int i = 0; i < 3; i++)
            text[i] = cJSON_IsNumber(report_get(r, key[i]))
                          ? report_fixed(p, report_num(r, key[i]), 1)
                          : "\xe2\x80\x93";
        const struct cell cells[] = {{.text = report_str(r, "model")},
                                     {.text = text[0]},
                                     {.text = text[1]},
                                     {.text = text[2]},
                                     {.text = report_str(r, "source")}};
        doc_table_row(d, cells);
    }
    doc_table_end(d);
}

void report_evidence(struct plan *p)
{
    const cJSON *evidence = report_get(p->json, "evidence"),
                *scores = report_get(evidence, "scores");
    if (!evidence) return;
    report_chapter(p, "", "Your evidence", "evidence",
                   "What the model scored here, and what that does and does not say.");
    report_paragraphs(p, &(struct para){.style = ST_BODY, .side = "In words"},
                      report_get(evidence, "paragraphs"));
    if (report_len(scores)) {
        scores_chart(p, scores);
        scores_table(p, scores);
    }
    failures(p, report_get(evidence, "failures"));
    published(p, report_get(evidence, "published"), scores);
    doc_main(p->doc);
}
