// Activation records (norm.comp) as matmul reads them. WIDE: a subgroup's lanes fetch a texel each
// and take each other's words, which costs a shuffle where a fetch of one address by all lanes costs
// as much as one of as many addresses.
#ifndef ACTS_GLSL
#define ACTS_GLSL
#ifdef WIDE
#define ACTS_A_FETCH (LANES / ACT_TEXELS)

struct act_set { // the records that a fetch gets
    uvec4 raw;
#if ACT_TEXELS < 8
    ivec4 f0, f1, f2;
#endif
};

// n: how many records there are.
act_set acts_load(uint at, uint step, uint n)
{
    act_set a;
    a.raw = LOAD4(acts, at + min(lane / ACT_TEXELS, n - 1u) * step + lane % ACT_TEXELS);
#if ACT_TEXELS < 8
    a.f0 = ivec4(a.raw << 22) >> 22;
    a.f1 = ivec4(a.raw << 12) >> 22;
    a.f2 = ivec4(a.raw << 2) >> 22;
#endif
    return a;
}
#define TENTH(a, texel, c, field) from_lane(a.f##field.c, first + (texel))
#define ACT(a, texel, c) from_lane(a.raw.c, first + (texel))
#else
#define ACTS_A_FETCH 1u
struct act_set {
    uvec4 t[ACT_TEXELS];
};
act_set acts_load(uint at, uint step, uint n)
{
    act_set a;
    [[unroll]] for (uint k = 0u; k < ACT_TEXELS; k++) a.t[k] = LOAD4(acts, at + k);
    return a;
}
#define TENTH(a, texel, c, field) tenth##field(a.t[texel].c)
#define ACT(a, texel, c) a.t[texel].c
#endif
#define ACTF4(a, texel)                                                                            \
    uintBitsToFloat(uvec4(ACT(a, texel, x), ACT(a, texel, y), ACT(a, texel, z), ACT(a, texel, w)))
#endif
