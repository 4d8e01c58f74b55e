// MMLU, 5-shot: the log-likelihood of " A" .. " D" behind
//
//   The following are multiple choice questions (with answers) about {subject}.\n\n
//   {question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer: {letter}\n\n       first 5 rows of dev
//   {question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:
//
// Questions lose white space at both ends as in Python, options keep theirs.
// Source: Hendrycks et al. 2021 for the data, lm-evaluation-harness `mmlu` for the protocol.
#include "base/file.h"
#include "evals/dataset.h"
#include "evals/pytext.h"
#include "evals/tasks.h"

#include <stdlib.h>
#include <string.h>

static const char official_sha256[] =
    "72b8150ca794d433b847f80bc4937084c6f3a32738643e9b0a901a66ddc92338";

const char *const mmlu_groups[] = {"stem", "humanities", "social_sciences", "other", NULL};

// Membership as in lm-evaluation-harness (anatomy is stem there); what is not listed is "other".
static const char *const stem[] = {"abstract_algebra",
                                   "anatomy",
                                   "astronomy",
                                   "college_biology",
                                   "college_chemistry",
                                   "college_computer_science",
                                   "college_mathematics",
                                   "college_physics",
                                   "computer_security",
                                   "conceptual_physics",
                                   "electrical_engineering",
                                   "elementary_mathematics",
                                   "high_school_biology",
                                   "high_school_chemistry",
                                   "high_school_computer_science",
                                   "high_school_mathematics",
                                   "high_school_physics",
                                   "high_school_statistics",
                                   "machine_learning",
                                   NULL};
static const char *const humanities[] = {"formal_logic",
                                         "high_school_european_history",
                                         "high_school_us_history",
                                         "high_school_world_history",
                                         "international_law",
                                         "jurisprudence",
                                         "logical_fallacies",
                                         "moral_disputes",
                                         "moral_scenarios",
                                         "philosophy",
                                         "prehistory",
                                         "professional_law",
                                         "world_religions",
                                         NULL};
static const char *const social_sciences[] = {"econometrics",
                                              "high_school_geography",
                                              "high_school_government_and_politics",
                                              "high_school_macroeconomics",
                                              "high_school_microeconomics",
                                              "high_school_psychology",
                                              "human_sexuality",
                                              "professional_psychology",
                                              "public_relations",
                                              "security_studies",
                                              "sociology",
                                              "us_foreign_policy",
                                              NULL};

const char *mmlu_group(const char *subject)
{
    const char *const *const members[] = {stem, humanities, social_sciences};
    for (size_t g = 0; g < 3; g++)
        for (const char *const *m = members[g]; *m; m++)
            if (!strcmp(*m, subject)) return mmlu_groups[g];
    return mmlu_groups[3];
}

// -1 when the row is not question, four options, letter.
static int row_answer(const struct csv_row *r)
{
    const char *letter = r->n == 6 ? r->fields[5] : "";
    return letter[0] >= 'A' && letter[0] <= 'D' && !letter[1] ? letter[0] - 'A' : -1;
}

static void add_question(struct text *t, const struct csv_row *r)
{
    const char *q = r->fields[0];
    size_t n = strlen(q);
    pytext_strip(&q, &n);
    text_add(t, q, n);
    for (int i = 0; i < EVAL_LETTERS; i++) {
        text_printf(t, "\n%c. ", 'A' + i);
        text_puts(t, r->fields[i + 1]);
    }
    text_puts(t, "\nAnswer:");
}

static bool read_table(const struct data_source *src, const char *name, size_t min_rows,
                       struct data_manifest *m, struct csv_table *out, struct err *e)
{
    char *data;
    size_t size;
    *out = (struct csv_table){0};
    if (!data_read(src, name, &data, &size, e)) return false;
    bool ok = data_manifest_add(m, name + strlen("mmlu/"), data, size, e) &&
              csv_read(data, size, name, out, e);
    free(data);
    for (size_t i = 0; ok && i < out->n; i++)
        if (row_answer(&out->rows[i]) < 0)
            ok = err_set(e, ERR_FORMAT,
                         "%s: row %zu must have a question, four options and a letter A to D", name,
                         i + 1);
    if (ok && out->n < min_rows)
        ok = err_set(e, ERR_FORMAT, "%s has %zu rows; at least %zu are needed", name, out->n,
                     min_rows);
    if (!ok) csv_table_free(out);
    return ok;
}

static bool add_shots(const struct eval_task *t, const char *subject, const struct csv_table *dev,
                      struct eval_set *out, struct err *e)
{
    struct text p = {0};
    text_puts(&p, "The following are multiple choice questions (with answers) about ");
    for (const char *c = subject; *c; c++)
        text_add(&p, *c == '_' ? " " : c, 1);
    text_puts(&p, ".\n\n");
    for (size_t i = 0; i < t->n_shot; i++) {
        add_question(&p, &dev->rows[i]);
        text_printf(&p, " %c\n\n", 'A' + row_answer(&dev->rows[i]));
    }
    if (p.failed) text_free(&p);
    return eval_set_prefix(out, p.data, p.size, true, e);
}

static bool add_item(const char *subject, uint32_t doc_id, const struct csv_row *r,
                     struct eval_set *out, struct err *e)
{
    struct text text = {0};
    char target[2] = {(char)('0' + row_answer(r)), '\0'};
    struct eval_item it = {.subject = subject,
                           .doc_id = doc_id,
                           .prefix = (uint32_t)out->n_prefixes - 1,
                           .answer = (uint32_t)row_answer(r),
                           .doc = cJSON_CreateObject()};
    add_question(&text, r);
    if (text.failed) text_free(&text);
    it.text = text.data;
    it.target = strdup(target);
    cJSON *choices = cJSON_CreateStringArray((const char *const *)r->fields + 1, EVAL_LETTERS);
    bool whole = cJSON_AddStringToObject(it.doc, "question", r->fields[0]) &&
                 cJSON_AddStringToObject(it.doc, "subject", subject) &&
                 cJSON_AddItemToObject(it.doc, "choices", choices) &&
                 cJSON_AddNumberToObject(it.doc, "answer", it.answer);
    if (!whole) {
        cJSON_Delete(it.doc);
        it.doc = NULL; // eval_set_item reports it
    }
    return eval_set_item(out, &it, e);
}

static bool load_subject(const struct eval_task *t, const struct data_source *src,
                         const char *subject, struct data_manifest *dev_files,
                         struct data_manifest *test_files, struct eval_set *out, struct err *e)
{
    char name[512];
    struct csv_table dev = {0}, test = {0};
    bool ok = file_path(name, sizeof name, e, "mmlu/dev/%s_dev.csv", subject) &&
              read_table(src, name, t->n_shot, dev_files, &dev, e) &&
              file_path(name, sizeof name, e, "mmlu/test/%s_test.csv", subject) &&
              read_table(src, name, 1, test_files, &test, e) && eval_set_subject(out, subject, e) &&
              add_shots(t, subject, &dev, out, e);
    const char *owned = ok ? out->subjects[out->n_subjects - 1] : NULL;
    for (size_t i = 0; ok && i < test.n; i++)
        ok = add_item(owned, (uint32_t)i, &test.rows[i], out, e);
    csv_table_free(&dev);
    csv_table_free(&test);
    return ok;
}

static bool mmlu_load(const struct eval_task *t, const struct data_source *src, uint64_t seed,
                      struct eval_set *out, struct err *e)
{
    (void)seed; // the shots are the first rows
    struct data_names subjects;
    struct data_manifest dev = {0}, test = {0};
    if (!data_list(src, "mmlu/test", "_test.csv", &subjects, e)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < subjects.n; i++)
        ok = load_subject(t, src, subjects.names[i], &dev, &test, out, e);
    data_names_free(&subjects);
    text_puts(&dev.lines, test.lines.data ? test.lines.data : ""); // dev/ sorts before test/
    ok = ok && data_manifest_hash(&dev, out->sha256, e);
    data_manifest_free(&dev);
    data_manifest_free(&test);
    if (ok && src->dir && !strcmp(out->sha256, official_sha256)) out->origin = EVAL_OFFICIAL;
    return ok;
}

static bool mmlu_judge(const struct eval_task *t, const struct eval_item *it,
                       const struct eval_response *r, struct eval_judge *j,
                       struct eval_verdict *out, struct err *e)
{
    (void)t;
    (void)j;
    uint32_t best = 0;
    for (uint32_t i = 1; i < EVAL_LETTERS; i++)
        if (r->logprob[i] > r->logprob[best]) best = i; // the first of equals wins
    char letter[2] = {(char)('A' + best), '\0'};
    out->correct[0] = best == it->answer;
    out->category = out->correct[0] ? "" : "wrong letter";
    out->got = strdup(letter);
    return out->got != NULL || err_nomem(e, "an answer", 2);
}

const struct eval_task task_mmlu = {
    .name = "mmlu",
    .metric = "acc",
    .filters = {"none"},
    .protocol = "mmlu 5-shot, log-likelihood of the four letters",
    .kind = EVAL_LETTER,
    .n_shot = 5,
    .version = 1,
    .chance = 0.25,
    .study = {.items = 114, .n_read = 230},
    .load = mmlu_load,
    .judge = mmlu_judge,
};
