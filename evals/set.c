// Item sets: what the load functions of tasks build, and prompts out of it.
#include "evals/dataset.h"
#include "evals/eval.h"
#include "evals/extract.h"
#include "evals/pytext.h"

#include <stdlib.h>
#include <string.h>

// Makes room for one more element of `size` bytes in a growing array.
static bool grow(void **array, size_t n, size_t *cap, size_t size, struct err *e)
{
    if (n < *cap) return true;
    size_t want = *cap ? *cap * 2 : 64;
    void *p = realloc(*array, want * size);
    if (!p) return err_nomem(e, "items", want * size);
    *array = p;
    *cap = want;
    return true;
}

bool eval_set_subject(struct eval_set *s, const char *name, struct err *e)
{
    char **p = realloc(s->subjects, (s->n_subjects + 1) * sizeof *p);
    if (p) s->subjects = p;
    char *copy = p ? strdup(name) : NULL;
    if (!copy) return err_nomem(e, "subjects", strlen(name));
    s->subjects[s->n_subjects++] = copy;
    return true;
}

bool eval_set_prefix(struct eval_set *s, char *text, size_t size, bool shared, struct err *e)
{
    void *p = s->prefixes;
    bool ok = text ? grow(&p, s->n_prefixes, &s->cap_prefixes, sizeof *s->prefixes, e)
                   : err_nomem(e, "a prompt", size);
    s->prefixes = p;
    if (!ok) {
        free(text);
        return false;
    }
    s->prefixes[s->n_prefixes++] =
        (struct eval_prefix){.text = text, .size = size, .shared = shared};
    return true;
}

static void item_free(struct eval_item *it)
{
    free(it->text);
    free(it->target);
    cJSON_Delete(it->doc);
    *it = (struct eval_item){0};
}

bool eval_set_item(struct eval_set *s, struct eval_item *it, struct err *e)
{
    struct text dump = {0};
    void *p = s->items;
    bool ok = it->text && it->target && it->doc;
    if (!ok) err_nomem(e, "an item", 0);
    if (ok) {
        pytext_json(&dump, it->doc, 2);
        ok = !dump.failed || err_nomem(e, "an item", dump.cap);
    }
    ok = ok && sha256_hex(dump.data, dump.size, it->doc_sha256, e) &&
         grow(&p, s->n, &s->cap, sizeof *s->items, e);
    s->items = p;
    text_free(&dump);
    if (ok)
        s->items[s->n++] = *it;
    else
        item_free(it);
    return ok;
}

bool eval_set_load(const struct eval_task *t, const char *data_dir, uint64_t seed,
                   struct eval_set *out, struct err *e)
{
    struct data_source src = {.dir = data_dir};
    *out = (struct eval_set){.origin = data_dir ? EVAL_CUSTOM : EVAL_BUNDLED};
    if (t->load(t, &src, seed, out, e)) return true;
    eval_set_free(out);
    return false;
}

void eval_set_free(struct eval_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        item_free(&s->items[i]);
    for (size_t i = 0; i < s->n_prefixes; i++)
        free(s->prefixes[i].text);
    for (size_t i = 0; i < s->n_subjects; i++)
        free(s->subjects[i]);
    free(s->items);
    free(s->prefixes);
    free(s->subjects);
    *s = (struct eval_set){0};
}

const char *eval_origin_name(enum eval_origin o)
{
    return o == EVAL_BUNDLED ? "bundled" : o == EVAL_OFFICIAL ? "official" : "custom";
}

char *eval_prompt(const struct eval_set *s, const struct eval_item *it, size_t *size, struct err *e)
{
    const struct eval_prefix *p = &s->prefixes[it->prefix];
    size_t n = strlen(it->text);
    char *out = malloc(p->size + n + 1);
    *size = p->size + n;
    if (!out) {
        err_nomem(e, "a prompt", *size + 1);
        return NULL;
    }
    memcpy(out, p->text, p->size);
    memcpy(out + p->size, it->text, n + 1);
    return out;
}

char *eval_expected(const struct eval_task *t, const struct eval_item *it, struct err *e)
{
    char *out = NULL;
    if (t->kind == EVAL_LETTER) {
        char letter[2] = {(char)('A' + it->answer), '\0'};
        out = strdup(letter);
    } else {
        const struct extract_filter *f = extract_find2(t->name, t->filters[0]);
        if (f) return extract_normalise(f, it->target, &out, e) ? out : (free(out), NULL);
        out = strdup("its tests pass");
    }
    if (!out) err_nomem(e, "an answer", 0);
    return out;
}

void eval_verdict_free(struct eval_verdict *v)
{
    for (size_t i = 0; i < EVAL_MAX_FILTERS; i++)
        free(v->filtered[i]);
    free(v->got);
    *v = (struct eval_verdict){0};
}
