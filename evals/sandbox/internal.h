// What the parts of the sandbox share. Nothing outside evals/sandbox includes this.
#ifndef LECTERN_EVALS_SANDBOX_INTERNAL_H
#define LECTERN_EVALS_SANDBOX_INTERNAL_H

#include "evals/sandbox.h"

#include <limits.h>
#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    PYTHON_MAX_PATHS = 48,
    NONCE_SIZE = 32, // hex digits
};

// The interpreter behind the name python3, and what it has to be able to read.
struct python {
    char exe[PATH_MAX];            // the real file, no link and no wrapper script
    char version[32];              // "3.11.2"
    char dynload[PATH_MAX];        // the only folder from which native modules may be loaded
    char *trees[PYTHON_MAX_PATHS]; // folders and single files to read; owned
    size_t n_trees;
    char *programs[4]; // files to execute: the interpreter and the dynamic linker; owned
    size_t n_programs;
};

bool python_find(const char *name, struct python *out, struct err *e); // name: see options.python
void python_free(struct python *py);

// The system call filter, built before the fork because building it allocates.
struct filter {
    struct sock_filter *code; // owned
    unsigned short n;
};

bool filter_build(struct filter *out, struct err *e);
void filter_free(struct filter *f);

// Descriptors of the child, at these numbers.
enum { FD_IN, FD_OUT, FD_ERR, FD_PROGRAM, FD_VERDICT, FD_SETUP, N_FDS };

// All that the child needs between fork and exec, where it may only make system calls.
struct child {
    const struct python *py;
    const struct filter *filter;
    const char *dir; // the private folder
    char **argv, **envp;
    const char *uid_map, *gid_map; // "1000 1000 1\n" for the namespaces tier
    int fds[N_FDS];                // at any numbers yet
    enum sandbox_tier tier;
    int landlock_abi;
    unsigned cpu_s;
    pid_t parent;
};

// Why the child never became a Python: what it writes to FD_SETUP (closed by exec).
struct child_failure {
    char step[40];
    int error; // errno
};

_Noreturn void child_run(const struct child *c);
_Noreturn void child_fail(const char *step); // with errno

int landlock_abi(void); // 0: the kernel has none
// false: *step says which call failed, errno why
bool landlock_enter(const struct child *c, const char **step);
// Returns in a new process that sees only the trees and a small /tmp of its own.
bool namespaces_enter(const struct child *c, const char **step);

// Removes the folder and all below it, however deep and whatever its modes.
bool workdir_remove(const char *dir, struct err *e);
// Makes a folder under $TMPDIR (else /tmp) and locks it for as long as *lock is open.
bool workdir_create(char *dir, size_t size, int *lock, struct err *e);
// Removes folders whose Lectern is gone. Failures are left for the next time.
void workdir_sweep(void);

#endif
