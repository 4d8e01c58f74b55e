// The private folder of a program: made, locked while in use, removed whatever is in it.
#include "evals/sandbox/internal.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "lectern-sandbox-"

static const char *base_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    return tmp && tmp[0] == '/' ? tmp : "/tmp";
}

static bool dot(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..");
}

// Moves the entries of the folder `name` up into top, so that depth never matters: neither
// recursion nor long paths. n numbers the moved ones.
static bool lift_entries(int top, const char *name, unsigned long *n)
{
    int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0) close(fd);
        return false;
    }
    bool ok = true;
    for (struct dirent *d; ok && (d = readdir(dir));) {
        char to[32];
        if (dot(d->d_name) || unlinkat(fd, d->d_name, 0) == 0) continue;
        // A folder: its ".." changes, for which its own mode must allow writing.
        fchmodat(fd, d->d_name, 0700, 0);
        snprintf(to, sizeof to, PREFIX "%lu", ++*n);
        ok = renameat(fd, d->d_name, top, to) == 0;
    }
    closedir(dir);
    return ok;
}

// One pass over top; *left says whether folders were lifted into it and need another pass.
static bool remove_pass(int top, unsigned long *n, bool *left)
{
    int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0) close(fd);
        return false;
    }
    bool ok = true;
    *left = false;
    for (struct dirent *d; ok && (d = readdir(dir));) {
        if (dot(d->d_name) || unlinkat(top, d->d_name, 0) == 0) continue;
        if (unlinkat(top, d->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT) continue;
        fchmodat(top, d->d_name, 0700, 0);
        ok = lift_entries(top, d->d_name, n) && unlinkat(top, d->d_name, AT_REMOVEDIR) == 0;
        *left = true;
    }
    closedir(dir);
    return ok;
}

bool workdir_remove(const char *dir, struct err *e)
{
    int top = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0 && errno == ENOENT) return true;
    unsigned long n = 0;
    bool left = true, ok = top >= 0;
    while (ok && left)
        ok = remove_pass(top, &n, &left);
    int saved = errno;
    if (top >= 0) close(top);
    if (ok && rmdir(dir) == 0) return true;
    return err_set(e, ERR_IO, "cannot remove the temporary folder %s: %s", dir,
                   strerror(ok ? errno : saved));
}

bool workdir_create(char *dir, size_t size, int *lock, struct err *e)
{
    *lock = -1;
    if (!file_path(dir, size, e, "%s/" PREFIX "XXXXXX", base_dir())) return false;
    if (!mkdtemp(dir))
        return err_set(e, ERR_IO, "cannot make a temporary folder in %s: %s", base_dir(),
                       strerror(errno));
    // The lock is Lectern's sign of life for workdir_sweep; it goes with the process.
    *lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) == 0) return true;
    err_set(e, ERR_IO, "cannot lock the temporary folder %s: %s", dir, strerror(errno));
    if (*lock >= 0) close(*lock);
    *lock = -1;
    rmdir(dir);
    return false;
}

void workdir_sweep(void)
{
    DIR *dir = opendir(base_dir());
    if (!dir) return;
    for (struct dirent *d; (d = readdir(dir));) {
        char path[PATH_MAX];
        struct stat st;
        struct err e = {0};
        if (strncmp(d->d_name, PREFIX, strlen(PREFIX)) != 0) continue;
        if (!file_path(path, sizeof path, &e, "%s/%s", base_dir(), d->d_name)) continue;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) continue;
        // A folder younger than a minute may be one that is not locked yet.
        if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && time(NULL) - st.st_mtime > 60 &&
            flock(fd, LOCK_EX | LOCK_NB) == 0)
            workdir_remove(path, &e);
        close(fd);
    }
    closedir(dir);
}
