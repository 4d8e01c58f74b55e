// Facts of the host, from what Linux publishes; elsewhere from POSIX, with fewer of them.
#include "base/file.h"
#include "base/ram.h"
#include "fit/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

// The text behind `key` and `separator` in a file of lines, without quotes. False: not there.
static bool line_value(const char *path, const char *key, char separator, char *out, size_t size)
{
    FILE *f = fopen(path, "r");
    char line[512];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        char *at = strchr(line, separator);
        if (strncmp(line, key, strlen(key)) != 0 || !at) continue;
        at++;
        at += strspn(at, " \t\"");
        at[strcspn(at, "\"\n")] = '\0';
        (void)snprintf(out, size, "%s", at);
        found = out[0] != '\0';
    }
    if (f) (void)fclose(f);
    return found;
}

void fit_host(const char *dir, struct fit_host *out)
{
    *out = (struct fit_host){0};
    struct utsname u;
    if (uname(&u) != 0) memset(&u, 0, sizeof u);
    if (!line_value("/etc/os-release", "PRETTY_NAME", '=', out->os, sizeof out->os))
        (void)snprintf(out->os, sizeof out->os, "%.60s %.30s", u.sysname[0] ? u.sysname : "unknown",
                       u.release);
    if (!line_value("/proc/cpuinfo", "model name", ':', out->cpu, sizeof out->cpu))
        (void)snprintf(out->cpu, sizeof out->cpu, "%.90s", u.machine[0] ? u.machine : "unknown");
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    out->cores = cores > 0 ? (uint32_t)cores : 1;
    struct ram ram;
    ram_read(&ram);
    out->ram_bytes = ram.bytes;
    out->ram_available_bytes = ram.available;
    struct statvfs s;
    if (statvfs(dir, &s) == 0) out->disk_free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
}
