// The chat formats of the family, as the templates published with the models spell them. A form is
// recognised when the template's normal form (chat_norm.c) has all of `must`, and every output is
// one of `must`, `outs`, the few that all share, or the default system message.
#include "engine/tokenizer/tok.h"

#include <string.h>

#define ROLE "message['role']"
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define HEADER_TURN HEADER("$"), "<|eot_id|>", "", false, false, false
#define HEADER_OUT "'<|start_header_id|>'+" ROLE "+'<|end_header_id|>\n\n'+@+'<|eot_id|>'"
#define IM_TURN "<|im_start|>$\n", "<|im_end|>\n", "", false, false, false
#define IM_OUT(role) "'<|im_start|>" role "\n'+@+'<|im_end|>\n'"
#define BAR_TURN "<|$|>\n", "", "\n", true, false, false
#define BAR_OUT(role) "'<|" role "|>\n'+@+eos_token+'\n'"
#define R1(word) "<\xef\xbd\x9c" word "\xef\xbd\x9c>"
#define R1_END R1("end\xe2\x96\x81of\xe2\x96\x81sentence")
#define R1_MUST "'" R1("User") "'+@", "'" R1("Assistant") "'+content+'" R1_END "'"
#define R1_USER R1("User"), "", "", false, false, false
#define R1_ASSISTANT R1("Assistant"), R1_END, "", false, false, false
#define INST_SYSTEM "", "\n\n", "", false, false, true

static const struct chat_form forms[] = {
    {.name = "llama3.1", // 3.1, 3.2, 3.3
     .must = {HEADER_OUT,
              "'Cutting Knowledge Date: December 2023\nToday Date: '+date_string+'\n\n'"},
     .outs = {"'" HEADER("assistant") "'", "'" HEADER("system") "'", "system_message+'<|eot_id|>'"},
     .user = {HEADER_TURN},
     .assistant = {HEADER_TURN},
     .system = {HEADER_TURN},
     .opening = HEADER("assistant"),
     .bos = true,
     .any_role = true,
     .dated = true},
    {.name = "llama3",
     .must = {HEADER_OUT},
     .outs = {"'" HEADER("assistant") "'", "content"},
     .user = {HEADER_TURN},
     .assistant = {HEADER_TURN},
     .system = {HEADER_TURN},
     .opening = HEADER("assistant"),
     .bos = true,
     .any_role = true},
    {.name = "llama2", // and Code Llama
     .must = {"bos_token+'[INST] '+content+' [/INST]'", "' '+content+' '+eos_token",
              "'<<SYS>>\n'+system_message+'\n<</SYS>>\n\n'+@"},
     .outs = {"'<<SYS>>\n'+content+'\n<</SYS>>\n\n'"}, // of an older one, never reached
     .user = {"[INST] ", " [/INST]", "", false, true, false},
     .assistant = {" ", " ", "", true, false, false},
     .system = {"<<SYS>>\n", "\n<</SYS>>\n\n", "", false, false, true},
     .place = CHAT_SYSTEM_FIRST,
     .in_turn = true},
    {.name = "chatml",
     .must = {"'<|im_start|>'+" ROLE "+'\n'+@+'<|im_end|>\n'"},
     .outs = {"'<|im_start|>assistant\n'", "'<|im_start|>system\n'+system_message+'<|im_end|>\n'",
              "'<|im_start|>system\n'+messages[0]['content']+'<|im_end|>\n'"},
     .user = {IM_TURN},
     .assistant = {IM_TURN},
     .system = {IM_TURN},
     .opening = "<|im_start|>assistant\n",
     .default_open = "<|im_start|>system\n",
     .default_close = "<|im_end|>\n",
     .keeps = true,
     .any_role = true},
    {.name = "chatml",
     .must = {IM_OUT("user"), IM_OUT("assistant")},
     .outs = {"'<|im_start|>assistant\n'", IM_OUT("system"),
              "'<|im_start|>system\n'+system_message+'<|im_end|>\n'"},
     .user = {IM_TURN},
     .assistant = {IM_TURN},
     .system = {IM_TURN},
     .opening = "<|im_start|>assistant\n",
     .default_open = "<|im_start|>system\n",
     .default_close = "<|im_end|>\n",
     .keeps = true},
    {.name = "zephyr", // and TinyLlama
     .must = {BAR_OUT("user"), BAR_OUT("assistant"), BAR_OUT("system")},
     .outs = {"'<|assistant|>\n'"},
     .user = {BAR_TURN},
     .assistant = {BAR_TURN},
     .system = {BAR_TURN},
     .opening = "<|assistant|>\n",
     .keeps = true},
    {.name = "mistral", // 7B v0.2, later form
     .must = {"' [INST] '+@+' [/INST]'", "' '+@+eos_token",
              "' [INST] '+system_message+'\n\n'+@+' [/INST]'"},
     .user = {" [INST] ", " [/INST]", "", false, false, true},
     .assistant = {" ", "", "", true, false, false},
     .system = {INST_SYSTEM},
     .place = CHAT_SYSTEM_FIRST,
     .bos = true,
     .keeps = true,
     .in_turn = true},
    {.name = "mistral", // 7B v0.1
     .must = {"'[INST] '+@+' [/INST]'", "@+eos_token+' '"},
     .user = {"[INST] ", " [/INST]", "", false, false, true},
     .assistant = {"", "", " ", true, false, false},
     .place = CHAT_SYSTEM_NONE,
     .in_turn = true},
    {.name = "mistral", // 7B v0.2
     .must = {"'[INST] '+@+' [/INST]'", "@+eos_token"},
     .user = {"[INST] ", " [/INST]", "", false, false, true},
     .assistant = {"", "", "", true, false, false},
     .place = CHAT_SYSTEM_NONE,
     .in_turn = true},
    {.name = "mistral", // 7B v0.3, Large 2407
     .must = {"'[INST] '+@+'[/INST]'", "' '+@+eos_token",
              "'[INST] '+system_message+'\n\n'+@+'[/INST]'"},
     .user = {"[INST] ", "[/INST]", "", false, false, true},
     .assistant = {" ", "", "", true, false, false},
     .system = {INST_SYSTEM},
     .place = CHAT_SYSTEM_LAST,
     .in_turn = true},
    {.name = "mistral", // Nemo
     .must = {"'[INST]'+@+'[/INST]'", "@+eos_token", "'[INST]'+system_message+'\n\n'+@+'[/INST]'"},
     .user = {"[INST]", "[/INST]", "", false, false, true},
     .assistant = {"", "", "", true, false, false},
     .system = {INST_SYSTEM},
     .place = CHAT_SYSTEM_LAST,
     .in_turn = true},
    {.name = "vicuna",
     .must = {"'USER: '+@+'\n'", "'ASSISTANT: '+@+eos_token+'\n'"},
     .outs = {"bos_token+system_message", "'ASSISTANT:'"},
     .user = {"USER: ", "\n", "", false, false, false},
     .assistant = {"ASSISTANT: ", "", "\n", true, false, false},
     .system = {"", "\n\n", "", false, false, false},
     .opening = "ASSISTANT:",
     .bos = true,
     .in_turn = true},
    {.name = "vicuna", // 13B v1.1
     .must = {"'USER: '+@+'\n'", "'ASSISTANT: '+@+'</s>\n'"},
     .outs = {"''+@+'\n\n'", "@+'\n\n'", "'ASSISTANT:'"},
     .user = {"USER: ", "\n", "", false, false, false},
     .assistant = {"ASSISTANT: ", "</s>\n", "", false, false, false},
     .system = {"", "\n\n", "", false, false, false},
     .opening = "ASSISTANT:"},
    {.name = "alpaca",
     .must = {"'### Instruction:\n'+@+'\n\n'", "'### Response:\n'+@+eos_token+'\n\n'"},
     .outs = {"bos_token+system_message", "'### Response:\n'"},
     .user = {"### Instruction:\n", "\n\n", "", false, false, false},
     .assistant = {"### Response:\n", "", "\n\n", true, false, false},
     .system = {"", "\n\n", "", false, false, false},
     .opening = "### Response:\n",
     .bos = true,
     .in_turn = true},
    {.name = "deepseek-coder",
     .must = {"'### Instruction:\n'+@+'\n'", "'### Response:\n'+@+'\n<|EOT|>\n'"},
     .outs = {"@", "'### Response:\n'"},
     .user = {"### Instruction:\n", "\n", "", false, false, false},
     .assistant = {"### Response:\n", "\n<|EOT|>\n", "", false, false, false},
     .system = {"", "", "", false, false, false},
     .opening = "### Response:\n",
     .default_open = "You are ",
     .default_close = "\n",
     .default_whole = true,
     .bos = true,
     .keeps = true},
    {.name = "deepseek", // LLM 7B, 67B
     .must = {"'User: '+@+'\n\n'", "'Assistant: '+@+eos_token"},
     .outs = {"@+'\n\n'", "'Assistant:'"},
     .user = {"User: ", "\n\n", "", false, false, false},
     .assistant = {"Assistant: ", "", "", true, false, false},
     .system = {"", "\n\n", "", false, false, false},
     .opening = "Assistant:",
     .bos = true,
     .keeps = true},
    {.name = "deepseek-r1", // distilled into Llama
     .must = {R1_MUST},
     .outs = {"bos_token+ns.system_prompt", "'" R1("Assistant") "<think>\n'"},
     .user = {R1_USER},
     .assistant = {R1_ASSISTANT},
     .system = {"", "", "", false, false, false},
     .opening = R1("Assistant") "<think>\n",
     .bos = true,
     .keeps = true,
     .reasons = true},
    {.name = "deepseek-r1", // before it was made to think first
     .must = {R1_MUST},
     .outs = {"bos_token+ns.system_prompt", "'" R1("Assistant") "'"},
     .user = {R1_USER},
     .assistant = {R1_ASSISTANT},
     .system = {"", "", "", false, false, false},
     .opening = R1("Assistant"),
     .bos = true,
     .keeps = true,
     .reasons = true},
};

const struct chat_form *chat_form_named(const char *name)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (!strcmp(forms[i].name, name)) return &forms[i];
    return NULL;
}

static bool is(const char *s, size_t size, const char *text)
{
    return strlen(text) == size && !memcmp(s, text, size);
}

static bool listed(const char *const *list, size_t n, const char *s, size_t size)
{
    for (size_t i = 0; i < n && list[i]; i++)
        if (is(s, size, list[i])) return true;
    return false;
}

// 'OPEN...CLOSE', one literal: what it puts in place of a system message.
static bool default_system(const struct chat_form *f, const char *s, size_t size,
                           struct gguf_str *out)
{
    if (!f->default_open) return false;
    size_t open = strlen(f->default_open), close = strlen(f->default_close);
    if (size < open + close + 2 || s[0] != '\'' || s[size - 1] != '\'' ||
        memcmp(s + 1, f->default_open, open) != 0 ||
        memcmp(s + size - 1 - close, f->default_close, close) != 0)
        return false;
    for (size_t i = 1; i + 2 < size; i++) // 'a'+x+'b' is not one literal
        if (s[i] == '\'' && s[i + 1] == '+') return false;
    if (f->default_whole)
        *out = (struct gguf_str){s + 1, size - 2};
    else
        *out = (struct gguf_str){s + 1 + open, size - 2 - open - close};
    return true;
}

static bool output_known(const struct chat_form *f, const char *s, size_t size,
                         struct gguf_str *system)
{
    static const char raise[] = "raise_exception(";
    if (is(s, size, "bos_token") || (size >= sizeof raise && !memcmp(s, raise, sizeof raise - 1)))
        return true;
    return listed(f->must, CHAT_N_MUST, s, size) || listed(f->outs, CHAT_N_OUTS, s, size) ||
           default_system(f, s, size, system);
}

static bool matches(const struct chat_form *f, const char *normal, struct gguf_str *system)
{
    for (size_t i = 0; i < CHAT_N_MUST && f->must[i]; i++)
        if (!strstr(normal, f->must[i])) return false;
    for (const char *p = normal; (p = strstr(p, "{{")) != NULL;) {
        const char *end = strstr(p += 2, "}}");
        if (!end || !output_known(f, p, (size_t)(end - p), system)) return false;
        p = end + 2;
    }
    return true;
}

const struct chat_form *chat_form_of(const char *normal, struct gguf_str *system)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        *system = (struct gguf_str){0};
        if (matches(&forms[i], normal, system)) return &forms[i];
    }
    *system = (struct gguf_str){0};
    return NULL;
}

const char *chat_form_like(const char *template)
{
    static const char *const marks[][2] = {
        {"<|im_start|>", "chatml"},     {"<|start_header_id|>", "llama3"},
        {"<<SYS>>", "llama2"},          {"[INST]", "mistral"},
        {"<|assistant|>", "zephyr"},    {"<|EOT|>", "deepseek-coder"},
        {"### Instruction:", "alpaca"}, {"ASSISTANT:", "vicuna"},
        {R1("User"), "deepseek-r1"},
    };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (strstr(template, marks[i][0])) return marks[i][1];
    return NULL;
}
