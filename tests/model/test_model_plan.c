// What engine_plan says of a shape is what an engine of that shape asks for, to the byte.
#include "engine/model/engine_internal.h"
#include "tests/model/common.h"
#include "tests/tiny_gguf.h"

static const char path[] = "model_plan.gguf";

struct want {
    struct tiny_model m;
    struct engine_params p;
    const char *types[ENGINE_PLAN_TYPES];
};

static struct engine_plan plan_of(const struct engine *g, const struct want *w)
{
    const struct engine_info *i = engine_info(g);
    struct engine_plan p = {.n_layers = i->n_layers,
                            .n_embd = i->n_embd,
                            .n_heads = i->n_heads,
                            .n_kv_heads = i->n_kv_heads,
                            .head_dim = i->head_dim,
                            .n_ff = i->n_ff,
                            .n_vocab = i->n_vocab,
                            .n_ctx = w->p.n_ctx ? w->p.n_ctx : i->n_ctx,
                            .n_seqs = w->p.n_seqs,
                            .n_batch = w->p.n_batch,
                            .kv = w->p.kv};
    memcpy(p.types, w->types, sizeof p.types);
    assert_true(engine_plan(engine_device(g), &p));
    return p;
}

// Sizes as they were asked for; the driver's rounding of each buffer is in `allocated`, not in
// them.
static void asked_for(const struct engine *g, uint64_t *kv, uint64_t *scratch, uint64_t *rounding)
{
    const struct forward *f = &g->stages[0].forward;
    *kv = f->kv.table.size + f->kv.angles.size + f->kv.all.size;
    *scratch = 0;
    for (size_t i = 0; !f->kv.all.size && i < (size_t)f->kv.n_layers * f->kv.n_parts; i++)
        *kv += f->kv.bufs[i].size;
    for (size_t i = 0; i < N_SCRATCH; i++)
        *scratch += f->scratch[i].size;
    *rounding = f->kv_bytes + f->scratch_bytes - *kv - *scratch;
}

static void check(struct want w)
{
    struct err e;
    uint64_t kv, scratch, rounding;
    if (!tiny_model_write(&w.m, path, &e)) fail_msg("%s", e.msg);
    w.p.model_path = path;
    struct engine *g = open_model(w.p);
    const struct engine_info *i = engine_info(g);
    struct engine_plan p = plan_of(g, &w);
    asked_for(g, &kv, &scratch, &rounding);
    assert_int_equal(p.kv_bytes, kv);
    assert_int_equal(p.scratch_bytes, scratch);
    assert_int_equal(i->kv_bytes + i->scratch_bytes, p.kv_bytes + p.scratch_bytes + rounding);
    memset(w.types, 0, sizeof w.types);
    assert_true(plan_of(g, &w).scratch_bytes >= scratch); // with every form of activations
    engine_close(g);
    remove(path);
}

static void test_shapes(void **state)
{
    (void)state;
    check((struct want){.m = {.seed = 1, .n_embd = 256, .n_ff = 512, .type = QUANT_Q4_0},
                        .p = {.n_seqs = 2, .n_batch = 64},
                        .types = {"Q4_0"}});
    check((struct want){.m = {.seed = 1, .type = QUANT_Q8_0, .tied_output = true},
                        .types = {"Q8_0"}}); // batch and sequences by default
    check((struct want){.m = {.seed = 1,
                              .n_heads = 8,
                              .n_kv_heads = 2,
                              .head_dim = 40,
                              .n_ff = 100,
                              .n_embd = 72,
                              .n_vocab = 333,
                              .n_layers = 5},
                        .p = {.n_seqs = 3, .n_batch = 1, .n_ctx = 50}, // fewer than rows of logits
                        .types = {"F32"}});
    check((struct want){
        .m =
            {.seed = 1, .n_embd = 96, .n_heads = 3, .n_kv_heads = 1, .n_ff = 33, .type = QUANT_F16},
        .p = {.n_batch = 13}, // not whole tiles of tokens
        .types = {"F16"}});
    check((struct want){.m = {.seed = 1, .n_embd = 64, .n_ff = 100, .type = QUANT_Q4_0},
                        .p = {.n_batch = 8000},
                        .types = {"Q4_0", "F16"}}); // rows of 100 are not whole blocks
}

static void test_cache(void **state)
{
    (void)state;
    static const uint64_t bits_x2[ENGINE_N_KV] = {
        [ENGINE_KV_F16] = 32, [ENGINE_KV_F32] = 64, [ENGINE_KV_Q8_0] = 17, [ENGINE_KV_Q4_0] = 9};
    for (uint32_t kv = 0; kv < ENGINE_N_KV; kv++) {
        struct engine_params params = {.n_seqs = 2, .n_ctx = 96, .kv = (enum engine_kv)kv};
        check((struct want){.m = {.seed = 1, .n_layers = 3}, .p = params, .types = {"F32"}});
        // By hand: 3 layers, K and V of 4 heads padded to 64, every position of both sequences; the
        // tables of pages and of a shift.
        struct engine_device d = {.max_buffer_range = 1 << 27, .max_texel_elements = 1 << 27};
        struct engine_plan p = {.n_layers = 3,
                                .n_embd = 64,
                                .n_heads = 4,
                                .n_kv_heads = 4,
                                .head_dim = 16,
                                .n_ff = 96,
                                .n_vocab = 320,
                                .n_ctx = 96,
                                .n_seqs = 2,
                                .kv = (enum engine_kv)kv};
        assert_true(engine_plan(&d, &p));
        uint64_t elements = 3ull * 2 * 2 * 96 * 4 * 64;
        assert_int_equal(p.kv_bytes, elements * bits_x2[kv] / 16 + 2 * 96 / 32 * 16 + 4 * 16);
        d.max_buffer_range = 2 * 2 * 96 * 64 * bits_x2[kv] / 16; // a head a buffer is just seen
        assert_true(engine_plan(&d, &p));
        p.n_ctx += 32;
        assert_false(engine_plan(&d, &p));
        assert_int_equal(p.kv_bytes, 0);
    }
}

// Where the host cannot write device memory, the residual stream comes through a buffer more, and
// 16 rows of logits, or the largest of each 4,096 of a row, go through others.
static void test_own_memory(void **state)
{
    (void)state;
    struct engine_device d = {.max_buffer_range = 1 << 27, .max_texel_elements = 1 << 27};
    struct engine_plan own = {.n_layers = 3,
                              .n_embd = 64,
                              .n_heads = 4,
                              .n_kv_heads = 4,
                              .head_dim = 16,
                              .n_ff = 96,
                              .n_vocab = 320,
                              .n_batch = 100};
    struct engine_plan shared = own;
    assert_true(engine_plan(&d, &own));
    d.unified = true;
    assert_true(engine_plan(&d, &shared));
    assert_int_equal(own.scratch_bytes - shared.scratch_bytes,
                     104 * 64 * 4 + 16 * 320 * 4 + 16 * 8); // whole tiles of tokens
}

static void test_matrix(void **state)
{
    (void)state;
    assert_int_equal(engine_matrix_bytes("Q4_0", 32, 32), 32 * 32 * 5 / 8); // 5 bits a weight
    assert_int_equal(engine_matrix_bytes("Q4_0", 32, 64), 32 * 64 * 9 / 16); // 4.5 in units of 64
    assert_int_equal(engine_matrix_bytes("F16", 33, 32), 2 * 32 * 32 * 2);  // whole tiles
    assert_int_equal(engine_matrix_bytes("Q9_9", 32, 32), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_own_memory),
        cmocka_unit_test(test_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
