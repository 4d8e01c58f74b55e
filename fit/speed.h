// How fast a loaded model is: tokens a second of prompts and of decoding, behind contexts and for
// several sequences at once.
#ifndef LECTERN_SPEED_H
#define LECTERN_SPEED_H

#include "engine/engine.h"

enum fit_phase { FIT_PREFILL, FIT_DECODE };

struct fit_speed_params {
    enum fit_phase phase;
    uint32_t n_tokens; // of a run, a sequence; lowered to what the context holds behind depth
    uint32_t depth;    // positions that every sequence has before a run
    uint32_t batch;    // sequences that run together, 0: 1
    uint32_t runs;
};

struct fit_speed { // tokens a second of all sequences together, over runs
    double median, low, high;
    uint32_t n_tokens, depth, batch, runs; // runs 0: nothing was measured
};

// Runs the model on sequences 0 to batch - 1 with fixed pseudo-random ids, one unmeasured run
// first. Every sequence has rows of its own in the cache, so that as much is read as by strangers.
// It leaves depth positions there, of which a later call with the same or more makes use; all else
// that was in them is gone. No room for depth or batch is ERR_ARG.
bool fit_speed(struct engine *g, const struct fit_speed_params *q, struct progress *p,
               struct fit_speed *out, struct err *e);

struct fit_kernels {         // times of single kernels, summed over runs
    struct engine_kernel *k; // [n], longest first
    size_t n;
    double wall_s;                         // of the runs, with everything between the kernels
    uint32_t n_tokens, depth, batch, runs; // n_tokens of one run: 1 when decoding
};
// What fit_speed's runs are made of: passes of a prompt of n_tokens, or of one token a sequence.
// ERR_UNSUPPORTED where the device has no timestamps. When decoding, attention's bytes are those of
// the cache up to the token, and its use is "cache".
bool fit_kernels(struct engine *g, const struct fit_speed_params *q, struct progress *p,
                 struct fit_kernels *out, struct err *e);
void fit_kernels_free(struct fit_kernels *k);

// Bytes of the cache that a position takes, in all layers: keys and values alone.
uint64_t fit_kv_bytes(const struct engine_info *i);

// Bytes (not GiB) a second of the real matvec over the output matrix, median of the runs.
bool fit_matvec(struct engine *g, uint32_t runs, double *bytes_s, struct err *e);

#endif
