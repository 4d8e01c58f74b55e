#include "base/cancel.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t cancel_flag;

static void on_signal(int sig)
{
    if (cancel_flag) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
    cancel_flag = 1;
}

void cancel_install(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN); // a closed pipe is a write error, not a death
}

bool cancel_requested(void)
{
    return cancel_flag != 0;
}

void cancel_clear(void)
{
    cancel_flag = 0;
}

bool cancel_check(struct err *e)
{
    if (!cancel_flag) return true;
    return err_set(e, ERR_CANCELLED, "stopped by ^C");
}
