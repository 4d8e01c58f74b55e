// y[t] += this lane's four rows of a tile times token t, in NT tokens. w: the lane's first texel of
// the tile; x: first texel of the first token's records, x_step texels before the next token's.
// Included behind every format, under names of its own where a module has several.
//
// Loops test at their end: lavapipe runs the body once more, without effect, where they test before it.
void tile_dot(uint w, uint x, uint x_step, uint n_blocks, uint lane, inout vec4 y[NT])
{
    uint b = 0u;
#ifdef WIDE
    if (NT == 1u && ACTS_A_FETCH == 2u) { // one fetch of activations for two blocks
        do {
            act_set a = acts_load(x, ACT_TEXELS, lane);
            y[0] += block_dot(block_load(w), a, 0u);
            vec4 second = block_dot(block_load(w + BLOCK_TEXELS), a, ACT_TEXELS);
            if (b + 1u < n_blocks) y[0] += second;
            w += 2u * BLOCK_TEXELS;
            x += 2u * ACT_TEXELS;
            b += 2u;
        } while (b < n_blocks);
        return;
    }
#endif
    do {
        block_weights bw = block_load(w);
        [[unroll]] for (uint t = 0u; t < NT; t += ACTS_A_FETCH) {
            act_set a = acts_load(x + t * x_step, t + 1u < NT ? x_step : 0u, lane);
            y[t] += block_dot(bw, a, 0u);
            if (ACTS_A_FETCH == 2u && t + 1u < NT) y[t + 1u] += block_dot(bw, a, ACT_TEXELS);
        }
        w += BLOCK_TEXELS;
        x += ACT_TEXELS;
        b++;
    } while (b < n_blocks);
}
