// Rules are data (rules.json): conditions on facts, effects on the plan. Each rule that fires is
// recorded with its id, the reason in the learner's own numbers, and what it changed.
//   {"id": "...", "when": [condition...], "because": node, "effect": node, "do": [effect...]}
// effects: {"section": n | [n...], "weight": factor}          minutes
//          {"section": n, "band": "full|condensed|challenge|overview"}
//          {"section": n, "lab": "id"}                        which lab of the section
//          {"section": n, "add": "id"}                        a paragraph of its "notes"
//          {"section": n, "include": true}                    an optional section becomes full
//          {"machine": "id"} {"evidence": "id"}               a paragraph of common.json
//          {"first_step": "id"} {"min_tok_s": x} {"prefer": "largest|smallest"}
// Later rules win where two set the same thing; weights multiply.
#ifndef LECTERN_CURRICULUM_RULES_H
#define LECTERN_CURRICULUM_RULES_H

#include "curriculum/facts.h"

#define RULES_MAX_NOTES 24

enum band { BAND_FULL, BAND_CONDENSED, BAND_CHALLENGE, BAND_OVERVIEW, N_BANDS };

struct section_effect {
    double weight; // 1 to begin with
    enum band band;
    bool include;
    const char *lab; // borrowed from rules.json; NULL: the section's first
    const char *notes[RULES_MAX_NOTES];
    int n_notes;
};

struct effects {
    struct section_effect section[9];
    const char *machine[RULES_MAX_NOTES], *evidence[RULES_MAX_NOTES];
    int n_machine, n_evidence;
    const char *first_step;
    double min_tok_s; // the slowest decode speed that the goal can live with
    bool prefer_smallest;
    cJSON *fired; // the plan's "rules" array
};

const char *band_name(enum band band);

// Applies every rule in the file's order. Strings in *out are borrowed from `rules`.
bool effects_make(const cJSON *rules, const struct facts *f, struct effects *out, struct err *e);
void effects_free(struct effects *x);

#endif
