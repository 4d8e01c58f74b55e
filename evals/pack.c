// Build tool: pack ROOT OUT NAME... writes ROOT/NAME... one behind the other into OUT, each after
// a line "NAME SIZE". dataset.c reads it back.
#include <stdio.h>
#include <string.h>

static int add(FILE *out, const char *root, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", root, name);
    if (n < 0 || (size_t)n >= sizeof path) return 1;
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END)) {
        perror(path);
        return 1;
    }
    fprintf(out, "%s %ld\n", name, ftell(in));
    rewind(in);
    for (int c; (c = getc(in)) != EOF;)
        putc(c, out);
    int bad = ferror(in) != 0;
    fclose(in);
    return bad;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: pack ROOT OUT NAME...\n");
        return 2;
    }
    FILE *out = fopen(argv[2], "wb");
    if (!out) {
        perror(argv[2]);
        return 1;
    }
    int bad = 0;
    for (int i = 3; i < argc && !bad; i++)
        bad = strchr(argv[i], ' ') != NULL || add(out, argv[1], argv[i]);
    bad |= ferror(out);
    bad |= fclose(out) != 0;
    if (bad) remove(argv[2]);
    return bad;
}
