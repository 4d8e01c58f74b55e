// UTF-8 without locale.
#ifndef LECTERN_BASE_UTF8_H
#define LECTERN_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

// Decodes one code point at s[0..n), n >= 1. Returns its length in bytes; an invalid byte gives
// *cp = 0xFFFD and length 1. Overlong forms, surrogates and values over 0x10FFFF are invalid.
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);

// Writes cp as 1 to 4 bytes, returns their number (3 bytes of U+FFFD for a value that is none).
size_t utf8_encode(uint32_t cp, char out[4]);

// How many bytes at the end of s[0..n) begin a character that is not complete yet: 0 to 3.
size_t utf8_incomplete_tail(const char *s, size_t n);

#endif
