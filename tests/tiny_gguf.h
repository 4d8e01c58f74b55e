// Makes small GGUF files for tests: key by key (good or deliberately bad ones), or a whole seeded
// Llama model of any shape and weight type with a working tokenizer.
//
//   struct tiny t = {0};
//   tiny_begin(&t, 3);
//   tiny_u32(&t, "llama.block_count", 2);
//   tiny_tensor(&t, "token_embd.weight", QUANT_F32, 2, (uint64_t[]){8, 4}, data, sizeof data);
//   bool ok = tiny_write(&t, "t.gguf", &e);   tiny_free(&t);
//
// The same model struct gives the same bytes on every machine.
#ifndef LECTERN_TINY_GGUF_H
#define LECTERN_TINY_GGUF_H

#include "base/err.h"
#include "base/json.h"
#include "engine/gguf/gguf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tiny {                     // zero-initialise; tiny_free when done
    struct text kvs, infos, data; // the three parts of the file behind the counts
    uint64_t n_kvs, n_tensors;
    uint32_t version;
    uint32_t alignment; // of the data; tiny_begin sets 32. Written only by tiny_u32
};

void tiny_begin(struct tiny *t, uint32_t version);
void tiny_free(struct tiny *t);

void tiny_u32(struct tiny *t, const char *key, uint32_t v);
void tiny_f32(struct tiny *t, const char *key, float v);
void tiny_bool(struct tiny *t, const char *key, bool v);
void tiny_str(struct tiny *t, const char *key, const char *v);
void tiny_i32s(struct tiny *t, const char *key, const int32_t *v, size_t n);
void tiny_f32s(struct tiny *t, const char *key, const float *v, size_t n);
void tiny_strs(struct tiny *t, const char *key, const char *const *v, size_t n);
// Any value, even a broken one: the type word, then `size` bytes as they are.
void tiny_raw(struct tiny *t, const char *key, uint32_t type, const void *bytes, size_t size);

// Appends a tensor; its data is padded to the alignment. ne[0] is the row length.
void tiny_tensor(struct tiny *t, const char *name, uint32_t type, uint32_t n_dims,
                 const uint64_t *ne, const void *bytes, size_t size);
// The same with an offset of the caller's choosing and no data: for broken files.
void tiny_tensor_at(struct tiny *t, const char *name, uint32_t type, uint32_t n_dims,
                    const uint64_t *ne, uint64_t offset);

// The whole file in memory. Caller frees *out.
bool tiny_bytes(const struct tiny *t, unsigned char **out, size_t *size, struct err *e);
bool tiny_write(const struct tiny *t, const char *path, struct err *e);

// n floats (whole blocks) to a weight type, rounded to nearest: F32, F16, BF16, Q8_0, Q4_0, Q4_1.
// Caller frees *out. False: another type, or n is not whole blocks.
bool tiny_quantise(uint32_t type, const float *x, size_t n, unsigned char **out, size_t *size);

enum tiny_vocab {
    TINY_SPM, // "llama": <unk> <s> </s>, 256 bytes, a space, letters and some words
    TINY_BPE, // "gpt2", pre "smollm": three specials of ChatML, 256 bytes, some merges
    TINY_BPE_LETTERS, // and " A" to " D" as one token each
};

struct tiny_model { // zero means: the default behind the field
    uint64_t seed;
    const char *arch;     // "llama"
    const char *name;     // "tiny"
    uint32_t n_layers;    // 2
    uint32_t n_embd;      // 64
    uint32_t n_heads;     // 4
    uint32_t n_kv_heads;  // n_heads
    uint32_t head_dim;    // n_embd / n_heads; another value is written as attention.key_length
    uint32_t n_ff;        // 96
    uint32_t n_vocab;     // 320; the tokenizer is cut or padded to it
    uint32_t n_ctx;       // 128
    float rope_theta;     // 10000
    float norm_eps;       // 1e-5
    enum quant_type type; // of the matrices; a row that is not whole blocks becomes F16
    bool tied_output;     // no output.weight
    bool rope_freqs;      // a rope_freqs.weight of factors from 1 to 8
    float llama3_factor;  // or one by the rule of Llama 3.1 with this factor; 0: none
    const char *rope_scaling; // rope.scaling.type; NULL: no such key
    float rope_factor;        // rope.scaling.factor; 0: no such key
    uint32_t rope_orig_ctx;   // of Llama 3.1's rule (8192); and the key, when rope_scaling is set
    enum tiny_vocab vocab;
    const char *chat_template; // NULL: none
};

// Matrices are uniform with variance 1 / row length, norms 1 +- 0.1, so that activations stay of
// the order of one through the layers.
bool tiny_model_write(const struct tiny_model *m, const char *path, struct err *e);

// The parts of it, for larger writers. Defaults filled in; the keys of architecture and shape; the
// factors of rope_freqs.weight, head_dim / 2 of them: 0 when the model has none.
struct tiny_model tiny_model_defaults(const struct tiny_model *m);
void tiny_model_keys(struct tiny *t, const struct tiny_model *m);
uint32_t tiny_rope_freqs(const struct tiny_model *m, float *out);

// splitmix64, and the state that a tensor of this name begins with.
uint64_t tiny_random(uint64_t *state);
uint64_t tiny_random_state(uint64_t seed, const char *name);

// Only the tokenizer's keys (and general.architecture): a vocabulary-only file of n tokens.
bool tiny_vocab_keys(struct tiny *t, enum tiny_vocab vocab, uint32_t n, struct err *e);

#endif
