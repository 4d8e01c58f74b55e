#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool map_open(const char *path, struct file_map *out, struct err *e)
{
    *out = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // does not wait for a FIFO's writer
    if (fd < 0) return err_set(e, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    struct stat st;
    void *data = NULL;
    if (fstat(fd, &st) != 0) {
        err_set(e, ERR_IO, "cannot stat %s: %s", path, strerror(errno));
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_IO, "%s is not a regular file", path);
        goto fail;
    }
    if (st.st_size > 0) {
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            err_set(e, ERR_IO, "cannot map %s (%lld bytes): %s", path, (long long)st.st_size,
                    strerror(errno));
            goto fail;
        }
    }
    close(fd);
    *out = (struct file_map){.data = data, .size = (size_t)st.st_size};
    return true;
fail:
    close(fd);
    return false;
}

void map_close(struct file_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct file_map){0};
}

void map_drop(const struct file_map *map, size_t offset, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (offset + page - 1) / page * page, end = (offset + size) / page * page;
    if (map->data && begin < end && end <= map->size)
        (void)madvise((void *)(uintptr_t)(map->data + begin), end - begin, MADV_DONTNEED);
}

void map_expect(const struct file_map *map, size_t offset, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = offset / page * page;
    if (map->data && size && offset < map->size && size <= map->size - offset)
        (void)madvise((void *)(uintptr_t)(map->data + begin), offset + size - begin, MADV_WILLNEED);
}
