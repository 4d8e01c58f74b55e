// Layers that are alike for up to NT tokens, by a few workgroups of a subgroup that each take their
// share of every phase. Five dispatches a layer of a phase each, or one of several layers: the
// workgroups then meet between phases (lib/meet.glsl), which is for software devices only.
//
//   LAYER_QKV        norm; Q K V; rotation; q is kept, K and V go into the cache
//   LAYER_ATTENTION  each key/value head's queries, in SLICES of the context
//   LAYER_O          slices together; x += O a
//   LAYER_GATE_UP    norm; silu(gate) * up
//   LAYER_DOWN       x += down h
//
// Activation records are made by every workgroup for itself: that costs less than a dispatch.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/subgroup.glsl"
#define WIDE
#define CACHE_READ
#define CACHE_WRITE 15
#include "push.h"
#include "lib/load.glsl"

#include "lib/layer.glsl"

vec4 rotate(vec4 v, vec4 a) // a = cos, sin, cos, sin
{
    return vec4(v.x * a.x - v.y * a.y, v.x * a.y + v.y * a.x, v.z * a.z - v.w * a.w,
                v.z * a.w + v.w * a.z);
}

// Four rows of q, k or v; row counts vec4s of q, k, v, each padded to tiles.
void put_qkv(uint token, uint row, vec4 y)
{
    bool is_q = row < 8u * Q_BLOCKS, is_v = row >= 8u * (Q_BLOCKS + KV_BLOCKS);
    uint i = is_q ? row : row - 8u * (is_v ? Q_BLOCKS + KV_BLOCKS : Q_BLOCKS);
    uint entry = p.token_base + token, cell = LOAD4(table, entry).y;
    vec4 turned = rotate(y, LOADF4(angles, entry * HD4 + i % HD4));
    if (is_q) {
        out_q[token * 8u * Q_BLOCKS + i] = turned * p.q_scale;
    } else if (i < N_KV_HEADS * HD4) { // not padding
        uint at = 64u * KV_UNIT + cache_row(cell, i / HD4, N_KV_HEADS) * KV_DIM +
                  (is_v ? p.v_base : 0u);
        cache_store4(at / 4u + i % HD4, is_v ? y : turned);
    }
}

void qkv_run(uint format, uint at, uint n_tiles, uint first_tile)
{
    MY_TILES(n_tiles, AT_ONCE * HALVES) {
        vec4 y[Y_ROWS];
        rows(format, tile_texel(format, at, tile, EMBD_BLOCKS),
             tile_texel(format, at, tile + HALVES * step, EMBD_BLOCKS), EMBD_BLOCKS, y);
        [[unroll]] for (uint k = 0u; k < Y_ROWS; k++) {
            uint of = tile + k / NT * HALVES * step;
            if (k % NT < p.n_tokens && of < tile_end)
                put_qkv(k % NT, TILE_LANES * (first_tile + of) + lane % TILE_LANES, y[k]);
        }
    }
    TILES_END;
}

void phase_qkv()
{
    norm(AT_ATTN_NORM, form(QKV_FORMAT_0) | (QKV_TILES_1 > 0u ? form(QKV_FORMAT_1) : 0u) |
                          (QKV_TILES_2 > 0u ? form(QKV_FORMAT_2) : 0u));
    qkv_run(QKV_FORMAT_0, AT_QKV_0, QKV_TILES_0, 0u);
    if (QKV_TILES_1 > 0u) qkv_run(QKV_FORMAT_1, AT_QKV_1, QKV_TILES_1, QKV_TILES_0);
    if (QKV_TILES_2 > 0u) qkv_run(QKV_FORMAT_2, AT_QKV_2, QKV_TILES_2, QKV_TILES_0 + QKV_TILES_1);
}

void phase_attention()
{
    MY_SHARE(item, p.n_tokens * (N_HEADS / HC) * SLICES) {
        uint rest = item / p.n_tokens; // tokens in turn: what they share is in the cache then
        attend(item % p.n_tokens, rest / SLICES * HC, rest % SLICES);
    }
    SHARE_END(item);
}

void add_rows(uint format, uint at, uint n_blocks)
{
    MY_TILES(EMBD_BLOCKS, AT_ONCE * HALVES) {
        vec4 y[Y_ROWS];
        rows(format, tile_texel(format, at, tile, n_blocks),
             tile_texel(format, at, tile + HALVES * step, n_blocks), n_blocks, y);
        [[unroll]] for (uint k = 0u; k < Y_ROWS; k++) {
            uint of = tile + k / NT * HALVES * step;
            uint i = TILE_LANES * ((p.first + k % NT) * EMBD_BLOCKS + of) + lane % TILE_LANES;
            if (k % NT < p.n_tokens && of < tile_end) out_x[i] = y[k] + LOADF4(x, i);
        }
    }
    TILES_END;
}

void phase_o()
{
    EACH_TOKEN(t) {
        MY_BLOCKS(b, Q_BLOCKS) {
            vec4 v[8];
            [[unroll]] for (uint i = 0u; i < 8u; i++) {
                uint at = 8u * b + i;
                v[i] = at < N_HEADS * HD4 ? slices_together(t * N_HEADS + at / HD4, at % HD4)
                                          : vec4(0.0);
            }
            keep(v, t, b, form(O_FORMAT));
        }
        BLOCKS_END(b, Q_BLOCKS);
    }
    TOKEN_END(t);
    memoryBarrierBuffer();
    add_rows(O_FORMAT, AT_O, Q_BLOCKS);
}

vec4 silu(vec4 v) { return v / (1.0 + exp(-v)); }

void phase_gate_up()
{
    norm(AT_FFN_NORM, form(GATE_FORMAT) | form(UP_FORMAT));
    MY_TILES(FF_BLOCKS, HALVES) {
        uint w = tile_texel(GATE_FORMAT, AT_GATE, tile, EMBD_BLOCKS);
        uint w2 = tile_texel(UP_FORMAT, AT_UP, tile, EMBD_BLOCKS);
        vec4 gate[Y_ROWS], up[Y_ROWS];
        rows(GATE_FORMAT, w, w2, EMBD_BLOCKS, gate);
        if (AT_ONCE == 2u && UP_FORMAT == GATE_FORMAT)
            up[0] = gate[Y_ROWS - 1u];
        else
            rows(UP_FORMAT, w2, w2, EMBD_BLOCKS, up);
        [[unroll]] for (uint t = 0u; t < NT; t++)
            if (t < p.n_tokens && tile < tile_end)
                out_hidden[TILE_LANES * (t * FF_BLOCKS + tile) + lane % TILE_LANES] =
                    silu(gate[t]) * up[t];
    }
    TILES_END;
}

void phase_down()
{
    EACH_TOKEN(t) {
        MY_BLOCKS(b, FF_BLOCKS) {
            vec4 v[8];
            [[unroll]] for (uint i = 0u; i < 8u; i++)
                v[i] = LOADF4(hidden, 8u * (t * FF_BLOCKS + b) + i);
            keep(v, t, b, form(DOWN_FORMAT));
        }
        BLOCKS_END(b, FF_BLOCKS);
    }
    TOKEN_END(t);
    memoryBarrierBuffer();
    add_rows(DOWN_FORMAT, AT_DOWN, FF_BLOCKS);
}

// A meeting behind a phase, where another one follows.
#define MEET(bit, n) if ((PHASES & bit) != 0) if (PHASES > 2u * bit - 1u) meet(met + n)

void main()
{
    uint layer = p.layer, met = 0u;
    const uint end = p.layer + p.n_layers;
    do {
        at0 = LOAD4(layers, 3u * layer);
        at1 = LOAD4(layers, 3u * layer + 1u);
        at2 = LOAD4(layers, 3u * layer + 2u);
        if ((PHASES & LAYER_QKV) != 0) phase_qkv();
        MEET(LAYER_QKV, 1u);
        if ((PHASES & LAYER_ATTENTION) != 0) phase_attention();
        MEET(LAYER_ATTENTION, 2u);
        if ((PHASES & LAYER_O) != 0) phase_o();
        MEET(LAYER_O, 3u);
        if ((PHASES & LAYER_GATE_UP) != 0) phase_gate_up();
        MEET(LAYER_GATE_UP, 4u);
        if ((PHASES & LAYER_DOWN) != 0) phase_down();
        if (PHASES == LAYER_ALL && layer + 1u < end) meet(met + 5u);
        met += 5u;
    } while (++layer < end && failed == 0u);
}
