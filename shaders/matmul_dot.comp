// y[t, r] (+)= sum over c of w[r, c] * x[t, c] for few tokens, by integer dot products: the matvec
// of GPUs. A workgroup a tile of 32 rows; its lanes are 8 times SLICES, 8 for the tile's rows (four
// each, as everywhere) and SLICES that take the blocks of 32 columns in turn, so that loads of many
// blocks are under way at once. Their sums meet in shared memory, in the order of the slices.
//
// Why 16 slices, 128 lanes. A matvec is done when the weights have been read, if enough of them are
// asked for at any time: a GPU of 760 GB/s with 0.5 us latency needs 380 KB under way. A lane of q4
// has 5 texels under way, 80 bytes, a workgroup 10 KB. 4,096 rows are 128 workgroups, 1.3 MB; with
// one lane group a tile and all columns in turn, as matmul.comp has it for 8 lanes, it would be 82
// KB and a fifth of the bandwidth at best. At 128 lanes the 18 blocks of a small model (576
// columns) still give every slice one, and a workgroup is two or four subgroups: schedulers place
// many of them. Arithmetic for q4: 160 operations to spread nibbles, 32 dots and 40 for scales a
// lane and 80 bytes, 3 a byte; GPUs have 10 to 20 operations a byte of bandwidth.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/bytes.glsl"
#include "lib/load.glsl"
#include "lib/dot.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint NT = 1;

READ_ONLY_BUFFER(0, weights)
READ_ONLY_BUFFER(1, acts)
READ_BUFFER(2, residual)
layout(set = 0, binding = 3, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_matmul p; };

#include "lib/rows.glsl"

shared vec4 partial[NT * gl_WorkGroupSize.x];
uint id = gl_LocalInvocationID.x;

// The four rows of a lane times NT columns of activations.
void add_block(uint block, uint x, uint x_step, inout vec4 y[NT])
{
    uvec4 a[NT], b[NT];
    vec4 f[NT]; // scales of the halves, sums
    [[unroll]] for (uint t = 0u; t < NT; t++) {
        a[t] = LOAD4(acts, x + t * x_step);
        b[t] = LOAD4(acts, x + t * x_step + 1u);
        f[t] = LOADF4(acts, x + t * x_step + 2u);
    }
    [[unroll]] for (uint row = 0u; row < 4u; row++) {
        row_ints r = ROW_LOAD(block, id % TILE_LANES, row);
        [[unroll]] for (uint t = 0u; t < NT; t++) {
            vec2 n = vec2(DOT16X8(r.a, a[t]), DOT16X8(r.b, b[t]));
            y[t][row] += dot(r.d * f[t].xy, n);
            if (ROW_MIN) y[t][row] += dot(r.m, f[t].zw);
        }
    }
}

void main()
{
    uint lanes = gl_WorkGroupSize.x, tile = gl_WorkGroupID.x;
    uint token = gl_WorkGroupID.y * NT, step = p.n_blocks * I8_TEXELS;
    vec4 y[NT];
    [[unroll]] for (uint t = 0u; t < NT; t++) y[t] = vec4(0.0);
    for (uint b = id / TILE_LANES; b < p.n_blocks; b += lanes / TILE_LANES)
        add_block(tile * p.n_blocks + b, token * step + b * I8_TEXELS, step, y);
    [[unroll]] for (uint t = 0u; t < NT; t++) partial[t * lanes + id] = y[t];
    barrier();
    for (uint i = id; i < NT * TILE_LANES; i += lanes) { // token i / 8, lane i % 8
        uint t = i / TILE_LANES, lane = i % TILE_LANES;
        vec4 sum = vec4(0.0);
        for (uint k = lane; k < lanes; k += TILE_LANES) sum += partial[t * lanes + k];
        uint at = (token + t) * p.y_stride + p.y_offset + tile * TILE_LANES + lane;
        if (token + t < p.n_tokens) {
            if (p.add != 0u) sum += LOADF4(residual, at);
            result[at] = sum;
        }
    }
}
