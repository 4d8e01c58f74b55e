#include "evals/session.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/engine.h"
#include "evals/select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const uint64_t save_interval_ns = 2000000000u; // results.json lags at most so far behind

// "2026-01-05T10-20-30.123456": lm-eval's way to put a date into a file's name, in UTC.
static void date_name(double date, char *out, size_t size)
{
    time_t s = (time_t)date;
    struct tm tm;
    char day[40];
    gmtime_r(&s, &tm);
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H-%M-%S", &tm);
    (void)snprintf(out, size, "%s.%06d", day, (int)((date - (double)s) * 1e6));
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool file_fingerprint(const char *path, char out[SHA256_HEX_SIZE], struct err *e)
{
    enum { PART = 4 << 20 };
    struct text t = {0};
    char *buf = malloc(PART);
    FILE *f = buf ? fopen(path, "rb") : NULL;
    struct stat st;
    bool ok = f && fstat(fileno(f), &st) == 0;
    if (!ok) {
        free(buf);
        return err_set(e, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    text_add(&t, buf, fread(buf, 1, PART, f));
    if (st.st_size > PART && fseeko(f, -(off_t)PART, SEEK_END) == 0)
        text_add(&t, buf, fread(buf, 1, PART, f));
    text_printf(&t, "%lld", (long long)st.st_size);
    ok = !t.failed || err_nomem(e, path, 2 * PART);
    ok = ok && sha256_hex(t.data, t.size, out, e);
    fclose(f);
    free(buf);
    text_free(&t);
    return ok;
}

// Of a model in several files: of the fingerprints of all of them.
static bool fingerprint(const char *path, char out[SHA256_HEX_SIZE], struct err *e)
{
    cJSON *model;
    const cJSON *shards, *it;
    struct text all = {0};
    if (!engine_inspect(path, &model, e)) return false;
    shards = cJSON_GetObjectItemCaseSensitive(model, "shards");
    bool ok = shards || file_fingerprint(path, out, e);
    cJSON_ArrayForEach(it, shards)
    {
        ok = ok && file_fingerprint(json_string_or(it, "path", ""), out, e);
        text_puts(&all, out);
    }
    if (ok && shards)
        ok = (!all.failed || err_nomem(e, path, all.cap)) &&
             sha256_hex(all.data, all.size, out, e);
    text_free(&all);
    cJSON_Delete(model);
    return ok;
}

// ------------------------------------------------------------------------------- going on

static bool same_text(const cJSON *j, const char *key, const char *want, const char *path,
                      const char *what, struct err *e)
{
    const char *have = json_string_or(j, key, "");
    if (!strcmp(have, want)) return true;
    return err_set(
        e, ERR_ARG,
        "%s is of a run with another %s (%.64s, now %.64s): resume with the same options "
        "or name another --out",
        path, what, have, want);
}

static bool same_number(const cJSON *j, const char *key, double want, const char *path,
                        struct err *e)
{
    double have = json_number_or(j, key, -1);
    if (have == want) return true;
    return err_set(e, ERR_ARG,
                   "%s is of a run with another %s (%g, now %g): resume with the same options or "
                   "name another --out",
                   path, key, have, want);
}

static bool same_run(const struct run *r, const cJSON *j, struct err *e)
{
    const struct eval_params *p = &r->params;
    const char *path = r->results_path;
    char seed[24];
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)p->seed);
    return same_text(j, "model_sha256", r->model.fingerprint, path, "model", e) &&
           same_text(j, "tasks", p->tasks, path, "list of tasks", e) &&
           same_text(j, "seed", seed, path, "seed", e) &&
           same_text(j, "kv", p->kv ? p->kv : "f16", path, "cache type", e) &&
           same_text(j, "adapters", p->adapters ? p->adapters : "", path, "list of adapters", e) &&
           same_text(j, "items", p->items ? p->items : "", path, "choice of items", e) &&
           same_number(j, "limit", p->limit, path, e) &&
           same_number(j, "minutes", p->minutes, path, e) &&
           same_number(j, "n_ctx", r->model.n_ctx, path, e);
}

static bool resume_task(const struct session *s, struct task_run *t, const cJSON *j, struct err *e)
{
    const char *where = s->run.results_path, *samples;
    char path[4096];
    size_t keep;
    if (!same_text(j, "task", t->task->name, where, "task", e) ||
        !same_text(j, "set_sha256", t->set.sha256, where, "data set", e) ||
        !json_string(j, "samples", &samples, where, e))
        return false;
    if (strlen(samples) >= sizeof t->samples || strchr(samples, '/'))
        return err_set(e, ERR_FORMAT, "%s: \"samples\" must be a file's name", where);
    (void)strcpy(t->samples, samples);
    t->seconds = json_number_or(j, "seconds", 0);
    double n = json_number_or(j, "n_chosen", 0);
    if (json_bool_or(j, "chosen", false) && n >= 0 && n <= (double)t->n_order) {
        t->chosen = true;
        t->n_chosen = (size_t)n;
    }
    (void)snprintf(t->tier, sizeof t->tier, "%s", json_string_or(j, "sandbox", ""));
    if (!file_path(path, sizeof path, e, "%s/%s", s->out_dir, t->samples)) return false;
    if (!file_exists(path)) return true; // killed before its first line
    if (!samples_read(t->task, &t->set, path, t->results, &t->n_done, &keep, e)) return false;
    if (truncate(path, (off_t)keep) == 0) return true; // drops a line that was cut
    return err_set(e, ERR_IO, "cannot shorten %s: %s", path, strerror(errno));
}

static bool resume(struct session *s, struct err *e)
{
    const cJSON *run, *progress;
    struct run *r = &s->run;
    cJSON *doc = json_load(r->results_path, e);
    if (!doc) return false;
    bool ok = json_version(doc, 1, r->results_path, e) &&
              json_object(doc, "run", &run, r->results_path, e) && same_run(r, run, e) &&
              json_array(run, "progress", &progress, r->results_path, e);
    if (ok) r->date = json_number_or(doc, "date", r->date);
    for (size_t i = 0; ok && i < r->n_tasks; i++)
        ok = resume_task(s, &r->tasks[i], cJSON_GetArrayItem(progress, (int)i), e);
    cJSON_Delete(doc);
    return ok;
}

// ---------------------------------------------------------------------------------- opening

static bool set_aside(const char *out_dir, const char *path, struct err *e)
{
    struct stat st;
    char name[64], to[4096];
    if (stat(path, &st) != 0) return true;
    date_name((double)st.st_mtime, name, sizeof name);
    if (!file_path(to, sizeof to, e, "%s/results_%s.json", out_dir, name)) return false;
    if (rename(path, to) == 0) return true;
    return err_set(e, ERR_IO, "cannot rename %s: %s", path, strerror(errno));
}

// The folder that was asked for; else what was fetched, where it has this set; else the bundled
// one.
static bool load_set(const struct eval_task *t, const struct eval_params *p, struct eval_set *out,
                     struct err *e)
{
    struct err missing = {0};
    if (!p->data_dir && p->fetched_dir) {
        if (eval_set_load(t, p->fetched_dir, p->seed, out, &missing)) return true;
        if (missing.code != ERR_IO) { // there, but damaged
            *e = missing;
            return false;
        }
    }
    return eval_set_load(t, p->data_dir, p->seed, out, e);
}

// count: items of this task where params.items names it, else 0.
static bool open_task(struct session *s, struct task_run *t, uint32_t count, const char *date,
                      struct err *e)
{
    const struct eval_params *p = &s->run.params;
    if (!load_set(t->task, p, &t->set, e)) return false;
    t->results = calloc(t->set.n, sizeof *t->results);
    t->order = calloc(t->set.n, sizeof *t->order);
    if (!t->results || !t->order) return err_nomem(e, "results", t->set.n * sizeof *t->results);
    if (p->minutes > 0 || count) {
        if (!select_ranked(&t->set, t->order, e)) return false;
        t->n_order = t->set.n;
        t->chosen = count > 0;
        t->n_chosen = count < t->set.n ? count : t->set.n;
    } else {
        t->n_order = t->n_chosen = select_limit(&t->set, p->limit, t->order);
        t->chosen = true;
    }
    (void)snprintf(t->samples, sizeof t->samples, "samples_%s_%s.jsonl", t->task->name, date);
    return true;
}

static bool open_log(const struct session *s, struct task_run *t, struct err *e)
{
    char path[4096];
    if (!file_path(path, sizeof path, e, "%s/%s", s->out_dir, t->samples)) return false;
    t->log = fopen(path, "ab");
    return t->log || err_set(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

bool session_open(struct session *s, const struct eval_params *p, const struct eval_model *m,
                  struct err *e)
{
    struct run *r = &s->run;
    const struct eval_task *list[EVAL_MAX_TASKS];
    uint32_t counts[EVAL_MAX_TASKS] = {0};
    char date[64];
    *s = (struct session){.run = {.params = *p, .model = *m, .date = now()}};
    s->judge.allow_unsafe = p->allow_unsafe;
    if ((p->minutes > 0) + (p->limit > 0) + (p->items != NULL) > 1)
        return err_set(e, ERR_ARG, "--minutes, --limit and --items exclude each other");
    if (!eval_parse_tasks(p->tasks, list, &r->n_tasks, e) ||
        (p->items && !eval_parse_items(p->items, list, r->n_tasks, counts, e)) ||
        !file_path(s->out_dir, sizeof s->out_dir, e, "%s", p->out_dir) ||
        !file_path(r->results_path, sizeof r->results_path, e, "%s/results.json", p->out_dir) ||
        !fingerprint(m->path, r->model.fingerprint, e))
        return false;
    date_name(r->date, date, sizeof date);
    for (size_t i = 0; i < r->n_tasks; i++) {
        r->tasks[i].task = list[i];
        if (!open_task(s, &r->tasks[i], counts[i], date, e)) return false;
    }
    if (!file_mkdirs(s->out_dir, e)) return false;
    if (p->resume && file_exists(r->results_path)) {
        if (!resume(s, e)) return false;
    } else if (!set_aside(s->out_dir, r->results_path, e)) {
        return false;
    }
    for (size_t i = 0; i < r->n_tasks; i++)
        if (!open_log(s, &r->tasks[i], e)) return false;
    return session_save(s, e);
}

void session_close(struct session *s)
{
    for (size_t i = 0; i < s->run.n_tasks; i++) {
        struct task_run *t = &s->run.tasks[i];
        for (size_t k = 0; t->results && k < t->set.n; k++)
            item_result_free(&t->results[k]);
        free(t->results);
        free(t->order);
        if (t->log) fclose(t->log);
        eval_set_free(&t->set);
    }
    eval_judge_close(&s->judge);
    *s = (struct session){0};
}

// ---------------------------------------------------------------------------------- running

bool session_next(const struct task_run *t, const uint32_t *list, size_t n, size_t *at,
                  uint32_t *item)
{
    while (*at < n && t->results[list[*at]].done)
        (*at)++;
    if (*at >= n) return false;
    *item = list[(*at)++];
    return true;
}

bool session_put(struct session *s, struct task_run *t, uint32_t item,
                 const struct eval_response *r, double seconds, struct err *e)
{
    struct eval_verdict v = {0};
    struct text lines = {0};
    struct item_result res = {0};
    const struct eval_item *it = &t->set.items[item];
    s->judge.tier[0] = '\0';
    bool ok = t->task->judge(t->task, it, r, &s->judge, &v, e) &&
              samples_write(t->task, &t->set, it, r, &v, seconds, &lines, &res, e) &&
              file_append(t->log, t->samples, lines.data, lines.size, e);
    text_free(&lines);
    if (ok) {
        t->results[item] = res;
        t->n_done++;
        if (s->judge.tier[0]) (void)strcpy(t->tier, s->judge.tier); // arrays of one size
    } else {
        item_result_free(&res);
    }
    eval_verdict_free(&v);
    if (ok && clock_ns() - s->saved_ns > save_interval_ns) ok = session_save(s, e);
    return ok;
}

bool session_choose(struct session *s, struct task_run *t, size_t n, struct err *e)
{
    t->n_chosen = n;
    t->chosen = true;
    return session_save(s, e);
}

bool session_save(struct session *s, struct err *e)
{
    struct run *r = &s->run;
    r->complete = true;
    for (size_t i = 0; i < r->n_tasks; i++)
        r->complete &= r->tasks[i].chosen && r->tasks[i].n_done >= r->tasks[i].n_chosen;
    cJSON *doc = results_build(r);
    if (!doc) return err_nomem(e, r->results_path, 0);
    bool ok = json_save(r->results_path, doc, e);
    cJSON_Delete(doc);
    s->saved_ns = clock_ns();
    return ok;
}

// "mmlu, gsm8k: not comparable ...": tasks with the same words share a line.
static void add_note(const struct task_run *t, struct eval_report *out)
{
    char words[200], line[256];
    run_note(t, words, sizeof words);
    if (!words[0]) return;
    for (size_t i = 0; i < out->n_notes; i++) {
        char *colon = strstr(out->notes[i], ": ");
        if (strcmp(colon + 2, words) != 0) continue;
        (void)snprintf(line, sizeof line, "%.*s, %s: %s", (int)(colon - out->notes[i]),
                       out->notes[i], t->task->name, words);
        (void)strcpy(out->notes[i], line);
        return;
    }
    (void)snprintf(out->notes[out->n_notes++], sizeof out->notes[0], "%s: %s", t->task->name,
                   words);
}

void session_report(const struct session *s, struct eval_report *out)
{
    const struct run *r = &s->run;
    *out = (struct eval_report){.complete = r->complete};
    (void)snprintf(out->results_path, sizeof out->results_path, "%s", r->results_path);
    for (size_t i = 0; i < r->n_tasks; i++) {
        const struct task_run *t = &r->tasks[i];
        if (!t->n_done) continue;
        for (size_t f = 0; f < eval_task_filters(t->task); f++) {
            struct eval_score *sc = &out->scores[out->n++];
            run_score(t, f, sc);
            run_subset_words(r, t, sc->subset, sizeof sc->subset);
        }
        add_note(t, out);
    }
}
