// libFuzzer target: a chat template is recognised or not, and a conversation rendered.
//   input = flags, template, 0, tools, 0, then messages: role letter, text, 0
// Everything must end with a text or with a sentence, and the same input gives the same text.
#include "engine/tokenizer/tok.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_MESSAGES = 8 };

static void check(bool ok)
{
    if (!ok) abort();
}

// The next zero-terminated part; an empty one when nothing is left.
static const char *part(const char **at, const char *end)
{
    const char *s = *at;
    size_t n = strlen(s); // the input is copied with zero bytes behind it
    *at = s + n < end ? s + n + 1 : end;
    return s;
}

static size_t messages(const char **at, const char *end, struct chat_message msg[N_MESSAGES])
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", "ipython", "other"};
    size_t n = 0;
    while (n < N_MESSAGES && *at < end) {
        const char *s = part(at, end);
        unsigned kind = (unsigned char)s[0];
        msg[n] = (struct chat_message){.role = roles[kind % 6], .text = *s ? s + 1 : s};
        if (kind & 64) msg[n].call = "f";
        n++;
    }
    return n;
}

static void render(const struct vocab *v, const struct vocab_chat_params *p,
                   const struct chat_message *msg, size_t n)
{
    char *first, *second;
    struct err e = {0};
    bool ok = vocab_chat(v, p, msg, n, &first, &e);
    check(ok ? first != NULL : !first && e.code && e.msg[0]);
    if (!ok) return;
    check(vocab_chat(v, p, msg, n, &second, &e) && !strcmp(first, second));
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vocab v = {.bos = -1, .eos = -1};
    struct chat_message msg[N_MESSAGES];
    struct err e = {0};
    char *copy = calloc(size + 2, 1), names[] = VOCAB_CHAT_NAMES;
    if (!copy || size < 1) {
        free(copy);
        return 0;
    }
    memcpy(copy, data, size);
    unsigned flags = (unsigned char)copy[0];
    const char *at = copy + 1, *end = copy + size;
    const char *template = part(&at, end), *tools = part(&at, end);
    check(chat_recognise(&v.chat, template, strlen(template), &e));
    size_t n = messages(&at, end, msg);
    struct vocab_chat_params p = {
        .tools = flags & 1 ? tools : NULL,
        .tools_in_system = flags & 2,
        .add_assistant = flags & 4,
        .date = flags & 8 ? "1 Jan 2025" : NULL,
    };
    render(&v, &p, msg, n);
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", ")) {
        p.name = name;
        render(&v, &p, msg, n);
    }
    chat_free(&v);
    free(copy);
    return 0;
}
