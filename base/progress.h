// A progress line on stderr for anything that takes over a second: bar, count, ETA, a note.
// On a terminal the line is redrawn in place, at most 10 times a second; elsewhere one line is
// printed every 10 seconds. Libraries take a struct progress * from app/ and never create one;
// NULL is allowed everywhere and prints nothing.
#ifndef LECTERN_BASE_PROGRESS_H
#define LECTERN_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool enabled, terminal, drawn;
    const char *label; // borrowed
    uint64_t total;    // units of work; 0 = unknown
    uint64_t start_ns, last_ns;
};

void progress_init(struct progress *p, bool enabled); // finds out whether stderr is a terminal
void progress_begin(struct progress *p, const char *label, uint64_t total);
// note (may be NULL) goes behind the bar: a running score, a file name.
void progress_update(struct progress *p, uint64_t done, const char *note);
void progress_end(struct progress *p); // clears the line on a terminal

#endif
