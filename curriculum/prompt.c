#include "curriculum/prompt.h"

#include <string.h>

enum { WIDTH = 100 };

// Adds text broken at spaces into lines of at most WIDTH bytes; the first begins at column indent,
// where the caller has written so far, and later lines are indented by as much.
static void add_wrapped(struct text *out, const char *text, size_t indent)
{
    size_t column = indent;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " \n");
        if (column > indent && column + 1 + n > WIDTH) {
            text_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent && p[-1] == ' ') {
            text_puts(out, " ");
            column++;
        }
        text_add(out, p, n);
        column += n;
        p += n;
        if (*p == '\n') {
            text_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        }
        if (*p) p++;
    }
    text_puts(out, "\n");
}

static bool add_nodes(const cJSON *nodes, const struct facts *f, struct text *out, struct err *e)
{
    const cJSON *it;
    cJSON_ArrayForEach(it, nodes)
    {
        char *text;
        if (!facts_node(f, it, &text, e)) return false;
        if (!text) continue; // no alternative applies
        add_wrapped(out, text, 0);
        text_puts(out, "\n");
        cJSON_free(text);
    }
    return true;
}

static bool add_section(const cJSON *section, int number, const struct facts *f, struct text *out,
                        struct err *e)
{
    const cJSON *it;
    text_printf(out, "%d. %s\n", number, json_string_or(section, "title", ""));
    cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(section, "points"))
    {
        char *text;
        if (!facts_node(f, cJSON_GetObjectItemCaseSensitive(it, "text"), &text, e)) return false;
        if (!text)
            return err_set(e, ERR_INTERNAL, "prompt.json: point %s cannot be filled",
                           json_string_or(it, "id", "?"));
        text_printf(out, "   %s ", json_string_or(it, "id", "?"));
        add_wrapped(out, text, 7);
        cJSON_free(text);
    }
    text_puts(out, "\n");
    return true;
}

bool prompt_make(const cJSON *prompt, const struct facts *f, struct text *out, struct err *e)
{
    const cJSON *it;
    int n = 0;
    if (!add_nodes(cJSON_GetObjectItemCaseSensitive(prompt, "intro"), f, out, e)) return false;
    cJSON_ArrayForEach(it, cJSON_GetObjectItemCaseSensitive(prompt, "sections"))
    {
        if (!add_section(it, ++n, f, out, e)) return false;
    }
    if (!add_nodes(cJSON_GetObjectItemCaseSensitive(prompt, "closing"), f, out, e)) return false;
    return !out->failed || err_nomem(e, "the prompt", 0);
}
