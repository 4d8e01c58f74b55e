// Plans: every profile is sound, differences are where they must be, prompt, hostile inputs, files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "make.h"

#include <sys/stat.h>
#include <unistd.h>

static struct made must(const struct learner *l, const char *hardware, const char *results)
{
    struct made m = make_plan(l, hardware, results);
    if (!m.ok) fail_msg("%s", m.e.msg);
    return m;
}

// plan_make lints; every level, goal and state of the inputs must come through.
static void test_every_profile(void **state)
{
    (void)state;
    static const char *const hw[3] = {NULL, HARDWARE_CPU, HARDWARE_GPU};
    static const char *const results[3] = {NULL, RESULTS_LOW, RESULTS_HIGH};
    for (int level = 0; level < N_LEVELS; level++)
        for (int goal = 0; goal < N_GOALS; goal++)
            for (int i = 0; i < 9; i++) {
                struct learner l = make_learner((enum learner_level)level, (enum learner_goal)goal,
                                                1.0 + i, 2 + 3 * i);
                struct made m = must(&l, hw[i % 3], results[i / 3]);
                made_free(&m);
            }
}

static void test_every_length(void **state)
{
    (void)state;
    static const double hours[] = {1, 1.25, 1.75, 2.5, 7, 13.25, 40};
    static const int weeks[] = {1, 2, 3, 13, 52};
    for (size_t h = 0; h < sizeof hours / sizeof hours[0]; h++)
        for (size_t w = 0; w < sizeof weeks / sizeof weeks[0]; w++) {
            struct learner l = make_learner(LEVEL_INTERMEDIATE, GOAL_FINETUNE, hours[h], weeks[w]);
            strcpy(l.start_date, "2027-12-27");
            struct made m = must(&l, HARDWARE_GPU, RESULTS_LOW);
            made_free(&m);
        }
}

static char *bytes(const struct made *m)
{
    return cJSON_Print(m->plan);
}

static void test_same_inputs_same_bytes(void **state)
{
    (void)state;
    struct learner l = make_learner(LEVEL_ADVANCED, GOAL_AGENT, 3, 5);
    struct made a = must(&l, HARDWARE_CPU, RESULTS_LOW), b = must(&l, HARDWARE_CPU, RESULTS_LOW);
    char *x = bytes(&a), *y = bytes(&b);
    assert_string_equal(x, y);
    assert_int_equal(a.prompt.size, b.prompt.size);
    assert_memory_equal(a.prompt.data, b.prompt.data, a.prompt.size);
    cJSON_free(x);
    cJSON_free(y);
    made_free(&a);
    made_free(&b);
}

static const cJSON *get(const struct made *m, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(m->plan, key);
}

static bool same(const cJSON *a, const cJSON *b)
{
    assert_non_null(a);
    assert_non_null(b);
    return cJSON_Compare(a, b, true);
}

static bool same_part(const struct made *a, const struct made *b, const char *key)
{
    return same(get(a, key), get(b, key));
}

static bool same_in(const struct made *a, const struct made *b, int section, const char *key)
{
    return same(made_section(a, section, key), made_section(b, section, key));
}

// Column i of the matrix: the level changes what is explained in every section and nothing that
// was measured.
static void test_level_changes(void **state)
{
    (void)state;
    for (int from = 0; from < 2; from++) {
        struct learner l = make_learner((enum learner_level)from, GOAL_RAG, 5, 8), k = l;
        k.level = (enum learner_level)(from + 1);
        struct made a = must(&l, HARDWARE_CPU, RESULTS_LOW),
                    b = must(&k, HARDWARE_CPU, RESULTS_LOW);
        for (int s = 1; s <= 9; s++)
            assert_false(same_in(&a, &b, s, "points"));
        int moved = 0; // some sections have the same best sources for two levels
        for (int s = 1; s <= 8; s++)
            moved += !same_in(&a, &b, s, "resources");
        assert_true(moved >= 3);
        assert_true(same_part(&a, &b, "machine"));
        assert_true(same_part(&a, &b, "evidence"));
        assert_true(same_part(&a, &b, "time"));
        made_free(&a);
        made_free(&b);
    }
}

// Column ii: the goal changes every reason, the lab or notes of its own sections, the pick.
static void test_goal_changes(void **state)
{
    (void)state;
    struct learner l = make_learner(LEVEL_BEGINNER, GOAL_CHAT, 5, 8), k = l;
    k.goal = GOAL_FINETUNE;
    struct made a = must(&l, HARDWARE_GPU, RESULTS_LOW), b = must(&k, HARDWARE_GPU, RESULTS_LOW);
    for (int s = 1; s <= 9; s++)
        assert_false(same_in(&a, &b, s, "why"));
    assert_string_equal(made_section(&a, 8, "band")->valuestring, "overview");
    assert_string_equal(made_section(&b, 8, "band")->valuestring, "full");
    assert_true(made_section(&b, 8, "minutes")->valuedouble >
                3 * made_section(&a, 8, "minutes")->valuedouble);
    assert_false(same(cJSON_GetObjectItem(get(&a, "machine"), "pick"),
                      cJSON_GetObjectItem(get(&b, "machine"), "pick")));
    assert_true(same_part(&a, &b, "evidence"));
    for (int s = 2; s <= 5; s++)
        assert_true(same_in(&a, &b, s, "points"));
    made_free(&a);
    made_free(&b);
    k.goal = GOAL_CODING;
    a = must(&l, HARDWARE_GPU, RESULTS_LOW);
    b = must(&k, HARDWARE_GPU, RESULTS_LOW);
    assert_false(same_in(&a, &b, 2, "lab"));
    assert_false(same_part(&a, &b, "first_step"));
    assert_true(same(cJSON_GetObjectItem(get(&a, "machine"), "table"),
                     cJSON_GetObjectItem(get(&b, "machine"), "table")));
    made_free(&a);
    made_free(&b);
}

// Column iii: hours change minutes and schedule; explanations stay within the same bands.
static void test_hours_change(void **state)
{
    (void)state;
    struct learner l = make_learner(LEVEL_BEGINNER, GOAL_AGENT, 4, 6), k = l;
    k.minutes_per_week = 8 * 60;
    struct made a = must(&l, HARDWARE_CPU, RESULTS_LOW), b = must(&k, HARDWARE_CPU, RESULTS_LOW);
    for (int s = 1; s <= 9; s++) {
        assert_false(same_in(&a, &b, s, "minutes"));
        assert_true(same_in(&a, &b, s, "points"));
        assert_true(same_in(&a, &b, s, "why"));
        assert_true(same_in(&a, &b, s, "checks"));
    }
    assert_false(same_part(&a, &b, "schedule"));
    assert_true(same_part(&a, &b, "machine"));
    assert_true(same_part(&a, &b, "evidence"));
    made_free(&a);
    made_free(&b);
}

// Column iv: the machine changes its own chapter and section 4, never the scores or the licences.
static void test_hardware_changes(void **state)
{
    (void)state;
    struct learner l = make_learner(LEVEL_INTERMEDIATE, GOAL_RAG, 4, 6);
    struct made a = must(&l, HARDWARE_CPU, RESULTS_LOW), b = must(&l, HARDWARE_GPU, RESULTS_LOW);
    assert_false(same_part(&a, &b, "machine"));
    assert_false(same_in(&a, &b, 4, "points"));
    assert_false(same_in(&a, &b, 4, "example"));
    assert_false(same_in(&a, &b, 7, "example"));
    assert_true(same_part(&a, &b, "evidence"));
    for (int s = 1; s <= 3; s++)
        assert_true(same_in(&a, &b, s, "points"));
    assert_true(same_in(&a, &b, 2, "example"));
    made_free(&a);
    made_free(&b);
}

// Column v: the scores change the evidence, section 2 and the exercises of section 6.
static void test_results_change(void **state)
{
    (void)state;
    struct learner l = make_learner(LEVEL_BEGINNER, GOAL_EVALUATE, 4, 6);
    struct made a = must(&l, HARDWARE_CPU, RESULTS_LOW), b = must(&l, HARDWARE_CPU, RESULTS_HIGH);
    assert_false(same_part(&a, &b, "evidence"));
    assert_false(same_in(&a, &b, 2, "points"));
    assert_false(same_in(&a, &b, 2, "example"));
    assert_false(same_in(&a, &b, 6, "points"));
    assert_true(same_part(&a, &b, "machine"));
    assert_true(same_in(&a, &b, 1, "points"));
    assert_true(same_in(&a, &b, 3, "points"));
    assert_true(same_in(&a, &b, 4, "points"));
    made_free(&a);
    made_free(&b);
}

static bool fired(const struct made *m, const char *id)
{
    const cJSON *r;
    cJSON_ArrayForEach(r, get(m, "rules"))
    {
        if (!strcmp(json_string_or(r, "id", ""), id)) return true;
    }
    return false;
}

static bool said(const struct made *m, const char *words)
{
    char *text = bytes(m);
    bool found = strstr(text, words) != NULL;
    cJSON_free(text);
    return found;
}

static void test_rules_fire(void **state)
{
    (void)state;
    struct learner l = make_learner(LEVEL_BEGINNER, GOAL_CHAT, 4, 6);
    struct made m = must(&l, HARDWARE_CPU, RESULTS_LOW);
    assert_true(fired(&m, "mmlu.at-chance") && fired(&m, "scores.own-sets"));
    assert_true(fired(&m, "hw.no-gpu") && fired(&m, "hw.far-from-bound"));
    assert_true(fired(&m, "finetune.overview") && !fired(&m, "scores.official"));
    assert_true(said(&m, "27.2 % of 114 items, 95 % interval 19.9 to 36.0 % (measured)"));
    assert_true(said(&m, "the model is at chance"));
    made_free(&m);
    m = must(&l, HARDWARE_GPU, RESULTS_HIGH);
    assert_true(fired(&m, "mmlu.above-chance") && fired(&m, "mmlu.groups-apart"));
    assert_true(fired(&m, "scores.official") && fired(&m, "scores.incomplete"));
    assert_false(fired(&m, "hw.no-gpu"));
    made_free(&m);
    m = must(&l, NULL, NULL);
    assert_true(fired(&m, "hw.unknown") && fired(&m, "scores.none"));
    assert_true(said(&m, "not measured"));
    assert_false(said(&m, " tok/s (measured)"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(get(&m, "machine"), "table")), 0);
    made_free(&m);
}

// Nine parts in order, with all the points that the founding prompt asks for, in its order.
static const char *const prompt_words[] = {"\n1. ",
                                           "1.1 ",
                                           "Llama 2 and Llama 3",
                                           "1.2 ",
                                           "8B, 70B",
                                           "1.3 ",
                                           "pretrained",
                                           "Instruct",
                                           "\n2. ",
                                           "2.1 ",
                                           "reasoning",
                                           "2.2 ",
                                           "limited",
                                           "2.3 ",
                                           "MMLU, GSM8K, HumanEval",
                                           "Arena",
                                           "2.4 ",
                                           "closed models",
                                           "\n3. ",
                                           "3.1 ",
                                           "Hugging Face Hub",
                                           "Meta's own site",
                                           "3.2 ",
                                           "commercial",
                                           "\n4. ",
                                           "4.1 ",
                                           "FP16, 8-bit and 4-bit",
                                           "4.2 ",
                                           "transformers",
                                           "pipeline",
                                           "4.3 ",
                                           "llama.cpp",
                                           "GGUF",
                                           "4.4 ",
                                           "Ollama",
                                           "4.5 ",
                                           "vLLM",
                                           "\n5. ",
                                           "5.1 ",
                                           "5.2 ",
                                           "GGUF, GPTQ and AWQ",
                                           "5.3 ",
                                           "without it",
                                           "\n6. ",
                                           "6.1 ",
                                           "6.2 ",
                                           "Questions",
                                           "6.3 ",
                                           "Summaries",
                                           "6.4 ",
                                           "instructions",
                                           "\n7. ",
                                           "7.1 ",
                                           "API",
                                           "7.2 LangChain",
                                           "7.3 LlamaIndex",
                                           "7.4 Semantic Kernel",
                                           "\n8. ",
                                           "optional",
                                           "8.1 ",
                                           "PEFT",
                                           "8.2 LoRA",
                                           "QLoRA",
                                           "8.3 ",
                                           "trl",
                                           "Axolotl",
                                           "\n9. ",
                                           "9.1 ",
                                           "Meta's AI blog",
                                           "9.2 ",
                                           "model cards",
                                           "9.3 ",
                                           "llama.cpp",
                                           "Ollama",
                                           "9.4 ",
                                           "Tutorials",
                                           "begins with understanding",
                                           NULL};

static void test_prompt(void **state)
{
    (void)state;
    static const char *const hw[2] = {NULL, HARDWARE_CPU};
    for (int i = 0; i < 2; i++) {
        struct learner l = make_learner(LEVEL_INTERMEDIATE, GOAL_AGENT, 2.5, 4);
        struct made m = must(&l, hw[i], i ? RESULTS_LOW : NULL);
        const char *p = m.prompt.data;
        for (int k = 0; prompt_words[k]; k++) {
            const char *found = strstr(p, prompt_words[k]);
            if (!found) fail_msg("the prompt lacks \"%s\" in its place", prompt_words[k]);
            p = found + 1;
        }
        assert_null(strstr(m.prompt.data, "\n10. "));
        assert_non_null(strstr(m.prompt.data, "2.50 hours a week for 4 weeks, 10 hours in all"));
        assert_true((strstr(m.prompt.data, "45.2 tok/s (measured)") != NULL) == (i == 1));
        assert_true((strstr(m.prompt.data, "not comparable with") != NULL) == (i == 1));
        made_free(&m);
    }
}

// The founding document is there? Then none of its prompt's longer sentences may be in ours.
static void test_prompt_is_not_the_seed(void **state)
{
    (void)state;
    struct err e = {0};
    char *seed;
    size_t size;
    struct learner l = make_learner(LEVEL_BEGINNER, GOAL_CHAT, 4, 6);
    if (!file_read(LECTERN_SOURCE_DIR "/../shared/seed/llama-family.md", 1 << 20, &seed, &size, &e))
        skip();
    struct made m = must(&l, HARDWARE_CPU, RESULTS_LOW);
    for (char *p = m.prompt.data; *p; p++) // one long line: line breaks must not hide a copy
        if (*p == '\n') *p = ' ';
    const char *start = strstr(seed, "**Prompt:**");
    assert_non_null(start);
    for (const char *p = start; strlen(p) > 60; p++) {
        char piece[61];
        snprintf(piece, sizeof piece, "%.60s", p);
        if (strstr(m.prompt.data, piece)) fail_msg("copied: \"%s\"", piece);
    }
    free(seed);
    made_free(&m);
}

// A document with one member replaced: the plan is refused with a sentence, or made without it.
static void hostile(const char *hardware, const char *results, const char *words)
{
    struct plan_inputs in = {.tool = "lectern of the tests"};
    struct err e = {0};
    struct text prompt;
    cJSON *plan;
    learner_default(&in.learner);
    in.hardware = hardware ? cJSON_Parse(hardware) : NULL;
    in.results = results ? cJSON_Parse(results) : NULL;
    assert_true(!hardware || in.hardware);
    assert_true(!results || in.results);
    bool ok = plan_make(&in, &plan, &prompt, &e);
    if (ok != !words) fail_msg("%s: %s", hardware ? hardware : results, ok ? "accepted" : e.msg);
    if (words && !strstr(e.msg, words)) fail_msg("\"%s\" does not say \"%s\"", e.msg, words);
    cJSON_Delete(plan);
    text_free(&prompt);
    plan_inputs_close(&in);
}

// A model whose layers are streamed is shown without a speed, and is neither the pick nor said to
// fit.
static void test_streamed(void **state)
{
    (void)state;
#define ROW(name, n, verdict)                                                                      \
    "{\"model\":\"" name "\",\"family\":\"Llama 3.1\",\"quant\":\"Q4_K_M\",\"n_params\":" n        \
    ",\"weight_bytes\":2e9,\"total_bytes\":3e9,\"n_ctx\":2048,\"max_ctx\":8192,"                   \
    "\"decode_tok_s\":40,\"verdict\":\"" verdict "\"}"
    struct plan_inputs in = {.tool = "lectern of the tests"};
    struct err e = {0};
    struct text prompt;
    cJSON *plan;
    learner_default(&in.learner);
    in.hardware =
        cJSON_Parse("{\"version\":1,\"device\":{\"name\":\"x\"},\"host\":{},\"fits\":[" ROW(
            "Llama 3.1 70B", "70e9", "streamed") "," ROW("Llama 3.1 8B", "8e9", "fits") "]}");
    assert_non_null(in.hardware);
    if (!plan_make(&in, &plan, &prompt, &e)) fail_msg("%s", e.msg);
    const cJSON *machine = cJSON_GetObjectItemCaseSensitive(plan, "machine");
    const cJSON *pick = cJSON_GetObjectItemCaseSensitive(machine, "pick");
    const cJSON *row = cJSON_GetObjectItemCaseSensitive(machine, "table")->child;
    assert_string_equal(json_string_or(pick, "model", ""), "Llama 3.1 8B");
    assert_string_equal(json_string_or(row, "verdict", ""), "streamed");
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(row, "decode_tok_s")));
    assert_string_equal(json_string_or(row, "basis", ""), "not measured");
    assert_true(cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(row->next, "decode_tok_s")));
    char *text = cJSON_Print(machine);
    assert_non_null(strstr(text, "the models in the table, Llama 3.1 8B in Q4_K_M is the largest"));
    cJSON_free(text);
    cJSON_Delete(plan);
    text_free(&prompt);
    plan_inputs_close(&in);
#undef ROW
}

static void test_hostile_inputs(void **state)
{
    (void)state;
#define HW(rest) "{\"version\":1,\"device\":{\"name\":\"x\"},\"host\":{}" rest "}"
#define FIT(rest)                                                                                  \
    HW(",\"fits\":[{\"model\":\"M\",\"quant\":\"F16\",\"n_params\":1e9,\"weight_bytes\":2e9,"      \
       "\"total_bytes\":3e9,\"n_ctx\":2048" rest "}]")
#define SCORE(n, s, lo, hi)                                                                        \
    "{\"version\":1,\"scores\":[{\"task\":\"mmlu\",\"n\":" n ",\"score\":" s ",\"wilson\":[" lo    \
    "," hi "]}]}"
    hostile("{}", NULL, "version");
    hostile("{\"version\":9}", NULL, "version 9");
    hostile("{\"version\":1,\"device\":[],\"host\":{}}", NULL, "device");
    hostile(HW(",\"fits\":[7]"), NULL, "fits[0]");
    hostile(FIT(",\"verdict\":\"green\""), NULL, "verdict");
    hostile(FIT(""), NULL, "verdict");
    hostile("{\"version\":1}", "{}", "device");
    hostile(NULL, "{}", "version");
    hostile(NULL, "{\"version\":1,\"scores\":{}}", "scores");
    hostile(NULL, "{\"version\":1,\"scores\":[{}]}", "task");
    hostile(NULL, SCORE("0", "0.5", "0", "1"), "cannot be a score");
    hostile(NULL, SCORE("10", "1.5", "0", "1"), "cannot be a score");
    hostile(NULL, SCORE("10", "0.5", "0.6", "0.9"), "cannot be a score");
    hostile(NULL, SCORE("10", "0.5", "-1", "2"), "cannot be a score");
    hostile(NULL, SCORE("2.5", "0.5", "0", "1"), "whole number");
    // Odd, but usable: numbers that make no sense are left unknown, words are made harmless.
    hostile(HW(""), NULL, NULL);
    hostile(HW(",\"measured\":{\"decode_tok_s\":-3,\"matvec_gb_s\":1e999}"), NULL, NULL);
    hostile(HW(",\"model\":{\"name\":\"`{x}`\\u0001 http\",\"path\":\"/a b;rm -rf x.gguf\","
               "\"n_params\":5}"),
            NULL, NULL);
    hostile(NULL, SCORE("10", "0.5", "0.2", "0.8"), NULL);
    hostile(NULL,
            "{\"version\":1,\"scores\":[],\"failures\":[3,{\"question\":\"{hw.decode} ` :\"}]}",
            NULL);
}

static void test_files(void **state)
{
    (void)state;
    struct plan_inputs in;
    struct err e = {0};
    char *plan, *prompt;
    size_t n_plan, n_prompt;
    assert_false(plan_inputs_open(&in, "no-such-hardware.json", NULL, "t", &e));
    assert_non_null(strstr(e.msg, "no-such-hardware.json"));
    assert_true(file_write("broken.json", "{\"version\":", 11, &e));
    assert_false(plan_inputs_open(&in, NULL, "broken.json", "t", &e));
    assert_non_null(strstr(e.msg, "broken.json"));
    assert_true(file_write("list.json", "[]", 2, &e));
    assert_false(plan_inputs_open(&in, NULL, "list.json", "t", &e));
    assert_true(plan_inputs_open(&in, NULL, NULL, "t", &e));
    assert_true(plan_write(&in, "plan-out/deep", &e));
    assert_true(file_read("plan-out/deep/plan.json", 1 << 24, &plan, &n_plan, &e));
    assert_true(file_read("plan-out/deep/prompt.txt", 1 << 20, &prompt, &n_prompt, &e));
    struct learner l;
    assert_true(learner_load("plan-out/deep/learner.json", &l, &e));
    assert_int_equal(l.weeks, 6);
    char hash[SHA256_HEX_SIZE];
    cJSON *json = cJSON_Parse(plan);
    const cJSON *inputs = cJSON_GetObjectItem(json, "inputs");
    assert_true(sha256_hex(prompt, n_prompt, hash, &e));
    assert_string_equal(json_string_or(inputs, "prompt_sha256", ""), hash);
    assert_true(sha256_file_hex("plan-out/deep/learner.json", hash, &e));
    assert_string_equal(json_string_or(inputs, "learner_sha256", ""), hash);
    assert_string_equal(json_string_or(inputs, "results_sha256", "?"), "");
    cJSON_Delete(json);
    // A place that cannot be written: a sentence, and the files of before are whole.
    assert_false(plan_write(&in, "plan-out/deep/plan.json", &e));
    assert_non_null(strstr(e.msg, "plan.json"));
    char *again;
    size_t n_again;
    assert_true(file_read("plan-out/deep/plan.json", 1 << 24, &again, &n_again, &e));
    assert_int_equal(n_again, n_plan);
    assert_memory_equal(again, plan, n_plan);
    free(again);
    free(plan);
    free(prompt);
    plan_inputs_close(&in);
    assert_true(file_remove_tree("plan-out", &e));
    assert_int_equal(unlink("broken.json"), 0);
    assert_int_equal(unlink("list.json"), 0);
}

static void test_table(void **state)
{
    (void)state;
    static const char *const stale[] = {"llama.meta.com",      "python.langchain.com",
                                        "docs.llamaindex.ai",  "chat.lmsys.org",
                                        "ggerganov/llama.cpp", "llama.cpp/blob/master/examples",
                                        "ollama/ollama"};
    cJSON *doc = make_resources();
    const cJSON *r, *list = cJSON_GetObjectItem(doc, "resources");
    int id = 0;
    assert_int_equal(cJSON_GetArraySize(list), 85);
    assert_string_equal(json_string_or(doc, "checked", ""), "2026-11");
    assert_non_null(strstr(json_string_or(doc, "note", ""), "No link was opened live"));
    cJSON_ArrayForEach(r, list)
    {
        const char *url = json_string_or(r, "url", "");
        assert_int_equal((int)json_number_or(r, "id", 0), ++id);
        assert_int_equal(strncmp(url, "https://", 8), 0);
        for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++)
            if (strstr(url, stale[i])) fail_msg("%s has moved", url);
    }
    cJSON_Delete(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_profile),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_same_inputs_same_bytes),
        cmocka_unit_test(test_level_changes),
        cmocka_unit_test(test_goal_changes),
        cmocka_unit_test(test_hours_change),
        cmocka_unit_test(test_hardware_changes),
        cmocka_unit_test(test_streamed),
        cmocka_unit_test(test_results_change),
        cmocka_unit_test(test_rules_fire),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_prompt_is_not_the_seed),
        cmocka_unit_test(test_hostile_inputs),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
