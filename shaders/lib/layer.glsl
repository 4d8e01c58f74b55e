// What the phases of layer.comp stand on: the layers' shape as specialisation constants, its buffers,
// the sharing of work, activation records.
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
READ_BUFFER(11, layers)
layout(set = 0, binding = 12, std430) writeonly buffer out_x_block { vec4 out_x[]; };
layout(set = 0, binding = 13, std430) writeonly buffer out_acts_block { uvec4 out_acts[]; };
layout(set = 0, binding = 15, std430) writeonly buffer out_q_block { vec4 out_q[]; };
layout(set = 0, binding = 16, std430) writeonly buffer out_attended_block { vec4 out_attended[]; };
layout(set = 0, binding = 17, std430) writeonly buffer out_hidden_block { vec4 out_hidden[]; };
#define MEETING 18
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
