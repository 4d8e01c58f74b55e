// The normal form of a Jinja template, in which spelling does not matter: what different writers
// of the same template vary is written one way, so that parts can be compared as strings.
//
//   {%if message["role"] == "user" -%}   {%ifmessage['role']=='user'%}     no spaces, one quote
//   {{ '<|x|>' + '\n' }} and line ends    {{'<|x|>\n'}}                     escapes undone; outputs
//                                        and text between blocks are one output, joined by +
//   message.content, message['content']  @
//   |trim, .strip()                      nothing; remembered
//
// Comments are left out. White space around tags falls as trim_blocks and lstrip_blocks, which the
// templates are written for, let it. Branches that need tools are left out: `if tools`, `if
// message.tool_calls`, `if message.role == 'tool'` and the like, to the next branch of the same
// `if`.
#include "engine/tokenizer/tok.h"

#include <string.h>

struct norm {
    struct text *t;
    bool output;        // {{ is open
    size_t literal_end; // size behind the quote that closed the last literal
    unsigned depth;     // of `if`
    unsigned skip;      // depth of the branch that is left out, 0: none
};

static void literal(struct norm *n, const char *s, size_t size)
{
    struct text *t = n->t;
    if (size == 0) return;
    if (t->size && t->size == n->literal_end + 1 && t->data[t->size - 1] == '+')
        t->size -= 2; // 'a'+'b' is 'ab'
    else
        text_puts(t, "'");
    text_add(t, s, size);
    text_puts(t, "'");
    n->literal_end = t->size;
}

// s[0..size) is what stands between quotes.
static void quoted(struct norm *n, const char *s, size_t size)
{
    struct text plain = {0};
    for (size_t i = 0; i < size; i++) {
        char c = s[i];
        if (c == '\\' && i + 1 < size) {
            c = s[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        text_add(&plain, &c, 1);
    }
    literal(n, plain.data, plain.size);
    if (!plain.size) text_puts(n->t, "''");
    n->t->failed = n->t->failed || plain.failed;
    text_free(&plain);
}

// The end of a quoted string that begins at s[i], or size.
static size_t quote_end(const char *s, size_t size, size_t i)
{
    char quote = s[i++];
    while (i < size && s[i] != quote)
        i += s[i] == '\\' ? 2 : 1;
    return i < size ? i : size;
}

static void expression(struct norm *n, const char *s, size_t size)
{
    static const struct {
        const char *from, *to;
    } words[] = {
        {"message['content']", "@"},
        {"message[\"content\"]", "@"},
        {"message.content", "@"},
        {"message[\"role\"]", "message['role']"},
        {"message.role", "message['role']"},
    };
    for (size_t i = 0; i < size;) {
        size_t k = 0, len = 0;
        for (; k < sizeof words / sizeof words[0]; k++) {
            len = strlen(words[k].from);
            bool inside = i && (s[i - 1] == '_' || s[i - 1] == '.');
            if (!inside && len <= size - i && !memcmp(s + i, words[k].from, len)) break;
        }
        if (k < sizeof words / sizeof words[0]) {
            text_puts(n->t, words[k].to);
            i += len;
        } else if (s[i] == '\'' || s[i] == '"') {
            size_t end = quote_end(s, size, i);
            quoted(n, s + i + 1, end - i - 1);
            i = end < size ? end + 1 : size;
        } else {
            if ((unsigned char)s[i] > ' ') text_add(n->t, s + i, 1);
            i++;
        }
    }
}

static void begin_output(struct norm *n)
{
    text_puts(n->t, n->output ? "+" : "{{");
    n->output = true;
}

static bool begins(const char *s, size_t size, const char *with)
{
    size_t n = strlen(with);
    return size >= n && !memcmp(s, with, n);
}

static bool needs_tools(const char *s, size_t size)
{
    static const char *const tests[] = {
        "tools",
        "custom_tools",
        "builtin_tools",
        "message.tool_calls",
        "message['tool_calls']",
        "message['role']=='tool", // also tool_results
        "'tool_calls'in",
        "ns.is_tool",
        "message['role']=='assistant'and@isnone",
    };
    while (size && *s == '(')
        s++, size--;
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        if (begins(s, size, tests[i])) return true;
    return false;
}

static void block(struct norm *n, const char *s, size_t size)
{
    struct text b = {0};
    struct norm inner = {.t = &b, .literal_end = SIZE_MAX - 1};
    expression(&inner, s, size);
    text_add(&b, "", 0);
    const char *p = b.data ? b.data : "";
    bool is_if = begins(p, b.size, "if"), is_elif = begins(p, b.size, "elif");
    if (is_if) n->depth++;
    bool branch = n->depth == n->skip && (is_elif || begins(p, b.size, "else"));
    if (n->skip && (branch || (n->depth == n->skip && begins(p, b.size, "endif")))) n->skip = 0;
    size_t word = is_if ? 2 : 4;
    if (!n->skip && (is_if || is_elif) && needs_tools(p + word, b.size - word)) n->skip = n->depth;
    if (begins(p, b.size, "endif") && n->depth) n->depth--;
    if (!n->skip && n->output) text_puts(n->t, "}}");
    if (!n->skip) n->output = false;
    if (!n->skip) text_printf(n->t, "{%%%s%%}", p);
    n->t->failed = n->t->failed || b.failed;
    text_free(&b);
}

// Text between tags. after, before: the bytes at the inner ends of the tags around it, which may be
// '-'; kind: the letter of the tag before ('{', '%', '#') or 0; next: that of the tag behind.
static void between(struct norm *n, const char *s, size_t size, char kind, bool dash, char next,
                    char mark)
{
    static const char white[] = " \t\r\n\v\f";
    size_t begin = 0;
    bool line = kind == 0;
    if (dash)
        while (begin < size && strchr(white, s[begin]))
            begin++;
    else if ((kind == '%' || kind == '#') && size && s[0] == '\n')
        begin = 1, line = true;
    if (mark == '-') {
        while (size > begin && strchr(white, s[size - 1]))
            size--;
    } else if (mark != '+' && (next == '%' || next == '#')) {
        size_t end = size;
        while (end > begin && (s[end - 1] == ' ' || s[end - 1] == '\t'))
            end--;
        if (end == begin ? line : s[end - 1] == '\n') size = end;
    } else if (!next && size > begin && s[size - 1] == '\n') {
        size--; // the end of the template
    }
    if (size <= begin || n->skip) return;
    begin_output(n);
    literal(n, s + begin, size - begin);
}

// The end of a tag's inside, which begins at s[i]; quotes may hide one.
static size_t tag_end(const char *s, size_t size, size_t i, char kind)
{
    char close = kind == '{' ? '}' : kind;
    while (i + 1 < size && (s[i] != close || s[i + 1] != '}')) {
        if (kind != '#' && (s[i] == '\'' || s[i] == '"')) i = quote_end(s, size, i);
        i++;
    }
    return i + 1 < size ? i : size;
}

static void remove_all(struct text *t, const char *part, bool *found)
{
    size_t len = strlen(part), n = 0;
    for (size_t i = 0; i < t->size;) {
        if (begins(t->data + i, t->size - i, part)) {
            i += len;
            *found = true;
        } else {
            t->data[n++] = t->data[i++];
        }
    }
    if (!t->size) return;
    t->data[n] = '\0';
    t->size = n;
}

void chat_normalise(const char *s, size_t size, struct text *out, bool *trims)
{
    struct norm n = {.t = out, .literal_end = SIZE_MAX - 1};
    char kind = 0;
    bool dash = false;
    for (size_t at = 0; at < size;) {
        size_t tag = at;
        while (tag < size && !(s[tag] == '{' && tag + 1 < size && strchr("{%#", s[tag + 1])))
            tag++;
        bool last = tag >= size;
        char next = last ? '\0' : s[tag + 1], mark = tag + 2 < size ? s[tag + 2] : '\0';
        between(&n, s + at, tag - at, kind, dash, next, last ? '\0' : mark);
        if (last) break;
        size_t begin = tag + 2 + (mark == '-' || mark == '+'), end = tag_end(s, size, begin, next);
        size_t inside = end > begin ? end - begin : 0;
        dash = inside && s[end - 1] == '-';
        if (next == '{' && !n.skip) {
            begin_output(&n);
            expression(&n, s + begin, inside - dash);
        } else if (next == '%') {
            block(&n, s + begin, inside - dash);
        }
        kind = next;
        at = end + 2;
    }
    if (n.output) text_puts(out, "}}");
    text_add(out, "", 0);
    *trims = false;
    remove_all(out, "|trim", trims);
    remove_all(out, ".strip()", trims);
}
