// What the subcommands share. Only app/ prints and exits.
// Exit status: 0 done, 1 failed (one sentence on stderr), 2 wrong usage.
#ifndef LECTERN_APP_H
#define LECTERN_APP_H

#include "base/err.h"
#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>

enum { APP_OK = 0, APP_FAILED = 1, APP_USAGE = 2 };

#define APP_DEFAULT_MODEL "SmolLM2-135M-Instruct.Q4_1.gguf"

struct app_command {
    const char *name;                  // argv[1]
    const char *summary;               // one line of `lectern --help`
    int (*run)(int argc, char **argv); // argv[0] is the command's name
};

// Prints "lectern: SENTENCE" and returns APP_FAILED, or 130 when the user pressed ^C.
int app_fail(const struct err *e);
// Prints "lectern NAME: SENTENCE" and "try: lectern NAME --help", returns APP_USAGE.
int app_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// The model's path: a file's path, or a name (with or without .gguf) in the cache's models
// folder; NULL is the default model. Failure says how to fetch it.
bool app_model_path(const char *name, char *out, size_t out_size, struct err *e);

// Whole numbers and reals from options; the sentence names the option and the allowed range.
bool app_parse_u32(const char *opt, const char *text, unsigned lo, unsigned hi, unsigned *out,
                   struct err *e);
bool app_parse_f64(const char *opt, const char *text, double lo, double hi, double *out,
                   struct err *e);

// "1,5,7" as ids. Caller frees *ids.
bool app_parse_ids(const char *text, int **ids, size_t *n, struct err *e);

// All of stdin, with a zero byte behind it; caller frees. Limit 1 GiB.
bool app_read_stdin(char **out, size_t *size, struct err *e);

// Flushes stdout; a write error (full disk, closed pipe) becomes ERR_IO.
bool app_flush(struct err *e);

int cmd_bench(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_extract(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_study(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);

#endif
