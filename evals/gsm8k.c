// GSM8K, generated greedily and judged by two filters (extract.c).
//
//   gsm8k      5-shot    Question: {question}\nAnswer: {answer with its reasoning}\n\n
//   gsm8k_cot  8-shot    Q: {question}\nA: {reasoning} The answer is {n}.\n\n
//
// The shots of gsm8k are random.Random(seed).sample(train, 5), drawn once for every test item in
// order, so that an item keeps its shots whatever subset is run. Those of gsm8k_cot are fixed.
// Source: Cobbe et al. 2021; Wei et al. 2022 for the eight exemplars, which Lectern does not
// carry: next to official data they are read from a file, else Lectern's own eight stand in.
#include "base/file.h"
#include "evals/dataset.h"
#include "evals/extract.h"
#include "evals/pyrandom.h"
#include "evals/tasks.h"

#include <stdlib.h>
#include <string.h>

static const char official_sha256[] = // test.jsonl train.jsonl
    "7a4a695ed27d5b92657a3f578526663b38788df492cd85424cade1eb424873a4";
static const char official_test_sha256[] = // test.jsonl
    "f7e57181491e388d33a894e44c63ad22648dfb8a146ab879b51e79a93b8faf29";
static const char published_shots_sha256[] = // of the rendered shots
    "3d55795c084e26f6ebb6925833999a44f75c4280eb7ab4d66f9bb940244e4847";

static const struct data_source bundle = {0};

// {"question", "answer"} a line. NULL on failure.
static cJSON *read_problems(const struct data_source *src, const char *name,
                            struct data_manifest *m, struct err *e)
{
    char *data;
    size_t size, row = 0;
    if (!data_read(src, name, &data, &size, e)) return NULL;
    cJSON *all = data_manifest_add(m, name + strlen("gsm8k/"), data, size, e)
                     ? jsonl_parse(data, size, name, e)
                     : NULL;
    free(data);
    const cJSON *doc;
    cJSON_ArrayForEach(doc, all)
    {
        char where[128];
        const char *s;
        (void)snprintf(where, sizeof where, "%s item %zu", name, ++row);
        if (json_string(doc, "question", &s, where, e) && json_string(doc, "answer", &s, where, e))
            continue;
        cJSON_Delete(all);
        return NULL;
    }
    if (all && !row) {
        err_set(e, ERR_FORMAT, "%s has no items", name);
        cJSON_Delete(all);
        all = NULL;
    }
    return all;
}

static const char *question(const cJSON *doc)
{
    return json_string_or(doc, "question", "");
}

static const char *answer(const cJSON *doc)
{
    return json_string_or(doc, "answer", "");
}

// The final number, behind the last "####", as gsm8k_cot's target has it.
static char *final_number(const char *text)
{
    const char *at = text;
    for (const char *p; (p = strstr(at, "####"));)
        at = p + 4;
    at += strspn(at, " \t\r\n");
    size_t n = strlen(at);
    while (n && strchr(" \t\r\n", at[n - 1]))
        n--;
    return strndup(at, n);
}

static bool add_item(const struct eval_task *t, uint32_t doc_id, cJSON *doc, bool cot,
                     struct eval_set *out, struct err *e)
{
    struct text text = {0};
    (void)t;
    struct eval_item it = {.subject = out->subjects[0],
                           .doc_id = doc_id,
                           .prefix = (uint32_t)out->n_prefixes - 1,
                           .doc = doc};
    text_puts(&text, cot ? "Q: " : "Question: ");
    text_puts(&text, question(doc));
    text_puts(&text, cot ? "\nA:" : "\nAnswer:");
    if (text.failed) text_free(&text);
    it.text = text.data;
    it.target = cot ? final_number(answer(doc)) : strdup(answer(doc));
    return eval_set_item(out, &it, e);
}

// ---------------------------------------------------------------------------- gsm8k, 5-shot

static bool add_drawn_shots(const struct eval_task *t, const cJSON *const *train, uint32_t n_train,
                            struct pyrandom *rng, struct eval_set *out, struct err *e)
{
    struct text p = {0};
    uint32_t pick[PYRANDOM_MAX_SAMPLE];
    pyrandom_sample(rng, n_train, t->n_shot, pick);
    for (uint32_t k = 0; k < t->n_shot; k++) {
        text_puts(&p, "Question: ");
        text_puts(&p, question(train[pick[k]]));
        text_puts(&p, "\nAnswer: ");
        text_puts(&p, answer(train[pick[k]]));
        text_puts(&p, "\n\n");
    }
    if (p.failed) text_free(&p);
    return eval_set_prefix(out, p.data, p.size, false, e);
}

// An array of a JSON array's elements, for access by index. Caller frees.
static const cJSON **index_array(const cJSON *all, uint32_t *n, struct err *e)
{
    *n = (uint32_t)cJSON_GetArraySize(all);
    const cJSON **out = malloc((*n + 1) * sizeof *out), *c;
    if (!out) {
        err_nomem(e, "the training items", *n * sizeof *out);
        return NULL;
    }
    uint32_t i = 0;
    cJSON_ArrayForEach(c, all) out[i++] = c;
    return out;
}

static bool add_all(const struct eval_task *t, cJSON *test, const cJSON *const *train,
                    uint32_t n_train, uint64_t seed, struct eval_set *out, struct err *e)
{
    struct pyrandom rng;
    pyrandom_init(&rng, seed);
    for (uint32_t i = 0; test->child; i++) {
        if (train && !add_drawn_shots(t, train, n_train, &rng, out, e)) return false;
        if (!add_item(t, i, cJSON_DetachItemViaPointer(test, test->child), !train, out, e))
            return false;
    }
    return true;
}

static bool gsm8k_load(const struct eval_task *t, const struct data_source *src, uint64_t seed,
                       struct eval_set *out, struct err *e)
{
    struct data_manifest m = {0};
    const cJSON **train = NULL;
    uint32_t n_train = 0;
    cJSON *test = read_problems(src, "gsm8k/test.jsonl", &m, e);
    cJSON *train_docs = test ? read_problems(src, "gsm8k/train.jsonl", &m, e) : NULL;
    bool ok = train_docs != NULL && (train = index_array(train_docs, &n_train, e)) != NULL;
    if (ok && n_train < t->n_shot)
        ok = err_set(e, ERR_FORMAT, "gsm8k/train.jsonl has %u items; %u are needed as examples",
                     n_train, t->n_shot);
    ok = ok && eval_set_subject(out, "", e) && add_all(t, test, train, n_train, seed, out, e) &&
         data_manifest_hash(&m, out->sha256, e);
    if (ok && src->dir && !strcmp(out->sha256, official_sha256)) out->origin = EVAL_OFFICIAL;
    free(train);
    cJSON_Delete(test);
    cJSON_Delete(train_docs);
    data_manifest_free(&m);
    return ok;
}

// ------------------------------------------------------------------------ gsm8k_cot, 8-shot

// The exemplars: [{"question", "target"}], or an object that has them under "samples", or under
// "gsm8k_cot" and then "samples".
static const cJSON *find_samples(const cJSON *json)
{
    const cJSON *task = cJSON_GetObjectItemCaseSensitive(json, "gsm8k_cot");
    const cJSON *samples = cJSON_GetObjectItemCaseSensitive(task ? task : json, "samples");
    return samples ? samples : json;
}

static bool render_shots(const struct eval_task *t, const cJSON *json, const char *name,
                         struct text *out, struct err *e)
{
    const cJSON *samples = find_samples(json);
    if (!cJSON_IsArray(samples) || (uint32_t)cJSON_GetArraySize(samples) < t->n_shot)
        return err_set(e, ERR_FORMAT, "%s must hold %u exemplars with question and target", name,
                       t->n_shot);
    for (uint32_t i = 0; i < t->n_shot; i++) {
        const cJSON *s = cJSON_GetArrayItem(samples, (int)i);
        const char *q, *a;
        if (!json_string(s, "question", &q, name, e) || !json_string(s, "target", &a, name, e))
            return false;
        text_puts(out, "Q: ");
        text_puts(out, q);
        text_puts(out, "\nA: ");
        text_puts(out, a);
        text_puts(out, "\n\n");
    }
    return !out->failed || err_nomem(e, name, out->cap);
}

static bool load_cot_shots(const struct eval_task *t, const struct data_source *src,
                           struct data_manifest *m, struct eval_set *out, struct err *e)
{
    static const char *const places[] = {"gsm8k/cot_shots.json", "../lm_eval/gsm8k_cot_shots.json"};
    const char *name = places[0];
    const struct data_source *from = &bundle;
    for (size_t i = 2; src->dir && i--;)
        if (data_exists(src, places[i])) {
            from = src;
            name = places[i];
        }
    char *data, hex[SHA256_HEX_SIZE];
    size_t size;
    struct text p = {0};
    if (!data_read(from, name, &data, &size, e)) return false;
    cJSON *json = json_parse(data, size, name, e);
    bool ok = json && render_shots(t, json, name, &p, e) && sha256_hex(p.data, p.size, hex, e);
    if (ok) out->own_shots = strcmp(hex, published_shots_sha256) != 0;
    if (ok && out->own_shots) ok = data_manifest_add(m, "cot_shots.json", data, size, e);
    cJSON_Delete(json);
    free(data);
    if (!ok) {
        text_free(&p);
        return false;
    }
    return eval_set_prefix(out, p.data, p.size, true, e);
}

static bool gsm8k_cot_load(const struct eval_task *t, const struct data_source *src, uint64_t seed,
                           struct eval_set *out, struct err *e)
{
    struct data_manifest m = {0}, test_only = {0};
    char test_hash[SHA256_HEX_SIZE] = "";
    bool ok = eval_set_subject(out, "", e) && load_cot_shots(t, src, &m, out, e);
    cJSON *test = ok ? read_problems(src, "gsm8k/test.jsonl", &test_only, e) : NULL;
    ok = test != NULL;
    if (ok) text_puts(&m.lines, test_only.lines.data);
    ok = ok && add_all(t, test, NULL, 0, seed, out, e) && data_manifest_hash(&m, out->sha256, e) &&
         data_manifest_hash(&test_only, test_hash, e);
    if (ok && src->dir && !strcmp(test_hash, official_test_sha256)) out->origin = EVAL_OFFICIAL;
    cJSON_Delete(test);
    data_manifest_free(&m);
    data_manifest_free(&test_only);
    return ok;
}

// ------------------------------------------------------------------------------------- judging

static bool gsm8k_judge(const struct eval_task *t, const struct eval_item *it,
                        const struct eval_response *r, struct eval_judge *j,
                        struct eval_verdict *out, struct err *e)
{
    (void)j;
    for (size_t i = 0; i < 2; i++) {
        const struct extract_filter *f = extract_find2(t->name, t->filters[i]);
        if (!extract_apply(f, r->text, strlen(r->text), &out->filtered[i], e) ||
            !extract_equal(f, out->filtered[i], it->target, &out->correct[i], e))
            return false;
    }
    bool none = !strcmp(out->filtered[1], EXTRACT_INVALID);
    if (out->correct[0])
        out->category = "";
    else if (out->correct[1])
        out->category = "right number, not in the form of the examples";
    else
        out->category = none ? "no number" : "wrong number";
    out->got = strdup(none ? "no number" : out->filtered[1]);
    return out->got != NULL || err_nomem(e, "an answer", 0);
}

const struct eval_task task_gsm8k = {
    .name = "gsm8k",
    .metric = "exact_match",
    .filters = {"strict-match", "flexible-extract"},
    .protocol = "gsm8k 5-shot, greedy, shots drawn per item",
    .kind = EVAL_GENERATE,
    .n_shot = 5,
    .version = 3,
    .max_gen_toks = 256,
    .study = {.items = 32, .n_read = 825, .n_written = 100},
    .until = {"Question:", "</s>", "<|im_end|>"},
    .load = gsm8k_load,
    .judge = gsm8k_judge,
};

const struct eval_task task_gsm8k_cot = {
    .name = "gsm8k_cot",
    .metric = "exact_match",
    .filters = {"strict-match", "flexible-extract"},
    .protocol = "gsm8k_cot 8-shot, greedy, fixed chain-of-thought exemplars",
    .kind = EVAL_GENERATE,
    .n_shot = 8,
    .version = 3,
    .max_gen_toks = 256,
    .study = {.items = 32, .n_read = 150, .n_written = 100},
    .until = {"Q:", "</s>", "<|im_end|>"},
    .load = gsm8k_cot_load,
    .judge = gsm8k_judge,
};
