// Makes a seeded LoRA adapter for the matrices of a GGUF model: W + alpha / rank B A.
//
//   NAME.weight.lora_a   [rank rows of the matrix's row length]
//   NAME.weight.lora_b   [as many rows as the matrix, of `rank`]
//   general.type = adapter, adapter.type = lora, adapter.lora.alpha
// Format: llama.cpp, convert_lora_to_gguf.py
#ifndef LECTERN_TINY_LORA_H
#define LECTERN_TINY_LORA_H

#include "tests/tiny_gguf.h"

struct tiny_lora {       // zero means: the default behind the field
    uint64_t seed;
    uint32_t rank;       // 8
    float alpha;         // 16
    float strength;      // 0.5: standard deviation of alpha / rank B A, by 1 / sqrt(row length)
    bool f16;            // else F32
    const char *targets; // "attn_q,ffn_down": of every layer; NULL: all seven
};
// Matrices of `base` that have a target's name. None is an error.
bool tiny_lora_write(const struct tiny_lora *l, const char *base, const char *path, struct err *e);

#endif
