// SHA-256 through OpenSSL's libcrypto.
#ifndef LECTERN_BASE_SHA256_H
#define LECTERN_BASE_SHA256_H

#include "base/err.h"

#include <stddef.h>

#define SHA256_HEX_SIZE 65 // 64 lower-case hex digits and a terminating zero

bool sha256_hex(const void *data, size_t size, char out[SHA256_HEX_SIZE], struct err *e);
bool sha256_file_hex(const char *path, char out[SHA256_HEX_SIZE], struct err *e);

#endif
