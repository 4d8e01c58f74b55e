// Runs a Python program that a model wrote, and says whether it ran to its end.
//
//     Lectern ── fork ──► new session, limits, Landlock or namespaces, seccomp ──► python3
//        ▲                                                                           │
//        └──────────── verdict socket: 'P' + the nonce, or 'E' + the reason ─────────┘
//
// VERDICT. A program passes when its last statement was executed and no exception left it: the
// runner inside the interpreter then writes a random nonce to a private descriptor. The exit code
// counts for nothing: sys.exit(0), os._exit(0), a crash, an exec of something else all fail.
//   passed   the nonce arrived within the time-out, and nothing else did
//   failed   an exception, an early end, a signal, too much memory or file space, or bytes on the
//            verdict descriptor that are not the verdict
//   timeout  wall clock (or the CPU limit, for programs with several threads)
//   blocked  the program ended because the sandbox refused something: an uncaught PermissionError
//            (EPERM, EACCES), EROFS, ENOSYS from the system call filter, a refused import, or
//            SIGSYS. In the namespaces tier a file that is not there is FileNotFoundError: failed.
//            A refusal that the program caught and survived changes nothing.
//
// WHAT A PROGRAM CAN DO. Read the interpreter's own tree and the system's shared libraries; write
// below a private temporary folder (1 MiB a file); use up to 4 GiB of address space; start threads;
// ask for the metadata (not the contents) of files that its user could reach. What it cannot:
// open any other file, change modes, owners or times, reach a network, start or signal a process,
// trace, mount, keep System V or POSIX IPC objects. It ends with Lectern, even if that is killed.
//
// WHAT THE VERDICT CANNOT SAY. The tests of HumanEval run in the same interpreter as the code they
// test, here as in the original harness. A program that means to cheat can return objects that
// equal everything, replace the tests, or jump over them; such a "pass" is not forged, the program
// did run to its end. The nonce itself is held where Python code cannot name it: on the value
// stack of the runner's frame, in no variable, closure, container or file; ctypes, other native
// code, the gc module's object lists and further interpreters are refused by an audit hook. What
// is left is memory corruption from Python (hand-made byte code, bugs of the interpreter): it
// could read the nonce and fake a pass, and still do no harm.
#ifndef LECTERN_EVALS_SANDBOX_H
#define LECTERN_EVALS_SANDBOX_H

#include "base/err.h"

#include <stddef.h>

// What holds a program, best first. Each tier has the limits, a private session and seccomp
// except SANDBOX_UNSAFE, which has the limits and the session only.
#define SANDBOX_TIER_LIST(X)                                                                       \
    X(SANDBOX_LANDLOCK, "landlock+seccomp")                                                        \
    X(SANDBOX_NAMESPACES, "namespaces+seccomp")                                                    \
    X(SANDBOX_UNSAFE, "unsafe")

#define SANDBOX_RESULT_LIST(X)                                                                     \
    X(SANDBOX_PASSED, "passed")                                                                    \
    X(SANDBOX_FAILED, "failed")                                                                    \
    X(SANDBOX_TIMEOUT, "timeout")                                                                  \
    X(SANDBOX_BLOCKED, "blocked")

#define SANDBOX_ENUM(code, name) code,
enum sandbox_tier { SANDBOX_TIER_LIST(SANDBOX_ENUM) };
enum sandbox_result { SANDBOX_RESULT_LIST(SANDBOX_ENUM) };
#undef SANDBOX_ENUM

struct sandbox_options {
    const char *python;     // interpreter to use; NULL: python3 from PATH
    enum sandbox_tier best; // do not try tiers before this one (0: the best there is)
    bool allow_unsafe;      // without a real sandbox run all the same, instead of refusing
};

struct sandbox; // the interpreter found, the tier chosen; not for two threads at once

// Finds and asks the interpreter, removes what a killed Lectern left behind, and tries the tiers
// with a program of one line. Refuses (ERR_UNSUPPORTED) when no tier works and allow_unsafe is not
// set. options may be NULL. Close with sandbox_close, which takes NULL.
bool sandbox_open(const struct sandbox_options *options, struct sandbox **out, struct err *e);
void sandbox_close(struct sandbox *sb);

enum sandbox_tier sandbox_tier(const struct sandbox *sb);
const char *sandbox_tier_name(enum sandbox_tier tier);       // "landlock+seccomp"; for results.json
const char *sandbox_result_name(enum sandbox_result result); // "passed"
const char *sandbox_python(const struct sandbox *sb);        // path of the real interpreter
const char *sandbox_python_version(const struct sandbox *sb); // "3.11.2"

#define SANDBOX_TIMEOUT_S 3.0 // what HumanEval gives a program

struct sandbox_params {
    const char *program; // Python source, UTF-8, size bytes; zero bytes make it fail
    size_t size;
    double timeout_s;   // wall clock from the fork; 0: SANDBOX_TIMEOUT_S
    bool retry_timeout; // run a program that timed out once more: the machine may have been busy
    bool as_main;       // __name__ is "__main__"; false is HumanEval's exec(program, {})
};

struct sandbox_verdict {
    enum sandbox_result result;
    enum sandbox_tier tier;
    double seconds;    // wall clock of the last try, from the fork to the verdict or the end
    bool retried;      // it timed out once before
    char reason[256];  // one line: "AssertionError", "exit status 0 before the end"; "" if passed
    char out[4096];    // the end of stdout, zero-terminated; invalid UTF-8 is kept as it is
    char errout[4096]; // the end of stderr, zero-terminated
    size_t out_bytes, errout_bytes; // how much the program wrote in all
};

// Runs one program. False only when the sandbox itself could not work (no memory, no temporary
// folder) or the user pressed ^C; whatever the program does is a verdict. Neither processes nor
// files are left when it returns.
bool sandbox_run(struct sandbox *sb, const struct sandbox_params *p, struct sandbox_verdict *out,
                 struct err *e);

#endif
