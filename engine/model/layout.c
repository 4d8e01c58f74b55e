// What engine_layout says, and its estimate of a token's time:
//
//   token_s = resident bytes / read_bytes_s + streamed bytes / stream_bytes_s
#include "base/clock.h"
#include "base/size.h"
#include "engine/model/engine_internal.h"

#include <string.h>

enum { COPY_BYTES = 32 << 20 };

void layout_describe(const struct place *p, struct engine_layout *out)
{
    *out = (struct engine_layout){
        .n_devices = p->n_stages,
        .n_seqs = p->p.n_seqs,
        .n_ctx = p->p.n_ctx,
        .n_batch = p->p.n_batch,
        .n_pass = p->p.n_pass,
        .smaller_ctx = p->smaller_ctx,
        .smaller_batch = p->smaller_batch,
    };
    for (uint32_t i = 0; i < p->n_stages; i++) {
        const struct place_stage *s = &p->stage[i];
        struct engine_device_plan *d = &out->device[i];
        engine_describe_device(&s->gpu->caps, &d->device);
        out->n_layers += s->n_layers;
        d->budget_bytes = s->budget;
        d->first_layer = s->first_layer;
        d->n_layers = s->n_layers;
        d->n_resident = s->n_resident;
        d->weight_bytes = s->resident_bytes;
        d->stream_bytes = s->slot_bytes;
        d->lora_bytes = s->lora_bytes;
        d->kv_bytes = s->kv_bytes;
        d->scratch_bytes = s->scratch_bytes;
        d->total_bytes = place_stage_bytes(s);
        d->staging_bytes = s->staging_bytes;
        d->streamed_file_bytes = s->streamed_bytes;
    }
}

// Bytes a second that the device reads and writes when it copies; 0 when it cannot be measured.
static double copy_speed(struct gpu *gpu)
{
    struct gpu_buf a = {0}, b = {0};
    struct gpu_copier c = {0};
    struct err ignored;
    double best = 0;
    if (gpu_buf_create(gpu, GPU_DEVICE, COPY_BYTES, "speed of a copy", &a, &ignored) &&
        gpu_buf_create(gpu, GPU_DEVICE, COPY_BYTES, "speed of a copy", &b, &ignored) &&
        gpu_copier_create(gpu, &c, &ignored))
        for (int i = 0; i < 4; i++) {
            double start = clock_s();
            if (!gpu_copier_start(gpu, &c, &a, &b, 0, COPY_BYTES, &ignored) ||
                !gpu_copier_wait(gpu, &c, &ignored))
                break;
            double speed = 2.0 * COPY_BYTES / (clock_s() - start);
            if (i && speed > best) best = speed; // the first one only touches the memory
        }
    gpu_copier_destroy(gpu, &c);
    gpu_buf_destroy(gpu, &a);
    gpu_buf_destroy(gpu, &b);
    return best;
}

void layout_estimate(const struct engine *g, struct engine_layout *out)
{
    double seconds = 0;
    bool known = true;
    for (uint32_t i = 0; i < out->n_devices; i++) {
        struct engine_device_plan *d = &out->device[i];
        struct gpu *gpu = g->place.stage[i].gpu;
        double read = copy_speed(gpu);
        if (d->streamed_file_bytes && out->stream_bytes_s <= 0)
            out->stream_bytes_s = upload_speed(gpu, &g->file, &g->config, d->first_layer);
        if (!i || read < out->read_bytes_s) out->read_bytes_s = read;
        known &= read > 0 && (!d->streamed_file_bytes || out->stream_bytes_s > 0);
        if (!known) continue;
        seconds += (double)d->weight_bytes / read;
        if (d->streamed_file_bytes) seconds += (double)d->streamed_file_bytes / out->stream_bytes_s;
    }
    out->token_s = known ? seconds : 0;
}
