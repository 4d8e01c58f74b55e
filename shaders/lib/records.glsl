// Activation records, from 32 values to texels of out_i9, out_i10, out_i8, which the includer
// declares:
//
//   i9   q in -255..255, three 10-bit fields a word in 11 words, then for each half of 16
//        -8 * sum(q) * 65537 (formats/q4.glsl tells why), for each its scale, and the sum of the
//        values as rounded
//   i10  q in -511..511 in 11 words, the scale, for each half of 16 sum(q), two zeros
//   i8   with FORM_I8: q in -127..127, a byte each, then for each half of 16 its scale and the sum of
//        its values as rounded: 3 texels
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

// Of integers: exact.
vec2 half_sums(vec4 q[8])
{
    return vec2(dot(q[0] + q[1] + q[2] + q[3], vec4(1.0)),
                dot(q[4] + q[5] + q[6] + q[7], vec4(1.0)));
}

void write_i9(uint at, vec4 v[8])
{
    vec2 most = vec2(largest(v[0], v[1], v[2], v[3]), largest(v[4], v[5], v[6], v[7]));
    vec2 k = vec2(to_integers(most.x, 255.0), to_integers(most.y, 255.0)), scale = most / 255.0;
    [[unroll]] for (uint i = 0u; i < 8u; i++) v[i] = roundEven(v[i] * k[i / 4u]);
    vec2 sum = half_sums(v);
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
    out_i10[at + 3u] = uvec4(uvec2(ivec2(half_sums(v))), 0u, 0u);
}

#ifdef FORM_I8
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
    out_i8[at] = uvec4(pack8(v[0]), pack8(v[1]), pack8(v[2]), pack8(v[3]));
    out_i8[at + 1u] = uvec4(pack8(v[4]), pack8(v[5]), pack8(v[6]), pack8(v[7]));
    out_i8[at + 2u] = floatBitsToUint(vec4(scale, scale * half_sums(v)));
}
#else
void write_i8(uint at, vec4 v[8]) {}
#endif
