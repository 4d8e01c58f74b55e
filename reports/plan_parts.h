// The parts of the plan's report; not for others.
#ifndef LECTERN_REPORTS_PLAN_PARTS_H
#define LECTERN_REPORTS_PLAN_PARTS_H

#include "base/json.h"
#include "reports/chart.h"
#include "reports/fonts.h"
#include "reports/layout.h"

struct plan {
    const cJSON *json; // borrowed, checked by report_check
    const cJSON *sections;
    struct doc *doc;
    const struct font_set *fonts;
    struct err *e;
};

// Every member has the type that the reports rely on; the sentence names the member.
bool report_check(const cJSON *plan, const char *name, struct err *e);

// Words. Members that are missing give "" and 0: report_check has refused wrong types.
const char *report_str(const cJSON *obj, const char *key);
double report_num(const cJSON *obj, const char *key);
bool report_has(const cJSON *obj, const char *key); // a string that is not empty
const cJSON *report_get(const cJSON *obj, const char *key);
size_t report_len(const cJSON *array);                      // 0 for NULL
const char *report_minutes(struct plan *p, double minutes); // "1 h 30 min"
const char *report_fixed(struct plan *p, double v, unsigned decimals);
const char *report_date(struct plan *p, const char *iso); // "Mon 5 Jan 2026", else as it is
const char *report_day(struct plan *p, const char *iso);  // the same without the year
bool report_parse_date(const char *iso, int *year, int *month, int *day);
const char *report_weeks(struct plan *p, double section);   // "1, 2–4", "" when never
const char *report_task_name(const char *task);             // "mmlu" to "MMLU"
const cJSON *report_section(struct plan *p, double number); // NULL when there is none
void report_paragraphs(struct plan *p, const struct para *para, const cJSON *strings);

// Starts a chapter on a new page: title, running header, outline, contents.
void report_chapter(struct plan *p, const char *number, const char *title, const char *anchor,
                    const char *lead);
// The same, but on the page where the last one ended, if a good part of it is free.
void report_chapter_flow(struct plan *p, const char *title, const char *anchor, const char *lead);
void report_part(struct plan *p, const char *title); // a heading inside a chapter

void report_cover(struct plan *p);
void report_overview(struct plan *p);
void report_machine(struct plan *p);
void report_evidence(struct plan *p);
bool report_schedule(struct plan *p);
bool report_prerequisites(struct plan *p);
void report_sections(struct plan *p);
void report_milestones(struct plan *p);
void report_answers(struct plan *p);
void report_glossary(struct plan *p);
bool report_resources(struct plan *p);
void report_provenance(struct plan *p);

#endif
