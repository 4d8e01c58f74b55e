// Activations for matmul. One workgroup a row:
//
//   v = x                                  MODE_PLAIN
//   v = x / sqrt(mean(x^2) + eps) * g      MODE_NORM
//   v = silu(x) * u                        MODE_SWIGLU, silu(x) = x / (1 + exp(-x))
//
// then every form that a consumer wants, 4, 3 or 8 texels a block of 32 columns:
//   WANT_I9   q in -255..255, three 10-bit fields a word in 11 words, then for each half of 16
//             -8 * sum(q) * 65537 (formats/q4.glsl tells why), for each its scale, and the sum of
//             the values as rounded
//   WANT_I10  q in -511..511 in 11 words, then the block's scale
//   WANT_F32  32 floats
//   WANT_I8   q in -127..127, a byte each, then for each half of 16 its scale and the sum of its
//             values as rounded: 3 texels. Only in the module with FORM_I8, which has a binding more
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

// What v is multiplied by so that the largest of them becomes `top`. Values that are all smaller
// than 1e-30 become zeros: the quotient would be infinite below 3.7e-37.
float to_integers(float most, float top) { return most > 1e-30 ? top / most : 0.0; }

uint pack10(float a, float b, float c)
{
    ivec3 q = ivec3(a, b, c) & 1023;
    return uint(q.x | q.y << 10 | q.z << 20);
}

void pack(vec4 q[8], out uvec4 a, out uvec4 b, out uvec3 c)
{
    a = uvec4(pack10(q[0].x, q[0].y, q[0].z), pack10(q[0].w, q[1].x, q[1].y),
              pack10(q[1].z, q[1].w, q[2].x), pack10(q[2].y, q[2].z, q[2].w));
    b = uvec4(pack10(q[3].x, q[3].y, q[3].z), pack10(q[3].w, q[4].x, q[4].y),
              pack10(q[4].z, q[4].w, q[5].x), pack10(q[5].y, q[5].z, q[5].w));
    c = uvec3(pack10(q[6].x, q[6].y, q[6].z), pack10(q[6].w, q[7].x, q[7].y),
              pack10(q[7].z, q[7].w, 0.0));
}

void write_i9(uint at, vec4 v[8])
{
    vec2 most = vec2(largest(v[0], v[1], v[2], v[3]), largest(v[4], v[5], v[6], v[7]));
    vec2 k = vec2(to_integers(most.x, 255.0), to_integers(most.y, 255.0)), scale = most / 255.0;
    [[unroll]] for (uint i = 0u; i < 8u; i++) v[i] = roundEven(v[i] * k[i / 4u]);
    vec2 sum = vec2(dot(v[0] + v[1] + v[2] + v[3], vec4(1.0)),
                    dot(v[4] + v[5] + v[6] + v[7], vec4(1.0)));
    uvec2 start = uvec2(ivec2(sum) * (-8 * 65537));
    uvec4 a, b;
    uvec3 c;
    pack(v, a, b, c);
    out_i9[at] = a;
    out_i9[at + 1u] = b;
    out_i9[at + 2u] = uvec4(c, start.x);
    out_i9[at + 3u] = uvec4(start.y, floatBitsToUint(vec3(scale, dot(scale, sum))));
}

void write_i10(uint at, vec4 v[8])
{
    float most = max(largest(v[0], v[1], v[2], v[3]), largest(v[4], v[5], v[6], v[7]));
    float k = to_integers(most, 511.0);
    [[unroll]] for (uint i = 0u; i < 8u; i++) v[i] = roundEven(v[i] * k);
    uvec4 a, b;
    uvec3 c;
    pack(v, a, b, c);
    out_i10[at] = a;
    out_i10[at + 1u] = b;
    out_i10[at + 2u] = uvec4(c, floatBitsToUint(most / 511.0));
}

#ifdef FORM_I8
layout(set = 0, binding = 6, std430) writeonly buffer i8_block { uvec4 out_i8[]; };

uint pack8(vec4 q)
{
    uvec4 n = uvec4(ivec4(q)) & 255u;
    return n.x | n.y << 8 | n.z << 16 | n.w << 24;
}

void write_i8(uint at, vec4 v[8])
{
    vec2 most = vec2(largest(v[0], v[1], v[2], v[3]), largest(v[4], v[5], v[6], v[7]));
    vec2 k = vec2(to_integers(most.x, 127.0), to_integers(most.y, 127.0)), scale = most / 127.0;
    [[unroll]] for (uint i = 0u; i < 8u; i++) v[i] = roundEven(v[i] * k[i / 4u]);
    vec2 sum = vec2(dot(v[0] + v[1] + v[2] + v[3], vec4(1.0)),
                    dot(v[4] + v[5] + v[6] + v[7], vec4(1.0)));
    out_i8[at] = uvec4(pack8(v[0]), pack8(v[1]), pack8(v[2]), pack8(v[3]));
    out_i8[at + 1u] = uvec4(pack8(v[4]), pack8(v[5]), pack8(v[6]), pack8(v[7]));
    out_i8[at + 2u] = floatBitsToUint(vec4(scale, scale * sum));
}
#else
void write_i8(uint at, vec4 v[8]) {}
#endif

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
        if (WANT_I9) write_i9(4u * at, v);
        if (WANT_I10) write_i10(3u * at, v);
        if (WANT_I8) write_i8(3u * at, v);
        if (WANT_F32)
            [[unroll]] for (uint i = 0u; i < 8u; i++) out_f32[8u * at + i] = v[i];
    }
}
