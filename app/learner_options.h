// Options that say who the learner is; `plan` and `study` take them.
#ifndef LECTERN_LEARNER_OPTIONS_H
#define LECTERN_LEARNER_OPTIONS_H

#include "curriculum/learner.h"

#include <getopt.h>

enum { // apart from every other option's numbers
    OPT_LEARNER = 512,
    OPT_LEVEL,
    OPT_GOAL,
    OPT_HOURS,
    OPT_WEEKS,
    OPT_INTERESTS,
    OPT_NAME,
    OPT_START,
    OPT_LEARNER_END
};

#define APP_LEARNER_OPTIONS                                                                        \
    {"learner", required_argument, NULL, OPT_LEARNER},                                             \
        {"level", required_argument, NULL, OPT_LEVEL},                                             \
        {"goal", required_argument, NULL, OPT_GOAL},                                               \
        {"hours", required_argument, NULL, OPT_HOURS},                                             \
        {"weeks", required_argument, NULL, OPT_WEEKS},                                             \
        {"interests", required_argument, NULL, OPT_INTERESTS},                                     \
        {"name", required_argument, NULL, OPT_NAME},                                               \
    {                                                                                              \
        "start", required_argument, NULL, OPT_START                                                \
    }

#define APP_LEARNER_HELP                                                                           \
    "  --learner FILE  learner.json to begin with; the options below change it\n"                  \
    "  --level LEVEL   beginner, intermediate, advanced (beginner)\n"                              \
    "  --goal GOAL     chat, rag, agent, coding, finetune, evaluate, teach (chat)\n"               \
    "  --hours H       hours a week, 1 to 40 in quarter hours (4)\n"                               \
    "  --weeks N       1 to 52 (6)\n"                                                              \
    "  --interests A,B up to 8, separated by commas\n"                                             \
    "  --name NAME     printed on the cover\n"                                                     \
    "  --start DATE    first day, YYYY-MM-DD\n"

struct learner_options { // borrowed from argv; NULL: not given
    const char *value[OPT_LEARNER_END - OPT_LEARNER];
};

// True when c is one of APP_LEARNER_OPTIONS, which is then kept.
bool learner_option(struct learner_options *o, int c, const char *arg);
// The file first, whatever the order on the command line, then the other options.
bool learner_options_apply(const struct learner_options *o, struct learner *l, struct err *e);

#endif
