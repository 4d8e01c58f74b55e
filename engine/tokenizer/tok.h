// Inside of the tokenizer. The public face is the vocabulary part of engine/engine.h.
//
//   table.c  texts <-> symbols      merge.c  the merging loop that both kinds share
//   bpe.c    byte-level BPE         spm.c    SentencePiece scores
//   tok.c    loading, special tokens, pieces      chat.c  templates
//
// A symbol is a token, or (from n_tokens on) a text that merges pass through without being a
// token. All texts are raw bytes: byte-level letters and SentencePiece's U+2581 are undone at
// load, so that tokenizing needs no alphabet.
#ifndef LECTERN_TOK_H
#define LECTERN_TOK_H

#include "base/json.h"
#include "engine/engine.h"
#include "engine/gguf/gguf.h"

enum tok_model { TOK_BPE, TOK_SPM };

// The file's numbers.
enum tok_type {
    TOK_UNDEFINED,
    TOK_NORMAL,
    TOK_UNKNOWN,
    TOK_CONTROL,
    TOK_USER,
    TOK_UNUSED,
    TOK_BYTE,
    TOK_N_TYPES
};

struct tok_span { // of vocab.bytes
    uint32_t at, size;
};

struct tok_chat {
    const char *name;     // static, NULL: none
    bool trims;           // the template strips a message's white space
    bool dated;           // Llama 3.1 on: a system header with dates always
    char *date;           // its "Today Date"; owned
    char *default_system; // what stands in for a missing system message, or NULL; owned
};

struct tok_bpe; // bpe.c

struct vocab {
    enum tok_model model;
    uint32_t n_tokens;
    uint8_t *type; // [n_tokens] enum tok_type
    bool *eog;     // [n_tokens]

    struct text bytes;      // all texts, one after the other
    struct tok_span *spans; // [n_symbols]
    uint32_t n_symbols, cap_symbols;
    uint32_t *slots;    // hash table of symbol + 1; 0 = free
    uint32_t slot_mask; // number of slots - 1
    uint32_t n_slots_used;
    uint32_t longest; // bytes of the longest text in the table

    int32_t byte_symbol[256]; // BPE: always a symbol. SPM: the byte's token or -1
    int32_t bos, eos, unk;    // -1: none
    bool add_bos, add_space;

    int32_t *specials; // tokens recognised in the text, sorted by text
    uint32_t n_specials;
    bool special_first[256]; // bytes that begin one

    struct tok_bpe *bpe;
    uint32_t *rank;   // SPM, [n_tokens]: merged first = lowest
    bool split_words; // SPM: no token reaches over the start of a word

    struct tok_chat chat;
};

// tok.c. vocab_open of a file that is open already.
bool vocab_load(const struct gguf *g, struct vocab **out, struct err *e);

// table.c. Symbols are appended; tok_table_add enters one unless its text is there already.
bool tok_symbol(struct vocab *v, const char *text, size_t size, uint32_t *id, struct err *e);
bool tok_table_add(struct vocab *v, uint32_t id, struct err *e);
int32_t tok_find(const struct vocab *v, const char *text, size_t size); // -1: none
// Finds the text or makes a symbol of it.
bool tok_intern(struct vocab *v, const char *text, size_t size, uint32_t *id, struct err *e);

static inline const char *tok_text(const struct vocab *v, uint32_t id, size_t *size)
{
    *size = v->spans[id].size;
    return v->bytes.data + v->spans[id].at;
}

// merge.c
struct merge_symbol {
    uint32_t at, size;  // bytes of the text; size 0: merged into its left neighbour
    int32_t prev, next; // -1: none
    int32_t id;         // symbol, or -1
};

struct merge_pair { // a heap entry
    uint64_t order; // rank << 32 | index of the left symbol: lowest first, leftmost of equals
    uint32_t size;  // of both texts together: tells that neither has changed since
    int32_t id;     // what they become
};

struct merge_work { // zero-initialise, merge_free when done; used for one word after the other
    const char *text;
    struct merge_symbol *symbols;
    size_t n, cap;
    struct merge_pair *heap;
    size_t n_heap, cap_heap;
};

// What the neighbours l and r become, if anything, and how early.
typedef bool merge_rule(const struct vocab *v, const char *text, const struct merge_symbol *l,
                        const struct merge_symbol *r, uint32_t *rank, int32_t *id);

void merge_begin(struct merge_work *w, const char *text);
bool merge_add(struct merge_work *w, uint32_t size, int32_t id, struct err *e);
bool merge_run(const struct vocab *v, struct merge_work *w, merge_rule *rule, struct err *e);
void merge_free(struct merge_work *w);

// bpe.c and spm.c. Tokens of text[0..size), in which no special token is looked for.
bool bpe_load(struct vocab *v, const struct gguf *g, struct err *e);
void bpe_free(struct vocab *v);
bool bpe_tokenize(const struct vocab *v, const char *text, size_t size, struct tokens *out,
                  struct err *e);
// The raw bytes that a token's text stands for; false when it is not in the byte alphabet.
bool bpe_decode(struct gguf_str text, struct text *out);

bool spm_load(struct vocab *v, const struct gguf *g, struct err *e);
// lead: the text begins a sequence or follows a special token.
bool spm_tokenize(const struct vocab *v, const char *text, size_t size, bool lead,
                  struct tokens *out, struct err *e);
bool spm_decode(struct gguf_str text, enum tok_type type, struct text *out);

// A byte that no symbol covers: its token, else <unk>, else an error.
bool tok_push_byte(const struct vocab *v, unsigned char byte, struct tokens *out, struct err *e);

// chat.c
bool chat_load(struct vocab *v, const struct gguf *g, struct err *e);
void chat_free(struct vocab *v);

#endif
