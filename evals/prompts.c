// eval --prompts-only: every prompt with its hash, without a model.
#include "base/cancel.h"
#include "base/file.h"
#include "base/json.h"
#include "evals/eval.h"

#include <stdlib.h>
#include <string.h>

static void add_member(struct text *t, const char *key, const char *value, size_t n)
{
    text_json(t, key, strlen(key), false);
    text_puts(t, ": ");
    text_json(t, value, n, false);
    text_puts(t, ", ");
}

static bool add_line(const struct eval_task *t, const struct eval_set *s,
                     const struct eval_item *it, struct text *out, struct err *e)
{
    size_t n;
    char hex[SHA256_HEX_SIZE], letter[2] = {(char)('A' + it->answer), '\0'};
    char *prompt = eval_prompt(s, it, &n, e);
    bool ok = prompt && sha256_hex(prompt, n, hex, e);
    if (ok) {
        text_puts(out, "{");
        add_member(out, "task", t->name, strlen(t->name));
        add_member(out, "subject", it->subject, strlen(it->subject));
        text_printf(out, "\"doc_id\": %u, ", it->doc_id);
        add_member(out, "prompt", prompt, n);
        add_member(out, "sha256", hex, strlen(hex));
        add_member(out, "doc_sha256", it->doc_sha256, strlen(it->doc_sha256));
        const char *target = t->kind == EVAL_LETTER ? letter : it->target;
        text_puts(out, "\"target\": ");
        text_json(out, target, strlen(target), false);
        if (t->kind == EVAL_LETTER) text_printf(out, ", \"answer_index\": %u", it->answer);
        text_puts(out, "}\n");
        ok = !out->failed || err_nomem(e, "the prompts", out->cap);
    }
    free(prompt);
    return ok;
}

static bool add_task(const struct eval_task *t, const char *data_dir, uint64_t seed, uint32_t limit,
                     struct text *out, struct err *e)
{
    struct eval_set s;
    if (!eval_set_load(t, data_dir, seed, &s, e)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < s.n; i++) {
        if (limit && s.items[i].doc_id >= limit) continue;
        ok = cancel_check(e) && add_line(t, &s, &s.items[i], out, e);
    }
    eval_set_free(&s);
    return ok;
}

bool eval_write_prompts(const char *tasks, const char *data_dir, uint64_t seed, uint32_t limit,
                        const char *path, struct err *e)
{
    const struct eval_task *list[EVAL_MAX_TASKS];
    size_t n;
    struct text out = {0};
    bool ok = eval_parse_tasks(tasks, list, &n, e);
    for (size_t i = 0; ok && i < n; i++)
        ok = add_task(list[i], data_dir, seed, limit, &out, e);
    ok = ok && file_write(path, out.data, out.size, e);
    text_free(&out);
    return ok;
}
