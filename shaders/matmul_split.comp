// matmul.comp for GPUs and few tokens, in the same arithmetic: a workgroup a tile of 32 rows, whose
// lanes are 8 times SLICES that take the blocks of 32 columns in turn. matmul_dot.comp says why, and
// why 16 slices. Formats without integer dot products (f16 and f32), devices without them, and who
// wants 9 and 10 bits of activations decode with this. A multiply of two rows of q4 costs four
// operations of 32 bits where GPUs do them at a quarter of the rate: 460 operations a lane and 80
// bytes, 6 a byte, which is still under what bandwidth leaves time for.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint NT = 1;

READ_ONLY_BUFFER(0, weights)
READ_ONLY_BUFFER(1, acts)
READ_BUFFER(2, residual)
layout(set = 0, binding = 3, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_matmul p; };

#include "lib/format.glsl"

shared vec4 partial[NT * gl_WorkGroupSize.x];

void main()
{
    uint id = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x, tile = gl_WorkGroupID.x;
    uint token = gl_WorkGroupID.y * NT, step = p.n_blocks * ACT_TEXELS;
    vec4 y[NT];
    [[unroll]] for (uint t = 0u; t < NT; t++) y[t] = vec4(0.0);
    for (uint b = id / TILE_LANES; b < p.n_blocks; b += lanes / TILE_LANES) {
        uint unit = (tile * p.n_blocks + b) / UNIT_BLOCKS; // a tile is whole units
        block_weights w = UNIT_LOAD(unit * UNIT_TEXELS + id % TILE_LANES, b % UNIT_BLOCKS);
        uint x = token * step + b * ACT_TEXELS;
        [[unroll]] for (uint t = 0u; t < NT; t++) y[t] += block_dot(w, acts_load(x + t * step, 0u, 1u), 0u);
    }
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
