// From the three inputs to facts: checks hardware.json and results.json where the plan reads them,
// and computes what follows from them (each with its formula beside it in measure.c).
#ifndef LECTERN_CURRICULUM_MEASURE_H
#define LECTERN_CURRICULUM_MEASURE_H

#include "curriculum/build.h"

// One model x quantization of hardware.json "fits"; strings are borrowed from the document.
struct fit_row {
    const char *model, *family, *quant, *verdict, *decode_basis;
    double n_params, weight_bytes, total_bytes, n_ctx, max_ctx, decode_tok_s, download_bytes;
    bool has_speed;
};

// fits[i], checked: false with a sentence when a member is missing or absurd.
bool measure_fit_row(const cJSON *row, int i, struct fit_row *out, struct err *e);

bool measure_learner(struct build *b, struct err *e);
bool measure_hardware(struct build *b, struct err *e); // nothing to do without the file
bool measure_results(struct build *b, struct err *e);

// "MMLU", "GSM8K (strict answer)" ... for a score entry; the key of its facts ("score.gsm8k_flex").
const char *measure_label(const char *task, const char *filter);
const char *measure_key(const char *task, const char *filter);

#endif
