// plan.json (curriculum/README.md, version 1) to plan.pdf.
#ifndef LECTERN_REPORTS_PLAN_REPORT_H
#define LECTERN_REPORTS_PLAN_REPORT_H

#include "base/json.h"

struct report_params {
    const char *font_dir; // looked into first; may be NULL
    bool strict;          // anything drawn outside the margins is ERR_INTERNAL (tests)
    const char *name;     // what errors call the plan; NULL: "plan.json"
};

// Writes the PDF whole or not at all: on failure out_path is as it was. The same plan and fonts
// give the same bytes; the creation date is SOURCE_DATE_EPOCH's, else the plan's start.
bool report_write(const cJSON *plan, const char *out_path, const struct report_params *p,
                  struct err *e);

#endif
