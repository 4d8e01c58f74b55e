// Models split over files NAME-00001-of-0000N.gguf, as llama.cpp's gguf-split writes them. Every
// part is a GGUF file of its own:
//
//   part 1       all metadata, and split.no 0, split.count N, split.tensors.count (of all parts)
//   part 2..N    the same three keys with their own split.no; their other metadata is not used
//
// A tensor lies whole in one part.
// https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
#include "base/file.h"
#include "engine/gguf/gguf_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place { // what a part says of itself
    uint32_t no, count, tensors;
};

enum { COUNT_MAX = 65535, ENDING = 24 };

static bool read_place(const struct gguf *g, struct place *out, struct err *e)
{
    return gguf_u32_or(g, "split.no", 0, &out->no, e) &&
           gguf_u32_or(g, "split.count", 1, &out->count, e) &&
           (out->count < 2 || gguf_u32(g, "split.tensors.count", &out->tensors, e));
}

static void ending(uint32_t no, uint32_t count, char out[ENDING]) // count <= COUNT_MAX
{
    (void)snprintf(out, ENDING, "-%05u-of-%05u.gguf", no + 1, count);
}

// The length of g's path without its ending, which must be the one that its keys ask for.
static bool find_stem(const struct gguf *g, const struct place *p, size_t *stem, struct err *e)
{
    char want[ENDING];
    if (p->count > COUNT_MAX || p->no >= p->count)
        return err_set(e, ERR_FORMAT, "%s says that it is part %llu of %u; fetch the file again",
                       g->path, p->no + 1ull, p->count);
    ending(p->no, p->count, want);
    size_t n = strlen(g->path), m = strlen(want);
    if (n < m || strcmp(g->path + n - m, want) != 0)
        return err_set(e, ERR_FORMAT,
                       "%s is part %u of %u of a split model, so that its name should end in %s; "
                       "give all parts the names under which they were published",
                       g->path, p->no + 1, p->count, want);
    *stem = n - m;
    return true;
}

static bool open_other(const struct gguf *g, size_t stem, uint32_t no, uint32_t count,
                       bool any_type, struct gguf *out, struct err *e)
{
    char path[sizeof g->path], end[ENDING];
    ending(no, count, end);
    (void)snprintf(path, sizeof path, "%.*s%s", (int)stem, g->path, end);
    *out = (struct gguf){0};
    if (!file_exists(path))
        return err_set(e, ERR_IO,
                       "%s is missing: it is part %u of %u of the model; fetch it into the same "
                       "folder",
                       path, no + 1, count);
    return gguf_open_part(path, any_type, out, e);
}

// Parts need not repeat what the model is; where they do, it must be the same model.
static bool same_model(const struct gguf *first, const struct gguf *part, struct err *e)
{
    for (size_t i = 0; i < part->n_kv; i++) {
        const struct gguf_kv *b = &part->kv[i];
        char key[GGUF_SHOWN];
        if (b->key.n >= sizeof key || b->key.n < 8 || memcmp(b->key.s, "general.", 8) != 0 ||
            !strcmp(gguf_show(b->key, key), "general.alignment"))
            continue;
        const struct gguf_kv *a = gguf_find(first, key);
        if (a && (a->type != b->type || a->size != b->size || memcmp(a->data, b->data, a->size)))
            return err_set(e, ERR_FORMAT,
                           "%s belongs to another model than part 1: its %s differs; fetch the "
                           "file again",
                           part->path, key);
    }
    return true;
}

static bool check_part(const struct gguf *first, const struct place *want, const struct gguf *part,
                       struct err *e)
{
    struct place p;
    if (!read_place(part, &p, e)) return false;
    if (p.no != want->no || p.count != want->count)
        return err_set(e, ERR_FORMAT,
                       "%s says that it is part %llu of %u, where part %u of %u should be; fetch "
                       "the file again",
                       part->path, p.no + 1ull, p.count, want->no + 1, want->count);
    if (p.tensors != want->tensors)
        return err_set(e, ERR_FORMAT,
                       "%s belongs to another model than part 1: one of %u tensors, not %u; fetch "
                       "the file again",
                       part->path, p.tensors, want->tensors);
    return same_model(first, part, e);
}

// Moves the part's file and tensors to g. On failure both are still whole.
static bool append(struct gguf *g, struct gguf *part, struct err *e)
{
    size_t n = g->n_tensors + part->n_tensors, n_shards = g->n_shards + 1;
    struct gguf_tensor *tensors = realloc(g->tensors, (n + 1) * sizeof *tensors);
    if (tensors) g->tensors = tensors;
    struct gguf_shard *shards = realloc(g->shards, n_shards * sizeof *shards);
    if (shards) g->shards = shards;
    if (!tensors || !shards)
        return err_nomem(e, "the tensor list of a split model", n * sizeof *tensors);
    for (size_t i = 0; i < part->n_tensors; i++) {
        tensors[g->n_tensors] = part->tensors[i];
        tensors[g->n_tensors++].shard = (uint32_t)g->n_shards;
    }
    shards[g->n_shards++] = part->shards[0];
    part->n_shards = 0;
    return true;
}

bool gguf_add_part(struct gguf *g, struct gguf *part, struct err *e)
{
    struct place p = {0};
    bool ok = read_place(g, &p, e);
    p.no = (uint32_t)g->n_shards;
    ok = ok && check_part(g, &p, part, e) && append(g, part, e);
    gguf_close(part);
    return ok;
}

bool gguf_end_parts(struct gguf *g, struct err *e)
{
    struct place p;
    if (!read_place(g, &p, e)) return false;
    if (g->n_tensors != p.tensors)
        return err_set(e, ERR_FORMAT,
                       "%s: the %u parts of this model hold %zu tensors, but should hold %u; fetch "
                       "all of them again",
                       g->path, p.count, g->n_tensors, p.tensors);
    return gguf_index_tensors(g, e);
}

bool gguf_join(struct gguf *g, bool any_type, struct err *e)
{
    struct place p;
    size_t stem = 0;
    struct gguf part;
    if (!read_place(g, &p, e)) return false;
    if (p.count < 2) return true;
    if (!find_stem(g, &p, &stem, e)) return false;
    if (p.no != 0) {
        struct place first = {0, p.count, p.tensors};
        if (!open_other(g, stem, 0, p.count, any_type, &part, e)) return false;
        gguf_close(g);
        *g = part;
        if (!check_part(g, &first, g, e)) return false;
    }
    for (uint32_t no = 1; no < p.count; no++)
        if (!open_other(g, stem, no, p.count, any_type, &part, e) || !gguf_add_part(g, &part, e))
            return false;
    return gguf_end_parts(g, e);
}

// -------------------------------------------------------------------------------------- pages

// The file's bytes of a range of a tensor; NULL when there are none, or they are
// the caller's memory, which dropping would empty.
static const struct file_map *range_map(const struct gguf *g, const struct gguf_tensor *t,
                                        uint64_t at, uint64_t *size, size_t *offset)
{
    const struct gguf_shard *s = &g->shards[t->shard];
    if (s->borrowed || at >= t->size) return NULL;
    if (*size > t->size - at) *size = t->size - at;
    *offset = (size_t)(t->data - s->map.data) + (size_t)at;
    return &s->map;
}

void gguf_drop(const struct gguf *g, const struct gguf_tensor *t, uint64_t at, uint64_t size)
{
    size_t offset;
    const struct file_map *map = range_map(g, t, at, &size, &offset);
    if (map) map_drop(map, offset, (size_t)size);
}

void gguf_expect(const struct gguf *g, const struct gguf_tensor *t, uint64_t at, uint64_t size)
{
    size_t offset;
    const struct file_map *map = range_map(g, t, at, &size, &offset);
    if (map) map_expect(map, offset, (size_t)size);
}
