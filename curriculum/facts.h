// Facts: everything known about the learner, the machine and the scores, by name. Rules test them,
// texts are filled from them, and a number carries its basis with it:
//   "{hw.decode}"  -> "60.0 tok/s (measured)"      "{=hw.decode}" -> "60.0 tok/s"
// A text that names an unknown fact cannot be filled; a text node offers alternatives:
//   node = "text" | {"when": [condition...], "text": "text"} | {"first": [node...]}
//   condition = {"fact": name, "is": v | "in": [v...] | "below": x | "at_least": x | "known": bool}
#ifndef LECTERN_CURRICULUM_FACTS_H
#define LECTERN_CURRICULUM_FACTS_H

#include "base/err.h"

#include <cjson/cJSON.h>

struct facts {
    cJSON *table; // name -> {"value": number | string | bool, "text": ..., "basis": ...}
    bool failed;  // an allocation failed
};

bool facts_init(struct facts *f, struct err *e);
void facts_free(struct facts *f);

void facts_text(struct facts *f, const char *name, const char *text);
// The same with a basis, for a sentence made of numbers.
void facts_quote(struct facts *f, const char *name, const char *text, const char *basis);
void facts_flag(struct facts *f, const char *name, bool value);
// "%.*f" with `decimals`, then unit; basis is measured, exact, modelled, published, reported or
// NULL (the learner's own choice).
void facts_number(struct facts *f, const char *name, double value, int decimals, const char *unit,
                  const char *basis);

bool facts_known(const struct facts *f, const char *name);
double facts_value(const struct facts *f, const char *name, double fallback);
const char *facts_string(const struct facts *f, const char *name, const char *fallback);

// All conditions of the array hold (NULL or empty: yes). A condition of unknown form is an error.
bool facts_hold(const struct facts *f, const cJSON *when, bool *holds, struct err *e);

// Caller frees. NULL with e set when a fact is unknown or memory is exhausted.
char *facts_fill(const struct facts *f, const char *text, struct err *e);
// *out is NULL without an error when no alternative can be used.
bool facts_node(const struct facts *f, const cJSON *node, char **out, struct err *e);

#endif
