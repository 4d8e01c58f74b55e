// One layer for up to NT tokens, by a few workgroups of eight lanes that each take their share of
// every phase. Five dispatches of a phase each, or one of all of them: the workgroups then meet
// between phases (lib/meet.glsl), which is for software devices only.
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
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define WIDE
#define CACHE_READ
#define CACHE_WRITE 13
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x = 8) in;
layout(constant_id = 0) const uint PHASES = LAYER_ALL;
layout(constant_id = 1) const uint NT = 1;
layout(constant_id = 2) const uint HEAD_DIM = 64;
layout(constant_id = 3) const uint N_HEADS = 8;
layout(constant_id = 4) const uint N_KV_HEADS = 8;
layout(constant_id = 5) const uint HC = 1; // query heads that one attention item takes
layout(constant_id = 6) const uint SLICES = 1;
layout(constant_id = 7) const uint N_EMBD = 512;
layout(constant_id = 8) const uint N_FF = 512;
layout(constant_id = 9) const uint KV_TYPE = KV_F16;
layout(constant_id = 10) const uint QKV_TILES_0 = 0; // tiles of the runs
layout(constant_id = 11) const uint QKV_TILES_1 = 0;
layout(constant_id = 12) const uint QKV_TILES_2 = 0;
layout(constant_id = 13) const uint QKV_FORMAT_0 = 0;
layout(constant_id = 14) const uint QKV_FORMAT_1 = 0;
layout(constant_id = 15) const uint QKV_FORMAT_2 = 0;
layout(constant_id = 16) const uint O_FORMAT = 0;
layout(constant_id = 17) const uint GATE_FORMAT = 0;
layout(constant_id = 18) const uint UP_FORMAT = 0;
layout(constant_id = 19) const uint DOWN_FORMAT = 0;

READ_BUFFER(0, weights)
READ_BUFFER(1, x)
READ_BUFFER(2, acts)
READ_BUFFER(3, q)
READ_BUFFER(4, kv)
READ_BUFFER(5, attended)
READ_BUFFER(6, hidden)
READ_BUFFER(7, pages)
READ_BUFFER(8, table)
READ_BUFFER(9, tiles)
READ_BUFFER(10, angles)
layout(set = 0, binding = 11, std430) writeonly buffer out_x_block { vec4 out_x[]; };
layout(set = 0, binding = 12, std430) writeonly buffer out_acts_block { uvec4 out_acts[]; };
layout(set = 0, binding = 14, std430) writeonly buffer out_q_block { vec4 out_q[]; };
layout(set = 0, binding = 15, std430) writeonly buffer out_attended_block { vec4 out_attended[]; };
layout(set = 0, binding = 16, std430) writeonly buffer out_hidden_block { vec4 out_hidden[]; };
#define MEETING 17
layout(push_constant) uniform push_block { push_layer p; };

#define BLOCKS(n) (((n) + BLOCK_COLS - 1u) / BLOCK_COLS)
const uint GROUP = N_HEADS / N_KV_HEADS;
const uint EMBD_BLOCKS = BLOCKS(N_EMBD), FF_BLOCKS = BLOCKS(N_FF);
const uint Q_BLOCKS = BLOCKS(N_HEADS * HEAD_DIM), KV_BLOCKS = BLOCKS(N_KV_HEADS * HEAD_DIM);
const uint WIDER = EMBD_BLOCKS > FF_BLOCKS ? EMBD_BLOCKS : FF_BLOCKS;
const uint MOST_BLOCKS = WIDER > Q_BLOCKS ? WIDER : Q_BLOCKS;
const uint KV_DIM = (HEAD_DIM + 63u) / 64u * 64u;
const uint HD4 = HEAD_DIM / 4u;

uint lane = gl_LocalInvocationID.x, group = gl_WorkGroupID.x, n_groups = gl_NumWorkGroups.x;

#define out_i9 out_acts
#define out_i10 out_acts
#include "lib/bytes.glsl"
#include "lib/records.glsl"
#include "lib/formats.glsl"
#include "lib/cache.glsl"
#include "lib/attend.glsl"
#include "lib/meet.glsl"

const uint I9 = 1u, I10 = 2u; // forms of records
uint form(uint format) { return format == FORMAT_Q4 ? I9 : I10; }

// This workgroup's records of a form: every token's.
uint records(uint of) { return (2u * group + of - 1u) * NT * 4u * MOST_BLOCKS; }

void keep(vec4 v[8], uint token, uint block, uint forms)
{
    uint at = 4u * (token * MOST_BLOCKS + block);
    if ((forms & I9) != 0u) write_i9(records(I9) + at, v);
    if ((forms & I10) != 0u) write_i10(records(I10) + at, v);
}

// y of this workgroup's records.
void rows(uint format, uint at, uint tile, uint n_blocks, out vec4 y[NT])
{
    [[unroll]] for (uint t = 0u; t < NT; t++) y[t] = vec4(0.0);
    tile_dot(format, at + tile * n_blocks * FORMAT_TEXELS[format] + lane, records(form(format)),
             4u * MOST_BLOCKS, n_blocks, lane, y);
}

uint share(uint n, uint g) { return n * g / n_groups; }

// Loops test at their end (lib/tile.glsl tells why): a share is not empty, or `do` is masked.
#define MY_SHARE(i, n)                                                                             \
    uint i = share(n, group);                                                                      \
    const uint i##_end = share(n, group + 1u);                                                     \
    if (i < i##_end) do
#define SHARE_END(i) while (++i < i##_end)
#define EACH_TOKEN(t)                                                                              \
    uint t = 0u;                                                                                   \
    do
#define TOKEN_END(t) while (++t < p.n_tokens)
#define MY_BLOCKS(b, n)                                                                            \
    uint b = lane;                                                                                 \
    do if (b < n)
#define BLOCKS_END(b, n) while ((b += 8u) < n)

float inverse_rms(uint row) // in norm.comp's order
{
    float sum = 0.0, all = 0.0;
    uint b = 0u;
    do { // 32 columns a turn
        vec4 v = LOADF4(x, row + 8u * b + lane);
        sum += dot(v, v);
    } while (++b < EMBD_BLOCKS);
    [[unroll]] for (uint i = 0u; i < 8u; i++) all += subgroupShuffle(sum, i);
    return inversesqrt(all / float(N_EMBD) + p.eps);
}

void norm(uint gain, uint forms)
{
    EACH_TOKEN(t) {
        uint row = (p.first + t) * 8u * EMBD_BLOCKS;
        float k = inverse_rms(row);
        MY_BLOCKS(b, EMBD_BLOCKS) {
            vec4 v[8];
            [[unroll]] for (uint i = 0u; i < 8u; i++)
                v[i] = LOADF4(x, row + 8u * b + i) * (k * LOADF4(weights, gain + 8u * b + i));
            keep(v, t, b, forms);
        }
        BLOCKS_END(b, EMBD_BLOCKS);
    }
    TOKEN_END(t);
    memoryBarrierBuffer();
}

// ------------------------------------------------------------------------------------- phases

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
        uint at = cache_row(cell, i / HD4, N_KV_HEADS) * KV_DIM + (is_v ? p.v_base : 0u);
        cache_store4(at / 4u + i % HD4, is_v ? y : turned);
    }
}

void qkv_run(uint format, uint at, uint n_tiles, uint first_tile)
{
    MY_SHARE(tile, n_tiles) {
        vec4 y[NT];
        rows(format, at, tile, EMBD_BLOCKS, y);
        [[unroll]] for (uint t = 0u; t < NT; t++)
            if (t < p.n_tokens) put_qkv(t, 8u * (first_tile + tile) + lane, y[t]);
    }
    SHARE_END(tile);
}

void phase_qkv()
{
    norm(p.attn_norm, form(QKV_FORMAT_0) | (QKV_TILES_1 > 0u ? form(QKV_FORMAT_1) : 0u) |
                          (QKV_TILES_2 > 0u ? form(QKV_FORMAT_2) : 0u));
    qkv_run(QKV_FORMAT_0, p.qkv[0], QKV_TILES_0, 0u);
    if (QKV_TILES_1 > 0u) qkv_run(QKV_FORMAT_1, p.qkv[1], QKV_TILES_1, QKV_TILES_0);
    if (QKV_TILES_2 > 0u) qkv_run(QKV_FORMAT_2, p.qkv[2], QKV_TILES_2, QKV_TILES_0 + QKV_TILES_1);
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
    MY_SHARE(tile, EMBD_BLOCKS) {
        vec4 y[NT];
        rows(format, at, tile, n_blocks, y);
        [[unroll]] for (uint t = 0u; t < NT; t++) {
            uint i = (p.first + t) * 8u * EMBD_BLOCKS + 8u * tile + lane;
            if (t < p.n_tokens) out_x[i] = y[t] + LOADF4(x, i);
        }
    }
    SHARE_END(tile);
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
    add_rows(O_FORMAT, p.o, Q_BLOCKS);
}

vec4 silu(vec4 v) { return v / (1.0 + exp(-v)); }

void phase_gate_up()
{
    norm(p.ffn_norm, form(GATE_FORMAT) | form(UP_FORMAT));
    MY_SHARE(tile, FF_BLOCKS) {
        vec4 gate[NT], up[NT];
        rows(GATE_FORMAT, p.gate, tile, EMBD_BLOCKS, gate);
        rows(UP_FORMAT, p.up, tile, EMBD_BLOCKS, up);
        [[unroll]] for (uint t = 0u; t < NT; t++)
            if (t < p.n_tokens)
                out_hidden[t * 8u * FF_BLOCKS + 8u * tile + lane] = silu(gate[t]) * up[t];
    }
    SHARE_END(tile);
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
    add_rows(DOWN_FORMAT, p.down, FF_BLOCKS);
}

// A meeting behind a phase, where another one follows.
#define MEET(bit, n) if ((PHASES & bit) != 0) if (PHASES > 2u * bit - 1u) meet(n)

void main()
{
    if ((PHASES & LAYER_QKV) != 0) phase_qkv();
    MEET(LAYER_QKV, 1u);
    if ((PHASES & LAYER_ATTENTION) != 0) phase_attention();
    MEET(LAYER_ATTENTION, 2u);
    if ((PHASES & LAYER_O) != 0) phase_o();
    MEET(LAYER_O, 3u);
    if ((PHASES & LAYER_GATE_UP) != 0) phase_gate_up();
    MEET(LAYER_GATE_UP, 4u);
    if ((PHASES & LAYER_DOWN) != 0) phase_down();
}
