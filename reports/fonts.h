// The five TrueType files a report is set in, found in the system's font folders.
#ifndef LECTERN_REPORTS_FONTS_H
#define LECTERN_REPORTS_FONTS_H

#include "base/err.h"

enum font_role { FONT_TEXT, FONT_BOLD, FONT_ITALIC, FONT_CODE, FONT_SYMBOL, FONT_N };

#define FONT_PATH_SIZE 1024

struct font_set {
    char path[FONT_N][FONT_PATH_SIZE];
    const char *text_name, *code_name; // family names for the colophon, static
};

// Looks in dir (may be NULL), $LECTERN_FONT_DIR, then the usual folders of Debian, Fedora, Arch
// and macOS, in a fixed order: the same files installed give the same choice.
// Text: Lato, Carlito, DejaVu Sans; code: JetBrains Mono, DejaVu Sans Mono; symbols: DejaVu Sans.
// Each is looked at before libharu, which trusts what it reads, opens it.
bool fonts_find(const char *dir, struct font_set *out, struct err *e);

#endif
