// Push constants and tables, written once for C and GLSL. In C every member is a uint32_t or a
// float, so both languages lay them out alike; kernels.c asserts the sizes.
#ifndef LECTERN_PUSH_H
#define LECTERN_PUSH_H

#ifdef LECTERN_C
#include <stdint.h>
#define UINT uint32_t
#else
#define UINT uint
#endif

// One tile is 32 rows of a matrix, one block 32 columns. 8 lanes share a tile, 4 rows each.
#define TILE_ROWS 32
#define TILE_LANES 8
#define BLOCK_COLS 32

// Positions of a page of the cache, and of a chunk of attention.
#define KV_PAGE 32
// Positions of a slice of attention: what one workgroup computes when several share a context.
#define KV_SLICE 512
// Types of the cache's elements, in the order of engine.h's enum engine_kv.
#define KV_F16 0
#define KV_F32 1
#define KV_Q8_0 2
#define KV_Q4_0 3

struct push_norm { // rmsnorm, or none, then activations in the forms that matmul wants
    UINT n_rows;     // tokens to write
    UINT n_cols;     // real columns: the mean is over these
    UINT n_blocks;   // blocks written, padding columns are zero
    UINT x_stride;   // vec4s between input rows
    UINT x_offset;   // vec4s before the input row (swiglu: gate)
    UINT x_offset2;  // vec4s before the second operand (swiglu: up)
    UINT gather;     // 1: row i reads token table[i].w, 0: token i
    float eps;
};

struct push_matmul {
    UINT n_tiles;    // tiles of this matrix
    UINT n_blocks;   // blocks of a row
    UINT n_tokens;
    UINT y_stride;   // vec4s between output rows
    UINT y_offset;   // vec4s before the first output column
    UINT add;        // 1: add to the residual that is there
};

struct push_rope { // the heads of one part of the cache
    UINT token_base; // the dispatch's first token in the tables of tokens and angles
    UINT n_heads;
    UINT n_kv_heads;
    UINT head_dim;
    UINT kv_dim;     // head_dim padded to 64
    UINT qkv_stride; // vec4s between tokens
    UINT q_offset;   // vec4s before the part's q, in a row of qkv and of q
    UINT k_offset;   // vec4s before its k
    UINT v_offset;   // vec4s before its v
    UINT q_stride;   // vec4s
    UINT v_base;     // elements before V in the part
    float q_scale;   // 1 / sqrt(head_dim)
};

struct push_shift { // one part of the cache
    UINT first_entry; // of the page table
    UINT n_kv_heads;
    UINT head_dim;
    UINT kv_dim;     // head_dim padded to 64
    UINT v_base;     // elements before V in the part
};

struct push_attention { // the heads of one part of the cache
    UINT tile_base;  // the dispatch's first tile in the table of tiles
    UINT n_kv_heads;
    UINT kv_dim;     // head_dim padded to 64
    UINT q_stride;   // vec4s between tokens of q and of the output
    UINT q_offset;   // vec4s before the part's heads in both
    UINT v_base;     // elements before V in the part
    UINT n_groups;   // workgroups that share the slices of a tile
    UINT max_slices; // of a tile in the buffer of partial results, where n_groups is not 1
    UINT n_heads;    // query heads of all parts, in that buffer
    UINT first_head; // of the part
    UINT partial_base; // vec4s before the results: counters, one a tile and query head, all zero
};

// Logits that one workgroup of argmax looks through.
#define ARGMAX_SLICE 4096

struct push_argmax {
    UINT n_vocab;
    UINT stride;   // vec4s between rows
    UINT n_slices; // of a row
};

// An entry of the table of layers, three texels: offsets of weights in texels of their buffer.
struct layer_entry {
    UINT attn_norm, ffn_norm, o, down;
    UINT gate, up;
    UINT qkv[3];     // runs of tiles of one format, one below the other
    UINT kv_unit;    // units of 64 elements before the layer in the cache's buffer
    UINT unused[2];
};

struct push_layer { // layers that are alike for a few tokens
    UINT layer;      // the first one's entry in the table
    UINT n_layers;
    UINT first;      // the first token's row of x
    UINT token_base; // the first token in the tables of tokens and angles
    UINT tile_base;  // its attention tile
    UINT n_tokens;
    UINT v_base;     // elements before V in a layer's cache
    UINT meetings;   // of workgroups in the submission so far
    UINT spins;      // times that a workgroup looks whether the others have come, in all
    float eps;
    float q_scale;   // 1 / sqrt(head_dim)
};

// Phases of layer.comp, as bits.
#define LAYER_QKV 1
#define LAYER_ATTENTION 2
#define LAYER_O 4
#define LAYER_GATE_UP 8
#define LAYER_DOWN 16
#define LAYER_ALL 31

// Table of tokens, one uvec4 each: 0, cache cell, position, index of the token whose logits row
// this is (entry i of the table: for the i-th logits row). Table of attention tiles, one uvec4
// each: first token (of the dispatch), tokens in the tile, first entry of the sequence in the page
// table, position of the first token. Page table, one uvec4 a page: its first cell in x.

#endif
