// base/file, base/map, base/sha256, and base/progress away from a terminal. A full disk is a limit
// on the size of files, which a process can set for itself.
#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/progress.h"
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define DIR "test_base_file.d"
#define PATH DIR "/f"

static int fresh_dir(void **state)
{
    (void)state;
    struct err e = {0};
    return file_remove_tree(DIR, &e) && file_mkdirs(DIR, &e) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return file_remove_tree(DIR, NULL) ? 0 : -1;
}

static void holds(const char *path, const char *want)
{
    struct err e = {0};
    char *text;
    size_t size;
    if (!file_read(path, 1 << 20, &text, &size, &e)) fail_msg("%s", e.msg);
    assert_int_equal(size, strlen(want));
    assert_string_equal(text, want);
    free(text);
}

static void test_write(void **state)
{
    (void)state;
    struct err e = {0};
    struct stat st;
    assert_true(file_write(PATH, "one", 3, &e));
    holds(PATH, "one");
    assert_true(file_write(PATH, "", 0, &e));
    holds(PATH, "");
    assert_true(file_write(PATH, "two\0", 4, &e));
    assert_int_equal(stat(PATH, &st), 0);
    assert_int_equal(st.st_size, 4);
    assert_false(file_write(DIR "/none/f", "x", 1, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_false(file_write(DIR, "x", 1, &e)); // a folder
    assert_int_equal(rmdir(DIR), -1);
    assert_int_equal(errno, ENOTEMPTY); // it is as it was
}

static void test_write_special(void **state)
{
    (void)state;
    struct err e = {0};
    struct stat st;
    assert_true(file_write("/dev/null", "x", 1, &e));
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    if (access("/dev/full", W_OK) != 0) skip();
    assert_false(file_write("/dev/full", "x", 1, &e));
    assert_non_null(strstr(e.msg, strerror(ENOSPC)));
}

// After a write that found no room the old file is whole and no temporary file is left.
static void test_full_disk(void **state)
{
    (void)state;
    struct err e = {0};
    struct rlimit old, small;
    static const char big[100000];
    assert_true(file_write(PATH, "precious", 8, &e));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 5000, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool ok = file_write(PATH, big, sizeof big, &e);
    FILE *f = fopen(DIR "/log", "ab");
    bool appended = f && file_append(f, DIR "/log", big, sizeof big, NULL);
    if (f) fclose(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_false(ok);
    assert_false(appended);
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, PATH));
    holds(PATH, "precious");
    char tmp[128];
    snprintf(tmp, sizeof tmp, "%s.tmp-%ld", PATH, (long)getpid());
    assert_false(file_exists(tmp));
}

static void test_read(void **state)
{
    (void)state;
    struct err e = {0};
    char *text = (char *)&e, big[70000];
    size_t size = 7;
    memset(big, 'q', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_true(file_write(PATH, big, sizeof big - 1, &e));
    holds(PATH, big);                                               // larger than the first buffer
    assert_true(file_read(PATH, sizeof big - 1, &text, &size, &e)); // just allowed
    free(text);
    assert_false(file_read(PATH, sizeof big - 2, &text, &size, &e));
    assert_int_equal(e.code, ERR_FORMAT);
    assert_null(text);
    assert_int_equal(size, 0);
    assert_false(file_read(DIR "/none", 10, &text, &size, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_false(file_read(DIR, 10, &text, &size, &e));
    assert_int_equal(e.code, ERR_IO);
}

static void test_folders(void **state)
{
    (void)state;
    struct err e = {0};
    assert_true(file_mkdirs(DIR "/a/b//c/", &e));
    assert_true(file_mkdirs(DIR "/a/b/c", &e));
    assert_true(file_write(DIR "/a/b/f", "x", 1, &e));
    assert_false(file_mkdirs(DIR "/a/b/f", &e));
    assert_false(file_mkdirs(DIR "/a/b/f/g", &e));
    assert_int_equal(e.code, ERR_IO);
    assert_int_equal(symlink("../../..", DIR "/a/link"), 0);
    assert_true(file_remove_tree(DIR "/a", &e)); // the link itself, not what it names
    assert_false(file_exists(DIR "/a"));
    assert_true(file_exists(DIR));
    assert_true(file_remove_tree(DIR "/a", &e));
}

static void test_paths(void **state)
{
    (void)state;
    struct err e = {0};
    char p[16], dir[256];
    assert_true(file_path(p, sizeof p, &e, "%s", "123456789012345"));
    assert_false(file_path(p, sizeof p, &e, "%s", "1234567890123456"));
    setenv("XDG_CACHE_HOME", "/x", 1);
    setenv("HOME", "/h", 1);
    assert_true(file_cache_dir(dir, sizeof dir, &e));
    assert_string_equal(dir, "/x/lectern");
    setenv("XDG_CACHE_HOME", "relative", 1); // the specification says: ignore
    assert_true(file_cache_dir(dir, sizeof dir, &e));
    assert_string_equal(dir, "/h/.cache/lectern");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_false(file_cache_dir(dir, sizeof dir, &e));
    assert_int_equal(e.code, ERR_ARG);
}

static void test_map(void **state)
{
    (void)state;
    struct err e = {0};
    struct file_map m;
    assert_true(file_write(PATH, "abc", 3, &e));
    assert_true(map_open(PATH, &m, &e));
    assert_int_equal(m.size, 3);
    assert_memory_equal(m.data, "abc", 3);
    map_drop(&m, 0, 3);
    assert_memory_equal(m.data, "abc", 3);
    map_close(&m);
    assert_null(m.data);
    map_close(&m);
    assert_true(file_write(PATH, "", 0, &e));
    assert_true(map_open(PATH, &m, &e));
    assert_null(m.data);
    map_close(&m);
    assert_false(map_open(DIR, &m, &e));
    assert_false(map_open("/dev/zero", &m, &e));
    assert_false(map_open(DIR "/none", &m, &e));
    assert_int_equal(mkfifo(DIR "/fifo", 0666), 0);
    alarm(10); // a map_open that waits for a writer dies here
    assert_false(map_open(DIR "/fifo", &m, &e));
    alarm(0);
    assert_non_null(strstr(e.msg, "not a regular file"));
}

// FIPS 180-4's examples and the lengths around a block.
static void test_sha256(void **state)
{
    (void)state;
    struct err e = {0};
    char hex[SHA256_HEX_SIZE], *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    assert_true(sha256_hex(NULL, 0, hex, &e));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_true(sha256_hex("abc", 3, hex, &e));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(
        sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex, &e));
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_true(sha256_hex(million, 1000000, hex, &e));
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_true(file_write(PATH, million, 1000000, &e));
    assert_true(sha256_file_hex(PATH, hex, &e));
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_true(file_write(PATH, "", 0, &e));
    assert_true(sha256_file_hex(PATH, hex, &e));
    assert_int_equal(strncmp(hex, "e3b0c442", 8), 0);
    assert_false(sha256_file_hex(DIR "/none", hex, &e));
    free(million);
}

// stderr is a file here: one line every ten seconds, none before, none when switched off.
static void test_progress(void **state)
{
    (void)state;
    struct progress p, off;
    int saved = dup(STDERR_FILENO);
    int fd = open(PATH, O_RDWR | O_CREAT | O_TRUNC, 0666);
    assert_true(saved >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    progress_init(&p, true);
    progress_init(&off, false);
    progress_begin(&p, "work", 100);
    for (int i = 0; i < 1000; i++)
        progress_update(&p, 50, "early");
    p.last_ns -= 9000000000u;
    progress_update(&p, 50, "still early");
    p.last_ns -= 2000000000u; // eleven seconds pass
    p.start_ns -= 11000000000u;
    progress_update(&p, 25, "score 3/7");
    progress_update(&p, 26, "too soon");
    progress_end(&p);
    progress_begin(&off, "silent", 1);
    off.last_ns = 0;
    progress_update(&off, 1, NULL);
    progress_end(&off);
    progress_begin(NULL, "nobody", 1);
    progress_update(NULL, 1, NULL);
    progress_end(NULL);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    assert_false(p.terminal);
    holds(PATH, "work [####............]  25% 0:33 left  score 3/7\n");
}

// The first signal is a wish that long work sees; the second ends the process.
static void test_cancel(void **state)
{
    (void)state;
    struct err e = {0};
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        cancel_install();
        if (!cancel_check(&e)) _exit(1);
        raise(SIGINT);
        if (!cancel_requested() || cancel_check(&e) || e.code != ERR_CANCELLED) _exit(2);
        cancel_clear();
        if (!cancel_check(&e)) _exit(3);
        raise(SIGTERM);
        raise(SIGINT);
        _exit(4);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

static void test_clock(void **state)
{
    (void)state;
    uint64_t a = clock_ns();
    assert_int_equal(usleep(20000), 0);
    uint64_t b = clock_ns();
    assert_true(b - a >= 20000000 && b - a < 20000000000u);
    assert_true(clock_s() * 1e9 >= (double)b);
}

int main(void)
{
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, fresh_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(test_write),  IN_DIR(test_write_special),   IN_DIR(test_full_disk),
        IN_DIR(test_read),   IN_DIR(test_folders),         IN_DIR(test_paths),
        IN_DIR(test_map),    IN_DIR(test_sha256),          IN_DIR(test_progress),
        IN_DIR(test_cancel), cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
