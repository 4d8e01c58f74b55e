// Time: whole minutes that add up exactly for every allowed number of hours and weeks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "curriculum/schedule.h"

enum { N = 9 };

static void test_divide(void **state)
{
    (void)state;
    const double weight[4] = {1, 1, 1, 0};
    const int cap[4] = {0, 5, 0, 0};
    int out[4];
    schedule_divide(100, 3, weight, NULL, 0, out);
    assert_int_equal(out[0], 34);
    assert_int_equal(out[1], 33);
    assert_int_equal(out[2], 33);
    schedule_divide(100, 4, weight, cap, 3, out);
    assert_int_equal(out[1], 5);
    assert_int_equal(out[3], 3);
    assert_int_equal(out[0] + out[2], 92);
    schedule_divide(12, 4, weight, cap, 3, out); // no more than the least for each
    for (int i = 0; i < 4; i++)
        assert_int_equal(out[i], 3);
}

static void section_times(int total, struct section_time *t)
{
    const double weight[N] = {1.2, 1.5, 0.75, 2.4, 1.5, 2.7, 2, 0.5, 0.5};
    const int cap[N] = {420, 0, 240, 0, 0, 0, 0, 90, 240};
    int minutes[N];
    schedule_divide(total, N, weight, cap, 3, minutes);
    for (int i = 0; i < N; i++) {
        t[i].lab = minutes[i] / 3;
        t[i].project = minutes[i] / 5;
        t[i].study = minutes[i] - t[i].lab - t[i].project;
    }
}

static void check_schedule(int per_week, int weeks)
{
    struct time_split split = schedule_split(per_week, weeks);
    struct section_time t[N];
    struct slot *slots;
    struct err e = {0};
    int n, spent[N + 1] = {0}, reviews = 0, buffer = 0, week_sum = 0, sitting_sum = 0, last = 0;
    assert_int_equal(split.total, per_week * weeks);
    assert_int_equal(split.sections + split.reviews + split.buffer, split.total);
    assert_true(split.reviews * 100 >= split.total * 15 && split.reviews * 100 <= split.total * 20);
    assert_true(abs(split.buffer * 10 - split.total) <= 5);
    section_times(split.sections, t);
    assert_true(schedule_make(per_week, weeks, t, N, &slots, &n, &e));
    for (int i = 0; i < n; i++) {
        const struct slot *s = &slots[i];
        bool work = s->kind == SLOT_STUDY || s->kind == SLOT_LAB || s->kind == SLOT_PROJECT;
        assert_true(s->minutes > 0 && s->day >= 1 && s->day <= 7);
        if (work) {
            assert_true(s->section >= last); // never back, so nothing before what it needs
            last = s->section;
            spent[s->section] += s->minutes;
        }
        if (s->kind == SLOT_REVIEW) reviews += s->minutes;
        if (s->kind == SLOT_REVIEW) assert_true(s->section <= (last ? last + 1 : 1));
        if (s->kind == SLOT_BUFFER) buffer += s->minutes;
        week_sum += s->minutes;
        sitting_sum += s->minutes;
        bool new_week = i + 1 == n || slots[i + 1].week != s->week;
        if (new_week || slots[i + 1].sitting != s->sitting) {
            assert_true(sitting_sum >= SITTING_MIN && sitting_sum <= SITTING_MAX);
            sitting_sum = 0;
        }
        if (new_week) {
            assert_int_equal(week_sum, per_week);
            week_sum = 0;
        }
    }
    assert_int_equal(slots[n - 1].week, weeks);
    assert_int_equal(reviews, split.reviews);
    assert_int_equal(buffer, split.buffer);
    for (int i = 0; i < N; i++)
        assert_int_equal(spent[i + 1], t[i].study + t[i].lab + t[i].project);
    free(slots);
}

static void test_every_length(void **state)
{
    (void)state;
    for (int quarters = 4; quarters <= 160; quarters++)
        for (int weeks = 1; weeks <= 52; weeks += weeks < 8 || quarters < 12 ? 1 : 11)
            check_schedule(quarters * 15, weeks);
}

static void test_extremes(void **state)
{
    (void)state;
    check_schedule(60, 1);
    check_schedule(2400, 52);
    check_schedule(60, 52);
    check_schedule(2400, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_divide),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
