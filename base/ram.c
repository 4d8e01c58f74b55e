#include "base/ram.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A line "KEY:   N kB" of /proc/meminfo in bytes; 0 when it is not there.
static uint64_t meminfo(const char *key)
{
    FILE *f = fopen("/proc/meminfo", "r");
    size_t n = strlen(key);
    uint64_t kib = 0;
    char line[128];
    while (f && !kib && fgets(line, sizeof line, f))
        if (!strncmp(line, key, n) && line[n] == ':') kib = strtoull(line + n + 1, NULL, 10);
    if (f) (void)fclose(f);
    return kib * 1024;
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

uint64_t ram_spare(uint64_t free_bytes)
{
    uint64_t margin = free_bytes / 10 > 512u << 20 ? free_bytes / 10 : 512u << 20;
    return free_bytes > 2 * margin ? free_bytes - margin : free_bytes / 2;
}

void ram_read(struct ram *out)
{
    *out = (struct ram){meminfo("MemTotal"), meminfo("MemAvailable")};
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (!out->bytes && pages > 0 && page > 0) out->bytes = (uint64_t)pages * (uint64_t)page;
    if (!out->available) out->available = out->bytes / 2;
    uint64_t limit = number_in("/sys/fs/cgroup/memory.max", UINT64_MAX);
    if (limit >= out->bytes) return;
    uint64_t used = number_in("/sys/fs/cgroup/memory.current", 0);
    uint64_t left = limit > used ? limit - used : 0;
    out->bytes = limit;
    if (left < out->available) out->available = left;
}
