// Finds the report's fonts by file name. libharu 2.3.0 reads only TrueType outlines, so the
// candidates are families whose packages ship .ttf files.
#include "reports/fonts.h"

#include "base/file.h"
#include "base/map.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 5 };

// Every file that may be used; the indices are those of families[] below.
static const char *const names[] = {
    "Lato-Regular.ttf",       "Lato-Bold.ttf",
    "Lato-Italic.ttf",        "Carlito-Regular.ttf",
    "Carlito-Bold.ttf",       "Carlito-Italic.ttf",
    "DejaVuSans.ttf",         "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf", "JetBrainsMono-Regular.ttf",
    "DejaVuSansMono.ttf",
};
enum { N_NAMES = sizeof names / sizeof names[0], DEJAVU_SANS = 6 };

// text_name, regular, bold, italic: indices into names. DejaVu's packages may lack the oblique.
static const struct {
    const char *name;
    int regular, bold, italic;
    bool italic_optional;
} families[] = {
    {"Lato", 0, 1, 2, false}, {"Carlito", 3, 4, 5, false}, {"DejaVu Sans", 6, 7, 8, true}};

struct found {
    char path[N_NAMES][FONT_PATH_SIZE];
};

static void note_file(struct found *f, const char *dir, const char *name)
{
    for (int i = 0; i < N_NAMES; i++) {
        if (f->path[i][0] || strcmp(name, names[i]) != 0) continue;
        struct err ignored;
        if (!file_path(f->path[i], FONT_PATH_SIZE, &ignored, "%s/%s", dir, name))
            f->path[i][0] = '\0'; // a path too long to use is as good as none
    }
}

static void scan(struct found *f, const char *dir, int depth)
{
    struct dirent **list;
    int n = scandir(dir, &list, NULL, alphasort); // sorted: the choice never depends on the disk
    if (n < 0) return;
    for (int i = 0; i < n; i++) {
        char sub[FONT_PATH_SIZE];
        struct stat st;
        struct err ignored;
        if (list[i]->d_name[0] != '.' &&
            file_path(sub, sizeof sub, &ignored, "%s/%s", dir, list[i]->d_name) &&
            stat(sub, &st) == 0) {
            if (S_ISREG(st.st_mode)) note_file(f, dir, list[i]->d_name);
            if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH) scan(f, sub, depth + 1);
        }
        free(list[i]);
    }
    free(list);
}

static void scan_under(struct found *f, const char *env, const char *below)
{
    char dir[FONT_PATH_SIZE];
    struct err ignored;
    const char *root = getenv(env);
    if (root && root[0] && file_path(dir, sizeof dir, &ignored, "%s%s", root, below))
        scan(f, dir, 0);
}

static bool choose(const struct found *f, struct font_set *out)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const char *regular = f->path[families[i].regular], *bold = f->path[families[i].bold];
        const char *italic = f->path[families[i].italic];
        if (!italic[0] && families[i].italic_optional) italic = regular;
        if (!regular[0] || !bold[0] || !italic[0]) continue;
        memcpy(out->path[FONT_TEXT], regular, FONT_PATH_SIZE);
        memcpy(out->path[FONT_BOLD], bold, FONT_PATH_SIZE);
        memcpy(out->path[FONT_ITALIC], italic, FONT_PATH_SIZE);
        out->text_name = families[i].name;
        break;
    }
    int code = f->path[9][0] ? 9 : 10;
    memcpy(out->path[FONT_CODE], f->path[code], FONT_PATH_SIZE);
    out->code_name = code == 9 ? "JetBrains Mono" : "DejaVu Sans Mono";
    memcpy(out->path[FONT_SYMBOL], f->path[DEJAVU_SANS], FONT_PATH_SIZE);
    return out->text_name && f->path[code][0] && f->path[DEJAVU_SANS][0];
}

static unsigned be(const unsigned char *b, int n)
{
    unsigned v = 0;
    while (n--)
        v = v << 8 | *b++;
    return v;
}

// The file's head and its list of tables:
//   00 01 00 00 | tables u16 | 6 bytes | { tag[4] checksum u32, offset u32, length u32 } ...
// all of which lie inside the file, with every table that libharu reads among them.
static bool is_truetype(const unsigned char *data, size_t size)
{
    static const char *const need[] = {"OS/2", "cmap", "glyf", "head", "hhea",
                                       "hmtx", "loca", "maxp", "name"};
    size_t n = size >= 12 ? be(data + 4, 2) : 0, found = 0;
    if (n == 0 || n > 64 || 12 + 16 * n > size) return false;
    if (be(data, 4) != 0x00010000u && memcmp(data, "true", 4) != 0) return false;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *t = data + 12 + 16 * i;
        size_t offset = be(t + 8, 4), length = be(t + 12, 4);
        if (offset > size || length > size - offset) return false;
        for (size_t k = 0; k < sizeof need / sizeof need[0]; k++)
            found += !memcmp(t, need[k], 4);
    }
    return found == sizeof need / sizeof need[0];
}

static bool check_files(const struct font_set *set, struct err *e)
{
    for (int i = 0; i < FONT_N; i++) {
        struct file_map map;
        if (!map_open(set->path[i], &map, e)) return false;
        bool ok = is_truetype(map.data, map.size);
        map_close(&map);
        if (!ok)
            return err_set(e, ERR_FORMAT,
                           "%s is not a whole TrueType font; install the font again, or name "
                           "another folder with --font-dir",
                           set->path[i]);
    }
    return true;
}

bool fonts_find(const char *dir, struct font_set *out, struct err *e)
{
    *out = (struct font_set){0};
    struct found *f = calloc(1, sizeof *f);
    if (!f) return err_nomem(e, "the font search", sizeof *f);
    if (dir) scan(f, dir, 0);
    scan_under(f, "LECTERN_FONT_DIR", "");
    scan_under(f, "XDG_DATA_HOME", "/fonts");
    scan_under(f, "HOME", "/.local/share/fonts");
    scan_under(f, "HOME", "/.fonts");
    scan(f, "/usr/share/fonts", 0);
    scan(f, "/usr/local/share/fonts", 0);
    scan_under(f, "HOME", "/Library/Fonts");
    scan(f, "/Library/Fonts", 0);
    scan(f, "/System/Library/Fonts", 0);
    bool ok = choose(f, out);
    free(f);
    if (ok) return check_files(out, e);
    return err_set(e, ERR_IO,
                   "no fonts for the report: install fonts-lato, fonts-jetbrains-mono and "
                   "fonts-dejavu-core (Debian, Ubuntu), lato-fonts, jetbrains-mono-fonts and "
                   "dejavu-sans-fonts (Fedora), ttf-lato, ttf-jetbrains-mono and ttf-dejavu "
                   "(Arch) or font-lato, font-jetbrains-mono and font-dejavu (brew), or name "
                   "their folder with --font-dir or LECTERN_FONT_DIR");
}
