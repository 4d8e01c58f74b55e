// Drives a fuzz target without libFuzzer: every file given (folders: the files in them), then
// mutations of them. Each input lies in a block of exactly its size.
// Without files there is one input, the empty one.
// usage: replay_NAME [-m MUTATIONS] [-s SEED] [FILE|FOLDER]...
#include "base/file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CAP = 64 << 10, N_MAX = 20000 };

struct corpus {
    struct input *list;
    size_t n;
};

static void run_exact(const unsigned char *bytes, size_t size)
{
    unsigned char *block = malloc(size ? size : 1);
    if (!block) abort();
    memcpy(block, bytes, size);
    (void)LLVMFuzzerTestOneInput(block, size);
    free(block);
}

static void add_file(struct corpus *c, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0 || c->n == N_MAX) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    struct input *in = &c->list[c->n++];
    in->bytes = malloc((size_t)st.st_size + 1);
    if (!in->bytes) exit(1);
    in->size = fread(in->bytes, 1, (size_t)st.st_size, f);
    fclose(f);
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void add(struct corpus *c, const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_file, alphasort); // sorted: mutations depend on the order
    if (n < 0) {
        add_file(c, path);
        return;
    }
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        add_file(c, name);
        free(entries[i]);
    }
    free(entries);
}

// In a process of its own, so that an input that ends it can be made again and kept.
static bool run_child(const struct corpus *c, uint64_t seed, uint64_t mutations, uint64_t *at)
{
    pid_t pid = fork();
    if (pid < 0) exit(1);
    if (pid == 0) {
        unsigned char *bytes = malloc(CAP);
        if (!bytes) _exit(1);
        for (*at = 0; *at < c->n; ++*at)
            run_exact(c->list[*at].bytes, c->list[*at].size);
        for (; *at < c->n + mutations; ++*at)
            run_exact(bytes, mutate(c->list, c->n, seed, *at - c->n, bytes, CAP));
        free(bytes);
        exit(0); // a sanitizer looks for leaks here
    }
    int status = 0;
    return waitpid(pid, &status, 0) == pid && status == 0;
}

static void keep(const struct corpus *c, uint64_t seed, uint64_t at)
{
    static unsigned char bytes[CAP];
    struct err e;
    bool file = at < c->n;
    size_t n = file ? c->list[at].size : mutate(c->list, c->n, seed, at - c->n, bytes, CAP);
    if (!file_write("fuzz-finding", file ? c->list[at].bytes : bytes, n, &e))
        fprintf(stderr, "%s\n", e.msg);
    fprintf(stderr, "input %llu of seed %llu ended the target; it is kept in fuzz-finding\n",
            (unsigned long long)at, (unsigned long long)seed);
}

int main(int argc, char **argv)
{
    uint64_t mutations = 0, seed = 1;
    int opt;
    while ((opt = getopt(argc, argv, "m:s:")) != -1) {
        if (opt == 'm') mutations = strtoull(optarg, NULL, 10);
        if (opt == 's') seed = strtoull(optarg, NULL, 10);
        if (opt == '?') return 2;
    }
    struct corpus c = {.list = calloc(N_MAX, sizeof *c.list)};
    if (!c.list) return 1;
    for (int i = optind; i < argc; i++)
        add(&c, argv[i]);
    uint64_t *at =
        mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (optind == argc) c.list[c.n++].bytes = malloc(1);
    if (c.n == 0 || !c.list[0].bytes || at == MAP_FAILED) {
        fprintf(stderr, "there is no input\n");
        return 1;
    }
    bool ok = run_child(&c, seed, mutations, at);
    if (ok)
        printf("%zu files and %llu mutations of seed %llu\n", c.n, (unsigned long long)mutations,
               (unsigned long long)seed);
    else if (*at < c.n + mutations)
        keep(&c, seed, *at);
    else
        fprintf(stderr, "the target failed behind the last input: memory that it lost?\n");
    for (size_t i = 0; i < c.n; i++)
        free(c.list[i].bytes);
    free(c.list);
    return ok ? 0 : 1;
}
