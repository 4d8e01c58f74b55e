// Writes the seeds of fuzz_template.c's corpus: usage: seeds_template FOLDER
// The formats' parts are those that chat_forms.c looks for.
#include "base/file.h"
#include "engine/tokenizer/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 512 };

static const char tools[] =
    " [{\"name\":\"w\\u00e9\", \"d\":[1.0,-2e3,12345678901234567890],\"e\":{},"
    "\"f\":[ ],\n\"q\":\"a\\\"b\\/\\n\",\"t\":true,\"n\":null} ,{\"x\":1}]";
static const char call[] = "{\"a\":[1,\"\\ud83d\\ude42\"],\"b\" :{}}";

// Roles as fuzz_template.c numbers them; the last calls a function.
static const char *const turns_in_turn[] = {"\6 Be brief.\n", "\1 Hi \n",
                                            "\2<think>a</think>\n\nHello\xc2\xa0", "\1Bye"};
static const char *const turns_all[] = {"\1 Rain?", "\x44{\"a\":[1,\"\\u00fc\"],\"b\" :{}}",
                                        "\3{\"mm\": 3}\n", "\4\xc3\xbc", "\5x"};

static const char *folder;
static int number;

static void add_turns(struct text *t, const char *const *turns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text_add(t, turns[i], strlen(turns[i]) + 1);
}

static void save(char flags, const char *template, const char *json, bool all)
{
    struct text t = {0};
    struct err e = {0};
    char path[PATH];
    text_add(&t, &flags, 1);
    text_add(&t, template, strlen(template) + 1);
    text_add(&t, json, strlen(json) + 1);
    if (all)
        add_turns(&t, turns_all, sizeof turns_all / sizeof turns_all[0]);
    else
        add_turns(&t, turns_in_turn, sizeof turns_in_turn / sizeof turns_in_turn[0]);
    snprintf(path, sizeof path, "%s/template%d", folder, number++);
    if (t.failed || !file_write(path, t.data, t.size, &e)) {
        fprintf(stderr, "seeds_template: %s\n", t.failed ? "no memory" : e.msg);
        exit(1);
    }
    text_free(&t);
}

static void add_outputs(struct text *t, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n && list[i]; i++) {
        text_puts(t, "{%- if x %}{{ ");
        for (const char *s = list[i]; *s; s++) {
            if (*s == '@')
                text_puts(t, i % 2 ? "message.content|trim" : "message['content']");
            else
                text_add(t, s, 1);
        }
        text_puts(t, " }}{%- endif %}\n");
    }
}

// A template of all that a format must and may print.
static void format(const char *name)
{
    const struct chat_form *f = chat_form_named(name);
    struct text t = {0};
    if (!f) exit(1);
    text_puts(&t,
              "{{ bos_token }}\n{% set system_message = 'Obey' %}{% for message in messages %}");
    add_outputs(&t, f->must, CHAT_N_MUST);
    add_outputs(&t, f->outs, CHAT_N_OUTS);
    text_puts(&t, "{% endfor %}{% if add_generation_prompt %}{# {{ x }} #}{% endif %}");
    if (t.failed) exit(1);
    save(4, t.data, call, false);
    save(0, t.data, tools, true);
    text_free(&t);
}

#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

int main(int argc, char **argv)
{
    char names[] = VOCAB_CHAT_NAMES;
    if (argc != 2) return 2;
    folder = argv[1];
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", "))
        format(name);
    const char *const llama31 =
        "{%- if not date_string is defined %}\n    {%- set date_string = \"01 Feb 2025\" %}\n"
        "{%- endif %}\n{{- \"" HEADER(
            "system") "\" }}\n{%- if tools is not none %}\n"
                      "    {{- \"Environment: ipython\n\" }}\n{%- endif %}\n"
                      "{{- \"Cutting Knowledge Date: December 2023\n\" }}\n"
                      "{{- \"Today Date: \" + date_string + \"\n\n\" }}\n{{- system_message }}{{- "
                      "'<|eot_id|>' }}"
                      "{%- if tools %}{{- \"Given the following functions, please respond with a "
                      "JSON \" }}"
                      "{%- endif %}{{- '<|start_header_id|>' + message.role + "
                      "'<|end_header_id|>\n\n' + "
                      "message['content'] | trim + '<|eot_id|>' }}{%- if message.tool_calls %}{{ "
                      "'x' }}"
                      "{%- elif a %}{%- endif %}\n";
    save(1, llama31, tools, true);
    save(3 | 8, llama31, tools, false);
    save(4,
         "{% if messages[0].role != \"system\" %}{{- \"<|im_start|>system\\nYou\\\"re 2"
         "<|im_end|>\\n\" }}{% endif %}\n{{'<|im_start|>' + message['role'] + '\n' + "
         "message['content'] + '<|im_end|>' + '\n'}}",
         "[]", false);
    save(4,
         "{{ bos_token }}{%- if not x -%}\n{{'You are one\\n'}}\n{%- endif %}"
         "{{'### Instruction:\\n' + message['content'] + '\\n'}}"
         "{{'### Response:\\n' + message['content'] + '\\n<|EOT|>\\n'}}",
         "[{]", false);
    save(0, "{{ ' [INST] ' + message['content'] + ' [/INST]' }}{{ 'x' }}{{", "\"a\\", true);
    return 0;
}
