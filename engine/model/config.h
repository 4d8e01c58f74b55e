// The shape of a Llama model, read from its metadata, and its rotary angles.
#ifndef LECTERN_CONFIG_H
#define LECTERN_CONFIG_H

#include "base/err.h"
#include "engine/gguf/gguf.h"

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN };

struct config {
    char name[128];
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_ctx_train;
    uint32_t n_rot; // leading dimensions of a head that are rotated
    float norm_eps, rope_theta;
    enum rope_scaling scaling;
    float rope_factor;          // of linear and YaRN scaling
    bool tied_output;           // no output.weight: token_embd.weight is the output matrix too
    float rope_gain;            // of cos and sin, beside YaRN's own
    uint32_t rope_orig_ctx;     // of YaRN, as all below
    float yarn_fast, yarn_slow; // turns in the original context where the ramp begins and ends
    float yarn_ext;             // how much of the ramp counts; 0: linear scaling
    bool has_rope_freqs;        // Llama 3.1 and later
    float rope_freqs[128];      // [n_rot/2] divisors of the frequencies
};

// Another architecture, or values that no Llama has, are errors.
bool config_read(const struct gguf *g, struct config *out, struct err *e);

// out: [head_dim/2] pairs of f32 cos, sin of the angle at `position`; computed in double.
void config_angles(const struct config *c, uint32_t position, float *out);

// The same for moving a key down by `drop` positions; a rotation without YaRN's gain, which the key
// has already.
void config_shift_angles(const struct config *c, uint32_t drop, float *out);

#endif
