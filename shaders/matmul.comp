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
#include "lib/subgroup.glsl"
#endif
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint NT = 1;
#ifdef WIDE
layout(constant_id = 0) const uint LANES = 8;
#ifdef LOAD_IMAGE
layout(constant_id = 2) const bool BROADCAST = false;
#endif
#include "lib/lanes.glsl"
#else
uint lane = gl_LocalInvocationID.x;
#endif

STREAM_BUFFER(0, weights)
STREAM_BUFFER(1, acts)
READ_BUFFER(2, residual)
layout(set = 0, binding = 3, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_matmul p; };

#include "lib/format.glsl"

// Tiles of a workgroup, and of a lane: two for one token of 16 lanes (lib/tile.glsl tells why).
#ifdef WIDE
const uint TILES = NT == 1u && LANES == 16u ? 2u : 1u;
#else
const uint TILES = 1u;
#endif
const uint AT_ONCE = gl_WorkGroupSize.x / TILE_LANES * TILES;

void put(uint tile, uint token, vec4 y[NT])
{
    uint at = token * p.y_stride + p.y_offset + tile * TILE_LANES + lane % TILE_LANES;
    [[unroll]] for (uint t = 0u; t < NT; t++) {
        if (tile < p.n_tiles && token + t < p.n_tokens) {
            if (p.add != 0u) y[t] += LOADF4(residual, at);
            result[at] = y[t];
        }
        at += p.y_stride;
    }
}

void main()
{
    uint n_groups = (p.n_tiles + AT_ONCE - 1u) / AT_ONCE;
    uint runs = (n_groups + gl_NumWorkGroups.x - 1u) / gl_NumWorkGroups.x;
    uint group = gl_WorkGroupID.z % runs * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint token = (gl_WorkGroupID.z / runs * gl_NumWorkGroups.y + gl_WorkGroupID.y) * NT;
    if (group >= n_groups || token >= p.n_tokens) return; // whole: lanes need each other
#ifdef WIDE // a workgroup's tiles are far apart: each reads on where the workgroup's before ended
    uint tile = group + lane / TILE_LANES * n_groups, next = tile + 2u * n_groups;
#else
    uint tile = group * AT_ONCE + lane / TILE_LANES;
#endif
    uint texels = p.n_blocks * BLOCK_TEXELS, w = tile * texels + lane % TILE_LANES;
    uint x = token * p.n_blocks * ACT_TEXELS, x_step = p.n_blocks * ACT_TEXELS;

    vec4 y[NT];
    [[unroll]] for (uint t = 0u; t < NT; t++) y[t] = vec4(0.0);
#ifdef WIDE
    if (TILES == 2u) {
        vec4 y2[NT];
        y2[0] = vec4(0.0);
        tile_dot_two(w, next * texels + lane % TILE_LANES, x, p.n_blocks, y[0], y2[0]);
        put(next, token, y2);
    } else
#endif
        tile_dot(w, x, x_step, p.n_blocks, y);
    put(tile, token, y);
}
