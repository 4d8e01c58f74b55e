// A context shift: rotates the keys of whole pages by one angle a pair, the same at every position,
// where they are; they are rounded once more. One workgroup a position of a page.
//
//   (a, b) -> (a cos - b sin, a sin + b cos), one vec4 (two pairs) at a time
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"
#include "lib/load.glsl"
#define CACHE_WRITE 2

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint KV_TYPE = KV_F16;

READ_BUFFER(0, angles)
READ_BUFFER(1, pages)
layout(push_constant) uniform push_block { push_shift p; };
#include "lib/cache.glsl"

vec4 rotate(vec4 v, uint i)
{
    vec4 a = LOADF4(angles, i); // cos, sin, cos, sin
    return vec4(v.x * a.x - v.y * a.y, v.x * a.y + v.y * a.x, v.z * a.z - v.w * a.w,
                v.z * a.w + v.w * a.z);
}

void main()
{
    uint cell = LOAD4(pages, p.first_entry + gl_WorkGroupID.x).x + gl_WorkGroupID.y;
    uint hd4 = p.head_dim / 4u, pieces = CACHE_QUANTISED ? p.kv_dim / 64u : hd4; // of a head
    for (uint i = gl_LocalInvocationID.x; i < p.n_kv_heads * pieces; i += gl_WorkGroupSize.x) {
        uint head = cache_row(cell, i / pieces, p.n_kv_heads) * p.kv_dim, piece = i % pieces;
        if (CACHE_QUANTISED) {
            vec4 v[16];
            cache_read64(head / 64u + piece, v);
            for (uint k = 0u; k < 16u; k++)
                if (16u * piece + k < hd4) v[k] = rotate(v[k], 16u * piece + k);
            cache_store64(head / 64u + piece, v);
        } else {
            uint at = head / 4u + piece;
            cache_store4(at, rotate(cache_read4(at), piece));
        }
    }
}
