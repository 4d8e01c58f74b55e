// Attention of one token's HC query heads that share a key/value head, over one of SLICES of its
// context, with online softmax (attention.comp tells how lanes share the work).
//
// Row `token * N_HEADS + head` of `attended` has a record a slice: HEAD_DIM values, then a vec4 of
// the largest score and the sum of weights. A single slice is divided by its sum at once.

const uint HEAD_UNITS = (HEAD_DIM + 63u) / 64u; // of 64 elements
const uint HEAD_STEPS = HEAD_DIM / 8u;
const uint OWNED = KV_PAGE / LANES; // positions of a chunk that a lane takes the scores of
const float NEVER = -1e30; // below any score, and exp(NEVER - NEVER) is not NaN

uint attended_row(uint row, uint slice) { return (row * SLICES + slice) * (HD4 + 1u); }

// Asks for a page's keys and values, every line of 64 bytes, before they are needed. What it returns
// must be used: compilers drop the fetches otherwise.
uint touch(uint cell, uint kv_head)
{
    const uint texels = KV_TYPE == KV_F32 ? 16u : 8u; // of a unit
    uint at = (KV_UNIT + (cache_row(cell, kv_head, N_KV_HEADS) + lane) * HEAD_UNITS) * texels;
    uint seen = 0u;
    [[unroll]] for (uint r = 0u; r < OWNED; r++)
        [[unroll]] for (uint k = 0u; k < HEAD_UNITS * texels; k += 4u) {
            uint i = at + LANES * r * HEAD_UNITS * texels + k;
            seen |= LOAD4(kv, i).x | LOAD4(kv, i + p.v_base / 64u * texels).x;
        }
    return seen;
}

void attend(uint token, uint head, uint slice)
{
    uvec4 tile = LOAD4(tiles, p.tile_base + token);
    uint n_positions = tile.w + 1u, kv_head = head / GROUP;
    uint n_chunks = (n_positions + KV_PAGE - 1u) / KV_PAGE;
    uint chunk = n_chunks * slice / SLICES, end = n_chunks * (slice + 1u) / SLICES;

    vec4 qa[HC * HEAD_STEPS], qb[HC * HEAD_STEPS];
    [[unroll]] for (uint i = 0u; i < HC; i++) {
        uint at = tile.x * 8u * Q_BLOCKS + (head + i) * HD4;
        [[unroll]] for (uint s = 0u; s < HEAD_STEPS; s += 4u) { // eight texels at a time
            vec4 eight = LOADF4(q, at + 2u * s + lane % 8u);
            [[unroll]] for (uint k = 0u; k < 4u; k++)
                if (s + k < HEAD_STEPS) {
                    qa[i * HEAD_STEPS + s + k] = lane4(eight, 2u * k);
                    qb[i * HEAD_STEPS + s + k] = lane4(eight, 2u * k + 1u);
                }
        }
    }

    float most[HC], total[HC];
    vec4 ya[HC * HEAD_UNITS], yb[HC * HEAD_UNITS];
    [[unroll]] for (uint i = 0u; i < HC; i++) {
        most[i] = NEVER;
        total[i] = 0.0;
        [[unroll]] for (uint u = 0u; u < HEAD_UNITS; u++)
            ya[i * HEAD_UNITS + u] = yb[i * HEAD_UNITS + u] = vec4(0.0);
    }

    uint touched = 0u;
    if (chunk < end) do { // (lib/tile.glsl tells why it tests at the end)
        uint cell = LOAD4(pages, tile.z + chunk).x;
        uint base = KV_UNIT + cache_row(cell, kv_head, N_KV_HEADS) * HEAD_UNITS;
        if (chunk + 1u < end) touched |= touch(LOAD4(pages, tile.z + chunk + 1u).x, kv_head);
        float w[OWNED * HC];
        [[unroll]] for (uint r = 0u; r < OWNED; r++) {
            uint at = base + (LANES * r + lane) * HEAD_UNITS;
            vec4 s[HC];
            [[unroll]] for (uint i = 0u; i < HC; i++) s[i] = vec4(0.0);
            [[unroll]] for (uint k = 0u; k < HEAD_STEPS; k++) {
                vec8 key = cache_load8(at + k / 8u, k % 8u);
                [[unroll]] for (uint i = 0u; i < HC; i++)
                    s[i] += key.a * qa[i * HEAD_STEPS + k] + key.b * qb[i * HEAD_STEPS + k];
            }
            bool seen = chunk * KV_PAGE + LANES * r + lane < n_positions;
            [[unroll]] for (uint i = 0u; i < HC; i++)
                w[r * HC + i] = seen ? (s[i].x + s[i].y) + (s[i].z + s[i].w) : NEVER;
        }
        [[unroll]] for (uint i = 0u; i < HC; i++) {
            float m = w[i], sum = 0.0;
            [[unroll]] for (uint r = 1u; r < OWNED; r++) m = max(m, w[r * HC + i]);
            m = max(most[i], max_lanes(m));
            float shrink = exp(most[i] - m);
            most[i] = m;
            [[unroll]] for (uint r = 0u; r < OWNED; r++) {
                w[r * HC + i] = exp(w[r * HC + i] - m);
                sum += w[r * HC + i];
            }
            total[i] = total[i] * shrink + sum;
            [[unroll]] for (uint u = 0u; u < HEAD_UNITS; u++) {
                ya[i * HEAD_UNITS + u] *= shrink;
                yb[i * HEAD_UNITS + u] *= shrink;
            }
        }
        uint values = p.v_base / 64u + base;
        [[unroll]] for (uint r = 0u; r < OWNED; r++) {
            [[unroll]] for (uint j = 0u; j < 8u; j++) { // a half's lanes take what they weighed
                uint at = values + (LANES * r + (lane & 8u) + j) * HEAD_UNITS;
                vec8 v[HEAD_UNITS];
                [[unroll]] for (uint u = 0u; u < HEAD_UNITS; u++)
                    v[u] = cache_load8(at + u, lane % 8u);
                [[unroll]] for (uint i = 0u; i < HC; i++) {
                    float weight = from_half(w[r * HC + i], j);
                    [[unroll]] for (uint u = 0u; u < HEAD_UNITS; u++) {
                        ya[i * HEAD_UNITS + u] += weight * v[u].a;
                        yb[i * HEAD_UNITS + u] += weight * v[u].b;
                    }
                }
            }
        }
    } while (++chunk < end);

    if (p.n_tokens == 0u) out_attended[lane] = vec4(float(touched)); // never
    [[unroll]] for (uint i = 0u; i < HC; i++) {
        uint at = attended_row(token * N_HEADS + head + i, slice);
        float sum = sum_lanes(total[i]), scale = SLICES == 1u ? 1.0 / sum : 1.0;
        [[unroll]] for (uint u = 0u; u < HEAD_UNITS; u++) {
            uint n = i * HEAD_UNITS + u, e = at + 16u * u + 2u * lane;
            vec4 a = sum_halves(ya[n]), b = sum_halves(yb[n]);
            if (lane < 8u && 8u * lane + 64u * u < HEAD_DIM) {
                out_attended[e] = a * scale;
                out_attended[e + 1u] = b * scale;
            }
        }
        if (SLICES > 1u && lane == 0u) out_attended[at + HD4] = vec4(most[i], sum, 0.0, 0.0);
    }
}

// vec4 i of a row of what was attended.
vec4 slices_together(uint row, uint i)
{
    if (SLICES == 1u) return LOADF4(attended, attended_row(row, 0u) + i);
    vec4 of[SLICES];
    float most = NEVER, total = 0.0;
    vec4 y = vec4(0.0);
    [[unroll]] for (uint s = 0u; s < SLICES; s++) {
        of[s] = LOADF4(attended, attended_row(row, s) + HD4);
        most = max(most, of[s].x);
    }
    [[unroll]] for (uint s = 0u; s < SLICES; s++) {
        float weight = exp(of[s].x - most);
        total += weight * of[s].y;
        y += weight * LOADF4(attended, attended_row(row, s) + i);
    }
    return y / total;
}
