// Landlock: the process may open the interpreter's files to read, its private folder to write,
// execute the interpreter and the dynamic linker, and nothing else. The constants are the
// kernel's (include/uapi/linux/landlock.h); headers of older systems know only the first ones.
#include "evals/sandbox/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The same numbers on every architecture.
enum { NR_CREATE_RULESET = 444, NR_ADD_RULE = 445, NR_RESTRICT_SELF = 446 };
enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };

#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_MAKE_SYM (1ULL << 12)
#define FS_ABI_1 ((1ULL << 13) - 1)         // every right of the first version
#define FS_REFER (1ULL << 13)               // ABI 2
#define FS_TRUNCATE (1ULL << 14)            // ABI 3
#define FS_IOCTL_DEV (1ULL << 15)           // ABI 5
#define NET_BIND_AND_CONNECT_TCP 3ULL       // ABI 4
#define SCOPE_ABSTRACT_UNIX_AND_SIGNAL 3ULL // ABI 6

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

struct path_beneath {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));

int landlock_abi(void)
{
    long abi = syscall(NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

static uint64_t handled_fs(int abi)
{
    uint64_t fs = FS_ABI_1;
    if (abi >= 2) fs |= FS_REFER;
    if (abi >= 3) fs |= FS_TRUNCATE;
    if (abi >= 5) fs |= FS_IOCTL_DEV;
    return fs;
}

// A path that is not there needs no rule. Rights of folders are left out for a file.
static bool allow(int ruleset, const char *path, uint64_t access)
{
    struct stat st;
    struct path_beneath rule = {.fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.fd < 0) return errno == ENOENT || errno == EACCES;
    bool ok = fstat(rule.fd, &st) == 0;
    rule.access =
        S_ISDIR(st.st_mode) ? access : access & (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE);
    ok = ok && syscall(NR_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
    int saved = errno;
    close(rule.fd);
    errno = saved;
    return ok;
}

bool landlock_enter(const struct child *c, const char **step)
{
    uint64_t fs = handled_fs(c->landlock_abi);
    struct ruleset_attr attr = {
        .fs = fs, .net = NET_BIND_AND_CONNECT_TCP, .scoped = SCOPE_ABSTRACT_UNIX_AND_SIGNAL};
    // An older kernel refuses a longer structure whose tail is not zero.
    size_t size = c->landlock_abi >= 6   ? sizeof attr
                  : c->landlock_abi >= 4 ? offsetof(struct ruleset_attr, scoped)
                                         : offsetof(struct ruleset_attr, net);
    *step = "landlock_create_ruleset";
    int ruleset = (int)syscall(NR_CREATE_RULESET, &attr, size, 0);
    if (ruleset < 0) return false;
    *step = "landlock_add_rule";
    for (size_t i = 0; i < c->py->n_trees; i++)
        if (!allow(ruleset, c->py->trees[i], FS_READ_FILE | FS_READ_DIR)) return false;
    for (size_t i = 0; i < c->py->n_programs; i++)
        if (!allow(ruleset, c->py->programs[i], FS_READ_FILE | FS_EXECUTE)) return false;
    if (!allow(ruleset, c->dir,
               fs & (FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE |
                     FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SYM | FS_REFER | FS_TRUNCATE)))
        return false;
    *step = "landlock_restrict_self";
    if (syscall(NR_RESTRICT_SELF, ruleset, 0) != 0) return false;
    close(ruleset);
    return true;
}
