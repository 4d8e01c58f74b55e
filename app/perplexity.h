// Perplexity of a model on a text: how surprised it is by each next token.
//
//   nll(i)     = -ln p(x[i] | context of x[i])        x: the text's tokens, without BOS
//   mean       = 1/N * sum of nll(i)                  over the N scored tokens
//   perplexity = exp(mean)
//   error      = perplexity * s / sqrt(N)             s: standard deviation of nll, divisor N - 1
//
// The error is first order (delta method) and takes tokens as independent, which neighbours are
// not quite. Windows of n_ctx positions, each with BOS first where the vocabulary adds one:
//
//   first window      scores x[0..room)               room = n_ctx, less 1 with a BOS
//   each next one     scores the next `stride` tokens (at most room) behind n_ctx - stride
//   positions
//
// so that a token is scored once, and a text of at most room tokens is scored in full context. A
// token with nothing before it (no BOS: the first of the text, and with stride = n_ctx of every
// window) has no probability and is not scored.
#ifndef LECTERN_PERPLEXITY_H
#define LECTERN_PERPLEXITY_H

#include "engine/engine.h"

struct perplexity_params {
    uint32_t n_ctx;  // positions of a window, at least 2, at most the engine's
    uint32_t stride; // 1 to n_ctx; 0: n_ctx / 2
    int32_t bos;     // put before every window; negative: none
};

struct perplexity {
    uint64_t n_scored, n_windows;
    double mean_nll, std_error_nll; // natural logarithm; the error is NAN for one token
    double perplexity, std_error;
    double sum2; // of squared differences from the running mean
};

// Uses sequence 0 of the engine and leaves it empty. A text with no token to score is ERR_ARG.
bool perplexity_measure(struct engine *g, const struct perplexity_params *p, const int32_t *ids,
                        size_t n, struct progress *progress, struct perplexity *out, struct err *e);

#endif
