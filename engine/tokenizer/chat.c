// Conversations as text. A file brings its template as a Jinja program; Lectern recognises the
// formats of chat_forms.c and renders those, with what varies inside a format (default system
// message, date, stripping, BOS) read from the file's own text.
#include "engine/tokenizer/tok.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { TEMPLATE_MAX = 65536 }; // bytes; published ones have up to 20,000

static const char default_date[] = "26 Jul 2024"; // of the templates, where no clock is given

// ------------------------------------------------------------------------------- recognising

static bool copy(char **out, const char *s, size_t n, struct err *e)
{
    *out = malloc(n + 1);
    if (!*out) return err_nomem(e, "the chat template", n);
    memcpy(*out, s, n);
    (*out)[n] = '\0';
    return true;
}

// The literal in: {%set NAME='literal'%}. The last one; of several dates it is the one that stands
// where no clock is given.
static struct gguf_str literal_set(const char *normal, const char *name)
{
    struct gguf_str found = {0};
    size_t n = strlen(name);
    for (const char *p = normal; (p = strstr(p, name)) != NULL;) {
        p += n;
        const char *end = strstr(p, "'%}");
        if (end && !memchr(p, '\'', (size_t)(end - p)))
            found = (struct gguf_str){p, (size_t)(end - p)};
    }
    return found;
}

// Is the assistant's opening an output of its own?
static bool opens(const struct chat_form *f, const char *normal)
{
    size_t n = f->opening ? strlen(f->opening) : 0;
    for (const char *p = normal; n && (p = strstr(p, "{{'")) != NULL;)
        if (!strncmp(p += 3, f->opening, n) && !strncmp(p + n, "'}}", 3)) return true;
    return false;
}

static bool details(struct tok_chat *c, const char *normal, const char *template,
                    struct gguf_str system, struct err *e)
{
    struct gguf_str set = literal_set(normal, "{%setsystem_message='");
    struct gguf_str date = literal_set(normal, "{%setdate_string='");
    bool off = strstr(normal, "false==true") != NULL; // Llama 2's switch for the default message
    c->bos = strstr(normal, "bos_token") != NULL;
    c->opens_always = !strstr(template, "add_generation_prompt") && opens(c->form, normal);
    c->tools = c->form->dated && strstr(template, "Environment: ipython") &&
               strstr(template, "Given the following functions, please respond with a JSON");
    if (!system.n && !off && c->form->place != CHAT_SYSTEM_NONE) system = set; // else never put out
    if (!date.n) date = (struct gguf_str){default_date, sizeof default_date - 1};
    return (!system.n || copy(&c->default_system, system.s, system.n, e)) &&
           copy(&c->date, date.s, date.n, e);
}

bool chat_recognise(struct tok_chat *c, const char *template, size_t size, struct err *e)
{
    struct text normal = {0};
    struct gguf_str system;
    char *copied = NULL;
    if (size > TEMPLATE_MAX || memchr(template, '\0', size)) return true;
    bool ok = copy(&copied, template, size, e);
    if (ok) chat_normalise(template, size, &normal, &c->trims);
    if (normal.failed) ok = err_nomem(e, "the chat template", size);
    if (ok) c->form = chat_form_of(normal.data, &system);
    if (ok && c->form)
        ok = details(c, normal.data, copied, system, e);
    else if (ok)
        c->like = chat_form_like(copied);
    text_free(&normal);
    free(copied);
    return ok;
}

bool chat_load(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct gguf_str s;
    if (!gguf_find(g, "tokenizer.chat_template")) return true;
    return gguf_string(g, "tokenizer.chat_template", &s, e) &&
           chat_recognise(&v->chat, s.s, s.n, e);
}

void chat_free(struct vocab *v)
{
    free(v->chat.date);
    free(v->chat.default_system);
    v->chat = (struct tok_chat){0};
}

const char *vocab_chat_template(const struct vocab *v)
{
    return v->chat.form ? v->chat.form->name : NULL;
}

// ----------------------------------------------------------------------------------- rendering

struct render {
    const struct vocab *v;
    const struct vocab_chat_params *p;
    const struct chat_form *form;
    struct tok_chat c;
    const struct chat_message *msg;
    size_t n;
    struct text *t;
};

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

static void add_text(const struct render *r, const char *s, bool keeps)
{
    if (r->c.trims && !keeps)
        add_stripped(r->t, s);
    else
        text_puts(r->t, s);
}

static void add_token(const struct render *r, int32_t id)
{
    size_t size;
    const char *s = vocab_piece(r->v, id, true, &size);
    text_add(r->t, s, size);
}

static bool is_role(const struct chat_message *m, const char *role)
{
    return strcmp(m->role, role) == 0;
}

static void open_turn(const struct render *r, const struct chat_turn *turn, const char *role)
{
    const char *mark = strchr(turn->open, '$');
    if (turn->bos) add_token(r, r->v->bos);
    if (!mark) {
        text_puts(r->t, turn->open);
        return;
    }
    text_add(r->t, turn->open, (size_t)(mark - turn->open));
    text_puts(r->t, role);
    text_puts(r->t, mark + 1);
}

static void close_turn(const struct render *r, const struct chat_turn *turn)
{
    text_puts(r->t, turn->close);
    if (turn->eos) add_token(r, r->v->eos);
    text_puts(r->t, turn->after);
}

// A user's turn with the system message in it; both are stripped as one text.
static void add_with_system(const struct render *r, const char *system, const char *text)
{
    const struct chat_form *f = r->form;
    struct text both = {0};
    text_puts(&both, f->system.open);
    text_puts(&both, system);
    text_puts(&both, f->system.close);
    text_puts(&both, text);
    if (!both.failed) add_text(r, both.data, f->user.keeps);
    r->t->failed = r->t->failed || both.failed;
    text_free(&both);
}

// {"name": "f", "parameters": {...}} and results as JSON strings: Llama 3.1's words for functions.
static bool add_call(const struct render *r, const struct chat_message *m, struct err *e)
{
    cJSON *json = json_parse(m->text, strlen(m->text), "a function's arguments", e);
    if (!json) return false;
    cJSON_Delete(json);
    text_puts(r->t, "{\"name\": \"");
    text_puts(r->t, m->call);
    text_puts(r->t, "\", \"parameters\": ");
    (void)chat_json(r->t, m->text, 0, 0);
    text_puts(r->t, "}");
    return true;
}

static const char *behind_thoughts(const char *text)
{
    static const char end[] = "</think>";
    for (const char *p; (p = strstr(text, end)) != NULL;)
        text = p + sizeof end - 1;
    return text;
}

static bool add_message(const struct render *r, size_t i, const char *system, struct err *e)
{
    const struct chat_form *f = r->form;
    const struct chat_message *m = &r->msg[i];
    bool result = f->dated && (is_role(m, "tool") || is_role(m, "ipython"));
    const struct chat_turn *turn = is_role(m, "user")                       ? &f->user
                                   : is_role(m, "system")                   ? &f->system
                                   : is_role(m, "assistant") || f->any_role ? &f->assistant
                                                                            : NULL;
    if (!turn || (turn == &f->system && (f->place != CHAT_SYSTEM_TURN || (f->reasons && i))) ||
        (m->call && (!f->dated || turn != &f->assistant)))
        return err_set(e, ERR_ARG,
                       "message %zu: the chat format %s has no place for a message of role '%.20s'"
                       "%s%s",
                       i + 1, f->name, m->role, m->call ? " that calls a function" : "",
                       turn == &f->system && i == 0 ? "; leave the system message out" : "");
    open_turn(r, turn, result ? "ipython" : m->role);
    if (m->call) {
        if (!add_call(r, m, e)) return false;
    } else if (result) {
        text_json(r->t, m->text, strlen(m->text), false);
    } else if (system) {
        add_with_system(r, system, m->text);
    } else {
        add_text(r, f->reasons && turn == &f->assistant ? behind_thoughts(m->text) : m->text,
                 turn->keeps);
    }
    close_turn(r, turn);
    return true;
}

static const char respond_in[] =
    "Respond in the format {\"name\": function name, \"parameters\": dictionary of argument name "
    "and its value}.Do not use variables.\n\n";

// The header that Llama 3.1 has always. *next: the first message behind it.
static bool add_header(const struct render *r, size_t *next, struct err *e)
{
    const struct vocab_chat_params *p = r->p;
    bool has_system = is_role(&r->msg[0], "system");
    open_turn(r, &r->form->system, "system");
    if (p->tools) text_puts(r->t, "Environment: ipython\n");
    text_puts(r->t, "Cutting Knowledge Date: December 2023\nToday Date: ");
    text_puts(r->t, p->date ? p->date : r->c.date ? r->c.date : default_date);
    text_puts(r->t, "\n\n");
    if (p->tools && p->tools_in_system) {
        text_puts(r->t, "You have access to the following functions. To call a function, please "
                        "respond with JSON for a function call.");
        text_puts(r->t, respond_in);
        if (!chat_tools(r->t, p->tools, e)) return false;
    }
    if (has_system) add_text(r, r->msg[0].text, false);
    close_turn(r, &r->form->system);
    *next = has_system;
    if (!p->tools || p->tools_in_system) return true;
    if (*next == r->n)
        return err_set(e, ERR_ARG, "tools stand in the first user message, and there is none");
    open_turn(r, &r->form->user, "user");
    text_puts(r->t, "Given the following functions, please respond with a JSON for a function call "
                    "with its proper arguments that best answers the given prompt.\n\n");
    text_puts(r->t, respond_in);
    if (!chat_tools(r->t, p->tools, e)) return false;
    add_text(r, r->msg[(*next)++].text, false);
    close_turn(r, &r->form->user);
    return true;
}

static bool check_turns(const struct render *r, size_t first, struct err *e)
{
    for (size_t i = first; i < r->n; i++)
        if (!is_role(&r->msg[i], (i - first) % 2 ? "assistant" : "user"))
            return err_set(e, ERR_ARG,
                           "message %zu is of role '%.20s'; the chat format %s wants user and "
                           "assistant in turn, after at most one system message",
                           i + 1, r->msg[i].role, r->form->name);
    return true;
}

static bool render(struct render *r, struct err *e)
{
    const struct chat_form *f = r->form;
    bool inside = f->place == CHAT_SYSTEM_FIRST || f->place == CHAT_SYSTEM_LAST;
    bool has_system = is_role(&r->msg[0], "system");
    const char *system = has_system ? r->msg[0].text : r->c.default_system;
    size_t next = 0;
    if (f->in_turn && !check_turns(r, has_system, e)) return false;
    if (r->c.bos && !f->user.bos) add_token(r, r->v->bos);
    if (f->dated && !add_header(r, &next, e)) return false;
    if (!f->dated && !inside && !has_system && system) {
        open_turn(r, &f->system, "system");
        text_puts(r->t, system);
        text_puts(r->t, f->default_whole ? "" : f->system.close);
    }
    if (inside && has_system) next = 1;
    size_t at = f->place == CHAT_SYSTEM_FIRST ? next : r->n - 1; // where it stands, if inside
    for (; next < r->n; next++) {
        bool here = inside && system && next == at && is_role(&r->msg[next], "user");
        if (!add_message(r, next, here ? system : NULL, e)) return false;
    }
    if (f->opening && (r->p->add_assistant || r->c.opens_always)) text_puts(r->t, f->opening);
    return true;
}

// A format by name on a file of another: the plainest published form of that name.
static bool choose(struct render *r, struct err *e)
{
    const struct tok_chat *own = &r->v->chat;
    const char *name = r->p->name;
    if (!name && !own->form)
        return err_set(e, ERR_UNSUPPORTED,
                       "the model brings no chat template that Lectern knows%s%s; choose one with "
                       "--chat-template (" VOCAB_CHAT_NAMES ")",
                       own->like ? ", though it is like " : "", own->like ? own->like : "");
    if (!name || (own->form && !strcmp(name, own->form->name))) {
        r->form = own->form;
        r->c = *own;
    } else {
        r->form = chat_form_named(name);
        if (!r->form)
            return err_set(e, ERR_ARG, "there is no chat template '%.40s': " VOCAB_CHAT_NAMES,
                           name);
        r->c = (struct tok_chat){
            .trims = !r->form->keeps, .bos = r->form->bos, .tools = r->form->dated};
    }
    if (r->p->tools && !r->c.tools)
        return err_set(e, ERR_UNSUPPORTED,
                       "the chat template %s has no words for tools; llama3.1 has", r->form->name);
    return true;
}

bool vocab_chat(const struct vocab *v, const struct vocab_chat_params *p,
                const struct chat_message *msg, size_t n, char **out, struct err *e)
{
    struct text t = {0};
    struct render r = {.v = v, .p = p, .msg = msg, .n = n, .t = &t};
    *out = NULL;
    if (!choose(&r, e)) return false;
    if (n == 0) return err_set(e, ERR_ARG, "a chat needs at least one message");
    bool ok = render(&r, e);
    text_add(&t, "", 0);
    if (ok && t.failed) ok = err_nomem(e, "the chat's text", t.size);
    if (ok)
        *out = t.data;
    else
        text_free(&t);
    return ok;
}
