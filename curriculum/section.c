// The plan's "sections": content/sectionN.json chosen by level, goal and rules, and filled.
#include "curriculum/parts.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

enum { LEAST_MINUTES = 3 };

static const cJSON *get(const cJSON *obj, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(obj, key);
}

static const cJSON *by_id(const cJSON *list, const char *id)
{
    const cJSON *it;
    cJSON_ArrayForEach(it, list)
    {
        if (!strcmp(json_string_or(it, "id", ""), id)) return it;
    }
    return NULL;
}

static const cJSON *resource_by_id(const struct build *b, int id)
{
    const cJSON *r;
    cJSON_ArrayForEach(r, get(b->resources, "resources"))
    {
        if ((int)json_number_or(r, "id", 0) == id) return r;
    }
    return NULL;
}

const cJSON *part_lab(struct build *b, int section)
{
    const cJSON *labs = get(b->section[section], "labs");
    const char *id = b->effects.section[section].lab;
    if (!id) return labs ? labs->child : NULL;
    const cJSON *lab = by_id(labs, id);
    if (!lab && !b->failed)
        b->failed = !err_set(b->e, ERR_INTERNAL, "section %d has no lab \"%s\"", section + 1, id);
    return lab;
}

static bool optional_out(const struct build *b, int i)
{
    return json_bool_or(b->section[i], "optional", false) && !b->effects.section[i].include;
}

static enum band band_of(const struct build *b, int i)
{
    return optional_out(b, i) ? BAND_OVERVIEW : b->effects.section[i].band;
}

// Weight = usual minutes x band x the rules' factors; when there is more time than material, a
// section is given at most its cap and the rest goes to those without one.
void part_times(struct build *b, struct section_time *times)
{
    static const double band_factor[N_BANDS] = {1, 0.6, 0.5, 1};
    double weight[N_SECTIONS];
    int cap[N_SECTIONS], minutes[N_SECTIONS];
    struct time_split split = schedule_split(b->learner->minutes_per_week, b->learner->weeks);
    for (int i = 0; i < N_SECTIONS; i++) {
        const cJSON *s = b->section[i];
        double usual = json_number_or(s, optional_out(b, i) ? "overview_minutes" : "minutes", 60);
        weight[i] = usual * b->effects.section[i].weight * band_factor[band_of(b, i)];
        cap[i] = (int)json_number_or(s, "cap_minutes", 0);
        if (optional_out(b, i)) cap[i] = (int)json_number_or(s, "overview_cap", 60);
    }
    schedule_divide(split.sections, N_SECTIONS, weight, cap, LEAST_MINUTES, minutes);
    for (int i = 0; i < N_SECTIONS; i++) {
        int lab = (int)json_number_or(part_lab(b, i), "minutes", 10);
        int most = (int)json_number_or(b->section[i], "minutes", 60) * 2;
        if (lab > minutes[i] / 2) lab = minutes[i] / 2;
        times[i].lab = lab;
        times[i].study = minutes[i] - lab < most ? minutes[i] - lab : most;
        times[i].project = minutes[i] - lab - times[i].study;
    }
}

// One round of the content's objectives that are meant for this learner.
static void objectives(struct build *b, cJSON *out, const cJSON *section, const cJSON *checks)
{
    const cJSON *it, *c;
    cJSON *list = put_array(b, out, "objectives");
    cJSON_ArrayForEach(it, get(section, "objectives"))
    {
        if (!meant_for(b, it)) continue;
        char text[500];
        int number = 0, n = 0;
        cJSON_ArrayForEach(c, checks)
        {
            if (!meant_for(b, c)) continue;
            n++;
            if (!strcmp(json_string_or(c, "id", ""), json_string_or(it, "check", "-"))) number = n;
        }
        cJSON *o = add_object(b, list);
        const char *criterion = json_string_or(it, "criterion", "");
        snprintf(text, sizeof text, "%s; done when %s.", json_string_or(it, "text", ""), criterion);
        put_str(b, o, "text", text);
        put_str(b, o, "bloom", json_string_or(it, "bloom", ""));
        put_str(b, o, "criterion", criterion);
        put_num(b, o, "check", number);
    }
}

static void checks(struct build *b, cJSON *out, const cJSON *section)
{
    const cJSON *it;
    int n = 0;
    cJSON *list = put_array(b, out, "checks");
    cJSON_ArrayForEach(it, get(section, "checks"))
    {
        if (!meant_for(b, it)) continue;
        cJSON *o = add_object(b, list);
        put_num(b, o, "number", ++n);
        put_text(b, o, "question", get(it, "question"));
        put_text(b, o, "answer", get(it, "answer"));
        put_text(b, o, "why", get(it, "why"));
    }
}

// Notes that rules chose go under the point they name.
static void point_notes(struct build *b, cJSON *paragraphs, int i, const char *point)
{
    const struct section_effect *x = &b->effects.section[i];
    for (int k = 0; k < x->n_notes; k++) {
        const cJSON *note = get(get(b->section[i], "notes"), x->notes[k]);
        if (!note && !b->failed)
            b->failed =
                !err_set(b->e, ERR_INTERNAL, "section %d has no note \"%s\"", i + 1, x->notes[k]);
        if (!strcmp(json_string_or(note, "point", ""), point)) add_text(b, paragraphs, note);
    }
}

// What the learner is to achieve by the check `id` of a section: the objective that is bound to it,
// or the section's title when this level has none.
static const char *aim(const struct build *b, int section, const char *id)
{
    const cJSON *o;
    if (section < 1 || section > N_SECTIONS) return "?";
    cJSON_ArrayForEach(o, get(b->section[section - 1], "objectives"))
    {
        if (meant_for(b, o) && !strcmp(json_string_or(o, "check", ""), id))
            return json_string_or(o, "text", "?");
    }
    return json_string_or(b->section[section - 1], "title", "?");
}

// "map" of a point (section 9): for an objective of the plan, the resources that belong to it.
static void point_map(struct build *b, cJSON *paragraphs, const cJSON *map)
{
    const cJSON *row, *id;
    cJSON_ArrayForEach(row, map)
    {
        int section = (int)json_number_or(row, "section", 0), n = 0;
        struct text text = {0};
        text_printf(&text, "Section %d, %s:", section,
                    aim(b, section, json_string_or(row, "check", "")));
        cJSON_ArrayForEach(id, get(row, "ids"))
        {
            const cJSON *r = resource_by_id(b, id->valueint);
            text_printf(&text, "%s [%d] %s", n++ ? ";" : "", id->valueint,
                        json_string_or(r, "title", "?"));
        }
        text_puts(&text, ".");
        if (text.failed && !b->failed) b->failed = !err_nomem(b->e, "the plan", 0);
        add_str(b, paragraphs, text.failed ? "" : text.data);
        text_free(&text);
    }
}

static void points(struct build *b, cJSON *out, int i)
{
    const cJSON *it;
    int limit = band_of(b, i) == BAND_FULL ? 99 : 1; // the shorter bands keep the first paragraph
    cJSON *list = put_array(b, out, "points");
    cJSON_ArrayForEach(it, get(b->section[i], "points"))
    {
        cJSON *o = add_object(b, list);
        put_str(b, o, "id", json_string_or(it, "id", ""));
        put_str(b, o, "title", json_string_or(it, "title", ""));
        cJSON *paragraphs = put_array(b, o, "paragraphs");
        add_texts(b, paragraphs, for_level(b, get(it, "text")), limit);
        point_notes(b, paragraphs, i, json_string_or(it, "id", ""));
        point_map(b, paragraphs, get(it, "map"));
    }
}

static void lab(struct build *b, cJSON *out, int i, int minutes)
{
    const cJSON *lab = part_lab(b, i), *it;
    cJSON *o = put_object(b, out, "lab"), *steps;
    int usual = (int)json_number_or(lab, "minutes", 10), n = 0;
    int quick = minutes * 10 < usual * 6 ? (int)json_number_or(lab, "quick_steps", 1) : 99;
    put_text(b, o, "title", get(lab, "title"));
    put_num(b, o, "minutes", minutes);
    steps = put_array(b, o, "steps");
    cJSON_ArrayForEach(it, get(lab, "steps"))
    {
        if (!meant_for(b, it) || n++ >= quick) continue;
        cJSON *step = add_object(b, steps);
        put_text(b, step, "text", for_level(b, get(it, "text")));
        if (get(it, "command")) put_text(b, step, "command", get(it, "command"));
        if (json_bool_or(it, "optional", false)) put_bool(b, step, "optional", true);
    }
    put_text(b, o, "expect", get(lab, "expect"));
    put_text(b, o, "if_it_fails", get(lab, "if_it_fails"));
    put_bool(b, o, "shortened", n > quick);
}

static int level_distance(const struct build *b, const char *level)
{
    int at = level[0] == 'B' ? 0 : level[0] == 'I' ? 1 : 2, own = (int)b->learner->level;
    return at > own ? 3 * (at - own) : own - at; // too hard is worse than too easy
}

static bool in_list(const cJSON *list, int value)
{
    const cJSON *it;
    cJSON_ArrayForEach(it, list)
    {
        if (it->valueint == value) return true;
    }
    return false;
}

// Adds r while it fits into the minutes left, or while fewer than `least` are named.
static void add_resource(struct build *b, cJSON *list, const cJSON *r, int *left, int least)
{
    const cJSON *it;
    int minutes = (int)json_number_or(r, "minutes", 0);
    cJSON_ArrayForEach(it, list)
    {
        if (json_number_or(it, "id", 0) == json_number_or(r, "id", -1)) return;
    }
    if (minutes > *left && cJSON_GetArraySize(list) >= least) return;
    cJSON *o = add_object(b, list);
    put_num(b, o, "id", json_number_or(r, "id", 0));
    put_str(b, o, "title", json_string_or(r, "title", ""));
    put_str(b, o, "url", json_string_or(r, "url", ""));
    put_num(b, o, "minutes", minutes);
    put_bool(b, o, "within_time", minutes <= *left);
    if (minutes <= *left) *left -= minutes;
}

// First those that the content names for the goal, then the section's others, nearest to the
// learner's level first, within half of the study time and all of the project time. At least four
// are named; what goes beyond the time is marked so.
static void resources(struct build *b, cJSON *out, int i, const struct section_time *t)
{
    const cJSON *r, *key;
    int left = t->study / 2 + t->project;
    cJSON *list = put_array(b, out, "resources");
    cJSON_ArrayForEach(key, for_goal(b, get(b->section[i], "key_resources")))
    {
        r = resource_by_id(b, key->valueint);
        int distance = level_distance(b, json_string_or(r, "level", "B"));
        if (distance != 2 && distance <= 3) // introductions are not for the advanced
            add_resource(b, list, r, &left, 4);
    }
    for (int distance = 0; distance <= 6; distance++) {
        cJSON_ArrayForEach(r, get(b->resources, "resources"))
        {
            if (in_list(get(r, "sections"), i + 1) &&
                level_distance(b, json_string_or(r, "level", "B")) == distance)
                add_resource(b, list, r, &left, 4);
        }
    }
}

// The goal's reason, and what the band asks of the learner.
static void why(struct build *b, cJSON *out, int i)
{
    struct text text = {0};
    char *reason = NULL;
    if (!b->failed && !facts_node(&b->facts, for_goal(b, get(b->section[i], "why")), &reason, b->e))
        b->failed = true;
    if (reason) text_puts(&text, reason);
    text_puts(&text, json_string_or(get(b->common, "band_words"), band_name(band_of(b, i)), ""));
    put_str(b, out, "why", text.failed ? "" : text.data);
    text_free(&text);
    cJSON_free(reason);
}

static void head(struct build *b, cJSON *out, int i, const struct section_time *t)
{
    const cJSON *s = b->section[i];
    put_num(b, out, "number", i + 1);
    put_str(b, out, "title", json_string_or(s, "title", ""));
    put_num(b, out, "minutes", t->study + t->lab + t->project);
    cJSON *time = put_object(b, out, "time");
    put_num(b, time, "study", t->study);
    put_num(b, time, "lab", t->lab);
    put_num(b, time, "project", t->project);
    put_bool(b, out, "optional", json_bool_or(s, "optional", false));
    put_str(b, out, "band", band_name(band_of(b, i)));
    why(b, out, i);
    put_text(b, out, "prediction", for_level(b, get(s, "prediction")));
}

void part_sections(struct build *b, cJSON *plan, const struct section_time *times)
{
    cJSON *list = put_array(b, plan, "sections"), *needs = put_array(b, plan, "prerequisites");
    for (int i = 0; i < N_SECTIONS && !b->failed; i++) {
        const cJSON *s = b->section[i];
        cJSON *out = add_object(b, list);
        head(b, out, i, &times[i]);
        objectives(b, out, s, get(s, "checks"));
        add_texts(b, put_array(b, out, "prerequisites"), get(s, "prerequisites"), 99);
        points(b, out, i);
        cJSON *example = put_object(b, out, "example");
        put_text(b, example, "title", get(get(s, "example"), "title"));
        add_texts(b, put_array(b, example, "paragraphs"), get(get(s, "example"), "paragraphs"), 99);
        lab(b, out, i, times[i].lab);
        checks(b, out, s);
        put_text(b, out, "deliverable", for_goal(b, get(s, "deliverable")));
        resources(b, out, i, &times[i]);
        put_text(b, out, "reflection", get(s, "reflection"));
        put_text(b, out, "next", get(s, "next"));
        cJSON *need = add_object(b, needs);
        put_num(b, need, "section", i + 1);
        put_item(b, need, "needs", cJSON_Duplicate(get(s, "needs"), true));
    }
}
