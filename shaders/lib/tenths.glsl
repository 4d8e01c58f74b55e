// The 32 activations of a 10-bit record (norm.comp), and their scale.
#ifndef TENTHS_GLSL
#define TENTHS_GLSL
#define TENTHS3(x, i, texel, c)                                                                    \
    x[i] = TENTH(a, texel, c, 0);                                                                  \
    x[i + 1] = TENTH(a, texel, c, 1);                                                              \
    x[i + 2] = TENTH(a, texel, c, 2);
float tenths(act_set a, uint first, out int x[32])
{
    TENTHS3(x, 0, 0, x)
    TENTHS3(x, 3, 0, y)
    TENTHS3(x, 6, 0, z)
    TENTHS3(x, 9, 0, w)
    TENTHS3(x, 12, 1, x)
    TENTHS3(x, 15, 1, y)
    TENTHS3(x, 18, 1, z)
    TENTHS3(x, 21, 1, w)
    TENTHS3(x, 24, 2, x)
    TENTHS3(x, 27, 2, y)
    x[30] = TENTH(a, 2, z, 0);
    x[31] = TENTH(a, 2, z, 1);
    return uintBitsToFloat(ACT(a, 2, w));
}

// The sum of the integers of a half.
#define ACT_SUM(a, half) int(half == 0 ? ACT(a, 3, x) : ACT(a, 3, y))
#endif
