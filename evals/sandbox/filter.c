// The system call filter: what a single-process Python program needs is allowed, all else is
// refused. Unknown calls get ENOSYS, so that a libc that tries a new one falls back; calls that
// are known and refused get EPERM, which Python reports as PermissionError.
//
// Landlock says which files can be opened; it does not cover modes, owners, times, attributes and
// sockets, and neither it nor a session stops processes, signals and IPC objects that outlive
// the program. Those are refused here.
#include "evals/sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const allowed[] = {
    // descriptors
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
    "pwritev2", "close", "close_range", "lseek", "_llseek", "dup", "dup2", "dup3", "pipe", "pipe2",
    "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64",
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "eventfd", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "flock", "fsync",
    "fdatasync", "ftruncate", "ftruncate64", "fallocate", "fadvise64", "fadvise64_64",
    "copy_file_range", "sendfile", "sendfile64",
    // files; Landlock or the mount namespace says which
    "open", "openat", "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "newfstatat",
    "fstatat64", "statx", "access", "faccessat", "faccessat2", "getdents", "getdents64", "getcwd",
    "chdir", "fchdir", "readlink", "readlinkat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "umask", "statfs",
    "statfs64", "fstatfs", "fstatfs64",
    // a pair of sockets inside the process (asyncio has one); socket() itself is refused
    "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown", "getsockopt", "setsockopt",
    "getsockname", "getpeername",
    // memory
    "mmap", "mmap2", "munmap", "mprotect", "mremap", "madvise", "msync", "brk", "mincore",
    "membarrier",
    // threads and own signals
    "exit", "exit_group", "futex", "futex_time64", "set_robust_list", "get_robust_list", "rseq",
    "set_tid_address", "gettid", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigpending", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "rt_sigsuspend", "sigaltstack", "alarm", "setitimer", "getitimer",
    "pause", "restart_syscall", "wait4", "waitid", "waitpid",
    // asking
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getuid32", "geteuid32",
    "getgid32", "getegid32", "getgroups", "getgroups32", "getresuid", "getresgid", "getpgrp",
    "getpgid", "getsid", "uname", "sysinfo", "getrusage", "getrlimit", "ugetrlimit", "getpriority",
    "getcpu", "getrandom", "times", "time", "gettimeofday", "clock_gettime", "clock_gettime64",
    "clock_getres", "clock_getres_time64", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep",
    // start-up; Landlock leaves only the interpreter to be executed, under this same filter
    "execve", "arch_prctl", "set_tls"};

static const char *const refused[] = {
    // processes, signals, memory of others
    "fork", "vfork", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "setsid", "setpgid", "execveat", "ptrace",
    "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    // networks
    "socket", "connect", "bind", "listen", "accept", "accept4",
    // file systems and identities
    "mount", "umount", "umount2", "mount_setattr", "open_tree", "move_mount", "fsopen", "fsmount",
    "fspick", "chroot", "pivot_root", "unshare", "setns", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "capset",
    // modes, owners, times and attributes, which Landlock does not guard
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime",
    "utimes", "futimesat", "utimensat", "utimensat_time64", "setxattr", "lsetxattr", "fsetxattr",
    "removexattr", "lremovexattr", "fremovexattr", "truncate", "truncate64", "mknod", "mknodat",
    // what outlives the program, and memory that can be executed
    "shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop",
    "semctl", "mq_open", "mq_unlink", "memfd_create", "memfd_secret",
    // ways around the filter, and the kernel itself
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "request_key", "inotify_init", "inotify_init1",
    "fanotify_init", "init_module", "finit_module", "delete_module", "kexec_load", "reboot",
    "syslog", "acct", "swapon", "swapoff", "sethostname", "setdomainname", "settimeofday",
    "clock_settime", "adjtimex", "setpriority", "sched_setscheduler", "sched_setparam",
    "sched_setattr", "sched_setaffinity", "ioprio_set", "personality", "open_by_handle_at",
    "name_to_handle_at", "quotactl", "sync", "syncfs", "vhangup"};

// fcntl without F_SETOWN and F_SETSIG, which make the kernel send signals to other processes.
static const int fcntl_commands[] = {
    F_DUPFD,  F_GETFD,     F_SETFD,     F_GETFL,      F_SETFL,         F_GETLK,      F_SETLK,
    F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ};

// Is it a terminal, and who inherits it. 0x802c542a is TCGETS2, which newer libcs ask.
static const unsigned ioctl_requests[] = {TCGETS,   0x802c542aU, TIOCGWINSZ, FIOCLEX,
                                          FIONCLEX, FIONBIO,     FIONREAD};

// Adds a rule unless this architecture has no such call. Returns 0 or a negative errno.
static int add(scmp_filter_ctx ctx, uint32_t action, const char *name, unsigned n,
               const struct scmp_arg_cmp *cmp)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr < 0 ? 0 : seccomp_rule_add_array(ctx, action, nr, n, cmp);
}

static int add_with_arguments(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof fcntl_commands / sizeof fcntl_commands[0]; i++) {
        struct scmp_arg_cmp cmp =
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, (scmp_datum_t)fcntl_commands[i]);
        rc = add(ctx, SCMP_ACT_ALLOW, "fcntl", 1, &cmp);
        if (!rc) rc = add(ctx, SCMP_ACT_ALLOW, "fcntl64", 1, &cmp);
    }
    for (size_t i = 0; !rc && i < sizeof ioctl_requests / sizeof ioctl_requests[0]; i++)
        rc = add(ctx, SCMP_ACT_ALLOW, "ioctl", 1,
                 &SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, ioctl_requests[i]));
    // Threads, not processes. clone3 hides its flags in memory: ENOSYS makes libc use clone.
    if (!rc)
        rc = add(ctx, SCMP_ACT_ALLOW, "clone", 1,
                 &SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (!rc)
        rc = add(ctx, SCMP_ACT_ERRNO(EPERM), "clone", 1,
                 &SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    // Names of threads, but not PR_SET_PDEATHSIG.
    if (!rc)
        rc = add(ctx, SCMP_ACT_ALLOW, "prctl", 1,
                 &SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffU, PR_SET_NAME));
    if (!rc)
        rc = add(ctx, SCMP_ACT_ALLOW, "prctl", 1,
                 &SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffU, PR_GET_NAME));
    if (!rc)
        rc = add(ctx, SCMP_ACT_ALLOW, "socketpair", 1,
                 &SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffU, AF_UNIX));
    // Own limits may be read and lowered; another process's may not.
    if (!rc) rc = add(ctx, SCMP_ACT_ALLOW, "prlimit64", 1, &SCMP_A0(SCMP_CMP_EQ, 0));
    return rc;
}

static int fill(scmp_filter_ctx ctx)
{
    int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; !rc && i < sizeof allowed / sizeof allowed[0]; i++)
        rc = add(ctx, SCMP_ACT_ALLOW, allowed[i], 0, NULL);
    for (size_t i = 0; !rc && i < sizeof refused / sizeof refused[0]; i++)
        rc = add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0, NULL);
    return rc ? rc : add_with_arguments(ctx);
}

// libseccomp writes the program to a descriptor only; the child needs it in memory.
static bool export_code(scmp_filter_ctx ctx, struct filter *out)
{
    struct stat st;
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) return false;
    bool ok = false;
    if (seccomp_export_bpf(ctx, fd) != 0 || fstat(fd, &st) != 0) goto done;
    size_t size = (size_t)st.st_size;
    if (!size || size % sizeof *out->code || size / sizeof *out->code > BPF_MAXINSNS) goto done;
    out->code = malloc(size);
    if (!out->code || pread(fd, out->code, size, 0) != (ssize_t)size) goto done;
    out->n = (unsigned short)(size / sizeof *out->code);
    ok = true;
done:
    close(fd);
    if (!ok) filter_free(out);
    return ok;
}

bool filter_build(struct filter *out, struct err *e)
{
    *out = (struct filter){0};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!ctx) return err_set(e, ERR_MEMORY, "libseccomp cannot begin a system call filter");
    int rc = fill(ctx);
    bool ok = rc == 0 && export_code(ctx, out);
    int saved = rc ? -rc : errno;
    seccomp_release(ctx);
    if (ok) return true;
    return err_set(e, ERR_UNSUPPORTED, "libseccomp cannot build the system call filter: %s",
                   strerror(saved));
}

void filter_free(struct filter *f)
{
    free(f->code);
    *f = (struct filter){0};
}
