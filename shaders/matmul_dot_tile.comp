// y[t, r] (+)= sum over c of w[r, c] * x[t, c] for many tokens, by integer dot products. A
// workgroup of 128 makes 64 rows (two tiles) times 64 tokens, two blocks of 32 columns at a time,
// through shared memory: bytes of the weights [column word][row], activations [half][token].
//
// An invocation makes 4 rows of 8 tokens. For a half of 16 columns it reads 4 + 8 uvec4 of shared
// memory for 128 dots: at 128 bytes and 64 dots a clock each (Ampere, RDNA2 alike) 1.5 clocks a
// subgroup's reads stand against 2 of its dots. Weights are spread to bytes once for 64 tokens.
// Shared memory is 12 KB: under the 16 KB that Vulkan promises, and 8 workgroups, 32 subgroups of
// 32, on a multiprocessor of 100 KB. 32 f32 sums, 16 words of weights and what is in flight take 70
// to 90 registers, which 65,536 of them give to 5 or 6 such workgroups.
//
// An integer sum becomes f32 without a conversion, which GPUs make at a quarter of the rate: sums
// start at the bits of 1.5 * 2^23, to which up to 2^22 can be added either way, and here it is at
// most 16 * 128 * 127.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/bytes.glsl"
#include "lib/load.glsl"
#include "lib/dot.glsl"

layout(local_size_x = 128) in;

READ_ONLY_BUFFER(0, weights)
READ_ONLY_BUFFER(1, acts)
READ_BUFFER(2, residual)
layout(set = 0, binding = 3, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_matmul p; };

#include "lib/rows.glsl"

const uint ROWS = 64u, TOKENS = 64u, TN = 8u; // TN: tokens of an invocation
const uint HALVES = 4u;                       // of the two blocks
const int START = 0x4b400000;                 // the bits of 1.5 * 2^23

shared uint w_bytes[HALVES * 4u * ROWS];
shared float w_d[HALVES * ROWS], w_m[HALVES * ROWS];
shared uvec4 x_bytes[HALVES * TOKENS];
shared vec2 x_scale[HALVES * TOKENS]; // and the sum

// Invocation i: lane i % 8, row i / 8 % 4, tile i / 32 % 2 and block i / 64, so that neighbours
// read neighbouring texels.
void fetch_weights(uint i, uint first_tile, uint first_block)
{
    uint lane = i % 8u, row = i / 8u % 4u, tile = i / 32u % 2u, half0 = i / 64u * 2u;
    uint block = first_block + i / 64u, at = tile * TILE_ROWS + 4u * lane + row;
    row_ints r = row_ints(uvec4(0u), uvec4(0u), vec2(0.0), vec2(0.0));
    if (first_tile + tile < p.n_tiles && block < p.n_blocks)
        r = ROW_LOAD((first_tile + tile) * p.n_blocks + block, lane, row);
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        w_bytes[(half0 * 4u + k) * ROWS + at] = r.a[k];
        w_bytes[(half0 * 4u + 4u + k) * ROWS + at] = r.b[k];
    }
    w_d[half0 * ROWS + at] = r.d.x;
    w_d[(half0 + 1u) * ROWS + at] = r.d.y;
    if (ROW_MIN) {
        w_m[half0 * ROWS + at] = r.m.x;
        w_m[(half0 + 1u) * ROWS + at] = r.m.y;
    }
}

// Three texels of both blocks of 64 tokens, three of them an invocation.
void fetch_acts(uint i, uint first_token, uint first_block)
{
    [[unroll]] for (uint k = 0u; k < 3u; k++) {
        uint n = i + 128u * k, token = n / 6u, block = n % 6u / 3u, part = n % 3u;
        bool there = first_token + token < p.n_tokens && first_block + block < p.n_blocks;
        uvec4 v = uvec4(0u);
        if (there)
            v = LOAD4(acts, ((first_token + token) * p.n_blocks + first_block + block) * I8_TEXELS +
                                part);
        if (part < 2u) {
            x_bytes[(2u * block + part) * TOKENS + token] = v;
        } else {
            vec4 f = uintBitsToFloat(v); // scales of the halves, sums
            x_scale[2u * block * TOKENS + token] = f.xz;
            x_scale[(2u * block + 1u) * TOKENS + token] = f.yw;
        }
    }
}

uvec4 four_rows(uint word, uint quad)
{
    uint at = word * ROWS + 4u * quad;
    return uvec4(w_bytes[at], w_bytes[at + 1u], w_bytes[at + 2u], w_bytes[at + 3u]);
}

ivec4 dot_rows(uvec4 w, uint x, ivec4 s)
{
    return s + ivec4(DOT4X8(w.x, x), DOT4X8(w.y, x), DOT4X8(w.z, x), DOT4X8(w.w, x));
}

vec4 floats(uint half_, uint quad, bool minimum)
{
    vec4 v;
    uint at = half_ * ROWS + 4u * quad;
    [[unroll]] for (uint r = 0u; r < 4u; r++) v[r] = minimum ? w_m[at + r] : w_d[at + r];
    return v;
}

void multiply(uint quad, uint group, inout vec4 y[TN])
{
    [[unroll]] for (uint h = 0u; h < HALVES; h++) {
        uvec4 w0 = four_rows(4u * h, quad), w1 = four_rows(4u * h + 1u, quad);
        uvec4 w2 = four_rows(4u * h + 2u, quad), w3 = four_rows(4u * h + 3u, quad);
        vec4 d = floats(h, quad, false), m = ROW_MIN ? floats(h, quad, true) : vec4(0.0);
        [[unroll]] for (uint t = 0u; t < TN; t++) {
            uvec4 x = x_bytes[h * TOKENS + group * TN + t];
            vec2 f = x_scale[h * TOKENS + group * TN + t];
            ivec4 s = dot_rows(w0, x.x, ivec4(START));
            s = dot_rows(w3, x.w, dot_rows(w2, x.z, dot_rows(w1, x.y, s)));
            y[t] += d * f.x * (intBitsToFloat(s) - 12582912.0);
            if (ROW_MIN) y[t] += m * f.y;
        }
    }
}

void main()
{
    uint id = gl_LocalInvocationID.x, quad = id % 16u, group = id / 16u;
    uint first_tile = gl_WorkGroupID.x * 2u, first_token = gl_WorkGroupID.y * TOKENS;
    vec4 y[TN];
    [[unroll]] for (uint t = 0u; t < TN; t++) y[t] = vec4(0.0);
    for (uint b = 0u; b < p.n_blocks; b += 2u) {
        fetch_weights(id, first_tile, b);
        fetch_acts(id, first_token, b);
        barrier();
        multiply(quad, group, y);
        barrier();
    }
    if (first_tile + quad / 8u >= p.n_tiles) return;
    uint token = first_token + group * TN;
    uint at = token * p.y_stride + p.y_offset + first_tile * TILE_LANES + quad;
    [[unroll]] for (uint t = 0u; t < TN; t++) {
        if (token + t < p.n_tokens) {
            if (p.add != 0u) y[t] += LOADF4(residual, at);
            result[at] = y[t];
        }
        at += p.y_stride;
    }
}
