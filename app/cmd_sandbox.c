// lectern sandbox: run one Python program the way humaneval runs generated code, and judge it.
#include "app/app.h"
#include "base/file.h"
#include "base/json.h"
#include "evals/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROGRAM_BYTES ((size_t)16 << 20)

struct options {
    const char *path; // "-" is standard input
    double timeout_s;
    bool text, as_main;
    struct sandbox_options open;
};

static void print_help(void)
{
    printf("usage: lectern sandbox PROGRAM.py [--timeout S] [--json | --text]\n\n"
           "Runs a Python program where it can read the interpreter, write to a folder of\n"
           "its own, and reach nothing else. It passes when it runs to its end: an\n"
           "exception, sys.exit(0) or a crash before it is a failure. PROGRAM.py - is\n"
           "standard input.\n\n"
           "  --timeout S     seconds of wall clock, 0.1 to 600 (default 3)\n"
           "  --json          the verdict as JSON (default)\n"
           "  --text          the verdict as one line\n"
           "  --exec          as humaneval does: __name__ is not \"__main__\"\n"
           "  --python FILE   another interpreter than python3\n"
           "  --tier TIER     landlock or namespaces (default: the first that works)\n"
           "  --allow-unsafe  where neither works, run with limits only\n\n"
           "verdict: passed, failed, timeout, or blocked (it needed what it may not have)\n"
           "status:  0 when there is a verdict, whatever it is; 1 when there is none\n");
}

// Returns false after a message, with the status in *status.
static bool parse(int argc, char **argv, struct options *o, int *status)
{
    struct err e = {0};
    *status = APP_USAGE;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool takes = !strcmp(a, "--timeout") || !strcmp(a, "--python") || !strcmp(a, "--tier");
        if (takes && ++i == argc) {
            app_usage("sandbox", "%s needs a value", a);
            return false;
        }
        if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
            print_help();
            *status = APP_OK;
            return false;
        } else if (!strcmp(a, "--timeout")) {
            if (!app_parse_f64(a, argv[i], 0.1, 600, &o->timeout_s, &e)) {
                app_usage("sandbox", "%s", e.msg);
                return false;
            }
        } else if (!strcmp(a, "--python")) {
            o->open.python = argv[i];
        } else if (!strcmp(a, "--tier") && !strcmp(argv[i], "landlock")) {
            o->open.best = SANDBOX_LANDLOCK;
        } else if (!strcmp(a, "--tier") && !strcmp(argv[i], "namespaces")) {
            o->open.best = SANDBOX_NAMESPACES;
        } else if (!strcmp(a, "--json") || !strcmp(a, "--text")) {
            o->text = a[2] == 't';
        } else if (!strcmp(a, "--exec")) {
            o->as_main = false;
        } else if (!strcmp(a, "--allow-unsafe")) {
            o->open.allow_unsafe = true;
        } else if (takes || (a[0] == '-' && a[1]) || o->path) {
            app_usage("sandbox", "'%s' is not understood", takes ? argv[i] : a);
            return false;
        } else {
            o->path = a;
        }
    }
    if (!o->path) app_usage("sandbox", "which program? name a file, or - for standard input");
    return o->path != NULL;
}

static void print_verdict(const struct options *o, const struct sandbox *sb,
                          const struct sandbox_verdict *v)
{
    const char *name = sandbox_result_name(v->result), *tier = sandbox_tier_name(v->tier);
    if (o->text) {
        printf("%s in %.3f s (%s, Python %s)%s%s\n", name, v->seconds, tier,
               sandbox_python_version(sb), v->reason[0] ? ": " : "", v->reason);
        return;
    }
    struct text t = {0};
    text_printf(&t, "{\"verdict\": \"%s\", \"tier\": \"%s\", \"seconds\": %.4f, \"reason\": ", name,
                tier, v->seconds);
    text_json(&t, v->reason, strlen(v->reason), false);
    text_printf(&t, ", \"python\": \"%s\", \"stdout\": ", sandbox_python_version(sb));
    text_json(&t, v->out, strlen(v->out), false);
    text_printf(&t, ", \"stdout_bytes\": %zu, \"stderr\": ", v->out_bytes);
    text_json(&t, v->errout, strlen(v->errout), false);
    text_printf(&t, ", \"stderr_bytes\": %zu}", v->errout_bytes);
    if (t.data && !t.failed) puts(t.data);
    text_free(&t);
}

int cmd_sandbox(int argc, char **argv)
{
    struct options o = {.timeout_s = SANDBOX_TIMEOUT_S, .as_main = true};
    struct sandbox *sb = NULL;
    struct sandbox_verdict v;
    struct err e = {0};
    char *program = NULL;
    size_t size;
    int status;
    if (!parse(argc, argv, &o, &status)) return status;
    bool is_stdin = !strcmp(o.path, "-");
    bool ok =
        is_stdin ? file_read_stream(stdin, "standard input", MAX_PROGRAM_BYTES, &program, &size, &e)
                 : file_read(o.path, MAX_PROGRAM_BYTES, &program, &size, &e);
    ok = ok && sandbox_open(&o.open, &sb, &e);
    if (ok) {
        struct sandbox_params p = {
            .program = program, .size = size, .timeout_s = o.timeout_s, .as_main = o.as_main};
        ok = sandbox_run(sb, &p, &v, &e);
    }
    if (ok) print_verdict(&o, sb, &v);
    sandbox_close(sb);
    free(program);
    return ok && app_flush(&e) ? APP_OK : app_fail(&e);
}
