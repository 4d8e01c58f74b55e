// Rotary embedding of q and k in interleaved pairs, and the cache write. One workgroup a token.
//
//   (a, b) -> (a cos - b sin, a sin + b cos), angle of pair i of a head from the table that the host
//   computed in double: cos and sin of position * frequency_i, one vec4 (two pairs) at a time
//
// q is scaled by 1/sqrt(head_dim). Cache: element (cell * n_kv_heads + head) * kv_dim + e for K, plus
// v_base for V.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"
#include "lib/load.glsl"
#define CACHE_WRITE 4

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint KV_TYPE = KV_F16;

READ_BUFFER(0, qkv)
READ_BUFFER(1, angles)
READ_BUFFER(2, table)
layout(set = 0, binding = 3, std430) writeonly buffer q_block { vec4 q[]; };
layout(push_constant) uniform push_block { push_rope p; };
#include "lib/cache.glsl"

vec4 rotate(vec4 v, vec4 a) // a = cos, sin, cos, sin
{
    return vec4(v.x * a.x - v.y * a.y, v.x * a.y + v.y * a.x, v.z * a.z - v.w * a.w,
                v.z * a.w + v.w * a.z);
}

void main()
{
    uint token = gl_WorkGroupID.x, entry = p.token_base + token, cell = LOAD4(table, entry).y;
    uint hd4 = p.head_dim / 4u, src = token * p.qkv_stride, ang = entry * hd4;
    uint nq = p.n_heads * hd4, nk = p.n_kv_heads * hd4;
    uint cache = cell * p.n_kv_heads * (p.kv_dim / 4u);
    for (uint i = gl_LocalInvocationID.x; i < nq + 2u * nk; i += gl_WorkGroupSize.x) {
        if (i < nq) {
            vec4 v = rotate(LOADF4(qkv, src + p.q_offset + i), LOADF4(angles, ang + i % hd4));
            q[token * p.q_stride + p.q_offset + i] = v * p.q_scale;
        } else {
            bool key = i < nq + nk;
            uint j = key ? i - nq : i - nq - nk;
            vec4 v = LOADF4(qkv, src + (key ? p.k_offset : p.v_offset) + j);
            if (key) v = rotate(v, LOADF4(angles, ang + j % hd4));
            cache_store4((key ? 0u : p.v_base / 4u) + cache + j / hd4 * (p.kv_dim / 4u) + j % hd4,
                         v);
        }
    }
}
