// Weights in their device tiles on disk, so that loading and every pass over streamed layers is a
// plain read instead of repacking. One file a model:
//
//   ~/.cache/lectern/tiles/NAME-HASH.tiles     NAME: of the model's file, HASH: of its whole path
//
//   0   "LECTILES"
//   8   u32 version of this picture and of the tiles
//   12  u32 tensors
//   16  u64 tiles of all tensors
//   24  u64 bytes of this file
//   32  u64 checksum of `sums`
//   40  24 zero bytes
//   64  the key: SHA-256 in hex
//   128 u64 sums[tiles]: a checksum a tile
//   ... tensors in the order of the GGUF file, each from a multiple of 4096 on: tile 0, 1, ... as
//       repack_tile makes them, however place.c cuts them into matrices
//
// The key is the hash of the tensors' names, types, sizes and places here, and for each part of the
// model of its size, time of change, everything before its tensor data and 32 pieces of 4 KiB of
// that. So a changed file is noticed unless it kept size and time and differs in weights between
// those pieces alone; a copy with a new time is a new model.
//
// The file is written under NAME-HASH.tiles.tmp, which a lock keeps for one writer, and renamed
// when every tile is in it and on the disk. What a killed writer leaves is taken over by the next
// one. Every tile is checked as it is read. Whatever is wrong with the file, weights are repacked
// as without it, and the file is removed, so that the next load writes it anew.
#ifndef LECTERN_TILE_CACHE_H
#define LECTERN_TILE_CACHE_H

#include "engine/model/weights.h"

#include <pthread.h>
#include <stdatomic.h>

enum tile_mode { TILES_OFF, TILES_READ, TILES_WRITE };

struct tile_entry { // a tensor; bytes 0: not in the cache
    uint64_t tile_bytes, n_tiles;
    uint64_t at;         // in the file
    uint64_t first_tile; // counted through all tensors
};

struct tile_cache {             // used by several threads; all zero: off
    const struct gguf *file;    // borrowed
    struct tile_entry *entries; // [file->n_tensors]
    uint64_t n_tiles, bytes;
    uint32_t n_tensors;
    uint64_t *sums;            // [n_tiles]
    atomic_uchar *have;        // [n_tiles] while writing
    atomic_uint_fast64_t left; // tiles that are still to be written
    atomic_int mode;
    int fd;
    char path[4096], tmp[4096], key[65];
    pthread_mutex_t lock; // of finishing
    struct err why;       // why there is none; ERR_NONE: there is one
};

// Opens the model's cache for reading, or one to be written. w: [n] all parts of the model. Never
// fails: *out is off then, and out->why says why.
void tile_cache_open(const struct gguf *g, const struct weights *const *w, uint32_t n,
                     struct tile_cache *out);
void tile_cache_close(struct tile_cache *c);

enum tile_mode tile_cache_mode(const struct tile_cache *c);
// Tiles [tile, tile + n) of a tensor to dst, which is read again for the checksum: not for memory
// that the host reads slowly. False: they have to be repacked.
bool tile_cache_read(struct tile_cache *c, const struct gguf_tensor *t, uint64_t tile, uint64_t n,
                     unsigned char *dst);
void tile_cache_write(struct tile_cache *c, const struct gguf_tensor *t, uint64_t tile, uint64_t n,
                      const unsigned char *src);
// When all tiles are there: makes the file whole, and turns to reading from it.
void tile_cache_finish(struct tile_cache *c);
// Tells the system that these tiles are read next.
void tile_cache_expect(const struct tile_cache *c, const struct gguf_tensor *t);

#endif
