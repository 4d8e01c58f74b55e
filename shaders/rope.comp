// Rotary embedding of q and k in interleaved pairs, and the cache write. One workgroup a token.
//
//   (a, b) -> (a cos - b sin, a sin + b cos), angle of pair i of a head from the table that the host
//   computed in double: cos and sin of position * frequency_i, one vec4 (two pairs) at a time
//
// q is scaled by 1/sqrt(head_dim). Cache: element cache_row(cell, head) * kv_dim + e for K, plus
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

// vec4 i of head `head` of this token's k, rotated, or v.
vec4 kv4(bool key, uint head, uint i, uint ang)
{
    uint hd4 = p.head_dim / 4u;
    uint at = gl_WorkGroupID.x * p.qkv_stride + (key ? p.k_offset : p.v_offset) + head * hd4 + i;
    vec4 v = LOADF4(qkv, at);
    return key ? rotate(v, LOADF4(angles, ang + i)) : v;
}

void store_kv(bool key, uint head, uint i, uint cell, uint ang) // a vec4, or a unit of quantised types
{
    uint at = cache_row(cell, head, p.n_kv_heads) * p.kv_dim + (key ? 0u : p.v_base);
    if (CACHE_QUANTISED) {
        vec4 v[16];
        for (uint k = 0u; k < 16u; k++) {
            v[k] = vec4(0.0);
            if (16u * i + k < p.head_dim / 4u) v[k] = kv4(key, head, 16u * i + k, ang);
        }
        cache_store64(at / 64u + i, v);
    } else {
        cache_store4(at / 4u + i, kv4(key, head, i, ang));
    }
}

void main()
{
    uint token = gl_WorkGroupID.x, entry = p.token_base + token, cell = LOAD4(table, entry).y;
    uint hd4 = p.head_dim / 4u, src = token * p.qkv_stride + p.q_offset, ang = entry * hd4;
    uint pieces = CACHE_QUANTISED ? p.kv_dim / 64u : hd4; // of a head
    uint nq = p.n_heads * hd4, nk = p.n_kv_heads * pieces;
    uint i = gl_LocalInvocationID.x, n = nq + 2u * nk;
    do { // tests at the end: lib/tile.glsl tells why
        if (i >= n) break;
        if (i < nq) {
            vec4 v = rotate(LOADF4(qkv, src + i), LOADF4(angles, ang + i % hd4));
            q[token * p.q_stride + p.q_offset + i] = v * p.q_scale;
        } else {
            bool key = i < nq + nk;
            uint j = key ? i - nq : i - nq - nk;
            store_kv(key, j / pieces, j % pieces, cell, ang);
        }
    } while ((i += gl_WorkGroupSize.x) < n);
}
