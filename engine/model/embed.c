#include "engine/model/embed.h"

#include <assert.h>
#include <string.h>

bool embed_check(const struct gguf *g, const struct config *c, struct err *e)
{
    const struct gguf_tensor *t = gguf_tensor(g, "token_embd.weight");
    if (!t || t->ne[0] != c->n_embd || t->ne[1] != c->n_vocab ||
        t->n_elements != (uint64_t)c->n_embd * c->n_vocab)
        return err_set(e, ERR_FORMAT, "%s: token_embd.weight is not %u x %u", g->path, c->n_vocab,
                       c->n_embd);
    return true;
}

void embed_rows(const struct gguf *g, const struct config *c, const uint32_t *ids, uint32_t n,
                uint32_t stride, float *out)
{
    const struct gguf_tensor *t = gguf_tensor(g, "token_embd.weight");
    size_t row = t->size / t->ne[1];
    for (uint32_t i = 0; i < n; i++, out += stride) {
        bool ok = quant_dequantise(t->type, t->data + ids[i] * row, c->n_embd, out);
        assert(ok); // every type that gguf_open takes
        (void)ok;
        memset(out + c->n_embd, 0, (stride - c->n_embd) * sizeof *out);
    }
}
