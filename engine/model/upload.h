// From the file to the device: tensors repacked into tiles by every core, straight into device
// memory where the host sees it, else through two staging buffers on the transfer queue. The file's
// pages are let go as they are used, so that a model is in memory once. With a tile cache the tiles
// are read from there, or written to it as they are made.
#ifndef LECTERN_UPLOAD_H
#define LECTERN_UPLOAD_H

#include "base/progress.h"
#include "engine/model/tile_cache.h"
#include "engine/model/weights.h"

enum { UPLOAD_STAGING = 16 << 20 }; // bytes of each staging buffer, or one tile where that is more

struct uploader {    // used by one thread at a time
    struct gpu *gpu; // borrowed, like the file
    const struct gguf *file;
    struct tile_cache *tiles; // or NULL
    uint32_t n_workers;
    unsigned char *scratch;    // an item for each worker, made when first needed
    uint64_t scratch_item;     // its bytes
    struct gpu_buf staging[2]; // made when first needed
    struct gpu_copier copier[2];
    uint32_t turn;
};

void uploader_create(struct gpu *gpu, const struct gguf *g, struct tile_cache *tiles,
                     struct uploader *out);
void uploader_destroy(struct uploader *u);

// Device memory holds the whole matrix when these return.
bool upload_group(struct uploader *u, struct matrix_group *g, struct err *e);
bool upload_vector(struct uploader *u, struct vector *v, struct err *e);
bool upload_layer(struct uploader *u, struct layer *y, struct err *e);
// Everything that stays: the output matrix and the resident layers. *done: bytes of the file that
// progress has counted so far.
bool upload_resident(struct uploader *u, struct weights *w, struct progress *progress,
                     uint64_t *done, struct err *e);
// Bytes of the file a second that are read and repacked, measured on a piece of layer `layer`; 0
// when memory is out.
double upload_speed(struct gpu *gpu, const struct gguf *g, const struct config *c, uint32_t layer);
// Tells the system that this layer's bytes are read next.
void upload_expect(const struct uploader *u, struct layer *y);

#endif
