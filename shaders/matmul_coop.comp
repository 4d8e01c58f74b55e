// y[t, r] (+)= sum over c of w[r, c] * x[t, c] for many tokens, by cooperative matrices: f16
// weights and activations, f32 sums. A workgroup is four subgroups and makes 64 rows (two tiles)
// times 64 tokens, two blocks of 32 columns at a time: both operands become f16 in shared memory,
// whatever the weights' format, and each subgroup multiplies its 32 rows by its 32 tokens.
//
// The device says which matrices it has (M rows, N tokens, K columns): M and N divide 32, K divides
// 64. With 16x16x16 a subgroup reads 2 + 2 matrices for 4 products: 1 KB of shared memory for
// 16,384 multiplications, 128 bytes and 2,048 multiplications a clock each on Ampere: the two are
// level. Rows of shared memory are 72 values apart: 36 banks, so that eight rows of 16 bytes touch
// 32 different ones. Shared memory is 18 KB of operands and 1 KB a subgroup (of 16x16) for results:
// 22 KB, which every device with cooperative matrices has; 4 workgroups, 16 subgroups, on a
// multiprocessor of 100 KB.
//
// Rounding: weights and activations to f16, 2^-11 of each; activations beyond 65,504 are clamped.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "push.h"
#include "lib/bytes.glsl"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in; // four subgroups
layout(constant_id = 1) const uint M = 16;
layout(constant_id = 2) const uint N = 16;
layout(constant_id = 3) const uint K = 16;

READ_ONLY_BUFFER(0, weights)
READ_ONLY_BUFFER(1, acts)
READ_BUFFER(2, residual)
layout(set = 0, binding = 3, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_matmul p; };

#include "lib/rows.glsl"

const uint ROWS = 64u, TOKENS = 64u, COLS = 64u, PART = 32u; // PART: rows and tokens of a subgroup
const uint STRIDE = COLS / 8u + 1u;                          // of rows in shared memory, uvec4
const uint ACT_F32_TEXELS = 8u, GROUPS = 4u;

shared uvec4 w_f16[ROWS * STRIDE];
shared uvec4 x_f16[TOKENS * STRIDE];
shared vec4 y_f32[GROUPS * M * N / 4u];

// Neighbours read neighbouring texels: lane i % 8, row i / 8 % 4, tile i / 32 % 2.
uint row_of(uint i) { return i / 32u % 2u * TILE_ROWS + i % 8u * 4u + i / 8u % 4u; }

#ifdef ROW_INTS
void fetch_weights(uint first_tile, uint first_block) // 32 columns of a row at a time
{
    for (uint i = gl_LocalInvocationID.x; i < ROWS * 2u; i += gl_WorkGroupSize.x) {
        uint tile = first_tile + i / 32u % 2u, block = first_block + i / 64u;
        uvec4 h[4] = uvec4[4](uvec4(0u), uvec4(0u), uvec4(0u), uvec4(0u));
        if (tile < p.n_tiles && block < p.n_blocks)
            row_f16(tile * p.n_blocks + block, i % 8u, i / 8u % 4u, h);
        [[unroll]] for (uint k = 0u; k < 4u; k++)
            w_f16[row_of(i) * STRIDE + i / 64u * 4u + k] = h[k];
    }
}
#else
void fetch_weights(uint first_tile, uint first_block) // 8 of them
{
    for (uint i = gl_LocalInvocationID.x; i < ROWS * 8u; i += gl_WorkGroupSize.x) {
        uint tile = first_tile + i / 32u % 2u, part = i / 64u, block = first_block + part / 4u;
        uvec4 h = uvec4(0u);
        if (tile < p.n_tiles && block < p.n_blocks)
            h = row_part((tile * p.n_blocks + block) * BLOCK_TEXELS + i % 8u, i / 8u % 4u,
                         part % 4u);
        w_f16[row_of(i) * STRIDE + part] = h;
    }
}
#endif

uvec2 to_f16(vec4 v)
{
    v = clamp(v, -65504.0, 65504.0);
    return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
}

void fetch_acts(uint first_token, uint first_block)
{
    for (uint i = gl_LocalInvocationID.x; i < TOKENS * COLS / 8u; i += gl_WorkGroupSize.x) {
        uint token = i / 8u, part = i % 8u, block = first_block + part / 4u;
        uvec4 h = uvec4(0u);
        if (first_token + token < p.n_tokens && block < p.n_blocks) {
            uint at = ((first_token + token) * p.n_blocks + block) * ACT_F32_TEXELS + part % 4u * 2u;
            h = uvec4(to_f16(LOADF4(acts, at)), to_f16(LOADF4(acts, at + 1u)));
        }
        x_f16[token * STRIDE + part] = h;
    }
}

// One matrix of results, through shared memory, because tokens may end inside of it.
void put(uint lane, uint group, uint first_row, uint first_token)
{
    for (uint i = lane; i < M * N / 4u; i += gl_SubgroupSize) {
        uint token = first_token + i / (M / 4u), row = first_row + i % (M / 4u) * 4u;
        uint at = token * p.y_stride + p.y_offset + row / 4u;
        if (token < p.n_tokens && row / TILE_ROWS < p.n_tiles) {
            vec4 v = y_f32[group * (M * N / 4u) + i];
            if (p.add != 0u) v += LOADF4(residual, at);
            result[at] = v;
        }
    }
}

void main()
{
    const uint RF = PART / M, TF = PART / N;
    uint group = gl_SubgroupID, lane = gl_SubgroupInvocationID;
    uint row0 = group / 2u * PART, token0 = group % 2u * PART;
    uint first_tile = gl_WorkGroupID.x * 2u, first_token = gl_WorkGroupID.y * TOKENS;
    coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator> y[RF * TF];
    for (uint i = 0u; i < RF * TF; i++)
        y[i] = coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>(0.0);
    for (uint b = 0u; b < p.n_blocks; b += 2u) {
        fetch_weights(first_tile, b);
        fetch_acts(first_token, b);
        barrier();
        for (uint k = 0u; k < COLS; k += K) {
            coopmat<float16_t, gl_ScopeSubgroup, K, N, gl_MatrixUseB> x[TF];
            [[unroll]] for (uint t = 0u; t < TF; t++)
                coopMatLoad(x[t], x_f16, (token0 + t * N) * STRIDE + k / 8u, STRIDE,
                            gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint r = 0u; r < RF; r++) {
                coopmat<float16_t, gl_ScopeSubgroup, M, K, gl_MatrixUseA> w;
                coopMatLoad(w, w_f16, (row0 + r * M) * STRIDE + k / 8u, STRIDE,
                            gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint t = 0u; t < TF; t++)
                    y[r * TF + t] = coopMatMulAdd(w, x[t], y[r * TF + t]);
            }
        }
        barrier();
    }
    for (uint i = 0u; i < RF * TF; i++) {
        coopMatStore(y[i], y_f32, group * (M * N / 4u), M / 4u,
                     gl_CooperativeMatrixLayoutColumnMajor);
        barrier();
        put(lane, group, first_tile * TILE_ROWS + row0 + i / TF * M,
            first_token + token0 + i % TF * N);
        barrier();
    }
}
