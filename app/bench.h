// lectern bench, its parts: cmd_bench.c asks and measures, bench_print.c and
// bench_kernels.c say it.
#ifndef LECTERN_BENCH_H
#define LECTERN_BENCH_H

#include "app/options.h"
#include "fit/speed.h"

enum { BENCH_SIZES = 8, BENCH_SPEEDS = BENCH_SIZES + BENCH_SIZES * BENCH_SIZES };

struct bench_list { // of an option: "128,512"
    unsigned v[BENCH_SIZES], n;
};

struct bench_request {
    struct app_engine a;
    const char *model, *chart; // chart: NULL for none
    struct bench_list prefill, depth, batch;
    unsigned decode, runs;
    bool json, kernels;
};

struct bench_speed {
    enum fit_phase phase;
    struct fit_speed s;
};

struct bench_kernels {
    enum fit_phase phase;
    struct fit_kernels k;
};

struct bench_read { // engine_read_speed
    double bytes_s;
    uint64_t bytes;
    const char *format;
};

struct bench_result {
    struct bench_speed speed[BENCH_SPEEDS]; // prefill first, then decode: batches of each depth
    unsigned n;
    double bytes_s;
    struct bench_kernels kernels[BENCH_SPEEDS]; // with --kernels: a prompt, then decode as above
    unsigned n_kernels;
    struct bench_read read;
};

const char *bench_phase(enum fit_phase p); // "prefill", "decode"
void bench_table(const struct bench_request *r, const struct engine *g,
                 const struct bench_result *t);
bool bench_json(const struct bench_request *r, const struct engine *g, const struct bench_result *t,
                struct err *e);

// bench_kernels.c: tables, and the members "peak", "passes", "kernels" of the JSON object.
void bench_kernels_table(const struct bench_result *t);
void bench_kernels_json(const struct bench_result *t);

// bench_chart.c: the speeds as SVG.
bool bench_chart(const char *path, const struct engine *g, const struct bench_result *t,
                 struct err *e);

#endif
