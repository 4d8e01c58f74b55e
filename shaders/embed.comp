// x[t, :] = row of the embedding matrix for token t; padding columns are zero because the tiles'
// padding is. One workgroup a token.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in;

READ_BUFFER(0, weights)
READ_BUFFER(1, acts) // the table of tokens; the formats name their second buffer so
layout(set = 0, binding = 2, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_embed p; };

#include "lib/format.glsl"

void main()
{
    uint token = gl_WorkGroupID.x, row = LOAD4(acts, token).x;
    uint tile = row / TILE_ROWS, lane = row % TILE_ROWS / 4u;
    uint first = tile * p.n_blocks * BLOCK_TEXELS + lane;
    uint n4 = p.n_blocks * (BLOCK_COLS / 4u);
    for (uint i = gl_LocalInvocationID.x; i < n4; i += gl_WorkGroupSize.x) {
        uint at = first + i / 8u * BLOCK_TEXELS, col = i % 8u * 4u;
        vec4 v;
        [[unroll]] for (uint c = 0u; c < 4u; c++) v[c] = weight_at(at, row & 3u, col + c);
        result[token * p.x_stride + i] = v;
    }
}
