// Lines of code: nothing is cut, and a shell command that is wrapped can still be typed off.
#include "reports/layout_internal.h"

#include <stdlib.h>
#include <string.h>

// Where to break a shell line of n glyphs that is longer than max: at the last space outside
// quotes, where a backslash is allowed. 0: nowhere.
static size_t shell_break(const char *line, size_t max)
{
    char quote = 0;
    size_t best = 0;
    for (size_t i = 0; line[i] && i < max; i++) {
        if (quote ? line[i] == quote : line[i] == '\'' || line[i] == '"')
            quote = quote ? 0 : line[i];
        else if (line[i] == '\\' && line[i + 1])
            i++;
        else if (!quote && line[i] == ' ' && i > 8)
            best = i;
    }
    return best;
}

// The longest prefix of line that is at most width points wide; at least one character.
static size_t prefix_that_fits(struct doc *d, const char *line, double width)
{
    size_t n = strlen(line), lo = 1, hi = n;
    char *copy = malloc(n + 1);
    if (!copy) {
        layout_nomem(d);
        return n;
    }
    while (lo < hi) { // width grows with the prefix
        size_t mid = (lo + hi + 1) / 2;
        memcpy(copy, line, mid);
        copy[mid] = '\0';
        if (doc_measure(d, FONT_CODE, doc_type(ST_COMMAND)->size, copy) <= width)
            lo = mid;
        else
            hi = mid - 1;
    }
    while (lo < n && ((unsigned char)line[lo] & 0xc0) == 0x80) // whole characters
        lo++;
    free(copy);
    return lo;
}

static void code_item(struct doc *d, const char *text, size_t n, bool first, const char *mark,
                      double indent)
{
    const struct doc_type *type = doc_type(ST_COMMAND);
    struct item *it = layout_item(d, 0, type->leading);
    if (!it) return;
    const char *line = layout_keep(d, text, n);
    double y = layout_ascent(type);
    if (d->frame_depth > 1) doc_draw_rect(d, d->left - 4, 0, d->width + 8, it->height, DOC_WHITE);
    doc_draw_text(d, FONT_CODE, type->size, type->color, d->left + indent, y, ALIGN_LEFT, 0, line);
    if (mark)
        doc_draw_text(d, FONT_CODE, type->size, DOC_GREY, d->left + d->width, y, ALIGN_RIGHT, 0,
                      mark);
    d->items[d->n_items - 1].keep = mark != NULL || first;
}

static void code_line(struct doc *d, const char *line, bool shell)
{
    double char_width = doc_measure(d, FONT_CODE, doc_type(ST_COMMAND)->size, "m");
    size_t spaces = strspn(line, " ");
    double own = (double)spaces * char_width, indent = own < d->width / 2 ? own : 0;
    line += spaces;
    for (bool first = true; *line || first; first = false) {
        double room = d->width - indent;
        size_t n = strlen(line), fit;
        if (doc_measure(d, FONT_CODE, doc_type(ST_COMMAND)->size, line) <= room) {
            code_item(d, line, n, false, NULL, indent);
            return;
        }
        fit = prefix_that_fits(d, line, room - 2 * char_width); // room for the mark
        size_t at = shell ? shell_break(line, fit) : 0;
        if (at) {
            char *with = malloc(at + 3);
            if (!with) {
                layout_nomem(d);
                return;
            }
            memcpy(with, line, at);
            memcpy(with + at, " \\", 3);
            code_item(d, with, at + 2, first, NULL, indent);
            d->items[d->n_items - 1].keep = true;
            free(with);
            line += at + 1;
        } else {
            code_item(d, line, fit, first, "\xe2\x86\xa9", indent); // U+21A9
            line += fit;
        }
        indent += first ? 4 * char_width : 0;
    }
}

// Inside a frame code stands on white instead of the frame's colour; this is the white's edge.
static void code_edge(struct doc *d, bool above)
{
    if (d->frame_depth < 2 || !layout_item(d, 0, 5)) return;
    doc_draw_rect(d, d->left - 4, 0, d->width + 8, 5, DOC_WHITE);
    if (above) doc_keep(d);
}

void doc_code(struct doc *d, const char *text, bool shell)
{
    d->pending_space += 5;
    doc_frame_begin(d, DOC_TINT, false);
    code_edge(d, true);
    for (const char *p = text + strspn(text, "\n"); *p;) {
        size_t n = strcspn(p, "\n");
        code_line(d, layout_keep(d, p, n), shell);
        p += n + (p[n] == '\n');
    }
    doc_keep(d);
    code_edge(d, false);
    doc_frame_end(d);
    d->pending_space += 2;
}
