// y[t] += this lane's four rows of a tile times token t, in NT tokens. w: the lane's first texel of
// the tile; x: first texel of the first token's records, x_step texels before the next token's.
// Included behind every format, under names of its own where a module has several.
//
// Loops test at their end: lavapipe runs the body once more, without effect, where they test before it.
#ifdef WIDE
// One token and two tiles, from w and from w2. A processor reads ahead wherever memory is read on and
// on, and the more such places there are the more it has under way: 16 lanes of two tiles read at 4.
void tile_dot_two(uint w, uint w2, uint x, uint n_blocks, inout vec4 y, inout vec4 y2)
{
    uint b = 0u;
    do {
        act_set a = acts_load(x, 0u, 1u);
        y += block_dot(block_load(w), a, 0u);
        y2 += block_dot(block_load(w2), a, 0u);
        w += BLOCK_TEXELS;
        w2 += BLOCK_TEXELS;
        x += ACT_TEXELS;
        b++;
    } while (b < n_blocks);
}
#endif

void tile_dot(uint w, uint x, uint x_step, uint n_blocks, inout vec4 y[NT])
{
    uint b = 0u;
#ifdef WIDE
    if (NT == 1u && ACTS_A_FETCH == 2u) { // one fetch of activations for two blocks
        do {
            act_set a = acts_load(x, ACT_TEXELS, 2u);
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
            act_set a = acts_load(x + t * x_step, x_step, NT - t);
            [[unroll]] for (uint k = 0u; k < ACTS_A_FETCH; k++)
                if (t + k < NT) y[t + k] += block_dot(bw, a, k * ACT_TEXELS);
        }
        w += BLOCK_TEXELS;
        x += ACT_TEXELS;
        b++;
    } while (b < n_blocks);
}
