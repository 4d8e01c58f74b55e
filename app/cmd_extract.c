// lectern extract TASK/FILTER: what a task's answer filter makes of responses.
#include "app/app.h"
#include "base/json.h"
#include "evals/extract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(FILE *f)
{
    fprintf(f, "usage: lectern extract TASK/FILTER < responses.jsonl\n\n"
               "Reads JSON lines {\"resp\": \"...\"}, writes what the filter extracts as one JSON\n"
               "string a line; \"[invalid]\" where nothing matches. Filters:\n\n");
    for (size_t i = 0; i < extract_n_filters; i++)
        fprintf(f, "  %s/%s\n", extract_filters[i].task, extract_filters[i].name);
}

static bool extract_line(const struct extract_filter *filter, const char *line, size_t n,
                         size_t number, struct err *e)
{
    char where[64], *got = NULL;
    const char *resp;
    struct text out = {0};
    (void)snprintf(where, sizeof where, "standard input line %zu", number);
    cJSON *json = json_parse(line, n, where, e);
    bool ok = json && json_string(json, "resp", &resp, where, e) &&
              extract_apply(filter, resp, strlen(resp), &got, e);
    if (ok) {
        text_json(&out, got, strlen(got), false);
        text_puts(&out, "\n");
        ok = !out.failed || err_nomem(e, "a line", out.cap);
    }
    if (ok) fwrite(out.data, 1, out.size, stdout);
    text_free(&out);
    free(got);
    cJSON_Delete(json);
    return ok;
}

static bool extract_all(const struct extract_filter *filter, struct err *e)
{
    char *data;
    size_t size, number = 0;
    if (!app_read_stdin(&data, &size, e)) return false;
    bool ok = true;
    for (size_t at = 0; ok && at < size;) {
        size_t n = strcspn(data + at, "\n");
        if (n > size - at) n = size - at;
        number++;
        if (strspn(data + at, " \t\r") < n) ok = extract_line(filter, data + at, n, number, e);
        at += n + 1;
    }
    free(data);
    return app_flush(ok ? e : NULL) && ok;
}

int cmd_extract(int argc, char **argv)
{
    struct err e = {0};
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        print_help(stdout);
        return APP_OK;
    }
    if (argc != 2) return app_usage("extract", "name one filter, like gsm8k/strict-match");
    const struct extract_filter *filter = extract_find(argv[1]);
    if (!filter) return app_usage("extract", "there is no filter '%s'", argv[1]);
    return extract_all(filter, &e) ? APP_OK : app_fail(&e);
}
