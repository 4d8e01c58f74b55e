// Files of LoRA adapters, for a model of one layer. What is taken has the model's shapes, and all
// its numbers can be read. An input is the file; it may be anything.
#include "engine/model/lora.h"
#include "tests/fuzz/fuzz.h"

static const struct config model = {
    .n_layers = 1,
    .n_embd = 8,
    .n_heads = 2,
    .n_kv_heads = 1,
    .head_dim = 8,
    .n_ff = 12,
    .n_vocab = 4,
};

static void read_tensor(const struct gguf_tensor *t)
{
    float *x = malloc(t->n_elements * sizeof *x);
    MUST(x);
    if (quant_dequantise(t->type, t->data, t->n_elements, x))
        fuzz_read(x, t->n_elements * sizeof *x);
    else
        fuzz_read(t->data, t->size);
    free(x);
}

static void read_pair(const struct lora_tensor *pair, enum lora_target target)
{
    uint64_t n_in, n_out;
    MUST(!pair->a == !pair->b);
    if (!pair->a) return;
    lora_shape(&model, target, &n_in, &n_out);
    MUST(pair->a->ne[0] == n_in && pair->a->ne[1] == pair->b->ne[0] && pair->b->ne[1] == n_out);
    read_tensor(pair->a);
    read_tensor(pair->b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int has_output = 0; has_output < 2; has_output++) {
        struct gguf g;
        struct lora_file f = {0};
        struct err e = {0};
        if (!gguf_open_memory(data, size, "input", false, &g, &e) ||
            !lora_file_take(&g, &model, has_output, &f, &e)) {
            fuzz_sentence(&e);
            MUST(!f.tensors);
            continue;
        }
        for (int t = 0; t < N_LORA_TARGETS + has_output; t++)
            read_pair(&f.tensors[t], (enum lora_target)t);
        MUST(f.bytes <= size); // no tensor is counted twice
        lora_file_close(&f);
    }
    return 0;
}
