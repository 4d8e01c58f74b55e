#include "tests/model/common.h"

struct engine *open_model(struct engine_params p)
{
    struct engine *g;
    struct err e = {0};
    // An old layer knows no cooperative matrices, and the engine goes without them under it.
    p.validate = !(p.tier_given && p.tier == ENGINE_MAX_TIER);
    if (engine_open(&p, &g, &e)) return g;
    p.validate = false;
    if (e.code == ERR_DEVICE && engine_open(&p, &g, &e)) {
        print_message("without the validation layer\n");
        return g;
    }
    if (e.code != ERR_DEVICE) fail_msg("%s", e.msg);
    print_message("skipped: %s\n", e.msg);
    skip();
    return NULL;
}

double rms_rel(const float *got, const double *want, size_t n)
{
    double mean = 0, var = 0, diff = 0;
    for (size_t i = 0; i < n; i++)
        mean += want[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        var += (want[i] - mean) * (want[i] - mean);
        diff += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    }
    return sqrt(diff / var);
}

float *logits_for(const struct engine *g, size_t rows)
{
    float *l = malloc(rows * engine_info(g)->n_vocab * sizeof *l);
    assert_non_null(l);
    return l;
}

float *prompt_and_steps(struct engine *g, size_t n, size_t steps)
{
    uint32_t n_vocab = engine_info(g)->n_vocab;
    struct err e;
    float *l = logits_for(g, n + steps);
    int32_t *ids = malloc((n + steps) * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < n + steps; i++)
        ids[i] = (int32_t)((i * 37 + 11) % n_vocab);
    struct engine_item item = {0, ids, n, LOGITS_ALL};
    if (!engine_run(g, &item, 1, l, &e)) fail_msg("%s", e.msg);
    for (size_t i = n; i < n + steps; i++) {
        item = (struct engine_item){0, ids + i, 1, LOGITS_LAST};
        if (!engine_run(g, &item, 1, l + i * n_vocab, &e)) fail_msg("%s", e.msg);
    }
    free(ids);
    return l;
}
