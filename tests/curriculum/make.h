// Makes plans for the tests from the inputs under data/, by learner.
#ifndef LECTERN_TESTS_CURRICULUM_MAKE_H
#define LECTERN_TESTS_CURRICULUM_MAKE_H

#include "curriculum/plan.h"

#define HARDWARE_CPU "hardware_cpu.json"
#define HARDWARE_GPU "hardware_gpu.json"
#define RESULTS_LOW "results_low.json"   // bundled sets, MMLU at chance
#define RESULTS_HIGH "results_high.json" // official sets, stopped early

struct made {
    cJSON *plan;
    struct text prompt;
    struct err e;
    bool ok;
};

// hardware and results: names under data/, or NULL.
struct made make_plan(const struct learner *l, const char *hardware, const char *results);
void made_free(struct made *m);

// A learner from four words; the rest is the default.
struct learner make_learner(enum learner_level level, enum learner_goal goal, double hours,
                            int weeks);

// Member `key` of section `number` (from 1).
const cJSON *made_section(const struct made *m, int number, const char *key);
cJSON *make_resources(void); // resources.json of the tree, parsed; caller frees

#endif
