#define PCRE2_CODE_UNIT_WIDTH 8
#include "evals/extract.h"
#include "base/json.h"
#include "evals/pytext.h"

#include <ctype.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER "(-?[$0-9.,]{2,})|(-?[0-9]+)"

const struct extract_filter extract_filters[] = {
    {"gsm8k", "strict-match", "#### (\\-?[0-9\\.\\,]+)", false, false},
    {"gsm8k", "flexible-extract", NUMBER, true, false},
    // The bare dot at the end is the harness's: it takes one more character of any kind.
    {"gsm8k_cot", "strict-match", "The answer is (\\-?[0-9\\.\\,]+).", false, false},
    {"gsm8k_cot", "flexible-extract", NUMBER, true, false},
    {"gsm8k_cot_llama", "strict-match", "The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+))", true,
     false},
    {"gsm8k_cot_llama", "flexible-extract", NUMBER, true, false},
    {"gsm8k_llama", "strict_match", "final answer is (\\-?[0-9\\.\\,]+)", true, false},
    {"gsm8k_llama", "flexible_extract", NUMBER, true, false},
    {"mmlu_cot_llama", "strict_match", "best answer is ([A-Z])", true, true},
};
const size_t extract_n_filters = sizeof extract_filters / sizeof extract_filters[0];

const struct extract_filter *extract_find2(const char *task, const char *name)
{
    for (size_t i = 0; i < extract_n_filters; i++)
        if (!strcmp(extract_filters[i].task, task) && !strcmp(extract_filters[i].name, name))
            return &extract_filters[i];
    return NULL;
}

const struct extract_filter *extract_find(const char *task_slash_name)
{
    char task[64];
    const char *slash = strchr(task_slash_name, '/');
    size_t n = slash ? (size_t)(slash - task_slash_name) : 0;
    if (!n || n >= sizeof task) return NULL;
    memcpy(task, task_slash_name, n);
    task[n] = '\0';
    return extract_find2(task, slash + 1);
}

// Python's re on str: UTF-8, and "." stops at LF only, whatever PCRE2 was built with.
static pcre2_code *compile(const char *pattern, struct err *e)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *ctx = pcre2_compile_context_create(NULL);
    if (ctx) pcre2_set_newline(ctx, PCRE2_NEWLINE_LF);
    pcre2_code *re = ctx ? pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &code, &at, ctx)
                         : NULL;
    pcre2_compile_context_free(ctx);
    if (!re) err_set(e, ERR_INTERNAL, "the pattern %s does not compile (%d)", pattern, code);
    return re;
}

static bool match_failed(int rc, struct err *e)
{
    return err_set(e, ERR_MEMORY, "PCRE2 gave up on a response (error %d)", rc);
}

// First non-empty group of a match, in [*from, *to).
static bool pick_group(pcre2_match_data *md, int rc, size_t *from, size_t *to)
{
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(md);
    for (int g = rc > 1 ? 1 : 0; g < rc; g++) {
        if (v[2 * g] == PCRE2_UNSET || v[2 * g] == v[2 * g + 1]) continue;
        *from = v[2 * g];
        *to = v[2 * g + 1];
        return true;
    }
    return false;
}

bool extract_apply(const struct extract_filter *f, const char *resp, size_t size, char **out,
                   struct err *e)
{
    *out = NULL;
    pcre2_code *re = compile(f->pattern, e);
    if (!re) return false;
    pcre2_match_data *md = pcre2_match_data_create_from_pattern(re, NULL);
    bool ok = md != NULL || err_nomem(e, "a match", 0), found = false;
    size_t from = 0, to = 0;
    for (size_t at = 0; ok && at <= size;) {
        int rc = pcre2_match(re, (PCRE2_SPTR)resp, size, at, 0, md, NULL);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc < 0) ok = match_failed(rc, e);
        if (!ok) break;
        found = pick_group(md, rc, &from, &to);
        if (!f->last) break;
        size_t end = pcre2_get_ovector_pointer(md)[1];
        at = end > at ? end : at + 1;
    }
    if (ok) {
        const char *s = found ? resp + from : EXTRACT_INVALID;
        size_t n = found ? to - from : strlen(EXTRACT_INVALID);
        pytext_strip(&s, &n);
        *out = strndup(s, n);
        ok = *out != NULL || err_nomem(e, "an answer", n);
    }
    pcre2_match_data_free(md);
    pcre2_code_free(re);
    return ok;
}

// re.sub(pattern, "", *s); replaces the string *s.
static bool delete_all(const char *pattern, char **s, struct err *e)
{
    pcre2_code *re = compile(pattern, e);
    if (!re) return false;
    PCRE2_SIZE n = strlen(*s) + 1;
    char *out = malloc(n);
    if (!out) {
        pcre2_code_free(re);
        return err_nomem(e, "an answer", n);
    }
    int rc = pcre2_substitute(re, (PCRE2_SPTR)*s, PCRE2_ZERO_TERMINATED, 0, PCRE2_SUBSTITUTE_GLOBAL,
                              NULL, NULL, (PCRE2_SPTR) "", 0, (PCRE2_UCHAR *)out, &n);
    pcre2_code_free(re);
    free(*s);
    *s = out;
    if (rc < 0) return match_failed(rc, e);
    return true;
}

static void drop_punctuation(char *s)
{
    char *w = s;
    for (; *s; s++)
        if (!ispunct((unsigned char)*s)) *w++ = *s;
    *w = '\0';
}

bool extract_normalise(const struct extract_filter *f, const char *text, char **out, struct err *e)
{
    static const char *const ignored[] = {",", "\\$", "(?s).*#### ", "\\.$"};
    *out = strdup(text);
    if (!*out) return err_nomem(e, "an answer", strlen(text));
    for (size_t i = 0; !f->ignore_punctuation && i < sizeof ignored / sizeof ignored[0]; i++)
        if (!delete_all(ignored[i], out, e)) return false;
    for (char *c = *out; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    if (f->ignore_punctuation) drop_punctuation(*out);
    return true;
}

bool extract_equal(const struct extract_filter *f, const char *got, const char *want, bool *equal,
                   struct err *e)
{
    char *a = NULL, *b = NULL;
    bool ok = extract_normalise(f, got, &a, e) && extract_normalise(f, want, &b, e);
    *equal = ok && !strcmp(a, b);
    free(a);
    free(b);
    return ok;
}

size_t extract_cut(const char *text, size_t size, const char *const *until)
{
    for (size_t i = 0; until[i]; i++) {
        size_t n = strlen(until[i]);
        for (size_t at = 0; n && at + n <= size; at++)
            if (!memcmp(text + at, until[i], n)) {
                size = at; // a stop further down the list may come even earlier
                break;
            }
    }
    return size;
}
