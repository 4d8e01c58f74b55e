// Writes the seeds of fuzz_tokenizer.c's corpus: usage: seeds_tokenizer FOLDER
#include "base/file.h"
#include "engine/tokenizer/tok.h"
#include "tests/tiny_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 512, N_KINDS = 14, ALL_BYTES = 1, NONE = 255 };

#define SPACE "\xc4\xa0" // of the byte alphabet
#define END "\xc4\x8a"   // its line end
#define LOW "\xe2\x96\x81"

// What the expressions tell apart: contractions, capitals, digits, signs, line ends, spaces, marks,
// scripts; bytes that are no text.
static const char text[] =
    "I'll don'T ABCdef aB 1234 5.6\r\n\n  (x)/y!\n ,\t\xe2\x80\xa6\xe3\x80\x82"
    "\xe4\xb8\xad\xe6\x96\x87\xea\xb0\x80 \xd7\xa9\xcc\x81 \xc7\x85\xe1\xbf\xbc\xef\xbc\xa1 "
    "\xc2\xa0"
    "\xf0\x9f\x99\x82\xf0\x90\x90\x80\xd9\xa3\xc2\xb2 $a=<b>|^~ \xff\xc3( <u>ab<eos> \xe1\xa0\x8e ";

static const char *folder;

static void stop(const struct err *e)
{
    fprintf(stderr, "seeds_tokenizer: %s\n", e->msg);
    exit(1);
}

static void save(struct text *t, const char *name, int number)
{
    char path[PATH];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/%s%d", folder, name, number);
    if (t->failed || !file_write(path, t->data, t->size, &e)) stop(&e);
    text_free(t);
}

static void add(struct text *t, enum tok_type type, char score, const char *word)
{
    const char head[] = {(char)(TOK_N_TYPES + type), score}; // no zero; read modulo
    text_add(t, head, sizeof head);
    text_add(t, word, strlen(word) + 1);
}

static void specials(struct text *t)
{
    add(t, TOK_UNKNOWN, '0', "<unk>");
    add(t, TOK_CONTROL, '0', "<eos>");
    add(t, TOK_USER, '0', "<u>");
    add(t, TOK_USER, '0', "<u>a");
}

// The head of an input, the tokens and merges that every rule of words can use, and the text.
static void bpe(int kind, unsigned keys)
{
    static const char *const merges[] = {"1 2",  "12 3",          "' l",
                                         "'l l", SPACE " " SPACE, SPACE " a",
                                         "( x",  END " " END,     "\xc3\xa4 \xc2\xb8",
                                         "A B",  "a b",           "/ y"};
    struct text t = {0};
    const char head[] = {(char)kind, (char)keys, 1, 1};
    text_add(&t, head, sizeof head);
    specials(&t);
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        char word[16] = {0};
        const char *space = strchr(merges[i], ' ');
        snprintf(word, sizeof word, "%.*s%s", (int)(space - merges[i]), merges[i], space + 1);
        if (i != 1) add(&t, TOK_NORMAL, '0', word); // a merge need not give a token
    }
    text_add(&t, "", 1);
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++)
        text_add(&t, merges[i], strlen(merges[i]) + 1);
    text_add(&t, "", 1);
    text_add(&t, text, sizeof text - 1);
    save(&t, "bpe", kind);
}

static void spm(int number, unsigned keys, const char *more)
{
    static const char *const words[] = {LOW, LOW "a", "ab", "a",
                                        "b", LOW LOW, "12", "\xe4\xb8\xad"};
    struct text t = {0};
    const char head[] = {0, (char)keys, (char)(number % 2 ? 2 : NONE), 1};
    text_add(&t, head, sizeof head);
    specials(&t);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        add(&t, TOK_NORMAL, (char)(100 - 7 * (int)i), words[i]);
    if (more) add(&t, TOK_NORMAL, '9', more);
    text_add(&t, "\0\0", 2);
    text_add(&t, text, sizeof text - 1);
    text_add(&t, "  " LOW "a  b  ", 12);
    save(&t, "spm", number);
}

// A whole file, which is the text too.
static void file(enum tiny_vocab kind, int number)
{
    struct tiny t;
    struct text bytes = {0};
    struct err e = {0};
    unsigned char *data;
    size_t size;
    tiny_begin(&t, 3);
    if (!tiny_vocab_keys(&t, kind, 40, &e)) stop(&e);
    tiny_bool(&t, "tokenizer.ggml.add_bos_token", number);
    tiny_u32(&t, "tokenizer.ggml.eom_token_id", 0xffffffff);
    tiny_str(&t, "tokenizer.chat_template", "{{ x }}");
    if (!tiny_bytes(&t, &data, &size, &e)) stop(&e);
    text_add(&bytes, (const char *)data, size);
    save(&bytes, "file", number);
    free(data);
    tiny_free(&t);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    folder = argv[1];
    for (int kind = 1; kind < N_KINDS; kind++)
        bpe(kind, ALL_BYTES);
    for (unsigned bit = 0; bit < 8; bit++) { // every key with and without the others
        spm((int)bit, 1u << bit, NULL);
        spm((int)bit + 8, 0xffu ^ 1u << bit, bit % 2 ? "a" LOW "b" : NULL);
        bpe((int)bit + N_KINDS, 0xffu ^ 1u << bit);
    }
    file(TINY_SPM, 0);
    file(TINY_BPE, 1);
    return 0;
}
