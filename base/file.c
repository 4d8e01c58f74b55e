#include "base/file.h"
#include "base/cancel.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_read_stream(FILE *f, const char *name, size_t max_bytes, char **out, size_t *size,
                      struct err *e)
{
    *out = NULL;
    *size = 0;
    size_t cap = 65536, n = 0;
    char *buf = malloc(cap + 1);
    while (buf) {
        n += fread(buf + n, 1, cap - n, f);
        if (n < cap || n > max_bytes) break;
        cap *= 2;
        char *grown = realloc(buf, cap + 1);
        if (!grown) free(buf);
        buf = grown;
    }
    if (!buf) return err_nomem(e, name, cap + 1);
    if (ferror(f) || n > max_bytes) {
        int saved = errno;
        free(buf);
        if (saved == EINTR && !cancel_check(e)) return false; // ^C while waiting for input
        if (ferror(f)) return err_set(e, ERR_IO, "cannot read %s: %s", name, strerror(saved));
        return err_set(e, ERR_FORMAT, "%s is larger than the %zu bytes that such a file may have",
                       name, max_bytes);
    }
    buf[n] = '\0';
    *out = buf;
    *size = n;
    return true;
}

bool file_read(const char *path, size_t max_bytes, char **out, size_t *size, struct err *e)
{
    *out = NULL;
    *size = 0;
    FILE *f = fopen(path, "rb");
    if (!f && errno == EINTR && !cancel_check(e)) return false; // ^C while waiting for a FIFO
    if (!f) return err_set(e, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    bool ok = file_read_stream(f, path, max_bytes, out, size, e);
    fclose(f);
    return ok;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

// A device or a pipe is written to: a rename would put a file in its place.
static bool write_special(const char *path, const void *data, size_t size, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return err_set(e, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    bool ok = write_all(fd, data, size);
    int saved = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        saved = errno;
    }
    return ok || err_set(e, ERR_IO, "cannot write %s: %s", path, strerror(saved));
}

bool file_write(const char *path, const void *data, size_t size, struct err *e)
{
    char tmp[4096];
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) return write_special(path, data, size, e);
    if (!file_path(tmp, sizeof tmp, e, "%s.tmp-%ld", path, (long)getpid())) return false;
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return err_set(e, ERR_IO, "cannot create %s: %s", tmp, strerror(errno));
    bool ok = write_all(fd, data, size) && fsync(fd) == 0;
    int saved = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        saved = errno;
    }
    if (ok && rename(tmp, path) != 0) {
        ok = false;
        saved = errno;
    }
    if (ok) return true;
    unlink(tmp);
    return err_set(e, ERR_IO, "cannot write %s: %s (the old file, if any, is untouched)", path,
                   strerror(saved));
}

bool file_append(FILE *f, const char *path, const void *data, size_t size, struct err *e)
{
    if (fwrite(data, 1, size, f) == size && fflush(f) == 0) return true;
    return err_set(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_mkdirs(const char *dir, struct err *e)
{
    char buf[4096];
    if (!file_path(buf, sizeof buf, e, "%s", dir)) return false;
    for (char *p = buf + 1;; p++) {
        if (*p && *p != '/') continue;
        char old = *p;
        *p = '\0';
        if (mkdir(buf, 0777) != 0 && errno != EEXIST)
            return err_set(e, ERR_IO, "cannot create the folder %s: %s", buf, strerror(errno));
        if (!old) break;
        *p = old;
    }
    struct stat st;
    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) return true;
    return err_set(e, ERR_IO, "%s exists and is not a folder", dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

bool file_remove_tree(const char *dir, struct err *e)
{
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return true;
    return err_set(e, ERR_IO, "cannot remove %s: %s", dir, strerror(errno));
}

bool file_path(char *out, size_t out_size, struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, out_size, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < out_size) return true;
    return err_set(e, ERR_ARG, "a path is longer than %zu bytes: %.60s...", out_size - 1, out);
}

bool file_cache_dir(char *out, size_t out_size, struct err *e)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/') return file_path(out, out_size, e, "%s/lectern", xdg);
    if (home && *home) return file_path(out, out_size, e, "%s/.cache/lectern", home);
    return err_set(e, ERR_ARG,
                   "neither XDG_CACHE_HOME nor HOME is set; set one of them so that "
                   "models can be kept");
}
