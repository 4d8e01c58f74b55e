// The cache of keys and values, in pages of 32 positions that sequences can share.
//
//   struct kv_pages  which sequence holds which pages: on the host, one for an engine
//   struct kv_store  keys and values of a range of layers on one device, and its page table
//
// Page p is the cells [32 p, 32 p + 32) of every store. A sequence that writes into a page that
// others hold too gets a copy of its own first.
#ifndef LECTERN_KV_H
#define LECTERN_KV_H

#include "base/err.h"
#include "engine/kernels/kernels.h"
#include "engine/vk/gpu.h"

#include <stdbool.h>
#include <stdint.h>

// --------------------------------------------------------------------------------- bookkeeping

#define KV_NONE UINT32_MAX

struct kv_copy { // page src has to be copied to page dst; KV_NONE: nothing has
    uint32_t dst, src;
};

struct kv_pages {
    uint32_t n_seqs, seq_pages; // most pages of a sequence
    uint32_t n_pages, n_free;
    uint32_t *free;    // [n_pages] a stack
    uint32_t *refs;    // [n_pages] sequences that hold the page
    uint32_t *list;    // [n_seqs, seq_pages] a sequence's pages in order
    uint32_t *held;    // [n_seqs] of them
    uint32_t *len;     // [n_seqs] positions
    uint32_t *version; // [n_seqs] changes with the list
};

// n_pages: n_seqs * seq_pages always suffices.
bool kv_pages_create(uint32_t n_seqs, uint32_t seq_pages, uint32_t n_pages, struct kv_pages *out,
                     struct err *e);
void kv_pages_destroy(struct kv_pages *p);

// Cell of a sequence's position, which must be in one of its pages.
uint32_t kv_pages_cell(const struct kv_pages *p, uint32_t seq, uint32_t position);

// Makes room for n more positions, at most seq_pages pages in all. *copy tells which page must be
// copied before anything is written. Then kv_pages_keep makes the positions part of the sequence,
// or kv_pages_cancel gives the room back; what was not copied yet is shared again, if calls for
// several sequences are taken back in reverse order. Too few free pages is ERR_MEMORY and changes
// nothing.
bool kv_pages_grow(struct kv_pages *p, uint32_t seq, uint32_t n, struct kv_copy *copy,
                   struct err *e);
void kv_pages_keep(struct kv_pages *p, uint32_t seq, uint32_t n);
void kv_pages_cancel(struct kv_pages *p, uint32_t seq, const struct kv_copy *copy, bool copied);

void kv_pages_truncate(struct kv_pages *p, uint32_t seq, uint32_t n);            // n <= length
void kv_pages_share(struct kv_pages *p, uint32_t dst, uint32_t src, uint32_t n); // n <= src's

// Takes pages [first, first + n), all of them full, out of a sequence. Pages behind them that
// others hold too are replaced by free ones: copies[0..*n_copies), seq_pages at most, must be made
// before those pages change. Too few free pages is ERR_MEMORY and changes nothing.
bool kv_pages_cut(struct kv_pages *p, uint32_t seq, uint32_t first, uint32_t n,
                  struct kv_copy *copies, size_t *n_copies, struct err *e);

// --------------------------------------------------------------------------------- on a device

struct kv_params {
    uint32_t type; // KV_F16 ...
    uint32_t n_kv_heads, head_dim;
    uint32_t first_layer, n_layers;
    const struct kv_pages *pages; // for its sizes
};

// A layer is cut by heads into parts of equal size, as few as the device's limits allow. A part's
// buffer is K of all cells, then V; element (cell * part_heads + head) * kv_dim + i of each. The
// picture of elements is in shaders/lib/cache.glsl. Where all layers fit one buffer that kernels
// can see, `all` is that, and those of the layers are views of it, `stride` bytes apart.
struct kv_store {
    struct gpu *gpu; // borrowed
    uint32_t type, first_layer, n_layers, n_parts, part_heads, head_dim;
    uint32_t kv_dim;        // head_dim padded to 64
    uint32_t v_base;        // elements before V
    uint64_t bytes;         // allocated for keys and values
    struct gpu_buf all;     // of every layer; size 0: each has a buffer of its own
    uint64_t stride;
    struct gpu_buf *bufs;   // [n_layers, n_parts]
    struct gpu_buf table;   // [n_seqs, seq_pages] uvec4: x is the first cell of the page
    uint32_t *seen;         // [n_seqs] versions in the table
    struct gpu_buf angles;  // of a shift: head_dim floats
    struct gpu_sets sets;   // made by the first shift
    VkDescriptorSet *shift; // [n_layers, n_parts]
    struct gpu_cmd cmd;
};

// Bytes that keys, or values, of so many elements take; elements are whole units of 64.
uint64_t kv_bytes(uint32_t type, uint64_t elements);

// What kv_store_create would take, exactly; ERR_MEMORY where it would refuse.
bool kv_store_bytes(struct gpu *gpu, const struct kv_params *p, uint64_t *bytes, struct err *e);
bool kv_store_create(struct gpu *gpu, const struct kv_params *p, struct kv_store *out,
                     struct err *e);
void kv_store_destroy(struct kv_store *s);

// The buffer of a part; layer counts from the model's first.
struct gpu_buf *kv_store_buf(const struct kv_store *s, uint32_t layer, uint32_t part);
// The largest buffer that holds a layer whole, n_parts being 1, and where in it the layer begins,
// in units of 64 elements of f16 or f32.
const struct gpu_buf *kv_store_span(const struct kv_store *s, uint32_t layer, uint32_t *unit);
// Brings a sequence's row of the page table up to date. The device must be idle.
void kv_store_sync(struct kv_store *s, const struct kv_pages *p, uint32_t seq);
// Copies pages in every layer; entries with KV_NONE are passed over.
bool kv_store_copy(struct kv_store *s, const struct kv_copy *copies, size_t n, struct err *e);
// Rotates the keys of n_pages entries of the page table by [head_dim/2] pairs of cos, sin.
bool kv_store_shift(struct kv_store *s, struct kernels *k, const float *angles, uint32_t entry,
                    uint32_t n_pages, struct err *e);

#endif
