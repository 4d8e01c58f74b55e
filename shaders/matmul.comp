// y[t, r] (+)= sum over c of w[r, c] * x[t, c] for NT tokens a lane; NT = 1 is the matvec.
// w in tiles (formats/*.glsl), x as activation records (norm.comp), y f32. One tile is 8 lanes,
// whatever the subgroup size; several tiles share a workgroup where the device likes that.
//
// Workgroups, in the order that caches like where they run in turn: x runs over a few neighbouring
// tiles, y over the tokens of a part of the pass, z over all the tiles for a part, then the next part.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef WIDE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint NT = 1;

READ_BUFFER(0, weights)
READ_BUFFER(1, acts)
READ_BUFFER(2, residual)
layout(set = 0, binding = 3, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_matmul p; };

#include "lib/format.glsl"

void main()
{
    uint tiles = gl_NumWorkGroups.x * (gl_WorkGroupSize.x / TILE_LANES);
    uint runs = (p.n_tiles + tiles - 1u) / tiles;
    uint tile = gl_WorkGroupID.z % runs * tiles + gl_GlobalInvocationID.x / TILE_LANES;
    uint token = (gl_WorkGroupID.z / runs * gl_NumWorkGroups.y + gl_WorkGroupID.y) * NT;
    if (tile >= p.n_tiles || token >= p.n_tokens) return;
    uint lane = gl_LocalInvocationID.x % TILE_LANES;
    uint w = tile * p.n_blocks * BLOCK_TEXELS + lane;
    uint x = token * p.n_blocks * ACT_TEXELS, x_step = p.n_blocks * ACT_TEXELS;

    vec4 y[NT];
    [[unroll]] for (uint t = 0u; t < NT; t++) y[t] = vec4(0.0);
    tile_dot(w, x, x_step, p.n_blocks, lane, y);

    uint at = token * p.y_stride + p.y_offset + tile * TILE_LANES + lane;
    [[unroll]] for (uint t = 0u; t < NT; t++) {
        if (token + t < p.n_tokens) {
            if (p.add != 0u) y[t] += LOADF4(residual, at);
            result[at] = y[t];
        }
        at += p.y_stride;
    }
}
