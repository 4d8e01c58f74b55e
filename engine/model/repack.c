#include "engine/model/repack.h"
#include "base/half.h"
#include "base/size.h"

#include <string.h>

enum weight_format repack_format(enum quant_type type)
{
    switch (type) {
    case QUANT_Q4_0:
    case QUANT_Q4_1:
    case QUANT_Q4_K: return WEIGHT_Q4;
    case QUANT_Q8_0:
    case QUANT_Q5_0:
    case QUANT_IQ4_NL:
    case QUANT_IQ4_XS: return WEIGHT_Q8;
    case QUANT_Q6_K:
    case QUANT_Q3_K: return WEIGHT_Q8P;
    case QUANT_Q5_1:
    case QUANT_Q5_K:
    case QUANT_Q2_K: return WEIGHT_Q8M;
    case QUANT_F16: return WEIGHT_F16;
    case QUANT_BF16: return WEIGHT_BF16;
    case QUANT_F32: break;
    }
    return WEIGHT_F32;
}

static void put_half(unsigned char *dst, float v)
{
    uint16_t h = f32_to_f16(v);
    memcpy(dst, &h, 2);
}

// `row` is the row in the tile, dst the block. zero: what q4's unsigned integers add to g's.
static void put_q4(const struct quant_group *g, int zero, uint32_t row, unsigned char *dst)
{
    uint32_t lane = row / 4, r = row % 4;
    for (uint32_t half = 0; half < 2; half++) {
        unsigned char *texel = dst + 16 * (8 * (2 * (r / 2) + half) + lane);
        for (uint32_t j = 0; j < 8; j++) { // two columns a byte, two bytes of this row a word
            const int8_t *q = g->q + 16 * half + 2 * j;
            texel[j / 2 * 4 + 2 * (r & 1) + j % 2] =
                (unsigned char)((q[0] + zero) | (q[1] + zero) << 4);
        }
    }
    unsigned char *s = dst + 16 * (32 + lane);
    put_half(s + 2 * r, g->d[0]);
    put_half(s + 8 + 2 * r, g->m[0] - (float)zero * g->d[0]);
}

static void put_q8(const struct quant_group *g, enum weight_format f, uint32_t row,
                   unsigned char *dst)
{
    uint32_t lane = row / 4, r = row % 4;
    unsigned char *s = dst + 16 * (64 + lane) + 4 * r;
    memcpy(dst + 16 * (8 * (2 * r) + lane), g->q, 16);
    memcpy(dst + 16 * (8 * (2 * r + 1) + lane), g->q + 16, 16);
    if (f == WEIGHT_Q8) {
        memcpy(s, &g->d[0], 4);
        return;
    }
    for (uint32_t half = 0; half < 2; half++) {
        put_half(s + 2 * half, g->d[half]);
        if (f == WEIGHT_Q8M) put_half(s + 16 * 8 + 2 * half, g->m[half]);
    }
}

static void put_groups(const struct gguf_tensor *t, const struct quant_group *g, uint32_t row,
                       unsigned char *dst)
{
    enum weight_format f = repack_format(t->type);
    size_t block = weight_layout(f)->block_texels * 16;
    for (uint64_t b = 0; b < t->ne[0] / 32; b++, g++, dst += block) {
        if (f == WEIGHT_Q4)
            put_q4(g, t->type == QUANT_Q4_0 ? 8 : 0, row, dst);
        else
            put_q8(g, f, row, dst);
    }
}

// A row of 2- or 4-byte elements: texel (k*4 + row)*8 + lane holds 16 bytes, columns n*k..
static void put_plain(const unsigned char *src, size_t row_bytes, uint32_t row, unsigned char *dst)
{
    uint32_t lane = row / 4, r = row % 4;
    for (size_t at = 0; at < row_bytes; at += 16)
        memcpy(dst + 16 * ((at / 16 * 4 + r) * 8 + lane), src + at, size_min(16, row_bytes - at));
}

void repack_tile(const struct gguf_tensor *t, uint64_t tile, struct quant_group *scratch,
                 unsigned char *dst)
{
    const struct weight_layout *layout = weight_layout(repack_format(t->type));
    size_t blocks = size_div_up(t->ne[0], BLOCK_COLS), row_bytes = 0;
    memset(dst, 0, blocks * layout->block_texels * 16);
    (void)quant_row_bytes(t->type, t->ne[0], &row_bytes); // checked when the file was opened
    for (uint32_t row = 0; row < TILE_ROWS && TILE_ROWS * tile + row < t->ne[1]; row++) {
        const unsigned char *src = t->data + (TILE_ROWS * tile + row) * row_bytes;
        if (quant_is_grouped(t->type)) {
            quant_groups(t->type, src, t->ne[0], scratch);
            put_groups(t, scratch, row, dst);
        } else {
            put_plain(src, row_bytes, row, dst);
        }
    }
}
