// Where items come from: a folder in the official layout, or the sets that are part of the binary.
//
//   mmlu/dev/SUBJECT_dev.csv  mmlu/test/SUBJECT_test.csv   question,A,B,C,D,letter without a header
//   gsm8k/train.jsonl  gsm8k/test.jsonl                    {"question", "answer"} a line
//   gsm8k/cot_shots.json                                   exemplars of gsm8k_cot
//   humaneval/HumanEval.jsonl or HumanEval.jsonl.gz        the HumanEval fields
//
// A set's hash is the SHA-256 of what `LC_ALL=C sha256sum FILES` prints when it is run in the
// set's folder with the files in byte order: mmlu `dev/*_dev.csv test/*_test.csv`, gsm8k
// `test.jsonl train.jsonl`, gsm8k_cot `cot_shots.json test.jsonl` (the shots file only when it is
// Lectern's own), humaneval `HumanEval.jsonl` (unpacked). Anyone can rebuild it with two commands.
#ifndef LECTERN_EVAL_DATASET_H
#define LECTERN_EVAL_DATASET_H

#include "base/err.h"
#include "base/json.h"
#include "base/sha256.h"

#include <stdbool.h>
#include <stddef.h>

struct data_source {
    const char *dir; // NULL: the bundled sets
};

// A file's bytes with a zero byte behind them; caller frees *out. "x.jsonl" is also found as
// "x.jsonl.gz" and then unpacked. A missing file is ERR_IO.
bool data_read(const struct data_source *src, const char *name, char **out, size_t *size,
               struct err *e);
bool data_exists(const struct data_source *src, const char *name);

// Names in folder `sub` that end in `suffix`, without it, in byte order.
struct data_names {
    char **names;
    size_t n;
};
bool data_list(const struct data_source *src, const char *sub, const char *suffix,
               struct data_names *out, struct err *e);
void data_names_free(struct data_names *names);

// The lines of sha256sum that make a set's hash.
struct data_manifest {
    struct text lines;
};
bool data_manifest_add(struct data_manifest *m, const char *name, const char *data, size_t size,
                       struct err *e);
bool data_manifest_hash(const struct data_manifest *m, char out[SHA256_HEX_SIZE], struct err *e);
void data_manifest_free(struct data_manifest *m);

// CSV rows as Python's csv module reads them: nothing is stripped, newlines inside quotes stay.
struct csv_row {
    char **fields; // zero-terminated
    size_t n;
};
struct csv_table {
    struct csv_row *rows;
    size_t n, cap;
};
bool csv_read(const char *data, size_t size, const char *name, struct csv_table *out,
              struct err *e);
void csv_table_free(struct csv_table *t);

// One JSON object a line; empty lines are passed over. The array owns the objects; cJSON_Delete.
cJSON *jsonl_parse(const char *data, size_t size, const char *name, struct err *e);

#endif
