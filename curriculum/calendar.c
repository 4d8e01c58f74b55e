// The plan's "schedule": the slots of schedule.c as weeks and sessions with titles and dates.
#include "curriculum/parts.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static void slot_title(const struct build *b, const struct slot *s, char *out, size_t room)
{
    const char *section = s->section ? json_string_or(b->section[s->section - 1], "title", "") : "";
    switch (s->kind) {
    case SLOT_STUDY: snprintf(out, room, "Study: %s", section); break;
    case SLOT_LAB: snprintf(out, room, "Lab: %s", section); break;
    case SLOT_PROJECT: snprintf(out, room, "Project and reading: %s", section); break;
    case SLOT_BUFFER: snprintf(out, room, "Buffer: catch up, or stop early"); break;
    case SLOT_REVIEW:
        if (s->section)
            snprintf(out, room, "Review from memory: section %d, %s", s->section, section);
        else
            snprintf(out, room, "Warm-up: write down your predictions before reading");
        break;
    }
}

static void add_slot(struct build *b, cJSON *sessions, const struct slot *s, long start)
{
    static const char *const kinds[] = {"study", "lab", "lab", "review", "buffer"};
    char title[200], date[11];
    cJSON *o = add_object(b, sessions);
    put_str(b, o, "kind", kinds[s->kind]);
    if (s->section) put_num(b, o, "section", s->section);
    put_num(b, o, "minutes", s->minutes);
    slot_title(b, s, title, sizeof title);
    put_str(b, o, "title", title);
    put_num(b, o, "sitting", s->sitting);
    put_num(b, o, "day", s->day);
    if (start < 0) return;
    learner_day_to_date(start + (s->week - 1) * 7 + s->day - 1, date);
    put_str(b, o, "date", date);
}

void part_schedule(struct build *b, cJSON *plan, const struct section_time *times)
{
    const struct learner *l = b->learner;
    struct slot *slots = NULL;
    int n = 0, week = 0;
    long start = -1;
    cJSON *weeks = put_array(b, plan, "schedule"), *sessions = NULL;
    if (l->start_date[0]) (void)learner_date_to_day(l->start_date, &start);
    if (!b->failed &&
        !schedule_make(l->minutes_per_week, l->weeks, times, N_SECTIONS, &slots, &n, b->e))
        b->failed = true;
    for (int i = 0; i < n && !b->failed; i++) {
        if (slots[i].week != week) {
            char date[11];
            cJSON *o = add_object(b, weeks);
            week = slots[i].week;
            put_num(b, o, "week", week);
            put_num(b, o, "minutes", l->minutes_per_week);
            if (start >= 0) {
                learner_day_to_date(start + (week - 1) * 7, date);
                put_str(b, o, "date", date);
            }
            sessions = put_array(b, o, "sessions");
        }
        add_slot(b, sessions, &slots[i], start);
    }
    free(slots);
}
