// Passes of few tokens on software devices: several layers in one dispatch, or each in five, where
// other passes take ten (shaders/layer.comp). A dispatch costs such a device some 50 us of handing
// over to its threads, whatever it computes.
//
// In one dispatch, workgroups wait for each other between phases. Vulkan does not promise that they
// all run at once, so this is tried first, with a bound on waiting; and where a pass finds in the
// middle of its work that the others do not come (a busy machine may stop a thread for long), it is
// computed again by one workgroup. The bits are the same in all these ways.
#ifndef LECTERN_FUSED_H
#define LECTERN_FUSED_H

#include "engine/kernels/kernels.h"
#include "engine/model/config.h"
#include "engine/model/weights.h"

struct forward;
struct sub_batch;

enum {
    FUSED_MAX_TOKENS = KERNELS_MAX_TOKENS,
    FUSED_MAX_LAYERS = 256,  // of a device: entries of the table
    FUSED_MAX_FAILURES = 16, // passes in a row until meetings are given up, which costs seconds of
                             // compiling five kernels
};

struct fused {
    uint32_t n_groups;     // workgroups; 0: this device or model takes other kernels
    bool meets;            // they were seen to run all at once
    bool alone;            // this pass is computed by one of them
    uint32_t failures;     // passes in a row whose workgroups did not meet
    uint32_t pause, since; // passes until it is tried again whether they meet, 0: never; since then
    uint32_t meetings;     // recorded in this command buffer
    struct kernel_layer k; // what all layers have in common
    struct gpu_sets sets;
    VkDescriptorSet meet_set; // of the kernel that only meets
    VkDescriptorSet *set;     // [n_layers]; VK_NULL_HANDLE: this layer takes other kernels
    uint32_t *alike;      // [n_layers] how many from this one on can be one dispatch, at least 1
    float *x;             // the pass's input, to begin again: [FUSED_MAX_TOKENS, n_embd padded]
};

// Workgroups for such layers on this device; 0: they take other kernels.
uint32_t fused_groups(const struct gpu *gpu, const struct config *c);
// Bytes of the buffers that it takes beside those of other kernels.
struct fused_bytes {
    uint64_t acts, hidden, attended, meeting, layers;
};
struct fused_bytes fused_scratch(const struct gpu *gpu, const struct config *c);

bool fused_create(struct forward *f, struct err *e);
// Spreads the device's threads and tries whether workgroups meet. Where they do not, passes try
// again now and then: what kept one of them away may have been other work.
bool fused_probe(struct forward *f, struct err *e);
void fused_destroy(struct forward *f);

bool fused_takes(const struct forward *f, uint32_t layer, const struct sub_batch *s);
// Records layers from `layer` on, *n of them at most, and says in *n how many.
bool fused_record(struct forward *f, uint32_t layer, uint32_t *n, const struct sub_batch *s,
                  struct err *e);

// Around a pass and its submissions. begin keeps the input. again is true where workgroups did not
// meet: the input is back then, and the pass must run once more.
void fused_begin(struct forward *f, uint32_t n_tokens);
void fused_submit(struct forward *f);
bool fused_again(struct forward *f, uint32_t n_tokens);

#endif
