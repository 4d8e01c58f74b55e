// Writes a small seeded GGUF model for the tests of the command line.
// usage: make_tiny_gguf FILE [KEY=VALUE]...   (keys: see below; left out: tiny_gguf.h's defaults)
#include "tests/tiny_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
    struct tiny_model m;
    bool vocab_only;
};

static bool set_number(struct tiny_model *m, const char *key, unsigned long v)
{
    const struct {
        const char *key;
        uint32_t *field;
    } list[] = {
        {"layers", &m->n_layers}, {"embd", &m->n_embd}, {"heads", &m->n_heads},
        {"kv", &m->n_kv_heads},   {"ff", &m->n_ff},     {"vocab", &m->n_vocab},
        {"ctx", &m->n_ctx},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (strcmp(key, list[i].key) != 0) continue;
        *list[i].field = (uint32_t)v;
        return true;
    }
    if (strcmp(key, "seed") != 0) return false;
    m->seed = v;
    return true;
}

static bool set_type(struct tiny_model *m, const char *name)
{
    for (uint32_t t = 0; t < 64; t++) {
        const struct quant_info *q = quant_info(t);
        if (!q || strcmp(q->name, name) != 0) continue;
        m->type = (enum quant_type)t;
        return true;
    }
    return false;
}

static bool set(struct request *r, const char *key, const char *value)
{
    char *end;
    unsigned long v = strtoul(value, &end, 10);
    if (!strcmp(key, "type")) return set_type(&r->m, value);
    if (!strcmp(key, "arch")) return r->m.arch = value, true;
    if (!strcmp(key, "template")) return r->m.chat_template = value, true;
    if (!strcmp(key, "tokenizer")) {
        r->m.vocab = strcmp(value, "spm") ? TINY_BPE : TINY_SPM;
        return !strcmp(value, "spm") || !strcmp(value, "bpe");
    }
    if (*end || end == value) return false;
    if (!strcmp(key, "tied")) return r->m.tied_output = v != 0, true;
    if (!strcmp(key, "vocab-only")) return r->vocab_only = v != 0, true;
    return set_number(&r->m, key, v);
}

static bool write_vocab(const struct tiny_model *m, const char *path, struct err *e)
{
    struct tiny t;
    tiny_begin(&t, 3);
    tiny_str(&t, "general.architecture", m->arch ? m->arch : "llama");
    bool ok =
        tiny_vocab_keys(&t, m->vocab, m->n_vocab ? m->n_vocab : 320, e) && tiny_write(&t, path, e);
    tiny_free(&t);
    return ok;
}

int main(int argc, char **argv)
{
    struct request r = {.m = {.seed = 1, .vocab = TINY_BPE}};
    struct err e = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: make_tiny_gguf FILE [KEY=VALUE]...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value) *value++ = '\0';
        if (!value || !set(&r, argv[i], value)) {
            fprintf(stderr, "make_tiny_gguf: %s is not understood\n", argv[i]);
            return 2;
        }
    }
    bool ok = r.vocab_only ? write_vocab(&r.m, argv[1], &e) : tiny_model_write(&r.m, argv[1], &e);
    if (ok) return 0;
    fprintf(stderr, "make_tiny_gguf: %s\n", e.msg);
    return 1;
}
