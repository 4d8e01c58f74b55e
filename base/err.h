// Errors: what can fail returns bool (true = success) and takes a struct err *.
// The failing site writes one whole sentence that says what to do.
#ifndef LECTERN_BASE_ERR_H
#define LECTERN_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#define ERR_LIST(X)                                                                                \
    X(ERR_NONE, "none")                                                                            \
    X(ERR_ARG, "argument")            /* the caller or user asked for something impossible */      \
    X(ERR_IO, "input/output")         /* a file or pipe failed, errno is in the sentence */        \
    X(ERR_FORMAT, "format")           /* bytes are not what their format says */                   \
    X(ERR_UNSUPPORTED, "unsupported") /* well formed, but not something Lectern can do */          \
    X(ERR_MEMORY, "memory")           /* host or device memory is exhausted */                     \
    X(ERR_DEVICE, "device")           /* Vulkan failed, or the device was lost */                  \
    X(ERR_CANCELLED, "cancelled")     /* the user pressed ^C */                                    \
    X(ERR_INTERNAL, "internal")       /* a bug in Lectern */

#define ERR_ENUM(code, name) code,
enum err_code { ERR_LIST(ERR_ENUM) };
#undef ERR_ENUM

struct err {
    enum err_code code;
    char msg[512]; // a sentence without the final newline, empty when code is ERR_NONE
};

// Sets *e (which may be NULL) and returns false, so that a failing site is one statement.
// A sentence longer than the buffer is cut; ERR_LIST names are never part of msg.
bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "context: " before the sentence already in *e. Returns false.
bool err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// ERR_MEMORY with "out of memory: N bytes for WHAT". Returns false.
bool err_nomem(struct err *e, const char *what, unsigned long long bytes);

// "format", "memory" ...: for JSON; the returned string is static.
const char *err_code_name(enum err_code code);

#endif
