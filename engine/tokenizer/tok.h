// Inside of the tokenizer. The public face is the vocabulary part of engine/engine.h.
//
//   table.c  texts <-> tokens       merge.c  the merging loop that both kinds share
//   bpe.c    byte-level BPE         pre.c    the words that it merges in
//   spm.c    SentencePiece scores
//   tok.c    loading, special tokens              pieces.c  ids back to text
//   chat.c   conversations as text; chat_forms.c formats, chat_norm.c templates, chat_json.c tools
//
// All texts are raw bytes: byte-level letters and SentencePiece's U+2581 are undone at
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

struct tok_slot {
    uint32_t tag; // more of the hash: few texts are compared in vain
    uint32_t id;  // + 1; 0: free
};

struct chat_turn { // [BOS] open TEXT close [EOS] after; $ in open stands for the role
    const char *open, *close, *after;
    bool eos, bos;
    bool keeps; // the text is never stripped
};

enum { CHAT_N_MUST = 3, CHAT_N_OUTS = 4 };
enum chat_system { CHAT_SYSTEM_TURN, CHAT_SYSTEM_FIRST, CHAT_SYSTEM_LAST, CHAT_SYSTEM_NONE };

struct chat_form { // chat_forms.c
    const char *name;
    const char *must[CHAT_N_MUST], *outs[CHAT_N_OUTS];
    struct chat_turn user, assistant, system;
    const char *opening;                      // of the assistant's turn, NULL: none
    const char *default_open, *default_close; // around a default system message
    enum chat_system place;                   // a turn, or inside the first or last user's
    bool default_whole;                       // what is around belongs to the text
    bool bos, keeps;                          // chosen by name: BOS first, texts not stripped
    bool in_turn;                             // user and assistant must take turns
    bool any_role, dated;
    bool reasons; // thoughts before </think> are dropped; a system message stands first only
};

struct tok_chat {                 // what the file's template is
    const struct chat_form *form; // NULL: none, or not recognised
    const char *like;             // then a name that may fit, or NULL
    bool trims, bos, opens_always, tools;
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
    struct tok_span *spans; // [n_tokens]
    uint32_t n_spans;       // filled so far
    struct tok_slot *slots; // hash table, at most half full
    uint32_t slot_mask;     // number of slots - 1
    uint32_t longest;       // bytes of the longest text in the table

    int32_t byte_token[256]; // -1: none
    int32_t bos, eos, unk;   // -1: none
    bool add_bos, add_eos;
    bool add_space; // SPM: a space before the text
    bool squeeze;   // SPM: runs of spaces are one space, none at the ends

    int32_t *specials; // tokens recognised in the text, sorted by text
    uint32_t n_specials;
    bool special_first[256]; // bytes that begin one

    struct tok_bpe *bpe;
    uint32_t *rank;   // SPM, [n_tokens]: merged first = lowest
    bool split_words; // SPM: no token reaches over the start of a word

    struct tok_chat chat;
};

static inline bool tok_in_range(const struct vocab *v, int32_t id)
{
    return id >= 0 && (uint32_t)id < v->n_tokens;
}

// tok.c. As vocab_open, from a file that is open already; nothing is borrowed from it.
bool vocab_load(const struct gguf *g, struct vocab **out, struct err *e);

// table.c. tok_add appends the next token's text; tok_table_add enters a token into the table,
// unless its text is there already.
bool tok_add(struct vocab *v, const char *text, size_t size, struct err *e);
bool tok_table_reserve(struct vocab *v, uint32_t n, struct err *e); // first, for at most n texts
void tok_table_add(struct vocab *v, uint32_t id);
int32_t tok_find(const struct vocab *v, const char *text, size_t size); // -1: none
uint64_t tok_hash(const char *s, size_t n);

static inline const char *tok_text(const struct vocab *v, uint32_t id, size_t *size)
{
    *size = v->spans[id].size;
    return v->bytes.data + v->spans[id].at;
}

// merge.c
struct merge_symbol {
    uint32_t at, size;  // bytes of the text; size 0: merged into its left neighbour
    int32_t prev, next; // -1: none
    int32_t id;         // token, or -1
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

// pre.c. whole_words: a word that is a token is taken as it is; add_bos: when the file does not
// say.
struct pre;
bool pre_open(const struct gguf *g, struct pre **out, bool *whole_words, bool *add_bos,
              struct err *e);
void pre_close(struct pre *p);
typedef bool pre_word(void *ctx, const char *word, size_t size, struct err *e);
// Calls `word` for the words of text[0..size), which is valid UTF-8, from left to right, no gaps.
bool pre_split(const struct pre *p, const char *text, size_t size, pre_word *word, void *ctx,
               struct err *e);

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
// From the template's own text instead of a file's key.
bool chat_recognise(struct tok_chat *c, const char *template, size_t size, struct err *e);

// chat_norm.c. *trims: the template strips white space off messages.
void chat_normalise(const char *template, size_t size, struct text *out, bool *trims);

// chat_forms.c. *system: the default system message, inside `normal`.
const struct chat_form *chat_form_named(const char *name); // or NULL
const struct chat_form *chat_form_of(const char *normal, struct gguf_str *system);
const char *chat_form_like(const char *template);

// chat_json.c. Writes the value at p in Python's spelling, returns what is behind it; indent 0: on
// one line. chat_tools: every definition of the array, an empty line behind each.
const char *chat_json(struct text *t, const char *p, int indent, int depth);
bool chat_tools(struct text *t, const char *tools, struct err *e);

#endif
