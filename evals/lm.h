// What the harness asks of an engine: letters behind contexts and greedy texts, for several prompts
// at once. One shared beginning (the shots) is kept in sequence 0, and the sequences that need it
// share its pages of the cache.
//
//   sequence 0        the shared beginning (lm_set_prefix)
//   sequences 1 ..    work; with an engine of one sequence, 0 works and nothing is shared
//
// What an item gets must not depend on what runs beside it or ran before it, so that a run that was
// interrupted gives what an uninterrupted one gives. README.md says how far that holds.
#ifndef LECTERN_EVAL_LM_H
#define LECTERN_EVAL_LM_H

#include "base/json.h"
#include "engine/engine.h"
#include "evals/eval.h"

enum { LM_MAX_SLOTS = EVAL_MAX_SEQS };

struct lm_slot { // one text being generated
    bool active;
    uint32_t seq, item;
    struct tokens pending; // to be fed at the next step
    struct text text;      // so far; raw bytes
    uint32_t n_generated, max_tokens;
    const char *const *until;
    double start_s;
    bool finished;
};

struct lm_params {
    uint32_t n_slots; // prompts at once; 0: as many as the engine has sequences for
    bool no_reuse;    // every prompt is computed whole
};

struct lm_question { // borrowed
    const char *text;
    size_t size;
};

struct lm {
    struct engine *g;          // borrowed
    const struct vocab *vocab; // borrowed
    uint32_t n_ctx, n_vocab, n_slots;
    bool shares;         // the beginning is kept, in a sequence of its own
    uint64_t n_computed; // tokens that went through the model
    struct tokens prefix;
    float *logits; // [n_vocab]
    struct lm_slot slots[LM_MAX_SLOTS];
};

// Slots that lm_open will have for n_slots.
uint32_t lm_slots_of(const struct engine *g, uint32_t n_slots);
bool lm_open(struct lm *lm, struct engine *g, const struct lm_params *p, struct err *e);
void lm_close(struct lm *lm); // forgets all sequences

// Computes text[0..size) into sequence 0. Nothing is kept when it is longer than the context.
bool lm_set_prefix(struct lm *lm, const char *text, size_t size, struct err *e);

// Log-likelihood of " A" .. " D" behind each of n <= n_slots contexts, by lm-eval's rules: whole =
// enc(context + continuation), its tokens from len(enc(context)) on count, the input is cut at the
// left. Contexts whose letters are one token each behind the same tokens share one engine_run.
bool lm_letters(struct lm *lm, const struct lm_question *q, size_t n, struct eval_response *out,
                struct err *e);

// Puts a prompt into a free slot: cut at the left to n_ctx - max_gen_toks tokens.
bool lm_start(struct lm *lm, struct lm_slot *slot, uint32_t item, const struct eval_task *t,
              const char *prompt, size_t size, struct err *e);
// A token for every active slot; prompts and texts in passes apart, so that a text's tokens are always
// computed in passes of few tokens, whatever else begins. Slots that reached a stop, an end token or their limit
// get `finished`, and their text is cut at the earliest stop and made valid UTF-8.
bool lm_step(struct lm *lm, struct err *e);
void lm_release(struct lm_slot *slot); // the slot is free again
bool lm_busy(const struct lm *lm);

#endif
