#include "pdf_tools.h"

#include "base/json.h"
#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

char *tool_output(const char *command, int *status)
{
    char line[4096];
    struct text all = {0};
    snprintf(line, sizeof line, "{ %s; } 2>&1", command);
    FILE *f = popen(line, "r");
    if (!f) return NULL;
    char buf[4096];
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        text_add(&all, buf, n);
    text_add(&all, "", 0);
    int rc = pclose(f);
    *status = WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
    return all.data;
}

bool tool_exists(const char *name)
{
    char command[128];
    int status;
    snprintf(command, sizeof command, "command -v %s", name);
    free(tool_output(command, &status));
    return status == 0;
}

char *squeeze(const char *text)
{
    char *out = malloc(strlen(text) * 4 + 16);
    size_t n = 0;
    if (!out) return NULL;
    for (size_t left = strlen(text); left;) {
        uint32_t cp;
        size_t k = utf8_decode(text, left, &cp);
        text += k;
        left -= k;
        if (cp <= ' ' || cp == 0xa0 || cp == '`' || cp == '\\' || cp == 0x21a9) continue;
        if (cp > 0xffff || (cp >= 0x4e00 && cp <= 0x9fff)) // no face of ours has these
            n += (size_t)sprintf(out + n, "[U+%04X]", (unsigned)cp);
        else
            n += utf8_encode(cp, out + n);
    }
    out[n] = '\0';
    return out;
}
