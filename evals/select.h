// Which items of a set are run, and in which order.
#ifndef LECTERN_EVAL_SELECT_H
#define LECTERN_EVAL_SELECT_H

#include "evals/eval.h"

// Every item, such that each first part of the list is a stratified sample: within a subject by
// doc_sha256, and the r-th of a subject's m items (r = 0, 1, ...) at place (2 r + 1) / (2 m), equal
// places by doc_sha256. So a list of any length gives each subject its share (Webster's method),
// and anyone who has the items can rebuild it. out: [s->n] indices into s->items.
bool select_ranked(const struct eval_set *s, uint32_t *out, struct err *e);

// The first `limit` items of each subject (0: all) in the set's order; returns their number.
size_t select_limit(const struct eval_set *s, uint32_t limit, uint32_t *out);

// How many of order[0..n_order) can be computed by a letter task that reads each item's text once
// and each subject's shots once, at bytes_per_s within `seconds`. At least n_min.
bool select_fit(const struct eval_set *s, const uint32_t *order, size_t n_order, size_t n_min,
                double bytes_per_s, double seconds, size_t *n, struct err *e);

// Bytes read for one item: its text, with its shots when `first` of a subject.
size_t select_bytes(const struct eval_set *s, const struct eval_item *it, bool first);

void select_sort(uint32_t *items, size_t n); // ascending: subjects together

#endif
