// The parts of the plan's report; not for others.
#ifndef LECTERN_REPORTS_PLAN_PARTS_H
#define LECTERN_REPORTS_PLAN_PARTS_H

#include "base/json.h"
#include "reports/chart.h"
#include "reports/fonts.h"
#include "reports/layout.h"

struct plan {
    const cJSON *json; // borrowed, checked by plan_check
    const cJSON *sections;
    struct doc *doc;
    const struct font_set *fonts;
    struct err *e;
};

// Every member has the type that the reports rely on; the sentence names the member.
bool plan_check(const cJSON *plan, const char *name, struct err *e);

// Words. Members that are missing give "" and 0: plan_check has refused wrong types.
const char *plan_str(const cJSON *obj, const char *key);
double plan_num(const cJSON *obj, const char *key);
bool plan_has(const cJSON *obj, const char *key); // a string that is not empty
const cJSON *plan_get(const cJSON *obj, const char *key);
size_t plan_len(const cJSON *array);                      // 0 for NULL
const char *plan_minutes(struct plan *p, double minutes); // "1 h 30 min"
const char *plan_fixed(struct plan *p, double v, unsigned decimals);
const char *plan_date(struct plan *p, const char *iso); // "Mon 5 Jan 2026", else as it is
bool plan_parse_date(const char *iso, int *year, int *month, int *day);
const char *plan_weeks(struct plan *p, double section);   // "1, 2–4", "" when never
const char *plan_task_name(const char *task);             // "mmlu" to "MMLU"
const cJSON *plan_section(struct plan *p, double number); // NULL when there is none
void plan_paragraphs(struct plan *p, const struct para *para, const cJSON *strings);

// Starts a chapter on a new page: title, running header, outline, contents.
void plan_chapter(struct plan *p, const char *number, const char *title, const char *anchor,
                  const char *lead);
void plan_part(struct plan *p, const char *title); // a heading inside a chapter

void plan_cover(struct plan *p);
void plan_overview(struct plan *p);
void plan_machine(struct plan *p);
void plan_evidence(struct plan *p);
bool plan_schedule(struct plan *p);
bool plan_prerequisites(struct plan *p);
void plan_sections(struct plan *p);
void plan_milestones(struct plan *p);
void plan_answers(struct plan *p);
void plan_glossary(struct plan *p);
bool plan_resources(struct plan *p);
void plan_provenance(struct plan *p);

#endif
