// Elements of a cache row. A unit is 64 of them; kv_dim is whole units.
//   KV_F16  two a word     KV_F32  one a word
// Readers name the binding READ_BUFFER(n, kv) before they include this, writers declare cache2 and
// cache4 (below). KV_TYPE is their specialisation constant.

struct vec8 {
    vec4 a, b;
};

#ifdef CACHE_READ
// Elements 8k .. 8k+7 of a unit.
vec8 cache_load8(uint unit, uint k)
{
    if (KV_TYPE == KV_F32) {
        uint at = 16u * unit + 2u * k;
        return vec8(LOADF4(kv, at), LOADF4(kv, at + 1u));
    }
    uvec4 h = LOAD4(kv, 8u * unit + k);
    return vec8(vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y)),
                vec4(unpackHalf2x16(h.z), unpackHalf2x16(h.w)));
}
#endif

#ifdef CACHE_WRITE
layout(set = 0, binding = CACHE_WRITE, std430) buffer cache2_block { uvec2 cache2[]; };
layout(set = 0, binding = CACHE_WRITE, std430) buffer cache4_block { uvec4 cache4[]; };

// Elements 4i .. 4i+3 of the cache. f16 is clamped: an infinity would poison every later token.
void cache_store4(uint i, vec4 v)
{
    if (KV_TYPE == KV_F32) {
        cache4[i] = floatBitsToUint(v);
    } else {
        v = clamp(v, -65504.0, 65504.0);
        cache2[i] = uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
    }
}
#endif
