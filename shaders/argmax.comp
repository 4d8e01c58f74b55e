// The largest logit and its id, of ARGMAX_SLICE logits of a row by one workgroup; the host finishes
// over the few of a row. Of equal ones the lowest id, as sampling on the host has it.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "push.h"
#include "lib/load.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint LANES = 64;

READ_BUFFER(0, logits)
layout(set = 0, binding = 1, std430) writeonly buffer best_block { uvec2 best[]; };
layout(push_constant) uniform push_block { push_argmax p; };

shared float values[LANES];
shared uint ids[LANES];

void main()
{
    const uint TEXELS = ARGMAX_SLICE / 4;
    uint lane = gl_LocalInvocationID.x, slice = gl_WorkGroupID.x, row = gl_WorkGroupID.y;
    float most = uintBitsToFloat(0xff800000u); // -infinity
    uint id = slice * ARGMAX_SLICE;
    for (uint i = lane; i < TEXELS; i += LANES) {
        uint at = slice * TEXELS + i;
        if (4u * at >= p.n_vocab) break;
        vec4 v = LOADF4(logits, row * p.stride + at);
        for (uint k = 0u; k < 4u; k++)
            if (v[k] > most && 4u * at + k < p.n_vocab) {
                most = v[k];
                id = 4u * at + k;
            }
    }
    values[lane] = most;
    ids[lane] = id;
    barrier();
    if (lane != 0u) return;
    for (uint i = 1u; i < LANES; i++)
        if (values[i] > most || (values[i] == most && ids[i] < id)) {
            most = values[i];
            id = ids[i];
        }
    best[row * p.n_slices + slice] = uvec2(floatBitsToUint(most), id);
}
