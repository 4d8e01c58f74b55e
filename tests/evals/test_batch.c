// Sharing the shots and running several items at once must change no answer: whole runs of the
// harness on a small seeded model, with its choices and texts compared line by line.
#include "eval_test.h"
#include "evals/dataset.h"
#include "evals/lm.h"
#include "tests/tiny_gguf.h"

#include <glob.h>
#include <math.h>

#define DATA "batch_data.tmp"
#define OUT "batch_out.tmp"

enum { QUESTIONS = 5, PROBLEMS = 9 };

static void put(const char *name, const struct text *t)
{
    struct err e = {0};
    char path[200];
    (void)snprintf(path, sizeof path, DATA "/%s", name);
    assert_false(t->failed);
    assert_ok(file_write(path, t->data, t->size, &e), e);
}

// Three subjects and sums of different lengths, in the official layout.
static void write_data(void)
{
    struct err e = {0};
    static const char *const folders[] = {DATA "/mmlu/dev", DATA "/mmlu/test", DATA "/gsm8k"};
    for (size_t i = 0; i < 3; i++)
        assert_ok(file_mkdirs(folders[i], &e), e);
    for (int s = 0; s < 3; s++)
        for (int dev = 0; dev < 2; dev++) {
            struct text t = {0};
            char name[64];
            for (int i = 0; i < 5; i++)
                text_printf(&t, "%s %d%.*s?,%d,%d,%d,%d,%c\n", dev ? "Known" : "Asked", i, 3 * i,
                            "so and so and so", s, i, 2 * i, i + s, 'A' + (i + s) % 4);
            (void)snprintf(name, sizeof name, "mmlu/%s/s%d_%s.csv", dev ? "dev" : "test", s,
                           dev ? "dev" : "test");
            put(name, &t);
            text_free(&t);
        }
    struct text t = {0};
    for (int i = 0; i < PROBLEMS; i++)
        text_printf(&t, "{\"question\": \"Add %d%.*s\", \"answer\": \"#### %d\"}\n", i, 2 * i,
                    " and again and again", i);
    put("gsm8k/test.jsonl", &t);
    put("gsm8k/train.jsonl", &t);
    text_free(&t);
}

// The answers in the log of one task, by subject and document.
struct answers {
    char *of[3 * QUESTIONS + PROBLEMS];
    size_t n;
};

static void read_log(const char *task, struct answers *out)
{
    struct err e = {0};
    char pattern[200], *data;
    size_t size;
    glob_t found;
    (void)snprintf(pattern, sizeof pattern, OUT "/samples_%s_*.jsonl", task);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    assert_ok(file_read(found.gl_pathv[0], 1 << 20, &data, &size, &e), e);
    cJSON *all = jsonl_parse(data, size, task, &e), *j;
    assert_non_null(all);
    cJSON_ArrayForEach(j, all)
    {
        const cJSON *own = cJSON_GetObjectItem(j, "lectern");
        const char *subject = cJSON_GetObjectItem(own, "subject")->valuestring;
        size_t id = (size_t)cJSON_GetObjectItem(j, "doc_id")->valueint;
        if (subject[0]) id += QUESTIONS * (size_t)(subject[1] - '0');
        assert_true(id < sizeof out->of / sizeof out->of[0]);
        free(out->of[id]); // one line per filter, with the same answer
        out->of[id] = cJSON_PrintUnformatted(cJSON_GetObjectItem(j, "resps"));
        if (id >= out->n) out->n = id + 1;
    }
    cJSON_Delete(all);
    free(data);
    globfree(&found);
}

static void forget(struct answers *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->of[i]);
    *a = (struct answers){0};
}

static void run(struct engine *g, const char *tasks, uint32_t seqs, bool no_reuse)
{
    struct err e = {0};
    struct eval_report r;
    const struct eval_params p = {.tasks = tasks,
                                  .data_dir = DATA,
                                  .out_dir = OUT,
                                  .model_path = "batch.gguf",
                                  .seqs = seqs,
                                  .no_reuse = no_reuse,
                                  .seed = EVAL_DEFAULT_SEED};
    assert_ok(file_remove_tree(OUT, &e), e);
    assert_ok(eval_run(g, &p, NULL, &r, &e), e);
    assert_true(r.complete);
}

static struct engine *open_tiny(enum quant_type type, uint32_t n_seqs)
{
    struct err e = {0};
    struct engine *g = NULL;
    const struct tiny_model m = {.seed = 7, .n_ctx = 1024, .vocab = TINY_BPE_LETTERS, .type = type};
    assert_ok(tiny_model_write(&m, "batch.gguf", &e), e);
    const struct engine_params p = {
        .model_path = "batch.gguf", .n_ctx = 1024, .n_seqs = n_seqs, .n_batch = 128};
    assert_ok(engine_open(&p, &g, &e), e);
    return g;
}

// Every way to run a task against the first.
static void same_answers(enum quant_type type, const char *task, size_t n)
{
    static const struct {
        uint32_t seqs;
        bool no_reuse;
    } ways[] = {{1, true}, {1, false}, {8, true}, {8, false}, {3, false}};
    struct err e = {0};
    struct engine *g = open_tiny(type, 9);
    struct answers want = {0}, got = {0};
    write_data();
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        run(g, task, ways[w].seqs, ways[w].no_reuse);
        read_log(task, w ? &got : &want);
        assert_int_equal(w ? got.n : want.n, n);
        for (size_t i = 0; w && i < n; i++)
            if (strcmp(got.of[i], want.of[i]) != 0)
                fail_msg("%s item %zu, %u at once%s: %.300s, alone %.300s", task, i, ways[w].seqs,
                         ways[w].no_reuse ? ", nothing shared" : "", got.of[i], want.of[i]);
        forget(&got);
    }
    forget(&want);
    engine_close(g);
    assert_ok(file_remove_tree(DATA, &e) && file_remove_tree(OUT, &e), e);
    remove("batch.gguf");
}

static void letters(void **state)
{
    (void)state;
    same_answers(QUANT_F32, "mmlu", 3 * QUESTIONS);
    same_answers(QUANT_Q4_0, "mmlu", 3 * QUESTIONS);
}

static void texts(void **state)
{
    (void)state;
    same_answers(QUANT_F32, "gsm8k", PROBLEMS);
    same_answers(QUANT_Q4_0, "gsm8k", PROBLEMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
