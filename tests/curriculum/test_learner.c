// learner.json: defaults, limits, and what hostile files are told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "curriculum/learner.h"
#include "base/json.h"

static bool parse(const char *text, struct learner *l, struct err *e)
{
    cJSON *json = json_parse(text, strlen(text), "learner.json", e);
    if (!json) return false;
    bool ok = learner_parse(json, "learner.json", l, e);
    cJSON_Delete(json);
    return ok;
}

static void test_defaults(void **state)
{
    (void)state;
    struct learner l;
    struct err e = {0};
    assert_true(parse("{\"version\": 1}", &l, &e));
    assert_string_equal(learner_level_name(l.level), "beginner");
    assert_string_equal(learner_goal_name(l.goal), "chat");
    assert_int_equal(l.minutes_per_week, 240);
    assert_int_equal(l.weeks, 6);
    assert_string_equal(l.name, "");
}

static void test_round_trip(void **state)
{
    (void)state;
    struct learner l, again;
    struct err e = {0};
    assert_true(
        parse("{\"version\":1,\"name\":\"Zo\xc3\xab\",\"level\":\"advanced\",\"goal\":\"rag\","
              "\"hours_per_week\":2.25,\"weeks\":9,\"interests\":[\"chess\",\"old maps\"],"
              "\"start_date\":\"2028-02-29\"}",
              &l, &e));
    cJSON *json = learner_json(&l);
    assert_non_null(json);
    assert_true(learner_parse(json, "learner.json", &again, &e));
    assert_memory_equal(&l, &again, sizeof l);
    assert_int_equal(again.minutes_per_week, 135);
    assert_string_equal(again.interests[1], "old maps");
    cJSON_Delete(json);
}

// Each document is refused with a sentence that names the member.
static void test_hostile(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"[]", "object"},
        {"7", "object"},
        {"{}", "version"},
        {"{\"version\":2}", "version 2"},
        {"{\"version\":1,\"hours\":4}", "hours"},
        {"{\"version\":1,\"level\":\"expert\"}", "level"},
        {"{\"version\":1,\"level\":3}", "level"},
        {"{\"version\":1,\"goal\":\"fame\"}", "goal"},
        {"{\"version\":1,\"goal\":[\"chat\"]}", "goal"},
        {"{\"version\":1,\"hours_per_week\":0.75}", "hours_per_week"},
        {"{\"version\":1,\"hours_per_week\":40.25}", "hours_per_week"},
        {"{\"version\":1,\"hours_per_week\":2.1}", "hours_per_week"},
        {"{\"version\":1,\"hours_per_week\":1e999}", "hours_per_week"},
        {"{\"version\":1,\"hours_per_week\":\"4\"}", "hours_per_week"},
        {"{\"version\":1,\"weeks\":0}", "weeks"},
        {"{\"version\":1,\"weeks\":53}", "weeks"},
        {"{\"version\":1,\"weeks\":1.5}", "weeks"},
        {"{\"version\":1,\"weeks\":-1e308}", "weeks"},
        {"{\"version\":1,\"name\":\"a`b\"}", "name"},
        {"{\"version\":1,\"name\":\"{learner.goal}\"}", "name"},
        {"{\"version\":1,\"name\":\"a\\nb\"}", "name"},
        {"{\"version\":1,\"name\":\"\\u0007\"}", "name"},
        {"{\"version\":1,\"name\":\"see http://x.example\"}", "name"},
        {"{\"version\":1,\"name\":"
         "\"0123456789012345678901234567890123456789012345678901234567890123\"}",
         "name"},
        {"{\"version\":1,\"interests\":\"chess\"}", "interests"},
        {"{\"version\":1,\"interests\":[1]}", "interests"},
        {"{\"version\":1,\"interests\":[\"\"]}", "interests"},
        {"{\"version\":1,\"interests\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}",
         "interests"},
        {"{\"version\":1,\"start_date\":\"2026-02-29\"}", "start_date"},
        {"{\"version\":1,\"start_date\":\"2026-13-01\"}", "start_date"},
        {"{\"version\":1,\"start_date\":\"2026-1-1\"}", "start_date"},
        {"{\"version\":1,\"start_date\":\"tomorrow\"}", "start_date"},
        {"{\"version\":1", "JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct learner l;
        struct err e = {0};
        if (parse(bad[i][0], &l, &e)) fail_msg("accepted: %s", bad[i][0]);
        if (!strstr(e.msg, bad[i][1])) fail_msg("%s: \"%s\"", bad[i][0], e.msg);
        assert_non_null(strstr(e.msg, "learner.json"));
    }
}

static void test_interests_flag(void **state)
{
    (void)state;
    struct learner l;
    struct err e = {0};
    learner_default(&l);
    assert_true(learner_set_interests(&l, " old maps , chess", "--interests", &e));
    assert_int_equal(l.n_interests, 2);
    assert_string_equal(l.interests[0], "old maps");
    assert_string_equal(l.interests[1], "chess");
    assert_false(learner_set_interests(&l, "a,,b", "--interests", &e));
    char word[70];
    memset(word, 'a', 69);
    word[69] = '\0';
    assert_false(learner_set_interests(&l, word, "--interests", &e));
}

// Every day of 1970 to 2110 there and back; two dates known from elsewhere.
static void test_dates(void **state)
{
    (void)state;
    long day;
    char text[11];
    for (long d = 0; d < 51500; d++) {
        learner_day_to_date(d, text);
        assert_true(learner_date_to_day(text, &day));
        assert_int_equal(day, d);
    }
    assert_true(learner_date_to_day("2000-03-01", &day));
    assert_int_equal(day, 11017);
    learner_day_to_date(20454, text);
    assert_string_equal(text, "2026-01-01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),  cmocka_unit_test(test_interests_flag),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
