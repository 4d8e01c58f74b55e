// The linter catches what it promises: one planted defect at a time in a good plan.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "curriculum/lint.h"
#include "make.h"

static cJSON *good, *table;

static int setup(void **state)
{
    (void)state;
    struct learner l = make_learner(LEVEL_BEGINNER, GOAL_CHAT, 4, 6);
    struct made m = make_plan(&l, HARDWARE_CPU, RESULTS_LOW);
    if (!m.ok) fprintf(stderr, "%s\n", m.e.msg);
    good = cJSON_Duplicate(m.plan, true);
    table = make_resources();
    made_free(&m);
    return good && table ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(good);
    cJSON_Delete(table);
    return 0;
}

// "sections/0/checks/2/answer" in a plan; numbers are positions.
static cJSON *at(cJSON *v, const char *path)
{
    char word[64];
    while (v && *path) {
        size_t n = strcspn(path, "/");
        snprintf(word, sizeof word, "%.*s", (int)n, path);
        v = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, atoi(word))
                             : cJSON_GetObjectItemCaseSensitive(v, word);
        path += n + (path[n] == '/');
    }
    return v;
}

static void expect(cJSON *plan, const char *words)
{
    struct err e = {0};
    bool ok = lint_plan(plan, table, &e);
    if (ok) fail_msg("not noticed: %s", words);
    if (!strstr(e.msg, words)) fail_msg("\"%s\" does not say \"%s\"", e.msg, words);
    cJSON_Delete(plan);
}

static void with_text(const char *path, const char *text, const char *words)
{
    cJSON *plan = cJSON_Duplicate(good, true), *v = at(plan, path);
    if (!v || !cJSON_IsString(v)) fail_msg("no text at %s", path);
    assert_non_null(cJSON_SetValuestring(v, text));
    expect(plan, words);
}

static void with_number(const char *path, double number, const char *words)
{
    cJSON *plan = cJSON_Duplicate(good, true), *v = at(plan, path);
    if (!v || !cJSON_IsNumber(v)) fail_msg("no number at %s", path);
    cJSON_SetNumberValue(v, number);
    expect(plan, words);
}

static void without(const char *path, const char *key, const char *words)
{
    cJSON *plan = cJSON_Duplicate(good, true), *v = at(plan, path);
    if (!cJSON_HasObjectItem(v, key)) fail_msg("no %s at %s", key, path);
    cJSON_DeleteItemFromObjectCaseSensitive(v, key);
    expect(plan, words);
}

static void test_good(void **state)
{
    (void)state;
    struct err e = {0};
    if (!lint_plan(good, table, &e)) fail_msg("%s", e.msg);
}

static void test_time(void **state)
{
    (void)state;
    with_number("sections/3/minutes", 1, "section 4 says 1 minutes");
    with_number("schedule/0/minutes", 241, "week 1");
    with_number("schedule/0/week", 2, "week 2");
    with_number("schedule/1/sessions/0/minutes", 90, "sitting 1");
    with_number("schedule/1/sessions/0/sitting", 7, "not 25 to 50");
    with_number("learner/hours_per_week", 5, "the learner has 300");
    with_number("learner/weeks", 7, "add up");
    cJSON *plan = cJSON_Duplicate(good, true);
    cJSON_DeleteItemFromArray(at(plan, "schedule/2/sessions"), 1);
    expect(plan, "week 3");
}

static void test_order(void **state)
{
    (void)state;
    with_number("sections/1/number", 3, "section 3 stands where 2");
    with_number("prerequisites/1/needs/0", 7, "begins before section 7");
    cJSON *plan = cJSON_Duplicate(good, true);
    cJSON_DeleteItemFromArray(at(plan, "sections"), 8);
    expect(plan, "8 sections");
}

static void test_objectives(void **state)
{
    (void)state;
    with_text("sections/0/objectives/0/text", "Understand what a token is", "verb");
    with_text("sections/0/objectives/0/text", "Know the sizes", "verb");
    with_text("sections/0/objectives/0/bloom", "enjoy", "Bloom");
    with_text("sections/0/objectives/0/bloom", "create", "verb");
    with_text("sections/0/objectives/0/criterion", "", "criterion");
    with_number("sections/0/objectives/0/check", 9, "check 9");
    with_number("sections/0/objectives/0/check", 0, "check 0");
    cJSON *plan = cJSON_Duplicate(good, true);
    cJSON_DeleteItemFromArray(at(plan, "sections/0/objectives"), 0);
    expect(plan, "objectives, not 3 to 5");
}

static void test_checks(void **state)
{
    (void)state;
    with_text("sections/4/checks/1/answer", "", "check 2 has no answer");
    with_text("sections/4/checks/1/why", "", "check 2 has no why");
    without("sections/4/checks/0", "question", "check 1 has no question");
    with_number("sections/4/checks/0/number", 2, "out of order");
    cJSON *plan = cJSON_Duplicate(good, true);
    while (cJSON_GetArraySize(at(plan, "sections/4/checks")) > 3)
        cJSON_DeleteItemFromArray(at(plan, "sections/4/checks"), 3);
    expect(plan, "checks, not 4 to 6");
}

static void test_links(void **state)
{
    (void)state;
    with_text("sections/2/points/0/paragraphs/0", "See https://example.com/llama for more.",
              "https://example.com/llama is not in resources.json");
    with_text("sections/2/resources/0/url", "https://llama.meta.com/", "not one of this section");
    with_number("sections/2/resources/0/id", 73, "not one of this section");
    with_number("sections/2/resources/0/id", 999, "resource 999");
    with_text("glossary/0/meaning", "http://evil.example", "not in resources.json");
}

static void test_commands(void **state)
{
    (void)state;
    static const char step[] = "sections/3/lab/steps/0/command";
    with_text(step, "lectern finetune", "no such subcommand");
    with_text(step, "lectern devices --fast", "no option --fast");
    with_text(step, "lectern run Llama-3.1-70B.gguf", "was not measured here");
    with_text(step, "ollama run llama3", "mark the step optional");
    with_text(step, "printf x | lectern frobnicate", "no such subcommand");
    with_text(step, "lectern eval --limit", "lacks its value");
    with_text(step, "lectern report now", "one word too many");
    with_text("first_step/command", "rm -rf models", "mark the step optional");
    with_text("sections/3/lab/if_it_fails", "", "what to do if it fails");
    with_number("sections/3/lab/minutes", 5000, "longer than the section");
}

static void test_numbers(void **state)
{
    (void)state;
    with_text("sections/3/points/0/paragraphs/0", "It runs at 40 tok/s.", "without its basis");
    with_text("machine/paragraphs/0", "It needs 6.5 GiB.", "without its basis");
    with_text("machine/table/0/basis", "guessed", "basis");
    with_text("machine/table/0/verdict", "green", "verdict");
    without("machine/measured/0", "basis", "no basis");
    with_text("sections/1/why", "Because {hw.decode}.", "unfilled place");
    with_text("sections/1/why", "Run `lectern.", "backquotes");
}

static void test_scores(void **state)
{
    (void)state;
    with_text("evidence/scores/0/note", "a fine score", "not comparable");
    with_number("evidence/scores/0/high", 0.1, "no interval around it");
    with_number("evidence/scores/0/n", 0, "no interval around it");
    with_text("evidence/published/0/source", "", "no source");
    cJSON *plan = cJSON_Duplicate(good, true);
    cJSON_ReplaceItemInObject(at(plan, "evidence"), "paragraphs", cJSON_CreateArray());
    expect(plan, "at chance");
    plan = cJSON_Duplicate(good, true);
    cJSON *only = cJSON_CreateArray();
    cJSON_AddItemToArray(only, cJSON_CreateString("This is chance."));
    cJSON_ReplaceItemInObject(at(plan, "evidence"), "paragraphs", only);
    expect(plan, "words that they are not comparable");
}

static void test_rules(void **state)
{
    (void)state;
    with_text("rules/0/because", "", "lacks an id, a reason or an effect");
    without("rules/1", "effect", "lacks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_time),
        cmocka_unit_test(test_order),    cmocka_unit_test(test_objectives),
        cmocka_unit_test(test_checks),   cmocka_unit_test(test_links),
        cmocka_unit_test(test_commands), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_scores),   cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
