// The summary table of a run, as text of at most 80 columns.
#include "base/json.h"
#include "evals/eval.h"

#include <stdio.h>
#include <string.h>

static void add_row(struct text *out, const struct eval_score *s)
{
    char name[40], items[32], score[16], interval[24];
    bool plain = !strcmp(s->filter, "none") || !strcmp(s->filter, "create_test");
    (void)snprintf(name, sizeof name, "%s%s%s", s->task->name, plain ? "" : " ",
                   plain ? "" : s->filter);
    (void)snprintf(items, sizeof items, "%zu/%zu", s->n, s->n_total);
    (void)snprintf(score, sizeof score, "%.1f %%", 100 * s->score);
    (void)snprintf(interval, sizeof interval, "%.1f to %.1f", 100 * s->low, 100 * s->high);
    text_printf(out, "%-26s %11s %8s %15s  %s%s\n", name, items, score, interval,
                eval_origin_name(s->origin), s->at_chance ? ", chance" : "");
}

// Words in lines of at most 80 columns, each behind `indent` spaces.
static void add_wrapped(struct text *out, const char *words)
{
    size_t col = 0;
    while (*words) {
        size_t n = strcspn(words, " ");
        if (col && col + 1 + n > 80) {
            text_puts(out, "\n");
            col = 0;
        } else if (col) {
            text_puts(out, " ");
            col++;
        }
        text_add(out, words, n);
        col += n;
        words += n + (words[n] == ' ');
    }
    text_puts(out, "\n");
}

bool eval_report_text(const struct eval_report *r, char **out, struct err *e)
{
    struct text t = {0};
    bool chance = false;
    text_printf(&t, "%-26s %11s %8s %15s  %s\n", "task", "items", "score", "95 % interval", "set");
    for (size_t i = 0; i < r->n; i++) {
        add_row(&t, &r->scores[i]);
        chance |= r->scores[i].at_chance;
    }
    if (!r->n) text_puts(&t, "(nothing scored yet)\n");
    if (chance)
        add_wrapped(&t, "chance: guessing lies inside the interval, so this score does not show "
                        "that the model knows any of it.");
    for (size_t i = 0; i < r->n; i++) {
        const struct eval_score *s = &r->scores[i];
        if (s->n == s->n_total || (i && r->scores[i - 1].task == s->task)) continue;
        char words[300];
        (void)snprintf(words, sizeof words, "%s: %s; results.json lists the items.", s->task->name,
                       s->subset);
        add_wrapped(&t, words);
    }
    for (size_t i = 0; i < r->n_notes; i++)
        add_wrapped(&t, r->notes[i]);
    *out = t.data;
    if (!t.failed) return true;
    text_free(&t);
    *out = NULL;
    return err_nomem(e, "the table", t.cap);
}
