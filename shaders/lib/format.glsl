// The weight format that this module is built for: block_load, block_dot, weight_at.
#if defined(FORMAT_Q4)
#include "formats/q4.glsl"
#elif defined(FORMAT_Q8) || defined(FORMAT_Q8P) || defined(FORMAT_Q8M)
#include "formats/q8.glsl"
#elif defined(FORMAT_F16) || defined(FORMAT_BF16)
#include "formats/f16.glsl"
#elif defined(FORMAT_F32)
#include "formats/f32.glsl"
#endif
