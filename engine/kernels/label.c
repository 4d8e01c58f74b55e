// Pipelines in words, for tables of times.
#include "engine/kernels/kernels.h"

#include <stdio.h>
#include <string.h>

#define KERNEL_NAME(name, ...) #name,
static const char *const names[N_KERNELS] = {EVERY_KERNEL(KERNEL_NAME)};
#undef KERNEL_NAME

static const char *phase_words(uint32_t phases)
{
    switch (phases) {
    case LAYER_QKV: return "norm, QKV, rope";
    case LAYER_ATTENTION: return "attention";
    case LAYER_O: return "O";
    case LAYER_GATE_UP: return "norm, gate, up";
    case LAYER_DOWN: return "down";
    default: return "whole";
    }
}

static const char *norm_words(const uint32_t *spec)
{
    static const char *const modes[] = {
        [NORM_PLAIN] = "plain", [NORM_RMS] = "RMS", [NORM_SWIGLU] = "SwiGLU"};
    return spec[1] <= NORM_SWIGLU ? modes[spec[1]] : "?";
}

void kernels_label(const struct kernels *k, const struct gpu_pipeline *p, char *out, size_t size)
{
    uint32_t i = 0;
    while (i < k->n && &k->entry[i].pipeline != p)
        i++;
    (void)snprintf(out, size, "?");
    if (i == k->n) return;
    const char *name = names[k->entry[i].id];
    const uint32_t *spec = k->entry[i].spec;
    if (!strncmp(name, "matmul_", 7))
        (void)snprintf(out, size, "%s, %u token%s", name, spec[1], spec[1] == 1 ? "" : "s");
    else if (!strncmp(name, "attention", 9))
        (void)snprintf(out, size, "%s, %u x %u", name, spec[2], spec[3]);
    else if (!strncmp(name, "layer_", 6))
        (void)snprintf(out, size, "%s, %s", name, phase_words(spec[0]));
    else if (!strcmp(name, "norm"))
        (void)snprintf(out, size, "%s, %s", name, norm_words(spec));
    else
        (void)snprintf(out, size, "%s", name);
}
