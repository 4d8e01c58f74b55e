// eval_run: asks the engine for what the session still needs.
//
// Letter tasks run subject by subject, so that the shots are computed once a subject; several
// questions of a subject share a forward pass. Generated answers run in several sequences; a
// sequence that is done takes the next item at once.
//
// With a time limit each task gets an equal part of what is left. Some items are run first to
// measure the speed; they count. The subset is then fixed and written down before the rest runs.
#include "base/cancel.h"
#include "base/clock.h"
#include "evals/lm.h"
#include "evals/select.h"
#include "evals/session.h"

#include <stdlib.h>
#include <string.h>

struct runner {
    struct session *s;
    struct lm *lm;
    struct progress *progress;
    struct task_run *t;
    double share_s, start_s; // this task's part of the time, its begin
    double before_s;         // seconds it took in earlier runs
    uint32_t prefix;         // index of the shots in sequence 0; UINT32_MAX: none
    size_t n_before; // items done when it began: the estimate of the time left leaves them out
};

static double elapsed(const struct runner *r)
{
    return clock_s() - r->start_s + r->before_s;
}

// Progress is counted in thousandths of an item, so that it moves while long answers are written.
static void show_begin(struct runner *r, size_t n)
{
    progress_begin(r->progress, r->t->task->name, 1000 * (uint64_t)(n - r->n_before));
}

// Thousandths of an item that are done when its prompt is read and n tokens are written, each as
// dear as two of the prompt. What grows beyond the usual length is taken to go to its limit.
static uint64_t part_of(const struct eval_task *t, uint32_t n)
{
    const struct eval_cost *c = &t->study;
    uint64_t most = n < c->n_written ? c->n_written : t->max_gen_toks;
    return 1000 * (c->n_read + 2 * (uint64_t)n) / (c->n_read + 2 * most);
}

static void show(struct runner *r)
{
    struct eval_score sc;
    char note[64];
    uint64_t done = 1000 * (uint64_t)(r->t->n_done - r->n_before);
    for (uint32_t i = 0; i < r->lm->n_slots; i++) {
        const struct lm_slot *s = &r->lm->slots[i];
        if (s->active && s->n_generated) done += part_of(r->t->task, s->n_generated);
    }
    run_score(r->t, eval_task_filters(r->t->task) - 1, &sc);
    (void)snprintf(note, sizeof note, "%.1f %% of %zu", 100 * sc.score, sc.n);
    progress_update(r->progress, done, sc.n ? note : NULL);
}

static bool put(struct runner *r, uint32_t item, const struct eval_response *resp, double seconds,
                struct err *e)
{
    r->t->seconds = elapsed(r);
    if (!session_put(r->s, r->t, item, resp, seconds, e)) return false;
    show(r);
    return true;
}

// Sequence 0 holds the item's shots afterwards, when they are worth keeping.
static bool use_prefix(struct runner *r, const struct eval_item *it, struct err *e)
{
    const struct eval_prefix *p = &r->t->set.prefixes[it->prefix];
    uint32_t want = p->shared ? it->prefix : UINT32_MAX;
    if (want == r->prefix) return true;
    r->prefix = UINT32_MAX;
    bool ok = want == UINT32_MAX ? lm_set_prefix(r->lm, "", 0, e)
                                 : lm_set_prefix(r->lm, p->text, p->size, e);
    if (ok) r->prefix = want;
    return ok;
}

// ------------------------------------------------------------------------------------ letters

// The next items of the list that share their shots, as many as there are sequences.
static size_t next_group(const struct runner *r, const uint32_t *list, size_t n, size_t *at,
                         uint32_t *group)
{
    const struct task_run *t = r->t;
    size_t got = 0, next = *at;
    while (got < r->lm->n_slots && session_next(t, list, n, &next, &group[got])) {
        if (t->set.items[group[got]].prefix != t->set.items[group[0]].prefix) break;
        got++;
        *at = next;
    }
    return got;
}

static bool run_group(struct runner *r, const uint32_t *group, size_t n, struct err *e)
{
    const struct eval_set *set = &r->t->set;
    struct lm_question q[LM_MAX_SLOTS];
    char *prompt[LM_MAX_SLOTS] = {0};
    struct eval_response resp[LM_MAX_SLOTS] = {0};
    double start = clock_s();
    bool ok = cancel_check(e) && use_prefix(r, &set->items[group[0]], e);
    for (size_t i = 0; ok && i < n; i++) {
        prompt[i] = eval_prompt(set, &set->items[group[i]], &q[i].size, e);
        q[i].text = prompt[i];
        ok = prompt[i] != NULL;
    }
    ok = ok && lm_letters(r->lm, q, n, resp, e);
    double each = (clock_s() - start) / (double)n;
    for (size_t i = 0; i < n; i++) {
        ok = ok && put(r, group[i], &resp[i], each, e);
        free(prompt[i]);
    }
    return ok;
}

// Runs ranked items for a tenth of the time, at least three, to know bytes of prompt per second.
static bool calibrate_letters(struct runner *r, struct err *e)
{
    struct task_run *t = r->t;
    size_t at = 0, n = 0, fit;
    uint32_t item;
    double bytes = 0, start = clock_s();
    while ((n < 3 || clock_s() - start < r->share_s / 10) &&
           session_next(t, t->order, t->n_order, &at, &item)) {
        const struct eval_item *it = &t->set.items[item];
        bytes += (double)select_bytes(&t->set, it, it->prefix != r->prefix);
        if (!run_group(r, &item, 1, e)) return false;
        n++;
    }
    double took = clock_s() - start, speed = took > 0 ? bytes / took : 1e12;
    double left = r->share_s - elapsed(r);
    if (!select_fit(&t->set, t->order, t->n_order, t->n_done, speed, left > 0 ? left : 0, &fit, e))
        return false;
    return session_choose(r->s, t, fit > t->n_done ? fit : t->n_done, e);
}

static bool run_letters(struct runner *r, struct err *e)
{
    struct task_run *t = r->t;
    if (!t->chosen && !calibrate_letters(r, e)) return false;
    uint32_t *list = malloc((t->n_chosen + 1) * sizeof *list), group[LM_MAX_SLOTS];
    if (!list) return err_nomem(e, "items", t->n_chosen * sizeof *list);
    memcpy(list, t->order, t->n_chosen * sizeof *list);
    select_sort(list, t->n_chosen);
    show_begin(r, t->n_chosen);
    bool ok = true;
    for (size_t at = 0, n; ok && (n = next_group(r, list, t->n_chosen, &at, group)) > 0;)
        ok = run_group(r, group, n, e);
    free(list);
    return ok;
}

// --------------------------------------------------------------------------------- generation

static bool start_item(struct runner *r, struct lm_slot *slot, uint32_t item, struct err *e)
{
    const struct eval_item *it = &r->t->set.items[item];
    size_t size;
    char *prompt = eval_prompt(&r->t->set, it, &size, e);
    bool ok =
        prompt && use_prefix(r, it, e) && lm_start(r->lm, slot, item, r->t->task, prompt, size, e);
    free(prompt);
    return ok;
}

static bool collect(struct runner *r, struct err *e)
{
    for (uint32_t i = 0; i < r->lm->n_slots; i++) {
        struct lm_slot *s = &r->lm->slots[i];
        if (!s->finished) continue;
        char empty[] = "";
        struct eval_response resp = {.text = s->text.data ? s->text.data : empty};
        if (!put(r, s->item, &resp, clock_s() - s->start_s, e)) return false;
        lm_release(s);
    }
    return true;
}

// Takes what comes next into free slots, but not more prompts at a time than a batch holds: a slow
// device would be silent for long. *more: whether the list goes on.
static bool refill(struct runner *r, size_t n, bool timed, size_t *at, bool *more, struct err *e)
{
    size_t fresh = 0, batch = engine_info(r->lm->g)->n_batch;
    uint32_t item;
    for (uint32_t i = 0; *more && fresh < batch && i < r->lm->n_slots; i++) {
        struct lm_slot *s = &r->lm->slots[i];
        if (s->active) continue;
        *more =
            !(timed && elapsed(r) > r->share_s) && session_next(r->t, r->t->order, n, at, &item);
        if (*more && !start_item(r, s, item, e)) return false;
        fresh += *more ? s->pending.n : 0;
    }
    return true;
}

// Runs the first n of the order, n_slots at a time. Once the task's time is over nothing more is
// started, but what was started is finished: stopping it would favour short answers. *started:
// how many of the order were started or done before.
static bool run_texts(struct runner *r, size_t n, bool timed, size_t *started, struct err *e)
{
    size_t at = 0;
    bool more = true;
    while (more || lm_busy(r->lm)) {
        if (!refill(r, n, timed, &at, &more, e) || !cancel_check(e) || !lm_step(r->lm, e) ||
            !collect(r, e))
            return false;
        show(r);
    }
    *started = at;
    return true;
}

static bool run_generate(struct runner *r, struct err *e)
{
    struct task_run *t = r->t;
    size_t started;
    if (t->chosen) {
        show_begin(r, t->n_chosen);
        return run_texts(r, t->n_chosen, false, &started, e);
    }
    // One wave without refilling, then as many as fit at that speed. At least two items run.
    size_t wave = r->share_s < 60 ? 2 : r->lm->n_slots;
    size_t done = t->n_done, first = done + wave < t->n_order ? done + wave : t->n_order;
    for (size_t i = first; i < t->n_order; i++) // a killed run may have left gaps: close them
        if (t->results[t->order[i]].done) first = i + 1;
    double start = clock_s();
    if (done < first && !run_texts(r, first, false, &started, e)) return false;
    double took = clock_s() - start, left = r->share_s - elapsed(r);
    double each = t->n_done > done ? took / (double)(t->n_done - done) : 1;
    double fit = left > 0 && each > 0 ? left / each : 0;
    size_t room = t->n_order - first, n = first + (fit < (double)room ? (size_t)fit : room);
    show_begin(r, n);
    if (!run_texts(r, n, true, &started, e)) return false;
    return session_choose(r->s, t, t->n_done, e);
}

// ------------------------------------------------------------------------------------ the run

static bool run_task(struct runner *r, struct err *e)
{
    struct task_run *t = r->t;
    r->start_s = clock_s();
    r->before_s = t->seconds;
    r->prefix = UINT32_MAX;
    r->n_before = t->n_done;
    if (t->chosen && t->n_done >= t->n_chosen) return true;
    if (!lm_set_prefix(r->lm, "", 0, e)) return false;
    progress_begin(r->progress, t->task->name, 0); // how many there will be is not known yet
    bool ok = t->task->kind == EVAL_LETTER ? run_letters(r, e) : run_generate(r, e);
    progress_end(r->progress);
    t->seconds = elapsed(r);
    return ok;
}

static double time_left(const struct session *s)
{
    double left = s->run.params.minutes * 60;
    for (size_t i = 0; i < s->run.n_tasks; i++)
        left -= s->run.tasks[i].seconds;
    return left > 0 ? left : 0;
}

static bool run_all(struct session *s, struct lm *lm, struct progress *pr, struct err *e)
{
    struct runner r = {.s = s, .lm = lm, .progress = pr};
    for (size_t i = 0; i < s->run.n_tasks; i++) {
        r.t = &s->run.tasks[i];
        r.share_s = time_left(s) / (double)(s->run.n_tasks - i) + r.t->seconds;
        if (run_task(&r, e)) continue;
        err_prefix(e, "%s", r.t->task->name);
        return false;
    }
    return true;
}

static void describe(struct engine *g, const struct eval_params *p, struct eval_model *m)
{
    const struct engine_info *info = engine_info(g);
    const struct engine_device *dev = engine_device(g);
    *m = (struct eval_model){
        .n_params = info->n_params, .n_ctx = info->n_ctx, .n_seqs = lm_slots_of(g, p->seqs)};
    (void)snprintf(m->name, sizeof m->name, "%s", info->name);
    (void)snprintf(m->file_type, sizeof m->file_type, "%s", info->file_type);
    (void)snprintf(m->path, sizeof m->path, "%s", p->model_path);
    (void)snprintf(m->device, sizeof m->device, "%s", dev->name);
    (void)snprintf(m->driver, sizeof m->driver, "%s", dev->driver);
}

bool eval_run(struct engine *g, const struct eval_params *p, struct progress *pr,
              struct eval_report *out, struct err *e)
{
    struct session s = {0};
    struct lm lm = {0};
    struct eval_model m;
    const struct lm_params how = {.n_slots = p->seqs, .no_reuse = p->no_reuse};
    *out = (struct eval_report){0};
    describe(g, p, &m);
    bool opened = session_open(&s, p, &m, e);
    bool ok = opened && lm_open(&lm, g, &how, e) && run_all(&s, &lm, pr, e);
    progress_end(pr);
    // What there is is kept, whatever happened; the first error is the one to report.
    if (opened && !session_save(&s, ok ? e : NULL)) ok = false;
    if (opened) session_report(&s, out);
    lm_close(&lm);
    session_close(&s);
    return ok;
}
