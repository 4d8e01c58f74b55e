#include "engine/model/stream.h"
#include "base/cancel.h"

#include <time.h>

static uint32_t slot_of(const struct weights *w, uint32_t layer)
{
    return (layer - w->n_resident) % STREAM_SLOTS;
}

static uint32_t after(const struct weights *w, uint32_t layer)
{
    return layer + 1 < w->n_layers ? layer + 1 : w->n_resident;
}

// Fills the next layer outside the lock.
static void fill_next(struct stream *s)
{
    uint32_t layer = s->next;
    struct err e = {0};
    s->filling = true;
    pthread_mutex_unlock(&s->lock);
    upload_expect(&s->uploader, &s->weights->layers[after(s->weights, layer)]);
    bool ok = upload_layer(&s->uploader, &s->weights->layers[layer], &e);
    pthread_mutex_lock(&s->lock);
    s->filling = false;
    if (!ok) {
        s->failed = true;
        s->err = e;
    } else if (s->next == layer) { // else stream_acquire has started over
        s->holds[slot_of(s->weights, layer)] = layer;
        s->next = after(s->weights, layer);
    }
}

static void *loop(void *arg)
{
    struct stream *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (!s->failed && s->holds[slot_of(s->weights, s->next)] == STREAM_EMPTY)
            fill_next(s);
        else
            pthread_cond_wait(&s->changed, &s->lock);
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void empty(struct stream *s)
{
    for (int i = 0; i < STREAM_SLOTS; i++)
        s->holds[i] = STREAM_EMPTY;
    s->next = s->weights->n_resident;
}

bool stream_create(struct gpu *gpu, const struct gguf *g, struct weights *w,
                   struct tile_cache *tiles, struct stream *out, struct err *e)
{
    *out = (struct stream){.weights = w};
    if (w->n_resident == w->n_layers) return true;
    uploader_create(gpu, g, tiles, &out->uploader);
    empty(out);
    (void)pthread_mutex_init(&out->lock, NULL); // neither fails with default attributes
    (void)pthread_cond_init(&out->changed, NULL);
    out->running = pthread_create(&out->thread, NULL, loop, out) == 0;
    if (out->running) return true;
    stream_destroy(out);
    return err_set(e, ERR_MEMORY, "cannot start the thread that streams weights");
}

void stream_destroy(struct stream *s)
{
    if (s->running) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->thread, NULL);
    }
    if (s->uploader.gpu) {
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->changed);
    }
    uploader_destroy(&s->uploader);
    *s = (struct stream){0};
}

// Waits for a change, at most a tenth of a second, so that ^C is noticed.
static void wait_a_little(struct stream *s)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

// True when the thread is on its way to layer i, false when it has to start over.
static bool on_the_way(const struct stream *s, uint32_t i)
{
    int64_t held = s->holds[slot_of(s->weights, i)];
    return held == i || (held == STREAM_EMPTY && s->next == i);
}

bool stream_acquire(struct stream *s, uint32_t i, struct err *e)
{
    bool ok = true;
    pthread_mutex_lock(&s->lock);
    if (s->failed || !on_the_way(s, i)) {
        while (s->filling)
            wait_a_little(s);
        s->failed = false;
        empty(s);
        s->next = i;
        pthread_cond_broadcast(&s->changed);
    }
    while (ok && !s->failed && s->holds[slot_of(s->weights, i)] != i) {
        wait_a_little(s);
        ok = cancel_check(e);
    }
    if (ok && s->failed) {
        ok = false;
        if (e) *e = s->err;
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void stream_release(struct stream *s, uint32_t i)
{
    pthread_mutex_lock(&s->lock);
    s->holds[slot_of(s->weights, i)] = STREAM_EMPTY;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}
