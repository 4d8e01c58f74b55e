// Layers that do not fit: a thread fills the two slots of struct weights in turn, one layer ahead
// of the forward pass and around again, so that the next token's first layer is read while this
// token's last one is computed.
#ifndef LECTERN_STREAM_H
#define LECTERN_STREAM_H

#include "engine/model/upload.h"

#include <pthread.h>

enum { STREAM_SLOTS = 2, STREAM_EMPTY = -1 };

struct stream {
    struct weights *weights; // borrowed
    struct uploader uploader;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; // of everything below
    pthread_cond_t changed;
    bool stop, failed;
    struct err err;
    int64_t holds[STREAM_SLOTS]; // layer that a slot holds whole, or STREAM_EMPTY
    bool filling;
    uint32_t next;  // layer that is filled next
};

// Does nothing when every layer is resident.
bool stream_create(struct gpu *gpu, const struct gguf *g, struct weights *w,
                   struct tile_cache *tiles, struct stream *out, struct err *e);
void stream_destroy(struct stream *s);

// Waits until layer i (of weights' layers, a streamed one) is in its slot. Layers are asked for in
// order, from the first streamed one; after a pass that ended early the thread starts over.
bool stream_acquire(struct stream *s, uint32_t i, struct err *e);
// The device has done its work with layer i: its slot may be filled again.
void stream_release(struct stream *s, uint32_t i);

#endif
