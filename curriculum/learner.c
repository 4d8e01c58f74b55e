#include "curriculum/learner.h"
#include "base/json.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const level_names[N_LEVELS] = {"beginner", "intermediate", "advanced"};
static const char *const goal_names[N_GOALS] = {"chat",     "rag",      "agent", "coding",
                                                "finetune", "evaluate", "teach"};

const char *learner_level_name(enum learner_level level)
{
    return level_names[level];
}

const char *learner_goal_name(enum learner_goal goal)
{
    return goal_names[goal];
}

void learner_default(struct learner *l)
{
    *l = (struct learner){
        .level = LEVEL_BEGINNER, .goal = GOAL_CHAT, .minutes_per_week = 4 * 60, .weeks = 6};
}

static int find_name(const char *const *names, int n, const char *text)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], text)) return i;
    return -1;
}

bool learner_set_level(struct learner *l, const char *text, const char *what, struct err *e)
{
    int i = find_name(level_names, N_LEVELS, text);
    if (i < 0)
        return err_set(e, ERR_ARG, "%s must be beginner, intermediate or advanced, not '%.40s'",
                       what, text);
    l->level = (enum learner_level)i;
    return true;
}

bool learner_set_goal(struct learner *l, const char *text, const char *what, struct err *e)
{
    int i = find_name(goal_names, N_GOALS, text);
    if (i < 0)
        return err_set(e, ERR_ARG,
                       "%s must be chat, rag, agent, coding, finetune, evaluate or teach, "
                       "not '%.40s'",
                       what, text);
    l->goal = (enum learner_goal)i;
    return true;
}

bool learner_set_hours(struct learner *l, double hours, const char *what, struct err *e)
{
    double quarters = hours * 4;
    if (!(hours >= 1 && hours <= 40) || quarters != floor(quarters))
        return err_set(e, ERR_ARG, "%s must be 1 to 40 in quarter hours (like 2.5), not %g", what,
                       hours);
    l->minutes_per_week = (int)quarters * 15;
    return true;
}

bool learner_set_weeks(struct learner *l, double weeks, const char *what, struct err *e)
{
    if (!(weeks >= 1 && weeks <= 52) || weeks != floor(weeks))
        return err_set(e, ERR_ARG, "%s must be a whole number from 1 to 52, not %g", what, weeks);
    l->weeks = (int)weeks;
    return true;
}

// Words of the learner's appear in sentences of the plan: no markup, no controls, no links.
static bool plain_words(const char *text, size_t room, const char *what, struct err *e)
{
    size_t n = strlen(text);
    if (n >= room) return err_set(e, ERR_ARG, "%s is longer than %zu bytes", what, room - 1);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = utf8_decode(text + i, n - i, &cp);
        if (cp == 0xfffd || cp < 32 || (cp >= 127 && cp < 160))
            return err_set(e, ERR_ARG, "%s holds a control character or invalid UTF-8", what);
        if (cp == '`' || cp == '{' || cp == '}')
            return err_set(e, ERR_ARG, "%s may not hold backquotes or braces", what);
        i += len;
    }
    if (strstr(text, "://")) return err_set(e, ERR_ARG, "%s may not hold a link", what);
    return true;
}

bool learner_set_name(struct learner *l, const char *text, const char *what, struct err *e)
{
    if (!plain_words(text, sizeof l->name, what, e)) return false;
    snprintf(l->name, sizeof l->name, "%s", text);
    return true;
}

bool learner_add_interest(struct learner *l, const char *text, const char *what, struct err *e)
{
    if (l->n_interests == LEARNER_INTERESTS)
        return err_set(e, ERR_ARG, "%s has more than %d entries", what, LEARNER_INTERESTS);
    if (!text[0]) return err_set(e, ERR_ARG, "%s has an empty entry", what);
    if (!plain_words(text, sizeof l->interests[0], what, e)) return false;
    snprintf(l->interests[l->n_interests++], sizeof l->interests[0], "%s", text);
    return true;
}

bool learner_set_interests(struct learner *l, const char *list, const char *what, struct err *e)
{
    char word[sizeof l->interests[0] + 1];
    l->n_interests = 0;
    for (const char *p = list; *p;) {
        p += strspn(p, " ");
        size_t n = strcspn(p, ","), trimmed = n;
        while (trimmed && p[trimmed - 1] == ' ')
            trimmed--;
        if (trimmed >= sizeof word)
            return err_set(e, ERR_ARG, "%s has an entry longer than %zu bytes", what,
                           sizeof word - 2);
        memcpy(word, p, trimmed);
        word[trimmed] = '\0';
        if (!learner_add_interest(l, word, what, e)) return false;
        p += n;
        if (*p == ',') p++;
    }
    return true;
}

static bool leap(long y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(long y, int m)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[m - 1] + (m == 2 && leap(y));
}

// Days from 1970-01-01 to y-01-01 in the proleptic Gregorian calendar.
static long year_start(long y)
{
    long p = y - 1;
    return (y - 1970) * 365 + (p / 4 - p / 100 + p / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
}

bool learner_date_to_day(const char *text, long *day)
{
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-') return false;
    int v[3] = {0, 0, 0}, part = 0;
    for (int i = 0; i < 10; i++) {
        if (i == 4 || i == 7)
            part++;
        else if (text[i] < '0' || text[i] > '9')
            return false;
        else
            v[part] = v[part] * 10 + (text[i] - '0');
    }
    if (v[0] < 1970 || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > month_days(v[0], v[1]))
        return false;
    *day = year_start(v[0]) + v[2] - 1;
    for (int m = 1; m < v[1]; m++)
        *day += month_days(v[0], m);
    return true;
}

void learner_day_to_date(long day, char out[11])
{
    long y = 1970;
    int m = 1;
    while (year_start(y + 1) <= day)
        y++;
    day -= year_start(y);
    while (day >= month_days(y, m))
        day -= month_days(y, m++);
    unsigned yy = (unsigned)y % 10000u, dd = ((unsigned)day + 1u) % 100u; // bounds for gcc
    snprintf(out, 11, "%04u-%02u-%02u", yy, (unsigned)m % 100u, dd);
}

bool learner_set_start(struct learner *l, const char *text, const char *what, struct err *e)
{
    long day;
    if (text[0] && (!learner_date_to_day(text, &day) || strncmp(text, "9900", 4) > 0))
        return err_set(e, ERR_ARG, "%s must be a date like 2026-01-05, not '%.40s'", what, text);
    snprintf(l->start_date, sizeof l->start_date, "%s", text);
    return true;
}

static bool known_members(const cJSON *json, const char *where, struct err *e)
{
    static const char *const names[] = {"version", "name",           "level",     "goal",
                                        "weeks",   "hours_per_week", "interests", "start_date"};
    const cJSON *it;
    cJSON_ArrayForEach(it, json)
    {
        if (find_name(names, 8, it->string) < 0)
            return err_set(e, ERR_FORMAT, "%s: there is no member \"%.40s\" in learner.json", where,
                           it->string);
    }
    return true;
}

// A member that is left out or null keeps the default; another type is an error.
static bool optional_text(const cJSON *json, const char *key, const char **out, const char *where,
                          struct err *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(json, key);
    *out = NULL;
    if (!v || cJSON_IsNull(v)) return true;
    return json_string(json, key, out, where, e);
}

static bool optional_number(const cJSON *json, const char *key, double *out, const char *where,
                            struct err *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!v || cJSON_IsNull(v)) return true;
    return json_number(json, key, out, where, e);
}

static bool parse_interests(const cJSON *json, const char *where, struct learner *l, struct err *e)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "interests"), *it;
    if (!list || cJSON_IsNull(list)) return true;
    if (!cJSON_IsArray(list))
        return err_set(e, ERR_FORMAT, "%s: \"interests\" must be an array of strings", where);
    cJSON_ArrayForEach(it, list)
    {
        if (!cJSON_IsString(it))
            return err_set(e, ERR_FORMAT, "%s: \"interests\" must hold strings", where);
        if (!learner_add_interest(l, it->valuestring, "\"interests\"", e))
            return err_prefix(e, "%s", where);
    }
    return true;
}

bool learner_parse(const cJSON *json, const char *where, struct learner *l, struct err *e)
{
    const char *level, *goal, *name, *start;
    learner_default(l);
    double hours = l->minutes_per_week / 60.0, weeks = l->weeks;
    if (!cJSON_IsObject(json))
        return err_set(e, ERR_FORMAT, "%s: the document must be an object", where);
    if (!json_version(json, 1, where, e) || !known_members(json, where, e)) return false;
    if (!optional_text(json, "level", &level, where, e) ||
        !optional_text(json, "goal", &goal, where, e) ||
        !optional_text(json, "name", &name, where, e) ||
        !optional_text(json, "start_date", &start, where, e) ||
        !optional_number(json, "hours_per_week", &hours, where, e) ||
        !optional_number(json, "weeks", &weeks, where, e))
        return false;
    bool ok = (!level || learner_set_level(l, level, "\"level\"", e)) &&
              (!goal || learner_set_goal(l, goal, "\"goal\"", e)) &&
              (!name || learner_set_name(l, name, "\"name\"", e)) &&
              (!start || learner_set_start(l, start, "\"start_date\"", e)) &&
              learner_set_hours(l, hours, "\"hours_per_week\"", e) &&
              learner_set_weeks(l, weeks, "\"weeks\"", e);
    if (!ok) return err_prefix(e, "%s", where);
    return parse_interests(json, where, l, e);
}

bool learner_load(const char *path, struct learner *l, struct err *e)
{
    cJSON *json = json_load(path, e);
    if (!json) return false;
    bool ok = learner_parse(json, path, l, e);
    cJSON_Delete(json);
    return ok;
}

cJSON *learner_json(const struct learner *l)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = cJSON_AddNumberToObject(o, "version", 1) &&
              (!l->name[0] || cJSON_AddStringToObject(o, "name", l->name)) &&
              cJSON_AddStringToObject(o, "level", level_names[l->level]) &&
              cJSON_AddStringToObject(o, "goal", goal_names[l->goal]) &&
              cJSON_AddNumberToObject(o, "hours_per_week", l->minutes_per_week / 60.0) &&
              cJSON_AddNumberToObject(o, "weeks", l->weeks);
    cJSON *list = ok ? cJSON_AddArrayToObject(o, "interests") : NULL;
    ok = list != NULL;
    for (int i = 0; ok && i < l->n_interests; i++) {
        cJSON *s = cJSON_CreateString(l->interests[i]);
        ok = s && cJSON_AddItemToArray(list, s);
        if (!ok) cJSON_Delete(s);
    }
    if (ok && l->start_date[0])
        ok = cJSON_AddStringToObject(o, "start_date", l->start_date) != NULL;
    if (ok) return o;
    cJSON_Delete(o);
    return NULL;
}
