#include "curriculum/lint_parts.h"
#include "curriculum/lint.h"
#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

// Verbs by level of Bloom's revised taxonomy; an objective begins with one of its level.
static const struct {
    const char *bloom, *verbs;
} bloom_verbs[] = {
    {"remember", " define list name recall state identify label match "},
    {"understand", " describe explain summarise classify interpret paraphrase distinguish outline "
                   "illustrate translate "},
    {"apply", " apply compute calculate run use demonstrate estimate execute install measure solve "
              "write configure convert "},
    {"analyse", " analyse compare contrast diagnose examine trace differentiate test attribute "
                "decompose relate "},
    {"evaluate", " evaluate assess critique defend judge justify choose select verify weigh rank "
                 "audit "},
    {"create", " create design build compose plan construct produce develop formulate assemble "},
};

bool lint_verb(const char *text, const char *bloom, struct err *e)
{
    char word[34] = " ";
    size_t n = strcspn(text, " ");
    if (n == 0 || n > 30) return err_set(e, ERR_INTERNAL, "an objective has no verb");
    for (size_t i = 0; i < n; i++)
        word[i + 1] = (char)tolower((unsigned char)text[i]);
    word[n + 1] = ' ';
    word[n + 2] = '\0';
    for (size_t i = 0; i < sizeof bloom_verbs / sizeof bloom_verbs[0]; i++) {
        if (strcmp(bloom, bloom_verbs[i].bloom) != 0) continue;
        if (strstr(bloom_verbs[i].verbs, word)) return true;
        return err_set(e, ERR_INTERNAL, "\"%.60s\" does not begin with a verb of the level %s",
                       text, bloom);
    }
    return err_set(e, ERR_INTERNAL, "\"%.60s\" has the unknown Bloom level \"%s\"", text, bloom);
}

// What each subcommand takes: options with "=" take a value; `words` plain words at most.
static const struct command {
    const char *name, *options;
    int words;
} commands[] = {
    {"study",
     " --level= --goal= --hours= --weeks= --interests= --name= --start= --out= --minutes= --limit= "
     "--tasks= --resume --help ",
     1},
    {"devices", " --json --measure --out= --help ", 1},
    {"run", " -p= --chat --system= --tokens= -n= --greedy --temp= --seed= --json --kv= --help ", 1},
    {"chat", " --system= --greedy --temp= --seed= --kv= --help ", 1},
    {"bench", " --json --runs= --help ", 1},
    {"perplexity", " --ctx= --stride= --kv= --json --help ", 2},
    {"eval", " --tasks= --data= --minutes= --limit= --prompts-only= --out= --resume --json --help ",
     1},
    {"plan",
     " --learner= --results= --hardware= --out= --level= --goal= --hours= --weeks= --interests= "
     "--name= --start= --help ",
     0},
    {"report", " --plan= --out= --help ", 0},
    {"inspect", " --json --help ", 1},
    {"tokenize", " --special --pieces --help ", 1},
    {"logits", " --tokens= --all-positions --help ", 1},
    {"extract", " --help ", 1},
    {"sandbox", " --timeout= --help ", 1},
};

// 0: no such option, 1: alone, 2: with a value.
static int option(const struct command *c, const char *word)
{
    char key[40];
    if (strlen(word) > 34) return 0;
    snprintf(key, sizeof key, " %s ", word);
    if (strstr(c->options, key)) return 1;
    snprintf(key, sizeof key, " %s= ", word);
    return strstr(c->options, key) ? 2 : 0;
}

// The next word of a command line; quotes group, and are dropped. NULL at the end or at a '|'.
static const char *next_word(const char *p, char word[128])
{
    size_t n = 0;
    char quote = 0;
    p += strspn(p, " ");
    if (!*p || *p == '|' || *p == '>' || *p == '<') return NULL;
    for (; *p && (quote || *p != ' '); p++) {
        if (!quote && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (quote && *p == quote) {
            quote = 0;
        } else if (n < 127) {
            word[n++] = *p;
        }
    }
    word[n] = '\0';
    return p;
}

static bool same_file(const char *model, const char *name)
{
    const char *slash = strrchr(name, '/');
    return !strcmp(model, slash ? slash + 1 : name);
}

// A MODEL argument: the default model, or the model that was measured here.
static bool model_runs(const char *word, const cJSON *plan)
{
    const cJSON *row, *m = cJSON_GetObjectItemCaseSensitive(plan, "machine");
    if (!strncmp(word, "SmolLM2-135M-Instruct", 21)) return true;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(m, "measured"))
    {
        if (!strcmp(json_string_or(row, "label", ""), "Model file"))
            return same_file(json_string_or(row, "value", ""), word);
    }
    return false;
}

static bool own_command(const char *p, const char *whole, const cJSON *plan, struct err *e)
{
    char word[128];
    const struct command *c = NULL;
    int n_words = 0;
    p = next_word(p, word);
    for (size_t i = 0; p && i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(word, commands[i].name)) c = &commands[i];
    if (!c) return err_set(e, ERR_INTERNAL, "\"%s\": there is no such subcommand", whole);
    while ((p = next_word(p, word)) != NULL) {
        int kind = word[0] == '-' ? option(c, word) : 0;
        if (word[0] == '-' && !kind)
            return err_set(e, ERR_INTERNAL, "\"%s\": there is no option %s", whole, word);
        if (kind == 2 && !(p = next_word(p, word)))
            return err_set(e, ERR_INTERNAL, "\"%s\": an option lacks its value", whole);
        if (kind) continue;
        if (++n_words > c->words)
            return err_set(e, ERR_INTERNAL, "\"%s\": %s is one word too many", whole, word);
        bool model =
            strcmp(c->name, "extract") && strcmp(c->name, "sandbox") && strcmp(c->name, "report");
        if (model && !model_runs(word, plan))
            return err_set(e, ERR_INTERNAL, "\"%s\": the model %s was not measured here", whole,
                           word);
    }
    return true;
}

bool lint_command(const char *command, bool optional, const cJSON *plan, struct err *e)
{
    if (optional) return command[0] || err_set(e, ERR_INTERNAL, "a command is empty");
    for (const char *p = command;;) {
        char word[128];
        const char *after = next_word(p, word);
        if (!after) return err_set(e, ERR_INTERNAL, "\"%s\" is not a command", command);
        if (!strcmp(word, "lectern")) {
            if (!own_command(after, command, plan, e)) return false;
        } else if (strcmp(word, "printf") != 0 && strcmp(word, "cat") != 0) {
            return err_set(e, ERR_INTERNAL,
                           "\"%s\" needs %s, which not everybody has: mark the "
                           "step optional",
                           command, word);
        }
        const char *pipe = strstr(p, " | ");
        if (!pipe) return true;
        p = pipe + 3;
    }
}

static bool lint_link(const char *text, const cJSON *table, struct err *e)
{
    for (const char *p = strstr(text, "://"); p; p = strstr(p + 3, "://")) {
        const char *begin = p;
        const cJSON *r;
        bool found = false;
        while (begin > text && isalpha((unsigned char)begin[-1]))
            begin--;
        size_t n = strcspn(begin, " ,;)`\n");
        cJSON_ArrayForEach(r, table)
        {
            const char *url = json_string_or(r, "url", "");
            found = found || (strlen(url) == n && !strncmp(url, begin, n));
        }
        if (!found)
            return err_set(e, ERR_INTERNAL, "plan: the link %.*s is not in resources.json",
                           n > 120 ? 120 : (int)n, begin);
    }
    return true;
}

// A digit before a unit of speed or size: the text must say where the number comes from.
static bool needs_basis(const char *text)
{
    static const char *const units[] = {" tok/s", " GB/s", " GiB", " MiB", " GB", " MB"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        for (const char *p = strstr(text, units[i]); p; p = strstr(p + 1, units[i])) {
            const char *after = p + strlen(units[i]);
            if (p > text && isdigit((unsigned char)p[-1]) && !isalpha((unsigned char)*after))
                return true;
        }
    return false;
}

static bool has_basis(const char *text)
{
    static const char *const words[] = {"measured", "exact", "modelled", "published", "reported"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(text, words[i])) return true;
    return false;
}

static bool lint_string(const char *text, bool tagged, const cJSON *table, struct err *e)
{
    int ticks = 0;
    for (const char *p = text; *p; p++) {
        ticks += *p == '`';
        size_t n = *p == '{' ? strspn(p + 1, "=abcdefghijklmnopqrstuvwxyz0123456789_.") : 0;
        if (n && p[n + 1] == '}')
            return err_set(e, ERR_INTERNAL, "plan: \"%.60s\" has an unfilled place", text);
    }
    if (ticks % 2)
        return err_set(e, ERR_INTERNAL, "plan: \"%.60s\" has an odd number of backquotes", text);
    if (!tagged && needs_basis(text) && !has_basis(text))
        return err_set(e, ERR_INTERNAL, "plan: \"%.90s\" has a number without its basis", text);
    return lint_link(text, table, e);
}

// The tables of machine and evidence tag their numbers in a member of their own; failed items
// quote what a model wrote.
static bool walk(const cJSON *v, bool tagged, const cJSON *table, struct err *e)
{
    const cJSON *it;
    if (cJSON_IsString(v)) return lint_string(v->valuestring, tagged, table, e);
    cJSON_ArrayForEach(it, v)
    {
        const char *key = it->string ? it->string : "";
        if (!strcmp(key, "failures")) continue;
        bool below = tagged || cJSON_HasObjectItem(v, "basis") || !strcmp(key, "command");
        if (!walk(it, below, table, e)) return false;
    }
    return true;
}

bool lint_texts(const cJSON *plan, const cJSON *table, struct err *e)
{
    return walk(plan, false, table, e);
}
