// y[t] += this lane's four rows of a tile times token t, in NT tokens. w: the lane's first texel of
// the tile; x: first texel of the first token's records, x_step texels before the next token's.
// Included behind every format, under names of its own where a module has several.
//
// A format may put UNIT_BLOCKS together, which share texels, and tiles are whole units: UNIT_LOAD
// loads a block of the unit at a texel.
//
// Loops test at their end: lavapipe runs the body once more, without effect, where they test before it.
#ifndef UNIT_BLOCKS
#define UNIT_BLOCKS 1
#define UNIT_LOAD(at, block) block_load(at)
#endif
#define UNIT_TEXELS (UNIT_BLOCKS * BLOCK_TEXELS)

#ifdef WIDE
// One token, one fetch of activations for two blocks.
void tile_dot_one(uint w, uint x, uint n_blocks, inout vec4 y)
{
    uint b = 0u;
    do {
        act_set a = acts_load(x, ACT_TEXELS, 2u);
        y += block_dot(UNIT_LOAD(w, 0u), a, 0u);
#if UNIT_BLOCKS == 2
        y += block_dot(UNIT_LOAD(w, 1u), a, ACT_TEXELS);
#else
        vec4 second = block_dot(UNIT_LOAD(w + BLOCK_TEXELS, 0u), a, ACT_TEXELS);
        if (b + 1u < n_blocks) y += second;
#endif
        w += 2u * BLOCK_TEXELS;
        x += 2u * ACT_TEXELS;
        b += 2u;
    } while (b < n_blocks);
}

// One token and two tiles, from w and from w2. A processor reads ahead wherever memory is read on and
// on, in steps that are small against a page, and the more such places there are the more it has
// under way: 16 lanes of two tiles read at 4. Units of two blocks are large steps, and faster one
// tile after the other.
void tile_dot_two(uint w, uint w2, uint x, uint n_blocks, inout vec4 y, inout vec4 y2)
{
#if UNIT_BLOCKS == 2
    uint k = 0u;
    do {
        vec4 sum = y;
        tile_dot_one(w, x, n_blocks, sum);
        y = y2;
        y2 = sum;
        w = w2;
    } while (++k < 2u);
#else
    uint b = 0u;
    do {
        act_set a = acts_load(x, 0u, 1u);
        y += block_dot(UNIT_LOAD(w, 0u), a, 0u);
        y2 += block_dot(UNIT_LOAD(w2, 0u), a, 0u);
        w += BLOCK_TEXELS;
        w2 += BLOCK_TEXELS;
        x += ACT_TEXELS;
        b++;
    } while (b < n_blocks);
#endif
}
#endif

void tile_dot(uint w, uint x, uint x_step, uint n_blocks, inout vec4 y[NT])
{
    uint b = 0u;
#ifdef WIDE
    if (NT == 1u && ACTS_A_FETCH == 2u) {
        tile_dot_one(w, x, n_blocks, y[0]);
        return;
    }
#endif
    do {
        block_weights bw = UNIT_LOAD(w, b % UNIT_BLOCKS);
        [[unroll]] for (uint t = 0u; t < NT; t += ACTS_A_FETCH) {
            act_set a = acts_load(x + t * x_step, x_step, NT - t);
            [[unroll]] for (uint k = 0u; k < ACTS_A_FETCH; k++)
                if (t + k < NT) y[t + k] += block_dot(bw, a, k * ACT_TEXELS);
        }
        x += ACT_TEXELS;
        b++;
        if (b % UNIT_BLOCKS == 0u) w += UNIT_TEXELS;
    } while (b < n_blocks);
}
