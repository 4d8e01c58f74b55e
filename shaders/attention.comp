// Causal attention with online softmax for NQ queries that share one key/value head: HC query heads
// of the group times TT consecutive tokens of one sequence. One workgroup of 8 lanes a tile.
//
// A chunk is 32 positions, a page of the cache. Scores: lane l owns positions l, l+8, l+16, l+24, so a key is read by one
// lane. Values: lane l owns elements 8l..8l+7 of each 64, and takes each weight from its owner.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifndef NO_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x = 8) in;
layout(constant_id = 0) const uint HEAD_DIM = 64;
layout(constant_id = 1) const uint GROUP = 1; // query heads a key/value head
layout(constant_id = 2) const uint HC = 1;    // of them in this tile
layout(constant_id = 3) const uint TT = 1;    // tokens in this tile
layout(constant_id = 4) const uint KV_TYPE = KV_F16;

const uint NQ = HC * TT;
const uint UNITS = (HEAD_DIM + 63u) / 64u; // of 64 elements
const uint STEPS = HEAD_DIM / 8u;

READ_BUFFER(0, q)
READ_BUFFER(1, kv)
READ_BUFFER(2, tiles)
READ_BUFFER(3, pages)
layout(set = 0, binding = 4, std430) writeonly buffer result_block { vec4 result[]; };
layout(push_constant) uniform push_block { push_attention p; };

#define CACHE_READ
#include "lib/cache.glsl"

#ifdef NO_SUBGROUP
shared float exchange[8];
float from_lane(float v, uint lane)
{
    barrier();
    exchange[gl_LocalInvocationID.x] = v;
    barrier();
    return exchange[lane];
}
float from_xor(float v, uint mask) { return from_lane(v, gl_LocalInvocationID.x ^ mask); }
#else
uint first_lane = gl_SubgroupInvocationID & ~7u;
float from_lane(float v, uint lane) { return subgroupShuffle(v, first_lane + lane); }
float from_xor(float v, uint mask) { return subgroupShuffleXor(v, mask); }
#endif

float max8(float v)
{
    v = max(v, from_xor(v, 1u));
    v = max(v, from_xor(v, 2u));
    return max(v, from_xor(v, 4u));
}

float sum8(float v)
{
    v += from_xor(v, 1u);
    v += from_xor(v, 2u);
    return v + from_xor(v, 4u);
}

void main()
{
    const float NEVER = -1e30; // below any score, and exp(NEVER - NEVER) is not NaN
    uint lane = gl_LocalInvocationID.x;
    uint heads_per_kv = GROUP / HC;
    uint kv_head = gl_WorkGroupID.x / heads_per_kv;
    uint head = kv_head * GROUP + gl_WorkGroupID.x % heads_per_kv * HC;
    // first token, tokens, first entry of the page table, position
    uvec4 tile = LOAD4(tiles, p.tile_base + gl_WorkGroupID.y);
    uint n_positions = tile.w + tile.y;

    vec4 qa[NQ * STEPS], qb[NQ * STEPS];
    [[unroll]] for (uint i = 0u; i < NQ; i++) {
        uint token = tile.x + min(i / HC, tile.y - 1u);
        uint at = token * p.q_stride + p.q_offset + (head + i % HC) * (HEAD_DIM / 4u);
        [[unroll]] for (uint s = 0u; s < STEPS; s++) {
            qa[i * STEPS + s] = LOADF4(q, at + 2u * s);
            qb[i * STEPS + s] = LOADF4(q, at + 2u * s + 1u);
        }
    }

    float most[NQ], total[NQ];
    vec4 ya[NQ * UNITS], yb[NQ * UNITS];
    [[unroll]] for (uint i = 0u; i < NQ; i++) {
        most[i] = NEVER;
        total[i] = 0.0;
        [[unroll]] for (uint u = 0u; u < UNITS; u++)
            ya[i * UNITS + u] = yb[i * UNITS + u] = vec4(0.0);
    }

    for (uint chunk = 0u; chunk < n_positions; chunk += KV_PAGE) {
        uint cell = LOAD4(pages, tile.z + chunk / KV_PAGE).x;
        uint base = cache_row(cell, kv_head, p.n_kv_heads) * UNITS;
        float w[4 * NQ];
        [[unroll]] for (uint r = 0u; r < 4u; r++) {
            uint pos = chunk + 8u * r + lane, at = base + (8u * r + lane) * UNITS;
            vec4 s[NQ];
            [[unroll]] for (uint i = 0u; i < NQ; i++) s[i] = vec4(0.0);
            [[unroll]] for (uint k = 0u; k < STEPS; k++) {
                vec8 key = cache_load8(at + k / 8u, k % 8u);
                [[unroll]] for (uint i = 0u; i < NQ; i++)
                    s[i] += key.a * qa[i * STEPS + k] + key.b * qb[i * STEPS + k];
            }
            [[unroll]] for (uint i = 0u; i < NQ; i++) {
                bool seen = pos <= tile.w + min(i / HC, tile.y - 1u);
                w[r * NQ + i] = seen ? (s[i].x + s[i].y) + (s[i].z + s[i].w) : NEVER;
            }
        }
        [[unroll]] for (uint i = 0u; i < NQ; i++) {
            float m = max(max(w[i], w[NQ + i]), max(w[2u * NQ + i], w[3u * NQ + i]));
            m = max(most[i], max8(m));
            float shrink = exp(most[i] - m);
            most[i] = m;
            [[unroll]] for (uint r = 0u; r < 4u; r++) w[r * NQ + i] = exp(w[r * NQ + i] - m);
            total[i] = total[i] * shrink +
                       ((w[i] + w[NQ + i]) + (w[2u * NQ + i] + w[3u * NQ + i]));
            [[unroll]] for (uint u = 0u; u < UNITS; u++) {
                ya[i * UNITS + u] *= shrink;
                yb[i * UNITS + u] *= shrink;
            }
        }
        uint values = p.v_base / 64u + base;
        [[unroll]] for (uint r = 0u; r < 4u; r++) {
            [[unroll]] for (uint j = 0u; j < 8u; j++) {
                vec8 v[UNITS];
                [[unroll]] for (uint u = 0u; u < UNITS; u++)
                    v[u] = cache_load8(values + (8u * r + j) * UNITS + u, lane);
                [[unroll]] for (uint i = 0u; i < NQ; i++) {
                    float weight = from_lane(w[r * NQ + i], j);
                    [[unroll]] for (uint u = 0u; u < UNITS; u++) {
                        ya[i * UNITS + u] += weight * v[u].a;
                        yb[i * UNITS + u] += weight * v[u].b;
                    }
                }
            }
        }
    }

    [[unroll]] for (uint i = 0u; i < NQ; i++) {
        float scale = 1.0 / sum8(total[i]);
        if (i / HC >= tile.y) continue;
        uint at = (tile.x + i / HC) * p.q_stride + p.q_offset + (head + i % HC) * (HEAD_DIM / 4u) +
                  2u * lane;
        [[unroll]] for (uint u = 0u; u < UNITS; u++)
            if (8u * lane + 64u * u < HEAD_DIM) {
                result[at + 16u * u] = ya[i * UNITS + u] * scale;
                result[at + 16u * u + 1u] = yb[i * UNITS + u] * scale;
            }
    }
}
