// Chat templates: what the published Jinja programs render for these messages, as golden texts
// (made with jinja2, trim_blocks and lstrip_blocks on).
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
#define DATES                                                                                      \
    "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"

static const struct chat_message talk[] = {{"system", " Be brief.\n"},
                                           {"user", " Hi \n"},
                                           {"assistant", "Hello\xc2\xa0"},
                                           {"user", "Bye"}};

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

static void expect(const struct vocab *v, const char *name, size_t first, size_t n, bool add,
                   const char *want)
{
    char *got;
    struct err e = {0};
    if (!vocab_chat(v, name, talk + first, n, add, &got, &e)) fail_msg("%s", e.msg);
    assert_string_equal(got, want);
    free(got);
}

static void test_chatml(void **state)
{
    (void)state;
    // As SmolLM2 writes it, once with line ends and once with escapes in the strings.
    static const char *const templates[] = {
        "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        "You're Smol\n2<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n'",
        "{{ '<|im_start|>system\\nYou\\'re Smol\\n2<|im_end|>\\n' }}{% endif %}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct vocab *v = with_template(templates[i]);
        assert_string_equal(vocab_chat_template(v), "chatml");
        expect(v, NULL, 1, 1, true,
               "<|im_start|>system\nYou're Smol\n2<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n"
               "<|im_start|>assistant\n");
        expect(v, NULL, 0, 2, false,
               "<|im_start|>system\n Be brief.\n<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n");
        vocab_close(v);
    }
    struct vocab *v = with_template("{{'<|im_start|>system\n' + system_message + '<|im_end|>\n'}}");
    expect(v, NULL, 3, 1, false, "<|im_start|>user\nBye<|im_end|>\n"); // none of its own
    expect(v, "chatml", 3, 1, false, "<|im_start|>user\nBye<|im_end|>\n");
    vocab_close(v);
}

static void test_llama3(void **state)
{
    (void)state;
    struct vocab *v = with_template("'<|start_header_id|>' + content | trim + '<|eot_id|>'");
    assert_string_equal(vocab_chat_template(v), "llama3");
    expect(v, NULL, 0, 3, true,
           "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
           "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
           "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
           "<|start_header_id|>assistant<|end_header_id|>\n\n");
    vocab_close(v);
    v = with_template("{%- set date_string = \"01 Feb 2025\" %}{{- \"Cutting Knowledge Date: \" }}"
                      "'<|start_header_id|>' + content | trim + '<|eot_id|>'");
    expect(v, NULL, 1, 1, false,
           "<s>" DATES "Today Date: 01 Feb 2025\n\n<|eot_id|>"
           "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>");
    expect(v, NULL, 0, 1, true,
           "<s>" DATES "Today Date: 01 Feb 2025\n\nBe brief.<|eot_id|>"
           "<|start_header_id|>assistant<|end_header_id|>\n\n");
    vocab_close(v);
}

static void test_llama2(void **state)
{
    (void)state;
    struct vocab *v = with_template("'[INST] <<SYS>>' + content.strip() + ' [/INST]'");
    assert_string_equal(vocab_chat_template(v), "llama2");
    expect(v, NULL, 0, 4, true,
           "<s>[INST] <<SYS>>\n Be brief.\n\n<</SYS>>\n\n Hi [/INST] Hello </s><s>[INST] Bye "
           "[/INST]");
    expect(v, NULL, 1, 1, true, "<s>[INST] Hi [/INST]");
    char *got;
    struct err e = {0};
    assert_false(vocab_chat(v, NULL, talk + 2, 2, true, &got, &e));
    assert_non_null(strstr(e.msg, "in turn"));
    assert_null(got);
    vocab_close(v);
}

static void test_none(void **state)
{
    (void)state;
    static const char *const templates[] = {NULL, "", "{{ message }}"};
    char *got;
    for (size_t i = 0; i < 3; i++) {
        struct err e = {0};
        struct vocab *v = with_template(templates[i]);
        assert_null(vocab_chat_template(v));
        assert_false(vocab_chat(v, NULL, talk, 1, true, &got, &e));
        assert_int_equal(e.code, ERR_UNSUPPORTED);
        assert_false(vocab_chat(v, "alpaca", talk, 1, true, &got, &e));
        assert_int_equal(e.code, ERR_ARG);
        assert_false(vocab_chat(v, "chatml", talk, 0, true, &got, &e));
        assert_int_equal(e.code, ERR_ARG);
        expect(v, "llama2", 3, 1, true, "<s>[INST] Bye [/INST]");
        vocab_close(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chatml),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_llama2),
        cmocka_unit_test(test_none),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(PATH);
    return failed;
}
