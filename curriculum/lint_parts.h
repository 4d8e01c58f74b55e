// The half of the linter that reads texts; only lint.c includes this.
#ifndef LECTERN_CURRICULUM_LINT_PARTS_H
#define LECTERN_CURRICULUM_LINT_PARTS_H

#include "base/err.h"

#include <cjson/cJSON.h>

// Every string of the plan: filled, balanced backquotes, links of the table, numbers with basis.
bool lint_texts(const cJSON *plan, const cJSON *table, struct err *e);

#endif
