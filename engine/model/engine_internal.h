// Inside of engine.h's struct engine.
//   engine.c  opening and closing     layout.c  what engine_layout says
//   run.c     sequences, and the cutting of work into passes
//   trace.c   times of kernels, and how fast the device reads
#ifndef LECTERN_ENGINE_INTERNAL_H
#define LECTERN_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/model/forward.h"
#include "engine/model/lora.h"
#include "engine/model/place.h"
#include "engine/model/tile_cache.h"

struct stage { // layers on one device
    struct gpu gpu;
    struct kernel_choice choice;
    struct weights weights;
    struct lora lora;
    struct stream stream;
    struct forward forward;
    struct gpu_trace trace; // between engine_trace_begin and engine_trace_end
};

struct engine {
    struct vocab *vocab;
    struct gguf file;
    struct config config;
    struct place place;
    struct stage stages[ENGINE_MAX_DEVICES]; // [place.n_stages]
    uint32_t n_gpus;                         // of them opened
    struct engine_device device;
    struct engine_info info;
    struct tile_cache tiles; // off unless asked for
    struct kv_pages pages;
    struct kv_copy *copies;    // of the items of a run, or the pages of a shift
    uint32_t *ids;             // [n_pass]
    struct pass_token *tokens; // [n_pass]
    struct pass_run *runs;     // [n_seqs]
    uint32_t *rows;            // [n_pass]
};

void engine_describe_device(const struct gpu_caps *c, struct engine_device *d);

// layout.c
void layout_describe(const struct place *p, struct engine_layout *out);
// Measures what the estimate needs: a copy on each device, repacking a piece of the file.
void layout_estimate(const struct engine *g, struct engine_layout *out);

// The same as engine_open, on devices whose limits are lowered: for tests. limits may be NULL.
bool engine_open_limited(const struct engine_params *p, const struct gpu_limits *limits,
                         struct engine **out, struct err *e);

#endif
