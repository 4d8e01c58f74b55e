// Finds the interpreter: what `python3` on PATH is may be a link, a virtual environment or a
// version manager's shell script, so it is run once, outside, and asked (find.py).
#include "evals/sandbox/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern const unsigned char sandbox_find_py[];
extern char **environ;

#define ANSWER_TIMEOUT_S 30.0 // a cold disk and a version manager take seconds

// Reads the answer until its end or the time-out; the bytes that fit.
static size_t read_answer(int fd, char *buf, size_t size)
{
    double end = clock_s() + ANSWER_TIMEOUT_S;
    size_t n = 0;
    while (n + 1 < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int left_ms = (int)((end - clock_s()) * 1e3);
        if (left_ms <= 0) break;
        int ready = poll(&p, 1, left_ms);
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) break;
        ssize_t got = read(fd, buf + n, size - 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    buf[n] = '\0';
    return n;
}

static bool ask(const char *name, char *buf, size_t size, struct err *e)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_set(e, ERR_IO, "cannot make a pipe: %s", strerror(errno));
    posix_spawn_file_actions_t fa;
    int rc = posix_spawn_file_actions_init(&fa);
    if (rc == 0) {
        posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&fa, fds[1], 1);
        posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
        // posix_spawnp wants char *; the strings are not written.
        char *argv[] = {(char *)(uintptr_t)name,
                        (char[]){"-I"},
                        (char[]){"-S"},
                        (char[]){"-c"},
                        (char *)(uintptr_t)sandbox_find_py,
                        NULL};
        pid_t pid;
        rc = posix_spawnp(&pid, name, &fa, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&fa);
        close(fds[1]);
        if (rc == 0) {
            read_answer(fds[0], buf, size);
            kill(pid, SIGKILL); // it has answered, or hangs
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
            }
        }
    } else {
        close(fds[1]);
    }
    close(fds[0]);
    if (rc == 0) return true;
    return err_set(e, ERR_UNSUPPORTED,
                   "%s cannot be run (%s): install python3, which runs the generated programs",
                   name, strerror(rc));
}

static bool add_path(char **list, size_t *n, size_t max, const char *path, struct err *e)
{
    if (*n == max) return err_set(e, ERR_UNSUPPORTED, "python3 is spread over too many folders");
    list[*n] = strdup(path);
    if (!list[*n]) return err_nomem(e, "paths of python3", strlen(path) + 1);
    ++*n;
    return true;
}

static bool take_line(struct python *py, const char *key, const char *value, struct err *e)
{
    if (!strcmp(key, "tree")) return add_path(py->trees, &py->n_trees, PYTHON_MAX_PATHS, value, e);
    if (!strcmp(key, "program"))
        return add_path(py->programs, &py->n_programs, sizeof py->programs / sizeof py->programs[0],
                        value, e);
    char *out = NULL;
    size_t size = 0;
    if (!strcmp(key, "exe")) {
        out = py->exe;
        size = sizeof py->exe;
    } else if (!strcmp(key, "dynload")) {
        out = py->dynload;
        size = sizeof py->dynload;
    } else if (!strcmp(key, "version")) {
        out = py->version;
        size = sizeof py->version;
    }
    if (out && snprintf(out, size, "%s", value) >= (int)size)
        return err_set(e, ERR_UNSUPPORTED, "python3's %s is too long: %.60s", key, value);
    return true;
}

bool python_find(const char *name, struct python *out, struct err *e)
{
    *out = (struct python){0};
    char buf[32768];
    bool whole = false;
    if (!name) name = "python3";
    if (!ask(name, buf, sizeof buf, e)) return false;
    char *save = NULL;
    for (char *line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');
        if (!strcmp(line, "end")) whole = true;
        if (!value) continue;
        *value++ = '\0';
        if (!take_line(out, line, value, e)) goto fail;
    }
    unsigned major = 0, minor = 0;
    if (!whole || sscanf(out->version, "%u.%u", &major, &minor) != 2) {
        err_set(e, ERR_UNSUPPORTED,
                "%s does not answer like Python 3: install python3, which runs the generated "
                "programs",
                name);
        goto fail;
    }
    if (major == 3 && minor >= 8) return true;
    err_set(e, ERR_UNSUPPORTED, "%s is Python %s; generated programs need 3.8 or later", name,
            out->version);
fail:
    python_free(out);
    return false;
}

void python_free(struct python *py)
{
    for (size_t i = 0; i < py->n_trees; i++)
        free(py->trees[i]);
    for (size_t i = 0; i < py->n_programs; i++)
        free(py->programs[i]);
    *py = (struct python){0};
}
