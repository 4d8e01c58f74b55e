// Pre-tokenizers: how byte-level BPE cuts a text into words, inside which bytes are then merged.
//
// A rule is a list of expressions. The first cuts the text: what it matches and what lies between
// become parts. The next cuts every part again, for which the part is the whole text; the parts
// behind the last are the words. The names are those of tokenizer.ggml.pre; here are the rules of
// models whose GGUF architecture is "llama". Sources: the tokenizer.json of the model behind each
// rule; for "default", which files without a name mean too, what ggml does with them.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/tokenizer/tok.h"
#include "base/size.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

// Unicode's White_Space, spelled out because \s of PCRE2 also takes U+180E.
#define WS                                                                                         \
    "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"       \
    "\\x{3000}"
#define LETTER_DIGIT "\\p{L}\\p{N}"
#define CONTRACTION "'s|'t|'re|'ve|'m|'ll|'d"
#define SPACES "[" WS "]+(?![^" WS "])|[" WS "]+"
#define LINE_ENDS "[" WS "]*[\\r\\n]+"

// GPT-2: contractions, letters, digits, other signs each with one space before it, white space
// without the space that belongs to what follows.
#define GPT2 CONTRACTION "| ?\\p{L}+| ?\\p{N}+| ?[^" WS LETTER_DIGIT "]+|" SPACES
// SmolLM, as StarCoder: first every digit is cut off alone, then the GPT-2 rule is applied to what
// lies between; written as one, so that a digit ends a run of white space as the end does.
#define SMOLLM                                                                                     \
    CONTRACTION "| ?\\p{L}+|\\p{N}| ?[^" WS LETTER_DIGIT "]+|[" WS "]+(?![^" WS "\\p{N}])|[" WS "]+"
// Llama 3: contractions in either case, any sign before letters, digits in threes, line ends
// joined to what stands before them. Qwen 2 has single digits.
#define LLAMA3_WITH(digits)                                                                        \
    "(?i:" CONTRACTION ")|[^\\r\\n" LETTER_DIGIT "]?\\p{L}+|" digits "| ?[^" WS LETTER_DIGIT       \
    "]+[\\r\\n]*|" LINE_ENDS "|" SPACES
#define LLAMA3 LLAMA3_WITH("\\p{N}{1,3}")
#define QWEN2 LLAMA3_WITH("\\p{N}")
// Seed-Coder: line ends are not joined to signs.
#define SEED_CODER                                                                                 \
    "(?i:" CONTRACTION ")|[^\\r\\n" LETTER_DIGIT "]?\\p{L}+|\\p{N}| ?[^" WS LETTER_DIGIT           \
    "\\r\\n]+|" LINE_ENDS "|" SPACES
// Mistral Nemo: words end where capitals begin.
#define CAPITAL "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define SMALL "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
#define TEKKEN                                                                                     \
    "[^\\r\\n" LETTER_DIGIT "]?[" CAPITAL "]*[" SMALL "]+|[^\\r\\n" LETTER_DIGIT "]?[" CAPITAL     \
    "]+[" SMALL "]*|\\p{N}| ?[^" WS LETTER_DIGIT "]+[\\r\\n/]*|" LINE_ENDS "|" SPACES
// DeepSeek: scripts and signs apart. The letters with case are those of Unicode 11 without
// Armenian's small letters and the mathematical alphabets.
#define CASED                                                                                      \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-"        \
    "\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}"  \
    "\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-"        \
    "\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}"           \
    "\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-"       \
    "\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}"        \
    "\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}"         \
    "\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}"        \
    "\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}"        \
    "\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}"          \
    "\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}"        \
    "\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}"         \
    "\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-"        \
    "\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}"        \
    "\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}"             \
    "\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}"         \
    "\\x{1e900}-\\x{1e943}"
#define SIGNS "!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}"
#define EAST_ASIAN "[\\x{800}-\\x{9fa5}\\x{ac00}-\\x{d7ff}]+"
// White space at the end; the look behind keeps a long run from being tried at its every place.
#define SPACES_AT_END "(?<![" WS "])[" WS "]+\\z"
// Viking: everything but white space and the marks that end clauses, of several scripts.
#define CLAUSE " ?[^(" WS "|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"

enum { STAGES = 6 };

static const struct rule {
    const char *name;
    const char *stages[STAGES];
    bool whole_words; // a word that is a token is taken as it is, before any merge
    bool add_bos;     // when the file does not say
} rules[] = {
    {"llama-bpe", {LLAMA3}, true, true},
    {"llama3", {LLAMA3}, true, true},
    {"llama-v3", {LLAMA3}, true, true},
    {"falcon3", {LLAMA3}, true, true},
    {"pixtral", {LLAMA3}, true, true},
    {"midm-2.0", {LLAMA3}, true, true},
    {"smaug-bpe", {LLAMA3}, false, false},
    {"minicpm5", {"\\p{N}{1,3}", LLAMA3_WITH("\\p{N}+")}, true, false},
    {"smollm", {SMOLLM}, false, false},
    {"starcoder", {SMOLLM}, false, false},
    {"refact", {SMOLLM}, false, false},
    {"minerva-7b", {SMOLLM}, false, false},
    {"gpt-2", {GPT2}, false, false},
    {"gpt2", {GPT2}, false, false},
    {"mellum", {GPT2}, false, false},
    {"trillion", {GPT2}, false, false},
    {"granite-docling", {GPT2}, false, false},
    {"qwen2", {QWEN2}, false, false},
    {"megrez", {QWEN2}, false, false},
    {"seed-coder", {SEED_CODER}, false, false},
    {"tekken", {TEKKEN}, true, true},
    {"deepseek-llm",
     {"[\\r\\n]", "[" WS "]?[" CASED "]+", "[" WS "]?[" SIGNS "]+", SPACES_AT_END, EAST_ASIAN,
      "\\p{N}+"},
     false,
     false},
    {"deepseek-coder",
     {"[\\r\\n]", "[" WS "]?\\p{L}+", "[" WS "]?\\p{P}+", EAST_ASIAN, "\\p{N}"},
     false,
     false},
    {"viking", {CLAUSE, "\\p{N}"}, false, false},
    {"default", {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9]{3}"}, false, false},
};

struct pre {
    pcre2_code *stages[STAGES];
    size_t n;
};

static bool find_rule(const struct gguf *g, const struct rule **out, struct err *e)
{
    struct gguf_str name = {"default", 7};
    char shown[41];
    if (gguf_find(g, "tokenizer.ggml.pre") && !gguf_string(g, "tokenizer.ggml.pre", &name, e))
        return false;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        *out = &rules[i];
        if (strlen(rules[i].name) == name.n && memcmp(rules[i].name, name.s, name.n) == 0)
            return true;
    }
    size_t n = size_min(name.n, sizeof shown - 1);
    for (size_t i = 0; i < n; i++) // the file's bytes must not speak to the terminal
        shown[i] = name.s[i] >= ' ' && name.s[i] <= '~' ? name.s[i] : '?';
    shown[n] = '\0';
    return err_set(e, ERR_UNSUPPORTED,
                   "%s: Lectern does not know the pre-tokenizer '%s' and would cut text otherwise "
                   "than the model was taught; it knows those of Llama 3, SmolLM, GPT-2, Mistral, "
                   "DeepSeek, Qwen 2 and their like",
                   g->path, shown);
}

static bool compile(const char *expression, pcre2_code **out, struct err *e)
{
    int code;
    size_t at;
    char why[128];
    *out = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                         &code, &at, NULL);
    if (*out) {
        (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); // slower without, the same result
        return true;
    }
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return err_set(e, ERR_INTERNAL, "PCRE2 refuses the tokenizer's expression at %zu: %s", at, why);
}

bool pre_open(const struct gguf *g, struct pre **out, bool *whole_words, bool *add_bos,
              struct err *e)
{
    const struct rule *r = NULL;
    *out = NULL;
    if (!find_rule(g, &r, e)) return false;
    struct pre *p = calloc(1, sizeof *p);
    if (!p) return err_nomem(e, "the vocabulary", sizeof *p);
    bool ok = true;
    while (ok && p->n < STAGES && r->stages[p->n]) {
        ok = compile(r->stages[p->n], &p->stages[p->n], e);
        p->n++;
    }
    *whole_words = r->whole_words;
    *add_bos = r->add_bos;
    if (ok)
        *out = p;
    else
        pre_close(p);
    return ok;
}

void pre_close(struct pre *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n; i++)
        pcre2_code_free(p->stages[i]);
    free(p);
}

struct split {
    const struct pre *p;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pre_word *word;
    void *ctx;
};

static bool cut(const struct split *s, size_t stage, const char *text, size_t size, struct err *e)
{
    if (size == 0) return true;
    if (stage == s->p->n) return s->word(s->ctx, text, size, e);
    for (size_t at = 0; at < size;) {
        int rc = pcre2_match(s->p->stages[stage], (PCRE2_SPTR)text, size, at, PCRE2_NO_UTF_CHECK,
                             s->match, s->context);
        if (rc == PCRE2_ERROR_NOMATCH) return cut(s, stage + 1, text + at, size - at, e);
        const size_t *found = pcre2_get_ovector_pointer(s->match);
        if (rc < 0 || found[1] <= found[0])
            return err_set(e, ERR_INTERNAL, "splitting the text into words failed at byte %zu (%d)",
                           at, rc);
        size_t begin = found[0], end = found[1]; // the cut of a part overwrites them
        if (!cut(s, stage + 1, text + at, begin - at, e) ||
            !cut(s, stage + 1, text + begin, end - begin, e))
            return false;
        at = end;
    }
    return true;
}

bool pre_split(const struct pre *p, const char *text, size_t size, pre_word *word, void *ctx,
               struct err *e)
{
    struct split s = {.p = p, .word = word, .ctx = ctx};
    s.match = pcre2_match_data_create(1, NULL);
    s.context = pcre2_match_context_create(NULL);
    bool ok = false;
    if (!s.match || !s.context) {
        err_nomem(e, "tokenizing", 0);
    } else { // a run of white space is walked back step by step: long runs need many steps
        pcre2_set_match_limit(s.context, UINT32_MAX);
        ok = cut(&s, 0, text, size, e);
    }
    pcre2_match_data_free(s.match);
    pcre2_match_context_free(s.context);
    return ok;
}
