// Weight formats of GGUF files: block sizes and exact dequantisation to f32.
#ifndef LECTERN_QUANT_H
#define LECTERN_QUANT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

// X(enum, number in the file, name, elements a block, bytes a block)
#define QUANT_LIST(X)                                                                              \
    X(QUANT_F32, 0, "F32", 1, 4)                                                                   \
    X(QUANT_F16, 1, "F16", 1, 2)                                                                   \
    X(QUANT_Q4_0, 2, "Q4_0", 32, 18)                                                               \
    X(QUANT_Q4_1, 3, "Q4_1", 32, 20)                                                               \
    X(QUANT_Q5_0, 6, "Q5_0", 32, 22)                                                               \
    X(QUANT_Q5_1, 7, "Q5_1", 32, 24)                                                               \
    X(QUANT_Q8_0, 8, "Q8_0", 32, 34)                                                               \
    X(QUANT_Q2_K, 10, "Q2_K", 256, 84)                                                             \
    X(QUANT_Q3_K, 11, "Q3_K", 256, 110)                                                            \
    X(QUANT_Q4_K, 12, "Q4_K", 256, 144)                                                            \
    X(QUANT_Q5_K, 13, "Q5_K", 256, 176)                                                            \
    X(QUANT_Q6_K, 14, "Q6_K", 256, 210)                                                            \
    X(QUANT_IQ4_NL, 20, "IQ4_NL", 32, 18)                                                          \
    X(QUANT_IQ4_XS, 23, "IQ4_XS", 256, 136)                                                        \
    X(QUANT_BF16, 30, "BF16", 1, 2)

#define QUANT_ENUM(id, num, name, n, bytes) id = num,
enum quant_type { QUANT_LIST(QUANT_ENUM) };
#undef QUANT_ENUM

struct quant_info {
    const char *name;
    uint32_t block; // elements
    uint32_t block_bytes;
};
// NULL for a type number that Lectern does not know.
const struct quant_info *quant_info(uint32_t type);

// Bytes of a row of n elements; false when n is not whole blocks or overflows.
bool quant_row_bytes(enum quant_type type, uint64_t n, size_t *bytes);

// 32 neighbouring weights of a row in integers: w[i] = d[i / 16] * q[i] + m[i / 16], the product and
// then the sum rounded to f32. Formats without a minimum have m = -0.
struct quant_group {
    int8_t q[32];
    float d[2], m[2];
};
bool quant_is_grouped(enum quant_type type); // every type but F32, F16 and BF16
// Groups of n elements (whole blocks): n / 32 of them. The type is grouped.
void quant_groups(enum quant_type type, const void *src, size_t n, struct quant_group *out);

// n elements (whole blocks) from src to f32, exactly as the format defines them. False: a type that
// this version cannot dequantise.
bool quant_dequantise(enum quant_type type, const void *src, size_t n, float *dst);

#endif
