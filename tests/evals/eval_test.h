// What the tests of the harness share.
#ifndef LECTERN_EVAL_TEST_H
#define LECTERN_EVAL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "evals/eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED LECTERN_SOURCE_DIR "/../shared"
#define OFFICIAL SHARED "/data/official"
#define LM_EVAL SHARED "/data/lm_eval"

#define assert_ok(call, e)                                                                         \
    do {                                                                                           \
        if (!(call)) fail_msg("%s: %s", #call, (e).msg);                                           \
    } while (0)

// Skips the running test with a reason when a file outside the tree is not here.
#define need(path)                                                                                 \
    do {                                                                                           \
        if (!file_exists(path)) {                                                                  \
            print_message("%s is not here: skipped\n", path);                                      \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#endif
