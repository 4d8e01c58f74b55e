// The parts of plan.json, each added to the plan object; see README.md for their members.
#ifndef LECTERN_CURRICULUM_PARTS_H
#define LECTERN_CURRICULUM_PARTS_H

#include "curriculum/build.h"
#include "curriculum/schedule.h"

// machine.c
void part_pick(struct build *b); // facts pick.*: before the rules are applied
void part_machine(struct build *b, cJSON *plan);
void part_evidence(struct build *b, cJSON *plan);

// section.c
// How long each section is, and how that divides into study, lab and project.
void part_times(struct build *b, struct section_time *times);
void part_sections(struct build *b, cJSON *plan, const struct section_time *times);
const cJSON *part_lab(struct build *b, int section); // the lab that the rules chose; section from 0

// calendar.c
void part_schedule(struct build *b, cJSON *plan, const struct section_time *times);

#endif
