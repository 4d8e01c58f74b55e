// Hostile and harmless programs, in every tier that this machine has. The programs are the files
// of programs/; a file's name begins with the verdict it must get, @OUTSIDE@ stands for a folder
// outside the sandbox that must stay as it is, @PORT@ for a TCP port on which nobody may call.
#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "evals/sandbox.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PROGRAMS LECTERN_SOURCE_DIR "/tests/sandbox/programs"
#define TIMEOUT_S 1.5 // for programs that never end; all others take milliseconds

struct world {
    char top[64], outside[128], tmp[128]; // tmp is the test's TMPDIR
    int listener;
    unsigned port;
};

static void ok(bool done, const struct err *e)
{
    if (!done) fail_msg("%s", e->msg);
}

static int count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err e = {0};
    char path[160];
    assert_non_null(w);
    strcpy(w->top, "/tmp/lectern-test-XXXXXX");
    assert_non_null(mkdtemp(w->top));
    snprintf(w->outside, sizeof w->outside, "%s/outside", w->top);
    snprintf(w->tmp, sizeof w->tmp, "%s/tmp", w->top);
    ok(file_mkdirs(w->outside, &e) && file_mkdirs(w->tmp, &e), &e);
    snprintf(path, sizeof path, "%s/keep", w->outside);
    ok(file_write(path, "kept", 4, &e), &e);
    assert_int_equal(chmod(path, 0640), 0);
    setenv("TMPDIR", w->tmp, 1);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(w->listener >= 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(w->listener, 4), 0);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&a, &size), 0);
    w->port = ntohs(a.sin_port);
    // Whatever a program leaves running becomes a child of this process.
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    struct err e = {0};
    close(w->listener);
    ok(file_remove_tree(w->top, &e), &e);
    free(w);
    return 0;
}

// No process, no file, no caller, and what was outside is as it was.
static void assert_nothing_left(const struct world *w, const char *name)
{
    char path[160];
    struct stat st;
    struct err e = {0};
    char *text;
    size_t size;
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) fail_msg("%s left a process", name);
    if (count_entries(w->tmp) != 0) fail_msg("%s left a file in %s", name, w->tmp);
    if (count_entries(w->outside) != 1) fail_msg("%s wrote to %s", name, w->outside);
    if (accept(w->listener, NULL, NULL) >= 0) fail_msg("%s called port %u", name, w->port);
    snprintf(path, sizeof path, "%s/keep", w->outside);
    assert_int_equal(stat(path, &st), 0);
    ok(file_read(path, 100, &text, &size, &e), &e);
    if (strcmp(text, "kept") != 0 || (st.st_mode & 0777) != 0640 || st.st_mtime == 0)
        fail_msg("%s changed %s", name, path);
    free(text);
}

// The file with its two placeholders filled in; caller frees.
static char *load(const struct world *w, const char *file, size_t *size)
{
    char path[512], port[16];
    char *text, *out = NULL;
    struct err e = {0};
    snprintf(path, sizeof path, PROGRAMS "/%s", file);
    snprintf(port, sizeof port, "%u", w->port);
    ok(file_read(path, 1 << 20, &text, size, &e), &e);
    FILE *f = open_memstream(&out, size);
    assert_non_null(f);
    for (const char *p = text; *p;) {
        if (!strncmp(p, "@OUTSIDE@", 9)) {
            fputs(w->outside, f);
            p += 9;
        } else if (!strncmp(p, "@PORT@", 6)) {
            fputs(port, f);
            p += 6;
        } else {
            fputc(*p++, f);
        }
    }
    fclose(f);
    free(text);
    return out;
}

static void check_program(const struct world *w, struct sandbox *sb, const char *file)
{
    struct err e = {0};
    struct sandbox_verdict v;
    size_t size;
    char *program = load(w, file, &size);
    struct sandbox_params p = {
        .program = program, .size = size, .timeout_s = TIMEOUT_S, .as_main = true};
    // Only a program that should end may be the victim of a busy machine.
    p.retry_timeout = strncmp(file, "timeout", 7) != 0;
    ok(sandbox_run(sb, &p, &v, &e), &e);
    free(program);
    const char *got = sandbox_result_name(v.result);
    // Where files do not exist instead of being refused, the program fails by itself.
    bool hidden = sandbox_tier(sb) == SANDBOX_NAMESPACES && !strncmp(file, "blocked", 7) &&
                  v.result == SANDBOX_FAILED && strstr(v.reason, "FileNotFoundError");
    if (strncmp(file, got, strlen(got)) != 0 && !hidden)
        fail_msg("%s: %s (%s)\n%s", file, got, v.reason, v.errout);
    if (strstr(v.errout, "SEEN")) fail_msg("%s saw the nonce: %s", file, v.errout);
    if (v.seconds > TIMEOUT_S + 1) fail_msg("%s took %.1f s", file, v.seconds);
    assert_nothing_left(w, file);
}

static void check_tier(const struct world *w, enum sandbox_tier tier)
{
    struct err e = {0};
    struct sandbox *sb;
    struct sandbox_options o = {.best = tier};
    struct dirent **files;
    if (!sandbox_open(&o, &sb, &e) || sandbox_tier(sb) != tier) {
        // 444: landlock_create_ruleset, asked for its version
        if (tier == SANDBOX_LANDLOCK && syscall(444, NULL, 0, 1) > 0)
            fail_msg("the kernel has Landlock, but %s",
                     e.msg[0] ? e.msg : "another tier was taken");
        print_message("no %s here: %s\n", sandbox_tier_name(tier), e.msg);
        sandbox_close(sb);
        skip();
    }
    int n = scandir(PROGRAMS, &files, NULL, alphasort), n_run = 0;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        if (strstr(files[i]->d_name, ".py")) {
            check_program(w, sb, files[i]->d_name);
            n_run++;
        }
        free(files[i]);
    }
    free(files);
    print_message("%s, Python %s: %d programs\n", sandbox_tier_name(tier),
                  sandbox_python_version(sb), n_run);
    assert_true(n_run >= 50);
    sandbox_close(sb);
}

static void test_landlock(void **state)
{
    check_tier(*state, SANDBOX_LANDLOCK);
}

static void test_namespaces(void **state)
{
    check_tier(*state, SANDBOX_NAMESPACES);
}

static struct sandbox *open_any(void)
{
    struct err e = {0};
    struct sandbox *sb;
    if (!sandbox_open(NULL, &sb, &e)) {
        print_message("%s\n", e.msg);
        skip();
    }
    return sb;
}

static struct sandbox_verdict run(struct sandbox *sb, const char *program, size_t size, bool main)
{
    struct err e = {0};
    struct sandbox_verdict v;
    struct sandbox_params p = {.program = program, .size = size, .as_main = main};
    ok(sandbox_run(sb, &p, &v, &e), &e);
    return v;
}

static void test_name_of_the_module(void **state)
{
    static const char program[] = "assert __name__ == '__main__'\n";
    struct sandbox *sb = open_any();
    assert_int_equal(run(sb, program, strlen(program), true).result, SANDBOX_PASSED);
    assert_int_equal(run(sb, program, strlen(program), false).result, SANDBOX_FAILED);
    sandbox_close(sb);
    assert_nothing_left(*state, "a program");
}

static void test_output_is_bounded_and_kept_at_its_end(void **state)
{
    static const char program[] = "import sys\nfor i in range(100000):\n    print(i)\n"
                                  "print('last word', end='')\nsys.stderr.write('Ω')\n";
    struct sandbox *sb = open_any();
    struct sandbox_verdict v = run(sb, program, strlen(program), true);
    assert_int_equal(v.result, SANDBOX_PASSED);
    assert_int_equal(v.out_bytes, 588890 + 9); // 10 + 90*2 + 900*3 + 9000*4 + 90000*5 digits + \n
    assert_int_equal(strlen(v.out), sizeof v.out - 1);
    assert_string_equal(v.out + strlen(v.out) - 9, "last word");
    assert_string_equal(v.errout, "Ω");
    sandbox_close(sb);
    assert_nothing_left(*state, "a program");
}

static void test_odd_sources(void **state)
{
    struct sandbox *sb = open_any();
    assert_int_equal(run(sb, "", 0, true).result, SANDBOX_PASSED);
    assert_int_equal(run(sb, "x = 1\0y", 7, true).result, SANDBOX_FAILED);
    assert_int_equal(run(sb, "x = '\xff'\n", 9, true).result, SANDBOX_FAILED);
    size_t size = 4 << 20; // far more than a pipe holds
    char *big = malloc(size);
    assert_non_null(big);
    memset(big, '#', size);
    assert_int_equal(run(sb, big, size, true).result, SANDBOX_PASSED);
    free(big);
    sandbox_close(sb);
    assert_nothing_left(*state, "a program");
}

static void test_timeout_is_retried_once(void **state)
{
    static const char program[] = "import time\ntime.sleep(9)\n";
    struct err e = {0};
    struct sandbox_verdict v;
    struct sandbox *sb = open_any();
    struct sandbox_params p = {
        .program = program, .size = strlen(program), .timeout_s = 0.4, .retry_timeout = true};
    double start = clock_s();
    ok(sandbox_run(sb, &p, &v, &e), &e);
    assert_int_equal(v.result, SANDBOX_TIMEOUT);
    assert_true(v.retried);
    assert_true(clock_s() - start >= 0.8);
    sandbox_close(sb);
    assert_nothing_left(*state, "a program");
}

// ^C while a program runs, and a Lectern that is killed: the program goes too.
static void test_cancel_and_kill(void **state)
{
    static const char program[] = "import time\ntime.sleep(10)\n";
    for (int sig = SIGINT; sig <= SIGKILL; sig += SIGKILL - SIGINT) {
        struct sandbox *sb = open_any();
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct err e = {0};
            struct sandbox_verdict v;
            struct sandbox_params p = {
                .program = program, .size = strlen(program), .timeout_s = 60};
            cancel_install();
            bool done = sandbox_run(sb, &p, &v, &e);
            _exit(!done && e.code == ERR_CANCELLED ? 0 : 1);
        }
        usleep(300000);
        assert_int_equal(kill(pid, sig), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (sig == SIGINT) assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        // The orphan comes here and is dead or dying: killed by its PDEATHSIG.
        while (waitpid(-1, &status, 0) > 0)
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        sandbox_close(sb);
    }
    // The folder of the killed one is left, is too young for the sweep, and goes when it is old.
    const struct world *w = *state;
    assert_int_equal(count_entries(w->tmp), 1);
    char command[256];
    snprintf(command, sizeof command, "touch -d '2 minutes ago' %s/*", w->tmp);
    assert_int_equal(system(command), 0);
    sandbox_close(open_any());
    assert_nothing_left(w, "a killed Lectern");
}

static void test_refuses_without_an_interpreter(void **state)
{
    (void)state;
    static const char *const names[] = {"/nonexistent/python3", "/bin/true", "/bin/cat"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct err e = {0};
        struct sandbox *sb;
        struct sandbox_options o = {.python = names[i]};
        assert_false(sandbox_open(&o, &sb, &e));
        assert_null(sb);
        assert_int_equal(e.code, ERR_UNSUPPORTED);
        assert_non_null(strstr(e.msg, "install python3"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_landlock),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_name_of_the_module),
        cmocka_unit_test(test_output_is_bounded_and_kept_at_its_end),
        cmocka_unit_test(test_odd_sources),
        cmocka_unit_test(test_timeout_is_retried_once),
        cmocka_unit_test(test_cancel_and_kill),
        cmocka_unit_test(test_refuses_without_an_interpreter),
    };
    return cmocka_run_group_tests(tests, world_open, world_close);
}
