// Inside of engine.h's struct engine.
//   engine.c  opening and closing     run.c  sequences, and the cutting of work into passes
#ifndef LECTERN_ENGINE_INTERNAL_H
#define LECTERN_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/model/forward.h"

// engine_open on a device with lowered limits, for tests; limits may be NULL.
bool engine_open_limited(const struct engine_params *p, const struct gpu_limits *limits,
                         struct engine **out, struct err *e);

struct engine {
    struct vocab *vocab;
    struct gguf file;
    struct gpu gpu;
    struct config config;
    struct weights weights;
    struct forward forward;
    struct engine_device device;
    struct engine_info info;
    struct kv_pages pages;
    struct kv_copy *copies;    // of the items of a run, or the pages of a shift
    struct pass_token *tokens; // [n_batch]
    struct pass_tile *runs;    // [n_seqs]
    uint32_t *rows;            // [n_batch]
};

#endif
