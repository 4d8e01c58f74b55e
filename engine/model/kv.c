#include "engine/model/kv.h"
#include "base/size.h"
#include "engine/engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(ENGINE_KV_F16 == KV_F16 && ENGINE_KV_F32 == KV_F32 && ENGINE_KV_Q8_0 == KV_Q8_0 &&
                   ENGINE_KV_Q4_0 == KV_Q4_0 && ENGINE_PAGE == KV_PAGE,
               "cache types");

// --------------------------------------------------------------------------------- bookkeeping

static uint32_t pages_of(uint32_t positions)
{
    return (uint32_t)size_div_up(positions, KV_PAGE);
}

static uint32_t *list_of(const struct kv_pages *p, uint32_t seq)
{
    return p->list + (size_t)seq * p->seq_pages;
}

bool kv_pages_create(uint32_t n_seqs, uint32_t seq_pages, uint32_t n_pages, struct kv_pages *out,
                     struct err *e)
{
    *out = (struct kv_pages){
        .n_seqs = n_seqs, .seq_pages = seq_pages, .n_pages = n_pages, .n_free = n_pages};
    out->free = calloc(n_pages, sizeof *out->free);
    out->refs = calloc(n_pages, sizeof *out->refs);
    out->list = calloc((size_t)n_seqs * seq_pages, sizeof *out->list);
    out->held = calloc(n_seqs, sizeof *out->held);
    out->len = calloc(n_seqs, sizeof *out->len);
    out->version = calloc(n_seqs, sizeof *out->version);
    if (!out->free || !out->refs || !out->list || !out->held || !out->len || !out->version) {
        kv_pages_destroy(out);
        return err_nomem(e, "the page lists", 4ull * n_pages * 3);
    }
    for (uint32_t i = 0; i < n_pages; i++)
        out->free[i] = n_pages - 1 - i; // page 0 is taken first
    return true;
}

void kv_pages_destroy(struct kv_pages *p)
{
    free(p->free);
    free(p->refs);
    free(p->list);
    free(p->held);
    free(p->len);
    free(p->version);
    *p = (struct kv_pages){0};
}

uint32_t kv_pages_cell(const struct kv_pages *p, uint32_t seq, uint32_t position)
{
    assert(position / KV_PAGE < p->held[seq]);
    return list_of(p, seq)[position / KV_PAGE] * KV_PAGE + position % KV_PAGE;
}

static uint32_t take(struct kv_pages *p)
{
    uint32_t page = p->free[--p->n_free];
    p->refs[page] = 1;
    return page;
}

static void release(struct kv_pages *p, uint32_t page)
{
    if (!--p->refs[page]) p->free[p->n_free++] = page;
}

static void shorten(struct kv_pages *p, uint32_t seq, uint32_t n_pages)
{
    while (p->held[seq] > n_pages)
        release(p, list_of(p, seq)[--p->held[seq]]);
    p->version[seq]++;
}

bool kv_pages_grow(struct kv_pages *p, uint32_t seq, uint32_t n, struct kv_copy *copy,
                   struct err *e)
{
    uint32_t len = p->len[seq], have = p->held[seq], want = pages_of(len + n);
    uint32_t *list = list_of(p, seq);
    bool shared = len % KV_PAGE && p->refs[list[have - 1]] > 1;
    assert(want <= p->seq_pages && have == pages_of(len));
    *copy = (struct kv_copy){KV_NONE, KV_NONE};
    if (want - have + shared > p->n_free)
        return err_set(
            e, ERR_MEMORY,
            "the cache has %u free pages of %u positions, sequence %u needs %u: truncate "
            "a sequence first",
            p->n_free, KV_PAGE, seq, want - have + shared);
    if (shared) {
        *copy = (struct kv_copy){take(p), list[have - 1]};
        release(p, copy->src); // others hold it: it is not free
        list[have - 1] = copy->dst;
    }
    while (p->held[seq] < want)
        list[p->held[seq]++] = take(p);
    p->version[seq]++;
    return true;
}

void kv_pages_keep(struct kv_pages *p, uint32_t seq, uint32_t n)
{
    p->len[seq] += n;
    assert(p->held[seq] == pages_of(p->len[seq]));
}

void kv_pages_cancel(struct kv_pages *p, uint32_t seq, const struct kv_copy *copy, bool copied)
{
    shorten(p, seq, pages_of(p->len[seq]));
    if (copied || copy->dst == KV_NONE) return;
    list_of(p, seq)[p->held[seq] - 1] = copy->src;
    p->refs[copy->src]++;
    release(p, copy->dst);
}

void kv_pages_truncate(struct kv_pages *p, uint32_t seq, uint32_t n)
{
    assert(n <= p->len[seq]);
    p->len[seq] = n;
    shorten(p, seq, pages_of(n));
}

void kv_pages_share(struct kv_pages *p, uint32_t dst, uint32_t src, uint32_t n)
{
    assert(n <= p->len[src] && dst != src);
    shorten(p, dst, 0);
    p->len[dst] = n;
    for (; p->held[dst] < pages_of(n); p->held[dst]++) {
        uint32_t page = list_of(p, src)[p->held[dst]];
        list_of(p, dst)[p->held[dst]] = page;
        p->refs[page]++;
    }
}

bool kv_pages_cut(struct kv_pages *p, uint32_t seq, uint32_t first, uint32_t n,
                  struct kv_copy *copies, size_t *n_copies, struct err *e)
{
    uint32_t *list = list_of(p, seq), have = p->held[seq], need = 0, gain = 0;
    assert((first + n) * KV_PAGE <= p->len[seq]);
    *n_copies = 0;
    for (uint32_t i = first; i < have; i++)
        if (i < first + n)
            gain += p->refs[list[i]] == 1;
        else
            need += p->refs[list[i]] > 1;
    if (need > p->n_free + gain)
        return err_set(e, ERR_MEMORY,
                       "the cache has %u free pages of %u positions, a shift needs %u",
                       p->n_free + gain, KV_PAGE, need);
    for (uint32_t i = first; i < first + n; i++)
        release(p, list[i]);
    memmove(list + first, list + first + n, (have - first - n) * sizeof *list);
    p->held[seq] -= n;
    p->len[seq] -= n * KV_PAGE;
    p->version[seq]++;
    for (uint32_t i = first; i < p->held[seq]; i++)
        if (p->refs[list[i]] > 1) {
            copies[*n_copies] = (struct kv_copy){take(p), list[i]};
            release(p, list[i]);
            list[i] = copies[(*n_copies)++].dst;
        }
    return true;
}

// --------------------------------------------------------------------------------- on a device

const char *engine_kv_name(enum engine_kv kv)
{
    static const char *const names[ENGINE_N_KV] = {"f16", "f32", "q8_0", "q4_0"};
    return (uint32_t)kv < ENGINE_N_KV ? names[kv] : NULL;
}

// Of the elements themselves, and of their scales: shaders/lib/cache.glsl.
static uint64_t plain_bytes(uint32_t type, uint64_t elements)
{
    static const uint8_t half_bytes[] = {[KV_F16] = 4, [KV_F32] = 8, [KV_Q8_0] = 2, [KV_Q4_0] = 1};
    return elements * half_bytes[type] / 2;
}

static uint64_t scale_bytes(uint32_t type, uint64_t elements)
{
    return type == KV_Q8_0 || type == KV_Q4_0 ? elements / 32 * 2 : 0;
}

uint64_t kv_bytes(uint32_t type, uint64_t elements)
{
    return plain_bytes(type, elements) + scale_bytes(type, elements);
}

// The largest buffer that kernels can read and write.
static uint64_t largest_buffer(const struct gpu *g)
{
    uint64_t most = g->caps.max_buffer_range;
    if (g->texel) most = size_min(most, (uint64_t)g->caps.max_texel_elements * 16);
    return g->caps.max_allocation ? size_min(most, g->caps.max_allocation) : most;
}

static bool choose_parts(struct kv_store *s, const struct kv_params *p, uint64_t n_cells,
                         struct err *e)
{
    uint64_t most = largest_buffer(s->gpu);
    for (s->n_parts = 1; s->n_parts <= p->n_kv_heads; s->n_parts++) {
        if (p->n_kv_heads % s->n_parts) continue;
        s->part_heads = p->n_kv_heads / s->n_parts;
        uint64_t elements = n_cells * s->part_heads * s->kv_dim;
        s->v_base = (uint32_t)elements;
        if (elements <= UINT32_MAX / 2 && 2 * kv_bytes(p->type, elements) <= most) return true;
    }
    return err_set(e, ERR_MEMORY,
                   "the cache of %u x %u positions needs %llu MiB for one head, %s allows %llu: "
                   "choose a smaller --ctx",
                   p->pages->n_seqs, p->pages->seq_pages * KV_PAGE,
                   (unsigned long long)(2 * kv_bytes(p->type, n_cells * s->kv_dim)) >> 20,
                   s->gpu->caps.name, (unsigned long long)most >> 20);
}

static uint64_t part_bytes(const struct kv_store *s)
{
    return 2 * kv_bytes(s->type, s->v_base);
}

// Bytes of a buffer of all layers; 0: there is none.
static uint64_t all_bytes(const struct kv_store *s)
{
    uint64_t bytes = s->n_layers * size_align(part_bytes(s), GPU_ALIGN);
    uint64_t elements = s->n_layers * (2ull * s->v_base + GPU_ALIGN); // indices of 32 bits
    return s->n_parts == 1 && bytes <= largest_buffer(s->gpu) && elements <= UINT32_MAX ? bytes : 0;
}

static bool create_buf(struct kv_store *s, uint64_t bytes, struct gpu_buf *out, struct err *e)
{
    if (!gpu_buf_create(s->gpu, GPU_DEVICE, bytes, "key/value cache", out, e)) return false;
    s->bytes += out->allocated;
    return gpu_buf_zero(s->gpu, out, e); // stale values times weight 0 must be 0
}

static bool create_bufs(struct kv_store *s, struct err *e)
{
    uint64_t bytes = part_bytes(s), all = all_bytes(s);
    size_t n = (size_t)s->n_layers * s->n_parts;
    s->stride = size_align(bytes, GPU_ALIGN);
    s->bufs = calloc(n, sizeof *s->bufs);
    if (!s->bufs) return err_nomem(e, "the cache", n * sizeof *s->bufs);
    if (all && !create_buf(s, all, &s->all, e)) return false;
    for (size_t i = 0; i < n; i++)
        if (!(all ? gpu_buf_view(s->gpu, &s->all, i * s->stride, bytes, &s->bufs[i], e)
                  : create_buf(s, bytes, &s->bufs[i], e)))
            return false;
    return true;
}

static uint64_t table_bytes(const struct kv_pages *p)
{
    return (uint64_t)p->n_seqs * p->seq_pages * 16;
}

bool kv_store_bytes(struct gpu *gpu, const struct kv_params *p, uint64_t *bytes, struct err *e)
{
    struct kv_store s = {.gpu = gpu,
                         .type = p->type,
                         .n_layers = p->n_layers,
                         .kv_dim = (uint32_t)size_align(p->head_dim, 64)};
    if (!choose_parts(&s, p, (uint64_t)p->pages->n_pages * KV_PAGE, e)) return false;
    uint64_t all = all_bytes(&s);
    *bytes = all ? gpu_buf_bytes(gpu, all)
                 : (uint64_t)p->n_layers * s.n_parts * gpu_buf_bytes(gpu, part_bytes(&s));
    *bytes += gpu_buf_bytes(gpu, table_bytes(p->pages)) + gpu_buf_bytes(gpu, 4ull * p->head_dim);
    return true;
}

bool kv_store_create(struct gpu *gpu, const struct kv_params *p, struct kv_store *out,
                     struct err *e)
{
    *out = (struct kv_store){.gpu = gpu,
                             .type = p->type,
                             .first_layer = p->first_layer,
                             .n_layers = p->n_layers,
                             .head_dim = p->head_dim,
                             .kv_dim = (uint32_t)size_align(p->head_dim, 64)};
    if (!choose_parts(out, p, (uint64_t)p->pages->n_pages * KV_PAGE, e) ||
        !gpu_buf_create(gpu, GPU_UPLOAD, table_bytes(p->pages), "page table", &out->table, e) ||
        !gpu_buf_create(gpu, GPU_UPLOAD, p->head_dim * 4, "angles of a shift", &out->angles, e) ||
        !gpu_cmd_create(gpu, &out->cmd, e) || !create_bufs(out, e))
        goto fail;
    memset(out->table.map, 0, out->table.size);
    out->seen = calloc(p->pages->n_seqs, sizeof *out->seen);
    if (out->seen) return true;
    err_nomem(e, "the page table", p->pages->n_seqs * sizeof *out->seen);
fail:
    kv_store_destroy(out);
    return false;
}

void kv_store_destroy(struct kv_store *s)
{
    if (!s->gpu) return;
    for (size_t i = 0; s->bufs && i < (size_t)s->n_layers * s->n_parts; i++)
        gpu_buf_destroy(s->gpu, &s->bufs[i]);
    gpu_buf_destroy(s->gpu, &s->all);
    gpu_buf_destroy(s->gpu, &s->table);
    gpu_buf_destroy(s->gpu, &s->angles);
    gpu_sets_destroy(s->gpu, &s->sets);
    gpu_cmd_destroy(s->gpu, &s->cmd);
    free(s->shift);
    free(s->bufs);
    free(s->seen);
    *s = (struct kv_store){0};
}

struct gpu_buf *kv_store_buf(const struct kv_store *s, uint32_t layer, uint32_t part)
{
    assert(layer >= s->first_layer && layer - s->first_layer < s->n_layers && part < s->n_parts);
    return &s->bufs[(size_t)(layer - s->first_layer) * s->n_parts + part];
}

const struct gpu_buf *kv_store_span(const struct kv_store *s, uint32_t layer, uint32_t *unit)
{
    assert(s->n_parts == 1 && s->type <= KV_F32);
    *unit =
        s->all.size ? (uint32_t)((layer - s->first_layer) * s->stride / kv_bytes(s->type, 64)) : 0;
    return s->all.size ? &s->all : kv_store_buf(s, layer, 0);
}

void kv_store_sync(struct kv_store *s, const struct kv_pages *p, uint32_t seq)
{
    uint32_t *row = (uint32_t *)s->table.map + (size_t)seq * p->seq_pages * 4;
    if (s->seen[seq] == p->version[seq]) return;
    for (uint32_t i = 0; i < p->held[seq]; i++)
        row[4 * i] = list_of(p, seq)[i] * KV_PAGE;
    s->seen[seq] = p->version[seq];
}

static void copy_page(struct kv_store *s, struct gpu_buf *b, const struct kv_copy *c)
{
    uint64_t elements = (uint64_t)KV_PAGE * s->part_heads * s->kv_dim;
    uint64_t page = plain_bytes(s->type, elements), scales = scale_bytes(s->type, elements);
    for (uint32_t v = 0; v < 2; v++) {
        uint64_t base = v * plain_bytes(s->type, s->v_base);
        gpu_copy(s->gpu, &s->cmd, b, base + c->src * page, b, base + c->dst * page, page);
        if (!scales) continue;
        base = plain_bytes(s->type, 2ull * s->v_base) + v * scale_bytes(s->type, s->v_base);
        gpu_copy(s->gpu, &s->cmd, b, base + c->src * scales, b, base + c->dst * scales, scales);
    }
}

bool kv_store_copy(struct kv_store *s, const struct kv_copy *copies, size_t n, struct err *e)
{
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any |= copies[i].dst != KV_NONE;
    if (!any) return true;
    if (!gpu_begin(s->gpu, &s->cmd, e)) return false;
    gpu_barrier(s->gpu, &s->cmd);
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; copies[i].dst != KV_NONE && b < (size_t)s->n_layers * s->n_parts; b++)
            copy_page(s, &s->bufs[b], &copies[i]);
    gpu_barrier(s->gpu, &s->cmd);
    return gpu_end(s->gpu, &s->cmd, e) && gpu_submit(s->gpu, &s->cmd, e);
}

static bool make_shift_sets(struct kv_store *s, const struct gpu_pipeline *p, struct err *e)
{
    uint32_t n = s->n_layers * s->n_parts;
    if (s->shift) return true;
    VkDescriptorSet *sets = calloc(n, sizeof *sets);
    if (!sets) return err_nomem(e, "the sets of a shift", n * sizeof *sets);
    bool ok = gpu_sets_create(s->gpu, n, &s->sets, e);
    for (uint32_t i = 0; ok && i < n; i++) {
        const struct gpu_buf *bufs[] = {&s->angles, &s->table, &s->bufs[i]};
        ok = gpu_set_make(s->gpu, &s->sets, p, bufs, &sets[i], e);
    }
    if (ok) {
        s->shift = sets;
        return true;
    }
    gpu_sets_destroy(s->gpu, &s->sets);
    free(sets);
    return false;
}

bool kv_store_shift(struct kv_store *s, struct kernels *k, const float *angles, uint32_t entry,
                    uint32_t n_pages, struct err *e)
{
    const struct gpu_pipeline *p;
    uint32_t most = s->gpu->caps.max_groups[0];
    if (!n_pages) return true;
    if (!kernels_shift(k, s->type, &p, e) || !make_shift_sets(s, p, e) ||
        !gpu_begin(s->gpu, &s->cmd, e))
        return false;
    memcpy(s->angles.map, angles, s->head_dim * sizeof *angles);
    gpu_barrier(s->gpu, &s->cmd);
    for (uint32_t at = 0; at < n_pages; at += most)
        for (uint32_t i = 0; i < s->n_layers * s->n_parts; i++) {
            struct push_shift push = {.first_entry = entry + at,
                                      .n_kv_heads = s->part_heads,
                                      .head_dim = s->head_dim,
                                      .kv_dim = s->kv_dim,
                                      .v_base = s->v_base};
            uint32_t n = (uint32_t)size_min(n_pages - at, most);
            gpu_dispatch(s->gpu, &s->cmd, p, s->shift[i], &push, (uint32_t[]){n, KV_PAGE, 1});
        }
    gpu_barrier(s->gpu, &s->cmd);
    return gpu_end(s->gpu, &s->cmd, e) && gpu_submit(s->gpu, &s->cmd, e);
}
