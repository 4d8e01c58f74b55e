// Facts of the host, from what Linux publishes; elsewhere from POSIX, with fewer of them.
#include "base/file.h"
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

static uint64_t meminfo(const char *key)
{
    char text[64];
    if (!line_value("/proc/meminfo", key, ':', text, sizeof text)) return 0;
    return strtoull(text, NULL, 10) * 1024;
}

// A number in a file of one line; fallback for "max" or no file.
static uint64_t number_in(const char *path, uint64_t fallback)
{
    char text[64] = "";
    FILE *f = fopen(path, "r");
    bool got = f && fgets(text, sizeof text, f);
    if (f) (void)fclose(f);
    char *end = text;
    uint64_t v = got ? strtoull(text, &end, 10) : 0;
    return end != text ? v : fallback;
}

static void host_memory(struct fit_host *h)
{
    h->ram_bytes = meminfo("MemTotal");
    h->ram_available_bytes = meminfo("MemAvailable");
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (!h->ram_bytes && pages > 0 && page > 0) h->ram_bytes = (uint64_t)pages * (uint64_t)page;
    if (!h->ram_available_bytes) h->ram_available_bytes = h->ram_bytes / 2;
    uint64_t limit = number_in("/sys/fs/cgroup/memory.max", UINT64_MAX); // a container's
    if (limit < h->ram_bytes) {
        uint64_t used = number_in("/sys/fs/cgroup/memory.current", 0);
        uint64_t left = limit > used ? limit - used : 0;
        h->ram_bytes = limit;
        if (left < h->ram_available_bytes) h->ram_available_bytes = left;
    }
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
    host_memory(out);
    struct statvfs s;
    if (statvfs(dir, &s) == 0) out->disk_free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
}
