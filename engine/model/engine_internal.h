// Inside of engine.h's struct engine.
//   engine.c  opening and closing     run.c  sequences, and the cutting of work into passes
#ifndef LECTERN_ENGINE_INTERNAL_H
#define LECTERN_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/model/forward.h"
#include "engine/model/lora.h"

struct engine {
    struct vocab *vocab;
    struct gguf file;
    struct gpu gpu;
    struct config config;
    struct weights weights;
    struct lora lora;
    struct forward forward;
    struct engine_device device;
    struct engine_info info;
    uint32_t *seq_len;         // [n_seqs]
    struct pass_token *tokens; // [n_batch]
    struct pass_tile *runs;    // [n_seqs]
    uint32_t *rows;            // [n_batch]
};

#endif
