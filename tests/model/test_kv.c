// Pages of the cache: the bookkeeping against a plain copy of every sequence, and the engine with
// shared, copied and split caches against itself.
#include "base/cancel.h"
#include "engine/model/engine_internal.h"
#include "engine/ref/ref_model.h"
#include "tests/model/common.h"
#include "tests/tiny_gguf.h"

#include <signal.h>

static const char path[] = "kv_tiny.gguf";

// --------------------------------------------------------------------------------- bookkeeping

enum { SEQS = 5, SEQ_PAGES = 4, CTX = SEQ_PAGES * KV_PAGE, MAX_PAGES = SEQS * SEQ_PAGES };

struct world { // cells hold what was written last, wanted what each sequence ought to read
    struct kv_pages p;
    uint32_t cells[MAX_PAGES * KV_PAGE], wanted[SEQS][CTX];
    uint32_t rng, serial;
    size_t refused;
};

static uint32_t below(struct world *w, uint32_t n)
{
    w->rng = w->rng * 1664525u + 1013904223u;
    return (w->rng >> 8) % n;
}

// Every sequence reads what it wrote; a page is free or held, and counted rightly.
static void check_world(const struct world *w)
{
    const struct kv_pages *p = &w->p;
    uint32_t refs[MAX_PAGES] = {0}, used = 0;
    for (uint32_t s = 0; s < SEQS; s++) {
        assert_int_equal(p->held[s], (p->len[s] + KV_PAGE - 1) / KV_PAGE);
        for (uint32_t i = 0; i < p->len[s]; i++)
            assert_int_equal(w->cells[kv_pages_cell(p, s, i)], w->wanted[s][i]);
        for (uint32_t i = 0; i < p->held[s]; i++)
            refs[p->list[s * SEQ_PAGES + i]]++;
    }
    for (uint32_t i = 0; i < p->n_pages; i++) {
        assert_int_equal(refs[i], p->refs[i]);
        used += refs[i] > 0;
    }
    assert_int_equal(used + p->n_free, p->n_pages);
}

static void copy_cells(struct world *w, const struct kv_copy *c)
{
    if (c->dst != KV_NONE)
        memcpy(w->cells + c->dst * KV_PAGE, w->cells + c->src * KV_PAGE, KV_PAGE * 4);
}

// What engine_run does: room for several sequences, copies, writes, then all or nothing.
static void grow(struct world *w)
{
    struct kv_copy copies[SEQS];
    uint32_t seq[SEQS], n[SEQS], n_items = 0, first = below(w, SEQS), want = 1 + below(w, SEQS);
    int outcome = (int)below(w, 4); // 0: fails before the copies, 1: while writing
    bool room = true;
    for (uint32_t i = 0; i < want && room; i++) {
        uint32_t s = (first + i) % SEQS, left = CTX - w->p.len[s];
        if (!left) continue;
        struct err e = {0};
        seq[n_items] = s;
        n[n_items] = 1 + below(w, below(w, 2) ? left : left < 4 ? left : 4);
        room = kv_pages_grow(&w->p, s, n[n_items], &copies[n_items], &e);
        if (!room) assert_int_equal(e.code, ERR_MEMORY);
        n_items += room;
    }
    w->refused += !room;
    bool copied = room && outcome > 0;
    for (uint32_t i = 0; copied && i < n_items; i++)
        copy_cells(w, &copies[i]);
    for (uint32_t i = 0; copied && i < n_items; i++)
        for (uint32_t k = 0; k < n[i]; k++) {
            uint32_t at = w->p.len[seq[i]] + k;
            w->cells[kv_pages_cell(&w->p, seq[i], at)] = ++w->serial;
            if (outcome > 1) w->wanted[seq[i]][at] = w->serial;
        }
    if (copied && outcome > 1)
        for (uint32_t i = 0; i < n_items; i++)
            kv_pages_keep(&w->p, seq[i], n[i]);
    else
        while (n_items--)
            kv_pages_cancel(&w->p, seq[n_items], &copies[n_items], copied);
}

static void shift(struct world *w, uint32_t seq)
{
    struct kv_copy copies[SEQ_PAGES];
    uint32_t pages = w->p.len[seq] / KV_PAGE, first = below(w, pages + 1);
    uint32_t n = below(w, pages - first + 1), from = (first + n) * KV_PAGE;
    uint32_t len = w->p.len[seq];
    size_t n_copies;
    struct err e = {0};
    if (!kv_pages_cut(&w->p, seq, first, n, copies, &n_copies, &e)) {
        assert_int_equal(e.code, ERR_MEMORY);
        w->refused++;
        return;
    }
    for (size_t i = 0; i < n_copies; i++)
        copy_cells(w, &copies[i]);
    assert_int_equal(w->p.len[seq], len - n * KV_PAGE);
    memmove(w->wanted[seq] + first * KV_PAGE, w->wanted[seq] + from, (len - from) * 4);
    for (uint32_t i = first * KV_PAGE; i < w->p.len[seq]; i++) // as a rotation in place would
        w->cells[kv_pages_cell(&w->p, seq, i)] = w->wanted[seq][i] = ++w->serial;
}

static void step(struct world *w)
{
    uint32_t a = below(w, SEQS), b = below(w, SEQS), n;
    switch (below(w, 6)) {
    case 0:
        n = below(w, w->p.len[a] + 1);
        kv_pages_truncate(&w->p, a, n);
        break;
    case 1: shift(w, a); break;
    case 2:
        if (a == b) break;
        n = below(w, w->p.len[b] + 1);
        kv_pages_share(&w->p, a, b, n);
        memcpy(w->wanted[a], w->wanted[b], n * 4);
        break;
    default: grow(w);
    }
}

static size_t many_steps(uint32_t n_pages, uint32_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    struct err e;
    assert_non_null(w);
    w->rng = seed;
    if (!kv_pages_create(SEQS, SEQ_PAGES, n_pages, &w->p, &e)) fail_msg("%s", e.msg);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t version = w->p.version[0], list[SEQ_PAGES];
        memcpy(list, w->p.list, sizeof list);
        step(w);
        check_world(w);
        if (w->p.version[0] == version) // unchanged, as a page table may rely on
            assert_memory_equal(list, w->p.list, w->p.held[0] * 4);
    }
    size_t refused = w->refused;
    kv_pages_destroy(&w->p);
    free(w);
    return refused;
}

static void test_pages(void **state)
{
    (void)state;
    assert_int_equal(many_steps(MAX_PAGES, 1), 0); // room for all sequences: never refused
    assert_true(many_steps(MAX_PAGES / 2, 2) > 100);
}

// A shared page is copied once by who writes into it, a whole one never.
static void test_copy_on_write(void **state)
{
    (void)state;
    struct kv_pages p;
    struct kv_copy c;
    struct err e = {0};
    assert_true(kv_pages_create(2, 2, 3, &p, &e));
    assert_true(kv_pages_grow(&p, 0, 40, &c, &e) && c.dst == KV_NONE);
    kv_pages_keep(&p, 0, 40);
    kv_pages_share(&p, 1, 0, 32);
    assert_int_equal(p.n_free, 1);
    assert_true(kv_pages_grow(&p, 1, 1, &c, &e)); // behind whole pages: nothing to copy
    assert_true(c.dst == KV_NONE && p.n_free == 0);
    kv_pages_cancel(&p, 1, &c, false);
    kv_pages_share(&p, 1, 0, 33);
    assert_int_equal(p.n_free, 1);
    assert_true(kv_pages_grow(&p, 1, 1, &c, &e));
    assert_true(c.src == p.list[1] && c.dst == p.list[3] && c.dst != c.src);
    kv_pages_keep(&p, 1, 1);
    assert_true(kv_pages_grow(&p, 0, 1, &c, &e) && c.dst == KV_NONE); // alone on it again
    kv_pages_keep(&p, 0, 1);
    kv_pages_truncate(&p, 1, 32);
    kv_pages_share(&p, 1, 0, 40);
    kv_pages_truncate(&p, 0, 32);
    assert_true(kv_pages_grow(&p, 0, 32, &c, &e)); // truncated to whole pages: a fresh one
    assert_true(c.dst == KV_NONE);
    kv_pages_keep(&p, 0, 32);
    kv_pages_truncate(&p, 0, 0);
    kv_pages_share(&p, 0, 1, 40);
    assert_true(kv_pages_grow(&p, 0, 1, &c, &e));
    kv_pages_keep(&p, 0, 1);
    kv_pages_share(&p, 1, 0, 39);
    p.n_free = 0; // as if others held it
    assert_false(kv_pages_grow(&p, 1, 1, &c, &e));
    assert_true(e.code == ERR_MEMORY && strstr(e.msg, "free pages"));
    assert_int_equal(p.len[1], 39);
    kv_pages_destroy(&p);
}

// ----------------------------------------------------------------------------------- the engine

enum { N = 90 };

static void make_ids(int32_t *ids, size_t n, uint32_t n_vocab, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = (int32_t)((seed >> 9) % n_vocab);
    }
}

static void run(struct engine *g, uint32_t seq, const int32_t *ids, size_t n, float *logits)
{
    struct err e;
    struct engine_item item = {seq, ids, n, LOGITS_ALL};
    if (!engine_run(g, &item, 1, logits, &e)) fail_msg("%s", e.msg);
}

static void same(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a))
            fail_msg("%s: %zu of %zu is %.9g, not %.9g", what, i, n, (double)a[i], (double)b[i]);
}

struct setup {
    struct engine *g;
    uint32_t v;
    int32_t ids[N], other[N];
    float *want, *got;
};

static void set_up(struct setup *s, const struct tiny_model *m, enum engine_kv kv)
{
    struct err e;
    if (!tiny_model_write(m, path, &e)) fail_msg("%s", e.msg);
    s->g = open_model((struct engine_params){.model_path = path, .n_seqs = 3, .kv = kv});
    s->v = engine_info(s->g)->n_vocab;
    make_ids(s->ids, N, s->v, 3);
    make_ids(s->other, N, s->v, 4);
    s->want = logits_for(s->g, N);
    s->got = logits_for(s->g, N);
}

static void tear_down(struct setup *s)
{
    engine_close(s->g);
    free(s->want);
    free(s->got);
}

// Sequence 1 shares a prefix of sequence 0; both go on differently, in both orders. The same
// passes in sequences of their own give the same bits.
static void shared_prefix(struct setup *s, uint32_t prefix, bool owner_first)
{
    struct err e;
    uint32_t n = N - prefix;
    float *own = logits_for(s->g, N);
    for (uint32_t q = 0; q < 3; q++)
        assert_true(engine_seq_truncate(s->g, q, 0, &e));
    run(s->g, 2, s->other, N, s->got); // so that fresh pages hold something
    assert_true(engine_seq_truncate(s->g, 2, 0, &e));
    run(s->g, 2, s->ids, prefix, s->got);
    run(s->g, 2, s->ids + prefix, n, s->want);
    assert_true(engine_seq_truncate(s->g, 2, 0, &e));
    run(s->g, 2, s->ids, prefix, s->got);
    run(s->g, 2, s->other, n, own);
    run(s->g, 0, s->ids, prefix, s->got);
    uint32_t n_free = s->g->pages.n_free;
    assert_true(engine_seq_copy(s->g, 1, 0, prefix, &e));
    assert_int_equal(s->g->pages.n_free, n_free); // nothing is copied
    for (uint32_t i = 0; i < 2; i++) {
        bool owner = (i == 0) == owner_first;
        run(s->g, owner ? 0 : 1, (owner ? s->other : s->ids + prefix), n, s->got);
        same(s->got, owner ? own : s->want, n * s->v, owner ? "the owner" : "who shares");
    }
    free(own);
}

static void test_sharing(void **state)
{
    (void)state;
    static const uint32_t prefixes[] = {31, 32, 33, 64, 70};
    for (uint32_t kv = 0; kv < ENGINE_N_KV; kv++) {
        struct setup s;
        set_up(&s, &(struct tiny_model){.seed = 31, .n_kv_heads = 2}, (enum engine_kv)kv);
        for (size_t i = 0; i < 2 * sizeof prefixes / sizeof prefixes[0]; i++)
            shared_prefix(&s, prefixes[i / 2], i % 2);
        tear_down(&s);
    }
}

// A run that fails behind the making of room: lengths, pages and what follows are as before.
static void test_failed_run(void **state)
{
    (void)state;
    struct setup s;
    struct err e = {0};
    set_up(&s, &(struct tiny_model){.seed = 31, .n_kv_heads = 2}, ENGINE_KV_F16);
    const struct kv_pages *p = &s.g->pages;
    run(s.g, 2, s.ids, 40, s.got);
    run(s.g, 2, s.ids + 40, N - 40, s.want);
    run(s.g, 0, s.ids, 40, s.got);
    assert_true(engine_seq_copy(s.g, 1, 0, 40, &e));
    struct engine_item items[] = {{1, s.ids + 40, N - 40, LOGITS_NONE},
                                  {0, s.other, 20, LOGITS_NONE}};
    cancel_install();
    raise(SIGINT);
    assert_false(engine_run(s.g, items, 2, NULL, &e));
    assert_int_equal(e.code, ERR_CANCELLED);
    cancel_clear();
    assert_true(engine_seq_len(s.g, 0) == 40 && engine_seq_len(s.g, 1) == 40);
    assert_true(p->held[0] == 2 && p->held[1] == 2);
    run(s.g, 0, s.other, 20, s.got); // must not be seen by sequence 1
    run(s.g, 1, s.ids + 40, N - 40, s.got);
    same(s.got, s.want, (N - 40) * s.v, "after a failed run");
    for (uint32_t q = 0; q < 3; q++)
        assert_true(engine_seq_truncate(s.g, q, 0, &e));
    assert_int_equal(p->n_free, p->n_pages);
    tear_down(&s);
}

// A prompt, a step behind a copied page, and one behind a shift: logits of 72 rows. limit: bytes a
// kernel may see.
static float *parts_run(uint64_t limit, uint32_t n_parts)
{
    struct engine_params p = {.model_path = path, .n_ctx = 1024, .n_seqs = 2, .validate = true};
    const struct gpu_limits limits = {.max_buffer_range = limit};
    struct engine *g;
    struct err e = {0};
    int32_t ids[N];
    bool ok = engine_open_limited(&p, &limits, &g, &e);
    p.validate = false;
    if (!ok && !engine_open_limited(&p, &limits, &g, &e)) {
        if (e.code != ERR_DEVICE) fail_msg("%s", e.msg);
        print_message("skipped: %s\n", e.msg);
        skip();
    }
    assert_int_equal(g->stages[0].forward.kv.n_parts, n_parts);
    uint32_t v = engine_info(g)->n_vocab;
    float *l = logits_for(g, 72);
    make_ids(ids, N, v, 3);
    run(g, 0, ids, 70, l);
    assert_true(engine_seq_copy(g, 1, 0, 65, &e));
    run(g, 1, ids + 5, 1, l + 70 * v);
    if (!engine_seq_shift(g, 1, 0, 32, &e)) fail_msg("%s", e.msg);
    run(g, 1, ids + 6, 1, l + 71 * v);
    engine_close(g);
    return l;
}

// ------------------------------------------------------------------------------------- shift

// Behind a shift, against the pass in double that sees keys at their new positions. Keys are
// rounded twice, f16 to 2^-11 each time: the limits of test_engine.c (5e-5, 1.2e-3) times sqrt(2);
// q8_0 (2.3 %) likewise. A shift that is wrong by one position or page changes logits by their
// size.
static void shift_against_double(struct setup *s, enum engine_kv kv, double limit)
{
    enum { FIRST = 100, MORE = 25, ALL = FIRST + MORE };
    const struct ref_shift shift = {FIRST, 32, 32};
    struct gguf file;
    struct config c;
    struct err e = {0};
    int32_t ids[ALL];
    make_ids(ids, ALL, s->v, 8);
    double *want = malloc((size_t)ALL * s->v * sizeof *want), most = 0, unshifted = 0;
    float *got = logits_for(s->g, FIRST);
    assert_non_null(want);
    if (!gguf_open(path, &file, &e) || !config_read(&file, &c, &e) ||
        !ref_model_shifted(&file, &c, ids, ALL, &shift, want, &e))
        fail_msg("%s", e.msg);
    run(s->g, 0, ids, FIRST, got);
    for (size_t i = 0; i < FIRST; i++) // the reference agrees where nothing is shifted
        unshifted = fmax(unshifted, rms_rel(got + i * s->v, want + i * s->v, s->v));
    assert_true(engine_seq_copy(s->g, 1, 0, FIRST, &e));
    if (!engine_seq_shift(s->g, 0, 7, 20, &e)) fail_msg("%s", e.msg); // to pages: 32 and 32
    assert_int_equal(engine_seq_len(s->g, 0), FIRST - 32);
    run(s->g, 0, ids + FIRST, MORE, got);
    for (size_t i = 0; i < MORE; i++)
        most = fmax(most, rms_rel(got + i * s->v, want + (FIRST + i) * s->v, s->v));
    print_message("%s: rms_rel %.2e before, %.2e behind a shift (limit %.1e)\n", engine_kv_name(kv),
                  unshifted, most, limit);
    assert_true(unshifted <= limit && most <= limit);
    gguf_close(&file);
    // The other sequence, which shared every page, is what it was.
    run(s->g, 2, ids, FIRST, got);
    run(s->g, 2, ids + FIRST, MORE, s->want);
    run(s->g, 1, ids + FIRST, MORE, s->got);
    same(s->got, s->want, MORE * s->v, "who shared the pages");
    free(want);
    free(got);
}

static void test_shift(void **state)
{
    (void)state;
    static const double limits[ENGINE_N_KV] = {1.7e-3, 7e-5, 0.033, 0.52};
    const struct tiny_model models[] = {{.seed = 31, .n_kv_heads = 2},
                                        {.seed = 32, .rope_freqs = true, .head_dim = 24}};
    for (uint32_t i = 0; i < 2 * ENGINE_N_KV; i++) {
        enum engine_kv kv = (enum engine_kv)(i / 2);
        struct setup s;
        set_up(&s, &models[i % 2], kv);
        shift_against_double(&s, kv, limits[kv]);
        tear_down(&s);
    }
}

static void test_shift_errors(void **state)
{
    (void)state;
    struct setup s;
    struct err e = {0};
    set_up(&s, &(struct tiny_model){.seed = 31}, ENGINE_KV_F16);
    run(s.g, 0, s.ids, 70, s.got);
    assert_false(engine_seq_shift(s.g, 0, 32, 33, &e)); // 32 + 64 of 70
    assert_int_equal(e.code, ERR_ARG);
    assert_false(engine_seq_shift(s.g, 0, 65, 0, &e)); // 96 of 70
    assert_false(engine_seq_shift(s.g, 0, UINT32_MAX, UINT32_MAX, &e));
    assert_false(engine_seq_shift(s.g, 3, 0, 0, &e));
    assert_true(engine_seq_shift(s.g, 0, 33, 0, &e)); // nothing to do
    assert_int_equal(engine_seq_len(s.g, 0), 70);
    assert_true(engine_seq_truncate(s.g, 0, 64, &e) && engine_seq_shift(s.g, 0, 0, 64, &e));
    assert_int_equal(engine_seq_len(s.g, 0), 0);
    run(s.g, 0, s.ids, 70, s.want); // and goes on as an empty one
    same(s.got, s.want, 70 * s.v, "behind a shift of everything");
    tear_down(&s);
}

// A layer's cache in one buffer, and cut by heads where a buffer holds two thirds: the same bits.
static void test_parts(void **state)
{
    (void)state;
    static const struct {
        struct tiny_model m;
        uint32_t heads, units, n_parts;
    } c[] = {
        {{.seed = 41}, 4, 1, 2},
        {{.seed = 42, .n_heads = 6, .n_kv_heads = 2, .head_dim = 24}, 2, 1, 2},
        {{.seed = 43, .n_heads = 6, .n_kv_heads = 3, .head_dim = 72}, 3, 2, 3},
    };
    for (size_t i = 0; i < 3; i++) {
        struct err e;
        if (!tiny_model_write(&c[i].m, path, &e)) fail_msg("%s", e.msg);
        uint64_t layer = 2 * 2048ull * c[i].heads * c[i].units * 64 * 2;
        float *whole = parts_run(layer, 1), *cut = parts_run(layer * 2 / 3 - 16, c[i].n_parts);
        same(cut, whole, 72 * 320, "in parts");
        free(whole);
        free(cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),   cmocka_unit_test(test_copy_on_write),
        cmocka_unit_test(test_sharing), cmocka_unit_test(test_failed_run),
        cmocka_unit_test(test_shift),   cmocka_unit_test(test_shift_errors),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
