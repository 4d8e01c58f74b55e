// plan.json to plan.pdf and back: the PDF is read with pdftotext, pdffonts and qpdf, where they
// are installed. Files are written to a folder of this process.
#include "base/file.h"
#include "pdf_tools.h"
#include "reports/plan_report.h"

#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define EXAMPLE LECTERN_SOURCE_DIR "/tests/reports/data/plan.json"

static char dir[64];

static const char *at(const char *name)
{
    static char paths[4][128];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static cJSON *example(void)
{
    struct err e = {0};
    cJSON *plan = json_load(EXAMPLE, &e);
    if (!plan) fail_msg("%s", e.msg);
    return plan;
}

static void write_strict(const cJSON *plan, const char *path)
{
    struct err e = {0};
    const struct report_params params = {.strict = true};
    if (!report_write(plan, path, &params, &e)) fail_msg("%s", e.msg);
}

// A program with its options, an input and an output; it must succeed.
static char *shell(const char *program, const char *in, const char *out_path)
{
    char command[512];
    int status;
    snprintf(command, sizeof command, "%s %s %s", program, in, out_path);
    char *out = tool_output(command, &status);
    if (status != 0) fail_msg("%s: status %d: %s", command, status, out);
    return out;
}

static int make_dir(void **state)
{
    (void)state;
    struct err e;
    snprintf(dir, sizeof dir, "report_%ld", (long)getpid());
    if (!file_mkdirs(dir, &e)) return -1;
    cJSON *plan = example();
    write_strict(plan, at("plan.pdf"));
    cJSON_Delete(plan);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    struct err e;
    return file_remove_tree(dir, &e) ? 0 : -1;
}

// Members that are not printed as they are: dates are written out, task ids have names.
static bool not_literal(const char *key)
{
    static const char *const keys[] = {"date", "start_date", "resources_checked",
                                       "task", "level",      "goal"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (key && !strcmp(key, keys[i])) return true;
    return false;
}

static size_t find_all(const cJSON *v, const char *text, const char *skip)
{
    size_t n = 0;
    const cJSON *c;
    if (v->string && (not_literal(v->string) || !strcmp(v->string, skip))) return 0;
    if (cJSON_IsString(v)) {
        char *want = squeeze(v->valuestring);
        if (!strstr(text, want)) fail_msg("not in the PDF: %s", v->valuestring);
        free(want);
        return 1;
    }
    cJSON_ArrayForEach(c, v) n += find_all(c, text, skip);
    return n;
}

// The text area without header and footer, in the order of drawing, without white space.
static char *body_text(const char *pdf)
{
    char *raw = shell("pdftotext -raw -enc UTF-8 -x 0 -y 62 -W 596 -H 716", pdf, "-");
    if (strstr(raw, "Syntax ") || strstr(raw, "Internal Error")) fail_msg("poppler: %.300s", raw);
    char *text = squeeze(raw);
    free(raw);
    return text;
}

static void every_word_is_there(void **state)
{
    (void)state;
    if (!tool_exists("pdftotext")) skip();
    cJSON *plan = example();
    char *text = body_text(at("plan.pdf"));
    assert_true(find_all(plan, text, "interests") > 300);
    free(text);
    cJSON_Delete(plan);
}

static const char *after(const char *from, const char *want)
{
    char *s = squeeze(want);
    const char *found = strstr(from, s);
    if (!found) fail_msg("not in order: %s", want);
    found += strlen(s);
    free(s);
    return found;
}

static void sections_are_in_order(void **state)
{
    (void)state;
    if (!tool_exists("pdftotext")) skip();
    cJSON *plan = example(), *s, *x;
    char *text = body_text(at("plan.pdf"));
    const char *p = text;
    cJSON_ArrayForEach(s, cJSON_GetObjectItem(plan, "sections"))
    {
        static const char *const last[] = {"deliverable", "resources", "reflection", "next"};
        p = after(p, json_string_or(s, "why", ""));
        p = after(p, json_string_or(s, "prediction", ""));
        cJSON_ArrayForEach(x, cJSON_GetObjectItem(s, "objectives")) p =
            after(p, json_string_or(x, "text", ""));
        cJSON_ArrayForEach(x, cJSON_GetObjectItem(s, "points")) p =
            after(p, json_string_or(x, "title", ""));
        const cJSON *lab = cJSON_GetObjectItem(s, "lab");
        cJSON_ArrayForEach(x, cJSON_GetObjectItem(lab, "steps"))
        {
            p = after(p, json_string_or(x, "text", ""));
            p = after(p, json_string_or(x, "command", ""));
        }
        cJSON_ArrayForEach(x, cJSON_GetObjectItem(s, "checks")) p =
            after(p, json_string_or(x, "question", ""));
        for (size_t i = 0; i < 4; i++)
            if (i != 1) p = after(p, json_string_or(s, last[i], ""));
    }
    cJSON_ArrayForEach(s, cJSON_GetObjectItem(plan, "sections"))
    {
        cJSON_ArrayForEach(x, cJSON_GetObjectItem(s, "checks")) p =
            after(p, json_string_or(x, "answer", "")); // only behind the last section
    }
    free(text);
    cJSON_Delete(plan);
}

// Page i says "i of N"; the contents name the page on which the glossary stands; the link words
// "answer on page K" name the page of the answer.
static void page_numbers(void **state)
{
    (void)state;
    if (!tool_exists("pdftotext")) skip();
    char *all = shell("pdftotext -layout", at("plan.pdf"), "-");
    size_t n = 0, page = 1, glossary = 0, said = 0, answers = 0;
    for (const char *p = all; *p; p++)
        n += *p == '\f';
    for (char *p = strtok(all, "\f"); p && page <= n; p = strtok(NULL, "\f"), page++) {
        char want[48];
        snprintf(want, sizeof want, "%zu of %zu", page, n);
        if (!strstr(p, want)) fail_msg("page %zu does not say %s", page, want);
        const char *line = strstr(p, "Glossary");
        if (page == 2 && line) said = strtoul(line + strlen("Glossary"), NULL, 10);
        if (page > 2 && line) glossary = page;
        if (!answers && strstr(p, "Come here after")) answers = page;
        const char *ref = strstr(p, "answer on page ");
        if (ref && !glossary) assert_true(strtoul(ref + 15, NULL, 10) > page);
    }
    assert_true(n > 10 && glossary > 2 && answers > 2);
    assert_int_equal(said, glossary);
    free(all);
}

static void fonts_are_embedded(void **state)
{
    (void)state;
    if (!tool_exists("pdffonts")) skip();
    char *out = shell("pdffonts", at("plan.pdf"), "");
    size_t n = 0;
    strtok(out, "\n");
    strtok(NULL, "\n");
    for (char *line = strtok(NULL, "\n"); line; line = strtok(NULL, "\n"), n++)
        if (!strstr(line, "CID TrueType") || !strstr(line, "yes yes yes")) fail_msg("%s", line);
    assert_in_range(n, 3, 5);
    free(out);
}

static void qpdf_is_content(void **state)
{
    (void)state;
    if (!tool_exists("qpdf")) skip();
    char *out = shell("qpdf --check", at("plan.pdf"), "");
    assert_null(strstr(out, "WARNING"));
    free(out);
}

static void metadata(void **state)
{
    (void)state;
    if (!tool_exists("pdfinfo") || !tool_exists("qpdf")) skip();
    char *out = shell("TZ=UTC pdfinfo", at("plan.pdf"), "");
    assert_non_null(strstr(out, "Title:           Your Llama learning plan"));
    assert_non_null(strstr(out, "Zo\xc3\xab \xd0\x96"));
    assert_non_null(strstr(out, "Jan  5 00:00:00 2026"));
    assert_null(strstr(out, "Error"));
    free(out);
    out = shell("qpdf --qdf --object-streams=disable", at("plan.pdf"), "-");
    assert_non_null(strstr(out, "/Lang (en)"));
    assert_non_null(strstr(out, "/DisplayDocTitle true"));
    assert_non_null(strstr(out, "/Outlines"));
    assert_non_null(strstr(out, "/PageLabels"));
    assert_null(strstr(out, "begincidrange"));
    free(out);
}

static bool has_url(const cJSON *plan, const char *url)
{
    const cJSON *s, *r;
    cJSON_ArrayForEach(s, cJSON_GetObjectItem(plan, "sections"))
    {
        cJSON_ArrayForEach(r, cJSON_GetObjectItem(s, "resources"))
        {
            if (!strcmp(json_string_or(r, "url", ""), url)) return true;
        }
    }
    return false;
}

static const char *object(const char *qdf, long id)
{
    char head[48];
    snprintf(head, sizeof head, "\n%ld 0 obj\n", id);
    const char *o = strstr(qdf, head);
    if (!o) fail_msg("there is no object %ld", id);
    return o + strlen(head);
}

// Every URI of the PDF is one of the plan's, and every destination is a page.
static void links(void **state)
{
    (void)state;
    if (!tool_exists("qpdf")) skip();
    cJSON *plan = example();
    struct err e;
    size_t size, uris = 0, dests = 0;
    char *qdf;
    free(shell("qpdf --qdf --object-streams=disable", at("plan.pdf"), at("plan.qdf")));
    assert_true(file_read(at("plan.qdf"), 1 << 26, &qdf, &size, &e));
    for (size_t i = 0; i < size; i++) // fonts hold zero bytes
        if (!qdf[i]) qdf[i] = ' ';
    for (char *p = qdf; (p = strstr(p, "/URI (")); uris++) {
        char url[512];
        size_t n = 0;
        int depth = 0; // balanced parentheses may stand bare in a PDF string
        for (p += 6; *p && (depth || *p != ')') && n + 1 < sizeof url; p++) {
            if (*p == '\\')
                p++;
            else if (*p == '(' || *p == ')')
                depth += *p == '(' ? 1 : -1;
            url[n++] = *p;
        }
        url[n] = '\0';
        if (!has_url(plan, url)) fail_msg("a link of nobody: %s", url);
    }
    for (char *p = qdf; (p = strstr(p, "/Dest ")); p += 6, dests++) {
        const char *array = strchr(object(qdf, strtol(p + 6, NULL, 10)), '[');
        assert_non_null(array);
        const char *o = object(qdf, strtol(array + 1, NULL, 10));
        const char *end = strstr(o, "endobj"), *type = strstr(o, "/Type /Page\n");
        assert_true(type && type < end);
    }
    assert_true(uris >= 20);  // sections and index
    assert_true(dests >= 80); // contents, schedule, checks, answers, outline
    free(qdf);
    cJSON_Delete(plan);
}

static void assert_same_file(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    struct err e;
    assert_true(file_read(a, 1 << 26, &x, &n, &e));
    assert_true(file_read(b, 1 << 26, &y, &m, &e));
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void same_bytes(void **state)
{
    (void)state;
    cJSON *plan = example();
    write_strict(plan, at("again.pdf"));
    assert_same_file(at("plan.pdf"), at("again.pdf"));
    setenv("SOURCE_DATE_EPOCH", "1767571200", 1); // 2026-01-05, the plan's own start
    write_strict(plan, at("again.pdf"));
    assert_same_file(at("plan.pdf"), at("again.pdf"));
    unsetenv("SOURCE_DATE_EPOCH");
    cJSON_Delete(plan);
}

static bool comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "de_DE"};
    char folder[512], command[700];
    int status;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (setlocale(LC_ALL, names[i])) return true;
    if (!getcwd(folder, 300)) return false; // none installed: make one where that can be done
    snprintf(command, sizeof command, "localedef -c -f UTF-8 -i de_DE '%s/%s/de_DE.UTF-8'", folder,
             dir);
    free(tool_output(command, &status));
    snprintf(command, sizeof command, "%s/%s", folder, dir);
    setenv("LOCPATH", command, 1);
    return setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
}

static void same_bytes_with_decimal_comma(void **state)
{
    (void)state;
    if (!comma_locale()) {
        print_message("no locale with a decimal comma here\n");
        skip();
    }
    cJSON *plan = example();
    write_strict(plan, at("comma.pdf"));
    setlocale(LC_ALL, "C");
    assert_same_file(at("plan.pdf"), at("comma.pdf"));
    cJSON_Delete(plan);
}

static void set_weeks(cJSON *plan, int n)
{
    cJSON *schedule = cJSON_CreateArray();
    for (int w = 1; w <= n; w++) {
        cJSON *week = cJSON_CreateObject(), *sessions = cJSON_CreateArray();
        cJSON_AddNumberToObject(week, "week", w);
        cJSON_AddNumberToObject(week, "minutes", 2400);
        for (int i = 0; i < 8; i++) {
            static const char *const kinds[] = {"study", "lab", "review", "buffer"};
            cJSON *s = cJSON_CreateObject();
            cJSON_AddStringToObject(s, "kind", kinds[i % 4]);
            cJSON_AddNumberToObject(s, "section", 1 + w * 9 / (n + 1));
            cJSON_AddNumberToObject(s, "minutes", 300);
            cJSON_AddStringToObject(s, "title", "A session");
            cJSON_AddItemToArray(sessions, s);
        }
        cJSON_AddItemToObject(week, "sessions", sessions);
        cJSON_AddItemToArray(schedule, week);
    }
    cJSON_ReplaceItemInObject(plan, "schedule", schedule);
}

// Every text becomes 40 times as long, or one word of 3,000 letters; nothing leaves its place.
static void inflate(cJSON *v, bool one_word)
{
    cJSON *c;
    if (cJSON_IsString(v) && v->string && strstr(v->string, "date")) return;
    if (cJSON_IsString(v) && v->valuestring[0]) {
        struct text t = {0};
        for (int i = 0; i < 40 && t.size < 3000; i++)
            text_puts(&t, one_word ? "Wolkenkratzer\xc3\xa4" : v->valuestring);
        cJSON_SetValuestring(v, t.data);
        text_free(&t);
    }
    cJSON_ArrayForEach(c, v) inflate(c, one_word);
}

static void odd_plans_fit(void **state)
{
    (void)state;
    cJSON *plan = example();
    set_weeks(plan, 52);
    write_strict(plan, at("odd.pdf"));
    cJSON_Delete(plan);
    for (int one_word = 0; one_word < 2; one_word++) {
        plan = example();
        inflate(plan, one_word);
        write_strict(plan, at("odd.pdf"));
        cJSON_Delete(plan);
    }
    static const char small[] =
        "{\"version\":1,\"title\":\"\",\"sections\":[{\"number\":7,\"title\":\"\"}],\"glance\":[],"
        "\"schedule\":[{\"week\":1,\"sessions\":[]}],\"evidence\":{\"scores\":[{}],"
        "\"published\":[{}],\"failures\":[{}]},\"machine\":{\"table\":[{},{}],\"pick\":{}},"
        "\"prerequisites\":[{\"section\":7,\"needs\":[9]}],\"milestones\":[{}],\"glossary\":[{}],"
        "\"rules\":[{}],\"provenance\":{},\"inputs\":{},\"learner\":{},\"first_step\":{}}";
    struct err e = {0};
    plan = json_parse(small, strlen(small), "small", &e);
    assert_non_null(plan);
    write_strict(plan, at("odd.pdf"));
    cJSON_Delete(plan);
}

// The report either works or fails with a sentence, whatever the member holds.
static void try_plan(const cJSON *plan, const char *what, size_t *refused)
{
    struct err e = {0};
    const struct report_params params = {.strict = true};
    if (report_write(plan, at("hostile.pdf"), &params, &e)) return;
    if (e.code != ERR_FORMAT || !strstr(e.msg, "plan.json")) fail_msg("%s: %s", what, e.msg);
    (*refused)++;
}

static void mutate(cJSON *plan, cJSON *parent, size_t *refused, size_t *tried)
{
    static const char *const wrong[] = {"[[]]", "{\"a\":1}", "\"x\"", "-1.5", "1e300", "true"};
    int n = cJSON_GetArraySize(parent);
    if (cJSON_IsArray(parent) && n > 1) n = 1; // the others are of the same kind
    for (int i = 0; i < n; i++) {
        cJSON *child = cJSON_GetArrayItem(parent, i);
        if (child->child) mutate(plan, child, refused, tried);
        for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
            cJSON *bad = cJSON_Parse(wrong[k]), *old = cJSON_GetArrayItem(parent, i);
            if ((cJSON_IsString(bad) && cJSON_IsString(old)) ||
                (cJSON_IsBool(bad) && cJSON_IsBool(old))) {
                cJSON_Delete(bad);
                continue;
            }
            cJSON *copy = cJSON_Duplicate(old, true);
            char key[64] = ""; // of its own: cJSON frees an item's key before it copies it
            if (old->string) snprintf(key, sizeof key, "%s", old->string);
            if (cJSON_IsObject(parent))
                cJSON_ReplaceItemInObject(parent, key, bad);
            else
                cJSON_ReplaceItemInArray(parent, i, bad);
            try_plan(plan, wrong[k], refused);
            (*tried)++;
            if (cJSON_IsObject(parent))
                cJSON_ReplaceItemInObject(parent, key, copy);
            else
                cJSON_ReplaceItemInArray(parent, i, copy);
        }
    }
}

static void wrong_types(void **state)
{
    (void)state;
    cJSON *plan = example();
    size_t refused = 0, tried = 0;
    mutate(plan, plan, &refused, &tried);
    print_message("%zu of %zu wrong plans refused\n", refused, tried);
    assert_true(tried > 400 && refused > tried * 9 / 10);
    cJSON_Delete(plan);
}

static void missing_members(void **state)
{
    (void)state;
    cJSON *plan = example(), *c;
    size_t refused = 0;
    static const char *const inner[] = {"learner", "first_step", "machine", "evidence",
                                        "provenance"};
    for (int i = 0; (c = cJSON_GetArrayItem(plan, i)); i++) {
        cJSON *copy = cJSON_Duplicate(plan, true);
        cJSON_DeleteItemFromObject(copy, c->string);
        try_plan(copy, c->string, &refused);
        cJSON_Delete(copy);
    }
    assert_int_equal(refused, 3); // version, title, sections
    for (size_t k = 0; k < sizeof inner / sizeof inner[0]; k++)
        for (int i = 0; (c = cJSON_GetArrayItem(cJSON_GetObjectItem(plan, inner[k]), i)); i++) {
            cJSON *copy = cJSON_Duplicate(plan, true);
            cJSON_DeleteItemFromObject(cJSON_GetObjectItem(copy, inner[k]), c->string);
            try_plan(copy, c->string, &refused);
            cJSON_Delete(copy);
        }
    cJSON *section = cJSON_GetArrayItem(cJSON_GetObjectItem(plan, "sections"), 0);
    for (int i = 0; (c = cJSON_GetArrayItem(section, i)); i++) {
        cJSON *copy = cJSON_Duplicate(plan, true);
        cJSON_DeleteItemFromObject(cJSON_GetArrayItem(cJSON_GetObjectItem(copy, "sections"), 0),
                                   c->string);
        try_plan(copy, c->string, &refused);
        cJSON_Delete(copy);
    }
    assert_int_equal(refused, 5); // and a section's number and title
    cJSON_Delete(plan);
}

static void circle_is_refused(void **state)
{
    (void)state;
    cJSON *plan = example();
    cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(plan, "prerequisites"), 0);
    cJSON_ReplaceItemInObject(first, "needs", cJSON_Parse("[9]"));
    struct err e = {0};
    const struct report_params params = {0};
    assert_false(report_write(plan, at("hostile.pdf"), &params, &e));
    assert_non_null(strstr(e.msg, "circle"));
    cJSON_Delete(plan);
}

// A disk that is full after 1 KiB: the sentence, and the old file as it was.
static void full_disk(void **state)
{
    (void)state;
    struct err e = {0};
    assert_true(file_write(at("old.pdf"), "old", 3, &e));
    cJSON *plan = example();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        const struct report_params params = {0};
        const struct rlimit limit = {1024, 1024};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        bool ok = report_write(plan, at("old.pdf"), &params, &e);
        _exit(ok ? 1 : e.code == ERR_IO && e.msg[0] ? 42 : 2);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    char *text;
    size_t n;
    assert_true(file_read(at("old.pdf"), 100, &text, &n, &e));
    assert_string_equal(text, "old");
    free(text);
    cJSON_Delete(plan);
    int code;
    char command[128];
    snprintf(command, sizeof command, "ls %s | grep -c tmp", dir);
    char *left = tool_output(command, &code);
    assert_int_equal(atoi(left), 0); // nothing half-written lies about
    free(left);
}

static void bad_font_is_told(void **state)
{
    (void)state;
    struct err e = {0};
    cJSON *plan = example();
    char fonts[128];
    snprintf(fonts, sizeof fonts, "%s/fonts", dir);
    assert_true(file_mkdirs(fonts, &e));
    assert_true(file_write(at("fonts/DejaVuSans.ttf"), "not a font", 10, &e));
    const struct report_params params = {.font_dir = fonts};
    assert_false(report_write(plan, at("hostile.pdf"), &params, &e));
    assert_non_null(strstr(e.msg, "DejaVuSans.ttf"));
    cJSON_Delete(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_is_there),
        cmocka_unit_test(sections_are_in_order),
        cmocka_unit_test(page_numbers),
        cmocka_unit_test(fonts_are_embedded),
        cmocka_unit_test(qpdf_is_content),
        cmocka_unit_test(metadata),
        cmocka_unit_test(links),
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(same_bytes_with_decimal_comma),
        cmocka_unit_test(odd_plans_fit),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(missing_members),
        cmocka_unit_test(circle_is_refused),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(bad_font_is_told),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
