// Values of plan.json in words.
#include "reports/plan_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const cJSON *report_get(const cJSON *obj, const char *key)
{
    return obj ? cJSON_GetObjectItemCaseSensitive(obj, key) : NULL;
}

const char *report_str(const cJSON *obj, const char *key)
{
    const cJSON *v = report_get(obj, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

double report_num(const cJSON *obj, const char *key)
{
    const cJSON *v = report_get(obj, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

bool report_has(const cJSON *obj, const char *key)
{
    return report_str(obj, key)[0] != '\0';
}

size_t report_len(const cJSON *array)
{
    return array ? (size_t)cJSON_GetArraySize(array) : 0;
}

const char *report_minutes(struct plan *p, double minutes)
{
    long m = lround(minutes);
    if (m < 60) return doc_printf(p->doc, "%ld min", m);
    if (m % 60 == 0) return doc_printf(p->doc, "%ld h", m / 60);
    return doc_printf(p->doc, "%ld h %ld min", m / 60, m % 60);
}

const char *report_fixed(struct plan *p, double v, unsigned decimals)
{
    char buf[48];
    return doc_printf(p->doc, "%s", chart_fixed(v, decimals, buf, sizeof buf));
}

bool report_parse_date(const char *iso, int *year, int *month, int *day)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    char end;
    if (strlen(iso) != 10 || sscanf(iso, "%4d-%2d-%2d%c", year, month, day, &end) != 3)
        return false;
    return *year >= 1970 && *month >= 1 && *month <= 12 && *day >= 1 && *day <= days[*month - 1];
}

const char *report_date(struct plan *p, const char *iso)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static const char *const week[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const int shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4}; // Sakamoto's weekday formula
    int y, m, d;
    if (!report_parse_date(iso, &y, &m, &d)) return iso;
    int s = m < 3 ? y - 1 : y;
    int w = (s + s / 4 - s / 100 + s / 400 + shift[m - 1] + d) % 7;
    return doc_printf(p->doc, "%s %d %s %d", week[w], d, names[m - 1], y);
}

const char *report_day(struct plan *p, const char *iso)
{
    const char *date = report_date(p, iso);
    size_t n = strlen(date);
    return date == iso || n < 5 ? date : doc_printf(p->doc, "%.*s", (int)(n - 5), date);
}

static bool week_has(const cJSON *week, double section)
{
    const cJSON *s;
    cJSON_ArrayForEach(s, report_get(week, "sessions"))
    {
        const char *kind = report_str(s, "kind");
        if (report_num(s, "section") == section && strcmp(kind, "review") && strcmp(kind, "buffer"))
            return true;
    }
    return false;
}

const char *report_weeks(struct plan *p, double section)
{
    const char *out = "";
    const cJSON *week;
    double from = -1, to = -1;
    cJSON_ArrayForEach(week, report_get(p->json, "schedule"))
    {
        double n = report_num(week, "week");
        bool has = week_has(week, section);
        if (has && from < 0) from = n;
        if (has) to = n;
        if (from < 0 || (has && week->next)) continue;
        out = from == to ? doc_printf(p->doc, "%s%s%.0f", out, out[0] ? ", " : "", from)
                         : doc_printf(p->doc, "%s%s%.0f\xe2\x80\x93%.0f", out, out[0] ? ", " : "",
                                      from, to);
        from = -1;
    }
    return out;
}

const char *report_task_name(const char *task)
{
    static const char *const names[][2] = {{"mmlu", "MMLU"},
                                           {"gsm8k", "GSM8K"},
                                           {"gsm8k_cot", "GSM8K (chain of thought)"},
                                           {"humaneval", "HumanEval"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(task, names[i][0])) return names[i][1];
    return task;
}

const cJSON *report_section(struct plan *p, double number)
{
    const cJSON *s;
    cJSON_ArrayForEach(s, p->sections)
    {
        if (report_num(s, "number") == number) return s;
    }
    return NULL;
}

void report_paragraphs(struct plan *p, const struct para *para, const cJSON *strings)
{
    const cJSON *s;
    struct para next = *para;
    cJSON_ArrayForEach(s, strings)
    {
        doc_text(p->doc, &next, s->valuestring);
        next.side = NULL; // the side label stands beside the first one only
        next.before = 0;
    }
}

void report_part(struct plan *p, const char *title)
{
    doc_outline(p->doc, 1, title);
    doc_text(p->doc, &(struct para){.style = ST_H2, .keep_next = true}, title);
}

static void chapter(struct plan *p, const char *number, const char *title, const char *anchor,
                    const char *lead)
{
    const struct doc_type *type = doc_type(ST_TITLE);
    const char *lines[4];
    struct doc *d = p->doc;
    const char *full = number[0] ? doc_printf(d, "%s  %s", number, title) : title;
    doc_mark(d, full);
    doc_outline(d, 0, full);
    doc_anchor(d, anchor);
    doc_chapter(d, number, title, anchor);
    doc_full(d);
    double x = number[0] ? DOC_SIDE : 0;
    size_t n = doc_fit(d, type->face, type->size, DOC_WIDTH - x, title, lines, 4);
    if (n == 0) lines[n++] = "";
    doc_box_begin(d, 0, (number[0] ? 20 : 14) + type->leading * (double)n);
    doc_draw_rect(d, 0, 0, 32, 3, DOC_ACCENT);
    if (number[0])
        doc_draw_text(d, FONT_BOLD, 32, DOC_ACCENT, 0, 38, ALIGN_LEFT, DOC_SIDE - 10, number);
    for (size_t i = 0; i < n; i++)
        doc_draw_text(d, type->face, type->size, type->color, x,
                      14 + type->leading * (double)i + 20, ALIGN_LEFT, 0, lines[i]);
    doc_box_end(d);
    doc_keep(d);
    doc_main(d);
    if (number[0]) {
        if (lead[0]) doc_text(d, &(struct para){.style = ST_LEAD, .keep_next = true}, lead);
    } else {
        doc_column(d, 0, 430);
        if (lead[0]) doc_text(d, &(struct para){.style = ST_LEAD, .keep_next = true}, lead);
    }
    doc_space(d, 8);
    doc_main(d);
}

void report_chapter(struct plan *p, const char *number, const char *title, const char *anchor,
                    const char *lead)
{
    doc_page_break(p->doc);
    chapter(p, number, title, anchor, lead);
}

void report_chapter_flow(struct plan *p, const char *title, const char *anchor, const char *lead)
{
    doc_space(p->doc, 34);
    doc_need(p->doc, 260);
    chapter(p, "", title, anchor, lead);
}
