// One meeting of workgroups and nothing else: whether a device runs so many at once.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/subgroup.glsl"
#define MEETING 0
#include "push.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint LANES = 8;
#ifdef LOAD_IMAGE
layout(constant_id = 1) const bool BROADCAST = false;
#endif
layout(push_constant) uniform push_block { push_layer p; };

uint n_groups = gl_NumWorkGroups.x;

#include "lib/lanes.glsl"
#include "lib/meet.glsl"

void main() { meet(1u); }
