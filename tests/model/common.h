// What the engine's tests share.
#ifndef LECTERN_MODEL_COMMON_H
#define LECTERN_MODEL_COMMON_H

#include "base/json.h"
#include "engine/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// Opens with the validation layer where it is installed. Skips the test without a Vulkan device.
struct engine *open_model(struct engine_params p);
// rms(got - want) / standard deviation of want.
double rms_rel(const float *got, const double *want, size_t n);
float *logits_for(const struct engine *g, size_t rows); // caller frees
// Sequence 0 gets a prompt of n tokens in one call, then `steps` more one by one: [n + steps, n_vocab]
// logits. Caller frees.
float *prompt_and_steps(struct engine *g, size_t n, size_t steps);

#endif
