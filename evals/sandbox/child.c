// The child between fork and exec. Lectern may have threads (Vulkan's), so that only system calls
// are allowed here: no malloc, no stdio.
#include "evals/sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

_Noreturn void child_fail(const char *step)
{
    struct child_failure f = {.error = errno};
    strncpy(f.step, step, sizeof f.step - 1);
    if (write(FD_SETUP, &f, sizeof f) < 0) _exit(126);
    _exit(127);
}

// The descriptors to 0..5, and none above. They are copied upwards first, since one may sit
// where another one belongs.
static void place_descriptors(const struct child *c)
{
    int high[N_FDS];
    for (int i = 0; i < N_FDS; i++)
        if ((high[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, N_FDS)) < 0) _exit(126);
    for (int i = 0; i < N_FDS; i++)
        if (dup2(high[i], i) < 0) _exit(126);
    fcntl(FD_SETUP, F_SETFD, FD_CLOEXEC);
    if (syscall(SYS_close_range, (unsigned)N_FDS, ~0U, 0U) == 0) return;
    struct rlimit files; // kernels before 5.9
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) child_fail("getrlimit");
    for (int fd = N_FDS; (rlim_t)fd < files.rlim_cur && fd < 1 << 20; fd++)
        close(fd);
}

static void plain_signals(void)
{
    sigset_t none;
    for (int sig = 1; sig < 65; sig++)
        signal(sig, SIG_DFL); // SIGKILL, SIGSTOP and libc's own refuse, rightly
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Out of memory is this program's death, not Lectern's or the desktop's.
static void first_to_die(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, "1000", 4) < 0) errno = 0; // a wish only
    close(fd);
}

static void limit(int what, rlim_t most)
{
    struct rlimit now, want;
    if (getrlimit((__rlimit_resource_t)what, &now) != 0) child_fail("getrlimit");
    want.rlim_max = now.rlim_max < most ? now.rlim_max : most;
    want.rlim_cur = want.rlim_max;
    if (setrlimit((__rlimit_resource_t)what, &want) != 0) child_fail("setrlimit");
}

static void limits(const struct child *c)
{
    limit(RLIMIT_CPU, c->cpu_s);
    limit(RLIMIT_AS, (rlim_t)4 << 30);
    limit(RLIMIT_FSIZE, 1 << 20);
    limit(RLIMIT_NOFILE, 64);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_MSGQUEUE, 0);
    limit(RLIMIT_MEMLOCK, 0);
    // It counts all processes and threads of the user, so that a low figure would break honest
    // programs on a busy desktop. Behind the filter there is one process, and the address space
    // bounds its threads; without the filter this is the only brake on a fork bomb.
    if (c->tier == SANDBOX_UNSAFE) limit(RLIMIT_NPROC, 1024);
}

// Root without capabilities: modes and owners of files count again.
static void drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    for (unsigned long cap = 0; cap < 64; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); // EPERM for an ordinary user, who has none
    if (syscall(SYS_capset, &head, none) != 0) child_fail("capset");
}

_Noreturn void child_run(const struct child *c)
{
    const char *step = "";
    place_descriptors(c);
    if (setsid() < 0) child_fail("setsid");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) child_fail("prctl(PR_SET_PDEATHSIG)");
    if (getppid() != c->parent) _exit(126); // it died before that call
    plain_signals();
    first_to_die();
    if (c->tier == SANDBOX_NAMESPACES && !namespaces_enter(c, &step)) child_fail(step);
    if (c->tier != SANDBOX_NAMESPACES && chdir(c->dir) != 0) child_fail("chdir");
    limits(c);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) child_fail("prctl(PR_SET_NO_NEW_PRIVS)");
    if (c->tier == SANDBOX_LANDLOCK && !landlock_enter(c, &step)) child_fail(step);
    drop_capabilities();
    if (c->tier != SANDBOX_UNSAFE) {
        struct sock_fprog prog = {.len = c->filter->n, .filter = c->filter->code};
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) != 0)
            child_fail("prctl(PR_SET_SECCOMP)");
    }
    execve(c->py->exe, c->argv, c->envp);
    child_fail("execve");
}
