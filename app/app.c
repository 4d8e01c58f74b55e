#include "app/app.h"
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int app_fail(const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "lectern: %s\n", e->msg[0] ? e->msg : "failed without a reason (a bug)");
    return e->code == ERR_CANCELLED ? 130 : APP_FAILED;
}

int app_usage(const char *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "lectern %s: ", command);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\ntry: lectern %s --help\n", command);
    va_end(ap);
    return APP_USAGE;
}

bool app_model_path(const char *name, char *out, size_t out_size, struct err *e)
{
    char cache[2048];
    if (name && (strchr(name, '/') || file_exists(name)))
        return file_path(out, out_size, e, "%s", name);
    if (!file_cache_dir(cache, sizeof cache, e)) return false;
    const char *want = name ? name : APP_DEFAULT_MODEL;
    if (!file_path(out, out_size, e, "%s/models/%s", cache, want)) return false;
    if (file_exists(out)) return true;
    if (!file_path(out, out_size, e, "%s/models/%s.gguf", cache, want)) return false;
    if (file_exists(out)) return true;
    if (!name)
        return err_set(e, ERR_IO,
                       "the default model is not in %s/models: fetch it with "
                       "./tools/setup.sh, or name a GGUF file",
                       cache);
    return err_set(e, ERR_IO, "no file %s here and no model of that name in %s/models", name,
                   cache);
}

bool app_parse_u32(const char *opt, const char *text, unsigned lo, unsigned hi, unsigned *out,
                   struct err *e)
{
    char *end = NULL;
    errno = 0;
    unsigned long v = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 10) : 0;
    if (!end || *end || errno || v < lo || v > hi)
        return err_set(e, ERR_ARG, "%s needs a whole number from %u to %u, not '%s'", opt, lo, hi,
                       text);
    *out = (unsigned)v;
    return true;
}

bool app_parse_f64(const char *opt, const char *text, double lo, double hi, double *out,
                   struct err *e)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < lo || v > hi)
        return err_set(e, ERR_ARG, "%s needs a number from %g to %g, not '%s'", opt, lo, hi, text);
    *out = v;
    return true;
}

bool app_parse_ids(const char *text, int **ids, size_t *n, struct err *e)
{
    size_t cap = 1;
    for (const char *p = text; *p; p++)
        cap += *p == ',';
    *n = 0;
    *ids = malloc(cap * sizeof **ids);
    if (!*ids) return err_nomem(e, "token ids", cap * sizeof **ids);
    for (const char *p = text; *p;) {
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || errno || v < 0 || v > INT_MAX || (*end && *end != ',')) goto bad;
        (*ids)[(*n)++] = (int)v;
        if (*end == ',' && !end[1]) goto bad;
        p = *end ? end + 1 : end;
    }
    if (*n) return true;
bad:
    free(*ids);
    *ids = NULL;
    *n = 0;
    return err_set(e, ERR_ARG, "--tokens needs ids separated by commas, like 1,5,7, not '%.40s'",
                   text);
}

bool app_read_stdin(char **out, size_t *size, struct err *e)
{
    return file_read_stream(stdin, "standard input", (size_t)1 << 30, out, size, e);
}

bool app_flush(struct err *e)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    return err_set(e, ERR_IO, "cannot write to standard output: %s", strerror(errno));
}
