// What the lanes of a workgroup give each other: by shuffles, or through shared memory. There are
// LANES of them, a specialisation constant of the includer: 8, or on a software device whose
// subgroups have them 16, two halves of 8. from_lane: lane c of all, c the same everywhere and
// constant; from_half: lane c of the own half.
//
// lavapipe makes one or two instructions of such a shuffle, on 25.0.7 for 8 lanes only. From 16 it
// makes a loop there, and of a broadcast none; 22.3.6 makes the loop of the broadcast. BROADCAST
// says which is to be used: a specialisation constant of modules with LOAD_IMAGE.
#ifndef LANES_GLSL
#define LANES_GLSL
#ifdef LOAD_IMAGE // a workgroup is a subgroup
uint lane = gl_SubgroupInvocationID;
#else
uint lane = gl_LocalInvocationID.x;
const bool BROADCAST = false;
#endif
#ifdef NO_SUBGROUP
shared float exchange[8];
float from_lane(float v, uint c)
{
    barrier();
    exchange[lane] = v;
    barrier();
    return exchange[c];
}
float from_half(float v, uint c) { return from_lane(v, c); }
float from_xor(float v, uint mask) { return from_lane(v, lane ^ mask); }
void lanes_meet() { barrier(); }
#else
float from_xor(float v, uint mask) { return subgroupShuffleXor(v, mask); }
#ifdef LOAD_IMAGE
#define EXCHANGE(type)                                                                             \
    type from_lane(type v, uint c)                                                                 \
    {                                                                                              \
        if (BROADCAST) return subgroupBroadcast(v, c);                                             \
        return subgroupShuffle(v, c);                                                              \
    }                                                                                              \
    type from_half(type v, uint c)                                                                 \
    {                                                                                              \
        if (LANES == 8u) return from_lane(v, c);                                                   \
        if (!BROADCAST) return subgroupShuffle(v, (lane & 8u) + c);                                \
        type low = subgroupBroadcast(v, c), high = subgroupBroadcast(v, c + 8u);                   \
        return lane < 8u ? low : high;                                                             \
    }
EXCHANGE(float)
EXCHANGE(int)
EXCHANGE(uint)
#else // a workgroup is within a subgroup
uint first_lane = gl_SubgroupInvocationID & ~7u;
float from_lane(float v, uint c) { return subgroupShuffle(v, first_lane + c); }
int from_lane(int v, uint c) { return subgroupShuffle(v, first_lane + c); }
uint from_lane(uint v, uint c) { return subgroupShuffle(v, first_lane + c); }
float from_half(float v, uint c) { return from_lane(v, c); }
#endif
void lanes_meet() { subgroupBarrier(); }
#endif

vec4 lane4(vec4 v, uint c)
{
    return vec4(from_lane(v.x, c), from_lane(v.y, c), from_lane(v.z, c), from_lane(v.w, c));
}

#define OF_ALL(name, of)                                                                           \
    float name(float v)                                                                            \
    {                                                                                              \
        if (BROADCAST) {                                                                           \
            float all = from_lane(v, 0u);                                                          \
            [[unroll]] for (uint c = 1u; c < LANES; c++) all = of(all, from_lane(v, c));           \
            return all;                                                                            \
        }                                                                                          \
        v = of(v, from_xor(v, 1u));                                                                \
        v = of(v, from_xor(v, 2u));                                                                \
        v = of(v, from_xor(v, 4u));                                                                \
        if (LANES == 16u) v = of(v, from_xor(v, 8u));                                              \
        return v;                                                                                  \
    }
float plus(float a, float b) { return a + b; }
OF_ALL(max_lanes, max)
OF_ALL(sum_lanes, plus)

// Of both halves, in each.
vec4 sum_halves(vec4 v)
{
    if (LANES == 16u)
        v += vec4(from_xor(v.x, 8u), from_xor(v.y, 8u), from_xor(v.z, 8u), from_xor(v.w, 8u));
    return v;
}
#endif
