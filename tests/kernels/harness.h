// What the kernel checks share: every device and path, poisoned buffers with guard words, weights
// in every type, and a comparison that says where it failed.
#ifndef LECTERN_KERNEL_HARNESS_H
#define LECTERN_KERNEL_HARNESS_H

#include "engine/gguf/gguf.h"
#include "engine/kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { GUARD_WORDS = 64 };
#define POISON 0x7fc0beefu // a NaN that no arithmetic makes

struct kt { // one device on one path
    struct gpu gpu;
    struct kernels k;
    char name[320];
    uint64_t rng;
    int fill; // of every byte of a block's integers, 1 to 256 for 0 to 255; 0: random
};

// Runs check on every usable device, in the paths texel, ssbo, no_subgroup and staging, under the
// validation layer where it is installed. No device: the test is skipped.
void kt_everywhere(void (*check)(struct kt *t));

// The same with the kernels of every tier that the device has, in the paths texel and ssbo. No
// device that has any: skipped.
void kt_tiers(void (*check)(struct kt *t));

double kt_uniform(struct kt *t, double lo, double hi);
uint32_t kt_below(struct kt *t, uint32_t n);
enum kt_pattern { KT_RANDOM, KT_MIXED, KT_ZERO, KT_SPIKE, KT_TINY, KT_EQUAL, KT_N_PATTERNS };
// n values as floats can hold them: even, of magnitudes 2^-20 to 2^20, zeros, one large among
// small, near the smallest normal number, all 1 or all -1.
void kt_values(struct kt *t, enum kt_pattern p, double *out, size_t n);

struct kt_buf {
    struct gpu_buf gpu;
    size_t words;     // without the guard
    uint32_t *before; // [words + GUARD_WORDS] as uploaded
};
// words of data, or all poison when data is NULL; the guard is behind them.
struct kt_buf kt_upload(struct kt *t, const uint32_t *data, size_t words);
struct kt_buf kt_floats(struct kt *t, const double *v, size_t n);
void kt_free(struct kt *t, struct kt_buf *b);

void kt_run(struct kt *t, const struct gpu_pipeline *p, const struct kt_buf *const *bufs,
            const void *push, uint32_t x, uint32_t y);
void kt_run_groups(struct kt *t, const struct gpu_pipeline *p, const struct kt_buf *const *bufs,
                   const void *push, const uint32_t groups[3]);
uint32_t *kt_read(struct kt *t, const struct kt_buf *b); // with the guard; caller frees

struct kt_expect {       // of each word of a buffer
    double *value, *tol; // |got - value| <= tol
    bool *written;       // false: the word must be as it was
    size_t n;
};
struct kt_expect kt_expect(const struct kt_buf *b);
void kt_expect_at(struct kt_expect *x, size_t i, double value, double tol);
void kt_expect_free(struct kt_expect *x);
// False: msg says which word. The guard must be untouched.
bool kt_compare(const struct kt_buf *b, const uint32_t *got, const struct kt_expect *x,
                char msg[256]);
// Reads and compares; a difference fails the test with `what`.
void kt_check(struct kt *t, const struct kt_buf *b, const struct kt_expect *x, const char *what);

// Rows of random blocks with finite scales. data: n_rows * the row's bytes.
void kt_random_rows(struct kt *t, enum quant_type type, size_t n_rows, size_t n_cols,
                    unsigned char *data);

struct kt_weights {
    struct gguf_tensor tensor; // data owned
    double *w;                 // [rows, cols padded to 32], what the layout stands for
    double *mag;               // the same: |d*n| + |m|, what rounding scales with
    size_t n_rows, n_cols, n_blocks, n_tiles;
    enum weight_format format;
    struct kt_buf tiles;
};
struct kt_weights kt_weights(struct kt *t, enum quant_type type, size_t n_rows, size_t n_cols);
void kt_weights_free(struct kt *t, struct kt_weights *w);

// Records of n_tokens rows, and NaN rows up to a multiple of 8 that must not matter. x: the values
// that the records stand for, [n_tokens, 32 n_blocks].
struct kt_buf kt_acts(struct kt *t, enum kt_pattern pattern, enum act_form form, size_t n_tokens,
                      size_t n_blocks, double *x);

#endif
