// The parent's side: starts a child, listens to the verdict socket, stdout and stderr until the
// verdict, the end or the time-out, and leaves nothing behind.
#include "evals/sandbox/internal.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern const unsigned char sandbox_runner_py[];

// After the verdict a program may flush and leave; then it is killed, for instance with a thread
// that never ends.
#define GRACE_S 0.25

struct sandbox {
    struct python py;
    struct filter filter;
    enum sandbox_tier tier;
    int landlock_abi;
    char uid_map[48], gid_map[48];
};

// What was read from one descriptor: the last bytes and how many there were.
struct tail {
    char *buf;
    size_t size, n, total;
};

// One run.
struct job {
    char dir[PATH_MAX], nonce[NONCE_SIZE + 1];
    int lock, program, null; // -1: none
    int out[2], err[2], verdict[2], setup[2];
    pid_t pid;
    int pidfd, status;
    bool ended, cancelled;
    double start, verdict_at; // verdict_at 0: no byte of a verdict yet
    char said[512];           // from the verdict socket
    struct tail tails[3];     // verdict, stdout, stderr
};

const char *sandbox_tier_name(enum sandbox_tier tier)
{
#define NAME(code, name) name,
    static const char *const names[] = {SANDBOX_TIER_LIST(NAME)};
#undef NAME
    return names[tier];
}

const char *sandbox_result_name(enum sandbox_result result)
{
#define NAME(code, name) name,
    static const char *const names[] = {SANDBOX_RESULT_LIST(NAME)};
#undef NAME
    return names[result];
}

enum sandbox_tier sandbox_tier(const struct sandbox *sb)
{
    return sb->tier;
}

const char *sandbox_python(const struct sandbox *sb)
{
    return sb->py.exe;
}

const char *sandbox_python_version(const struct sandbox *sb)
{
    return sb->py.version;
}

static bool make_nonce(char nonce[NONCE_SIZE + 1], struct err *e)
{
    unsigned char raw[NONCE_SIZE / 2];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return err_set(e, ERR_IO, "cannot get random bytes: %s", strerror(errno));
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(nonce + 2 * i, 3, "%02x", raw[i]);
    return true;
}

static bool make_program(const struct sandbox_params *p, int *fd, struct err *e)
{
    *fd = memfd_create("program", MFD_CLOEXEC);
    size_t done = 0;
    while (*fd >= 0 && done < p->size) {
        ssize_t n = write(*fd, p->program + done, p->size - done);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) done += (size_t)n;
    }
    if (*fd >= 0 && done == p->size && lseek(*fd, 0, SEEK_SET) == 0) return true;
    return err_set(e, ERR_MEMORY, "cannot hold a program of %zu bytes: %s", p->size,
                   strerror(errno));
}

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static bool job_open(struct job *j, const struct sandbox_params *p, struct sandbox_verdict *v,
                     struct err *e)
{
    *j = (struct job){.lock = -1, .program = -1, .null = -1, .pid = -1, .pidfd = -1};
    for (int i = 0; i < 2; i++)
        j->out[i] = j->err[i] = j->verdict[i] = j->setup[i] = -1;
    j->tails[0] = (struct tail){.buf = j->said, .size = sizeof j->said};
    j->tails[1] = (struct tail){.buf = v->out, .size = sizeof v->out};
    j->tails[2] = (struct tail){.buf = v->errout, .size = sizeof v->errout};
    if (!workdir_create(j->dir, sizeof j->dir, &j->lock, e)) {
        j->dir[0] = '\0';
        return false;
    }
    if (!make_nonce(j->nonce, e) || !make_program(p, &j->program, e)) return false;
    j->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (j->null < 0 || pipe2(j->out, O_CLOEXEC) != 0 || pipe2(j->err, O_CLOEXEC) != 0 ||
        pipe2(j->setup, O_CLOEXEC) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, j->verdict) != 0 ||
        fcntl(j->out[0], F_SETFL, O_NONBLOCK) != 0 || fcntl(j->err[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(j->verdict[0], F_SETFL, O_NONBLOCK) != 0 ||
        send(j->verdict[0], j->nonce, NONCE_SIZE, MSG_NOSIGNAL) != NONCE_SIZE)
        return err_set(e, ERR_IO, "cannot prepare the sandbox: %s", strerror(errno));
    return true;
}

static bool job_close(struct job *j, struct err *e)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&j->out[i]);
        close_fd(&j->err[i]);
        close_fd(&j->verdict[i]);
        close_fd(&j->setup[i]);
    }
    close_fd(&j->program);
    close_fd(&j->null);
    close_fd(&j->pidfd);
    bool ok = !j->dir[0] || workdir_remove(j->dir, e);
    close_fd(&j->lock);
    return ok;
}

// Forks. The arguments and the environment are all that the interpreter is told; it is as good as
// isolated (-I) that way, and PYTHONHASHSEED, which -I would ignore, makes verdicts of programs
// that depend on the order of a set repeatable. -S: the standard library only, so that a score
// does not depend on what else is installed.
static bool job_start(struct job *j, struct sandbox *sb, const struct sandbox_params *p,
                      double timeout_s, struct err *e)
{
    const char *dir = sb->tier == SANDBOX_NAMESPACES ? "/tmp" : j->dir;
    char home[PATH_MAX + 8], tmp[PATH_MAX + 8];
    snprintf(home, sizeof home, "HOME=%s", dir);
    snprintf(tmp, sizeof tmp, "TMPDIR=%s", dir);
    char *envp[] = {home, tmp, (char[]){"PYTHONHASHSEED=0"}, NULL};
    char *argv[] = {sb->py.exe,
                    (char[]){"-s"},
                    (char[]){"-S"},
                    (char[]){"-B"},
                    (char[]){"-X"},
                    (char[]){"utf8"},
                    (char[]){"-c"},
                    (char *)(uintptr_t)sandbox_runner_py,
                    p->as_main ? (char[]){"1"} : (char[]){"0"},
                    sb->py.dynload,
                    NULL};
    struct child c = {
        .py = &sb->py,
        .filter = &sb->filter,
        .dir = j->dir,
        .argv = argv,
        .envp = envp,
        .uid_map = sb->uid_map,
        .gid_map = sb->gid_map,
        .fds = {j->null, j->out[1], j->err[1], j->program, j->verdict[1], j->setup[1]},
        .tier = sb->tier,
        .landlock_abi = sb->landlock_abi,
        .cpu_s = (unsigned)ceil(timeout_s) + 1,
        .parent = getpid(),
    };
    j->start = clock_s();
    j->pid = fork();
    if (j->pid < 0) return err_set(e, ERR_MEMORY, "cannot fork: %s", strerror(errno));
    if (j->pid == 0) child_run(&c);
    // Where there is no pidfd (before Linux 5.3) the loop looks every few milliseconds.
    j->pidfd = (int)syscall(SYS_pidfd_open, j->pid, 0U);
    if (j->pidfd >= 0) fcntl(j->pidfd, F_SETFD, FD_CLOEXEC);
    close_fd(&j->out[1]);
    close_fd(&j->err[1]);
    close_fd(&j->verdict[1]);
    close_fd(&j->setup[1]);
    return true;
}

static void tail_add(struct tail *t, const char *data, size_t n)
{
    size_t room = t->size - 1; // for the final zero
    t->total += n;
    if (n > room) {
        data += n - room;
        n = room;
    }
    if (t->n + n > room) {
        size_t drop = t->n + n - room;
        memmove(t->buf, t->buf + drop, t->n - drop);
        t->n -= drop;
    }
    memcpy(t->buf + t->n, data, n);
    t->n += n;
    t->buf[t->n] = '\0';
}

// Reads at most one buffer, so that a flood on one descriptor does not delay the rest.
// False at the end of the stream.
static bool drain(int fd, struct tail *t)
{
    char buf[65536];
    ssize_t n = read(fd, buf, sizeof buf);
    if (n > 0) tail_add(t, buf, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

// Without reaping it: until then its number, and that of its session, belongs to nobody else.
static void look_for_end(struct job *j, int flags)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)j->pid, &info, WEXITED | WNOWAIT | flags) == 0 && info.si_pid)
        j->ended = true;
}

// Until the child ended, its time is up (false), or the user pressed ^C (true, cancelled).
static bool job_watch(struct job *j, double timeout_s)
{
    int *fds[] = {&j->verdict[0], &j->out[0], &j->err[0]};
    for (;;) {
        double now = clock_s(), end = j->start + timeout_s;
        if (j->verdict_at > 0 && j->verdict_at + GRACE_S < end) end = j->verdict_at + GRACE_S;
        look_for_end(j, WNOHANG);
        j->cancelled = cancel_requested();
        if (j->ended || j->cancelled) return true;
        if (now >= end) return j->verdict_at > 0;
        struct pollfd p[4];
        for (int i = 0; i < 3; i++)
            p[i] = (struct pollfd){.fd = *fds[i], .events = POLLIN};
        p[3] = (struct pollfd){.fd = j->pidfd, .events = POLLIN};
        int wait_ms = (int)ceil((end - now) * 1e3);
        if (j->pidfd < 0 && wait_ms > 5) wait_ms = 5;
        if (wait_ms > 100) wait_ms = 100; // a ^C that came just before poll
        if (poll(p, 4, wait_ms) < 0) continue;
        for (int i = 0; i < 3; i++)
            if (p[i].revents && !drain(*fds[i], &j->tails[i])) close_fd(fds[i]);
        if (j->verdict_at <= 0 && j->tails[0].total) j->verdict_at = clock_s();
    }
}

// Ends the whole session and reads what is left in the pipes. In the namespaces tier the child is
// the one that ends the rest and waits for it (namespaces.c); a SIGKILL would leave it no time.
static void job_end(struct job *j, enum sandbox_tier tier)
{
    if (j->pid < 0) return;
    if (!j->ended) kill(j->pid, tier == SANDBOX_NAMESPACES ? SIGTERM : SIGKILL);
    while (!j->ended)
        look_for_end(j, 0);
    kill(-j->pid, SIGKILL); // what the unsafe tier may have left in the session
    while (waitpid(j->pid, &j->status, 0) < 0 && errno == EINTR) {
    }
    int fds[] = {j->verdict[0], j->out[0], j->err[0]};
    for (int i = 0; i < 3; i++) {
        size_t before;
        do {
            before = j->tails[i].total;
        } while (fds[i] >= 0 && drain(fds[i], &j->tails[i]) && j->tails[i].total > before);
    }
}

static void set_reason(struct sandbox_verdict *v, enum sandbox_result result, const char *reason)
{
    v->result = result;
    snprintf(v->reason, sizeof v->reason, "%s", reason);
    for (char *p = v->reason; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127) *p = ' ';
}

// How it ended without a word on the verdict socket.
static void judge_silence(struct sandbox_verdict *v, int status)
{
    char text[128];
    if (WIFEXITED(status)) {
        snprintf(text, sizeof text, "exit status %d before the end", WEXITSTATUS(status));
        set_reason(v, SANDBOX_FAILED, text);
    } else if (WTERMSIG(status) == SIGSYS) {
        set_reason(v, SANDBOX_BLOCKED, "a system call of another architecture");
    } else if (WTERMSIG(status) == SIGXCPU) {
        set_reason(v, SANDBOX_TIMEOUT, "processor time is used up");
    } else {
        snprintf(text, sizeof text, "ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
        set_reason(v, SANDBOX_FAILED, text);
    }
}

static void judge(const struct job *j, bool in_time, struct sandbox_verdict *v)
{
    const struct tail *said = &j->tails[0];
    double end = j->verdict_at > 0 ? j->verdict_at : clock_s();
    v->seconds = end - j->start;
    v->out_bytes = j->tails[1].total;
    v->errout_bytes = j->tails[2].total;
    if (!in_time)
        set_reason(v, SANDBOX_TIMEOUT, "still running");
    else if (!said->total)
        judge_silence(v, j->status);
    else if (said->total == NONCE_SIZE && !memcmp(said->buf, j->nonce, NONCE_SIZE))
        set_reason(v, SANDBOX_PASSED, "");
    else if (said->total < said->size && (said->buf[0] == 'B' || said->buf[0] == 'E'))
        set_reason(v, said->buf[0] == 'B' ? SANDBOX_BLOCKED : SANDBOX_FAILED, said->buf + 1);
    else
        set_reason(v, SANDBOX_FAILED, "bytes on the verdict descriptor that are not the verdict");
}

// True when the child reached exec; else the sentence says which step failed.
static bool child_started(const struct job *j, enum sandbox_tier tier, struct err *e)
{
    struct child_failure f = {0};
    if (read(j->setup[0], &f, sizeof f) != (ssize_t)sizeof f) return true;
    f.step[sizeof f.step - 1] = '\0';
    return err_set(e, ERR_UNSUPPORTED, "the sandbox (%s) cannot start: %s: %s",
                   sandbox_tier_name(tier), f.step, strerror(f.error));
}

static bool run_once(struct sandbox *sb, const struct sandbox_params *p, double timeout_s,
                     struct sandbox_verdict *v, struct err *e)
{
    struct job j;
    bool ok = job_open(&j, p, v, e) && job_start(&j, sb, p, timeout_s, e);
    if (ok) {
        bool in_time = job_watch(&j, timeout_s);
        job_end(&j, sb->tier);
        ok = j.cancelled ? cancel_check(e) : child_started(&j, sb->tier, e);
        if (ok) judge(&j, in_time, v);
    }
    struct err left = {0};
    bool clean = job_close(&j, &left);
    if (ok && !clean) return err_set(e, left.code, "%s", left.msg);
    return ok;
}

bool sandbox_run(struct sandbox *sb, const struct sandbox_params *p, struct sandbox_verdict *out,
                 struct err *e)
{
    double timeout_s = p->timeout_s > 0 ? p->timeout_s : SANDBOX_TIMEOUT_S;
    *out = (struct sandbox_verdict){.tier = sb->tier};
    if (!run_once(sb, p, timeout_s, out, e)) return false;
    if (out->result != SANDBOX_TIMEOUT || !p->retry_timeout) return true;
    *out = (struct sandbox_verdict){.tier = sb->tier, .retried = true};
    return run_once(sb, p, timeout_s, out, e);
}

// A tier works when a program that needs the usual modules passes in it and one that reads a file
// outside does not.
static bool try_tier(struct sandbox *sb, enum sandbox_tier tier, struct err *e)
{
    static const char good[] = "import hashlib, math, os, random, re, threading, typing\n"
                               "open('f', 'w').write('x')\n";
    static const char bad[] = "open('/etc/passwd').read()\n";
    struct sandbox_verdict v;
    sb->tier = tier;
    if (tier == SANDBOX_LANDLOCK && !(sb->landlock_abi = landlock_abi()))
        return err_set(e, ERR_UNSUPPORTED, "this kernel has no Landlock");
    if (tier != SANDBOX_UNSAFE && !sb->filter.n && !filter_build(&sb->filter, e)) return false;
    struct sandbox_params p = {.program = good, .size = sizeof good - 1, .timeout_s = 30};
    if (!sandbox_run(sb, &p, &v, e)) return false;
    if (v.result != SANDBOX_PASSED)
        return err_set(e, ERR_UNSUPPORTED,
                       "a harmless program does not run in the sandbox (%s): %s %s",
                       sandbox_tier_name(tier), sandbox_result_name(v.result), v.reason);
    p = (struct sandbox_params){.program = bad, .size = sizeof bad - 1, .timeout_s = 30};
    if (!sandbox_run(sb, &p, &v, e)) return false;
    if (v.result != SANDBOX_PASSED || tier == SANDBOX_UNSAFE) return true;
    return err_set(e, ERR_UNSUPPORTED,
                   "the sandbox (%s) does not hold: a program could read "
                   "/etc/passwd",
                   sandbox_tier_name(tier));
}

bool sandbox_open(const struct sandbox_options *options, struct sandbox **out, struct err *e)
{
    const struct sandbox_options none = {0};
    const struct sandbox_options *o = options ? options : &none;
    struct err why[SANDBOX_UNSAFE + 1] = {0};
    *out = NULL;
    struct sandbox *sb = calloc(1, sizeof *sb);
    if (!sb) return err_nomem(e, "the sandbox", sizeof *sb);
    snprintf(sb->uid_map, sizeof sb->uid_map, "%u %u 1\n", geteuid(), geteuid());
    snprintf(sb->gid_map, sizeof sb->gid_map, "%u %u 1\n", getegid(), getegid());
    workdir_sweep();
    if (!python_find(o->python, &sb->py, e)) goto fail;
    for (int tier = (int)o->best; tier <= SANDBOX_UNSAFE; tier++) {
        if (tier == SANDBOX_UNSAFE && !o->allow_unsafe) break;
        if (try_tier(sb, (enum sandbox_tier)tier, &why[tier])) {
            *out = sb;
            return true;
        }
        if (why[tier].code == ERR_CANCELLED) {
            if (e) *e = why[tier];
            goto fail;
        }
    }
    err_set(e, ERR_UNSUPPORTED,
            "generated programs cannot be held safely here (%.180s%s%.180s): "
            "use a Linux with Landlock or user namespaces, or leave humaneval out",
            why[SANDBOX_LANDLOCK].msg, why[SANDBOX_LANDLOCK].msg[0] ? "; " : "",
            why[SANDBOX_NAMESPACES].msg);
fail:
    sandbox_close(sb);
    return false;
}

void sandbox_close(struct sandbox *sb)
{
    if (!sb) return;
    python_free(&sb->py);
    filter_free(&sb->filter);
    free(sb);
}
