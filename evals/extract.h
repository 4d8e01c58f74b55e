// Answer filters: from a model's free text to the answer that is compared, by the regular
// expressions of lm-evaluation-harness (Python's re, spelled for PCRE2 with LF as the newline).
#ifndef LECTERN_EVAL_EXTRACT_H
#define LECTERN_EVAL_EXTRACT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define EXTRACT_INVALID "[invalid]" // what a filter leaves where nothing matched

struct extract_filter {
    const char *task, *name; // "gsm8k", "strict-match"
    const char *pattern;
    bool last;               // take the last match, else the first
    bool ignore_punctuation; // exact match: lower case without punctuation, else the number rules
};
extern const struct extract_filter extract_filters[];
extern const size_t extract_n_filters;

// "gsm8k/strict-match"; NULL when there is none.
const struct extract_filter *extract_find(const char *task_slash_name);
const struct extract_filter *extract_find2(const char *task, const char *name);

// The match's first non-empty group (the whole match when the pattern has no group), stripped as
// Python's str.strip() does, or EXTRACT_INVALID. Caller frees *out.
bool extract_apply(const struct extract_filter *f, const char *resp, size_t size, char **out,
                   struct err *e);

// lm-eval's exact_match of an extracted answer and a reference, after both lost what the task
// ignores: for numbers ",", "$", everything up to the last "#### ", a final "."; and case.
bool extract_equal(const struct extract_filter *f, const char *got, const char *want, bool *equal,
                   struct err *e);

// The reference as exact_match sees it: "18" of a gsm8k answer with its reasoning. Caller frees.
bool extract_normalise(const struct extract_filter *f, const char *text, char **out, struct err *e);

// Length of the text before the earliest of the stop strings (NULL at the end of the list).
size_t extract_cut(const char *text, size_t size, const char *const *until);

#endif
