// Causal attention with online softmax for NQ queries that share one key/value head: HC query heads
// of the group times TT consecutive tokens of one sequence. Workgroups of LANES, 8 or 16, one a
// tile, or several that share its context.
//
// The context is cut into slices of KV_SLICE positions, at the same places for every query. A slice
// has a softmax of its own: m, the largest score, t, the sum of weights exp(score - m), and y, the
// sum of weighted values. Slices are joined in their order:
//   m' = max(m, m2), t' = t exp(m - m') + t2 exp(m2 - m'), y' the same
// Where TT is 1 workgroups can take slices in turn: they leave y, m, t in `partial`, and who is
// done last joins them. So no result depends on how the work is shared.
//
// A chunk is 32 positions, a page of the cache. Scores: lane l owns positions l, l + LANES, ..., so
// a key is read by one lane. Values: lane l of 8 owns elements 8l..8l+7 of each 64, and takes each
// weight from its owner; of 16 lanes each half does so for the positions that it owns, and their
// sums are joined behind the slice. Lanes hold a query in eighths: 12 queries whole, the same in
// every lane, do not
// fit a processor's first cache beside keys and values. Loops are unrolled and arrays local, as
// lavapipe keeps no others in registers.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifndef NO_SUBGROUP
#include "lib/subgroup.glsl"
#endif
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 5) in;
layout(constant_id = 0) const uint HEAD_DIM = 64;
layout(constant_id = 1) const uint GROUP = 1; // query heads a key/value head
layout(constant_id = 2) const uint HC = 1;    // of them in this tile
layout(constant_id = 3) const uint TT = 1;    // tokens in this tile
layout(constant_id = 4) const uint KV_TYPE = KV_F16;
layout(constant_id = 5) const uint LANES = 8;
#ifdef LOAD_IMAGE
layout(constant_id = 6) const bool BROADCAST = false;
#endif

const uint NQ = HC * TT;
const uint UNITS = (HEAD_DIM + 63u) / 64u; // of 64 elements
const uint STEPS = HEAD_DIM / 8u;
const uint OWNED = KV_PAGE / LANES; // positions of a chunk that a lane takes the scores of
const uint RECORD = HEAD_DIM / 4u + 1u; // vec4s of a query's y, then m and t
// How lanes hold a query: each an eighth, or all of it where an exchange is dear.
#ifdef NO_SUBGROUP
const uint HELD = HEAD_DIM / 4u;
#define HELD_AT(h) (h)
#define QUERY4(i, t) queries[(i) * HELD + (t)]
#else
const uint HELD = (HEAD_DIM + 31u) / 32u;
#define HELD_AT(h) min(8u * (h) + lane % 8u, HEAD_DIM / 4u - 1u)
#define QUERY4(i, t) lane4(queries[(i) * HELD + (t) / 8u], (t) % 8u)
#endif
const float NEVER = -1e30; // below any score, and exp(NEVER - NEVER) is not NaN

READ_BUFFER(0, q)
STREAM_BUFFER(1, kv)
READ_BUFFER(2, tiles)
READ_BUFFER(3, pages)
layout(set = 0, binding = 4, std430) writeonly buffer result_block { vec4 result[]; };
layout(set = 0, binding = 5, std430) coherent buffer partial_block { vec4 partial[]; };
layout(set = 0, binding = 5, std430) coherent buffer count_block { uint arrived[]; };
layout(push_constant) uniform push_block { push_attention p; };

#define CACHE_READ
#include "lib/cache.glsl"

#include "lib/lanes.glsl"
#include "lib/slices.glsl"

void main()
{
    uint heads_per_kv = GROUP / HC;
    uint kv_head = gl_WorkGroupID.x / heads_per_kv;
    uint head = kv_head * GROUP + gl_WorkGroupID.x % heads_per_kv * HC;
    // first token, tokens, first entry of the page table, position
    uvec4 tile = LOAD4(tiles, p.tile_base + gl_WorkGroupID.y);
    uint n_positions = tile.w + tile.y, n_slices = (n_positions + KV_SLICE - 1u) / KV_SLICE;
    uint n_groups = TT == 1u ? min(p.n_groups, n_slices) : 1u;
    if (gl_WorkGroupID.z >= n_groups) return;
    // of this head: records, one a slice, and the counter
    uint record = gl_WorkGroupID.y * p.max_slices * p.n_heads + p.first_head + head;
    uint counter = gl_WorkGroupID.y * p.n_heads + p.first_head + head;

    vec4 queries[NQ * HELD];
    [[unroll]] for (uint i = 0u; i < NQ; i++) {
        uint token = tile.x + min(i / HC, tile.y - 1u);
        uint at = token * p.q_stride + p.q_offset + (head + i % HC) * (HEAD_DIM / 4u);
        [[unroll]] for (uint h = 0u; h < HELD; h++)
            queries[i * HELD + h] = LOADF4(q, at + HELD_AT(h));
    }
    float all_most[NQ], all_total[NQ]; // of the slices joined so far
    vec4 all_a[NQ * UNITS], all_b[NQ * UNITS];
    [[unroll]] for (uint i = 0u; i < NQ; i++) {
        all_most[i] = NEVER;
        all_total[i] = 0.0;
        [[unroll]] for (uint u = 0u; u < UNITS; u++)
            all_a[i * UNITS + u] = all_b[i * UNITS + u] = vec4(0.0);
    }

    uint slice = gl_WorkGroupID.z;
    do { // tests at the end: lib/tile.glsl tells why
        float most[NQ], total[NQ];
        vec4 ya[NQ * UNITS], yb[NQ * UNITS];
        [[unroll]] for (uint i = 0u; i < NQ; i++) {
            most[i] = NEVER;
            total[i] = 0.0;
            [[unroll]] for (uint u = 0u; u < UNITS; u++)
                ya[i * UNITS + u] = yb[i * UNITS + u] = vec4(0.0);
        }
        uint end = min(n_positions, (slice + 1u) * KV_SLICE);
        uint chunk = slice * KV_SLICE;
        do {
            uint cell = LOAD4(pages, tile.z + chunk / KV_PAGE).x;
            uint base = cache_row(cell, kv_head, p.n_kv_heads) * UNITS;
            float w[OWNED * NQ];
            [[unroll]] for (uint i = 0u; i < OWNED * NQ; i++) w[i] = 0.0;
            [[unroll]] for (uint k = 0u; k < STEPS; k++) {
                vec8 key[OWNED];
                [[unroll]] for (uint r = 0u; r < OWNED; r++)
                    key[r] = cache_load8(base + (LANES * r + lane) * UNITS + k / 8u, k % 8u);
                [[unroll]] for (uint i = 0u; i < NQ; i++) {
                    vec4 a = QUERY4(i, 2u * k), b = QUERY4(i, 2u * k + 1u);
                    [[unroll]] for (uint r = 0u; r < OWNED; r++) {
                        vec4 s = key[r].a * a + key[r].b * b;
                        w[r * NQ + i] += (s.x + s.y) + (s.z + s.w);
                    }
                }
            }
            [[unroll]] for (uint r = 0u; r < OWNED; r++)
                [[unroll]] for (uint i = 0u; i < NQ; i++)
                    if (chunk + LANES * r + lane > tile.w + min(i / HC, tile.y - 1u))
                        w[r * NQ + i] = NEVER;
            [[unroll]] for (uint i = 0u; i < NQ; i++) {
                float m = w[i], sum = 0.0;
                [[unroll]] for (uint r = 1u; r < OWNED; r++) m = max(m, w[r * NQ + i]);
                m = max(most[i], max_lanes(m));
                float shrink = exp(most[i] - m);
                most[i] = m;
                [[unroll]] for (uint r = 0u; r < OWNED; r++) {
                    w[r * NQ + i] = exp(w[r * NQ + i] - m);
                    sum += w[r * NQ + i];
                }
                total[i] = total[i] * shrink + sum;
                [[unroll]] for (uint u = 0u; u < UNITS; u++) {
                    ya[i * UNITS + u] *= shrink;
                    yb[i * UNITS + u] *= shrink;
                }
            }
            uint values = p.v_base / 64u + base;
            [[unroll]] for (uint r = 0u; r < OWNED; r++) {
                [[unroll]] for (uint j = 0u; j < 8u; j++) {
                    uint at = values + (LANES * r + (lane & 8u) + j) * UNITS;
                    vec8 v[UNITS];
                    [[unroll]] for (uint u = 0u; u < UNITS; u++)
                        v[u] = cache_load8(at + u, lane % 8u);
                    [[unroll]] for (uint i = 0u; i < NQ; i++) {
                        float weight = from_half(w[r * NQ + i], j);
                        [[unroll]] for (uint u = 0u; u < UNITS; u++) {
                            ya[i * UNITS + u] += weight * v[u].a;
                            yb[i * UNITS + u] += weight * v[u].b;
                        }
                    }
                }
            }
        } while ((chunk += KV_PAGE) < end);
        [[unroll]] for (uint i = 0u; i < NQ; i++) {
            float t = sum_lanes(total[i]);
            [[unroll]] for (uint u = 0u; u < UNITS; u++) {
                ya[i * UNITS + u] = sum_halves(ya[i * UNITS + u]);
                yb[i * UNITS + u] = sum_halves(yb[i * UNITS + u]);
            }
            if (TT == 1u && n_groups > 1u) {
                uint at = p.partial_base + (record + slice * p.n_heads + i) * RECORD;
                if (lane == 0u) partial[at + RECORD - 1u] = vec4(most[i], t, 0.0, 0.0);
                [[unroll]] for (uint u = 0u; u < UNITS; u++)
                    if (lane < 8u && 8u * lane + 64u * u < HEAD_DIM) {
                        partial[at + 2u * lane + 16u * u] = ya[i * UNITS + u];
                        partial[at + 2u * lane + 16u * u + 1u] = yb[i * UNITS + u];
                    }
            } else {
                vec2 f = join_softmax(all_most[i], all_total[i], most[i], t);
                [[unroll]] for (uint u = 0u; u < UNITS; u++) {
                    all_a[i * UNITS + u] = join_values(all_a[i * UNITS + u], ya[i * UNITS + u], f);
                    all_b[i * UNITS + u] = join_values(all_b[i * UNITS + u], yb[i * UNITS + u], f);
                }
            }
        }
    } while ((slice += n_groups) < n_slices);

    if (TT == 1u && n_groups > 1u) {
        if (!is_last(counter, n_groups)) return;
        for (uint slice = 0u; slice < n_slices; slice++)
            [[unroll]] for (uint i = 0u; i < NQ; i++) {
                uint at = p.partial_base + (record + slice * p.n_heads + i) * RECORD;
                vec4 s = partial[at + RECORD - 1u];
                vec2 f = join_softmax(all_most[i], all_total[i], s.x, s.y);
                [[unroll]] for (uint u = 0u; u < UNITS; u++)
                    if (lane < 8u && 8u * lane + 64u * u < HEAD_DIM) {
                        uint element = at + 2u * lane + 16u * u;
                        all_a[i * UNITS + u] =
                            join_values(all_a[i * UNITS + u], partial[element], f);
                        all_b[i * UNITS + u] =
                            join_values(all_b[i * UNITS + u], partial[element + 1u], f);
                    }
            }
    }

    [[unroll]] for (uint i = 0u; i < NQ; i++) {
        float scale = 1.0 / all_total[i];
        if (i / HC >= tile.y) continue;
        uint at = (tile.x + i / HC) * p.q_stride + p.q_offset + (head + i % HC) * (HEAD_DIM / 4u) +
                  2u * lane;
        [[unroll]] for (uint u = 0u; u < UNITS; u++)
            if (lane < 8u && 8u * lane + 64u * u < HEAD_DIM) {
                result[at + 16u * u] = all_a[i * UNITS + u] * scale;
                result[at + 16u * u + 1u] = all_b[i * UNITS + u] * scale;
            }
    }
}
