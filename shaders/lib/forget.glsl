// The names that a format gives, so that the next one may give them again.
#undef ACT_TEXELS
#undef BLOCK_TEXELS
#undef COL
#undef COL0
#undef COL1
#undef COL2
#undef COL3
#undef DOT4
#undef DOT5
#undef DOT6
#undef PAIR4
#undef STEP4
#undef block_dot
#undef block_load
#undef block_weights
#undef tile_dot
#undef tile_dot_two
