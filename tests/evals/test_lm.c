// The engine side, on small seeded models: letters and texts must be what a plain, whole
// computation of the same tokens gives, however the sequences were shared and batched.
#include "base/clock.h"
#include "eval_test.h"
#include "evals/lm.h"
#include "evals/pytext.h"
#include "tests/tiny_gguf.h"

#include <math.h>

static struct engine *open_tiny(const char *path, enum tiny_vocab vocab, uint32_t n_ctx,
                                uint32_t n_seqs)
{
    struct err e = {0};
    struct engine *g = NULL;
    const struct tiny_model m = {.seed = 5, .n_ctx = 4096, .vocab = vocab, .type = QUANT_F32};
    assert_ok(tiny_model_write(&m, path, &e), e);
    const struct engine_params p = {
        .model_path = path, .kv = ENGINE_KV_F32, .n_ctx = n_ctx, .n_seqs = n_seqs, .n_batch = 64};
    assert_ok(engine_open(&p, &g, &e), e);
    return g;
}

// Sum of log-probabilities of whole[from..] by one computation from an empty sequence; the input
// is cut at the left to n_ctx tokens.
static double plain_logprob(struct engine *g, const struct tokens *whole, size_t from)
{
    struct err e = {0};
    const struct engine_info *info = engine_info(g);
    size_t skip = whole->n > info->n_ctx + 1u ? whole->n - info->n_ctx - 1u : 0;
    size_t n = whole->n - 1 - skip;
    float *rows = malloc(n * info->n_vocab * sizeof *rows);
    uint32_t seq = info->n_seqs - 1; // not the one that holds the shots
    const struct engine_item it = {
        .seq = seq, .tokens = whole->ids + skip, .n = n, .want = LOGITS_ALL};
    assert_ok(engine_seq_truncate(g, seq, 0, &e), e);
    assert_ok(engine_run(g, &it, 1, rows, &e), e);
    double sum = 0;
    for (size_t k = from; k < whole->n; k++)
        sum += logits_logprob(rows + (k - skip - 1) * info->n_vocab, info->n_vocab, whole->ids[k]);
    free(rows);
    assert_ok(engine_seq_truncate(g, seq, 0, &e), e);
    return sum;
}

static void tokenize(struct engine *g, const char *text, struct tokens *out)
{
    struct err e = {0};
    assert_ok(
        vocab_tokenize(engine_vocab(g), text, strlen(text), TOK_SPECIAL | TOK_ADD_BOS, out, &e), e);
}

static const struct lm_params all_slots = {0};

static void ask(struct lm *lm, const char *context, struct eval_response *out)
{
    struct err e = {0};
    const struct lm_question q = {context, strlen(context)};
    assert_ok(lm_letters(lm, &q, 1, out, &e), e);
}

static void check_letters(struct engine *g, struct lm *lm, const char *context)
{
    struct eval_response r = {0};
    double want[EVAL_LETTERS];
    struct tokens ctx = {0};
    tokenize(g, context, &ctx);
    for (int i = 0; i < EVAL_LETTERS; i++) {
        char text[4096];
        struct tokens whole = {0};
        (void)snprintf(text, sizeof text, "%s %c", context, 'A' + i);
        tokenize(g, text, &whole);
        want[i] = plain_logprob(g, &whole, ctx.n);
        tokens_free(&whole);
    }
    tokens_free(&ctx);
    ask(lm, context, &r);
    // Both add the same float32 products, in chunks that may differ: 1e-4 is far above rounding
    // of logits of the order of one, and far below what a wrong token or position changes.
    for (int i = 0; i < EVAL_LETTERS; i++)
        if (!(fabs(r.logprob[i] - want[i]) < 1e-4))
            fail_msg("letter %c: %.6f, not %.6f", 'A' + i, r.logprob[i], want[i]);
}

static void letters(enum tiny_vocab vocab, uint32_t n_seqs)
{
    struct err e = {0};
    struct engine *g = open_tiny("lm_letters.gguf", vocab, 96, n_seqs);
    struct lm lm;
    const char *shots = "Questions about trees.\n\nOne?\nA. a\nB. b\nAnswer: A\n\n";
    const char *prompts[] = {
        "Questions about trees.\n\nOne?\nA. a\nB. b\nAnswer: A\n\nTwo?\nAnswer:",
        "Questions about trees.\n\nOne?\nA. a\nB. b\nAnswer: A\n\nAnswer:",
        "Something else.\nAnswer:"};
    assert_ok(lm_open(&lm, g, &all_slots, &e), e);
    for (size_t i = 0; i < 3; i++) // nothing shared
        check_letters(g, &lm, prompts[i]);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(lm_set_prefix(&lm, shots, strlen(shots), &e), e);
        check_letters(g, &lm, prompts[i]);
        struct eval_response first, again;
        assert_ok(lm_set_prefix(&lm, shots, strlen(shots), &e), e);
        ask(&lm, prompts[i], &first);
        ask(&lm, prompts[(i + 1) % 3], &again);
        ask(&lm, prompts[i], &again);
        // whatever ran in between: the same bits
        assert_memory_equal(first.logprob, again.logprob, sizeof first.logprob);
    }
    char longer[600] = ""; // far over n_ctx: cut at the left
    for (int i = 0; i < 40; i++)
        strcat(longer, "xyz 1+2; ");
    strcat(longer, "\nAnswer:");
    assert_ok(lm_set_prefix(&lm, "", 0, &e), e);
    check_letters(g, &lm, longer);
    lm_close(&lm);
    engine_close(g);
    remove("lm_letters.gguf");
}

static void letters_shared(void **state)
{
    (void)state;
    letters(TINY_BPE_LETTERS, 3);
    letters(TINY_BPE, 3); // letters of several tokens
    letters(TINY_SPM, 3);
}

static void letters_one_sequence(void **state)
{
    (void)state;
    letters(TINY_BPE, 1);
}

// Shots that several questions share go through the model once; and each time where that is not
// wanted, with the same bits.
static void shots_once(void **state)
{
    (void)state;
    struct err e = {0};
    struct engine *g = open_tiny("lm_once.gguf", TINY_BPE_LETTERS, 96, 5);
    static const char shots[] = "Shots that all have.\n\n";
    char text[4][64];
    struct lm_question q[4];
    struct eval_response r[2][4] = {0};
    struct tokens t = {0};
    uint64_t whole = 0, rests;
    for (int i = 0; i < 4; i++) {
        (void)snprintf(text[i], sizeof text[i], "%sThe %.*s: Answer:", shots, 2 * i, "abcdefgh");
        q[i] = (struct lm_question){text[i], strlen(text[i])};
        t.n = 0;
        tokenize(g, text[i], &t);
        whole += t.n;
    }
    t.n = 0;
    tokenize(g, shots, &t);
    rests = whole - 4 * t.n; // the shots end in line breaks, so that their tokens stay apart
    for (int reuse = 0; reuse < 2; reuse++) {
        struct lm lm;
        const struct lm_params how = {.no_reuse = !reuse};
        assert_ok(lm_open(&lm, g, &how, &e), e);
        assert_int_equal(lm.n_slots, 4);
        assert_ok(lm_set_prefix(&lm, shots, strlen(shots), &e), e);
        assert_ok(lm_letters(&lm, q, 4, r[reuse], &e), e);
        assert_int_equal(lm.n_computed, reuse ? rests + t.n : whole);
        lm_close(&lm);
    }
    for (int i = 0; i < 4; i++)
        assert_memory_equal(r[0][i].logprob, r[1][i].logprob, sizeof r[0][i].logprob);
    assert_memory_not_equal(r[0][0].logprob, r[0][1].logprob, sizeof r[0][0].logprob);
    tokens_free(&t);
    engine_close(g);
    remove("lm_once.gguf");
}

static void slots_wanted(void **state)
{
    (void)state;
    struct err e = {0};
    struct engine *g = open_tiny("lm_slots.gguf", TINY_BPE, 64, 4);
    static const uint32_t want[] = {0, 1, 2, 3, 16}, have[] = {3, 1, 2, 3, 3};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct lm_params how = {.n_slots = want[i]};
        struct lm lm;
        assert_ok(lm_open(&lm, g, &how, &e), e);
        assert_int_equal(lm.n_slots, have[i]);
        lm_close(&lm);
    }
    engine_close(g);
    remove("lm_slots.gguf");
}

static const struct eval_task short_task = {
    .name = "test", .max_gen_toks = 24, .until = {"\n", "z", NULL}};

// Greedy text of one prompt, token by token in sequence 0 of an engine that does nothing else.
static void plain_text(struct engine *g, const char *prompt, char *out, size_t size)
{
    struct err e = {0};
    const struct vocab *v = engine_vocab(g);
    uint32_t n_vocab = engine_info(g)->n_vocab;
    float *row = malloc(n_vocab * sizeof *row);
    struct tokens t = {0};
    tokenize(g, prompt, &t);
    assert_ok(engine_seq_truncate(g, 0, 0, &e), e);
    out[0] = '\0';
    for (int k = 0; k < 24; k++) {
        const struct engine_item it = {.tokens = t.ids, .n = t.n, .want = LOGITS_LAST};
        assert_ok(engine_run(g, &it, 1, row, &e), e);
        uint32_t best = 0;
        for (uint32_t i = 1; i < n_vocab; i++)
            if (row[i] > row[best]) best = i;
        if (vocab_is_eog(v, (int32_t)best)) break;
        size_t n;
        const char *piece = vocab_piece(v, (int32_t)best, false, &n);
        assert_true(strlen(out) + n + 1 < size);
        strncat(out, piece, n);
        t.n = 0;
        assert_ok(tokens_push(&t, (int32_t)best, &e), e);
    }
    out[strcspn(out, "\nz")] = '\0';
    tokens_free(&t);
    free(row);
}

static void texts(void **state)
{
    (void)state;
    struct err e = {0};
    enum { N = 7 };
    char want[N][400], prompt[N][64];
    bool seen[N] = {false};
    struct engine *g = open_tiny("lm_texts.gguf", TINY_BPE, 128, 4);
    struct lm lm;
    for (int i = 0; i < N; i++) {
        (void)snprintf(prompt[i], sizeof prompt[i], "Shots of all. Item %d %.*s:", i, i, "abcdefg");
        plain_text(g, prompt[i], want[i], sizeof want[i]);
    }
    assert_ok(lm_open(&lm, g, &all_slots, &e), e);
    assert_int_equal(lm.n_slots, 3);
    assert_ok(lm_set_prefix(&lm, "Shots of all. ", 14, &e), e);
    for (uint32_t next = 0; next < N || lm_busy(&lm);) {
        for (uint32_t i = 0; i < lm.n_slots && next < N; i++)
            if (!lm.slots[i].active) {
                assert_ok(lm_start(&lm, &lm.slots[i], next, &short_task, prompt[next],
                                   strlen(prompt[next]), &e),
                          e);
                next++;
            }
        assert_ok(lm_step(&lm, &e), e);
        for (uint32_t i = 0; i < lm.n_slots; i++) {
            struct lm_slot *s = &lm.slots[i];
            if (!s->finished) continue;
            struct text clean = {0}; // random models say bytes that are no text
            const char *got = s->text.data ? s->text.data : "";
            pytext_utf8(&clean, want[s->item], strlen(want[s->item]));
            assert_string_equal(got, clean.data ? clean.data : "");
            seen[s->item] = true;
            text_free(&clean);
            lm_release(s);
        }
    }
    for (int i = 0; i < N; i++)
        assert_true(seen[i]);
    lm_close(&lm);
    engine_close(g);
    remove("lm_texts.gguf");
}

static void too_small(void **state)
{
    (void)state;
    struct err e = {0};
    struct engine *g = open_tiny("lm_small.gguf", TINY_BPE, 64, 2);
    const struct eval_task all = {.name = "test", .max_gen_toks = engine_info(g)->n_ctx};
    struct lm lm;
    assert_ok(lm_open(&lm, g, &all_slots, &e), e);
    assert_false(lm_start(&lm, &lm.slots[0], 0, &all, "x", 1, &e));
    assert_non_null(strstr(e.msg, "--ctx"));
    lm_close(&lm);
    engine_close(g);
    remove("lm_small.gguf");
}

// eval_run from the engine to the table: a whole run, and one in two parts that ends alike.
static void whole_run(void **state)
{
    (void)state;
    struct err e = {0};
    const char *model = "lm_run.gguf";
    struct engine *g = open_tiny(model, TINY_BPE, 320, 3);
    struct eval_report r;
    struct eval_params p = {.tasks = "gsm8k",
                            .out_dir = "lm_run.tmp",
                            .model_path = model,
                            .limit = 2,
                            .seed = EVAL_DEFAULT_SEED};
    assert_ok(file_remove_tree(p.out_dir, &e), e);
    assert_ok(eval_run(g, &p, NULL, &r, &e), e);
    assert_true(r.complete && r.n == 2);
    assert_int_equal(r.scores[0].n, 2);
    assert_int_equal(r.scores[0].n_total, 40);
    assert_true(file_exists(r.results_path));
    p.resume = true; // nothing is left: the engine is not asked
    double start = clock_s();
    assert_ok(eval_run(g, &p, NULL, &r, &e), e);
    assert_true(r.complete && clock_s() - start < 1);
    p = (struct eval_params){.tasks = "mmlu",
                             .out_dir = "lm_run.tmp",
                             .model_path = model,
                             .minutes = 0.02,
                             .seed = EVAL_DEFAULT_SEED};
    assert_ok(eval_run(g, &p, NULL, &r, &e), e); // a time limit: at least three items
    assert_true(r.complete && r.scores[0].n >= 3 && r.scores[0].n <= 114);
    assert_false(r.scores[0].comparable);
    engine_close(g);
    assert_ok(file_remove_tree("lm_run.tmp", &e), e);
    remove(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_shared), cmocka_unit_test(letters_one_sequence),
        cmocka_unit_test(shots_once),     cmocka_unit_test(slots_wanted),
        cmocka_unit_test(texts),          cmocka_unit_test(too_small),
        cmocka_unit_test(whole_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
