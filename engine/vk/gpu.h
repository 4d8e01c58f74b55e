// A thin Vulkan layer for compute: one device, buffers, pipelines, command recording.
// volk loads Vulkan at run time, so that a machine without it gets a sentence, not a loader error.
// create/destroy pairs: destroy takes a half-built object and leaves it zeroed.
#ifndef LECTERN_GPU_H
#define LECTERN_GPU_H

#include "base/err.h"

#define VK_NO_PROTOTYPES
#include <volk.h>

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GPU_ALIGN = 256, // of a view in its buffer: Vulkan's largest demand for any kind
    GPU_MAX_BINDINGS = 20,
    GPU_MAX_SPEC = 22,        // specialisation constants
    GPU_MIN_TEXELS = 1 << 24, // a texel buffer must hold a useful matrix: this is 256 MiB
};

struct gpu_caps { // what was probed, or lowered by gpu_limits
    char name[256], driver[256], type[16], uuid[33];
    uint32_t index, api_version, driver_version, subgroup_size;
    uint64_t heap_bytes, budget_bytes;
    bool budget_known, unified, fp16, int8_dot, coopmat, subgroup_shuffle;
    bool subgroup_broadcast;
    bool int8_dot_fast;     // the hardware has instructions for it
    bool size_control;      // a pipeline may ask for a subgroup size
    uint32_t coop_subgroup; // the one for cooperative matrices
    uint32_t coop[3];       // the matrices: rows, columns, depth; f16 with f32 sums
    uint32_t max_storage_buffers, max_images;
    uint64_t max_buffer_range, max_allocation;
    uint32_t max_texel_elements, max_workgroup, max_groups[3], shared_bytes, max_allocations;
    uint32_t tier; // 0: the floor; 1: + subgroup shuffle, 16- and 8-bit storage; 2: + fp16 and
                   // integer dot; 3: + cooperative matrix
    bool usable;
    char why_not[160];
};

// Lists every device once, of those that LECTERN_DEVICES names where it is set (as --device does,
// by their numbers without it). Caller frees *out.
bool gpu_list(struct gpu_caps **out, size_t *n, struct err *e);

struct gpu_limits { // tests lower limits and hide features; zeros change nothing
    bool force_staging, force_ssbo, no_subgroup, no_images, no_timestamps, no_fused;
    bool no_fp16, no_dot, no_coopmat;
    bool tier_given; // kernels of tiers up to `tier` and no others, the highest that the device can
    uint32_t tier;   // run: without a measurement, also on a software device
    bool as_gpu;     // a software device chooses its kernels as a GPU does
    uint64_t max_bytes;  // allocations beyond this sum are refused, as by a full device
    uint64_t max_matrix; // bytes of the largest view
    double max_work;     // multiplications of a submission
    uint64_t max_buffer_range;
};

struct gpu { // fields are read-only outside engine/vk
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
    char validation_message[256]; // the first message of the validation layer, else empty
    VkPhysicalDevice physical;
    VkDevice device;
    struct VolkDeviceTable vk;
    VkQueue queue, transfer; // the same queue where the device has no other
    uint32_t queue_family, transfer_family;
    pthread_mutex_t queue_lock; // a queue takes one submission at a time
    bool queue_lock_made;
    VkCommandPool pool;
    VkFence fence;
    VkPipelineCache cache;
    VkPhysicalDeviceMemoryProperties memory;
    struct gpu_caps caps;
    bool texel;     // kernels read through texel buffers
    bool images;    // some of them through storage texel buffers, on software devices
    bool broadcast; // which do so by broadcasts (shaders/lib/lanes.glsl)
    bool force_staging, subgroups, no_timestamps, no_fused;
    bool split;          // kernels may be those that suit GPUs
    bool dot, coop;      // kernels may use integer dot products, cooperative matrices
    bool forced;         // by gpu_limits.tier: the highest tier is used, nothing is measured
    uint64_t max_matrix; // bytes of weights that a kernel can see at once
    uint64_t max_bytes;  // of gpu_limits
    double max_work;     // multiplications that make a submission of about 0.1 s
    uint32_t n_allocations;
    uint64_t allocated_bytes; // of every buffer but staging
};

// want: NULL for the best usable device, an index, or part of a name (case ignored).
// validate: turn on the Khronos layer; ERR_DEVICE when it is not installed.
bool gpu_create(const char *want, bool validate, const struct gpu_limits *limits, struct gpu *out,
                struct err *e);
void gpu_destroy(struct gpu *g);
// Whether kernels read through texel buffers, and the bytes of the largest buffer that they can
// read in one piece.
bool gpu_texel(const struct gpu_caps *c);
uint64_t gpu_max_matrix(const struct gpu_caps *c, bool texel);

// software.c. Mesa keeps compiled kernels by their source, whatever the width of vectors: those of
// another would be taken for these. Where LP_NATIVE_VECTOR_WIDTH is set, they get a folder of their
// own. To be called before an instance is made.
void gpu_keep_width_apart(void);
// True: lavapipe will compute with 512 bits for the next instance, as this processor
// can; destroy this one and ask gpu_widened of the next. The process's environment is changed for
// that, so no other thread may read it.
bool gpu_widen(VkInstance instance);
// False: it went on with 256 bits, as a driver does that something else holds, and must not keep
// what it compiles where that of 512 bits lies; instances made from now on keep nothing.
bool gpu_widened(VkInstance instance);
// Its first number, from gpu_caps.driver; 0: not Mesa.
uint32_t gpu_mesa_version(const char *driver);

// threads.c. Software devices: gives each thread that computes a processor of its own for good,
// where there are as many as this process may use. Left to itself Linux puts two on one now and
// then, for a second and more, and while they wait for each other there a pass takes whole time
// slices. busy: keeps all threads of the device busy for some milliseconds. False: it failed.
bool gpu_spread_threads(bool (*busy)(void *ctx, struct err *e), void *ctx, struct err *e);

// features.c: what is probed of a device, which of it a struct gpu with caps uses, vkCreateDevice
// with that asked for (info without features).
bool gpu_has_extension(VkPhysicalDevice d, const char *name);
void gpu_probe_features(VkPhysicalDevice d, struct gpu_caps *c);
void gpu_choose_features(struct gpu *g, const struct gpu_limits *limits);
VkResult gpu_make_device(struct gpu *g, const VkDeviceCreateInfo *info);

// A family for copies alone, which real GPUs run beside compute; else the compute family.
uint32_t gpu_transfer_family(const VkQueueFamilyProperties *q, uint32_t n, uint32_t compute);

// Turns a VkResult into an error; `what` completes "cannot WHAT".
bool gpu_fail(struct err *e, VkResult r, const char *what);
// True when the validation layer has been silent, else ERR_INTERNAL with its message.
bool gpu_validated(struct gpu *g, struct err *e);

// --------------------------------------------------------------------------------- buffers

enum gpu_memory {
    GPU_DEVICE,   // weights, scratch, cache: device-local, mapped where device memory is visible
    GPU_UPLOAD,   // tables written by the host every run: mapped, coherent
    GPU_READBACK, // logits: mapped, cached
    GPU_STAGING,  // weights on their way: mapped, in the host's own memory
};

struct gpu_buf { // a buffer that owns its memory, or a view into such a buffer
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkBufferView view;      // RGBA32UI over its bytes, when g->texel and they are few enough
    VkDeviceSize offset;    // of a view in its owner
    VkDeviceSize size;      // bytes, a multiple of 16
    VkDeviceSize allocated; // what the driver asked for, at least size; 0 for a view
    void *map;              // NULL when the host cannot see it
    bool cached;            // the host reads the map as fast as other memory
    enum gpu_memory kind;
    bool is_view; // the owner must outlive it
};

bool gpu_buf_create(struct gpu *g, enum gpu_memory kind, uint64_t bytes, const char *name,
                    struct gpu_buf *out, struct err *e);
void gpu_buf_destroy(struct gpu *g, struct gpu_buf *b);
// What buffers are made of: the best memory type for a kind among the bits of `allowed`; the size
// of the largest device-local heap; whether device memory is host memory, all of it mapped.
bool gpu_memory_type(const struct gpu *g, enum gpu_memory kind, uint32_t allowed, uint32_t *out);
uint64_t gpu_largest_heap(const VkPhysicalDeviceMemoryProperties *m);
bool gpu_unified(const VkPhysicalDeviceMemoryProperties *m);
// What gpu_buf_create would take from the device, without taking it; 0 when Vulkan refuses. In a
// struct gpu without a device: what it would ask for.
uint64_t gpu_buf_bytes(struct gpu *g, uint64_t bytes);
// Bytes [offset, offset + bytes) of an owner: offset is a multiple of GPU_ALIGN.
bool gpu_buf_view(struct gpu *g, const struct gpu_buf *owner, uint64_t offset, uint64_t bytes,
                  struct gpu_buf *out, struct err *e);

// Writes bytes [offset, offset + size) of a GPU_DEVICE buffer: straight into the map, or through a
// staging buffer and a copy. fill(ctx, dst, begin, end) makes bytes begin..end of the source.
typedef bool gpu_fill(void *ctx, void *dst, uint64_t begin, uint64_t end, struct err *e);
bool gpu_buf_fill(struct gpu *g, struct gpu_buf *b, uint64_t step, gpu_fill *fill, void *ctx,
                  struct err *e); // whole buffer, in pieces that are multiples of step
bool gpu_buf_zero(struct gpu *g, struct gpu_buf *b, struct err *e);
// Copies device bytes to the host; slow, for tests and tools.
bool gpu_buf_read(struct gpu *g, const struct gpu_buf *b, uint64_t offset, void *dst, uint64_t size,
                  struct err *e);

// ------------------------------------------------------------------------------- pipelines

struct gpu_pipeline {
    VkPipeline pipeline; // VK_NULL_HANDLE: not built yet
    VkPipelineLayout layout;
    VkDescriptorSetLayout set_layout;
    uint32_t n_reads, n_writes; // bindings 0..n_reads-1, then n_reads..n_reads+n_writes-1
    uint32_t push_bytes, images;
};

struct gpu_pipeline_params {
    const char *name;
    const unsigned char *spirv;
    size_t spirv_bytes;
    uint32_t n_reads, n_writes, push_bytes;
    uint32_t images; // bit 1 << binding: what it reads is a storage texel buffer; with gpu.images
    const uint32_t *spec; // specialisation constants 0..n_spec-1 (4 bytes each)
    uint32_t n_spec;
    uint32_t subgroup_size; // full subgroups of this size where caps.size_control; 0: any
};
// What descriptor sets are made from; then, with the same params and once, what is dispatched, which
// takes some drivers a third of a second.
bool gpu_pipeline_declare(struct gpu *g, const struct gpu_pipeline_params *p,
                          struct gpu_pipeline *out, struct err *e);
bool gpu_pipeline_build(struct gpu *g, const struct gpu_pipeline_params *p,
                        struct gpu_pipeline *out, struct err *e);
void gpu_pipeline_destroy(struct gpu *g, struct gpu_pipeline *p);

// Descriptor sets come from a pool that lives as long as its owner.
struct gpu_sets {
    VkDescriptorPool pool;
};
bool gpu_sets_create(struct gpu *g, uint32_t max_sets, struct gpu_sets *out, struct err *e);
void gpu_sets_destroy(struct gpu *g, struct gpu_sets *s);
// bufs: n_reads + n_writes buffers in binding order.
bool gpu_set_make(struct gpu *g, struct gpu_sets *s, const struct gpu_pipeline *p,
                  const struct gpu_buf *const *bufs, VkDescriptorSet *out, struct err *e);

// ------------------------------------------------------------------------------- recording

struct gpu_trace;

struct gpu_cmd {
    VkCommandBuffer cmd;
    bool dry;                // dispatches are left out: what is recorded is not to be submitted
    struct gpu_trace *trace; // borrowed; NULL: nothing is timed
    const char *note;        // of gpu_note, until the next dispatch
    size_t note_size;
    uint64_t note_bytes;
};
bool gpu_cmd_create(struct gpu *g, struct gpu_cmd *out, struct err *e);
void gpu_cmd_destroy(struct gpu *g, struct gpu_cmd *c);
bool gpu_begin(struct gpu *g, struct gpu_cmd *c, struct err *e);
bool gpu_end(struct gpu *g, struct gpu_cmd *c, struct err *e);
void gpu_dispatch(struct gpu *g, struct gpu_cmd *c, const struct gpu_pipeline *p,
                  VkDescriptorSet set, const void *push, const uint32_t groups[3]);
// For the trace: what the next dispatch reads, what[0..size), borrowed, and how many bytes of it.
void gpu_note(struct gpu_cmd *c, const char *what, size_t size, uint64_t bytes);
void gpu_barrier(struct gpu *g, struct gpu_cmd *c); // all writes before, visible to all after
void gpu_copy(struct gpu *g, struct gpu_cmd *c, const struct gpu_buf *src, uint64_t src_at,
              const struct gpu_buf *dst, uint64_t dst_at, uint64_t size);
// Submits and waits. A lost device or a validation message is an error.
bool gpu_submit(struct gpu *g, const struct gpu_cmd *c, struct err *e);

// ---------------------------------------------------------------------------------- timing

struct gpu_span { // a dispatch
    const struct gpu_pipeline *pipeline;
    const char *note; // [note_size], or NULL
    size_t note_size;
    uint64_t bytes;
};
struct gpu_sum { // of dispatches with the same pipeline and note; bytes are the sum
    struct gpu_span span;
    uint32_t n;
    double seconds;
};

// The times of every dispatch of a command buffer whose `trace` it is, by the device's clock,
// summed over submissions. Set before gpu_begin.
struct gpu_trace {
    VkQueryPool pool;
    double tick_s;
    uint64_t mask;          // bits of the clock
    uint32_t max;           // dispatches of a submission
    uint32_t n, missed;     // as recorded
    struct gpu_span *spans; // [max]
    uint64_t *ticks;        // [max, 2]
    struct gpu_sum *sums;   // [n_sums]
    uint32_t n_sums, cap;
};
// ERR_UNSUPPORTED where the device has no timestamps.
bool gpu_trace_create(struct gpu *g, uint32_t max, struct gpu_trace *out, struct err *e);
void gpu_trace_destroy(struct gpu *g, struct gpu_trace *t);
// For record.c: around a recording and its dispatches, and after a submission.
void gpu_trace_begin(struct gpu *g, struct gpu_cmd *c);
bool gpu_trace_open(struct gpu *g, struct gpu_cmd *c, const struct gpu_pipeline *p);
void gpu_trace_close(struct gpu *g, struct gpu_cmd *c);
bool gpu_trace_read(struct gpu *g, struct gpu_trace *t, struct err *e);

// ---------------------------------------------------------------------------------- copying

// One copy at a time on the transfer queue, beside the work of gpu_submit. Used by one thread.
struct gpu_copier {
    VkCommandPool pool;
    VkCommandBuffer cmd;
    VkFence fence;
    bool busy;
};
bool gpu_copier_create(struct gpu *g, struct gpu_copier *out, struct err *e);
void gpu_copier_destroy(struct gpu *g, struct gpu_copier *c);
// Starts copying the first `size` bytes of src; gpu_copier_wait before either buffer is used.
bool gpu_copier_start(struct gpu *g, struct gpu_copier *c, const struct gpu_buf *src,
                      const struct gpu_buf *dst, uint64_t dst_at, uint64_t size, struct err *e);
bool gpu_copier_wait(struct gpu *g, struct gpu_copier *c, struct err *e);

#endif
