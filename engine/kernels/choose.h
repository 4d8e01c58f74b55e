// Which way of multiplying (kernels.h) a device takes for each weight format and class of numbers
// of tokens:
//
//   a tier was forced    the highest way that the device can, up to it; nothing is measured
//   no way but one       that one; so it is on software devices
//   else                 the fastest of a short measurement, made once and kept on disk
//
// The ways round differently. A choice that is kept makes two runs on one machine the same; a
// forced tier makes them the same without a file.
#ifndef LECTERN_CHOOSE_H
#define LECTERN_CHOOSE_H

#include "engine/kernels/kernels.h"

// How many formats and classes were found where, for tests and tools.
struct choose_report {
    uint32_t n_cached, n_measured;
};

// formats: bit 1 << format. report may be NULL. A measurement that memory does not allow, or a
// cache that cannot be written, is no error: the plain way is taken, or the choice lasts for this
// run. An error is a lost device.
bool kernels_choose(struct gpu *gpu, uint32_t formats, struct kernel_choice *out,
                    struct choose_report *report, struct err *e);

// The way to take where each needs so many microseconds; NaN: the device has it not.
enum matmul_way choose_fastest(const double us[N_WAYS], enum weight_format format);

// The file that keeps a device's choices, $XDG_CACHE_HOME/lectern/kernels-UUID-OFFERS.json.
bool choose_path(const struct gpu *gpu, char *out, size_t out_size, struct err *e);
// What it says, as "q4 split dot coop, q8 ...", ways for one, few and many tokens; "" without it.
void choose_describe(const struct gpu *gpu, char *out, size_t out_size);

// measure.c: microseconds of each way that the device has for f and c, NaN where it has none, or
// where its results are not those of the plain way.
bool measure_ways(struct gpu *gpu, enum weight_format f, double us[N_CLASSES][N_WAYS],
                  struct err *e);

#endif
