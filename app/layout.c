#include "app/layout.h"

#include <string.h>

// "512 MiB", "38.2 GiB".
static void put_size(struct text *t, uint64_t bytes)
{
    if (bytes < 1u << 30)
        text_printf(t, "%.0f MiB", (double)bytes / 0x1p20);
    else
        text_printf(t, "%.1f GiB", (double)bytes / 0x1p30);
}

static uint64_t streamed_bytes(const struct engine_layout *l)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < l->n_devices; i++)
        sum += l->device[i].streamed_file_bytes;
    return sum;
}

static uint32_t streamed_layers(const struct engine_layout *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_devices; i++)
        n += l->device[i].n_layers - l->device[i].n_resident;
    return n;
}

// "12 ms", "3.4 s", "2 min".
static void put_time(struct text *t, double s)
{
    if (s < 1)
        text_printf(t, "%.0f ms", s * 1e3);
    else if (s < 120)
        text_printf(t, "%.*f s", s < 10 ? 1 : 0, s);
    else
        text_printf(t, "%.0f min", s / 60);
}

// ------------------------------------------------------------------------------------- notes

static void put_smaller(struct text *t, const struct engine_layout *l)
{
    if (l->smaller_batch)
        text_printf(t, "Batches are %u tokens, so that the model fits.\n", l->n_batch);
    if (l->smaller_ctx)
        text_printf(t, "The context is %u positions, so that the model fits.\n", l->n_ctx);
}

void layout_notes(const struct engine_layout *l, struct text *out)
{
    uint32_t n = streamed_layers(l);
    if (l->refused)
        text_puts(out, "The device refused memory that it had promised; trying with less.\n");
    put_smaller(out, l);
    if (!n) return;
    text_printf(out, "%u of %u layers do not fit: ", n, l->n_layers);
    put_size(out, streamed_bytes(l));
    text_puts(out, " are read from the file for every token");
    if (l->token_s > 0) {
        text_puts(out, ",\nabout ");
        put_time(out, l->token_s);
        text_puts(out, " each");
    }
    text_printf(out, " (a prompt: for every %u tokens).\n", l->n_pass);
}

// ------------------------------------------------------------------------------------- table

static void row(struct text *t, const char *name, uint64_t bytes, const char *what)
{
    if (bytes)
        text_printf(t, "  %-10s %9.1f MiB%s%s\n", name, (double)bytes / 0x1p20, *what ? "  " : "",
                    what);
}

static void put_device(struct text *t, const struct engine_layout *l, uint32_t i)
{
    const struct engine_device_plan *d = &l->device[i];
    bool last = i + 1 == l->n_devices;
    text_printf(t, "device %u   %.66s\n", d->device.index, d->device.name);
    text_printf(t, "  layers     %u to %u of %u: %u stay", d->first_layer,
                d->first_layer + d->n_layers - 1, l->n_layers, d->n_resident);
    if (d->n_resident < d->n_layers)
        text_printf(t, ", %u are streamed", d->n_layers - d->n_resident);
    text_puts(t, "\n");
    row(t, "weights", d->weight_bytes,
        last ? "layers that stay, output matrix" : "layers that stay");
    row(t, "streaming", d->stream_bytes, "two layers in turn");
    row(t, "adapters", d->lora_bytes, "");
    row(t, "cache", d->kv_bytes, "keys and values");
    row(t, "scratch", d->scratch_bytes, "activations, logits");
    row(t, "total", d->total_bytes, "");
    row(t, "budget", d->budget_bytes, "");
    row(t, "staging", d->staging_bytes, "host memory besides");
    row(t, "a pass", d->streamed_file_bytes, "read from the file");
}

void layout_table(const struct engine_layout *l, struct text *out)
{
    text_printf(out, "context    %u positions x %u, %u tokens a batch", l->n_ctx, l->n_seqs,
                l->n_batch);
    if (l->n_pass > l->n_batch) text_printf(out, ", %u a pass", l->n_pass);
    text_puts(out, "\n");
    for (uint32_t i = 0; i < l->n_devices; i++)
        put_device(out, l, i);
    put_smaller(out, l);
    if (l->token_s <= 0) return;
    text_puts(out, "a token    about ");
    put_time(out, l->token_s);
    text_printf(out, ": weights at %.1f GB/s (modelled: a copy on the device)",
                l->read_bytes_s / 1e9);
    if (l->stream_bytes_s > 0)
        text_printf(out, ",\n           file at %.1f GB/s (measured: a piece read and repacked)",
                    l->stream_bytes_s / 1e9);
    text_puts(out, "\n");
}

// -------------------------------------------------------------------------------------- JSON

static void put_bytes(struct text *t, const char *key, uint64_t bytes)
{
    text_printf(t, ",\"%s\":%llu", key, (unsigned long long)bytes);
}

void layout_json(const struct engine_layout *l, struct text *out)
{
    text_puts(out, "{\"devices\":[");
    for (uint32_t i = 0; i < l->n_devices; i++) {
        const struct engine_device_plan *d = &l->device[i];
        text_printf(out, "%s{\"device\":%u,\"name\":", i ? "," : "", d->device.index);
        text_json(out, d->device.name, strlen(d->device.name), false);
        text_printf(out, ",\"first_layer\":%u,\"n_layers\":%u,\"n_resident\":%u", d->first_layer,
                    d->n_layers, d->n_resident);
        put_bytes(out, "weight_bytes", d->weight_bytes);
        put_bytes(out, "stream_bytes", d->stream_bytes);
        put_bytes(out, "adapter_bytes", d->lora_bytes);
        put_bytes(out, "kv_bytes", d->kv_bytes);
        put_bytes(out, "scratch_bytes", d->scratch_bytes);
        put_bytes(out, "total_bytes", d->total_bytes);
        put_bytes(out, "budget_bytes", d->budget_bytes);
        put_bytes(out, "staging_bytes", d->staging_bytes);
        put_bytes(out, "streamed_file_bytes", d->streamed_file_bytes);
        text_puts(out, "}");
    }
    text_printf(out, "],\"n_layers\":%u,\"n_seqs\":%u,\"n_ctx\":%u,\"n_batch\":%u,\"n_pass\":%u",
                l->n_layers, l->n_seqs, l->n_ctx, l->n_batch, l->n_pass);
    text_printf(out, ",\"smaller_ctx\":%s,\"smaller_batch\":%s", l->smaller_ctx ? "true" : "false",
                l->smaller_batch ? "true" : "false");
    text_printf(out, ",\"read_bytes_per_s\":%.0f,\"stream_bytes_per_s\":%.0f,\"token_s\":",
                l->read_bytes_s, l->stream_bytes_s);
    if (l->token_s > 0)
        text_printf(out, "%.6f}\n", l->token_s);
    else
        text_puts(out, "null}\n");
}
