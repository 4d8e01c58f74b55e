#include "curriculum/measure.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GIB 1073741824.0

bool measure_learner(struct build *b, struct err *e)
{
    const struct learner *l = b->learner;
    struct facts *f = &b->facts;
    char joined[LEARNER_INTERESTS * 52] = "";
    double hours = l->minutes_per_week / 60.0;
    bool whole = hours == floor(hours), whole_all = hours * l->weeks == floor(hours * l->weeks);
    facts_text(f, "learner.level", learner_level_name(l->level));
    facts_text(f, "learner.goal", learner_goal_name(l->goal));
    facts_number(f, "learner.hours", hours, whole ? 0 : 2, "", NULL);
    facts_number(f, "learner.weeks", l->weeks, 0, "", NULL);
    facts_number(f, "learner.total_hours", hours * l->weeks, whole_all ? 0 : 2, "", NULL);
    const cJSON *goals = cJSON_GetObjectItemCaseSensitive(b->common, "goals");
    const cJSON *levels = cJSON_GetObjectItemCaseSensitive(b->common, "levels");
    facts_text(f, "learner.goal_words", json_string_or(goals, learner_goal_name(l->goal), "?"));
    facts_text(f, "learner.level_words", json_string_or(levels, learner_level_name(l->level), "?"));
    enum learner_level next = l->level < LEVEL_ADVANCED ? l->level + 1 : LEVEL_ADVANCED;
    facts_text(f, "learner.next_level", learner_level_name(next));
    if (l->name[0]) facts_text(f, "learner.name", l->name);
    if (l->start_date[0]) facts_text(f, "learner.start", l->start_date);
    for (int i = 0; i < l->n_interests; i++) {
        size_t n = strlen(joined);
        snprintf(joined + n, sizeof joined - n, "%s%s", i ? ", " : "", l->interests[i]);
    }
    if (l->n_interests) {
        facts_text(f, "learner.interest", l->interests[0]);
        facts_text(f, "learner.interests", joined);
    }
    return !f->failed || err_nomem(e, "facts", 0);
}

static void clean_fact(struct facts *f, const char *name, const char *text)
{
    char clean[160];
    clean_text(clean, sizeof clean, text);
    if (clean[0]) facts_text(f, name, clean);
}

// The name of a measured model: files of the default model carry a training run's name inside.
static void model_name(struct facts *f, const char *fact, const char *name, const char *path)
{
    static const char fallback[] = "SmolLM2-135M-Instruct.Q4_1.gguf";
    size_t n = strlen(path), m = strlen(fallback);
    bool is_default = n >= m && !strcmp(path + n - m, fallback);
    clean_fact(f, fact, is_default ? "SmolLM2-135M-Instruct" : name);
}

// A number of the file, positive and finite, else the fact stays unknown.
static double positive(const cJSON *obj, const char *key)
{
    double v = json_number_or(obj, key, 0);
    return isfinite(v) && v > 0 && v < 1e18 ? v : 0;
}

static void number_if(struct facts *f, const char *name, double v, int decimals, const char *unit,
                      const char *basis)
{
    if (v > 0) facts_number(f, name, v, decimals, unit, basis);
}

// 3 significant digits or so for speeds from 0.1 to 10,000.
static int speed_decimals(double v)
{
    return v < 10 ? 2 : v < 100 ? 1 : 0;
}

static void speed(struct facts *f, const char *name, double v, const char *unit, const char *basis)
{
    number_if(f, name, v, speed_decimals(v), unit, basis);
}

// The MODEL argument of commands, with a leading space; empty for the default model.
static void model_argument(struct facts *f, const char *path)
{
    static const char fallback[] = "SmolLM2-135M-Instruct.Q4_1.gguf";
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+";
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    char arg[200] = "";
    size_t n = strlen(file);
    bool is_default =
        !file[0] || !strcmp(file, fallback) || file[0] == '-' || strspn(file, safe) != n || n > 180;
    if (!is_default) {
        arg[0] = ' ';
        memcpy(arg + 1, file, n + 1);
    }
    facts_text(f, "model.arg", arg);
    facts_text(f, "model.file", is_default ? fallback : file);
    facts_flag(f, "model.is_default", !strcmp(is_default ? fallback : file, fallback));
}

static void model_facts(struct facts *f, const cJSON *model)
{
    const char *name = json_string_or(model, "name", "");
    double weights = positive(model, "weight_bytes"), kv = positive(model, "kv_bytes_per_token");
    double n_params = positive(model, "n_params"), n_ctx = positive(model, "n_ctx");
    const char *path = json_string_or(model, "path", "");
    model_name(f, "model.name", name, path);
    clean_fact(f, "model.file_type", json_string_or(model, "file_type", ""));
    number_if(f, "model.params_m", n_params / 1e6, n_params < 1e10 ? 1 : 0, " million parameters",
              "exact");
    number_if(f, "model.weight_mb", weights / 1e6, 1, " MB", "exact");
    number_if(f, "model.weight_mib", weights / 1048576, 1, " MiB", "exact");
    number_if(f, "model.kv_kib", kv / 1024, 1, " KiB", "exact");
    number_if(f, "model.kv_mib", kv * n_ctx / 1048576, 0, " MiB", "exact");
    number_if(f, "model.n_ctx", n_ctx, 0, " tokens", "exact");
    number_if(f, "model.ctx_train", positive(model, "n_ctx_train"), 0, " tokens", "exact");
    if (weights > 0 && n_params > 0)
        facts_number(f, "model.bits", weights * 8 / n_params, 2, " bits per weight", "exact");
    if (n_params > 0) number_if(f, "model.f16_mib", n_params * 2 / 1048576, 0, " MiB", "modelled");
    if (n_params > 0 && path[0]) model_argument(f, path);
}

// Speeds, and what follows: the bandwidth bound (bytes a second / bytes of weights a token), the
// time of an answer of 200 tokens, of an agent's step (1,500 tokens read, 300 written).
static void speed_facts(struct facts *f, const cJSON *m, const cJSON *model)
{
    double decode = positive(m, "decode_tok_s"), prefill = positive(m, "prefill_tok_s");
    double gb_s = positive(m, "matvec_gb_s"), weights = positive(model, "weight_bytes");
    speed(f, "hw.matvec", gb_s, " GB/s", "measured");
    speed(f, "hw.decode", decode, " tok/s", "measured");
    speed(f, "hw.prefill", prefill, " tok/s", "measured");
    number_if(f, "hw.load", positive(m, "load_s"), 1, " s", "measured");
    double low = positive(m, "decode_tok_s_low"), high = positive(m, "decode_tok_s_high");
    if (low > 0 && high >= low) {
        char range[64];
        snprintf(range, sizeof range, "%.1f to %.1f tok/s", low, high);
        facts_quote(f, "hw.decode_range", range, "measured");
    }
    if (gb_s > 0 && weights > 0) {
        double bound = gb_s * 1e9 / weights;
        speed(f, "bound.decode", bound, " tok/s", "modelled");
        if (decode > 0) facts_number(f, "bound.percent", 100 * decode / bound, 0, " %", "modelled");
    }
    if (decode > 0) number_if(f, "answer.seconds", 200 / decode, 1, " s", "modelled");
    if (decode > 0 && prefill > 0)
        facts_number(f, "agent.seconds", 1500 / prefill + 300 / decode, 1, " s", "modelled");
    if (prefill > 0) number_if(f, "shots.seconds", 700 / prefill, 1, " s", "modelled");
}

bool measure_fit_row(const cJSON *row, int i, struct fit_row *out, struct err *e)
{
    static const char *const verdicts[] = {"fits", "fits with less context", "streamed",
                                           "larger than memory"};
    char where[64];
    snprintf(where, sizeof where, "hardware.json: fits[%d]", i);
    *out = (struct fit_row){0};
    if (!json_string(row, "model", &out->model, where, e) ||
        !json_string(row, "quant", &out->quant, where, e) ||
        !json_string(row, "verdict", &out->verdict, where, e) ||
        !json_number(row, "n_params", &out->n_params, where, e) ||
        !json_number(row, "weight_bytes", &out->weight_bytes, where, e) ||
        !json_number(row, "total_bytes", &out->total_bytes, where, e) ||
        !json_number(row, "n_ctx", &out->n_ctx, where, e))
        return false;
    out->family = json_string_or(row, "family", out->model);
    out->max_ctx = positive(row, "max_ctx");
    out->download_bytes = positive(row, "download_bytes");
    out->decode_tok_s = positive(row, "decode_tok_s");
    out->has_speed = out->decode_tok_s > 0;
    out->decode_basis = json_string_or(row, "decode_basis", "modelled");
    for (size_t v = 0; v < sizeof verdicts / sizeof verdicts[0]; v++)
        if (!strcmp(verdicts[v], out->verdict)) return true;
    return err_set(e, ERR_FORMAT,
                   "%s: \"%.40s\" is not a verdict; make the file again with "
                   "lectern devices",
                   where, out->verdict);
}

static bool has_word(const cJSON *list, const char *word)
{
    const cJSON *it;
    cJSON_ArrayForEach(it, list)
    {
        if (cJSON_IsString(it) && !strcmp(it->valuestring, word)) return true;
    }
    return false;
}

// The plan's table leaves out families and types that common.json does not name.
static bool in_table(const struct build *b, const struct fit_row *r)
{
    const cJSON *pick = cJSON_GetObjectItemCaseSensitive(b->common, "pick");
    return has_word(cJSON_GetObjectItemCaseSensitive(pick, "table_families"), r->family) &&
           has_word(cJSON_GetObjectItemCaseSensitive(pick, "table_quants"), r->quant);
}

static bool fit_facts(struct build *b, struct err *e)
{
    const cJSON *fits = cJSON_GetObjectItemCaseSensitive(b->hardware, "fits");
    int n = cJSON_GetArraySize(fits), usable = 0, total = 0;
    double largest = 0;
    char seen[120] = "", name[120] = "";
    if (n > 20000) return err_set(e, ERR_FORMAT, "hardware.json: %d rows in fits are too many", n);
    const cJSON *row;
    int i = 0;
    cJSON_ArrayForEach(row, fits)
    {
        struct fit_row r;
        if (!measure_fit_row(row, i++, &r, e)) return false;
        bool fit = !strncmp(r.verdict, "fits", 4);
        total++;
        usable += fit && r.decode_tok_s >= 3 && !strncmp(r.family, "Llama ", 6);
        if (fit && r.n_params > largest && in_table(b, &r)) {
            largest = r.n_params;
            clean_text(name, sizeof name, r.model);
            clean_text(seen, sizeof seen, r.quant);
        }
    }
    if (!total) return true;
    facts_number(&b->facts, "fit.usable", usable, 0, "", "modelled");
    if (largest > 0) {
        facts_text(&b->facts, "fit.largest", name);
        facts_text(&b->facts, "fit.largest_quant", seen);
    }
    return true;
}

bool measure_hardware(struct build *b, struct err *e)
{
    const cJSON *device, *host, *hw = b->hardware;
    struct facts *f = &b->facts;
    if (!hw) {
        model_argument(f, "");
        return true;
    }
    if (!json_version(hw, 1, "hardware.json", e) ||
        !json_object(hw, "device", &device, "hardware.json", e) ||
        !json_object(hw, "host", &host, "hardware.json", e))
        return false;
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(hw, "model");
    clean_fact(f, "hw.device", json_string_or(device, "name", "a device without a name"));
    clean_fact(f, "hw.driver", json_string_or(device, "driver", ""));
    clean_fact(f, "hw.type", json_string_or(device, "type", "other"));
    clean_fact(f, "hw.os", json_string_or(host, "os", ""));
    clean_fact(f, "hw.cpu", json_string_or(host, "cpu", ""));
    number_if(f, "hw.cores", positive(host, "cores"), 0, "", "reported");
    number_if(f, "hw.ram", positive(host, "ram_bytes") / GIB, 1, " GiB", "reported");
    number_if(f, "hw.disk", positive(host, "disk_free_bytes") / GIB, 1, " GiB", "reported");
    number_if(f, "hw.budget", positive(hw, "memory_budget_bytes") / GIB, 1, " GiB", "reported");
    if (cJSON_IsObject(model)) model_facts(f, model);
    if (!facts_known(f, "model.arg")) model_argument(f, "");
    speed_facts(f, cJSON_GetObjectItemCaseSensitive(hw, "measured"), model);
    if (!fit_facts(b, e)) return false;
    return !f->failed || err_nomem(e, "facts", 0);
}

struct score_name {
    const char *task, *filter, *key, *label;
};

static const struct score_name score_names[] = {
    {"mmlu", "none", "mmlu", "MMLU"},
    {"gsm8k", "strict-match", "gsm8k", "GSM8K (answer in the asked form)"},
    {"gsm8k", "flexible-extract", "gsm8k_flex", "GSM8K (last number counts)"},
    {"gsm8k_cot", "strict-match", "gsm8k_cot", "GSM8K, chain of thought (asked form)"},
    {"gsm8k_cot", "flexible-extract", "gsm8k_cot_flex", "GSM8K, chain of thought (last number)"},
    {"humaneval", "create_test", "humaneval", "HumanEval pass@1"},
};

static const struct score_name *score_name(const char *task, const char *filter)
{
    for (size_t i = 0; i < sizeof score_names / sizeof score_names[0]; i++)
        if (!strcmp(task, score_names[i].task) && !strcmp(filter, score_names[i].filter))
            return &score_names[i];
    return NULL;
}

const char *measure_label(const char *task, const char *filter)
{
    const struct score_name *n = score_name(task, filter);
    return n ? n->label : task;
}

const char *measure_key(const char *task, const char *filter)
{
    const struct score_name *n = score_name(task, filter);
    return n ? n->key : NULL;
}

static bool check_score(const cJSON *s, double v[5], const char *where, struct err *e)
{
    const cJSON *wilson;
    int64_t n;
    if (!json_int(s, "n", &n, where, e) || !json_number(s, "score", &v[1], where, e) ||
        !json_array(s, "wilson", &wilson, where, e))
        return false;
    const cJSON *low = cJSON_GetArrayItem(wilson, 0), *high = cJSON_GetArrayItem(wilson, 1);
    if (cJSON_GetArraySize(wilson) != 2 || !cJSON_IsNumber(low) || !cJSON_IsNumber(high))
        return err_set(e, ERR_FORMAT, "%s: \"wilson\" must hold two numbers", where);
    v[0] = (double)n;
    v[2] = low->valuedouble;
    v[3] = high->valuedouble;
    v[4] = json_number_or(s, "chance", 0);
    if (n < 1 || !(v[1] >= 0 && v[1] <= 1 && v[2] >= 0 && v[2] <= v[3] && v[3] <= 1) ||
        !(v[1] >= v[2] - 1e-6 && v[1] <= v[3] + 1e-6 && v[4] >= 0 && v[4] <= 1))
        return err_set(e, ERR_FORMAT,
                       "%s: %g of %g items with the interval [%g, %g] cannot be a score; make the "
                       "file again with lectern eval",
                       where, v[1], v[0], v[2], v[3]);
    return true;
}

// Facts under score.KEY: value, text, items, sec_item; flags at_chance, comparable.
static void score_facts(struct facts *f, const char *key, const cJSON *s, const double v[5])
{
    char name[64], text[160];
    snprintf(text, sizeof text, "%.1f %% of %.0f items, 95 %% interval %.1f to %.1f %%", 100 * v[1],
             v[0], 100 * v[2], 100 * v[3]);
    snprintf(name, sizeof name, "score.%s", key);
    facts_quote(f, name, text, "measured");
    snprintf(name, sizeof name, "score.%s.percent", key);
    facts_number(f, name, 100 * v[1], 1, " %", "measured");
    snprintf(name, sizeof name, "score.%s.items", key);
    facts_number(f, name, v[0], 0, "", NULL);
    // Chance counts only where guessing can score at all (a chance of 0 has nothing to exclude).
    bool at_chance = v[4] > 0 && v[2] <= v[4] && v[4] <= v[3];
    snprintf(name, sizeof name, "score.%s.at_chance", key);
    facts_flag(f, name, at_chance);
    snprintf(name, sizeof name, "score.%s.comparable", key);
    facts_flag(f, name, json_bool_or(s, "comparable", false));
    double seconds = positive(s, "seconds");
    snprintf(name, sizeof name, "score.%s.sec_item", key);
    number_if(f, name, seconds / v[0], 2, " s an item", "measured");
    snprintf(name, sizeof name, "score.%s.session", key);
    if (seconds > 0) facts_number(f, name, floor(20 * 60 * v[0] / seconds), 0, "", "modelled");
}

// Wilson's 95 % interval of k of n.
static void wilson(double k, double n, double *low, double *high)
{
    double z = 1.959963984540054, p = k / n, d = 1 + z * z / n;
    double mid = (p + z * z / (2 * n)) / d,
           half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d;
    *low = mid - half;
    *high = mid + half;
}

// MMLU's groups: lowest and highest, and whether their intervals are apart.
static void group_facts(struct facts *f, const cJSON *groups)
{
    const cJSON *it;
    double best = -1, worst = 2, best_low = 0, worst_high = 1;
    char low_name[80] = "", high_name[80] = "";
    cJSON_ArrayForEach(it, groups)
    {
        double n = positive(it, "n"), k = json_number_or(it, "correct", 0), low, high;
        if (n < 1 || k < 0 || k > n) continue;
        wilson(k, n, &low, &high);
        if (k / n > best) {
            best = k / n;
            best_low = low;
            clean_text(high_name, sizeof high_name, json_string_or(it, "name", "?"));
        }
        if (k / n < worst) {
            worst = k / n;
            worst_high = high;
            clean_text(low_name, sizeof low_name, json_string_or(it, "name", "?"));
        }
    }
    if (best < 0 || !strcmp(low_name, high_name)) return;
    facts_text(f, "groups.lowest", low_name);
    facts_text(f, "groups.highest", high_name);
    facts_flag(f, "groups.apart", worst_high < best_low);
}

// The most frequent category among the kept failures; the earlier one on a tie.
static void failure_facts(struct facts *f, const cJSON *failures)
{
    const cJSON *a, *b;
    int most = 0;
    if (cJSON_GetArraySize(failures) > 100) return; // the harness keeps three a task
    cJSON_ArrayForEach(a, failures)
    {
        const char *category = json_string_or(a, "category", "");
        int n = 0;
        cJSON_ArrayForEach(b, failures)
        {
            n += !strcmp(category, json_string_or(b, "category", "?"));
        }
        if (n <= most || !category[0]) continue;
        most = n;
        clean_fact(f, "failures.category", category);
    }
}

static bool each_score(struct build *b, const cJSON *scores, struct err *e)
{
    const cJSON *s;
    struct facts *f = &b->facts;
    double weakest = 2;
    int i = 0, n = 0, not_comparable = 0;
    cJSON_ArrayForEach(s, scores)
    {
        const char *task, *filter;
        double v[5];
        char where[64];
        snprintf(where, sizeof where, "results.json: scores[%d]", i++);
        if (!json_string(s, "task", &task, where, e)) return false;
        filter = json_string_or(s, "filter", "none");
        if (!check_score(s, v, where, e)) return false;
        const char *key = measure_key(task, filter);
        if (!key) continue; // a task that a later Lectern knows
        score_facts(f, key, s, v);
        n++;
        not_comparable += !json_bool_or(s, "comparable", false);
        if (!strcmp(key, "mmlu")) group_facts(f, cJSON_GetObjectItemCaseSensitive(s, "groups"));
        double above = (v[1] - v[4]) / (1 - v[4]); // 0 at chance, 1 when perfect
        if (above < weakest) {
            weakest = above;
            facts_text(f, "score.weakest", measure_label(task, filter));
            facts_text(f, "score.weakest_key", key);
        }
    }
    if (n) facts_number(f, "score.count", n, 0, "", NULL);
    if (n) facts_number(f, "score.not_comparable", not_comparable, 0, "", NULL);
    return true;
}

bool measure_results(struct build *b, struct err *e)
{
    const cJSON *scores, *model, *r = b->results;
    if (!r) return true;
    if (!json_version(r, 1, "results.json", e) ||
        !json_array(r, "scores", &scores, "results.json", e))
        return false;
    model = cJSON_GetObjectItemCaseSensitive(r, "model");
    const char *name = json_string_or(model, "name", "the model");
    const char *path = json_string_or(model, "path", "");
    model_name(&b->facts, "results.model", name, path);
    if (!b->hardware || !facts_known(&b->facts, "model.name")) {
        model_name(&b->facts, "model.name", name, path);
        clean_fact(&b->facts, "model.file_type", json_string_or(model, "file_type", ""));
        model_argument(&b->facts, path);
    }
    facts_flag(&b->facts, "results.complete", json_bool_or(r, "complete", true));
    if (!each_score(b, scores, e)) return false;
    failure_facts(&b->facts, cJSON_GetObjectItemCaseSensitive(r, "failures"));
    return !b->facts.failed || err_nomem(e, "facts", 0);
}
