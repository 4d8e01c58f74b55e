// Elements of the cache. A row is a head's key or value at a position: kv_dim elements, whole units
// of 64. Rows of a page's positions lie together head by head, so that reading a head's is reading
// on. V begins at element p.v_base.
//
//   KV_F32   one a word        KV_F16   two a word
//   KV_Q8_0  four integers a word, lowest byte first; KV_Q4_0  eight, lowest nibble first, each + 8;
//            behind the integers of K and V a word a unit: f16 scales of its two blocks of 32
//
// KV_TYPE is the includer's specialisation constant. Readers have a buffer kv to read and define
// CACHE_READ; writers, and who changes rows in place, define CACHE_WRITE as the binding. Both have
// the push block p. Loops over a unit are not unrolled by hand: SwiftShader took over 400 s for the tests
// of such kernels, 20 s now; lavapipe takes the same 2 s.
#include "lib/bytes.glsl"

uint cache_row(uint cell, uint head, uint n_heads)
{
    return (cell / KV_PAGE * n_heads + head) * KV_PAGE + cell % KV_PAGE;
}

const bool CACHE_QUANTISED = KV_TYPE >= KV_Q8_0;

// Texels before the scales: bytes of integers of 2 v_base elements / 16.
uint cache_scales() { return p.v_base / (KV_TYPE == KV_Q8_0 ? 8u : 16u); }

vec4 cache_bytes(uint w) { return vec4(byte0(w), byte1(w), byte2(w), byte3(w)); }
vec4 cache_nibbles(uint w) // four of them
{
    return vec4((uvec4(w) >> uvec4(0u, 4u, 8u, 12u)) & 15u) - 8.0;
}

#ifdef CACHE_READ
struct vec8 {
    vec4 a, b;
};

// Elements 8k .. 8k+7 of a unit, without branches.
vec8 cache_load8(uint unit, uint k)
{
    if (KV_TYPE == KV_F32) {
        uint at = 16u * unit + 2u * k;
        return vec8(LOADF4(kv, at), LOADF4(kv, at + 1u));
    }
    if (KV_TYPE == KV_F16) {
        uvec4 h = LOAD4(kv, 8u * unit + k);
        return vec8(vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y)),
                    vec4(unpackHalf2x16(h.z), unpackHalf2x16(h.w)));
    }
    float scale = unpackHalf2x16(LOAD4(kv, cache_scales() + unit / 4u)[unit % 4u])[k / 4u];
    if (KV_TYPE == KV_Q8_0) {
        uvec4 t = LOAD4(kv, 4u * unit + k / 2u);
        uvec2 w = (k & 1u) == 0u ? t.xy : t.zw;
        return vec8(scale * cache_bytes(w.x), scale * cache_bytes(w.y));
    }
    uint w = LOAD4(kv, 2u * unit + k / 4u)[k % 4u];
    return vec8(scale * cache_nibbles(w), scale * cache_nibbles(w >> 16u));
}
#endif

#ifdef CACHE_WRITE
layout(set = 0, binding = CACHE_WRITE, std430) buffer cache1_block { uint cache1[]; };
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

vec4 cache_read4(uint i)
{
    if (KV_TYPE == KV_F32) return uintBitsToFloat(cache4[i]);
    return vec4(unpackHalf2x16(cache2[i].x), unpackHalf2x16(cache2[i].y));
}

void cache_read64(uint unit, out vec4 v[16])
{
    vec2 scale = unpackHalf2x16(cache1[4u * cache_scales() + unit]);
    if (KV_TYPE == KV_Q8_0) {
        for (uint i = 0u; i < 4u; i++) {
            uvec4 t = cache4[4u * unit + i];
            float d = i < 2u ? scale.x : scale.y;
            v[4u * i] = d * cache_bytes(t.x);
            v[4u * i + 1u] = d * cache_bytes(t.y);
            v[4u * i + 2u] = d * cache_bytes(t.z);
            v[4u * i + 3u] = d * cache_bytes(t.w);
        }
    } else {
        for (uint i = 0u; i < 8u; i++) {
            uint t = cache1[8u * unit + i];
            float d = i < 4u ? scale.x : scale.y;
            v[2u * i] = d * cache_nibbles(t);
            v[2u * i + 1u] = d * cache_nibbles(t >> 16u);
        }
    }
}

float further(float most, float x) { return abs(x) > abs(most) ? x : most; }

// The scale of 32 values, as GGUF's Q8_0 (largest magnitude / 127) and Q4_0 (value of the largest
// magnitude / -8) have it, clamped to what f16 holds.
float cache_scale(vec4 v[16], uint first)
{
    float most = 0.0;
    for (uint i = first; i < first + 8u; i++)
        most = further(further(further(further(most, v[i].x), v[i].y), v[i].z), v[i].w);
    return clamp(KV_TYPE == KV_Q8_0 ? abs(most) / 127.0 : most / -8.0, -65504.0, 65504.0);
}

// One unit, quantised: round(x / scale), halves away from zero, or trunc(x / scale + 8.5).
void cache_store64(uint unit, vec4 v[16])
{
    vec2 scale = vec2(cache_scale(v, 0u), cache_scale(v, 8u));
    uint words[16];
    for (uint i = 0u; i < 16u; i++) {
        float d = i < 8u ? scale.x : scale.y;
        vec4 x = v[i] * (abs(d) > 1e-30 ? 1.0 / d : 0.0);
        if (KV_TYPE == KV_Q8_0)
            x = clamp(sign(x) * floor(abs(x) + 0.5), -127.0, 127.0);
        else
            x = clamp(floor(x + 8.5), 0.0, 15.0);
        uvec4 n = uvec4(ivec4(x)) & 255u;
        words[i] = KV_TYPE == KV_Q8_0 ? n.x | n.y << 8u | n.z << 16u | n.w << 24u
                                      : n.x | n.y << 4u | n.z << 8u | n.w << 12u;
    }
    if (KV_TYPE == KV_Q8_0) {
        for (uint i = 0u; i < 4u; i++)
            cache4[4u * unit + i] =
                uvec4(words[4u * i], words[4u * i + 1u], words[4u * i + 2u], words[4u * i + 3u]);
    } else {
        for (uint i = 0u; i < 2u; i++)
            cache4[2u * unit + i] =
                uvec4(words[8u * i] | words[8u * i + 1u] << 16u,
                      words[8u * i + 2u] | words[8u * i + 3u] << 16u,
                      words[8u * i + 4u] | words[8u * i + 5u] << 16u,
                      words[8u * i + 6u] | words[8u * i + 7u] << 16u);
    }
    cache1[4u * cache_scales() + unit] = packHalf2x16(scale);
}
#endif
