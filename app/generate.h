// Generation as run and chat do it: prefill, then token by token with text as it comes.
#ifndef LECTERN_GENERATE_H
#define LECTERN_GENERATE_H

#include "engine/engine.h"

struct generate_params {
    const int32_t *prompt;
    size_t n_prompt;
    uint32_t max_new;
    bool ignore_eog;
    bool shift;    // a full context forgets the older half of what is behind the first `keep`
    uint32_t keep; // positions; else it is an error
    struct sampler *sampler;
    bool strip_lead; // the text begins here: without the space of a SentencePiece vocabulary
    // Receives whole characters; special tokens have no text. false ends the generation: a reader
    // that is gone or a full disk must not wait for the last token. May be NULL.
    vocab_text *on_text;
    void *ctx;
};

struct generate_result {
    struct tokens ids; // generated, the end-of-generation token included; tokens_free
    double prefill_s, decode_s;
    bool ended;         // by an end-of-generation token
    uint32_t forgotten; // positions behind the first `keep`, rounded up to pages
};

// How many positions to forget behind the first `keep`, whole pages, so that a context has room
// again; 0 where the rest is too short to be halved.
uint32_t generate_drop(const struct engine *g, uint32_t keep);

// Appends to sequence 0. ^C is ERR_CANCELLED with what was made so far in *out.
bool generate(struct engine *g, const struct generate_params *p, struct generate_result *out,
              struct err *e);

#endif
