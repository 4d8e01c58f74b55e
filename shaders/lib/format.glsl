// The weight format that this module is built for: block_load, block_dot, tile_dot.
#include "lib/bytes.glsl"

#if defined(FORMAT_Q2)
#include "formats/q2.glsl"
#elif defined(FORMAT_Q3)
#include "formats/q3.glsl"
#elif defined(FORMAT_Q4)
#include "formats/q4.glsl"
#elif defined(FORMAT_Q4S)
#include "formats/q4s.glsl"
#elif defined(FORMAT_Q5)
#include "formats/q5.glsl"
#elif defined(FORMAT_Q6)
#include "formats/q6.glsl"
#elif defined(FORMAT_Q8)
#include "formats/q8.glsl"
#elif defined(FORMAT_F16) || defined(FORMAT_BF16)
#include "formats/f16.glsl"
#elif defined(FORMAT_F32)
#include "formats/f32.glsl"
#endif
#include "lib/tile.glsl"
