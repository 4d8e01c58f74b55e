#include "curriculum/lint.h"
#include "base/json.h"
#include "curriculum/lint_parts.h"

#include <stdio.h>
#include <string.h>

static const cJSON *get(const cJSON *obj, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static int whole(const cJSON *obj, const char *key)
{
    return (int)json_number_or(obj, key, -1);
}

static bool lint_time(const cJSON *plan, struct err *e)
{
    const cJSON *week, *s, *learner = get(plan, "learner");
    int spent[10] = {0}, reviews = 0, buffer = 0, sections = 0, total = 0, n_weeks = 0;
    int per_week = (int)(json_number_or(learner, "hours_per_week", 0) * 60 + 0.5);
    cJSON_ArrayForEach(week, get(plan, "schedule"))
    {
        int sum = 0, sitting = 0, sitting_sum = 0, number = whole(week, "week");
        if (number != ++n_weeks)
            return err_set(e, ERR_INTERNAL, "plan: week %d follows week %d", number, n_weeks - 1);
        cJSON_ArrayForEach(s, get(week, "sessions"))
        {
            const char *kind = json_string_or(s, "kind", "");
            int minutes = whole(s, "minutes"), section = whole(s, "section");
            bool work = !strcmp(kind, "study") || !strcmp(kind, "lab");
            if (minutes < 1 || (work && (section < 1 || section > 9)))
                return err_set(e, ERR_INTERNAL,
                               "plan: week %d has a session without minutes or "
                               "section",
                               number);
            if (work) spent[section] += minutes;
            if (!strcmp(kind, "review")) reviews += minutes;
            if (!strcmp(kind, "buffer")) buffer += minutes;
            sum += minutes;
            if (whole(s, "sitting") != sitting) sitting_sum = 0;
            sitting = whole(s, "sitting");
            sitting_sum += minutes;
            bool last = !s->next || whole(s->next, "sitting") != sitting;
            if (last && (sitting_sum < 25 || sitting_sum > 50))
                return err_set(e, ERR_INTERNAL,
                               "plan: week %d, sitting %d has %d minutes, not 25 "
                               "to 50",
                               number, sitting, sitting_sum);
        }
        if (sum != per_week || whole(week, "minutes") != per_week)
            return err_set(e, ERR_INTERNAL, "plan: week %d has %d minutes, the learner has %d",
                           number, sum, per_week);
        total += sum;
    }
    cJSON_ArrayForEach(s, get(plan, "sections"))
    {
        int number = whole(s, "number"), minutes = whole(s, "minutes");
        if (number < 1 || number > 9 || minutes != spent[number])
            return err_set(e, ERR_INTERNAL,
                           "plan: section %d says %d minutes, its sessions have "
                           "%d",
                           number, minutes, number >= 1 && number <= 9 ? spent[number] : 0);
        sections += minutes;
    }
    if (n_weeks != whole(learner, "weeks") || sections + reviews + buffer != total ||
        total != per_week * n_weeks)
        return err_set(e, ERR_INTERNAL,
                       "plan: %d weeks and %d + %d + %d minutes do not add up to "
                       "the learner's time",
                       n_weeks, sections, reviews, buffer);
    return true;
}

// First and last session of a section, counted over the whole schedule; -1 without one.
static void span(const cJSON *plan, int section, int *first, int *last)
{
    const cJSON *week, *s;
    int at = 0;
    *first = *last = -1;
    cJSON_ArrayForEach(week, get(plan, "schedule")) cJSON_ArrayForEach(s, get(week, "sessions"))
    {
        const char *kind = json_string_or(s, "kind", "");
        at++;
        if (whole(s, "section") != section) continue;
        if (strcmp(kind, "study") != 0 && strcmp(kind, "lab") != 0) continue;
        if (*first < 0) *first = at;
        *last = at;
    }
}

static bool lint_order(const cJSON *plan, struct err *e)
{
    const cJSON *s, *p, *n;
    int expected = 0, first, last, need_first, need_last;
    cJSON_ArrayForEach(s, get(plan, "sections"))
    {
        if (whole(s, "number") != ++expected)
            return err_set(e, ERR_INTERNAL, "plan: section %d stands where %d must be",
                           whole(s, "number"), expected);
    }
    if (expected != 9)
        return err_set(e, ERR_INTERNAL, "plan: there are %d sections, not 9", expected);
    cJSON_ArrayForEach(p, get(plan, "prerequisites")) cJSON_ArrayForEach(n, get(p, "needs"))
    {
        span(plan, whole(p, "section"), &first, &last);
        span(plan, n->valueint, &need_first, &need_last);
        if (need_last < 0 || first < need_last)
            return err_set(e, ERR_INTERNAL,
                           "plan: section %d begins before section %d, which it "
                           "needs, is finished",
                           whole(p, "section"), n->valueint);
    }
    return true;
}

static bool lint_objectives(const cJSON *s, struct err *e)
{
    const cJSON *o;
    int section = whole(s, "number"), n_checks = cJSON_GetArraySize(get(s, "checks"));
    int n = cJSON_GetArraySize(get(s, "objectives"));
    if (n < 3 || n > 5)
        return err_set(e, ERR_INTERNAL, "plan: section %d has %d objectives, not 3 to 5", section,
                       n);
    cJSON_ArrayForEach(o, get(s, "objectives"))
    {
        const char *text = json_string_or(o, "text", "");
        int check = whole(o, "check");
        if (!lint_verb(text, json_string_or(o, "bloom", ""), e))
            return err_prefix(e, "plan: section %d", section);
        if (!json_string_or(o, "criterion", "")[0])
            return err_set(e, ERR_INTERNAL, "plan: section %d: \"%.60s\" has no criterion", section,
                           text);
        if (check < 1 || check > n_checks)
            return err_set(e, ERR_INTERNAL, "plan: section %d: \"%.60s\" names check %d of %d",
                           section, text, check, n_checks);
    }
    return true;
}

static bool lint_checks(const cJSON *s, struct err *e)
{
    static const char *const keys[] = {"question", "answer", "why"};
    const cJSON *c;
    int section = whole(s, "number"), n = cJSON_GetArraySize(get(s, "checks")), i = 0;
    if (n < 4 || n > 6)
        return err_set(e, ERR_INTERNAL, "plan: section %d has %d checks, not 4 to 6", section, n);
    cJSON_ArrayForEach(c, get(s, "checks"))
    {
        if (whole(c, "number") != ++i)
            return err_set(e, ERR_INTERNAL, "plan: section %d: check %d is out of order", section,
                           i);
        for (int k = 0; k < 3; k++)
            if (!json_string_or(c, keys[k], "")[0])
                return err_set(e, ERR_INTERNAL, "plan: section %d: check %d has no %s", section, i,
                               keys[k]);
    }
    return true;
}

static bool lint_resources(const cJSON *s, const cJSON *table, struct err *e)
{
    const cJSON *r, *t, *n;
    int section = whole(s, "number");
    if (cJSON_GetArraySize(get(s, "resources")) < 1)
        return err_set(e, ERR_INTERNAL, "plan: section %d has no resource", section);
    cJSON_ArrayForEach(r, get(s, "resources"))
    {
        bool found = false;
        cJSON_ArrayForEach(t, table)
        {
            if (whole(t, "id") != whole(r, "id")) continue;
            bool here = false;
            cJSON_ArrayForEach(n, get(t, "sections"))
            {
                here = here || n->valueint == section;
            }
            found = here && !strcmp(json_string_or(t, "url", "?"), json_string_or(r, "url", ""));
        }
        if (!found)
            return err_set(e, ERR_INTERNAL,
                           "plan: section %d: resource %d is not one of this "
                           "section in resources.json",
                           section, whole(r, "id"));
    }
    return true;
}

static bool lint_lab(const cJSON *s, const cJSON *plan, struct err *e)
{
    const cJSON *step, *lab = get(s, "lab");
    int section = whole(s, "number");
    if (cJSON_GetArraySize(get(lab, "steps")) < 1 || !json_string_or(lab, "expect", "")[0] ||
        !json_string_or(lab, "if_it_fails", "")[0])
        return err_set(e, ERR_INTERNAL,
                       "plan: section %d: the lab needs steps, what to expect and "
                       "what to do if it fails",
                       section);
    if (whole(lab, "minutes") < 0 || whole(lab, "minutes") > whole(s, "minutes"))
        return err_set(e, ERR_INTERNAL, "plan: section %d: the lab is longer than the section",
                       section);
    cJSON_ArrayForEach(step, get(lab, "steps"))
    {
        const char *command = json_string_or(step, "command", NULL);
        if (!command || lint_command(command, json_bool_or(step, "optional", false), plan, e))
            continue;
        return err_prefix(e, "plan: section %d", section);
    }
    return true;
}

static bool lint_sections(const cJSON *plan, const cJSON *table, struct err *e)
{
    static const char *const texts[] = {"title",       "why",        "prediction",
                                        "deliverable", "reflection", "next"};
    const cJSON *s, *p;
    cJSON_ArrayForEach(s, get(plan, "sections"))
    {
        int section = whole(s, "number");
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            if (!json_string_or(s, texts[i], "")[0])
                return err_set(e, ERR_INTERNAL, "plan: section %d has no %s", section, texts[i]);
        cJSON_ArrayForEach(p, get(s, "points"))
        {
            if (cJSON_GetArraySize(get(p, "paragraphs")) < 1)
                return err_set(e, ERR_INTERNAL, "plan: section %d: point \"%s\" has no text",
                               section, json_string_or(p, "title", ""));
        }
        if (!lint_checks(s, e) || !lint_objectives(s, e) || !lint_resources(s, table, e) ||
            !lint_lab(s, plan, e))
            return false;
    }
    return true;
}

// Scores: a real interval, own sets called what they are, chance said in the evidence's words.
static bool lint_scores(const cJSON *plan, struct err *e)
{
    const cJSON *s, *p, *ev = get(plan, "evidence");
    bool chance = false, said_chance = false, own = false, said_own = false;
    cJSON_ArrayForEach(s, get(ev, "scores"))
    {
        const char *label = json_string_or(s, "label", "?");
        double v = json_number_or(s, "score", -1), low = json_number_or(s, "low", -1),
               high = json_number_or(s, "high", -1), c = json_number_or(s, "chance", 0);
        if (!(low >= 0 && low <= v + 1e-6 && v <= high + 1e-6 && high <= 1 && whole(s, "n") >= 1))
            return err_set(e, ERR_INTERNAL, "plan: the score of %s has no interval around it",
                           label);
        bool comparable = !strcmp(json_string_or(s, "set", ""), "official");
        if (!comparable && !strstr(json_string_or(s, "note", ""), "not comparable"))
            return err_set(e, ERR_INTERNAL,
                           "plan: %s is a score on an own set and must say that "
                           "it is not comparable with published ones",
                           label);
        own = own || !comparable;
        chance = chance || (c > 0 && low <= c && c <= high);
    }
    cJSON_ArrayForEach(p, get(ev, "paragraphs"))
    {
        const char *text = cJSON_IsString(p) ? p->valuestring : "";
        said_chance = said_chance || strstr(text, "chance");
        said_own = said_own || strstr(text, "not comparable");
    }
    if (chance && !said_chance)
        return err_set(e, ERR_INTERNAL,
                       "plan: a score is at chance and the evidence does not say "
                       "so");
    if (own && !said_own)
        return err_set(e, ERR_INTERNAL,
                       "plan: own scores stand beside published ones without the "
                       "words that they are not comparable");
    cJSON_ArrayForEach(p, get(ev, "published"))
    {
        if (!json_string_or(p, "source", "")[0])
            return err_set(e, ERR_INTERNAL, "plan: the published scores of %s have no source",
                           json_string_or(p, "model", "?"));
    }
    return true;
}

static bool one_of(const char *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(word, list[i])) return true;
    return false;
}

static bool lint_machine(const cJSON *plan, struct err *e)
{
    static const char *const verdicts[] = {"fits", "fits with less context", "streamed",
                                           "larger than memory"};
    static const char *const bases[] = {"measured",  "exact",    "modelled",
                                        "published", "reported", "not measured"};
    const cJSON *r, *m = get(plan, "machine");
    cJSON_ArrayForEach(r, get(m, "table"))
    {
        if (!one_of(json_string_or(r, "verdict", ""), verdicts, 4))
            return err_set(e, ERR_INTERNAL, "plan: %s has no verdict in words",
                           json_string_or(r, "model", "a model"));
        if (!one_of(json_string_or(r, "basis", ""), bases, 6))
            return err_set(e, ERR_INTERNAL, "plan: the speed of %s has no basis",
                           json_string_or(r, "model", "a model"));
    }
    cJSON_ArrayForEach(r, get(m, "measured"))
    {
        if (!one_of(json_string_or(r, "basis", ""), bases, 6))
            return err_set(e, ERR_INTERNAL, "plan: \"%s\" has no basis",
                           json_string_or(r, "label", ""));
    }
    return true;
}

static bool lint_rules(const cJSON *plan, struct err *e)
{
    const cJSON *r;
    cJSON_ArrayForEach(r, get(plan, "rules"))
    {
        if (!json_string_or(r, "id", "")[0] || !json_string_or(r, "because", "")[0] ||
            !json_string_or(r, "effect", "")[0])
            return err_set(e, ERR_INTERNAL, "plan: rule \"%s\" lacks an id, a reason or an effect",
                           json_string_or(r, "id", ""));
    }
    return true;
}

bool lint_plan(const cJSON *plan, const cJSON *resources, struct err *e)
{
    const cJSON *table = get(resources, "resources");
    const char *command = json_string_or(get(plan, "first_step"), "command", "");
    if (!json_version(plan, 1, "plan", e)) return false;
    return lint_order(plan, e) && lint_time(plan, e) && lint_sections(plan, table, e) &&
           lint_machine(plan, e) && lint_scores(plan, e) && lint_rules(plan, e) &&
           lint_command(command, false, plan, e) && lint_texts(plan, table, e);
}
