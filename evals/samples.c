#include "evals/samples.h"
#include "base/file.h"
#include "evals/pytext.h"

#include <stdlib.h>
#include <string.h>

void item_result_free(struct item_result *r)
{
    free(r->got);
    free(r->category);
    *r = (struct item_result){0};
}

static void add_string(struct text *t, const char *s)
{
    text_json(t, s, strlen(s), false);
}

static void add_member(struct text *t, const char *key, const char *value)
{
    text_printf(t, ", \"%s\": ", key);
    add_string(t, value);
}

// "arguments": what the harness would have called the model with.
static void add_arguments(struct text *out, const struct eval_task *t, const char *prompt)
{
    text_puts(out, ", \"arguments\": {");
    if (t->kind == EVAL_LETTER) {
        for (int i = 0; i < EVAL_LETTERS; i++) {
            text_printf(out, "%s\"gen_args_%d\": {\"arg_0\": ", i ? ", " : "", i);
            add_string(out, prompt);
            text_printf(out, ", \"arg_1\": \" %c\"}", 'A' + i);
        }
    } else {
        text_puts(out, "\"gen_args_0\": {\"arg_0\": ");
        add_string(out, prompt);
        text_puts(out, ", \"arg_1\": {\"until\": [");
        for (size_t i = 0; t->until[i]; i++) {
            text_puts(out, i ? ", " : "");
            add_string(out, t->until[i]);
        }
        text_printf(out, "], \"do_sample\": false, \"temperature\": 0.0, \"max_gen_toks\": %u}}",
                    t->max_gen_toks);
    }
    text_puts(out, "}");
}

static void add_letters(struct text *out, const struct eval_response *r, bool nested)
{
    for (int i = 0; i < EVAL_LETTERS; i++) {
        char num[32];
        pytext_float(num, r->logprob[i]);
        text_printf(out, "%s%s[\"%s\", \"%s\"]%s", i ? ", " : "", nested ? "[" : "", num,
                    r->greedy[i] ? "True" : "False", nested ? "]" : "");
    }
}

static void add_responses(struct text *out, const struct eval_task *t,
                          const struct eval_response *r, const struct eval_verdict *v, size_t f)
{
    bool letters = t->kind == EVAL_LETTER;
    text_puts(out, ", \"resps\": [");
    if (letters) {
        add_letters(out, r, true);
    } else {
        text_puts(out, "[");
        add_string(out, r->text);
        text_puts(out, "]");
    }
    text_puts(out, "], \"filtered_resps\": [");
    if (letters) {
        add_letters(out, r, false);
    } else {
        bool list = !strcmp(t->metric, "pass@1"); // programs come as a list of candidates
        text_puts(out, list ? "[" : "");
        add_string(out, v->filtered[f] ? v->filtered[f] : "");
        text_puts(out, list ? "]" : "");
    }
    text_puts(out, "]");
}

static void add_line(const struct eval_task *t, const struct eval_item *it, const char *prompt,
                     const struct eval_response *r, const struct eval_verdict *v, size_t f,
                     double seconds, const struct item_result *res, struct text *out)
{
    text_printf(out, "{\"doc_id\": %u, \"doc\": ", it->doc_id);
    pytext_json(out, it->doc, 0);
    add_member(out, "target", it->target);
    add_arguments(out, t, prompt);
    add_responses(out, t, r, v, f);
    add_member(out, "filter", t->filters[f]);
    text_printf(out, ", \"metrics\": [\"%s\"]", t->metric);
    add_member(out, "doc_hash", it->doc_sha256);
    add_member(out, "prompt_hash", res->prompt_sha256);
    add_member(out, "target_hash", res->target_sha256);
    text_printf(out, ", \"%s\": %s, \"lectern\": {\"subject\": ", t->metric,
                v->correct[f] ? "1.0" : "0.0");
    add_string(out, it->subject);
    add_member(out, "got", v->got);
    add_member(out, "category", v->category);
    text_printf(out, ", \"seconds\": %.3f}}\n", seconds);
}

bool samples_write(const struct eval_task *t, const struct eval_set *s, const struct eval_item *it,
                   const struct eval_response *r, const struct eval_verdict *v, double seconds,
                   struct text *out, struct item_result *res, struct err *e)
{
    size_t size;
    char *prompt = eval_prompt(s, it, &size, e);
    if (!prompt) return false;
    *res = (struct item_result){.got = strdup(v->got), .category = strdup(v->category)};
    bool ok = (res->got && res->category) || err_nomem(e, "a result", 0);
    ok = ok && sha256_hex(prompt, size, res->prompt_sha256, e) &&
         sha256_hex(it->target, strlen(it->target), res->target_sha256, e);
    for (size_t f = 0; ok && f < eval_task_filters(t); f++) {
        res->correct[f] = v->correct[f];
        add_line(t, it, prompt, r, v, f, seconds, res, out);
    }
    free(prompt);
    ok = ok && (!out->failed || err_nomem(e, "a sample", out->cap));
    res->done = ok;
    if (!ok) item_result_free(res);
    return ok;
}

// ------------------------------------------------------------------------------- reading back

// Items lie by subject and doc_id, both ascending, so that halving finds one. SIZE_MAX: none.
static size_t find_item(const struct eval_set *s, const char *subject, int64_t doc_id)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(s->items[mid].subject, subject);
        if (c < 0 || (!c && s->items[mid].doc_id < doc_id))
            lo = mid + 1;
        else
            hi = mid;
    }
    bool found =
        lo < s->n && !strcmp(s->items[lo].subject, subject) && s->items[lo].doc_id == doc_id;
    return found ? lo : SIZE_MAX;
}

struct sample {
    size_t item, filter;
    bool correct;
    const char *got, *category, *prompt_hash, *target_hash;
};

static bool read_sample(const struct eval_task *t, const struct eval_set *s, const cJSON *j,
                        const char *where, struct sample *out, struct err *e)
{
    const cJSON *own;
    const char *subject, *filter, *hash;
    int64_t doc_id;
    double metric;
    if (!json_int(j, "doc_id", &doc_id, where, e) || !json_string(j, "filter", &filter, where, e) ||
        !json_string(j, "doc_hash", &hash, where, e) ||
        !json_string(j, "prompt_hash", &out->prompt_hash, where, e) ||
        !json_string(j, "target_hash", &out->target_hash, where, e) ||
        !json_number(j, t->metric, &metric, where, e) ||
        !json_object(j, "lectern", &own, where, e) ||
        !json_string(own, "subject", &subject, where, e) ||
        !json_string(own, "got", &out->got, where, e) ||
        !json_string(own, "category", &out->category, where, e))
        return false;
    out->correct = metric > 0.5;
    out->item = find_item(s, subject, doc_id);
    for (out->filter = 0; t->filters[out->filter]; out->filter++)
        if (!strcmp(t->filters[out->filter], filter)) break;
    if (out->item == SIZE_MAX || !t->filters[out->filter] ||
        strcmp(hash, s->items[out->item].doc_sha256) != 0 ||
        strlen(out->prompt_hash) >= SHA256_HEX_SIZE || strlen(out->target_hash) >= SHA256_HEX_SIZE)
        return err_set(e, ERR_FORMAT, "%s is not of this set; go on without --resume", where);
    return true;
}

// The first filter's line fills the result, the last one's makes it whole.
static bool keep_sample(const struct eval_task *t, const struct sample *in, struct item_result *res,
                        bool *whole, struct err *e)
{
    *whole = false;
    if (in->filter == 0) {
        item_result_free(res);
        res->got = strdup(in->got);
        res->category = strdup(in->category);
        if (!res->got || !res->category) return err_nomem(e, "a result", 0);
        (void)strcpy(res->prompt_sha256, in->prompt_hash); // read_sample checked the lengths
        (void)strcpy(res->target_sha256, in->target_hash);
    }
    res->correct[in->filter] = in->correct;
    if (res->got && in->filter + 1 == eval_task_filters(t)) *whole = res->done = true;
    return true;
}

static bool read_lines(const struct eval_task *t, const struct eval_set *s, const char *path,
                       char *data, size_t size, struct item_result *results, size_t *keep,
                       struct err *e)
{
    size_t line = 0, at = 0;
    for (char *nl; (nl = memchr(data + at, '\n', size - at)); at = (size_t)(nl - data) + 1) {
        char where[4200];
        struct sample in;
        bool whole = false;
        (void)snprintf(where, sizeof where, "%.4000s line %zu", path, ++line);
        cJSON *j = json_parse(data + at, (size_t)(nl - data) - at, where, e);
        bool ok = j && read_sample(t, s, j, where, &in, e) &&
                  keep_sample(t, &in, &results[in.item], &whole, e);
        cJSON_Delete(j);
        if (!ok) return false;
        if (whole) *keep = (size_t)(nl - data) + 1;
    }
    return true;
}

bool samples_read(const struct eval_task *t, const struct eval_set *s, const char *path,
                  struct item_result *results, size_t *n_done, size_t *keep, struct err *e)
{
    char *data;
    size_t size;
    *n_done = *keep = 0;
    if (!file_read(path, (size_t)1 << 32, &data, &size, e)) return false;
    bool ok = read_lines(t, s, path, data, size, results, keep, e);
    free(data);
    for (size_t i = 0; i < s->n; i++) {
        if (!results[i].done) item_result_free(&results[i]); // half an item
        *n_done += results[i].done;
    }
    return ok;
}
