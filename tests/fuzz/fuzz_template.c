// Chat templates, and conversations in them:
//
//   0   flags: enum flags
//   1   the template; the tools; each zero-terminated
//       messages, zero-terminated: the role as a byte (64: it calls a function), then the text
//
// Everything ends with a text or with a sentence, the same input gives the same text, and JSON
// says in the templates' spelling what it said before.
#include "base/utf8.h"
#include "engine/tokenizer/tok.h"
#include "tests/fuzz/fuzz.h"

enum { N_MESSAGES = 8, CALL = 64 };
enum flags { FLAG_TOOLS = 1, FLAG_IN_SYSTEM = 2, FLAG_OPEN = 4, FLAG_DATE = 8 };

static size_t messages(const char **at, const char *end, struct chat_message msg[N_MESSAGES])
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", "ipython", "other"};
    size_t n = 0;
    while (n < N_MESSAGES && *at < end) {
        const char *s = fuzz_part(at, end);
        unsigned kind = (unsigned char)s[0];
        msg[n] = (struct chat_message){.role = roles[kind % CALL % 6], .text = *s ? s + 1 : s};
        if (kind & CALL) msg[n].call = "f";
        n++;
    }
    return n;
}

static void render(const struct vocab *v, const struct vocab_chat_params *p,
                   const struct chat_message *msg, size_t n)
{
    char *first, *second;
    struct err e = {0};
    if (!vocab_chat(v, p, msg, n, &first, &e)) {
        MUST(!first);
        fuzz_sentence(&e);
        return;
    }
    MUST(first && vocab_chat(v, p, msg, n, &second, &e) && !strcmp(first, second));
    free(first);
    free(second);
}

static bool is_utf8(const char *s)
{
    uint32_t cp;
    for (size_t n = strlen(s), i = 0, k; i < n; i += k) {
        k = utf8_decode(s + i, n - i, &cp);
        if (cp == 0xfffd && k == 1) return false;
    }
    return true;
}

// Bytes that are no UTF-8 are replaced; and what cJSON finds unlike itself (members of one name,
// numbers beyond any double) it cannot compare.
static void same_json(const char *before, const char *after)
{
    cJSON *a = cJSON_Parse(before), *again = cJSON_Parse(before);
    cJSON *b = cJSON_ParseWithOpts(after, NULL, true);
    MUST(a && again && b);
    for (const char *p = after; *p; p++) // a string's line ends are escaped
        MUST((unsigned char)*p >= ' ' || *p == '\n');
    if (is_utf8(before) && cJSON_Compare(a, again, true)) MUST(cJSON_Compare(a, b, true));
    cJSON_Delete(a);
    cJSON_Delete(again);
    cJSON_Delete(b);
}

// A call's arguments, which llama3.1 writes between fixed words.
static void check_call(const struct vocab *v, const char *json)
{
    static const char open[] = "\"parameters\": ", close[] = "}<|eot_id|>";
    const struct chat_message m = {.role = "assistant", .text = json, .call = "f"};
    const struct vocab_chat_params p = {.name = "llama3.1"};
    char *text;
    struct err e = {0};
    if (!vocab_chat(v, &p, &m, 1, &text, &e)) return;
    size_t n = strlen(text);
    MUST(n > sizeof close);
    text[n - (sizeof close - 1)] = '\0';
    const char *got = strstr(text, open);
    MUST(got);
    same_json(json, got + sizeof open - 1);
    free(text);
}

static void check_tools(const char *tools)
{
    struct text t = {0}, list = {0};
    struct err e = {0};
    if (chat_tools(&t, tools, &e)) {
        text_puts(&list, "[");
        for (const char *p = t.data, *end; (end = strstr(p, "\n\n")) != NULL; p = end + 2) {
            text_puts(&list, p > t.data ? "," : "");
            text_add(&list, p, (size_t)(end - p));
        }
        text_puts(&list, "]");
        MUST(!t.failed && !list.failed);
        same_json(tools, list.data);
    } else {
        fuzz_sentence(&e);
    }
    text_free(&t);
    text_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct vocab v = {.bos = -1, .eos = -1};
    struct chat_message msg[N_MESSAGES];
    struct err e = {0};
    char *copy = fuzz_copy(data, size), names[] = VOCAB_CHAT_NAMES;
    const char *at = copy + 1, *end = copy + size;
    const char *template = fuzz_part(&at, end), *tools = fuzz_part(&at, end);
    MUST(chat_recognise(&v.chat, template, strlen(template), &e));
    size_t n = messages(&at, end, msg);
    struct vocab_chat_params p = {
        .tools = data[0] & FLAG_TOOLS ? tools : NULL,
        .tools_in_system = data[0] & FLAG_IN_SYSTEM,
        .add_assistant = data[0] & FLAG_OPEN,
        .date = data[0] & FLAG_DATE ? "1 Jan 2025" : NULL,
    };
    render(&v, &p, msg, n);
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", ")) {
        p.name = name;
        render(&v, &p, msg, n);
    }
    check_call(&v, tools);
    check_tools(tools);
    chat_free(&v);
    free(copy);
    return 0;
}
