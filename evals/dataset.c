// Files of a data set, from a folder or from the archive inside the binary (pack.c writes it:
// for each file "NAME SIZE\n" and the bytes).
#include "evals/dataset.h"
#include "base/file.h"

#include <csv.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

extern const unsigned char eval_bundle[]; // built from evals/data
extern const size_t eval_bundle_size;

static const size_t max_file_bytes = (size_t)256 << 20;

// ------------------------------------------------------------------------------ the archive

struct bundle_file {
    const char *name, *data;
    size_t name_size, size;
};

// Steps *at to the next file; false at the end. The archive is ours, so its form is trusted.
static bool bundle_next(const char **at, struct bundle_file *f)
{
    const char *end = (const char *)eval_bundle + eval_bundle_size;
    if (*at >= end) return false;
    const char *space = memchr(*at, ' ', (size_t)(end - *at));
    char *nl;
    f->name = *at;
    f->name_size = (size_t)(space - *at);
    f->size = strtoul(space + 1, &nl, 10);
    f->data = nl + 1;
    *at = f->data + f->size;
    return true;
}

static bool bundle_find(const char *name, struct bundle_file *f)
{
    const char *at = (const char *)eval_bundle;
    while (bundle_next(&at, f))
        if (f->name_size == strlen(name) && !memcmp(f->name, name, f->name_size)) return true;
    return false;
}

// ------------------------------------------------------------------------------------ reading

static bool unpack(const char *path, const char *data, size_t size, char **out, size_t *out_size,
                   struct err *e)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size};
    size_t cap = size * 8 + 65536, n = 0;
    int rc = Z_OK;
    *out = NULL;
    if (inflateInit2(&z, 15 + 32) != Z_OK) return err_nomem(e, path, cap);
    while (rc == Z_OK && n < max_file_bytes) {
        if (!*out || n == cap) {
            if (*out) cap *= 2;
            char *grown = realloc(*out, cap + 1);
            if (!grown) break;
            *out = grown;
        }
        size_t room = cap - n;
        z.next_out = (Bytef *)*out + n;
        z.avail_out = (uInt)room;
        rc = inflate(&z, Z_NO_FLUSH);
        n += room - z.avail_out;
    }
    inflateEnd(&z);
    if (rc == Z_STREAM_END) {
        (*out)[n] = '\0';
        *out_size = n;
        return true;
    }
    free(*out);
    *out = NULL;
    return err_set(e, ERR_FORMAT, "%s is not a whole gzip file; fetch it again", path);
}

static bool read_dir_file(const struct data_source *src, const char *name, char **out, size_t *size,
                          struct err *e)
{
    char path[4096], *packed;
    size_t packed_size;
    if (!file_path(path, sizeof path, e, "%s/%s", src->dir, name)) return false;
    if (file_exists(path)) return file_read(path, max_file_bytes, out, size, e);
    if (!file_path(path, sizeof path, e, "%s/%s.gz", src->dir, name)) return false;
    if (!file_exists(path))
        return err_set(e, ERR_IO,
                       "there is no %s in %s: --data needs the official files laid out as "
                       "mmlu/{dev,test}/*.csv, gsm8k/{train,test}.jsonl, humaneval/HumanEval.jsonl",
                       name, src->dir);
    if (!file_read(path, max_file_bytes, &packed, &packed_size, e)) return false;
    bool ok = unpack(path, packed, packed_size, out, size, e);
    free(packed);
    return ok;
}

bool data_read(const struct data_source *src, const char *name, char **out, size_t *size,
               struct err *e)
{
    *out = NULL;
    *size = 0;
    if (src->dir) return read_dir_file(src, name, out, size, e);
    struct bundle_file f;
    if (!bundle_find(name, &f))
        return err_set(e, ERR_INTERNAL, "the bundled sets have no file %s", name);
    *out = malloc(f.size + 1);
    if (!*out) return err_nomem(e, name, f.size);
    memcpy(*out, f.data, f.size);
    (*out)[f.size] = '\0';
    *size = f.size;
    return true;
}

bool data_exists(const struct data_source *src, const char *name)
{
    char path[4096];
    struct bundle_file f;
    if (!src->dir) return bundle_find(name, &f);
    return file_path(path, sizeof path, NULL, "%s/%s", src->dir, name) && file_exists(path);
}

// ------------------------------------------------------------------------------------ listing

static bool names_add(struct data_names *out, const char *name, size_t n, struct err *e)
{
    char **grown = realloc(out->names, (out->n + 1) * sizeof *grown);
    if (grown) out->names = grown;
    char *copy = grown ? strndup(name, n) : NULL;
    if (!copy) return err_nomem(e, "file names", n);
    out->names[out->n++] = copy;
    return true;
}

// The part of name[0..n) before suffix, when it ends so and has one.
static size_t stem(const char *name, size_t n, const char *suffix)
{
    size_t s = strlen(suffix);
    return n > s && !memcmp(name + n - s, suffix, s) ? n - s : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool list_bundle(const char *sub, const char *suffix, struct data_names *out, struct err *e)
{
    struct bundle_file f;
    size_t skip = strlen(sub) + 1;
    for (const char *at = (const char *)eval_bundle; bundle_next(&at, &f);) {
        if (f.name_size <= skip || memcmp(f.name, sub, skip - 1) || f.name[skip - 1] != '/')
            continue;
        size_t n = stem(f.name + skip, f.name_size - skip, suffix);
        if (n && !names_add(out, f.name + skip, n, e)) return false;
    }
    return true;
}

static bool list_dir(const char *dir, const char *sub, const char *suffix, struct data_names *out,
                     struct err *e)
{
    char path[4096];
    if (!file_path(path, sizeof path, e, "%s/%s", dir, sub)) return false;
    DIR *d = opendir(path);
    if (!d) return err_set(e, ERR_IO, "cannot open the folder %s: %s", path, strerror(errno));
    bool ok = true;
    for (struct dirent *ent; ok && (ent = readdir(d));) {
        size_t n = stem(ent->d_name, strlen(ent->d_name), suffix);
        if (n) ok = names_add(out, ent->d_name, n, e);
    }
    closedir(d);
    return ok;
}

bool data_list(const struct data_source *src, const char *sub, const char *suffix,
               struct data_names *out, struct err *e)
{
    *out = (struct data_names){0};
    bool ok = src->dir ? list_dir(src->dir, sub, suffix, out, e) : list_bundle(sub, suffix, out, e);
    if (ok && !out->n)
        ok = err_set(e, ERR_IO, "no file *%s in %s/%s", suffix, src->dir ? src->dir : "the bundle",
                     sub);
    if (!ok)
        data_names_free(out);
    else
        qsort(out->names, out->n, sizeof *out->names, compare_names);
    return ok;
}

void data_names_free(struct data_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct data_names){0};
}

// ----------------------------------------------------------------------------------- manifest

bool data_manifest_add(struct data_manifest *m, const char *name, const char *data, size_t size,
                       struct err *e)
{
    char hex[SHA256_HEX_SIZE];
    if (!sha256_hex(data, size, hex, e)) return false;
    text_printf(&m->lines, "%s  %s\n", hex, name);
    return !m->lines.failed || err_nomem(e, "the list of files", m->lines.cap);
}

bool data_manifest_hash(const struct data_manifest *m, char out[SHA256_HEX_SIZE], struct err *e)
{
    return sha256_hex(m->lines.data, m->lines.size, out, e);
}

void data_manifest_free(struct data_manifest *m)
{
    text_free(&m->lines);
}

// ---------------------------------------------------------------------------------------- CSV

struct csv_build {
    struct csv_table *table;
    struct csv_row row;
    bool failed;
};

static void on_field(void *data, size_t size, void *ctx)
{
    struct csv_build *b = ctx;
    char **grown = realloc(b->row.fields, (b->row.n + 1) * sizeof *grown);
    if (grown) b->row.fields = grown;
    char *copy = grown ? malloc(size + 1) : NULL;
    if (!copy) {
        b->failed = true;
        return;
    }
    if (size) memcpy(copy, data, size);
    copy[size] = '\0';
    b->row.fields[b->row.n++] = copy;
}

static void on_row(int terminator, void *ctx)
{
    (void)terminator;
    struct csv_build *b = ctx;
    struct csv_table *t = b->table;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct csv_row *grown = realloc(t->rows, cap * sizeof *grown);
        if (!grown) {
            b->failed = true;
            return;
        }
        t->rows = grown;
        t->cap = cap;
    }
    t->rows[t->n++] = b->row;
    b->row = (struct csv_row){0};
}

// libcsv strips blanks around bare fields unless told that nothing is a blank.
static int no_space(unsigned char c)
{
    (void)c;
    return 0;
}

static void row_free(struct csv_row *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->fields[i]);
    free(r->fields);
    *r = (struct csv_row){0};
}

bool csv_read(const char *data, size_t size, const char *name, struct csv_table *out, struct err *e)
{
    struct csv_build b = {.table = out};
    struct csv_parser p;
    *out = (struct csv_table){0};
    if (csv_init(&p, CSV_STRICT | CSV_STRICT_FINI)) return err_nomem(e, name, size);
    csv_set_space_func(&p, no_space);
    bool ok = csv_parse(&p, data, size, on_field, on_row, &b) == size &&
              csv_fini(&p, on_field, on_row, &b) == 0;
    if (!ok)
        err_set(e, ERR_FORMAT, "%s: row %zu is not CSV: %s", name, out->n + 1,
                csv_strerror(csv_error(&p)));
    if (ok && b.failed) ok = err_nomem(e, name, size);
    csv_free(&p);
    row_free(&b.row);
    if (!ok) csv_table_free(out);
    return ok;
}

void csv_table_free(struct csv_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        row_free(&t->rows[i]);
    free(t->rows);
    *t = (struct csv_table){0};
}

// -------------------------------------------------------------------------------------- JSONL

cJSON *jsonl_parse(const char *data, size_t size, const char *name, struct err *e)
{
    cJSON *all = cJSON_CreateArray();
    size_t line = 0;
    for (size_t at = 0; all && at < size;) {
        const char *nl = memchr(data + at, '\n', size - at);
        size_t n = nl ? (size_t)(nl - data) - at : size - at;
        line++;
        if (n && strspn(data + at, " \t\r") < n) {
            char where[4200];
            (void)snprintf(where, sizeof where, "%.4000s line %zu", name, line);
            cJSON *obj = json_parse(data + at, n, where, e);
            if (obj && !cJSON_IsObject(obj)) {
                cJSON_Delete(obj);
                obj = NULL;
                err_set(e, ERR_FORMAT, "%s is not a JSON object", where);
            }
            if (!obj) {
                cJSON_Delete(all);
                return NULL;
            }
            cJSON_AddItemToArray(all, obj);
        }
        at += n + 1;
    }
    if (!all) err_nomem(e, name, size);
    return all;
}
