// Time: how the learner's minutes are divided, and when each is spent. Pure arithmetic on whole
// minutes, so that everything adds up exactly:
//   total = minutes_per_week x weeks = sections + reviews + buffer
//   buffer = 10 % and reviews = 17 % of the total, rounded to the minute; each week gets its share
//   by rounding the running sums, so no error builds up.
#ifndef LECTERN_CURRICULUM_SCHEDULE_H
#define LECTERN_CURRICULUM_SCHEDULE_H

#include "base/err.h"

#include <stdbool.h>

#define SCHEDULE_BUFFER_PERCENT 10
#define SCHEDULE_REVIEW_PERCENT 17
#define SITTING_MIN 25
#define SITTING_MAX 50

struct time_split {
    int total, sections, reviews, buffer; // minutes
};

struct time_split schedule_split(int minutes_per_week, int weeks);

// Divides `total` over n parts by weight (>= 0, one positive), whole minutes, exact, each part at
// least `least` (n * least <= total). cap[i] > 0 bounds part i as long as an unbounded part exists.
// Largest remainder first; equal remainders go to the earlier part.
void schedule_divide(int total, int n, const double *weight, const int *cap, int least, int *out);

enum slot_kind { SLOT_STUDY, SLOT_LAB, SLOT_PROJECT, SLOT_REVIEW, SLOT_BUFFER };

struct slot {
    int week, sitting, day; // from 1; sitting counts within the week; day 1..7 of the week
    enum slot_kind kind;
    int section; // 1..9; 0: buffer, or a review before anything was studied
    int minutes;
};

struct section_time {
    int study, lab, project; // minutes; spent in this order
};

// Fills *out (caller frees): sections in order, each sitting beginning with its share of review.
// A review goes to the finished section that is longest overdue at +2, +7, +21 days, else to the
// one studied last.
bool schedule_make(int minutes_per_week, int weeks, const struct section_time *sections,
                   int n_sections, struct slot **out, int *n_out, struct err *e);

#endif
