// Which Llama fits this machine, and how fast it would write.
//
//   total   = weights after repacking + KV cache (f16) + scratch, of this engine
//   budget  = what the machine can give, less a margin
//   t_token = bytes read a token / measured GB/s of the real matvec + layers * measured overhead
//
// The overhead a layer is what is left of the measured time of a token, divided by the layers of
// the model that was measured. Everything but the bytes is modelled, and says so.
//
// A model that is larger than the budget runs all the same where the output matrix, two layers, the
// cache and scratch fit: the layers that do not stay are streamed from the file for every token.
// How fast depends on the disk and on what the system keeps of the file: no speed is claimed.
#ifndef LECTERN_PREDICT_H
#define LECTERN_PREDICT_H

#include "engine/engine.h"
#include "fit/sizes.h"

struct fit_basis {   // what was measured here, all layers resident; zeros: nothing was
    double bytes_s;  // read bandwidth of the matvec
    double layer_s;  // overhead of a layer
    double decode_s; // one token of the model that was measured
};
// From a token's time, its bytes and its layers.
struct fit_basis fit_basis(double bytes_s, double decode_s, double bytes_token, uint32_t n_layers);

enum fit_verdict { FIT_YES, FIT_LESS_CONTEXT, FIT_STREAMED, FIT_TOO_LARGE };
const char *fit_verdict_name(enum fit_verdict v); // the words of hardware.json

struct fit_row {
    struct fit_bytes weights;
    uint32_t n_ctx;                                // asked for, at most the model's
    uint32_t max_ctx; // largest with all layers resident, a multiple of 32; 0: none
    uint64_t kv_bytes, scratch_bytes, total_bytes; // at n_ctx, all layers resident
    enum fit_verdict verdict;
    uint32_t n_resident;     // layers that stay, at n_ctx or max_ctx; 0 of FIT_TOO_LARGE
    uint64_t streamed_bytes; // of the file, read for every token
    char why[96];            // of all but FIT_YES
    double decode_tok_s;     // 0: unknown
};
void fit_predict(const struct engine_device *d, const struct fit_model *m, enum fit_quant q,
                 uint32_t n_ctx, uint64_t budget_bytes, const struct fit_basis *basis,
                 struct fit_row *out);

// Bytes that a model may take. own_bytes: what the open engine holds (host memory that would be
// free again). A device with memory of its own: its largest heap's budget, never a sum of heaps.
// Otherwise available RAM, bounded by the heap where the driver gives a budget or is a real GPU.
// The margin, max(10 %, 512 MiB) but at most half, is taken off, as the engine does.
uint64_t fit_budget(const struct engine_device *d, uint64_t ram_available_bytes,
                    uint64_t own_bytes);

#endif
