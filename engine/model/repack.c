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

// Rows lie far apart: no processor foresees that 32 of them are read in turn.
#ifdef __GNUC__
#define PREFETCH(p) __builtin_prefetch(p)
#else
#define PREFETCH(p) ((void)(p))
#endif

enum weight_format repack_format(enum quant_type type, uint64_t n_cols)
{
    switch (type) {
    case QUANT_Q4_0: return n_cols % (2 * BLOCK_COLS) ? WEIGHT_Q4 : WEIGHT_Q4S;
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

// What a lane of a block is made from: row r's group is g[SPAN * r]. zero: what is added to its
// integers to make the layout's, 0 or half their range.
struct lane {
    const struct quant_group *g;
    const uint32_t (*scales)[2]; // of each group: f16 d0, d1; f16 m0, m1, less zero * d
    uint32_t zero;
};

// A lane's n texels of a block, dst being its first.
static void put_texels(unsigned char *dst, uint32_t (*w)[4], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        memcpy(dst + (size_t)16 * TILE_LANES * i, w[i], 16);
}

// In two loops, so that the conversions become vectors.
static void round_scales(const struct quant_group *g, float zero, uint32_t (*out)[2])
{
    float v[SPAN * LANE_ROWS * 4];
    uint16_t h[SPAN * LANE_ROWS * 4];
    for (size_t i = 0; i < SPAN * LANE_ROWS; i++) {
        memcpy(v + 4 * i, g[i].d, 8);
        v[4 * i + 2] = g[i].m[0] - zero * g[i].d[0];
        v[4 * i + 3] = g[i].m[1] - zero * g[i].d[1];
    }
    for (size_t i = 0; i < SPAN * LANE_ROWS * 4; i++)
        h[i] = f32_to_f16(v[i]);
    memcpy(out, h, sizeof h);
}

// The low `bits` of a row's 32 integers, exclusive or `flip`, eight a word side by side: neighbours
// meet, then pairs, then fours. Adding 2^(bits - 1) modulo 2^bits is that exclusive or.
static inline void squeeze(const int8_t *q, uint32_t bits, uint32_t flip, uint64_t *restrict out)
{
    const uint64_t ones = 0x0101010101010101u, keep = ones * ((1u << bits) - 1), add = ones * flip;
    uint32_t gap = 8 - bits;
    memcpy(out, q, 32);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t x = (out[i] & keep) ^ add;
        x = (x & 0x00ff00ff00ff00ffu) | (x & 0xff00ff00ff00ff00u) >> gap;
        x = (x & 0x0000ffff0000ffffu) | (x & 0xffff0000ffff0000u) >> 2 * gap;
        out[i] = (x & 0x00000000ffffffffu) | (x & 0xffffffff00000000u) >> 4 * gap;
    }
}

// Four bits, four a word of 32: the odd halves stay free for another row.
static void nibbles(const int8_t *q, uint32_t flip, uint64_t *restrict out)
{
    const uint64_t ones = 0x0101010101010101u, add = ones * flip;
    memcpy(out, q, 32);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t x = (out[i] & ones * 15) ^ add;
        x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
        out[i] = (x | x >> 8) & 0x0000ffff0000ffffu;
    }
}

// Bits at..at+n-1 of v.
static inline uint32_t cut(uint64_t v, uint32_t at, uint32_t n)
{
    return (uint32_t)(v >> at) & (uint32_t)((1ull << n) - 1);
}

// Two bits, two rows a word: eight columns. d and m of 16 columns each.
static void put_q2(const struct lane *l, unsigned char *dst)
{
    uint32_t w[4][4];
    uint64_t even[4], odd[4];
    for (uint32_t r = 0; r < LANE_ROWS; r += 2) {
        squeeze(l->g[SPAN * r].q, 2, 0, even);
        squeeze(l->g[SPAN * (r + 1)].q, 2, 0, odd);
        for (uint32_t k = 0; k < 4; k++)
            w[k / 2][k % 2 * 2 + r / 2] = (uint32_t)(even[k] | odd[k] << 16);
    }
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        w[2][r] = l->scales[SPAN * r][0];
        w[3][r] = l->scales[SPAN * r][1];
    }
    put_texels(dst, w, 4);
}

// Three bits, two rows a word: five columns, and in bit 15 one of column 15.
static void put_q3(const struct lane *l, unsigned char *dst)
{
    uint32_t w[4][4];
    uint64_t even[4], odd[4];
    for (uint32_t r = 0; r < LANE_ROWS; r += 2) {
        squeeze(l->g[SPAN * r].q, 3, 4, even);
        squeeze(l->g[SPAN * (r + 1)].q, 3, 4, odd);
        for (uint32_t h = 0; h < 2; h++) {
            uint64_t a = even[2 * h] | even[2 * h + 1] << 24, b = odd[2 * h] | odd[2 * h + 1] << 24;
            for (uint32_t j = 0; j < 3; j++)
                w[j][2 * h + r / 2] = cut(a, 15 * j, 15) | cut(a, 45 + j, 1) << 15 |
                                      cut(b, 15 * j, 15) << 16 | cut(b, 45 + j, 1) << 31;
        }
    }
    for (uint32_t r = 0; r < LANE_ROWS; r++)
        w[3][r] = l->scales[SPAN * r][0];
    put_texels(dst, w, 4);
}

// Four bits, two rows a word: four columns. w: four texels.
static void pairs(const struct lane *l, uint32_t (*w)[4])
{
    uint64_t even[4], odd[4];
    for (uint32_t r = 0; r < LANE_ROWS; r += 2) {
        nibbles(l->g[SPAN * r].q, l->zero, even);
        nibbles(l->g[SPAN * (r + 1)].q, l->zero, odd);
        for (uint32_t k = 0; k < 4; k++)
            even[k] |= odd[k] << 16;
        memcpy(w[r], even, 32);
    }
}

static void put_q4(const struct lane *l, unsigned char *dst)
{
    uint32_t w[5][4];
    pairs(l, w);
    for (uint32_t r = 0; r < LANE_ROWS; r += 2) {
        const uint32_t *a = l->scales[SPAN * r], *b = l->scales[SPAN * (r + 1)];
        w[4][r / 2] = (a[0] & 0xffff) | b[0] << 16;
        w[4][2 + r / 2] = (a[1] & 0xffff) | b[1] << 16;
    }
    put_texels(dst, w, 5);
}

// Two blocks.
static void put_q4s(const struct lane *l, unsigned char *dst)
{
    uint32_t w[9][4];
    for (uint32_t b = 0; b < 2; b++) {
        struct lane block = {l->g + b, l->scales + b, l->zero};
        pairs(&block, w + 1 + 4 * b);
        for (uint32_t r = 0; r < LANE_ROWS; r += 2)
            w[0][2 * b + r / 2] =
                (block.scales[SPAN * r][0] & 0xffff) | block.scales[SPAN * (r + 1)][0] << 16;
    }
    put_texels(dst, w, 9);
}

// Five bits, a row a word: six columns above two bits of columns 30 and 31.
static void put_q5(const struct lane *l, unsigned char *dst)
{
    uint32_t w[6][4];
    uint64_t v[4];
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        squeeze(l->g[SPAN * r].q, 5, l->zero, v);
        w[0][r] = cut(v[0], 0, 30) << 2 | cut(v[3], 30, 2);
        w[1][r] = (cut(v[0], 30, 10) | cut(v[1], 0, 20) << 10) << 2 | cut(v[3], 32, 2);
        w[2][r] = (cut(v[1], 20, 20) | cut(v[2], 0, 10) << 20) << 2 | cut(v[3], 34, 2);
        w[3][r] = cut(v[2], 10, 30) << 2 | cut(v[3], 36, 2);
        w[4][r] = cut(v[3], 0, 30) << 2 | cut(v[3], 38, 2);
        w[5][r] = (l->scales[SPAN * r][0] & 0xffff) | l->scales[SPAN * r][1] << 16;
    }
    put_texels(dst, w, 6);
}

// Six bits, a row a word: five columns above two bits of column 15.
static void put_q6(const struct lane *l, unsigned char *dst)
{
    uint32_t w[7][4];
    uint64_t v[4];
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        squeeze(l->g[SPAN * r].q, 6, 0, v);
        for (uint32_t h = 0; h < 2; h++) {
            uint64_t a = v[2 * h], b = v[2 * h + 1];
            w[3 * h][r] = cut(a, 0, 30) << 2 | cut(b, 42, 2);
            w[3 * h + 1][r] = (cut(a, 30, 18) | cut(b, 0, 12) << 18) << 2 | cut(b, 44, 2);
            w[3 * h + 2][r] = cut(b, 12, 30) << 2 | cut(b, 46, 2);
        }
        w[6][r] = l->scales[SPAN * r][0];
    }
    put_texels(dst, w, 7);
}

static void put_q8(const struct lane *l, unsigned char *dst)
{
    uint32_t w[9][4];
    for (uint32_t r = 0; r < LANE_ROWS; r++) {
        memcpy(w[2 * r], l->g[SPAN * r].q, 32);
        w[8][r] = half_bits(l->g[SPAN * r].d[0]);
    }
    put_texels(dst, w, 9);
}

typedef void put_fn(const struct lane *l, unsigned char *dst);
static put_fn *const put_lane[N_WEIGHT_FORMATS] = {
    [WEIGHT_Q2] = put_q2, [WEIGHT_Q3] = put_q3, [WEIGHT_Q4] = put_q4, [WEIGHT_Q4S] = put_q4s,
    [WEIGHT_Q5] = put_q5, [WEIGHT_Q6] = put_q6, [WEIGHT_Q8] = put_q8,
};

struct rows { // of one tile in the file
    const unsigned char *data;
    size_t bytes; // of a row
    uint32_t n;   // 32, or fewer in the last tile
};

// Decodes n blocks of the lane's rows at byte `at`, and fetches what the next span will read.
static void decode_rows(enum quant_type type, const struct rows *rows, uint32_t lane, size_t at,
                        size_t step, size_t n, struct quant_group *groups)
{
    for (uint32_t r = 0; r < LANE_ROWS; r++, groups += SPAN) {
        uint32_t row = LANE_ROWS * lane + r;
        if (row >= rows->n) { // padding: scale and minimum zero
            memset(groups, 0, SPAN * sizeof *groups);
            continue;
        }
        const unsigned char *src = rows->data + row * rows->bytes;
        for (size_t i = at + step; i < size_min(at + 2 * step, rows->bytes); i += 64)
            PREFETCH(src + i);
        quant_groups(type, src + at, n * BLOCK_COLS, groups);
    }
}

static void grouped_tile(const struct gguf_tensor *t, const struct rows *rows, unsigned char *dst)
{
    const struct quant_info *info = quant_info(t->type);
    enum weight_format f = repack_format(t->type, t->ne[0]);
    size_t n_blocks = (size_t)t->ne[0] / BLOCK_COLS, bytes = weight_layout(f)->block_texels * 16u;
    size_t unit = weight_layout(f)->unit_blocks;
    size_t step = (size_t)SPAN * BLOCK_COLS / info->block * info->block_bytes;
    unsigned char span[SPAN * MAX_TEXELS * 16];
    struct quant_group groups[SPAN * LANE_ROWS] = {0};
    uint32_t scales[SPAN * LANE_ROWS][2];
    uint32_t zero = t->type == QUANT_Q4_0 ? 8 : t->type == QUANT_Q5_0 ? 16 : 0;
    for (size_t b = 0, at = 0; b < n_blocks; b += SPAN, at += step) {
        size_t n = size_min(SPAN, n_blocks - b);
        for (uint32_t lane = 0; lane < TILE_LANES; lane++) {
            decode_rows(t->type, rows, lane, at, step, n, groups);
            if (f != WEIGHT_Q8) round_scales(groups, (float)zero, scales);
            for (size_t i = 0; i < n; i += unit)
                put_lane[f](&(struct lane){groups + i, scales + i, zero},
                            span + i * bytes + 16 * lane);
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
        size_t bytes = weight_layout(repack_format(t->type, t->ne[0]))->block_texels * 16u;
        plain_tile(&rows, size_div_up(t->ne[0], BLOCK_COLS), bytes, dst);
    }
}
