// plan.json to plan.pdf: the order of the parts.
#include "reports/plan_report.h"

#include "reports/plan_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Days since 1970-01-01 to a date of the proleptic Gregorian calendar, by counting years.
static void civil(long long days, int *year, int *month, int *day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    *year = 1970;
    for (;; (*year)++) {
        bool leap = (*year % 4 == 0 && *year % 100) || *year % 400 == 0;
        if (days < 365 + leap) {
            for (*month = 1;; (*month)++) {
                int n = lengths[*month - 1] + (*month == 2 && leap);
                if (days < n) break;
                days -= n;
            }
            *day = (int)days + 1;
            return;
        }
        days -= 365 + leap;
    }
}

static void creation_date(const cJSON *plan, struct pdf_info *info)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end;
    if (epoch && epoch[0]) {
        errno = 0;
        long long s = strtoll(epoch, &end, 10);
        if (!errno && !*end && s >= 0 && s < 253402300800LL) { // up to the year 9999
            civil(s / 86400, &info->year, &info->month, &info->day);
            return;
        }
    }
    const char *start = report_str(report_get(plan, "learner"), "start_date");
    const cJSON *schedule = report_get(plan, "schedule");
    if (!start[0] && schedule) start = report_str(schedule->child, "date");
    if (!report_parse_date(start, &info->year, &info->month, &info->day)) info->year = 0;
}

// Made last, when the chapters are known, and moved to its place behind the cover.
static void contents(struct plan *p, size_t place)
{
    struct doc *d = p->doc;
    size_t from = doc_mark_items(d), n = doc_n_chapters(d);
    doc_page_break(d);
    doc_mark(d, "Contents");
    doc_anchor(d, "contents");
    doc_full(d);
    doc_box_begin(d, 0, 48);
    doc_draw_rect(d, 0, 0, 32, 3, DOC_ACCENT);
    doc_draw_text(d, FONT_BOLD, 22, DOC_INK, 0, 34, ALIGN_LEFT, 0, "Contents");
    doc_box_end(d);
    doc_keep(d);
    doc_column(d, 0, 430);
    for (size_t i = 0; i < n; i++)
        doc_contents_line(d, i);
    doc_move(d, from, place);
}

static bool build(struct plan *p)
{
    const cJSON *learner = report_get(p->json, "learner");
    const char *name = report_str(learner, "name");
    const char *tool = report_str(report_get(p->json, "provenance"), "tool");
    bool named = name[0] && !strstr(report_str(p->json, "title"), name);
    doc_footer(p->doc,
               doc_printf(p->doc, "%s%s%s%s%s", report_str(p->json, "title"), named ? " for " : "",
                          named ? name : "", tool[0] ? "  \xc2\xb7  " : "", tool));
    report_cover(p);
    size_t place = doc_mark_items(p->doc);
    report_overview(p);
    report_machine(p);
    report_evidence(p);
    if (!report_schedule(p) || !report_prerequisites(p)) return false;
    report_sections(p);
    report_milestones(p);
    report_answers(p);
    report_glossary(p);
    if (!report_resources(p)) return false;
    report_provenance(p);
    contents(p, place);
    return true;
}

bool report_write(const cJSON *json, const char *out_path, const struct report_params *params,
                  struct err *e)
{
    const char *name = params->name ? params->name : "plan.json";
    struct font_set *fonts = NULL;
    struct pdf *pdf = NULL;
    struct doc *doc = NULL;
    size_t n_pages;
    bool ok = false;
    if (!report_check(json, name, e)) return false;
    fonts = malloc(sizeof *fonts);
    if (!fonts) return err_nomem(e, "font paths", sizeof *fonts);
    struct pdf_info info = {.title = report_str(json, "title"),
                            .author = report_str(report_get(json, "learner"), "name"),
                            .subject = "A learning plan for the Llama family, made from measured "
                                       "scores, the machine and the learner's goal",
                            .creator = report_str(report_get(json, "provenance"), "tool"),
                            .lang = "en"};
    creation_date(json, &info);
    if (!fonts_find(params->font_dir, fonts, e)) goto done;
    if (!pdf_create(&pdf, fonts, &info, e) || !doc_create(&doc, pdf, e)) goto done;
    struct plan plan = {
        .json = json, .sections = report_get(json, "sections"), .doc = doc, .fonts = fonts, .e = e};
    ok = build(&plan) && doc_finish(doc, params->strict, &n_pages, e) && pdf_save(pdf, out_path, e);
done:
    doc_destroy(doc);
    pdf_destroy(pdf);
    free(fonts);
    return ok;
}
