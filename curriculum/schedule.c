#include "curriculum/schedule.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

// percent of the first n weeks, rounded half up.
static int share(int minutes_per_week, int n, int percent)
{
    return (minutes_per_week * n * percent + 50) / 100;
}

struct time_split schedule_split(int minutes_per_week, int weeks)
{
    struct time_split t = {.total = minutes_per_week * weeks};
    t.buffer = share(minutes_per_week, weeks, SCHEDULE_BUFFER_PERCENT);
    t.reviews = share(minutes_per_week, weeks, SCHEDULE_REVIEW_PERCENT);
    t.sections = t.total - t.buffer - t.reviews;
    return t;
}

enum { MAX_PARTS = 64 };

// Largest remainder over the parts that are not fixed yet.
static void divide_free(int total, int n, const double *weight, const bool *fixed, int *out)
{
    double sum = 0, rest[MAX_PARTS];
    int given = 0;
    for (int i = 0; i < n; i++)
        if (!fixed[i]) sum += weight[i];
    for (int i = 0; i < n; i++) {
        rest[i] = -1e9;
        if (fixed[i]) continue;
        double exact = sum > 0 ? total * (weight[i] / sum) : 0;
        out[i] = (int)floor(exact);
        rest[i] = exact - out[i];
        given += out[i];
    }
    for (; given < total; given++) {
        int best = 0;
        for (int i = 1; i < n; i++)
            if (rest[i] > rest[best]) best = i;
        out[best]++;
        rest[best] -= 1; // comes again only after all others
    }
}

void schedule_divide(int total, int n, const double *weight, const int *cap, int least, int *out)
{
    bool fixed[MAX_PARTS] = {false};
    int n_free = n;
    assert(n > 0 && n <= MAX_PARTS && total >= n * least);
    for (bool again = true; again;) {
        again = false;
        int left = total;
        for (int i = 0; i < n; i++)
            if (fixed[i]) left -= out[i];
        divide_free(left, n, weight, fixed, out);
        for (int i = 0; i < n && !again; i++) { // one at a time: each changes the others
            bool low = !fixed[i] && out[i] < least;
            bool high = !fixed[i] && cap && cap[i] > 0 && out[i] > cap[i];
            if ((!low && !high) || n_free == 1) continue;
            out[i] = low ? least : cap[i];
            fixed[i] = again = true;
            n_free--;
        }
    }
}

struct cursor { // how much of the sections' time has been spent
    const struct section_time *sections;
    int n, section, part, used;
    int done_day[MAX_PARTS]; // day (from 0) on which section i was finished, -1: not yet
    int reviewed[MAX_PARTS]; // how many spaced reviews it has had
};

static int part_minutes(const struct section_time *t, int part)
{
    return part == 0 ? t->study : part == 1 ? t->lab : t->project;
}

static int review_section(struct cursor *c, int day)
{
    static const int gap[3] = {2, 7, 21};
    int best = -1, most = -1;
    for (int i = 0; i < c->n; i++) {
        if (c->done_day[i] < 0) continue;
        int due =
            c->done_day[i] + (c->reviewed[i] < 3 ? gap[c->reviewed[i]] : 21 * (c->reviewed[i] - 1));
        if (day - due > most) {
            most = day - due;
            best = i;
        }
    }
    if (best >= 0) {
        c->reviewed[best]++;
        return best + 1;
    }
    if (c->section == 0 && c->part == 0 && c->used == 0) return 0;
    return (c->section < c->n ? c->section : c->n - 1) + 1;
}

struct slots {
    struct slot *v;
    int n, cap;
};

static bool add_slot(struct slots *s, struct slot slot, struct err *e)
{
    if (slot.minutes == 0) return true;
    if (s->n == s->cap) {
        int cap = s->cap ? s->cap * 2 : 64;
        struct slot *grown = realloc(s->v, (size_t)cap * sizeof *grown);
        if (!grown) return err_nomem(e, "the schedule", (size_t)cap * sizeof *grown);
        s->v = grown;
        s->cap = cap;
    }
    s->v[s->n++] = slot;
    return true;
}

static bool spend(struct cursor *c, struct slots *s, struct slot at, int minutes, int day,
                  struct err *e)
{
    while (minutes > 0 && c->section < c->n) {
        int left = part_minutes(&c->sections[c->section], c->part) - c->used;
        int take = left < minutes ? left : minutes;
        at.kind = c->part == 0 ? SLOT_STUDY : c->part == 1 ? SLOT_LAB : SLOT_PROJECT;
        at.section = c->section + 1;
        at.minutes = take;
        if (!add_slot(s, at, e)) return false;
        minutes -= take;
        c->used += take;
        if (take < left) continue;
        c->used = 0;
        if (++c->part < 3) continue;
        c->part = 0;
        c->done_day[c->section++] = day;
    }
    return true;
}

static bool make_week(struct cursor *c, struct slots *s, int week, int minutes, int reviews,
                      int buffer, struct err *e)
{
    enum { MAX_SITTINGS = 64 };
    int k = (minutes + SITTING_MAX - 1) / SITTING_MAX, length[MAX_SITTINGS], review[MAX_SITTINGS];
    int spare[MAX_SITTINGS];
    double even[MAX_SITTINGS];
    assert(k <= MAX_SITTINGS);
    for (int i = 0; i < k; i++)
        even[i] = 1;
    schedule_divide(minutes, k, even, NULL, 0, length);
    schedule_divide(reviews, k, even, NULL, 0, review);
    for (int i = k - 1; i >= 0; i--) { // the buffer is the end of the week
        int room = length[i] - review[i];
        spare[i] = buffer < room ? buffer : room;
        buffer -= spare[i];
    }
    for (int i = 0; i < k; i++) {
        struct slot at = {.week = week, .sitting = i + 1, .day = i * 6 / k + 1};
        int day = (week - 1) * 7 + at.day - 1;
        struct slot rev = at, buf = at;
        rev.kind = SLOT_REVIEW;
        rev.minutes = review[i];
        rev.section = review_section(c, day);
        buf.kind = SLOT_BUFFER;
        buf.minutes = spare[i];
        if (!add_slot(s, rev, e) || !spend(c, s, at, length[i] - review[i] - spare[i], day, e) ||
            !add_slot(s, buf, e))
            return false;
    }
    return true;
}

bool schedule_make(int minutes_per_week, int weeks, const struct section_time *sections,
                   int n_sections, struct slot **out, int *n_out, struct err *e)
{
    struct cursor c = {.sections = sections, .n = n_sections};
    struct slots s = {0};
    for (int i = 0; i < n_sections; i++)
        c.done_day[i] = -1;
    for (int w = 1; w <= weeks; w++) {
        int reviews = share(minutes_per_week, w, SCHEDULE_REVIEW_PERCENT) -
                      share(minutes_per_week, w - 1, SCHEDULE_REVIEW_PERCENT);
        int buffer = share(minutes_per_week, w, SCHEDULE_BUFFER_PERCENT) -
                     share(minutes_per_week, w - 1, SCHEDULE_BUFFER_PERCENT);
        if (!make_week(&c, &s, w, minutes_per_week, reviews, buffer, e)) {
            free(s.v);
            return false;
        }
    }
    *out = s.v;
    *n_out = s.n;
    return true;
}
