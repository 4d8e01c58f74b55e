// What lives where, decided before anything is allocated.
//
// The layers are shared out over the devices in their order, by budget. On each device everything
// stays if it fits; else the first layers stay and the others are streamed through two slots. What
// is given up, in this order: tokens a batch (down to 64) to keep all layers resident; resident
// layers; tokens a batch (down to 16); positions of context (halved, down to 256).
#ifndef LECTERN_PLACE_H
#define LECTERN_PLACE_H

#include "engine/engine.h"
#include "engine/model/forward.h"
#include "engine/model/lora.h"

struct place_stage { // a device
    struct gpu *gpu; // borrowed
    uint64_t budget; // bytes that may be taken there
    uint32_t first_layer, n_layers, n_resident;
    bool has_output;
    // Bytes that the allocator will report, to the byte.
    uint64_t resident_bytes, slot_bytes, lora_bytes, kv_bytes, scratch_bytes;
    uint64_t staging_bytes;  // host memory besides, where the device's cannot be written
    uint64_t streamed_bytes; // of the file, read for every pass
};

struct place {
    struct place_stage stage[ENGINE_MAX_DEVICES];
    uint32_t n_stages;
    struct forward_params p; // as it came out
    struct lora_params lora;
    struct kv_pages pages;           // its sizes alone
    bool smaller_batch, smaller_ctx; // than was asked for
};

// in: stages with gpu and budget, p as wanted (n_pass is ignored). ERR_MEMORY when not even the
// smallest form fits.
bool place_decide(const struct gguf *g, const struct config *c, struct place *p, struct err *e);

uint64_t place_stage_bytes(const struct place_stage *s); // the sum, without staging

// Bytes that a device may give: what the driver says is free; on software devices, whose memory is
// the machine's, what the system says is available, less a tenth or 512 MiB.
uint64_t place_budget(const struct gpu_caps *c);

#endif
