// Writes the seeds of fuzz_gguf.c's corpus: usage: seeds_gguf FOLDER
#include "base/size.h"
#include "tests/tiny_split.h"

#include <stdio.h>
#include <stdlib.h>

enum { N_TYPES = 64, PATH = 512 };

static const char *folder;

static const char *in_folder(const char *name)
{
    static char path[PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void stop(const struct err *e)
{
    fprintf(stderr, "seeds_gguf: %s\n", e->msg);
    exit(1);
}

static void save(struct tiny *t, const char *name)
{
    struct err e;
    if (!tiny_write(t, in_folder(name), &e)) stop(&e);
    tiny_free(t);
}

static void every_value(void)
{
    static const size_t bytes[GGUF_N_VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    struct tiny t;
    tiny_begin(&t, 3);
    for (uint32_t type = 0; type < GGUF_N_VALUE_TYPES; type++) {
        unsigned char array[12 + 16] = {(unsigned char)type, 0, 0, 0, 2};
        char key[8] = {'k', (char)('a' + type)};
        if (!bytes[type]) continue;
        tiny_raw(&t, key, type, "\1\0\x80\x3f\0\0\xf0\x3f", bytes[type]);
        key[0] = 'l';
        tiny_raw(&t, key, GGUF_ARRAY, array, 12 + 2 * bytes[type]);
    }
    tiny_strs(&t, "strings", (const char *const[]){"", "caf\xc3\xa9", "\x1b[2J"}, 3);
    tiny_str(&t, "string", "a text");
    save(&t, "values");
}

// One row of each weight type that Lectern reads, and one of each that it does not.
static void every_type(void)
{
    static unsigned char data[2 * 1024];
    struct tiny known, foreign;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37 + i / 7);
    tiny_begin(&known, 2);
    tiny_begin(&foreign, 3);
    for (uint32_t type = 0; type < N_TYPES; type++) {
        const struct quant_info *q = quant_info(type);
        char name[4] = {'t', (char)('0' + type / 10), (char)('0' + type % 10)};
        uint64_t ne[] = {q ? size_align(q->block, 32) : 32, 1};
        size_t row = 0;
        if (q && quant_row_bytes((enum quant_type)type, ne[0], &row))
            tiny_tensor(&known, name, type, 2, ne, data, row);
        else
            tiny_tensor(&foreign, name, type, 1, ne, data, 8);
    }
    save(&known, "types");
    save(&foreign, "foreign");
}

static void models(void)
{
    const struct tiny_model list[] = {
        {.seed = 1, .n_layers = 1, .n_embd = 8, .n_heads = 1, .n_ff = 4, .n_vocab = 4},
        {.seed = 2,
         .n_layers = 1,
         .n_embd = 32,
         .n_heads = 2,
         .n_kv_heads = 1,
         .n_ff = 4,
         .n_vocab = 6,
         .head_dim = 8,
         .type = QUANT_Q4_0,
         .vocab = TINY_BPE},
        {.seed = 3,
         .n_layers = 1,
         .n_embd = 32,
         .n_heads = 1,
         .n_ff = 4,
         .n_vocab = 3,
         .head_dim = 8,
         .type = QUANT_Q8_0,
         .rope_freqs = true,
         .tied_output = true,
         .chat_template = "{{ x }}"},
    };
    struct err e;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char name[16];
        snprintf(name, sizeof name, "model%zu", i);
        if (!tiny_model_write(&list[i], in_folder(name), &e)) stop(&e);
    }
}

// The shape alone, with rope scaling: token_embd.weight says only how many tokens there are.
static void scaled(const char *type)
{
    static const unsigned char zeros[64] = {0};
    struct tiny t;
    tiny_begin(&t, 3);
    t.alignment = 64;
    tiny_u32(&t, "general.alignment", 64);
    tiny_str(&t, "general.architecture", "llama");
    tiny_u32(&t, "llama.block_count", 1);
    tiny_u32(&t, "llama.embedding_length", 16);
    tiny_u32(&t, "llama.feed_forward_length", 16);
    tiny_u32(&t, "llama.context_length", 64);
    tiny_u32(&t, "llama.attention.head_count", 2);
    tiny_str(&t, "llama.rope.scaling.type", type);
    tiny_f32(&t, "llama.rope.scaling.factor", 4);
    tiny_u32(&t, "llama.rope.scaling.original_context_length", 32);
    tiny_tensor(&t, "token_embd.weight", QUANT_F16, 2, (const uint64_t[]){16, 2}, zeros, 64);
    tiny_tensor(&t, "rope_freqs.weight", QUANT_F32, 1, (const uint64_t[]){4}, zeros, 16);
    save(&t, type);
}

// Two parts in one input. second: the tensor of part 2, model: its general.name.
static void split(const char *file, const char *second, const char *model)
{
    struct text both = {0};
    for (uint32_t no = 0; no < 2; no++) {
        struct tiny t;
        struct err e;
        unsigned char *bytes;
        size_t size;
        tiny_begin(&t, 3);
        tiny_str(&t, "general.name", no ? model : "m");
        tiny_split_keys(&t, no, 2, 2);
        tiny_tensor(&t, no ? second : "a", QUANT_F32, 1, (const uint64_t[]){1}, "\0\0\x80\x3f", 4);
        if (!tiny_bytes(&t, &bytes, &size, &e)) stop(&e);
        text_add(&both, (const char *)bytes, size);
        free(bytes);
        tiny_free(&t);
    }
    FILE *f = both.failed ? NULL : fopen(in_folder(file), "wb");
    if (!f || fwrite(both.data, 1, both.size, f) != both.size || fclose(f) != 0) exit(1);
    text_free(&both);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    folder = argv[1];
    every_value();
    every_type();
    models();
    scaled("linear");
    scaled("yarn");
    split("split", "b", "m");
    split("split-twice", "a", "m");
    split("split-other", "b", "other");
    return 0;
}
