// Activations for matmul. One workgroup a row:
//
//   v = x                                  MODE_PLAIN
//   v = x / sqrt(mean(x^2) + eps) * g      MODE_NORM
//   v = silu(x) * u                        MODE_SWIGLU, silu(x) = x / (1 + exp(-x))
//
// then every form that a consumer wants, 3 or 8 texels a block of 32 columns:
//   WANT_I8   32 int8 (2 texels), {scale of 0..15, scale of 16..31, sum of rounded v, 0}
//   WANT_I10  three 10-bit fields a word in 11 words, then the block's scale
//   WANT_F32  32 floats
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint MODE = 0;
layout(constant_id = 2) const bool WANT_I8 = false;
layout(constant_id = 3) const bool WANT_I10 = false;
layout(constant_id = 4) const bool WANT_F32 = false;

const uint MODE_PLAIN = 0u, MODE_NORM = 1u, MODE_SWIGLU = 2u;

READ_BUFFER(0, src)
READ_BUFFER(1, gain)
READ_BUFFER(2, table)
layout(set = 0, binding = 3, std430) writeonly buffer i8_block { uvec4 out_i8[]; };
layout(set = 0, binding = 4, std430) writeonly buffer i10_block { uvec4 out_i10[]; };
layout(set = 0, binding = 5, std430) writeonly buffer f32_block { vec4 out_f32[]; };
layout(push_constant) uniform push_block { push_norm p; };

shared float partial[gl_WorkGroupSize.x];

// 1 / sqrt(mean of squares + eps) of the row at vec4 index `row`, the same in every invocation.
float inverse_rms(uint row)
{
    float sum = 0.0;
    uint n4 = p.n_blocks * (BLOCK_COLS / 4u);
    for (uint i = gl_LocalInvocationID.x; i < n4; i += gl_WorkGroupSize.x) {
        vec4 v = LOADF4(src, row + i); // padding columns are zero
        sum += dot(v, v);
    }
    partial[gl_LocalInvocationID.x] = sum;
    barrier();
    sum = 0.0;
    for (uint i = 0u; i < gl_WorkGroupSize.x; i++) sum += partial[i];
    return inversesqrt(sum / float(p.n_cols) + p.eps);
}

vec4 silu(vec4 v) { return v / (1.0 + exp(-v)); }

float largest(vec4 a, vec4 b, vec4 c, vec4 d)
{
    vec4 m = max(max(abs(a), abs(b)), max(abs(c), abs(d)));
    return max(max(m.x, m.y), max(m.z, m.w));
}

// Values that are all smaller become zeros: 127 / most would be infinite below 3.7e-37.
const float LEAST = 1e-30;

uint pack8(vec4 v)
{
    ivec4 q = ivec4(v) & 255;
    return uint(q.x | q.y << 8 | q.z << 16 | q.w << 24);
}

// sum: of the 16 values as they are after rounding, so that m * sum in the product has the same
// error as d * n does, and both cancel around the weights' middle.
uvec4 pack_half(vec4 a, vec4 b, vec4 c, vec4 d, out float scale, out float sum)
{
    float most = largest(a, b, c, d), inverse = most > LEAST ? 127.0 / most : 0.0;
    scale = most / 127.0;
    a = roundEven(a * inverse);
    b = roundEven(b * inverse);
    c = roundEven(c * inverse);
    d = roundEven(d * inverse);
    sum = scale * dot(a + b + c + d, vec4(1.0));
    return uvec4(pack8(a), pack8(b), pack8(c), pack8(d));
}

uint pack10(float a, float b, float c)
{
    ivec3 q = ivec3(roundEven(vec3(a, b, c))) & 1023;
    return uint(q.x | q.y << 10 | q.z << 20);
}

void write_i8(uint at, vec4 v[8])
{
    float s0, s1, sum0, sum1;
    uvec4 q0 = pack_half(v[0], v[1], v[2], v[3], s0, sum0);
    uvec4 q1 = pack_half(v[4], v[5], v[6], v[7], s1, sum1);
    out_i8[at] = q0;
    out_i8[at + 1u] = q1;
    out_i8[at + 2u] = floatBitsToUint(vec4(s0, s1, sum0 + sum1, 0.0));
}

void write_i10(uint at, vec4 v[8])
{
    float most = max(largest(v[0], v[1], v[2], v[3]), largest(v[4], v[5], v[6], v[7]));
    float k = most > LEAST ? 511.0 / most : 0.0;
    out_i10[at] = uvec4(pack10(v[0].x * k, v[0].y * k, v[0].z * k),
                        pack10(v[0].w * k, v[1].x * k, v[1].y * k),
                        pack10(v[1].z * k, v[1].w * k, v[2].x * k),
                        pack10(v[2].y * k, v[2].z * k, v[2].w * k));
    out_i10[at + 1u] = uvec4(pack10(v[3].x * k, v[3].y * k, v[3].z * k),
                             pack10(v[3].w * k, v[4].x * k, v[4].y * k),
                             pack10(v[4].z * k, v[4].w * k, v[5].x * k),
                             pack10(v[5].y * k, v[5].z * k, v[5].w * k));
    out_i10[at + 2u] = uvec4(pack10(v[6].x * k, v[6].y * k, v[6].z * k),
                             pack10(v[6].w * k, v[7].x * k, v[7].y * k),
                             pack10(v[7].z * k, v[7].w * k, 0.0), floatBitsToUint(most / 511.0));
}

void main()
{
    uint row = gl_WorkGroupID.x;
    uint token = p.gather != 0u ? LOAD4(table, row).w : row;
    uint x = token * p.x_stride + p.x_offset, u = token * p.x_stride + p.x_offset2;
    float k = MODE == MODE_NORM ? inverse_rms(x) : 1.0;
    for (uint b = gl_LocalInvocationID.x; b < p.n_blocks; b += gl_WorkGroupSize.x) {
        vec4 v[8];
        [[unroll]] for (uint i = 0u; i < 8u; i++) {
            v[i] = LOADF4(src, x + 8u * b + i);
            if (MODE == MODE_NORM) v[i] *= k * LOADF4(gain, 8u * b + i);
            if (MODE == MODE_SWIGLU) v[i] = silu(v[i]) * LOADF4(src, u + 8u * b + i);
        }
        uint at = row * p.n_blocks + b;
        if (WANT_I8) write_i8(3u * at, v);
        if (WANT_I10) write_i10(3u * at, v);
        if (WANT_F32)
            [[unroll]] for (uint i = 0u; i < 8u; i++) out_f32[8u * at + i] = v[i];
    }
}
