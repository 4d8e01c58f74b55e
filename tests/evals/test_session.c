// A run without its model: subsets, logs, results.json, going on after a kill. The answers come
// from a function of the item alone, so that any two runs must end alike.
#include "base/json.h"
#include "eval_test.h"
#include "evals/extract.h"
#include "evals/dataset.h"
#include "evals/select.h"
#include "evals/session.h"
#include "tests/tiny_split.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS "mmlu,gsm8k"

static const char model_file[] = "session_model.tmp";

// No weights, but a file to know again.
static void write_model(const char *name)
{
    struct err e = {0};
    struct tiny t;
    tiny_begin(&t, 3);
    tiny_str(&t, "general.name", name);
    assert_ok(tiny_write(&t, model_file, &e), e);
    tiny_free(&t);
}

static struct eval_params params(const char *out)
{
    write_model("test");
    return (struct eval_params){.tasks = TASKS,
                                .out_dir = out,
                                .model_path = model_file,
                                .limit = 1,
                                .seed = EVAL_DEFAULT_SEED,
                                .kv = "f16"};
}

static struct eval_model model(void)
{
    struct eval_model m = {.n_params = 7, .n_ctx = 2048};
    (void)strcpy(m.name, "test");
    (void)strcpy(m.path, model_file);
    return m;
}

// An answer that only the item decides: right for about half of them, and for the first of gsm8k,
// so that losing one of its lines changes the score.
static void answer(const struct task_run *t, uint32_t item, struct eval_response *r, char *text,
                   size_t size)
{
    const struct eval_item *it = &t->set.items[item];
    *r = (struct eval_response){.text = text};
    for (int i = 0; i < EVAL_LETTERS; i++)
        r->logprob[i] = -1.0 - it->doc_sha256[i] / 100.0;
    const char *number = strstr(it->target, "#### ");
    if (number && (it->doc_id == 0 || it->doc_sha256[9] % 2))
        (void)snprintf(text, size, "so %s", number);
    else
        (void)snprintf(text, size, "The answer is %d.", it->doc_sha256[10]);
}

static bool put(struct session *s, struct task_run *t, uint32_t item, struct err *e)
{
    char text[200];
    struct eval_response r;
    answer(t, item, &r, text, sizeof text);
    t->seconds += 0.25;
    return session_put(s, t, item, &r, 0.25, e);
}

// Puts answers until `stop` items are done; true when none is left.
static bool work(struct session *s, size_t stop)
{
    struct err e = {0};
    size_t done = 0;
    for (size_t i = 0; i < s->run.n_tasks; i++) {
        struct task_run *t = &s->run.tasks[i];
        uint32_t item;
        for (size_t at = 0; session_next(t, t->order, t->n_chosen, &at, &item);) {
            if (done++ == stop) return false;
            assert_ok(put(s, t, item, &e), e);
        }
    }
    return true;
}

static void run_whole(const struct eval_params *p)
{
    struct session s;
    struct err e = {0};
    struct eval_model m = model();
    assert_ok(session_open(&s, p, &m, &e), e);
    assert_true(work(&s, SIZE_MAX));
    assert_ok(session_save(&s, &e), e);
    assert_true(s.run.complete);
    session_close(&s);
}

// results.json without what is different in every run: times and names made of them.
static char *essence(const char *dir)
{
    struct err e = {0};
    char path[300];
    (void)snprintf(path, sizeof path, "%s/results.json", dir);
    cJSON *j = json_load(path, &e);
    if (!j) fail_msg("%s", e.msg);
    assert_ok(json_version(j, 1, path, &e), e);
    cJSON_DeleteItemFromObject(j, "date");
    cJSON_DeleteItemFromObject(j, "total_evaluation_time_seconds");
    cJSON *it;
    cJSON_ArrayForEach(it, cJSON_GetObjectItem(j, "scores"))
        cJSON_DeleteItemFromObject(it, "seconds");
    cJSON_ArrayForEach(it, cJSON_GetObjectItem(cJSON_GetObjectItem(j, "run"), "progress"))
    {
        cJSON_DeleteItemFromObject(it, "seconds");
        cJSON_DeleteItemFromObject(it, "samples");
    }
    char *text = cJSON_Print(j);
    cJSON_Delete(j);
    return text;
}

static void forget(const char *dir)
{
    struct err e = {0};
    assert_ok(file_remove_tree(dir, &e), e);
}

// A child that is really killed after n items; then the log loses `cut` bytes at its end.
static void run_killed(const struct eval_params *p, size_t n, off_t cut)
{
    char log[400];
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (!pid) {
        struct session s;
        struct err e = {0};
        struct eval_model m = model();
        if (!session_open(&s, p, &m, &e)) _exit(1);
        (void)work(&s, n);
        struct task_run *t = &s.run.tasks[s.run.tasks[1].n_done ? 1 : 0];
        if (write(fds[1], t->samples, sizeof t->samples) < 0) _exit(1);
        raise(SIGKILL);
    }
    char name[sizeof((struct task_run *)0)->samples];
    int status;
    assert_int_equal(read(fds[0], name, sizeof name), sizeof name);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(fds[0]);
    close(fds[1]);
    (void)snprintf(log, sizeof log, "%s/%s", p->out_dir, name);
    FILE *f = fopen(log, "r+b");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    assert_int_equal(ftruncate(fileno(f), ftello(f) - cut), 0);
    fclose(f);
}

static void resume_after_kill(void **state)
{
    (void)state;
    struct eval_params whole = params("session_whole.tmp"), p = params("session_killed.tmp");
    forget(whole.out_dir);
    run_whole(&whole);
    char *want = essence(whole.out_dir);
    assert_non_null(strstr(want, "\"complete\":\ttrue"));
    // nothing done, in MMLU, in gsm8k; a whole last line, a cut one, half of an item's two lines
    static const struct {
        size_t n;
        off_t cut;
    } cases[] = {{0, 0}, {1, 0}, {30, 0}, {30, 1}, {30, 500}, {58, 1}, {58, 700}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        forget(p.out_dir);
        p.resume = false;
        run_killed(&p, cases[i].n, cases[i].cut);
        p.resume = true;
        run_whole(&p);
        char *got = essence(p.out_dir);
        assert_string_equal(got, want);
        free(got);
        run_whole(&p); // nothing left to do: nothing changes
        got = essence(p.out_dir);
        assert_string_equal(got, want);
        free(got);
    }
    free(want);
    forget(p.out_dir);
    forget(whole.out_dir);
}

static void resume_refuses(void **state)
{
    (void)state;
    struct eval_params p = params("session_refuse.tmp");
    struct eval_model m = model();
    struct session s;
    struct err e = {0};
    forget(p.out_dir);
    run_killed(&p, 5, 0);
    p.resume = true;
    p.limit = 2;
    assert_false(session_open(&s, &p, &m, &e));
    assert_non_null(strstr(e.msg, "another limit"));
    session_close(&s);
    p.limit = 1;
    p.tasks = "gsm8k,mmlu";
    assert_false(session_open(&s, &p, &m, &e));
    assert_non_null(strstr(e.msg, "list of tasks"));
    session_close(&s);
    p.tasks = TASKS;
    write_model("tset");
    assert_false(session_open(&s, &p, &m, &e));
    assert_non_null(strstr(e.msg, "another model"));
    session_close(&s);
    p = params("session_refuse.tmp"); // a new run keeps the old results under another name
    run_whole(&p);
    assert_int_equal(system("test $(ls session_refuse.tmp/results*.json | wc -l) = 2"), 0);
    forget(p.out_dir);
}

// A split model is known by all its parts, from the path of any.
static void split_model(void **state)
{
    (void)state;
    struct eval_params p = params("session_split.tmp");
    struct tiny_model tiny = {.seed = 3}, other = {.seed = 4};
    struct session s;
    struct err e = {0};
    struct eval_model m = model();
    char part[3][64], old[64], hash[SHA256_HEX_SIZE];
    forget(p.out_dir);
    for (uint32_t i = 0; i < 3; i++)
        tiny_split_path("session_split", i, 3, part[i], sizeof part[i]);
    assert_ok(tiny_model_write(&tiny, model_file, &e), e);
    assert_ok(tiny_split(model_file, "session_split", 3, false, &e), e);
    (void)strcpy(m.path, part[0]);
    assert_ok(session_open(&s, &p, &m, &e), e);
    (void)strcpy(hash, s.run.model.fingerprint);
    session_close(&s);
    p.resume = true;
    assert_ok(session_open(&s, &p, &m, &e), e);
    session_close(&s);
    (void)strcpy(m.path, part[2]);
    assert_ok(session_open(&s, &p, &m, &e), e);
    assert_string_equal(s.run.model.fingerprint, hash);
    session_close(&s);
    assert_ok(tiny_model_write(&other, model_file, &e), e);
    assert_ok(tiny_split(model_file, "session_other", 3, false, &e), e);
    tiny_split_path("session_other", 1, 3, old, sizeof old);
    assert_int_equal(rename(old, part[1]), 0); // the second part alone, of the same size
    (void)strcpy(m.path, part[0]);
    assert_false(session_open(&s, &p, &m, &e));
    assert_non_null(strstr(e.msg, "another model"));
    session_close(&s);
    assert_int_equal(remove(part[1]), 0);
    assert_false(session_open(&s, &p, &m, &e));
    session_close(&s);
    for (uint32_t i = 0; i < 3; i++) {
        (void)remove(part[i]);
        tiny_split_path("session_other", i, 3, old, sizeof old);
        (void)remove(old);
    }
    forget(p.out_dir);
}

// A disk that is full: the put fails with a sentence, results.json stays whole, the run goes on
// later. The limit on file sizes plays the full disk, in a child.
static void disk_full(void **state)
{
    (void)state;
    struct eval_params p = params("session_full.tmp"), q = params("session_whole.tmp");
    forget(p.out_dir);
    pid_t pid = fork();
    if (!pid) {
        struct session s;
        struct err e = {0};
        struct eval_model m = model();
        signal(SIGXFSZ, SIG_IGN);
        if (!session_open(&s, &p, &m, &e)) _exit(1);
        const struct rlimit small = {60000, 60000};
        if (setrlimit(RLIMIT_FSIZE, &small)) _exit(2);
        struct task_run *t = &s.run.tasks[0];
        uint32_t item;
        bool ok = true;
        for (size_t at = 0; ok && session_next(t, t->order, t->n_chosen, &at, &item);)
            ok = put(&s, t, item, &e);
        _exit(ok || e.code != ERR_IO ? 3 : 42);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 42);
    free(essence(p.out_dir)); // is JSON
    p.resume = true;
    run_whole(&p);
    run_whole(&q);
    char *got = essence(p.out_dir), *want = essence(q.out_dir);
    assert_string_equal(got, want);
    free(got);
    free(want);
    forget(p.out_dir);
    forget(q.out_dir);
}

// Lines as lm-eval writes them.
static void sample_lines(void **state)
{
    (void)state;
    struct eval_params p = params("session_lines.tmp");
    struct session s;
    struct err e = {0};
    struct eval_model m = model();
    forget(p.out_dir);
    assert_ok(session_open(&s, &p, &m, &e), e);
    assert_ok(put(&s, &s.run.tasks[0], 0, &e) && put(&s, &s.run.tasks[1], 0, &e), e);
    for (size_t k = 0; k < 2; k++) {
        char path[400], *data;
        size_t size;
        const struct task_run *t = &s.run.tasks[k];
        (void)snprintf(path, sizeof path, "%s/%s", p.out_dir, t->samples);
        assert_ok(file_read(path, 1 << 20, &data, &size, &e), e);
        cJSON *all = jsonl_parse(data, size, path, &e), *j = cJSON_GetArrayItem(all, 0);
        assert_int_equal(cJSON_GetArraySize(all), k ? 2 : 1); // one line per filter
        static const char *const keys[] = {
            "doc_id", "doc",     "target",   "arguments",   "resps",       "filtered_resps",
            "filter", "metrics", "doc_hash", "prompt_hash", "target_hash", "lectern"};
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            if (!cJSON_GetObjectItem(j, keys[i])) fail_msg("no member %s", keys[i]);
        const cJSON *args = cJSON_GetObjectItem(j, "arguments");
        assert_int_equal(cJSON_GetArraySize(args), k ? 1 : 4);
        const cJSON *first = cJSON_GetObjectItem(args, "gen_args_0");
        assert_true(cJSON_IsString(cJSON_GetObjectItem(first, "arg_0")));
        if (k) {
            const cJSON *until = cJSON_GetObjectItem(cJSON_GetObjectItem(first, "arg_1"), "until");
            assert_string_equal(cJSON_GetArrayItem(until, 0)->valuestring, "Question:");
            assert_non_null(cJSON_GetObjectItem(j, "exact_match"));
        } else {
            assert_string_equal(cJSON_GetObjectItem(first, "arg_1")->valuestring, " A");
            const cJSON *pair = cJSON_GetArrayItem(cJSON_GetObjectItem(j, "filtered_resps"), 0);
            assert_true(cJSON_IsString(cJSON_GetArrayItem(pair, 0))); // numbers are strings
            assert_string_equal(cJSON_GetArrayItem(pair, 1)->valuestring, "False");
            assert_non_null(cJSON_GetObjectItem(j, "acc"));
        }
        cJSON_Delete(all);
        free(data);
    }
    session_close(&s);
    forget(p.out_dir);
}

// Equal items in two logs end in the same judgement, and failures[] holds at most three a task.
static void results_members(void **state)
{
    (void)state;
    struct eval_params p = params("session_members.tmp");
    struct err e = {0};
    forget(p.out_dir);
    run_whole(&p);
    cJSON *j = json_load("session_members.tmp/results.json", &e), *it;
    assert_non_null(j);
    const cJSON *scores = cJSON_GetObjectItem(j, "scores");
    assert_int_equal(cJSON_GetArraySize(scores), 3); // mmlu, gsm8k by two filters
    const cJSON *mmlu = cJSON_GetArrayItem(scores, 0);
    assert_int_equal(cJSON_GetObjectItem(mmlu, "n")->valueint, 57);
    assert_int_equal(cJSON_GetObjectItem(mmlu, "n_total")->valueint, 114);
    assert_string_equal(json_string_or(mmlu, "set", ""), "bundled");
    assert_string_equal(json_string_or(mmlu, "subset", ""), "first 1 of each subject");
    assert_false(json_bool_or(mmlu, "comparable", true));
    int n = 0, correct = 0, per_task[2] = {0};
    cJSON_ArrayForEach(it, cJSON_GetObjectItem(mmlu, "groups"))
    {
        n += cJSON_GetObjectItem(it, "n")->valueint;
        correct += cJSON_GetObjectItem(it, "correct")->valueint;
    }
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(mmlu, "groups")), 4);
    assert_int_equal(n, 57);
    assert_int_equal(correct, cJSON_GetObjectItem(mmlu, "correct")->valueint);
    cJSON_ArrayForEach(it, cJSON_GetObjectItem(j, "failures"))
        per_task[!strcmp(json_string_or(it, "task", ""), "gsm8k")]++;
    assert_true(per_task[0] == 3 && per_task[1] <= 3);
    const cJSON *results = cJSON_GetObjectItem(j, "results");
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(results, "mmlu"), "acc,none"));
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(results, "mmlu_stem"), "acc,none"));
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(results, "gsm8k"),
                                        "exact_match_stderr,flexible-extract"));
    cJSON_Delete(j);
    forget(p.out_dir);
}

static void stratified(void **state)
{
    (void)state;
    struct eval_set s;
    struct err e = {0};
    assert_ok(eval_set_load(eval_task_find("mmlu", 4), NULL, 0, &s, &e), e);
    uint32_t *order = malloc(s.n * sizeof *order), *limited = malloc(s.n * sizeof *limited);
    assert_ok(select_ranked(&s, order, &e), e);
    char *seen = calloc(s.n, 1);
    for (size_t i = 0; i < s.n; i++)
        seen[order[i]]++;
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(seen[i], 1);
    // two items a subject: the first 57 of the list are one of each, the one with the smaller hash
    for (size_t i = 0; i < s.n; i += 2) {
        uint32_t small = strcmp(s.items[i].doc_sha256, s.items[i + 1].doc_sha256) < 0 ? 0 : 1,
                 at = 0;
        while (order[at] != i + small)
            at++;
        assert_true(at < 57);
    }
    assert_int_equal(select_limit(&s, 1, limited), 57);
    assert_int_equal(select_limit(&s, 0, limited), 114);
    // a budget that holds the calibration and one subject more, with its shots
    size_t fit, one = select_bytes(&s, &s.items[order[3]], true);
    assert_ok(select_fit(&s, order, s.n, 3, (double)one, 1.0, &fit, &e), e);
    assert_int_equal(fit, 4);
    assert_ok(select_fit(&s, order, s.n, 3, (double)one, 0.99, &fit, &e), e);
    assert_int_equal(fit, 3);
    assert_ok(select_fit(&s, order, s.n, 3, 1e12, 1.0, &fit, &e), e);
    assert_int_equal(fit, 114);
    free(seen);
    free(order);
    free(limited);
    eval_set_free(&s);
}

// Subjects of 100 and 300 items: each first part gives 1 to 3.
static void proportional(void **state)
{
    (void)state;
    struct eval_set s = {0};
    struct err e = {0};
    assert_ok(eval_set_subject(&s, "a", &e) && eval_set_subject(&s, "b", &e), e);
    for (uint32_t i = 0; i < 400; i++) {
        struct eval_item it = {.subject = s.subjects[i >= 100],
                               .doc_id = i,
                               .text = strdup("x"),
                               .target = strdup("y"),
                               .doc = cJSON_CreateObject()};
        cJSON_AddNumberToObject(it.doc, "n", i);
        assert_ok(eval_set_item(&s, &it, &e), e);
    }
    uint32_t order[400];
    assert_ok(select_ranked(&s, order, &e), e);
    int a = 0;
    for (int n = 1; n <= 400; n++) {
        a += order[n - 1] < 100;
        if (a * 4 > n + 4 || a * 4 < n - 4) fail_msg("%d of the first %d", a, n);
    }
    eval_set_free(&s);
}

// So many items of each task: the first of the ranked list, the same ones whenever it is asked.
static void counted(void **state)
{
    (void)state;
    struct eval_params p = params("session_items.tmp");
    struct session s;
    struct err e = {0};
    struct eval_model m = model();
    uint32_t order[2000];
    forget(p.out_dir);
    p.limit = 0;
    p.items = "gsm8k=6,mmlu=57";
    assert_ok(session_open(&s, &p, &m, &e), e);
    const struct task_run *t = s.run.tasks;
    assert_true(t[0].chosen && t[0].n_chosen == 57 && t[1].chosen && t[1].n_chosen == 6);
    assert_ok(select_ranked(&t[1].set, order, &e), e);
    assert_memory_equal(t[1].order, order, 6 * sizeof *order);
    char words[200];
    assert_true(work(&s, SIZE_MAX));
    run_subset_words(&s.run, &t[0], words, sizeof words);
    assert_string_equal(words, "57 of 114, in each subject its share, by sha256 of the item");
    size_t in_subject[64] = {0};
    for (size_t i = 0; i < t[0].set.n; i++)
        in_subject[t[0].set.items[i].prefix] += t[0].results[i].done;
    for (size_t i = 0; i < 57; i++)
        assert_int_equal(in_subject[i], 1);
    session_close(&s);
    p.resume = true;
    p.items = "gsm8k=6,mmlu=58";
    assert_false(session_open(&s, &p, &m, &e));
    assert_non_null(strstr(e.msg, "another choice of items"));
    session_close(&s);
    p.limit = 1;
    assert_false(session_open(&s, &p, &m, &e));
    assert_non_null(strstr(e.msg, "exclude each other"));
    session_close(&s);
    forget(p.out_dir);
}

static void item_lists(void **state)
{
    (void)state;
    struct err e = {0};
    const struct eval_task *list[EVAL_MAX_TASKS];
    uint32_t c[EVAL_MAX_TASKS];
    size_t n;
    assert_ok(eval_parse_tasks("mmlu,gsm8k,humaneval", list, &n, &e), e);
    assert_ok(eval_parse_items("humaneval=3,mmlu=9999999", list, n, c, &e), e);
    assert_true(c[0] == 9999999 && c[1] == 0 && c[2] == 3);
    assert_ok(eval_parse_items("7", list, n, c, &e), e);
    assert_true(c[0] == 7 && c[1] == 7 && c[2] == 7);
    static const char *const wrong[] = {"",
                                        ",",
                                        "0",
                                        "mmlu",
                                        "mmlu=",
                                        "mmlu=0",
                                        "mmlu=x",
                                        "mmlu=-1",
                                        "mmlu=1,",
                                        "mmlu=1.5",
                                        "7,mmlu=1",
                                        "mmlu=1,7",
                                        "mmlu=1,mmlu=2",
                                        "gsm8k_cot=1",
                                        "=3",
                                        "mmlu=10000000",
                                        "7x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (eval_parse_items(wrong[i], list, n, c, &e)) fail_msg("'%s' was taken", wrong[i]);
        assert_non_null(strstr(e.msg, "--items"));
    }
}

static void stops(void **state)
{
    (void)state;
    static const char *const until[] = {"\ndef", "\n#", NULL};
    assert_int_equal(extract_cut("a\n#b\ndef c", 10, until), 1); // the earliest, not the first
    assert_int_equal(extract_cut("a\nde", 4, until), 4);
    assert_int_equal(extract_cut("", 0, until), 0);
    assert_int_equal(extract_cut("\ndef", 4, until), 0);
}

static void table(void **state)
{
    (void)state;
    struct eval_params p = params("session_table.tmp");
    struct session s;
    struct err e = {0};
    struct eval_model m = model();
    struct eval_report r;
    char *text;
    forget(p.out_dir);
    p.tasks = "mmlu,gsm8k,gsm8k_cot";
    assert_ok(session_open(&s, &p, &m, &e), e);
    (void)work(&s, SIZE_MAX);
    session_report(&s, &r);
    assert_int_equal(r.n, 5);
    assert_ok(eval_report_text(&r, &text, &e), e);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > 80) fail_msg("over 80 columns: %s", line);
    assert_non_null(strstr(text, "95 % interval"));
    assert_non_null(strstr(text, "mmlu, gsm8k, gsm8k_cot: own items"));
    assert_non_null(strstr(text, "not comparable"));
    free(text);
    session_close(&s);
    forget(p.out_dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume_after_kill),
        cmocka_unit_test(resume_refuses),
        cmocka_unit_test(split_model),
        cmocka_unit_test(disk_full),
        cmocka_unit_test(sample_lines),
        cmocka_unit_test(results_members),
        cmocka_unit_test(stratified),
        cmocka_unit_test(proportional),
        cmocka_unit_test(counted),
        cmocka_unit_test(item_lists),
        cmocka_unit_test(stops),
        cmocka_unit_test(table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
