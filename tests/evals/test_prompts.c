// Prompts and documents against the hashes of lm-evaluation-harness, byte for byte; and what the
// bundled sets render to.
#include "base/json.h"
#include "eval_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void load(const char *task, const char *dir, struct eval_set *s)
{
    struct err e = {0};
    const struct eval_task *t = eval_task_find(task, strlen(task));
    assert_non_null(t);
    assert_ok(eval_set_load(t, dir, EVAL_DEFAULT_SEED, s, &e), e);
}

static void prompt_hash(const struct eval_set *s, const struct eval_item *it, char *hex,
                        size_t *size)
{
    struct err e = {0};
    char *p = eval_prompt(s, it, size, &e);
    assert_non_null(p);
    assert_ok(sha256_hex(p, *size, hex, &e), e);
    free(p);
}

static const struct eval_item *find(const struct eval_set *s, const char *subject, unsigned id)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].doc_id == id && !strcmp(s->items[i].subject, subject)) return &s->items[i];
    fail_msg("no item %s %u", subject, id);
    return NULL;
}

// The lines of a TSV file that are not comments.
static char *tsv_next(char **at)
{
    while (*at && **at) {
        char *line = *at, *nl = strchr(line, '\n');
        if (nl) *nl = '\0';
        *at = nl ? nl + 1 : NULL;
        if (*line && *line != '#') return line;
    }
    return NULL;
}

static char *tsv_read(const char *path)
{
    struct err e = {0};
    char *data;
    size_t size;
    assert_ok(file_read(path, 1 << 24, &data, &size, &e), e);
    return data;
}

static void mmlu_hashes(void **state)
{
    (void)state;
    need(OFFICIAL "/mmlu");
    struct eval_set s;
    load("mmlu", OFFICIAL, &s);
    assert_int_equal(s.n, 14042);
    assert_int_equal(s.n_subjects, 57);
    assert_int_equal(s.origin, EVAL_OFFICIAL);
    char *data = tsv_read(LM_EVAL "/mmlu_5shot_prompt_sha256.tsv"), *at = data;
    size_t n = 0;
    for (char *line; (line = tsv_next(&at)); n++) {
        char subject[64], want[65], hex[SHA256_HEX_SIZE];
        unsigned id, answer, chars;
        size_t bytes, size;
        assert_int_equal(
            sscanf(line, "%63s %u %u %64s %u %zu", subject, &id, &answer, want, &chars, &bytes), 6);
        const struct eval_item *it = find(&s, subject, id);
        prompt_hash(&s, it, hex, &size);
        assert_string_equal(hex, want);
        assert_int_equal(size, bytes);
        assert_int_equal(it->answer, answer);
    }
    assert_int_equal(n, 1430);
    free(data);
    eval_set_free(&s);
}

static void gsm8k_hashes(void **state)
{
    (void)state;
    need(OFFICIAL "/gsm8k/test.jsonl");
    struct eval_set s;
    load("gsm8k", OFFICIAL, &s);
    assert_int_equal(s.n, 1319);
    assert_int_equal(s.origin, EVAL_OFFICIAL);
    char *data = tsv_read(LM_EVAL "/gsm8k_5shot_prompt_sha256.tsv"), *at = data;
    size_t n = 0;
    for (char *line; (line = tsv_next(&at)); n++) {
        char want[65], doc[65], hex[SHA256_HEX_SIZE];
        unsigned id;
        size_t bytes, size;
        assert_int_equal(sscanf(line, "%u %64s %64s %zu", &id, want, doc, &bytes), 4);
        const struct eval_item *it = find(&s, "", id);
        prompt_hash(&s, it, hex, &size);
        assert_string_equal(hex, want);
        assert_int_equal(size, bytes);
        assert_string_equal(it->doc_sha256, doc);
    }
    assert_int_equal(n, 100);
    free(data);
    eval_set_free(&s);
}

static void humaneval_hashes(void **state)
{
    (void)state;
    need(OFFICIAL "/humaneval");
    struct eval_set s;
    struct err e = {0};
    load("humaneval", OFFICIAL, &s);
    assert_int_equal(s.n, 164);
    assert_int_equal(s.origin, EVAL_OFFICIAL);
    char *data = tsv_read(LM_EVAL "/humaneval_prompt_sha256.tsv"), *at = data;
    size_t n = 0;
    for (char *line; (line = tsv_next(&at)); n++) {
        char want[65], doc[65], target[65], hex[SHA256_HEX_SIZE];
        size_t size;
        assert_int_equal(sscanf(line, "%*s %*s %64s %64s %64s", want, doc, target), 3);
        prompt_hash(&s, &s.items[n], hex, &size);
        assert_string_equal(hex, want);
        assert_string_equal(s.items[n].doc_sha256, doc);
        assert_ok(sha256_hex(s.items[n].target, strlen(s.items[n].target), hex, &e), e);
        assert_string_equal(hex, target);
    }
    assert_int_equal(n, 164);
    free(data);
    eval_set_free(&s);
}

// The eight published exemplars, read from where they lie beside the official data.
static void gsm8k_cot_published(void **state)
{
    (void)state;
    need(LM_EVAL "/gsm8k_cot_shots.json");
    struct eval_set s;
    load("gsm8k_cot", OFFICIAL, &s);
    assert_int_equal(s.n, 1319);
    assert_int_equal(s.origin, EVAL_OFFICIAL);
    assert_false(s.own_shots);
    assert_string_equal(s.items[0].target, "18"); // Janet's ducks
    assert_memory_equal(s.prefixes[0].text, "Q: There are 15 trees in the grove.", 35);
    eval_set_free(&s);
}

static void bundled_gsm8k(void **state)
{
    (void)state;
    struct eval_set s;
    load("gsm8k", NULL, &s);
    assert_true(s.n >= 1 && s.origin == EVAL_BUNDLED);
    struct err e = {0};
    size_t size;
    char *p = eval_prompt(&s, &s.items[0], &size, &e);
    assert_non_null(p);
    size_t questions = 0;
    for (const char *q = p; (q = strstr(q, "Question: ")); q++)
        questions++;
    assert_int_equal(questions, 6); // five shots and the item
    assert_string_equal(p + size - strlen("\nAnswer:"), "\nAnswer:");
    free(p);
    eval_set_free(&s);
    load("gsm8k_cot", NULL, &s);
    assert_true(s.own_shots && s.n_prefixes == 1 && s.prefixes[0].shared);
    assert_null(strstr(s.items[0].target, "####"));
    eval_set_free(&s);
}

static void bundled_humaneval(void **state)
{
    (void)state;
    struct eval_set s;
    load("humaneval", NULL, &s);
    assert_true(s.n >= 1 && s.origin == EVAL_BUNDLED);
    for (size_t i = 0; i < s.n; i++) {
        size_t n = strlen(s.items[i].text);
        assert_true(n && s.items[i].text[n - 1] == '\n');
        assert_non_null(strstr(s.items[i].target, "\ncheck("));
    }
    eval_set_free(&s);
}

static void bundled_mmlu(void **state)
{
    (void)state;
    struct eval_set s;
    load("mmlu", NULL, &s);
    assert_int_equal(s.n_subjects, 57);
    assert_int_equal(s.n, 114);
    assert_int_equal(s.origin, EVAL_BUNDLED);
    const char *head = "The following are multiple choice questions (with answers) about "
                       "abstract algebra.\n\n";
    assert_memory_equal(s.prefixes[0].text, head, strlen(head));
    eval_set_free(&s);
}

// A small set of our own, so that the rules are held without ../shared.
static void custom_set(void **state)
{
    (void)state;
    struct err e = {0};
    const char *dir = "prompts_test.tmp";
    assert_ok(file_remove_tree(dir, &e) && file_mkdirs("prompts_test.tmp/mmlu/dev", &e) &&
                  file_mkdirs("prompts_test.tmp/mmlu/test", &e),
              e);
    const char *dev = "q1,a,b,c,d,A\nq2,a,b,c,d,B\nq3,a,b,c,d,C\nq4,a,b,c,d,D\n"
                      "\"q\n5\", a,b ,\"c,\"\"c\"\"\",d,A\nnot used,a,b,c,d,A\n";
    const char *test = "\"  What?\xc2\x85\",w, x ,y,z,D\n"; // U+0085 is white space to Python
    assert_ok(file_write("prompts_test.tmp/mmlu/dev/two_words_dev.csv", dev, strlen(dev), &e), e);
    assert_ok(file_write("prompts_test.tmp/mmlu/test/two_words_test.csv", test, strlen(test), &e),
              e);
    struct eval_set s;
    load("mmlu", dir, &s);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.origin, EVAL_CUSTOM);
    size_t size;
    char *p = eval_prompt(&s, &s.items[0], &size, &e);
#define SHOT(q, letter) q "\nA. a\nB. b\nC. c\nD. d\nAnswer: " letter "\n\n"
    assert_string_equal(p, "The following are multiple choice questions (with answers) about two "
                           "words.\n\n" SHOT("q1", "A") SHOT("q2", "B") SHOT("q3", "C")
                               SHOT("q4", "D") "q\n5\nA.  a\nB. b \nC. c,\"c\"\nD. d\nAnswer: A\n\n"
                                               "What?\nA. w\nB.  x \nC. y\nD. z\nAnswer:");
#undef SHOT
    assert_string_equal(s.items[0].target, "3");
    free(p);
    eval_set_free(&s);
    const char *bad = "q,a,b,c,d,E\n";
    assert_ok(file_write("prompts_test.tmp/mmlu/test/two_words_test.csv", bad, strlen(bad), &e), e);
    assert_false(eval_set_load(eval_task_find("mmlu", 4), dir, 0, &s, &e));
    assert_non_null(strstr(e.msg, "row 1 must have"));
    assert_ok(file_remove_tree(dir, &e), e);
}

static void prompts_file(void **state)
{
    (void)state;
    struct err e = {0};
    const char *path = "prompts_test.jsonl";
    assert_ok(eval_write_prompts("gsm8k,humaneval", NULL, EVAL_DEFAULT_SEED, 2, path, &e), e);
    char *data, *line;
    size_t size, n = 0;
    assert_ok(file_read(path, 1 << 24, &data, &size, &e), e);
    for (char *at = data; (line = tsv_next(&at)); n++) {
        cJSON *j = json_parse(line, strlen(line), path, &e);
        const char *prompt, *sha, *task, *subject, *target;
        int64_t id;
        char hex[SHA256_HEX_SIZE];
        assert_ok(j && json_string(j, "prompt", &prompt, path, &e) &&
                      json_string(j, "sha256", &sha, path, &e) &&
                      json_string(j, "task", &task, path, &e) &&
                      json_string(j, "subject", &subject, path, &e) &&
                      json_string(j, "target", &target, path, &e) &&
                      json_int(j, "doc_id", &id, path, &e) &&
                      sha256_hex(prompt, strlen(prompt), hex, &e),
                  e);
        assert_string_equal(hex, sha);
        assert_string_equal(task, n < 2 ? "gsm8k" : "humaneval");
        assert_int_equal(id, n % 2);
        cJSON_Delete(j);
    }
    assert_int_equal(n, 4);
    free(data);
    assert_false(eval_write_prompts("gsm8k,nothing", NULL, 0, 0, path, &e));
    assert_non_null(strstr(e.msg, "nothing"));
    assert_false(eval_write_prompts("gsm8k,gsm8k", NULL, 0, 0, path, &e));
    assert_false(eval_write_prompts("gsm8k", "no such folder", 0, 0, path, &e));
    assert_non_null(strstr(e.msg, "--data"));
    remove(path);
}

// A pipe is written to, never replaced by a file.
static void prompts_pipe(void **state)
{
    (void)state;
    struct err e = {0};
    const char *path = "prompts_test.fifo";
    struct stat st;
    char first = 0;
    remove(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_ok(eval_write_prompts("humaneval", NULL, EVAL_DEFAULT_SEED, 1, path, &e), e);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(read(fd, &first, 1), 1);
    assert_int_equal(first, '{');
    close(fd);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mmlu_hashes),      cmocka_unit_test(gsm8k_hashes),
        cmocka_unit_test(humaneval_hashes), cmocka_unit_test(gsm8k_cot_published),
        cmocka_unit_test(bundled_gsm8k),    cmocka_unit_test(bundled_humaneval),
        cmocka_unit_test(bundled_mmlu),     cmocka_unit_test(custom_set),
        cmocka_unit_test(prompts_file),     cmocka_unit_test(prompts_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
