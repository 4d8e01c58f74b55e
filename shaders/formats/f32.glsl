// f32 weights. 256 texels a tile and block: texel (k*4 + row)*8 + lane, k = 0..7: columns 4k..4k+3.
// Activations are f32, 8 texels a block.
#define BLOCK_TEXELS 256
#define ACT_TEXELS 8
#include "lib/acts.glsl"

struct block_weights {
    uint at;
};

block_weights block_load(uint at) { return block_weights(at); }

vec4 block_dot(block_weights b, act_set a, uint first)
{
    vec4 s = vec4(0.0);
    [[unroll]] for (uint k = 0u; k < 8u; k++) {
        vec4 v = ACTF4(a, k);
        uint at = b.at + 32u * k;
        s += vec4(dot(LOADF4(weights, at), v), dot(LOADF4(weights, at + 8u), v),
                  dot(LOADF4(weights, at + 16u), v), dot(LOADF4(weights, at + 24u), v));
    }
    return s;
}
