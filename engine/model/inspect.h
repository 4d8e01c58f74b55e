// engine_inspect of a file that is open already.
#ifndef LECTERN_INSPECT_H
#define LECTERN_INSPECT_H

#include "base/err.h"
#include "engine/gguf/gguf.h"

#include <cjson/cJSON.h>

// Caller frees *out with cJSON_Delete. The picture of the document: engine/engine.h.
bool inspect_file(const struct gguf *g, cJSON **out, struct err *e);

#endif
