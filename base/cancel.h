// ^C: the first SIGINT or SIGTERM sets a flag that long loops poll; the second one ends the
// process at once. The flag is the one mutable global of the program: a signal handler has no
// other way to speak.
#ifndef LECTERN_BASE_CANCEL_H
#define LECTERN_BASE_CANCEL_H

#include "base/err.h"

void cancel_install(void); // app/ calls it once, before any work
bool cancel_requested(void);
void cancel_clear(void); // chat goes on after a ^C that stopped an answer

// When a cancel was requested: ERR_CANCELLED in *e and false, else true.
bool cancel_check(struct err *e);

#endif
