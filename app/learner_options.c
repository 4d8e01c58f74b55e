#include "app/learner_options.h"
#include "app/app.h"

bool learner_option(struct learner_options *o, int c, const char *arg)
{
    if (c < OPT_LEARNER || c >= OPT_LEARNER_END) return false;
    o->value[c - OPT_LEARNER] = arg;
    return true;
}

static const char *given(const struct learner_options *o, int c)
{
    return o->value[c - OPT_LEARNER];
}

bool learner_options_apply(const struct learner_options *o, struct learner *l, struct err *e)
{
    const char *file = given(o, OPT_LEARNER), *hours = given(o, OPT_HOURS);
    const char *weeks = given(o, OPT_WEEKS), *level = given(o, OPT_LEVEL);
    const char *goal = given(o, OPT_GOAL), *interests = given(o, OPT_INTERESTS);
    const char *name = given(o, OPT_NAME), *start = given(o, OPT_START);
    double number;
    if (file && !learner_load(file, l, e)) return false;
    if (hours && (!app_parse_f64("--hours", hours, 1, 40, &number, e) ||
                  !learner_set_hours(l, number, "--hours", e)))
        return false;
    if (weeks && (!app_parse_f64("--weeks", weeks, 1, 52, &number, e) ||
                  !learner_set_weeks(l, number, "--weeks", e)))
        return false;
    return (!level || learner_set_level(l, level, "--level", e)) &&
           (!goal || learner_set_goal(l, goal, "--goal", e)) &&
           (!interests || learner_set_interests(l, interests, "--interests", e)) &&
           (!name || learner_set_name(l, name, "--name", e)) &&
           (!start || learner_set_start(l, start, "--start", e));
}
