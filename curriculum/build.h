// What the parts that build a plan share. "First error kept": after a failure every helper does
// nothing, so a builder reads as a straight list and its caller looks at b->failed once.
#ifndef LECTERN_CURRICULUM_BUILD_H
#define LECTERN_CURRICULUM_BUILD_H

#include "curriculum/facts.h"
#include "curriculum/learner.h"
#include "curriculum/rules.h"

#define N_SECTIONS 9

struct build {
    const struct learner *learner;
    const cJSON *hardware, *results; // NULL: not measured
    struct facts facts;
    struct effects effects;
    cJSON *common, *rules, *resources, *prompt; // the embedded documents
    cJSON *section[N_SECTIONS];
    struct err *e;
    bool failed;
};

// Parses the embedded documents. On failure the build is closed.
bool build_open(struct build *b, struct err *e);
void build_close(struct build *b);

// Members of `obj`; numbers are whole or given decimals.
void put_str(struct build *b, cJSON *obj, const char *key, const char *value);
void put_num(struct build *b, cJSON *obj, const char *key, double value);
void put_bool(struct build *b, cJSON *obj, const char *key, bool value);
cJSON *put_array(struct build *b, cJSON *obj, const char *key);
cJSON *put_object(struct build *b, cJSON *obj, const char *key);
cJSON *add_object(struct build *b, cJSON *array);
void add_str(struct build *b, cJSON *array, const char *value);
// Takes ownership of item.
void put_item(struct build *b, cJSON *obj, const char *key, cJSON *item);

// A node of the content, chosen and filled; put_text fails when no alternative can be used.
void put_text(struct build *b, cJSON *obj, const char *key, const cJSON *node);
void add_text(struct build *b, cJSON *array, const cJSON *node); // unusable: nothing is added
// Every node of `nodes` (an array, or one node), at most `limit`.
void add_texts(struct build *b, cJSON *array, const cJSON *nodes, int limit);

// `node` itself, or its member for the learner's level / goal when it is a map of those (the
// goal map may say "default").
const cJSON *for_level(const struct build *b, const cJSON *node);
const cJSON *for_goal(const struct build *b, const cJSON *node);
// True when obj has no "levels" (or "goals") or they name the learner's.
bool meant_for(const struct build *b, const cJSON *obj);

// Text from a file, made harmless: control characters become spaces, backquotes apostrophes,
// braces parentheses; cut at a character before room bytes.
void clean_text(char *out, size_t room, const char *text);
// The same, but lines stay lines.
void clean_code(char *out, size_t room, const char *text);

#endif
