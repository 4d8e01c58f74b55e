#include "engine/model/repack.h"
#include "base/half.h"
#include "base/size.h"

#include <string.h>

enum weight_format repack_format(enum quant_type type)
{
    switch (type) {
    case QUANT_Q4_0:
    case QUANT_Q4_1: return WEIGHT_Q4;
    case QUANT_Q8_0:
    case QUANT_Q5_0:
    case QUANT_IQ4_NL: return WEIGHT_Q8;
    case QUANT_F16: return WEIGHT_F16;
    case QUANT_BF16: return WEIGHT_BF16;
    default: return WEIGHT_F32;
    }
}

static uint16_t read_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

// Block of Q4_0 {f16 d; u8 q[16]} or Q4_1 {f16 d; f16 m; u8 q[16]}; q[i] holds column i in its low
// and column i + 16 in its high half. `row` is the row in the tile.
static void put_q4(const unsigned char *src, bool has_min, uint32_t row, unsigned char *dst)
{
    uint32_t lane = row / 4, r = row % 4;
    uint16_t d = read_u16(src);
    uint16_t m =
        has_min ? read_u16(src + 2) : f32_to_f16(-8 * f16_to_f32(d)); // exact: 3 exponents up
    const unsigned char *q = src + (has_min ? 4 : 2);
    for (uint32_t half = 0; half < 2; half++) {
        unsigned char *texel = dst + 16 * (8 * (2 * (r / 2) + half) + lane);
        for (uint32_t j = 0; j < 4; j++) { // word j: columns 4j..4j+3, two bytes of this row
            unsigned n[4];
            for (uint32_t c = 0; c < 4; c++)
                n[c] = half ? q[4 * j + c] >> 4 : q[4 * j + c] & 15u;
            texel[4 * j + 2 * (r & 1)] = (unsigned char)(n[0] | n[1] << 4);
            texel[4 * j + 2 * (r & 1) + 1] = (unsigned char)(n[2] | n[3] << 4);
        }
    }
    unsigned char *s = dst + 16 * (32 + lane);
    memcpy(s + 2 * r, &d, 2);
    memcpy(s + 8 + 2 * r, &m, 2);
}

static void put_q8(float d, const signed char q[32], uint32_t row, unsigned char *dst)
{
    uint32_t lane = row / 4, r = row % 4;
    memcpy(dst + 16 * (8 * (2 * r) + lane), q, 16);
    memcpy(dst + 16 * (8 * (2 * r + 1) + lane), q + 16, 16);
    memcpy(dst + 16 * (64 + lane) + 4 * r, &d, 4);
}

// Q5_0 {f16 d; u32 high bits; u8 low[16]}: n - 16 with n of 5 bits.
static void put_q5_0(const unsigned char *src, uint32_t row, unsigned char *dst)
{
    signed char q[32];
    uint32_t high = (uint32_t)read_u16(src + 2) | (uint32_t)read_u16(src + 4) << 16;
    for (uint32_t i = 0; i < 16; i++) {
        unsigned byte = src[6 + i];
        q[i] = (signed char)((int)((byte & 15u) | (high >> i & 1u) << 4) - 16);
        q[i + 16] = (signed char)((int)(byte >> 4 | (high >> (i + 16) & 1u) << 4) - 16);
    }
    put_q8(f16_to_f32(read_u16(src)), q, row, dst);
}

// IQ4_NL {f16 d; u8 q[16]}: indices into 16 fixed values.
static void put_iq4_nl(const unsigned char *src, uint32_t row, unsigned char *dst)
{
    static const signed char values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};
    signed char q[32];
    for (uint32_t i = 0; i < 16; i++) {
        q[i] = values[src[2 + i] & 15];
        q[i + 16] = values[src[2 + i] >> 4];
    }
    put_q8(f16_to_f32(read_u16(src)), q, row, dst);
}

static void put_q8_0(const unsigned char *src, uint32_t row, unsigned char *dst)
{
    signed char q[32];
    memcpy(q, src + 2, 32);
    put_q8(f16_to_f32(read_u16(src)), q, row, dst);
}

static void put_blocks(const struct gguf_tensor *t, const unsigned char *src, uint32_t row,
                       unsigned char *dst)
{
    const struct quant_info *q = quant_info(t->type);
    size_t block = weight_layout(repack_format(t->type))->block_texels * 16;
    for (uint64_t b = 0; b < t->ne[0] / 32; b++, src += q->block_bytes, dst += block) {
        switch (t->type) {
        case QUANT_Q4_0: put_q4(src, false, row, dst); break;
        case QUANT_Q4_1: put_q4(src, true, row, dst); break;
        case QUANT_Q5_0: put_q5_0(src, row, dst); break;
        case QUANT_IQ4_NL: put_iq4_nl(src, row, dst); break;
        default: put_q8_0(src, row, dst);
        }
    }
}

// A row of 2- or 4-byte elements: texel (k*4 + row)*8 + lane holds 16 bytes, columns n*k..
static void put_plain(const unsigned char *src, size_t row_bytes, uint32_t row, unsigned char *dst)
{
    uint32_t lane = row / 4, r = row % 4;
    for (size_t at = 0; at < row_bytes; at += 16)
        memcpy(dst + 16 * ((at / 16 * 4 + r) * 8 + lane), src + at, size_min(16, row_bytes - at));
}

void repack_tile(const struct gguf_tensor *t, uint64_t tile, float *scratch, unsigned char *dst)
{
    enum weight_format f = repack_format(t->type);
    size_t blocks = size_div_up(t->ne[0], BLOCK_COLS), row_bytes = 0;
    memset(dst, 0, blocks * weight_layout(f)->block_texels * 16);
    (void)quant_row_bytes(t->type, t->ne[0], &row_bytes); // checked when the file was opened
    for (uint32_t row = 0; row < TILE_ROWS && TILE_ROWS * tile + row < t->ne[1]; row++) {
        const unsigned char *src = t->data + (TILE_ROWS * tile + row) * row_bytes;
        if (f == WEIGHT_Q4 || f == WEIGHT_Q8) {
            put_blocks(t, src, row, dst);
        } else if (f == WEIGHT_F32 && t->type != QUANT_F32) {
            (void)quant_dequantise(t->type, src, t->ne[0], scratch);
            put_plain((const unsigned char *)scratch, t->ne[0] * 4, row, dst);
        } else {
            put_plain(src, row_bytes, row, dst);
        }
    }
}
