// The LearnLM prompt: content/prompt.json filled with learner, machine and scores, as plain text.
// Nine numbered parts with numbered points; for pasting into a large model, or for reading.
#ifndef LECTERN_CURRICULUM_PROMPT_H
#define LECTERN_CURRICULUM_PROMPT_H

#include "base/json.h"
#include "curriculum/facts.h"

// Adds to *out. `prompt` is content/prompt.json parsed.
bool prompt_make(const cJSON *prompt, const struct facts *f, struct text *out, struct err *e);

#endif
