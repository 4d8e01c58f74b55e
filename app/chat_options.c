#include "app/chat_options.h"
#include "base/file.h"

#include <stdlib.h>

enum { TOOLS_MAX = 1 << 20 }; // bytes; more than any context holds

static bool read_tools(struct app_chat *a, const char *path, struct err *e)
{
    size_t size;
    app_chat_free(a);
    if (!file_read(path, TOOLS_MAX, &a->tools, &size, e)) return false;
    a->p.tools = a->tools;
    return true;
}

bool app_chat_option(struct app_chat *a, int c, const char *arg, bool *taken, struct err *e)
{
    *taken = true;
    switch (c) {
    case OPT_SYSTEM: a->system = arg; break;
    case OPT_TEMPLATE: a->p.name = arg; break;
    case OPT_TOOLS:
        if (!read_tools(a, arg, e)) return false;
        break;
    case OPT_TOOLS_IN_SYSTEM: a->p.tools_in_system = true; break;
    case OPT_DATE:
        if (!*arg) return err_set(e, ERR_ARG, "--date needs a date, as \"26 Jul 2024\"");
        a->p.date = arg;
        break;
    default: *taken = false; return true;
    }
    a->given = true;
    return true;
}

void app_chat_free(struct app_chat *a)
{
    free(a->tools);
    a->tools = NULL;
    a->p.tools = NULL;
}
