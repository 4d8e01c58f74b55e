// Extensions of modules that exchange between lanes (lib/lanes.glsl).
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#ifdef LOAD_IMAGE
#extension GL_KHR_shader_subgroup_ballot : require
#endif
