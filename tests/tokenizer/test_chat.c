// Chat templates: what the published Jinja programs render for these messages, as golden texts
// (made with jinja2, trim_blocks and lstrip_blocks on). The templates here are reduced to what
// makes a conversation: loops, conditions on roles, and the outputs.
#include "base/file.h"
#include "engine/engine.h"
#include "tests/tiny_gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "test_chat.gguf"
#define IF_USER "{% if message['role'] == 'user' %}"
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define DATES HEADER("system") "Cutting Knowledge Date: December 2023\nToday Date: "

static const struct chat_message talk[] = {{.role = "system", .text = " Be brief.\n"},
                                           {.role = "user", .text = " Hi \n"},
                                           {.role = "assistant", .text = "Hello\xc2\xa0"},
                                           {.role = "user", .text = "Bye"}};

static struct vocab *with_template(const char *template)
{
    struct tiny t;
    struct vocab *v = NULL;
    struct err e = {0};
    tiny_begin(&t, 3);
    bool ok = tiny_vocab_keys(&t, TINY_SPM, 260, &e);
    if (template) tiny_str(&t, "tokenizer.chat_template", template);
    if (!ok || !tiny_write(&t, PATH, &e) || !vocab_open(PATH, &v, &e)) fail_msg("%s", e.msg);
    tiny_free(&t);
    return v;
}

static void expect_with(const struct vocab *v, const struct vocab_chat_params *p,
                        const struct chat_message *msg, size_t n, const char *want)
{
    char *got;
    struct err e = {0};
    if (!vocab_chat(v, p, msg, n, &got, &e)) fail_msg("%s", e.msg);
    assert_string_equal(got, want);
    free(got);
}

static void expect(const struct vocab *v, const char *name, size_t first, size_t n, bool add,
                   const char *want)
{
    struct vocab_chat_params p = {.name = name, .add_assistant = add};
    expect_with(v, &p, talk + first, n, want);
}

static void refused(const struct vocab *v, const struct vocab_chat_params *p,
                    const struct chat_message *msg, size_t n, enum err_code code, const char *part)
{
    char *got;
    struct err e = {0};
    assert_false(vocab_chat(v, p, msg, n, &got, &e));
    assert_null(got);
    if (e.code != code || !strstr(e.msg, part)) fail_msg("wanted %s, got %s", part, e.msg);
}

// A file's template: its name, and the whole talk and the shortest with the assistant's opening.
static void expect_format(const char *template, const char *name, const char *whole,
                          const char *shortest)
{
    struct vocab *v = with_template(template);
    if (!vocab_chat_template(v)) fail_msg("not recognised: %s", template);
    assert_string_equal(vocab_chat_template(v), name);
    if (whole) expect(v, NULL, 0, 4, false, whole);
    expect(v, NULL, 3, 1, true, shortest);
    vocab_close(v);
}

static void test_chatml(void **state)
{
    (void)state;
#define CHATML_TURN                                                                                \
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
#define CHATML_TALK                                                                                \
    "<|im_start|>system\n Be brief.\n<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n"             \
    "<|im_start|>assistant\nHello\xc2\xa0<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
#define CHATML_LAST "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
#define CHATML_OPENING "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    expect_format("{% for message in messages %}" CHATML_TURN "{% endfor %}" CHATML_OPENING,
                  "chatml", CHATML_TALK, CHATML_LAST);
    // A default system message, once with line ends and once with escapes in the strings.
    expect_format("{% for message in messages %}{% if loop.first and messages[0]['role'] != "
                  "'system' %}{{ '<|im_start|>system\nYou\\'re Smol\n2<|im_end|>\n' }}{% endif %}"
                  "{% endfor %}" CHATML_TURN,
                  "chatml", CHATML_TALK,
                  "<|im_start|>system\nYou're Smol\n2<|im_end|>\n" CHATML_LAST);
    expect_format("{% if messages[0].role != \"system\" %}{{- \"<|im_start|>system\\nYou\\\"re 2"
                  "<|im_end|>\\n\" }}{% endif %}\n" CHATML_TURN,
                  "chatml", CHATML_TALK, "<|im_start|>system\nYou\"re 2<|im_end|>\n" CHATML_LAST);
    // BOS, another spelling, comments, and a branch for tools that is not taken.
    expect_format("{{- bos_token -}}\n{# {{ 'x' }} #}\n{%- if tools %}{{ 'Tools' }}{%- else %}\n"
                  "  {%- if messages[0].role == 'system' %}{%- endif -%}\n{%- endif %}\n"
                  "  {%- for message in messages %}\n    {{- \"<|im_start|>\" + message.role + "
                  "'\\n' + message.content + '<|im_end|>\\n' }}\n{%- endfor %}\n",
                  "chatml", "<s>" CHATML_TALK, "<s>" CHATML_LAST);
    expect_format("{% set system_message = 'Obey' %}" IF_USER "{{'<|im_start|>user\n' + "
                  "message['content'] + '<|im_end|>\n'}}{% else %}{{'<|im_start|>assistant\n' + "
                  "message['content'] + '<|im_end|>\n'}}{% endif %}",
                  "chatml", CHATML_TALK, "<|im_start|>system\nObey<|im_end|>\n" CHATML_LAST);
}

static void test_llama3(void **state)
{
    (void)state;
#define LLAMA3_TURN                                                                                \
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ "         \
    "message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = "        \
    "bos_token + content %}{% endif %}{{ content }}"
#define LLAMA3_TALK                                                                                \
    "<s>" HEADER("system") "Be brief.<|eot_id|>" HEADER("user") "Hi<|eot_id|>" HEADER(             \
        "assistant") "Hello<|eot_id|>" HEADER("user") "Bye<|eot_id|>"
#define LLAMA3_LAST "<s>" HEADER("user") "Bye<|eot_id|>" HEADER("assistant")
    expect_format(LLAMA3_TURN "{% if add_generation_prompt %}{{ '" HEADER("assistant") "' }}",
                  "llama3", LLAMA3_TALK, LLAMA3_LAST);
    // The first published form opened the assistant's turn always.
    expect_format(LLAMA3_TURN "{% endfor %}{{ '" HEADER("assistant") "' }}", "llama3",
                  LLAMA3_TALK HEADER("assistant"), LLAMA3_LAST);
}

static const char llama31[] =
    "{{- bos_token }}\n"
    "{%- if not date_string is defined %}\n"
    "    {%- if strftime_now is defined %}{%- set date_string = strftime_now(\"%d %b %Y\") %}\n"
    "    {%- else %}{%- set date_string = \"01 Feb 2025\" %}{%- endif %}\n{%- endif %}\n"
    "{%- set system_message = messages[0]['content']|trim %}\n"
    "{{- \"" HEADER(
        "system") "\" }}\n"
                  "{%- if tools is not none %}\n    {{- \"Environment: ipython\n\" }}\n{%- endif "
                  "%}\n"
                  "{{- \"Cutting Knowledge Date: December 2023\n\" }}\n"
                  "{{- \"Today Date: \" + date_string + \"\n\n\" }}\n"
                  "{%- if tools is not none and not tools_in_user_message %}\n"
                  "    {{- \"Do not use variables.\" }}\n{%- endif %}\n"
                  "{{- system_message }}\n{{- \"<|eot_id|>\" }}\n"
                  "{%- if tools_in_user_message and not tools is none %}\n"
                  "{{- \"Given the following functions, please respond with a JSON for a function "
                  "call \" }}\n"
                  "{%- endif %}\n"
                  "{%- for message in messages %}\n"
                  "    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}\n"
                  "        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ "
                  "message['content'] | trim + '<|eot_id|>' }}\n"
                  "    {%- elif 'tool_calls' in message %}{{- '{\"name\": \"' + tool_call.name + "
                  "'\", ' }}\n"
                  "    {%- endif %}\n{%- endfor %}\n"
                  "{%- if add_generation_prompt %}\n    {{- '" HEADER(
                      "assistant") "' }}\n{%- endif %}\n";

static void test_llama31(void **state)
{
    (void)state;
    expect_format(
        llama31, "llama3.1",
        "<s>" DATES "01 Feb 2025\n\nBe brief.<|eot_id|>" HEADER("user") "Hi<|eot_id|>" HEADER(
            "assistant") "Hello<|eot_id|>" HEADER("user") "Bye<|eot_id|>",
        "<s>" DATES "01 Feb 2025\n\n<|eot_id|>" HEADER("user") "Bye<|eot_id|>" HEADER("assistant"));
    struct vocab *v = with_template(llama31);
    struct vocab_chat_params p = {.date = "31 Dec 2026"};
    expect_with(v, &p, talk, 1, "<s>" DATES "31 Dec 2026\n\nBe brief.<|eot_id|>");
    p.name = "llama3";
    expect_with(v, &p, talk, 1, "<s>" HEADER("system") "Be brief.<|eot_id|>");
    vocab_close(v);
    v = with_template(NULL);
    p = (struct vocab_chat_params){.name = "llama3.1"};
    expect_with(v, &p, talk, 1, "<s>" DATES "26 Jul 2024\n\nBe brief.<|eot_id|>");
    vocab_close(v);
}

static const char tools[] =
    " [{\"name\":\"w\\u00e9\", \"d\":[1.0,-2e3,12345678901234567890],\"e\":{},\"f\":[ ],\n"
    "\"q\":\"a\\\"b\\/\\n\",\"t\":true,\"n\":null} ,{\"x\":{\"y\":1}}] ";
#define TOOLS_TEXT                                                                                 \
    "Respond in the format {\"name\": function name, \"parameters\": dictionary of argument name " \
    "and its value}.Do not use variables.\n\n"                                                     \
    "{\n    \"name\": \"w\xc3\xa9\",\n    \"d\": [\n        1.0,\n        -2e3,\n"                 \
    "        12345678901234567890\n    ],\n    \"e\": {},\n    \"f\": [],\n"                       \
    "    \"q\": \"a\\\"b/\\n\",\n    \"t\": true,\n    \"n\": null\n}\n\n"                         \
    "{\n    \"x\": {\n        \"y\": 1\n    }\n}\n\n"

static void test_tools(void **state)
{
    (void)state;
    struct vocab *v = with_template(llama31);
    struct vocab_chat_params p = {.tools = tools};
    static const struct chat_message calls[] = {
        {.role = "user", .text = " Rain?"},
        {.role = "assistant", .text = " {\"a\":[1,\"\\u00fc\"],\"b\" :{}}", .call = "w"},
        {.role = "tool", .text = "{\"mm\": 3}\n"},
        {.role = "ipython", .text = "\xc3\xbc"},
    };
    expect_with(
        v, &p, calls, 4,
        "<s>" HEADER(
            "system") "Environment: ipython\nCutting Knowledge Date: December "
                      "2023\nToday Date: 01 Feb 2025\n\n<|eot_id|>" HEADER(
                          "user") "Given the following functions, please respond with a JSON for a "
                                  "function call "
                                  "with its proper arguments that best answers the given "
                                  "prompt.\n\n" TOOLS_TEXT "Rain?<|eot_id|>" HEADER(
                                      "assistant") "{\"name\": \"w\", "
                                                   "\"parameters\": {\"a\": "
                                                   "[1, \"\xc3\xbc\"], \"b\": "
                                                   "{}}}<|eot_id|>" HEADER(
                                                       "ipython") "\"{"
                                                                  "\\\"mm\\\":"
                                                                  " 3}\\n\"<|"
                                                                  "eot_id|"
                                                                  ">" HEADER(
                                                                      "ipython") "\"\xc3\xbc\"<|"
                                                                                 "eot_id|>");
    p.tools_in_system = true;
    expect_with(v, &p, talk, 2,
                "<s>" HEADER("system") "Environment: ipython\nCutting Knowledge Date: December "
                                       "2023\nToday Date: 01 Feb 2025\n\n"
                                       "You have access to the following functions. To call a "
                                       "function, please respond "
                                       "with JSON for a function call." TOOLS_TEXT
                                       "Be brief.<|eot_id|>" HEADER("user") "Hi<|eot_id|>");
    p.tools_in_system = false;
    refused(v, &p, talk, 1, ERR_ARG, "first user message");
    p.tools = "{}";
    refused(v, &p, talk, 2, ERR_FORMAT, "JSON array");
    p.tools = "[]";
    refused(v, &p, talk, 2, ERR_FORMAT, "JSON array");
    p.tools = "[{]";
    refused(v, &p, talk, 2, ERR_FORMAT, "not valid JSON");
    p.tools = "[{}] and more";
    refused(v, &p, talk, 2, ERR_FORMAT, "not valid JSON");
    p.tools = tools;
    struct chat_message odd = {.role = "assistant", .text = "0a", .call = "w"};
    p.tools = NULL;
    refused(v, &p, &odd, 1, ERR_FORMAT, "not valid JSON");
    odd.text = "\xef\xbb\xbf[1\x01,\vtrue\x7f]"; // what cJSON takes for white space, and not
    refused(v, &p, &odd, 1, ERR_FORMAT, "not valid JSON");
    odd.text = "\xef\xbb\xbf[1\x01,\vtrue\x1f]\n";
    expect_with(v, &p, &odd, 1,
                "<s>" DATES "01 Feb 2025\n\n<|eot_id|>" HEADER(
                    "assistant") "{\"name\": \"w\", \"parameters\": [1, true]}<|eot_id|>");
    p.tools = tools;
    p.name = "chatml";
    refused(v, &p, talk, 2, ERR_UNSUPPORTED, "no words for tools");
    p = (struct vocab_chat_params){.name = "llama3"};
    refused(v, &p, calls, 2, ERR_ARG, "calls a function");
    vocab_close(v);
}

static void test_llama2(void **state)
{
    (void)state;
    struct vocab_chat_params p = {.add_assistant = true};
#define LLAMA2                                                                                     \
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + "        \
    "system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = "      \
    "message['content'] %}{% endif %}" IF_USER "{{ bos_token + '[INST] ' + content.strip() + "     \
    "' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + "     \
    "eos_token }}{% endif %}"
    expect_format(LLAMA2, "llama2",
                  "<s>[INST] <<SYS>>\n Be brief.\n\n<</SYS>>\n\n Hi [/INST] Hello </s>"
                  "<s>[INST] Bye [/INST]",
                  "<s>[INST] Bye [/INST]");
    expect_format("{% set system_message = 'Be good' %}" LLAMA2, "llama2", NULL,
                  "<s>[INST] <<SYS>>\nBe good\n<</SYS>>\n\nBye [/INST]");
    expect_format("{% elif false == true %}{% set system_message = 'Be good' %}" LLAMA2, "llama2",
                  NULL, "<s>[INST] Bye [/INST]");
    struct vocab *v = with_template(LLAMA2);
    expect(v, NULL, 1, 1, true, "<s>[INST] Hi [/INST]");
    refused(v, &p, talk + 2, 2, ERR_ARG, "in turn");
    vocab_close(v);
}

static void test_mistral(void **state)
{
    (void)state;
    struct vocab_chat_params p = {.add_assistant = true};
    static const char plain[] = "{{ bos_token }}" IF_USER "{{ '[INST] ' + message['content'] + "
                                "' [/INST]' }}{% else %}{{ message['content'] + eos_token }}";
    expect_format(plain, "mistral", NULL, "<s>[INST] Bye [/INST]");
    struct vocab *v = with_template(plain);
    expect(v, NULL, 1, 3, true, "<s>[INST]  Hi \n [/INST]Hello\xc2\xa0</s>[INST] Bye [/INST]");
    refused(v, &p, talk, 2, ERR_ARG, "leave the system message out");
    refused(v, &p, talk + 2, 1, ERR_ARG, "in turn");
    vocab_close(v);
    v = with_template("{% set system_message = 'Unused.' %}{{ bos_token }}" IF_USER
                      "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
                      "{{ message['content'] + eos_token }}");
    expect(v, NULL, 3, 1, true, "<s>[INST] Bye [/INST]"); // it has no place for one
    vocab_close(v);
    expect_format("{{ bos_token }}" IF_USER "{{ ' [INST] ' + system_message + '\\n\\n' + "
                  "message['content'] + ' [/INST]' }}{% else %}{{ ' [INST] ' + message['content']"
                  " + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}",
                  "mistral",
                  "<s> [INST]  Be brief.\n\n\n Hi \n [/INST] Hello\xc2\xa0</s> [INST] Bye [/INST]",
                  "<s> [INST] Bye [/INST]");
    expect_format("{{ bos_token }}" IF_USER "{{ \"[INST] \" + system_message + \"\\n\\n\" + "
                  "message[\"content\"] + \"[/INST]\" }}{% else %}{{ \"[INST] \" + "
                  "message[\"content\"] + \"[/INST]\" }}{% elif (message.tool_calls is defined) %}"
                  "{{ \"[TOOL_CALLS] [\" }}{% else %}{{ \" \" + message[\"content\"]|trim + "
                  "eos_token }}{% endif %}",
                  "mistral", "<s>[INST]  Hi \n[/INST] Hello</s>[INST]  Be brief.\n\n\nBye[/INST]",
                  "<s>[INST] Bye[/INST]");
}

static void test_line_formats(void **state)
{
    (void)state;
    expect_format("{% for message in messages %}\n" IF_USER "\n{{ '<|user|>\n' + "
                  "message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n"
                  "{{ '<|system|>\n' + message['content'] + eos_token }}\n{% else %}\n"
                  "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
                  "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}"
                  "\n{% endfor %}",
                  "zephyr",
                  "<|system|>\n Be brief.\n</s>\n<|user|>\n Hi \n</s>\n<|assistant|>\nHello\xc2\xa0"
                  "</s>\n<|user|>\nBye</s>\n",
                  "<|user|>\nBye</s>\n<|assistant|>\n");
    expect_format("{{ bos_token + system_message }}" IF_USER "{{ 'USER: ' + "
                  "message['content'].strip() + '\\n' }}{% else %}{{ 'ASSISTANT: ' + "
                  "message['content'].strip() + eos_token + '\\n' }}{% endif %}{{ 'ASSISTANT:' }}",
                  "vicuna", "<s>Be brief.\n\nUSER: Hi\nASSISTANT: Hello</s>\nUSER: Bye\nASSISTANT:",
                  "<s>USER: Bye\nASSISTANT:");
    expect_format("{{ bos_token + system_message }}" IF_USER "{{ '### Instruction:\\n' + "
                  "message['content'] | trim + '\\n\\n' }}{% else %}{{ '### Response:\\n' + "
                  "message['content'] | trim + eos_token + '\\n\\n' }}{% endif %}"
                  "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}",
                  "alpaca",
                  "<s>Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello</s>\n\n"
                  "### Instruction:\nBye\n\n",
                  "<s>### Instruction:\nBye\n\n### Response:\n");
    expect_format("{{bos_token}}{%- if not ns.found -%}\n{{'You are one\\n'}}\n{%- endif %}\n{%- "
                  "if message['role'] == 'system' %}\n{{ message['content'] }}\n    {%- else %}\n"
                  "{{'### Instruction:\\n' + message['content'] + '\\n'}}\n{%- else %}\n"
                  "{{'### Response:\\n' + message['content'] + '\\n<|EOT|>\\n'}}\n{%- endif %}\n"
                  "{% if add_generation_prompt %}\n{{'### Response:'}}\n{% endif %}",
                  "deepseek-coder",
                  "<s> Be brief.\n### Instruction:\n Hi \n\n### Response:\nHello\xc2\xa0\n<|EOT|>\n"
                  "### Instruction:\nBye\n",
                  "<s>You are one\n### Instruction:\nBye\n### Response:\n");
    expect_format("{{ bos_token }}" IF_USER "{{ 'User: ' + message['content'] + '\n\n' }}{% else %}"
                  "{{ 'Assistant: ' + message['content'] + eos_token }}{% else %}"
                  "{{ message['content'] + '\n\n' }}{% endif %}{% if add_generation_prompt %}"
                  "{{ 'Assistant:' }}{% endif %}",
                  "deepseek",
                  "<s> Be brief.\n\n\nUser:  Hi \n\n\nAssistant: Hello\xc2\xa0</s>User: Bye\n\n",
                  "<s>User: Bye\n\nAssistant:");
}

// DeepSeek's distilled models: what was thought is not said again.
static void test_reasons(void **state)
{
    (void)state;
#define R1(word) "<\xef\xbd\x9c" word "\xef\xbd\x9c>"
#define R1_END R1("end\xe2\x96\x81of\xe2\x96\x81sentence")
#define R1_TEMPLATE                                                                                \
    "{%- endfor -%}{{bos_token}}{{ns.system_prompt}}\n{%- for message in messages -%}\n  {%- if "  \
    "message['role'] == 'user' -%}{{'" R1(                                                         \
        "User") "' + message['content']}}{%- endif -%}\n  {%- "                                    \
                "if message['role'] == 'assistant' and message['content'] is none "                \
                "-%}{{'calls'}}{%- endif -%}"                                                      \
                "\n  {%- if ns.is_tool -%}{{'outputs'}}{%- else -%}{{'" R1(                        \
                    "Assistant") "' + content + '" R1_END                                          \
                                 "'}}\n  {%- endif -%}\n{%- if add_generation_prompt and not "     \
                                 "ns.is_tool -%}{{'" R1("Assistant")
    static const struct chat_message thought[] = {
        {.role = "user", .text = " Hi "},
        {.role = "assistant", .text = "<think>a</think>b</think>\n\nHello"},
        {.role = "system", .text = "late"},
    };
    struct vocab_chat_params p = {0};
    expect_format(R1_TEMPLATE "'}}{% endif %}", "deepseek-r1",
                  "<s> Be brief.\n" R1("User") " Hi \n" R1("Assistant") "Hello\xc2\xa0" R1_END R1(
                      "User") "Bye",
                  "<s>" R1("User") "Bye" R1("Assistant"));
    expect_format(R1_TEMPLATE "<think>\\n'}}{% endif %}", "deepseek-r1", NULL,
                  "<s>" R1("User") "Bye" R1("Assistant") "<think>\n");
    struct vocab *v = with_template(R1_TEMPLATE "'}}{% endif %}");
    expect_with(v, &p, thought, 2, "<s>" R1("User") " Hi " R1("Assistant") "\n\nHello" R1_END);
    refused(v, &p, thought, 3, ERR_ARG, "no place for a message of role 'system'");
    vocab_close(v);
}

// A template that is only alike is not taken for the one it resembles.
static void test_alike(void **state)
{
    (void)state;
    struct vocab_chat_params p = {0};
    static const struct {
        const char *template, *like;
    } alike[] = {
        {CHATML_TURN "{{ 'Think first.' }}", "like chatml"},
        {"{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}",
         "like chatml"},
        {LLAMA3_TURN "{{ '<|reserved|>' }}", "like llama3"},
        {"[INST] {{ message['content'] }} [/INST]", "like mistral"},
        {"{{ '<|user|>' + message['content'] + '<|assistant|>' }}", "like zephyr"},
    };
    for (size_t i = 0; i < sizeof alike / sizeof alike[0]; i++) {
        struct vocab *v = with_template(alike[i].template);
        assert_null(vocab_chat_template(v));
        refused(v, &p, talk, 2, ERR_UNSUPPORTED, alike[i].like);
        vocab_close(v);
    }
}

static void test_none(void **state)
{
    (void)state;
    static const char *const templates[] = {NULL, "", "{{ message }}", "{{ 'a", "{%", "{{-"};
    for (size_t i = 0; i < sizeof templates / sizeof templates[0]; i++) {
        struct vocab *v = with_template(templates[i]);
        struct vocab_chat_params p = {.add_assistant = true};
        assert_null(vocab_chat_template(v));
        refused(v, &p, talk, 1, ERR_UNSUPPORTED, "--chat-template");
        p.name = "nonesuch";
        refused(v, &p, talk, 1, ERR_ARG, "no chat template 'nonesuch'");
        p.name = "chatml";
        refused(v, &p, talk, 0, ERR_ARG, "at least one message");
        expect(v, "llama2", 3, 1, true, "<s>[INST] Bye [/INST]");
        vocab_close(v);
    }
}

// Every name that help and sentences list can be chosen.
static void test_names(void **state)
{
    (void)state;
    struct vocab *v = with_template(NULL);
    char names[] = VOCAB_CHAT_NAMES;
    int n = 0;
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", "), n++) {
        struct vocab_chat_params p = {.name = name};
        char *got;
        struct err e = {0};
        if (!vocab_chat(v, &p, talk, 4, &got, &e)) fail_msg("%s", e.msg);
        assert_non_null(strstr(got, "Be brief."));
        free(got);
    }
    assert_int_equal(n, 11);
    vocab_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chatml),       cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_llama31),      cmocka_unit_test(test_tools),
        cmocka_unit_test(test_llama2),       cmocka_unit_test(test_mistral),
        cmocka_unit_test(test_line_formats), cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_alike),        cmocka_unit_test(test_none),
        cmocka_unit_test(test_names),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(PATH);
    return failed;
}
