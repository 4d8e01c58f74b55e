// The learner: who the plan is for. learner.json version 1, see README.md.
#ifndef LECTERN_CURRICULUM_LEARNER_H
#define LECTERN_CURRICULUM_LEARNER_H

#include "base/err.h"

#include <cjson/cJSON.h>

#define LEARNER_INTERESTS 8

// Orders and names are part of learner.json.
enum learner_level { LEVEL_BEGINNER, LEVEL_INTERMEDIATE, LEVEL_ADVANCED, N_LEVELS };
enum learner_goal {
    GOAL_CHAT,
    GOAL_RAG,
    GOAL_AGENT,
    GOAL_CODING,
    GOAL_FINETUNE,
    GOAL_EVALUATE,
    GOAL_TEACH,
    N_GOALS
};

struct learner {
    char name[64]; // empty: no name given
    enum learner_level level;
    enum learner_goal goal;
    int minutes_per_week; // 60 to 2400, a multiple of 15
    int weeks;            // 1 to 52
    char interests[LEARNER_INTERESTS][48];
    int n_interests;
    char start_date[11]; // YYYY-MM-DD, or empty: the plan counts weeks and days
};

const char *learner_level_name(enum learner_level level); // "beginner"
const char *learner_goal_name(enum learner_goal goal);    // "chat"

// Beginner, chat, 4 hours a week for 6 weeks, nothing else known.
void learner_default(struct learner *l);

// Setters used by the JSON reader and by the flags; `what` names the source in the sentence.
bool learner_set_level(struct learner *l, const char *text, const char *what, struct err *e);
bool learner_set_goal(struct learner *l, const char *text, const char *what, struct err *e);
bool learner_set_hours(struct learner *l, double hours, const char *what, struct err *e);
bool learner_set_weeks(struct learner *l, double weeks, const char *what, struct err *e);
bool learner_set_name(struct learner *l, const char *text, const char *what, struct err *e);
bool learner_set_start(struct learner *l, const char *text, const char *what, struct err *e);
bool learner_add_interest(struct learner *l, const char *text, const char *what, struct err *e);
// "history, chess": replaces the list.
bool learner_set_interests(struct learner *l, const char *list, const char *what, struct err *e);

// Reads a parsed learner.json over the defaults; unknown members are errors (a misspelt
// "hours" must not be silently ignored).
bool learner_parse(const cJSON *json, const char *where, struct learner *l, struct err *e);
bool learner_load(const char *path, struct learner *l, struct err *e);

// Caller frees with cJSON_Delete; NULL when memory is exhausted.
cJSON *learner_json(const struct learner *l);

// Day number of the Gregorian date since 1970-01-01, and back; for the schedule.
bool learner_date_to_day(const char *text, long *day);
void learner_day_to_date(long day, char out[11]);

#endif
