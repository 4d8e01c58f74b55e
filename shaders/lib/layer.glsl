// What the phases of layer.comp stand on: the layers' shape as specialisation constants, its buffers,
// the sharing of work, activation records.
layout(local_size_x_id = 20) in;
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
layout(constant_id = 20) const uint LANES = 8;
#ifdef LOAD_IMAGE
layout(constant_id = 21) const bool BROADCAST = false;
#endif

STREAM_BUFFER(0, weights)
READ_BUFFER(1, x)
STREAM_BUFFER(2, acts)
READ_BUFFER(3, q)
STREAM_BUFFER(4, kv)
READ_BUFFER(5, attended)
READ_BUFFER(6, hidden)
READ_BUFFER(7, pages)
READ_BUFFER(8, table)
READ_BUFFER(9, tiles)
READ_BUFFER(10, angles)
READ_BUFFER(11, layers)
READ_BUFFER(12, gains) // the same memory as weights
layout(set = 0, binding = 13, std430) writeonly buffer out_x_block { vec4 out_x[]; };
layout(set = 0, binding = 14, std430) writeonly buffer out_acts_block { uvec4 out_acts[]; };
layout(set = 0, binding = 16, std430) writeonly buffer out_q_block { vec4 out_q[]; };
layout(set = 0, binding = 17, std430) writeonly buffer out_attended_block { vec4 out_attended[]; };
layout(set = 0, binding = 18, std430) writeonly buffer out_hidden_block { vec4 out_hidden[]; };
#define MEETING 19
layout(push_constant) uniform push_block { push_layer p; };

#define BLOCKS(n) (((n) + BLOCK_COLS - 1u) / BLOCK_COLS)
const uint GROUP = N_HEADS / N_KV_HEADS;
const uint EMBD_BLOCKS = BLOCKS(N_EMBD), FF_BLOCKS = BLOCKS(N_FF);
const uint Q_BLOCKS = BLOCKS(N_HEADS * HEAD_DIM), KV_BLOCKS = BLOCKS(N_KV_HEADS * HEAD_DIM);
const uint WIDER = EMBD_BLOCKS > FF_BLOCKS ? EMBD_BLOCKS : FF_BLOCKS;
const uint MOST_BLOCKS = WIDER > Q_BLOCKS ? WIDER : Q_BLOCKS;
const uint KV_DIM = (HEAD_DIM + 63u) / 64u * 64u;
const uint HD4 = HEAD_DIM / 4u;

uvec4 at0, at1, at2; // the layer's entry in the table
#define AT_ATTN_NORM at0.x
#define AT_FFN_NORM at0.y
#define AT_O at0.z
#define AT_DOWN at0.w
#define AT_GATE at1.x
#define AT_UP at1.y
#define AT_QKV_0 at1.z
#define AT_QKV_1 at1.w
#define AT_QKV_2 at2.x
#define KV_UNIT at2.y

uint group = gl_WorkGroupID.x, n_groups = gl_NumWorkGroups.x;

#define out_i9 out_acts
#define out_i10 out_acts
#include "lib/lanes.glsl"
#include "lib/bytes.glsl"
#include "lib/records.glsl"
#include "lib/formats.glsl"
#include "lib/cache.glsl"
#include "lib/attend.glsl"
#include "lib/meet.glsl"

const uint I9 = 1u, I10 = 2u; // forms of records
uint form(uint format) { return format == FORMAT_Q4 || format == FORMAT_Q4S ? I9 : I10; }

// This workgroup's records of a form: every token's.
uint records(uint of) { return (2u * group + of - 1u) * NT * 4u * MOST_BLOCKS; }

void keep(vec4 v[8], uint token, uint block, uint forms)
{
    uint at = 4u * (token * MOST_BLOCKS + block);
    if ((forms & I9) != 0u) write_i9(records(I9) + at, v);
    if ((forms & I10) != 0u) write_i10(records(I10) + at, v);
}

// Tiles of a workgroup's turn. AT_ONCE: of a lane, two in modules with TWO, which are for one token of
// 16 lanes (lib/tile.glsl tells why). Each reads on where that of the turn before ended: a share is
// cut into parts.
#ifdef TWO
const uint AT_ONCE = 2u;
#define Y_ROWS 2u
#else
const uint AT_ONCE = 1u;
#define Y_ROWS NT // as tile_dot has it: of an array whose length is said otherwise one element arrives
#endif
const uint HALVES = LANES / TILE_LANES;

// A lane's first texel of a tile.
uint tile_texel(uint format, uint at, uint tile, uint n_blocks)
{
    return at + tile * n_blocks * FORMAT_TEXELS[format] + lane % TILE_LANES;
}

// y of this workgroup's records, of the tile at texel w; AT_ONCE 2: and of the one at w2.
void rows(uint format, uint w, uint w2, uint n_blocks, out vec4 y[Y_ROWS])
{
    uint x = records(form(format));
    [[unroll]] for (uint k = 0u; k < Y_ROWS; k++) y[k] = vec4(0.0);
#ifdef TWO
    tile_dot_two(format, w, w2, x, n_blocks, y[0], y[Y_ROWS - 1u]);
#else
    tile_dot(format, w, x, 4u * MOST_BLOCKS, n_blocks, y);
#endif
}

uint share(uint n, uint g) { return n * g / n_groups; }

// Loops test at their end (lib/tile.glsl tells why): a share is not empty, or `do` is masked.
#define MY_SHARE(i, n)                                                                             \
    uint i = share(n, group);                                                                      \
    const uint i##_end = share(n, group + 1u);                                                     \
    if (i < i##_end) do
#define SHARE_END(i) while (++i < i##_end)
// This workgroup's tiles of n in so many parts: the lane's part-th of a turn is tile + part * HALVES * step,
// if below tile_end.
#define MY_TILES(n, parts)                                                                         \
    uint tile = share(n, group);                                                                   \
    const uint tile_end = share(n, group + 1u), step = (tile_end - tile + (parts)-1u) / (parts); \
    const uint stop = tile + step;                                                                 \
    tile += lane / TILE_LANES * step;                                                              \
    uint turn = stop - step;                                                                       \
    if (turn < stop) do
#define TILES_END while (tile++, ++turn < stop)
#define EACH_TOKEN(t)                                                                              \
    uint t = 0u;                                                                                   \
    do
#define TOKEN_END(t) while (++t < p.n_tokens)
#define MY_BLOCKS(b, n)                                                                            \
    uint b = lane;                                                                                 \
    do if (b < n)
#define BLOCKS_END(b, n) while ((b += LANES) < n)

float inverse_rms(uint row) // in norm.comp's order
{
    float sum = 0.0, all = 0.0;
    uint i = lane;
    do {
        vec4 v = i < 8u * EMBD_BLOCKS ? LOADF4(x, row + i) : vec4(0.0);
        sum += dot(v, v);
    } while ((i += LANES) < 8u * EMBD_BLOCKS);
    [[unroll]] for (uint c = 0u; c < LANES; c++) all += from_lane(sum, c);
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
                v[i] = LOADF4(x, row + 8u * b + i) * (k * LOADF4(gains, gain + 8u * b + i));
            keep(v, t, b, forms);
        }
        BLOCKS_END(b, EMBD_BLOCKS);
    }
    TOKEN_END(t);
    memoryBarrierBuffer();
}
