// Writes the seeds of fuzz_lora.c's corpus: usage: seeds_lora FOLDER
#include "tests/tiny_gguf.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATH = 512, EMBD = 8, FF = 12 };

static const char *folder;

static void put_half(struct tiny *t, const char *name, char half, uint32_t type, uint64_t row,
                     uint64_t rows)
{
    static const unsigned char zeros[EMBD * FF * 16];
    char full[64];
    size_t bytes;
    snprintf(full, sizeof full, "%s.weight.lora_%c", name, half);
    if (!quant_row_bytes(type, row, &bytes)) exit(1);
    tiny_tensor(t, full, type, 2, (const uint64_t[]){row, rows}, zeros, bytes * rows);
}

static void put_pair(struct tiny *t, const char *name, uint32_t type, uint64_t in, uint64_t rank,
                     uint64_t out)
{
    put_half(t, name, 'a', type, in, rank);
    put_half(t, name, 'b', rank % 32 ? type : QUANT_Q8_0, rank, out);
}

static void begin(struct tiny *t, float alpha)
{
    tiny_begin(t, 3);
    tiny_str(t, "general.type", "adapter");
    tiny_str(t, "general.architecture", "llama");
    tiny_str(t, "adapter.type", "lora");
    tiny_f32(t, "adapter.lora.alpha", alpha);
}

static void save(struct tiny *t, const char *name)
{
    char path[PATH];
    struct err e;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!tiny_write(t, path, &e)) {
        fprintf(stderr, "seeds_lora: %s\n", e.msg);
        exit(1);
    }
    tiny_free(t);
}

// Pairs for blk.0.attn_q, which has 8 columns and 16 rows, with one flaw each.
static void wrong_shapes(void)
{
    static const struct {
        const char *name;
        uint64_t in, rank_a, rank_b, out;
    } list[] = {{"in", 16, 1, 1, 16},
                {"out", 8, 1, 1, 12},
                {"ranks", 8, 1, 2, 16},
                {"halves", 8, 16, 1, 16},
                {"turned", 8, 2, 16, 2}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct tiny t;
        begin(&t, 1);
        put_half(&t, "blk.0.attn_q", 'a', QUANT_F32, list[i].in, list[i].rank_a);
        put_half(&t, "blk.0.attn_q", 'b', QUANT_F32, list[i].rank_b, list[i].out);
        save(&t, list[i].name);
    }
}

// The matrices that fuzz_lora.c's model has: 2 heads of 8 share one key.
int main(int argc, char **argv)
{
    struct tiny t;
    if (argc != 2) return 2;
    folder = argv[1];
    begin(&t, 4);
    put_pair(&t, "blk.0.attn_q", QUANT_F32, EMBD, 1, 16);
    put_pair(&t, "blk.0.attn_k", QUANT_F16, EMBD, 2, 8);
    put_pair(&t, "blk.0.attn_v", QUANT_BF16, EMBD, 1, 8);
    put_pair(&t, "blk.0.attn_output", QUANT_F32, 16, 1, EMBD);
    save(&t, "attention");
    begin(&t, 0);
    put_pair(&t, "blk.0.ffn_gate", QUANT_F32, EMBD, 1, FF);
    put_pair(&t, "blk.0.ffn_up", QUANT_F16, EMBD, 3, FF);
    put_pair(&t, "blk.0.ffn_down", QUANT_F16, FF, 32, EMBD);
    save(&t, "forward");
    begin(&t, 1);
    put_pair(&t, "output", QUANT_F32, EMBD, 1, 4);
    save(&t, "output");
    begin(&t, 1);
    put_pair(&t, "blk.0.attn_q", QUANT_F32, EMBD, 1, 12);
    put_half(&t, "token_embd", 'a', QUANT_F32, 4, 1);
    tiny_i32s(&t, "adapter.alora.invocation_tokens", (const int32_t[]){1}, 1);
    save(&t, "wrong");
    wrong_shapes();
    return 0;
}
