// What the 8 lanes of a workgroup give each other: by shuffles, or through shared memory. A shuffle
// from a constant lane is one instruction on lavapipe.
#ifdef NO_SUBGROUP
shared float exchange[8];
float from_lane(float v, uint lane)
{
    barrier();
    exchange[gl_LocalInvocationID.x] = v;
    barrier();
    return exchange[lane];
}
float from_xor(float v, uint mask) { return from_lane(v, gl_LocalInvocationID.x ^ mask); }
void lanes_meet() { barrier(); }
#else
uint first_lane = gl_SubgroupInvocationID & ~7u;
float from_lane(float v, uint lane) { return subgroupShuffle(v, first_lane + lane); }
float from_xor(float v, uint mask) { return subgroupShuffleXor(v, mask); }
void lanes_meet() { subgroupBarrier(); } // a workgroup is within a subgroup
vec4 lane4(vec4 v, uint lane)
{
    return vec4(from_lane(v.x, lane), from_lane(v.y, lane), from_lane(v.z, lane),
                from_lane(v.w, lane));
}
#endif

float max8(float v)
{
    v = max(v, from_xor(v, 1u));
    v = max(v, from_xor(v, 2u));
    return max(v, from_xor(v, 4u));
}

float sum8(float v)
{
    v += from_xor(v, 1u);
    v += from_xor(v, 2u);
    return v + from_xor(v, 4u);
}
