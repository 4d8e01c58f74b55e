// The 32 activations of the 10-bit record (norm.comp) at texel `at` of acts, and their scale.
#define TENTHS3(x, i, word)                                                                        \
    x[i] = tenth0(word);                                                                           \
    x[i + 1] = tenth1(word);                                                                       \
    x[i + 2] = tenth2(word);
float tenths(uint at, out int x[32])
{
    uvec4 p = LOAD4(acts, at), q = LOAD4(acts, at + 1u), r = LOAD4(acts, at + 2u);
    TENTHS3(x, 0, p.x)
    TENTHS3(x, 3, p.y)
    TENTHS3(x, 6, p.z)
    TENTHS3(x, 9, p.w)
    TENTHS3(x, 12, q.x)
    TENTHS3(x, 15, q.y)
    TENTHS3(x, 18, q.z)
    TENTHS3(x, 21, q.w)
    TENTHS3(x, 24, r.x)
    TENTHS3(x, 27, r.y)
    x[30] = tenth0(r.z);
    x[31] = tenth1(r.z);
    return uintBitsToFloat(r.w);
}

#define SUM4(x, i) (x[i] + x[i + 1] + x[i + 2] + x[i + 3])
#define SUM16(x, i) (SUM4(x, i) + SUM4(x, i + 4) + SUM4(x, i + 8) + SUM4(x, i + 12))
