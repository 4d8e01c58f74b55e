// Chat templates. A file brings its template as a Jinja program; Lectern recognises the three
// kinds of the family by the strings they cannot do without and renders those, with what varies
// inside a kind (default system message, date, stripping) read from the file's own text.
//
//   chatml  <|im_start|>ROLE\nTEXT<|im_end|>\n ...
//   llama3  BOS <|start_header_id|>ROLE<|end_header_id|>\n\nTEXT<|eot_id|> ...
//   llama2  BOS[INST] <<SYS>>\nSYSTEM\n<</SYS>>\n\nUSER [/INST] ANSWER EOS BOS[INST] ...
//
// Sources: the templates published with SmolLM2, Llama 2, Llama 3, 3.1, 3.2 and 3.3.
#include "engine/tokenizer/tok.h"
#include "base/size.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char default_date[] = "26 Jul 2024"; // of the templates, where no clock is given

// A malloc'ed copy of s[0..n) in which the escapes of a Jinja string are undone.
static char *unescape(const char *s, size_t n)
{
    char *out = malloc(n + 1);
    size_t k = 0;
    for (size_t i = 0; out && i < n; i++) {
        if (s[i] == '\\' && i + 1 < n) {
            i++;
            out[k++] = s[i] == 'n' ? '\n' : s[i] == 't' ? '\t' : s[i];
        } else {
            out[k++] = s[i];
        }
    }
    if (out) out[k] = '\0';
    return out;
}

// Does a string literal end between p and end? A quote inside a text is followed by a letter.
static bool has_quote(const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        else if ((*p == '\'' || *p == '"') && (p[1] == ' ' || p[1] == '+' || p[1] == '}'))
            return true;
    }
    return false;
}

// The literal text between "<|im_start|>system\n" and "<|im_end|>". Where the literal ends before
// that, the template puts a message's own text there.
static bool find_default_system(struct tok_chat *c, const char *template, struct err *e)
{
    static const char open[] = "<|im_start|>system";
    for (const char *p = template; (p = strstr(p, open)) != NULL;) {
        p += sizeof open - 1;
        size_t newline = *p == '\n' ? 1 : strncmp(p, "\\n", 2) == 0 ? 2 : 0;
        const char *begin = p + newline, *end = strstr(begin, "<|im_end|>");
        if (!newline || !end || *begin == '\'' || *begin == '"' || has_quote(begin, end)) continue;
        c->default_system = unescape(begin, (size_t)(end - begin));
        return c->default_system ? true : err_nomem(e, "the chat template", 0);
    }
    return true;
}

// The day in: date_string = "26 Jul 2024". The last one stands where no clock is given.
static bool find_date(struct tok_chat *c, const char *template, struct err *e)
{
    static const char set[] = "date_string = \"";
    const char *begin = default_date;
    size_t n = sizeof default_date - 1;
    for (const char *p = template; (p = strstr(p, set)) != NULL;) {
        p += sizeof set - 1;
        begin = p;
        n = strcspn(p, "\"");
    }
    c->date = unescape(begin, n);
    return c->date ? true : err_nomem(e, "the chat template", n);
}

bool chat_load(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct gguf_str s;
    struct tok_chat *c = &v->chat;
    if (!gguf_find(g, "tokenizer.chat_template")) return true;
    if (!gguf_string(g, "tokenizer.chat_template", &s, e)) return false;
    char *template = malloc(s.n + 1);
    if (!template) return err_nomem(e, "the chat template", s.n);
    memcpy(template, s.s, s.n);
    template[s.n] = '\0';
    bool ok = true;
    c->trims = strstr(template, "trim") || strstr(template, "strip()");
    if (strstr(template, "<|im_start|>") && strstr(template, "<|im_end|>")) {
        c->name = "chatml";
        ok = find_default_system(c, template, e);
    } else if (strstr(template, "<|start_header_id|>") && strstr(template, "<|eot_id|>")) {
        c->name = "llama3";
        c->dated = strstr(template, "Cutting Knowledge Date") != NULL;
        ok = !c->dated || find_date(c, template, e);
    } else if (strstr(template, "[INST]") && strstr(template, "<<SYS>>")) {
        c->name = "llama2";
    }
    free(template);
    return ok;
}

void chat_free(struct vocab *v)
{
    free(v->chat.date);
    free(v->chat.default_system);
    v->chat = (struct tok_chat){0};
}

const char *vocab_chat_template(const struct vocab *v)
{
    return v->chat.name;
}

// ----------------------------------------------------------------------------------- rendering

// What the templates' strip() and trim take off: Python's white space.
static bool is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32) || cp == 0x85 || cp == 0xa0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

// Adds s without the white space at its ends.
static void add_stripped(struct text *t, const char *s)
{
    size_t begin = 0, end = 0, n = strlen(s), len;
    uint32_t cp;
    for (size_t i = 0; i < n; i += len) {
        len = utf8_decode(s + i, n - i, &cp);
        if (is_space(cp)) continue;
        if (end == 0) begin = i;
        end = i + len;
    }
    text_add(t, s + begin, end - begin);
}

static void add_text(struct text *t, const char *s, bool strips)
{
    if (strips)
        add_stripped(t, s);
    else
        text_puts(t, s);
}

static void add_token(struct text *t, const struct vocab *v, int32_t id)
{
    size_t size;
    const char *s = vocab_piece(v, id, true, &size);
    text_add(t, s, size);
}

static bool is_role(const struct chat_message *m, const char *role)
{
    return strcmp(m->role, role) == 0;
}

static void render_chatml(const struct tok_chat *c, const struct chat_message *msg, size_t n,
                          bool add_assistant, struct text *t)
{
    if (c->default_system && !is_role(&msg[0], "system")) {
        text_puts(t, "<|im_start|>system\n");
        text_puts(t, c->default_system);
        text_puts(t, "<|im_end|>\n");
    }
    for (size_t i = 0; i < n; i++) {
        text_puts(t, "<|im_start|>");
        text_puts(t, msg[i].role);
        text_puts(t, "\n");
        add_text(t, msg[i].text, c->trims);
        text_puts(t, "<|im_end|>\n");
    }
    if (add_assistant) text_puts(t, "<|im_start|>assistant\n");
}

static void llama3_header(struct text *t, const char *role)
{
    text_puts(t, "<|start_header_id|>");
    text_puts(t, role);
    text_puts(t, "<|end_header_id|>\n\n");
}

static void render_llama3(const struct vocab *v, const struct tok_chat *c,
                          const struct chat_message *msg, size_t n, bool add_assistant,
                          struct text *t)
{
    size_t i = 0;
    add_token(t, v, v->bos);
    if (c->dated) {
        llama3_header(t, "system");
        text_puts(t, "Cutting Knowledge Date: December 2023\nToday Date: ");
        text_puts(t, c->date);
        text_puts(t, "\n\n");
        if (is_role(&msg[0], "system")) add_text(t, msg[i++].text, c->trims);
        text_puts(t, "<|eot_id|>");
    }
    for (; i < n; i++) {
        llama3_header(t, msg[i].role);
        add_text(t, msg[i].text, c->trims);
        text_puts(t, "<|eot_id|>");
    }
    if (add_assistant) llama3_header(t, "assistant");
}

// The system message and the user's are stripped as one text.
static void llama2_user(const struct vocab *v, const struct tok_chat *c, const char *system,
                        const char *user, struct text *t)
{
    struct text content = {0};
    if (system) {
        text_puts(&content, "<<SYS>>\n");
        text_puts(&content, system);
        text_puts(&content, "\n<</SYS>>\n\n");
    }
    text_puts(&content, user);
    add_token(t, v, v->bos);
    text_puts(t, "[INST] ");
    if (!content.failed) add_text(t, content.data, c->trims);
    text_puts(t, " [/INST]");
    t->failed = t->failed || content.failed;
    text_free(&content);
}

static bool render_llama2(const struct vocab *v, const struct tok_chat *c,
                          const struct chat_message *msg, size_t n, struct text *t, struct err *e)
{
    size_t first = is_role(&msg[0], "system") ? 1 : 0;
    for (size_t i = first; i < n; i++) {
        bool user = (i - first) % 2 == 0;
        if (!is_role(&msg[i], user ? "user" : "assistant"))
            return err_set(e, ERR_ARG,
                           "message %zu is of role '%.20s'; the Llama 2 template wants user and "
                           "assistant in turn, after at most one system message",
                           i + 1, msg[i].role);
        if (user) {
            llama2_user(v, c, first && i == first ? msg[0].text : NULL, msg[i].text, t);
        } else {
            text_puts(t, " ");
            add_text(t, msg[i].text, c->trims);
            text_puts(t, " ");
            add_token(t, v, v->eos);
        }
    }
    return true;
}

bool vocab_chat(const struct vocab *v, const char *name, const struct chat_message *msg, size_t n,
                bool add_assistant, char **out, struct err *e)
{
    struct text t = {0};
    bool ok = true;
    *out = NULL;
    if (!name) name = v->chat.name;
    if (!name)
        return err_set(
            e, ERR_UNSUPPORTED,
            "the model brings no chat template that Lectern knows; choose chatml, llama3 "
            "or llama2, or give it a plain prompt");
    if (n == 0) return err_set(e, ERR_ARG, "a chat needs at least one message");
    // A template by name on a file of another kind: the plainest official form of that name.
    bool own = v->chat.name && strcmp(name, v->chat.name) == 0;
    struct tok_chat c = own ? v->chat : (struct tok_chat){.trims = strcmp(name, "chatml") != 0};
    if (!strcmp(name, "chatml"))
        render_chatml(&c, msg, n, add_assistant, &t);
    else if (!strcmp(name, "llama3"))
        render_llama3(v, &c, msg, n, add_assistant, &t);
    else if (!strcmp(name, "llama2"))
        ok = render_llama2(v, &c, msg, n, &t, e);
    else
        ok = err_set(e, ERR_ARG, "there is no chat template '%.40s': chatml, llama3 or llama2",
                     name);
    text_add(&t, "", 0);
    if (ok && t.failed) ok = err_nomem(e, "the chat's text", t.size);
    if (ok)
        *out = t.data;
    else
        text_free(&t);
    return ok;
}
