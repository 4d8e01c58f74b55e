#include "base/err.h"

#include <stdio.h>
#include <string.h>

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (!e) return false;
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    if (vsnprintf(e->msg, sizeof e->msg, fmt, ap) < 0) e->msg[0] = '\0';
    va_end(ap);
    return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e) return false;
    char old[sizeof e->msg];
    memcpy(old, e->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n < 0) n = 0;
    size_t at = (size_t)n < sizeof e->msg ? (size_t)n : sizeof e->msg - 1;
    if (snprintf(e->msg + at, sizeof e->msg - at, ": %s", old) < 0) e->msg[at] = '\0';
    return false;
}

bool err_nomem(struct err *e, const char *what, unsigned long long bytes)
{
    return err_set(e, ERR_MEMORY, "out of memory: %llu bytes for %s", bytes, what);
}

const char *err_code_name(enum err_code code)
{
#define ERR_NAME(c, name) name,
    static const char *const names[] = {ERR_LIST(ERR_NAME)};
#undef ERR_NAME
    size_t i = (size_t)code;
    return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}
