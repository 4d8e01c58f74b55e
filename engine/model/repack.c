// Rows of a file become tiles in spans of 256 columns: a row's blocks are decoded to integers, and
// the four rows of a lane are packed together, so that every word of a texel is made once. A span
// is built in a small buffer and then copied: the destination may be memory that is slow to read
// or to write out of order. Words are built for a little-endian device by a host like it.
#include "engine/model/repack.h"
#include "base/half.h"
#include "base/size.h"

#include <string.h>

enum {
    LANE_ROWS = TILE_ROWS / TILE_LANES,
    SPAN = 8,        // blocks of 32 columns: one block of a K-quant
    MAX_TEXELS = 72, // of a block in the widest layout of integers
};

enum weight_format repack_format(enum quant_type type)
{
    switch (type) {
    case QUANT_Q4_0:
    case QUANT_Q4_1:
    case QUANT_Q4_K: return WEIGHT_Q4;
    case QUANT_Q8_0:
    case QUANT_IQ4_NL:
    case QUANT_IQ4_XS: return WEIGHT_Q8;
    case QUANT_Q2_K: return WEIGHT_Q2;
    case QUANT_Q3_K: return WEIGHT_Q3;
    case QUANT_Q5_0:
    case QUANT_Q5_1:
    case QUANT_Q5_K: return WEIGHT_Q5;
    case QUANT_Q6_K: return WEIGHT_Q6;
    case QUANT_F16: return WEIGHT_F16;
    case QUANT_BF16: return WEIGHT_BF16;
    case QUANT_F32: break;
    }
    return WEIGHT_F32;
}

// What a lane of a block is made from: row r's group is g[SPAN * r]. zero: what makes the layout's
// integers out of g's, a power of two that is added to the type's range of twice its size.
struct lane {
    const struct quant_group *g;
    uint32_t zero;
};

// Texel i of the lane, dst being its first.
static void put_texel(unsigned char *dst, uint32_t i, const uint32_t words[4])
{
    memcpy(dst + (size_t)16 * TILE_LANES * i, words, 16);
}

static uint32_t halves(float low, float high)
{
    return f32_to_f16(low) | (uint32_t)f32_to_f16(high) << 16;
}

// The low `bits` of eight integers, exclusive or `flip`, side by side: neighbours meet, then pairs,
// then fours. Adding 2^(bits - 1) modulo 2^bits is that exclusive or.
static inline uint64_t squeeze(const int8_t *q, uint32_t bits, uint32_t flip)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t x;
    memcpy(&x, q, 8);
    x = (x & ones * ((1u << bits) - 1)) ^ ones * flip;
    x = (x & 0x00ff00ff00ff00ffu) | (x & 0xff00ff00ff00ff00u) >> (8 - bits);
    x = (x & 0x0000ffff0000ffffu) | (x & 0xffff0000ffff0000u) >> 2 * (8 - bits);
    return (x & 0x00000000ffffffffu) | (x & 0xffffffff00000000u) >> 4 * (8 - bits);
}

// Bits at..at+n-1 of v.
static inline uint32_t cut(uint64_t v, uint32_t at, uint32_t n)
{
    return (uint32_t)(v >> at) & (uint32_t)((1ull << n) - 1);
}

// Two bits, two rows a word: eight columns. d and m of 16 columns each.
static void put_q2(const struct lane *l, unsigned char *dst)
{
    uint32_t w[2][4], d[4], m[4];
    for (uint32_t r = 0; r < LANE_ROWS; r += 2) {
        const int8_t *even = l->g[SPAN * r].q, *odd = l->g[SPAN * (r + 1)].q;
        for (uint32_t k = 0; k < 4; k++)
            w[k / 2][k % 2 * 2 + r / 2] = (uint32_t)squeeze(even + 8 * k, 2, 0) |
                                          (uint32_t)squeeze(odd + 8 * k, 2, 0) << 16;
    }
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        const struct quant_group *g = &l->g[SPAN * r];
        d[r] = halves(g->d[0], g->d[1]);
        m[r] = halves(g->m[0], g->m[1]);
    }
    put_texel(dst, 0, w[0]);
    put_texel(dst, 1, w[1]);
    put_texel(dst, 2, d);
    put_texel(dst, 3, m);
}

// Three bits, two rows a word: five columns, and in bit 15 one of column 15.
static void put_q3(const struct lane *l, unsigned char *dst)
{
    uint32_t w[3][4] = {{0}}, d[4];
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        const struct quant_group *g = &l->g[SPAN * r];
        for (uint32_t h = 0; h < 2; h++) {
            const int8_t *q = g->q + 16 * h;
            uint64_t v = squeeze(q, 3, 4) | squeeze(q + 8, 3, 4) << 24;
            for (uint32_t j = 0; j < 3; j++)
                w[j][2 * h + r / 2] |= (cut(v, 15 * j, 15) | cut(v, 45 + j, 1) << 15)
                                       << 16 * (r % 2);
        }
        d[r] = halves(g->d[0], g->d[1]);
    }
    for (uint32_t j = 0; j < 3; j++)
        put_texel(dst, j, w[j]);
    put_texel(dst, 3, d);
}

// Four bits, two rows a word: four columns.
static void put_q4(const struct lane *l, unsigned char *dst)
{
    uint32_t scales[4];
    for (uint32_t r = 0; r < LANE_ROWS; r += 2) {
        const struct quant_group *even = &l->g[SPAN * r], *odd = even + SPAN;
        float zero = (float)l->zero;
        for (uint32_t h = 0; h < 2; h++) {
            uint32_t w[4];
            for (uint32_t k = 0; k < 2; k++) {
                uint64_t a = squeeze(even->q + 16 * h + 8 * k, 4, l->zero);
                uint64_t b = squeeze(odd->q + 16 * h + 8 * k, 4, l->zero);
                w[2 * k] = cut(a, 0, 16) | cut(b, 0, 16) << 16;
                w[2 * k + 1] = cut(a, 16, 16) | cut(b, 16, 16) << 16;
            }
            put_texel(dst, r + h, w);
        }
        scales[r / 2] = halves(even->d[0], odd->d[0]);
        scales[2 + r / 2] = halves(even->m[0] - zero * even->d[0], odd->m[0] - zero * odd->d[0]);
    }
    put_texel(dst, 4, scales);
}

// Five bits, a row a word: six columns above two bits of columns 30 and 31.
static void put_q5(const struct lane *l, unsigned char *dst)
{
    uint32_t w[6][4];
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        const struct quant_group *g = &l->g[SPAN * r];
        uint64_t a = squeeze(g->q, 5, l->zero), b = squeeze(g->q + 8, 5, l->zero);
        uint64_t c = squeeze(g->q + 16, 5, l->zero), d = squeeze(g->q + 24, 5, l->zero);
        w[0][r] = cut(a, 0, 30) << 2 | cut(d, 30, 2);
        w[1][r] = (cut(a, 30, 10) | cut(b, 0, 20) << 10) << 2 | cut(d, 32, 2);
        w[2][r] = (cut(b, 20, 20) | cut(c, 0, 10) << 20) << 2 | cut(d, 34, 2);
        w[3][r] = cut(c, 10, 30) << 2 | cut(d, 36, 2);
        w[4][r] = cut(d, 0, 30) << 2 | cut(d, 38, 2);
        w[5][r] = halves(g->d[0], g->m[0] - (float)l->zero * g->d[0]);
    }
    for (uint32_t j = 0; j < 6; j++)
        put_texel(dst, j, w[j]);
}

// Six bits, a row a word: five columns above two bits of column 15.
static void put_q6(const struct lane *l, unsigned char *dst)
{
    uint32_t w[7][4];
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        const struct quant_group *g = &l->g[SPAN * r];
        for (uint32_t h = 0; h < 2; h++) {
            uint64_t a = squeeze(g->q + 16 * h, 6, 0), b = squeeze(g->q + 16 * h + 8, 6, 0);
            w[3 * h][r] = cut(a, 0, 30) << 2 | cut(b, 42, 2);
            w[3 * h + 1][r] = (cut(a, 30, 18) | cut(b, 0, 12) << 18) << 2 | cut(b, 44, 2);
            w[3 * h + 2][r] = cut(b, 12, 30) << 2 | cut(b, 46, 2);
        }
        w[6][r] = halves(g->d[0], g->d[1]);
    }
    for (uint32_t j = 0; j < 7; j++)
        put_texel(dst, j, w[j]);
}

static void put_q8(const struct lane *l, unsigned char *dst)
{
    uint32_t w[4], d[4];
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        const struct quant_group *g = &l->g[SPAN * r];
        for (uint32_t h = 0; h < 2; h++) {
            memcpy(w, g->q + 16 * h, 16);
            put_texel(dst, 2 * r + h, w);
        }
        d[r] = half_bits(g->d[0]);
    }
    put_texel(dst, 8, d);
}

typedef void put_fn(const struct lane *l, unsigned char *dst);
static put_fn *const put_lane[N_WEIGHT_FORMATS] = {
    [WEIGHT_Q2] = put_q2, [WEIGHT_Q3] = put_q3, [WEIGHT_Q4] = put_q4,
    [WEIGHT_Q5] = put_q5, [WEIGHT_Q6] = put_q6, [WEIGHT_Q8] = put_q8,
};

struct rows { // of one tile in the file
    const unsigned char *data;
    size_t bytes; // of a row
    uint32_t n;   // 32, or fewer in the last tile
};

static void grouped_tile(const struct gguf_tensor *t, const struct rows *rows, unsigned char *dst)
{
    const struct quant_info *info = quant_info(t->type);
    enum weight_format f = repack_format(t->type);
    size_t n_blocks = (size_t)t->ne[0] / BLOCK_COLS, bytes = weight_layout(f)->block_texels * 16u;
    size_t step = (size_t)SPAN * BLOCK_COLS / info->block * info->block_bytes;
    unsigned char span[SPAN * MAX_TEXELS * 16];
    struct quant_group groups[SPAN * LANE_ROWS];
    uint32_t zero = t->type == QUANT_Q4_0 ? 8 : t->type == QUANT_Q5_0 ? 16 : 0;
    for (size_t b = 0, at = 0; b < n_blocks; b += SPAN, at += step) {
        size_t n = size_min(SPAN, n_blocks - b);
        for (uint32_t lane = 0; lane < TILE_LANES; lane++) {
            for (uint32_t r = 0; r < LANE_ROWS; r++) {
                uint32_t row = LANE_ROWS * lane + r;
                if (row < rows->n)
                    quant_groups(t->type, rows->data + row * rows->bytes + at, n * BLOCK_COLS,
                                 groups + SPAN * r);
                else // padding: scale and minimum zero
                    memset(groups + SPAN * r, 0, SPAN * sizeof *groups);
            }
            for (size_t i = 0; i < n; i++)
                put_lane[f](&(struct lane){groups + i, zero}, span + i * bytes + 16 * lane);
        }
        memcpy(dst + b * bytes, span, n * bytes);
    }
}

// Elements of 2 or 4 bytes: texel (k*4 + r)*8 + lane of a block holds bytes 16k.. of row r.
static void plain_tile(const struct rows *rows, size_t n_blocks, size_t block_bytes,
                       unsigned char *dst)
{
    for (size_t b = 0; b < n_blocks; b++)
        for (size_t i = 0; i < block_bytes / 16; i++, dst += 16) {
            size_t row = i % TILE_LANES * LANE_ROWS + i / TILE_LANES % LANE_ROWS;
            size_t at = b * (block_bytes / TILE_ROWS) + i / TILE_ROWS * 16;
            if (row < rows->n && at + 16 <= rows->bytes) {
                memcpy(dst, rows->data + row * rows->bytes + at, 16);
                continue;
            }
            memset(dst, 0, 16);
            if (row < rows->n && at < rows->bytes)
                memcpy(dst, rows->data + row * rows->bytes + at, rows->bytes - at);
        }
}

void repack_tile(const struct gguf_tensor *t, uint64_t tile, unsigned char *dst)
{
    struct rows rows = {.n = (uint32_t)size_min(TILE_ROWS, t->ne[1] - TILE_ROWS * tile)};
    (void)quant_row_bytes(t->type, t->ne[0], &rows.bytes); // checked when the file was opened
    rows.data = t->data + TILE_ROWS * tile * rows.bytes;
    if (quant_is_grouped(t->type)) {
        grouped_tile(t, &rows, dst);
    } else {
        size_t bytes = weight_layout(repack_format(t->type))->block_texels * 16u;
        plain_tile(&rows, size_div_up(t->ne[0], BLOCK_COLS), bytes, dst);
    }
}
