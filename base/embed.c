// Build tool: embed SYMBOL INPUT OUTPUT.c writes INPUT's bytes as a C array.
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: embed SYMBOL INPUT OUTPUT.c\n");
        return 2;
    }
    FILE *in = fopen(argv[2], "rb"), *out = in ? fopen(argv[3], "wb") : NULL;
    if (!out) {
        perror(in ? argv[3] : argv[2]);
        return 1;
    }
    fprintf(out,
            "#include <stddef.h>\nextern const unsigned char %s[];\nextern const size_t %s_size;\n"
            "_Alignas(16) const unsigned char %s[] = {",
            argv[1], argv[1], argv[1]);
    size_t n = 0;
    for (int c; (c = getc(in)) != EOF; n++)
        fprintf(out, "%s%d,", n % 24 ? "" : "\n", c);
    fprintf(out, "0};\nconst size_t %s_size = %zu;\n", argv[1], n);
    int bad = ferror(in) | fclose(in) | ferror(out);
    bad |= fclose(out);
    if (bad) perror(argv[3]);
    return bad != 0;
}
