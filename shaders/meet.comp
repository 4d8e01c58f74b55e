// One meeting of workgroups and nothing else: whether a device runs so many at once.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define MEETING 0
#include "push.h"

layout(local_size_x = 8) in;
layout(push_constant) uniform push_block { push_layer p; };

uint lane = gl_LocalInvocationID.x, n_groups = gl_NumWorkGroups.x;

#include "lib/meet.glsl"

void main() { meet(1u); }
