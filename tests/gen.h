// Random-weight models of any Llama shape and quantisation, streamed to disk: what a real file of
// that name looks like to everything but a reader of its answers.
//
//   struct gen_model g = {.mix = "Q4_K_M"};
//   bool ok = gen_shape("llama-3.1-8b", &g, &e) && gen_write(&g, "8b.gguf", &e);
//
// The same struct gives the same bytes on every machine; a tensor's bytes depend on the seed, its
// name and its type alone. Weights have mean 0 and variance 1 / row length, norms are 1 +- 0.1.
#ifndef LECTERN_GEN_H
#define LECTERN_GEN_H

#include "base/progress.h"
#include "tests/tiny_gguf.h"

struct gen_model {
    struct tiny_model m; // shape, tokenizer, seed; `type` and `name` are not used
    char name[48];       // general.name
    const char *mix;     // a file type that llama.cpp's quantiser makes: "Q4_K_M"
    const char *pure;    // or one weight type for all matrices: "Q4_K"
    bool sparse;         // matrices are holes of the file, all weights zero
    uint64_t split;      // most bytes of tensors a file, as FILE-00001-of-0000N.gguf; 0: one file
    struct progress *progress; // may be NULL
};

// Name, shape and tokenizer of a row of fit/models.json ("llama-3.1-8b"; case, spaces and hyphens
// do not count).
bool gen_shape(const char *name, struct gen_model *g, struct err *e);

// Tensor data in bytes, without writing.
bool gen_bytes(const struct gen_model *g, uint64_t *bytes, struct err *e);
// On failure and on ^C no file of it is left.
bool gen_write(const struct gen_model *g, const char *path, struct err *e);

// n bytes (whole blocks) of random weights for rows of `row` elements.
void gen_blocks(enum quant_type type, uint64_t row, uint64_t *state, unsigned char *out, size_t n);

#endif
