// Four columns of two pairs of rows, whose nibbles lie 16 bits apart: formats/q4.glsl. Half h of 16
// columns, word i of a texel, sums s and t of the pairs a and b.
#ifndef PAIRS_GLSL
#define PAIRS_GLSL
#define PAIR4(w, sum, x, y, z, t)                                                                  \
    sum += int((w) & 0x000f000fu) * x;                                                             \
    sum += int(((w) >> 4) & 0x000f000fu) * y;                                                      \
    sum += int(((w) >> 8) & 0x000f000fu) * z;                                                      \
    sum += int(((w) >> 12) & 0x000f000fu) * t;
#define PAIR_STEP4(h, i, x, y, z, w)                                                               \
    {                                                                                              \
        int x0 = x, x1 = y, x2 = z, x3 = w;                                                        \
        PAIR4(b.a##h.i, s##h, x0, x1, x2, x3)                                                      \
        PAIR4(b.b##h.i, t##h, x0, x1, x2, x3)                                                      \
    }
#endif
