#include "base/progress.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void progress_init(struct progress *p, bool enabled)
{
    *p = (struct progress){.enabled = enabled, .terminal = isatty(STDERR_FILENO) != 0};
}

void progress_begin(struct progress *p, const char *label, uint64_t total)
{
    if (!p) return;
    p->label = label;
    p->total = total;
    p->start_ns = clock_ns();
    p->last_ns = p->terminal ? 0 : p->start_ns;
    p->drawn = false;
}

static int columns(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20) return w.ws_col;
    return 80;
}

static void format_eta(char *out, size_t size, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        (void)snprintf(out, size, "%ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(out, size, "%ld:%02ld left", s / 60, s % 60);
}

void progress_update(struct progress *p, uint64_t done, const char *note)
{
    if (!p || !p->enabled) return;
    uint64_t now = clock_ns(), step = p->terminal ? 100000000u : 10000000000u;
    if (now - p->last_ns < step && !(p->terminal && p->total && done >= p->total)) return;
    p->last_ns = now;
    char eta[32] = "", bar[17] = "", line[512];
    double part = p->total ? (double)done / (double)p->total : 0;
    if (part > 1) part = 1;
    if (p->total) {
        size_t fill = (size_t)(part * 16);
        memset(bar, '.', 16);
        memset(bar, '#', fill);
        if (part > 0.01)
            format_eta(eta, sizeof eta, (double)(now - p->start_ns) * 1e-9 * (1 - part) / part);
    }
    int n = snprintf(line, sizeof line, "%s %s%s%s %3.0f%% %s  %s", p->label, p->total ? "[" : "",
                     bar, p->total ? "]" : "", part * 100, eta, note ? note : "");
    if (n < 0) return;
    if (p->terminal) {
        int width = columns() - 1;
        fprintf(stderr, "\r%-*.*s", width, width, line);
        fflush(stderr);
        p->drawn = true;
    } else {
        fprintf(stderr, "%s\n", line);
    }
}

void progress_end(struct progress *p)
{
    if (!p || !p->enabled || !p->drawn) return;
    int width = columns() - 1;
    fprintf(stderr, "\r%*s\r", width, "");
    fflush(stderr);
    p->drawn = false;
}
