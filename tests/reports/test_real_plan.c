// Plans as the curriculum makes them, for different learners and machines, set in strict mode:
// nothing leaves its place and every link leads somewhere.
#include "base/file.h"
#include "curriculum/plan.h"
#include "pdf_tools.h"
#include "reports/plan_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA LECTERN_SOURCE_DIR "/tests/curriculum/data/"

struct profile {
    const char *level, *goal, *hardware, *results;
    double hours, weeks;
};

static const struct profile profiles[] = {
    {"beginner", "chat", DATA "hardware_cpu.json", DATA "results_low.json", 4, 6},
    {"intermediate", "agent", DATA "hardware_gpu.json", DATA "results_high.json", 2.25, 52},
    {"advanced", "finetune", NULL, NULL, 40, 1},
    {"beginner", "teach", DATA "hardware_cpu.json", NULL, 1, 3},
};

static void make(const struct profile *p, cJSON **plan)
{
    struct plan_inputs in;
    struct text prompt = {0};
    struct err e = {0};
    bool ok = plan_inputs_open(&in, p->hardware, p->results, "lectern test", &e) &&
              learner_set_level(&in.learner, p->level, "level", &e) &&
              learner_set_goal(&in.learner, p->goal, "goal", &e) &&
              learner_set_hours(&in.learner, p->hours, "hours", &e) &&
              learner_set_weeks(&in.learner, p->weeks, "weeks", &e) &&
              plan_make(&in, plan, &prompt, &e);
    if (!ok) fail_msg("%s", e.msg);
    text_free(&prompt);
    plan_inputs_close(&in);
}

static void plans_of_the_curriculum_fit(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "real_%ld.pdf", (long)getpid());
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        cJSON *plan = NULL;
        struct err e = {0};
        const struct report_params params = {.strict = true};
        make(&profiles[i], &plan);
        bool ok = report_write(plan, path, &params, &e);
        if (!ok) fail_msg("profile %zu: %s", i, e.msg);
        cJSON_Delete(plan);
        if (tool_exists("pdftotext")) {
            char command[160];
            int status;
            snprintf(command, sizeof command, "pdftotext -raw %s - >%s.txt", path, path);
            char *said = tool_output(command, &status); // stderr only
            assert_int_equal(status, 0);
            assert_string_equal(said, "");
            free(said);
            snprintf(command, sizeof command, "%s.txt", path);
            unlink(command);
        }
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plans_of_the_curriculum_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
