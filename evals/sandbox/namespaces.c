// The second tier, for kernels without Landlock: own user, mount, process, network and IPC
// namespaces. The root is a small tmpfs over the private folder, with the interpreter's trees
// bound into it read-only; the program writes to the tmpfs, which is gone with the namespace.
#include "evals/sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What the path of the dynamic linker inside the interpreter may go through: links on most systems,
// folders on others (Debian's /usr/lib64 holds a link to the linker and nothing else).
static const char *const linker_dirs[] = {"/lib", "/lib64", "/lib32", "/libx32", "/usr/lib64"};

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text);
}

static bool join(char out[PATH_MAX], const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na + nb >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(out, a, na);
    memcpy(out + na, b, nb + 1);
    return true;
}

// mkdir -p for the folders that contain path.
static bool make_parents(char *path, size_t from)
{
    for (char *p = path + from + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        bool ok = mkdir(path, 0755) == 0 || errno == EEXIST;
        *p = '/';
        if (!ok) return false;
    }
    return true;
}

// Binds path to the same place below root, read-only. A user namespace must keep the flags that
// the mount has outside, or the kernel refuses.
static bool bind_tree(const char *root, const char *path)
{
    char to[PATH_MAX];
    struct stat st;
    struct statvfs fs;
    if (stat(path, &st) != 0) return errno == ENOENT || errno == EACCES;
    if (!join(to, root, path) || !make_parents(to, strlen(root))) return false;
    if (S_ISDIR(st.st_mode)) {
        if (mkdir(to, 0755) != 0 && errno != EEXIST) return false;
    } else {
        int fd = open(to, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) return errno == EROFS || errno == EACCES; // below a tree that is bound already
        close(fd);
    }
    if (mount(path, to, NULL, MS_BIND | MS_REC, NULL) != 0 || statvfs(to, &fs) != 0) return false;
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
    if (fs.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
    if (fs.f_flag & ST_NOATIME) flags |= MS_NOATIME;
    if (fs.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
    if (fs.f_flag & ST_RELATIME) flags |= MS_RELATIME;
    return mount(NULL, to, NULL, flags, NULL) == 0;
}

static bool copy_link_or_bind(const char *root, const char *path)
{
    char target[PATH_MAX], to[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) return bind_tree(root, path); // a folder, or nothing
    target[n] = '\0';
    return join(to, root, path) && make_parents(to, strlen(root)) &&
           (symlink(target, to) == 0 || errno == EEXIST);
}

static bool build_root(const struct child *c, const char **step)
{
    const char *root = c->dir;
    char tmp[PATH_MAX];
    *step = "mount of a tmpfs";
    if (mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=0755") != 0)
        return false;
    *step = "mount of the interpreter";
    for (size_t i = 0; i < c->py->n_trees; i++)
        if (!bind_tree(root, c->py->trees[i])) return false;
    for (size_t i = 0; i < c->py->n_programs; i++)
        if (!bind_tree(root, c->py->programs[i])) return false;
    for (size_t i = 0; i < sizeof linker_dirs / sizeof linker_dirs[0]; i++)
        if (!copy_link_or_bind(root, linker_dirs[i])) return false;
    *step = "mkdir of /tmp";
    if (!join(tmp, root, "/tmp") || (mkdir(tmp, 0700) != 0 && errno != EEXIST)) return false;
    *step = "pivot_root";
    return chdir(root) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
           umount2(".", MNT_DETACH) == 0 && chdir("/tmp") == 0;
}

// The process outside of the process namespace: holds nothing, waits, and ends the same way. On
// SIGTERM it kills the inside first, so that whoever has reaped it knows that all of it is gone.
// Both signals are blocked.
static _Noreturn void follow(pid_t pid, const sigset_t *wanted)
{
    int status = 0;
    syscall(SYS_close_range, 0U, ~0U, 0U);
    for (int fd = 0; fd < N_FDS; fd++)
        close(fd); // where there is no close_range nothing else is open
    while (waitpid(pid, &status, WNOHANG) != pid)
        if (sigwaitinfo(wanted, NULL) == SIGTERM) kill(pid, SIGKILL);
    if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
    _exit(WEXITSTATUS(status));
}

bool namespaces_enter(const struct child *c, const char **step)
{
    const int others = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    *step = "unshare";
    if (unshare(CLONE_NEWUSER | others) == 0) {
        *step = "map of the user";
        if (!write_file("/proc/self/setgroups", "deny") && errno != ENOENT) return false;
        if (!write_file("/proc/self/uid_map", c->uid_map)) return false;
        if (!write_file("/proc/self/gid_map", c->gid_map)) return false;
    } else if (unshare(others) != 0) { // root where user namespaces are not allowed
        return false;
    }
    *step = "mount of / as private";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return false;
    if (!build_root(c, step)) return false;
    *step = "fork";
    sigset_t wanted, before;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, &before);
    pid_t pid = fork();
    if (pid < 0) return false;
    if (pid > 0) follow(pid, &wanted);
    sigprocmask(SIG_SETMASK, &before, NULL);
    *step = "prctl(PR_SET_PDEATHSIG)";
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}
