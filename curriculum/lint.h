// What every plan must satisfy before it is written: the acceptance tests of the learning plan as
// code. The plan is looked at as it will be printed, not as it was made, so that a rule or a
// sentence of the content cannot break a promise unnoticed.
//   time       sections + reviews + buffer = hours x weeks, every week, sitting and section exact
//   order      nine sections in order, nothing studied before what it needs
//   objectives 3 to 5, a verb of Bloom's list and level, a criterion, a check that exists
//   checks     4 to 6, each with answer and reason
//   links      only addresses of resources.json, in the section that the table gives them
//   commands   subcommands and options that exist; other programs only when marked optional;
//              a model that was measured here or fits
//   numbers    a speed or size stands in a text that says its basis
//   scores     interval around the score, own sets called not comparable, chance said
#ifndef LECTERN_CURRICULUM_LINT_H
#define LECTERN_CURRICULUM_LINT_H

#include "base/err.h"

#include <cjson/cJSON.h>

// False with a sentence that names the first defect. `resources` is resources.json parsed.
bool lint_plan(const cJSON *plan, const cJSON *resources, struct err *e);

// Parts of it, for tests and for tools that look at one thing.
bool lint_command(const char *command, bool optional, const cJSON *plan, struct err *e);
bool lint_verb(const char *text, const char *bloom, struct err *e);

#endif
