// Activations for matmul. One workgroup a row:
//
//   v = x                                  MODE_PLAIN
//   v = x / sqrt(mean(x^2) + eps) * g      MODE_NORM
//   v = silu(x) * u                        MODE_SWIGLU, silu(x) = x / (1 + exp(-x))
//
// then every form that a consumer wants, 4, 4, 8 or 3 texels a block of 32 columns: WANT_I9, WANT_I10
// and WANT_I8 (lib/records.glsl), WANT_F32. I8 is only in the module with FORM_I8, which has a
// binding more.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint MODE = 0;
layout(constant_id = 2) const bool WANT_I9 = false;
layout(constant_id = 3) const bool WANT_I10 = false;
layout(constant_id = 4) const bool WANT_F32 = false;
layout(constant_id = 5) const bool WANT_I8 = false;

const uint MODE_PLAIN = 0u, MODE_NORM = 1u, MODE_SWIGLU = 2u;

READ_BUFFER(0, src)
READ_BUFFER(1, gain)
READ_BUFFER(2, table)
layout(set = 0, binding = 3, std430) writeonly buffer i9_block { uvec4 out_i9[]; };
layout(set = 0, binding = 4, std430) writeonly buffer i10_block { uvec4 out_i10[]; };
layout(set = 0, binding = 5, std430) writeonly buffer f32_block { vec4 out_f32[]; };
layout(push_constant) uniform push_block { push_norm p; };

#ifdef FORM_I8
layout(set = 0, binding = 6, std430) writeonly buffer i8_block { uvec4 out_i8[]; };
#endif
#include "lib/records.glsl"

shared float partial[gl_WorkGroupSize.x];

// 1 / sqrt(mean of squares + eps) of the row at vec4 index `row`, the same in every invocation.
float inverse_rms(uint row)
{
    float sum = 0.0;
    uint n4 = p.n_blocks * (BLOCK_COLS / 4u), i = gl_LocalInvocationID.x;
    do { // tests at the end: lib/tile.glsl tells why
        vec4 v = i < n4 ? LOADF4(src, row + i) : vec4(0.0); // padding columns are zero
        sum += dot(v, v);
    } while ((i += gl_WorkGroupSize.x) < n4);
    partial[gl_LocalInvocationID.x] = sum;
    barrier();
    sum = 0.0;
    for (uint k = 0u; k < gl_WorkGroupSize.x; k++) sum += partial[k];
    return inversesqrt(sum / float(p.n_cols) + p.eps);
}

vec4 silu(vec4 v) { return v / (1.0 + exp(-v)); }

void main()
{
    uint row = gl_WorkGroupID.x;
    uint token = p.gather != 0u ? LOAD4(table, row).w : row;
    uint x = token * p.x_stride + p.x_offset, u = token * p.x_stride + p.x_offset2;
    float k = MODE == MODE_NORM ? inverse_rms(x) : 1.0;
    uint b = gl_LocalInvocationID.x;
    do {
        if (b >= p.n_blocks) break;
        vec4 v[8];
        [[unroll]] for (uint i = 0u; i < 8u; i++) {
            v[i] = LOADF4(src, x + 8u * b + i);
            if (MODE == MODE_NORM) v[i] *= k * LOADF4(gain, 8u * b + i);
            if (MODE == MODE_SWIGLU) v[i] = silu(v[i]) * LOADF4(src, u + 8u * b + i);
        }
        uint at = row * p.n_blocks + b;
        if (WANT_I9) write_i9(4u * at, v);
        if (WANT_I10) write_i10(4u * at, v);
        if (WANT_I8) write_i8(3u * at, v);
        if (WANT_F32)
            [[unroll]] for (uint i = 0u; i < 8u; i++) out_f32[8u * at + i] = v[i];
    } while ((b += gl_WorkGroupSize.x) < p.n_blocks);
}
