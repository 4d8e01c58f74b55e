// The GGUF reader and all that reads through it before a device is needed: getters, inspect, the
// model's shape, dequantisation, repacking. An input is one file, or the parts of a split model one
// after the other ("GGUF" begins each); it may be anything.
#include "base/size.h"
#include "engine/gguf/gguf_internal.h"
#include "engine/model/config.h"
#include "engine/model/inspect.h"
#include "engine/model/repack.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 256, ROW_MAX = 8192, PARTS_MAX = 8 };

// A zero-terminated copy, NULL for a name that is none (too long for here, or with a zero in it).
static const char *c_name(struct gguf_str s, char out[NAME])
{
    if (s.n >= NAME || memchr(s.s, 0, s.n)) return NULL;
    memcpy(out, s.s, s.n);
    out[s.n] = '\0';
    return out;
}

static void read_value(const struct gguf *g, const struct gguf_kv *kv)
{
    char text[GGUF_TEXT], name[NAME];
    const uint64_t last = kv->count ? kv->count - 1 : 0, at[] = {0, 1, last, kv->count, UINT64_MAX};
    MUST(kv->type < GGUF_N_VALUE_TYPES);
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        gguf_number_text(kv, at[i], text);
        MUST(strlen(text) > 0);
        struct gguf_str s = gguf_array_string(kv, at[i]);
        MUST(s.n <= kv->size);
        fuzz_read(s.s, s.n);
        (void)gguf_array_int(kv, at[i]);
        (void)gguf_array_f32(kv, at[i]);
    }
    fuzz_read(kv->data, kv->size);
    const char *key = c_name(kv->key, name);
    if (!key) return;
    MUST(gguf_find(g, key) == kv);
    uint32_t u;
    float f;
    bool b;
    struct gguf_str s;
    struct err e = {0};
    bool whole = gguf_u32(g, key, &u, &e);
    MUST(whole == gguf_u32_or(g, key, 7, &u, &e));
    MUST(!whole || gguf_f32_or(g, key, 0, &f, &e));
    (void)gguf_f32_or(g, key, 0, &f, &e);
    (void)gguf_bool_or(g, key, false, &b, &e);
    MUST(gguf_string(g, key, &s, &e) == (kv->type == GGUF_STRING));
}

// A row as floats and, where the format has them, as groups: the same numbers.
static void read_row(const struct gguf_tensor *t, const unsigned char *src)
{
    static float row[ROW_MAX];
    static struct quant_group groups[ROW_MAX / 32];
    size_t n = (size_t)t->ne[0];
    if (!quant_dequantise(t->type, src, n, row) || !quant_is_grouped(t->type)) return;
    quant_groups(t->type, src, n, groups);
    for (size_t i = 0; i < n; i++) {
        const struct quant_group *q = &groups[i / 32];
        float product = q->d[i % 32 / 16] * (float)q->q[i % 32], w = product + q->m[i % 32 / 16];
        MUST((isnan(w) && isnan(row[i])) || w == row[i]);
    }
}

static void read_tile(const struct gguf_tensor *t, uint64_t tile)
{
    size_t blocks = size_div_up((size_t)t->ne[0], BLOCK_COLS);
    size_t bytes = weight_layout(repack_format(t->type, t->ne[0]))->block_texels * 16 * blocks;
    unsigned char *tiles = malloc(bytes);
    if (tiles) repack_tile(t, tile, tiles);
    free(tiles);
}

static void read_tensor(const struct gguf *g, const struct gguf_tensor *t)
{
    char name[NAME], text[GGUF_TEXT];
    const char *key = c_name(t->name, name);
    MUST(strlen(gguf_weight_name(t->type, text)) > 0);
    if (key) MUST(gguf_tensor(g, key) == t);
    const struct file_map *map = &g->shards[t->shard].map;
    MUST(t->data >= map->data && t->size <= map->size - (size_t)(t->data - map->data));
    gguf_expect(g, t, 0, t->size);
    gguf_drop(g, t, t->size / 2, UINT64_MAX);
    if (!quant_info(t->type) || t->ne[0] > ROW_MAX) return;
    size_t row, rows = (size_t)(t->n_elements / t->ne[0]);
    MUST(quant_row_bytes(t->type, t->ne[0], &row) && row * rows == t->size);
    read_row(t, t->data);
    read_row(t, t->data + (rows - 1) * row);
    read_tile(t, 0);
    read_tile(t, (t->ne[1] - 1) / TILE_ROWS);
}

static void read_model(const struct gguf *g)
{
    static struct config c;
    static float angles[256];
    struct err e = {0};
    if (!config_read(g, &c, &e)) {
        fuzz_sentence(&e);
        return;
    }
    MUST(c.head_dim <= 256 && c.n_rot <= c.head_dim && c.n_heads % c.n_kv_heads == 0);
    for (const char *p = c.name; *p; p++)
        MUST((unsigned char)*p >= ' ' && *p != 0x7f);
    config_angles(&c, 0, angles);
    config_angles(&c, UINT32_MAX, angles);
    for (size_t i = 0; i < c.head_dim; i++)
        MUST(isfinite(angles[i]));
}

static void read_all(const struct gguf *g)
{
    uint64_t sizes = 0, bytes = 0;
    cJSON *doc;
    struct err e = {0};
    for (size_t i = 0; i < g->n_kv; i++)
        read_value(g, &g->kv[i]);
    for (size_t i = 0; i < g->n_tensors; i++) {
        read_tensor(g, &g->tensors[i]);
        sizes += g->tensors[i].size;
    }
    for (size_t i = 0; i < g->n_shards; i++)
        bytes += g->shards[i].map.size;
    MUST(sizes <= bytes); // tensors do not overlap
    if (inspect_file(g, &doc, &e))
        fuzz_json(doc);
    else
        fuzz_sentence(&e);
    read_model(g);
}

static size_t next_part(const uint8_t *data, size_t size, size_t at)
{
    for (at++; at + 4 <= size; at++)
        if (!memcmp(data + at, "GGUF", 4)) return at;
    return size;
}

static void read_parts(const uint8_t *data, size_t size)
{
    struct gguf g, part;
    struct err e = {0};
    size_t at = next_part(data, size, 0);
    if (at == size || !gguf_read_part(data, at, "part 1", false, &g, &e)) return;
    bool ok = true;
    for (int i = 0; ok && i < PARTS_MAX && at < size; i++) {
        size_t end = next_part(data, size, at);
        ok = gguf_read_part(data + at, end - at, "another part", false, &part, &e) &&
             gguf_add_part(&g, &part, &e);
        at = end;
    }
    if (ok && gguf_end_parts(&g, &e))
        read_all(&g);
    else
        fuzz_sentence(&e);
    gguf_close(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf g;
    for (int any_type = 0; any_type < 2; any_type++) {
        struct err e = {0};
        if (gguf_open_memory(data, size, "input", any_type, &g, &e)) {
            read_all(&g);
            gguf_close(&g);
        } else {
            fuzz_sentence(&e);
            MUST(!g.shards && !g.kv && !g.tensors);
        }
    }
    read_parts(data, size);
    return 0;
}
