// Reading a PDF back with poppler's and qpdf's programs.
#ifndef LECTERN_TESTS_REPORTS_PDF_TOOLS_H
#define LECTERN_TESTS_REPORTS_PDF_TOOLS_H

#include <stdbool.h>
#include <stddef.h>

bool tool_exists(const char *name);
// Runs a shell command; its stdout and stderr together, zero-terminated; caller frees. *status is
// the exit status.
char *tool_output(const char *command, int *status);
// Without white space, backquotes, backslashes and continuation marks: what a paragraph keeps
// however its lines are broken. Non-BMP characters and those in `lost` are written [U+XXXX].
// Caller frees.
char *squeeze(const char *text);

#endif
