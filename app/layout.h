// What `--plan` prints, and what is said before a model is loaded that does not simply fit.
#ifndef LECTERN_APP_LAYOUT_H
#define LECTERN_APP_LAYOUT_H

#include "base/json.h"
#include "engine/engine.h"

// The whole table, or one JSON object with every byte count.
void layout_table(const struct engine_layout *l, struct text *out);
void layout_json(const struct engine_layout *l, struct text *out);

// Lines for stderr: what is streamed, and the time it will take; what was made smaller, and why.
// Nothing where everything is as asked for.
void layout_notes(const struct engine_layout *l, struct text *out);

#endif
