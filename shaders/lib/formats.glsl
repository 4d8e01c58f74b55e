// Formats of integers, several in one module: those of WITH_Q2, WITH_Q3, ... tile_dot by number, in
// the order of enum weight_format.
#include "lib/bytes.glsl"

const uint FORMAT_TEXELS[7] = {32, 32, 40, 36, 48, 56, 72}; // BLOCK_TEXELS of each
const uint FORMAT_Q4 = 2u, FORMAT_Q4S = 3u; // those that read i9 records; others i10

#ifdef WITH_Q2
#define block_weights q2_weights
#define block_load q2_load
#define block_dot q2_dot
#define tile_dot q2_tile_dot
#define tile_dot_one q2_tile_dot_one
#define tile_dot_two q2_tile_dot_two
#include "formats/q2.glsl"
#include "lib/tile.glsl"
#include "lib/forget.glsl"
#endif
#ifdef WITH_Q3
#define block_weights q3_weights
#define block_load q3_load
#define block_dot q3_dot
#define tile_dot q3_tile_dot
#define tile_dot_one q3_tile_dot_one
#define tile_dot_two q3_tile_dot_two
#include "formats/q3.glsl"
#include "lib/tile.glsl"
#include "lib/forget.glsl"
#endif
#ifdef WITH_Q4
#define block_weights q4_weights
#define block_load q4_load
#define block_dot q4_dot
#define tile_dot q4_tile_dot
#define tile_dot_one q4_tile_dot_one
#define tile_dot_two q4_tile_dot_two
#include "formats/q4.glsl"
#include "lib/tile.glsl"
#include "lib/forget.glsl"
#endif
#ifdef WITH_Q4S
#define block_weights q4s_weights
#define block_load q4s_load
#define block_dot q4s_dot
#define tile_dot q4s_tile_dot
#define tile_dot_one q4s_tile_dot_one
#define tile_dot_two q4s_tile_dot_two
#include "formats/q4s.glsl"
#include "lib/tile.glsl"
#include "lib/forget.glsl"
#endif
#ifdef WITH_Q5
#define block_weights q5_weights
#define block_load q5_load
#define block_dot q5_dot
#define tile_dot q5_tile_dot
#define tile_dot_one q5_tile_dot_one
#define tile_dot_two q5_tile_dot_two
#include "formats/q5.glsl"
#include "lib/tile.glsl"
#include "lib/forget.glsl"
#endif
#ifdef WITH_Q6
#define block_weights q6_weights
#define block_load q6_load
#define block_dot q6_dot
#define tile_dot q6_tile_dot
#define tile_dot_one q6_tile_dot_one
#define tile_dot_two q6_tile_dot_two
#include "formats/q6.glsl"
#include "lib/tile.glsl"
#include "lib/forget.glsl"
#endif
#ifdef WITH_Q8
#define block_weights q8_weights
#define block_load q8_load
#define block_dot q8_dot
#define tile_dot q8_tile_dot
#define tile_dot_one q8_tile_dot_one
#define tile_dot_two q8_tile_dot_two
#include "formats/q8.glsl"
#include "lib/tile.glsl"
#include "lib/forget.glsl"
#endif

#ifdef TWO
#define OF(q) q##_tile_dot_two(w, w2, x, n_blocks, y, y2)
void tile_dot_two(uint format, uint w, uint w2, uint x, uint n_blocks, inout vec4 y,
                  inout vec4 y2)
#else
#define OF(q) q##_tile_dot(w, x, x_step, n_blocks, y)
void tile_dot(uint format, uint w, uint x, uint x_step, uint n_blocks, inout vec4 y[NT])
#endif
{
#ifdef WITH_Q2
    if (format == 0u) OF(q2);
#endif
#ifdef WITH_Q3
    if (format == 1u) OF(q3);
#endif
#ifdef WITH_Q4
    if (format == 2u) OF(q4);
#endif
#ifdef WITH_Q4S
    if (format == 3u) OF(q4s);
#endif
#ifdef WITH_Q5
    if (format == 4u) OF(q5);
#endif
#ifdef WITH_Q6
    if (format == 5u) OF(q6);
#endif
#ifdef WITH_Q8
    if (format == 6u) OF(q8);
#endif
}
