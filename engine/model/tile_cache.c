#include "engine/model/tile_cache.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/size.h"
#include "engine/model/repack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { VERSION = 2, HEADER = 128, ALIGN = 4096, PIECE = 4096, PIECES = 32, CHAINS = 8 };

// --------------------------------------------------------------------------------- checksums

static uint64_t word(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

// For fixed w a bijection of h, for fixed h one of w: a single changed word always shows.
static uint64_t stir(uint64_t h, uint64_t w)
{
    h = (h ^ w) * 0x9e3779b97f4a7c15u; // odd: 2^64 / golden ratio
    return h << 29 | h >> 35;
}

// Eight chains, so that as many multiplications are under way at once. size: a multiple of 8.
static uint64_t sum_of(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h[CHAINS];
    size_t at = 0;
    for (unsigned k = 0; k < CHAINS; k++)
        h[k] = seed + k;
    for (; at + sizeof h <= size; at += sizeof h)
        for (unsigned k = 0; k < CHAINS; k++)
            h[k] = stir(h[k], word(p + at + 8 * k));
    for (; at + 8 <= size; at += 8)
        h[0] = stir(h[0], word(p + at));
    for (unsigned k = 1; k < CHAINS; k++)
        h[0] = stir(h[0], h[k]);
    return h[0];
}

// ------------------------------------------------------------------------------------- table

static uint32_t index_of(const struct tile_cache *c, const struct gguf_tensor *t)
{
    return (uint32_t)(t - c->file->tensors);
}

static void want_group(struct tile_cache *c, const struct matrix_group *g)
{
    for (uint32_t i = 0; i < g->n; i++)
        for (uint32_t k = 0; k < g->m[i].n_tensors; k++) {
            const struct gguf_tensor *t = g->m[i].t[k];
            struct tile_entry *y = &c->entries[index_of(c, t)];
            y->tile_bytes = g->m[i].bytes / g->m[i].n_tiles;
            y->n_tiles = size_div_up(t->ne[1], TILE_ROWS);
        }
}

static bool make_table(struct tile_cache *c, const struct weights *const *w, uint32_t n,
                       struct err *e)
{
    c->entries = calloc(c->file->n_tensors + 1, sizeof *c->entries);
    if (!c->entries)
        return err_nomem(e, "a table of tiles", c->file->n_tensors * sizeof *c->entries);
    for (uint32_t i = 0; i < n; i++) {
        want_group(c, &w[i]->output);
        for (uint32_t k = 0; k < w[i]->n_layers; k++)
            for (uint32_t j = 0; j < LAYER_GROUPS; j++)
                want_group(c, layer_group(&w[i]->layers[k], j));
    }
    for (size_t i = 0; i < c->file->n_tensors; i++)
        c->n_tiles += c->entries[i].n_tiles;
    c->bytes = HEADER + c->n_tiles * sizeof *c->sums;
    for (size_t i = 0, tile = 0; i < c->file->n_tensors; i++) {
        struct tile_entry *y = &c->entries[i];
        if (!y->n_tiles) continue;
        y->first_tile = tile;
        y->at = size_align(c->bytes, ALIGN);
        c->bytes = y->at + y->n_tiles * y->tile_bytes;
        tile += y->n_tiles;
        c->n_tensors++;
    }
    c->sums = calloc(c->n_tiles + 1, sizeof *c->sums);
    return c->sums || err_nomem(e, "checksums of tiles", c->n_tiles * sizeof *c->sums);
}

// --------------------------------------------------------------------------------------- key

static bool shard_key(const struct gguf_shard *s, FILE *out, struct err *e)
{
    unsigned char pieces[PIECES * PIECE] = {0};
    char header[SHA256_HEX_SIZE], data[SHA256_HEX_SIZE];
    struct stat st;
    if (s->borrowed || stat(s->path, &st) != 0)
        return err_set(e, ERR_IO, "cannot stat %s: %s", s->path, strerror(errno));
    size_t left = s->map.size - s->data_offset, piece = size_min(left, PIECE);
    for (size_t i = 0; i < PIECES; i++) // the first, the last, and evenly between
        memcpy(pieces + i * PIECE, s->map.data + s->data_offset + (left - piece) / (PIECES - 1) * i,
               piece);
    if (!sha256_hex(s->map.data, s->data_offset, header, e) ||
        !sha256_hex(pieces, sizeof pieces, data, e))
        return false;
    fprintf(out, "%zu %lld.%09ld %s %s\n", s->map.size, (long long)st.st_mtim.tv_sec,
            st.st_mtim.tv_nsec, header, data);
    return true;
}

static void tensor_key(const struct gguf_tensor *t, const struct tile_entry *y, FILE *out)
{
    fprintf(out, "%.*s %d %llu %llu %llu %llu\n", (int)size_min(t->name.n, INT_MAX), t->name.s,
            (int)t->type, (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
            (unsigned long long)y->at, (unsigned long long)y->tile_bytes);
}

static bool make_key(struct tile_cache *c, struct err *e)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) return err_nomem(e, "a key", 4096);
    fprintf(f, "%d\n", VERSION);
    bool ok = true;
    for (size_t i = 0; ok && i < c->file->n_shards; i++)
        ok = shard_key(&c->file->shards[i], f, e);
    for (size_t i = 0; i < c->file->n_tensors; i++)
        if (c->entries[i].n_tiles) tensor_key(&c->file->tensors[i], &c->entries[i], f);
    bool whole = fclose(f) == 0;
    ok = ok && (whole || err_nomem(e, "a key", 4096)) && sha256_hex(text, size, c->key, e);
    free(text);
    return ok;
}

// The model's place in the cache folder: a model that is replaced replaces its tiles.
static bool make_paths(struct tile_cache *c, struct err *e)
{
    char dir[4096], hash[SHA256_HEX_SIZE];
    char *whole = realpath(c->file->path, NULL);
    if (!whole) return err_set(e, ERR_IO, "cannot resolve %s: %s", c->file->path, strerror(errno));
    const char *slash = strrchr(whole, '/'), *name = slash ? slash + 1 : whole;
    bool ok =
        file_cache_dir(dir, sizeof dir, e) && sha256_hex(whole, strlen(whole), hash, e) &&
        file_path(c->path, sizeof c->path, e, "%s/tiles/%.100s-%.16s.tiles", dir, name, hash) &&
        file_path(c->tmp, sizeof c->tmp, e, "%s.tmp", c->path) &&
        file_path(dir + strlen(dir), sizeof dir - strlen(dir), e, "/tiles") && file_mkdirs(dir, e);
    free(whole);
    return ok;
}

static void make_header(const struct tile_cache *c, unsigned char h[HEADER])
{
    uint32_t small[2] = {VERSION, c->n_tensors};
    uint64_t sizes[3] = {c->n_tiles, c->bytes,
                         sum_of(c->sums, c->n_tiles * sizeof *c->sums, c->n_tiles)};
    memset(h, 0, HEADER);
    memcpy(h, "LECTILES", 8);
    memcpy(h + 8, small, sizeof small);
    memcpy(h + 16, sizes, sizeof sizes);
    memcpy(h + 64, c->key, 64);
}

// ----------------------------------------------------------------------------------- reading

static bool read_at(int fd, void *dst, size_t size, uint64_t at)
{
    for (unsigned char *p = dst; size;) {
        ssize_t n = pread(fd, p, size, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        at += (size_t)n;
        size -= (size_t)n;
    }
    return true;
}

static bool write_at(int fd, const void *src, size_t size, uint64_t at)
{
    for (const unsigned char *p = src; size;) {
        ssize_t n = pwrite(fd, p, size, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        at += (size_t)n;
        size -= (size_t)n;
    }
    return true;
}

// Whether the file is there and whole, as far as its size, header and checksums tell.
static bool open_whole(struct tile_cache *c)
{
    unsigned char want[HEADER], got[HEADER];
    struct stat st;
    c->fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (c->fd < 0) return false;
    if (fstat(c->fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == c->bytes &&
        read_at(c->fd, got, HEADER, 0) &&
        read_at(c->fd, c->sums, c->n_tiles * sizeof *c->sums, HEADER)) {
        make_header(c, want);
        if (!memcmp(got, want, HEADER)) return true;
    }
    close(c->fd);
    c->fd = -1;
    return false;
}

enum tile_mode tile_cache_mode(const struct tile_cache *c)
{
    return (enum tile_mode)atomic_load(&c->mode);
}

// No longer: the reading threads repack, and the next load writes the file anew.
static void give_up(struct tile_cache *c, const char *path)
{
    if (atomic_exchange(&c->mode, TILES_OFF) != TILES_OFF) (void)unlink(path);
}

bool tile_cache_read(struct tile_cache *c, const struct gguf_tensor *t, uint64_t tile, uint64_t n,
                     unsigned char *dst)
{
    const struct tile_entry *y = &c->entries[index_of(c, t)];
    bool ok = read_at(c->fd, dst, n * y->tile_bytes, y->at + tile * y->tile_bytes);
    for (uint64_t i = 0; ok && i < n; i++) {
        uint64_t at = y->first_tile + tile + i;
        ok = sum_of(dst + i * y->tile_bytes, y->tile_bytes, at) == c->sums[at];
    }
    if (!ok) give_up(c, c->path);
    return ok;
}

void tile_cache_expect(const struct tile_cache *c, const struct gguf_tensor *t)
{
    const struct tile_entry *y = &c->entries[index_of(c, t)];
    (void)posix_fadvise(c->fd, (off_t)y->at, (off_t)(y->n_tiles * y->tile_bytes),
                        POSIX_FADV_WILLNEED);
}

// ----------------------------------------------------------------------------------- writing

// The name must still be that of the locked file: a writer that has just finished renamed it.
static bool lock_tmp(struct tile_cache *c, struct err *e)
{
    struct stat mine, there;
    c->fd = open(c->tmp, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (c->fd < 0) return err_set(e, ERR_IO, "cannot create %s: %s", c->tmp, strerror(errno));
    if (flock(c->fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(e, ERR_IO, "%s is being written by another process", c->tmp);
    if (fstat(c->fd, &mine) == 0 && stat(c->tmp, &there) == 0 && mine.st_ino == there.st_ino &&
        mine.st_dev == there.st_dev)
        return true;
    return err_set(e, ERR_IO, "%s has just been written by another process", c->path);
}

// Takes the disk's room at once, so that a full disk is known before anything is written.
static bool take_room(struct tile_cache *c, struct err *e)
{
    struct statvfs fs;
    bool ok = ftruncate(c->fd, 0) == 0;
    if (ok && fallocate(c->fd, 0, 0, (off_t)c->bytes) != 0) {
        ok = errno == EOPNOTSUPP && fstatvfs(c->fd, &fs) == 0;
        if (ok && (uint64_t)fs.f_bavail * fs.f_frsize < c->bytes) {
            ok = false;
            errno = ENOSPC;
        }
    }
    if (ok) return true;
    err_set(e, ERR_IO, "%.1f GB of weights in tiles cannot be kept in %s: %s",
            (double)c->bytes * 1e-9, c->path, strerror(errno));
    (void)unlink(c->tmp);
    return false;
}

static bool start_writing(struct tile_cache *c, struct err *e)
{
    if (!lock_tmp(c, e) || !take_room(c, e)) return false;
    c->have = calloc(c->n_tiles + 1, sizeof *c->have);
    atomic_store(&c->left, c->n_tiles);
    if (c->have) return true;
    (void)unlink(c->tmp);
    return err_nomem(e, "a list of tiles", c->n_tiles);
}

void tile_cache_write(struct tile_cache *c, const struct gguf_tensor *t, uint64_t tile, uint64_t n,
                      const unsigned char *src)
{
    const struct tile_entry *y = &c->entries[index_of(c, t)];
    if (!write_at(c->fd, src, n * y->tile_bytes, y->at + tile * y->tile_bytes)) {
        give_up(c, c->tmp);
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = y->first_tile + tile + i;
        uint64_t sum = sum_of(src + i * y->tile_bytes, y->tile_bytes, at);
        if (atomic_exchange(&c->have[at], 1)) continue; // streamed before
        c->sums[at] = sum;
        (void)atomic_fetch_sub(&c->left, 1);
    }
}

void tile_cache_finish(struct tile_cache *c)
{
    unsigned char header[HEADER];
    if (tile_cache_mode(c) != TILES_WRITE || atomic_load(&c->left)) return;
    pthread_mutex_lock(&c->lock);
    if (tile_cache_mode(c) == TILES_WRITE) {
        make_header(c, header);
        if (write_at(c->fd, c->sums, c->n_tiles * sizeof *c->sums, HEADER) &&
            write_at(c->fd, header, HEADER, 0) && fsync(c->fd) == 0 && rename(c->tmp, c->path) == 0)
            atomic_store(&c->mode, TILES_READ);
        else
            give_up(c, c->tmp);
    }
    pthread_mutex_unlock(&c->lock);
}

// -------------------------------------------------------------------------------------- both

void tile_cache_open(const struct gguf *g, const struct weights *const *w, uint32_t n,
                     struct tile_cache *out)
{
    *out = (struct tile_cache){.file = g, .fd = -1};
    (void)pthread_mutex_init(&out->lock, NULL); // does not fail with default attributes
    if (make_table(out, w, n, &out->why) && make_key(out, &out->why) &&
        make_paths(out, &out->why)) {
        if (open_whole(out))
            atomic_store(&out->mode, TILES_READ);
        else if (start_writing(out, &out->why))
            atomic_store(&out->mode, TILES_WRITE);
    }
}

void tile_cache_close(struct tile_cache *c)
{
    if (!c->file) return;
    if (tile_cache_mode(c) == TILES_WRITE) (void)unlink(c->tmp);
    if (c->fd >= 0) close(c->fd);
    pthread_mutex_destroy(&c->lock);
    free(c->entries);
    free(c->sums);
    free((void *)c->have);
    *c = (struct tile_cache){0};
}
