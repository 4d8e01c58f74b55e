// lectern inspect: all that a GGUF file says of itself. Needs no device.
#include "app/options.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

enum { OPT_JSON = OPT_OWN };
enum { KEY = 38, TYPE = 15, VALUE = 22, LINE = 74, NAME = 28, SHAPE = 16 };

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void print_help(void)
{
    printf("usage: lectern inspect FILE [--json]\n\n"
           "Every key and every tensor of a GGUF file (a path, or a model's name in the\n"
           "cache): tables of 80 columns, long values cut; or JSON with the first 8 elements\n"
           "of arrays and the first 512 bytes of texts. Any part of a split model stands for\n"
           "the whole model. Needs no device; also opens files with weight types that\n"
           "Lectern cannot run.\n\n"
           "  --json      one JSON object (engine/engine.h, engine_inspect)\n"
           "  --help      this text\n");
}

// s in at most `room` characters (the cut shows as ...), then spaces up to `pad`. Control
// characters would reach the terminal: they show as '.'.
static void print_cut(const char *s, size_t room, size_t pad)
{
    size_t n = 0, shown = 0, bytes = strlen(s);
    uint32_t cp;
    for (size_t i = 0; i < bytes; n++)
        i += utf8_decode(s + i, bytes - i, &cp);
    size_t keep = n > room ? room - 3 : n;
    for (size_t i = 0; shown < keep; shown++) {
        size_t len = utf8_decode(s + i, bytes - i, &cp);
        if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            putchar('.');
        else
            fwrite(s + i, 1, len, stdout);
        i += len;
    }
    if (n > room) printf("...");
    for (shown += n > room ? 3 : 0; shown < pad; shown++)
        putchar(' ');
}

static void add_value(struct text *t, const cJSON *v, bool quote)
{
    char *s;
    if (cJSON_IsArray(v)) {
        const cJSON *item;
        cJSON_ArrayForEach(item, v)
        {
            if (item != v->child) text_puts(t, " ");
            add_value(t, item, true);
        }
    } else if (cJSON_IsString(v) && !quote) {
        text_puts(t, v->valuestring);
    } else if ((s = cJSON_PrintUnformatted(v))) {
        text_puts(t, s);
        cJSON_free(s);
    } else {
        t->failed = true;
    }
}

static bool print_kv(const cJSON *kv, struct err *e)
{
    struct text value = {0}, type = {0};
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(kv, "value");
    const char *element = json_string_or(kv, "element", NULL);
    add_value(&value, v, false);
    if (element)
        text_printf(&type, "%s[%.0f]", element, json_number_or(kv, "count", 0));
    else
        text_puts(&type, json_string_or(kv, "type", ""));
    if (element && json_number_or(kv, "count", 0) > cJSON_GetArraySize(v))
        text_puts(&value, " ...");
    bool ok = !value.failed && !type.failed;
    if (ok) {
        const char *s = value.data ? value.data : "";
        bool wrapped = strlen(s) > VALUE;
        printf("  ");
        print_cut(json_string_or(kv, "key", ""), KEY, KEY + 1);
        print_cut(type.data, TYPE, wrapped ? 0 : TYPE + 1);
        if (wrapped) printf("\n      ");
        print_cut(s, wrapped ? LINE : VALUE, 0);
        putchar('\n');
    }
    text_free(&value);
    text_free(&type);
    return ok || err_nomem(e, "a line of the table", 0);
}

// The file's name where a split model goes over to its next file. *last: shard of the line above.
static void print_shard_name(const cJSON *doc, const cJSON *t, double *last)
{
    double shard = json_number_or(t, "shard", -1);
    if (shard == *last) return;
    const cJSON *shards = cJSON_GetObjectItemCaseSensitive(doc, "shards");
    const char *path = json_string_or(cJSON_GetArrayItem(shards, (int)shard), "path", "");
    const char *base = strrchr(path, '/');
    *last = shard;
    printf("  -- ");
    print_cut(base ? base + 1 : path, LINE, 0);
    putchar('\n');
}

static bool print_tensor(const cJSON *t, struct err *e)
{
    struct text shape = {0};
    const cJSON *n, *dims = cJSON_GetObjectItemCaseSensitive(t, "shape");
    const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(t, "bytes");
    cJSON_ArrayForEach(n, dims)
    {
        text_printf(&shape, "%s%.0f", n == dims->child ? "" : "x", n->valuedouble);
    }
    if (!shape.failed) {
        printf("  ");
        print_cut(json_string_or(t, "name", ""), NAME, NAME + 1);
        printf("%-7.7s ", json_string_or(t, "type", ""));
        print_cut(shape.data, SHAPE, SHAPE);
        if (cJSON_IsNumber(bytes))
            printf(" %11.0f", bytes->valuedouble);
        else
            printf(" %11s", "?");
        printf(" %12.0f\n", json_number_or(t, "offset", 0));
    }
    bool ok = !shape.failed || err_nomem(e, "a line of the table", 0);
    text_free(&shape);
    return ok;
}

static void print_types(const cJSON *doc)
{
    const cJSON *t;
    double total = json_number_or(doc, "tensor_bytes", 0);
    printf("\n  %-9s %9s %20s %20s %8s\n", "type", "tensors", "parameters", "bytes", "share");
    cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(doc, "types"))
    {
        const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(t, "bytes");
        printf("  %-9s %9.0f %20.0f", json_string_or(t, "type", ""),
               json_number_or(t, "tensors", 0), json_number_or(t, "parameters", 0));
        if (cJSON_IsNumber(bytes))
            printf(" %20.0f %6.1f %%\n", bytes->valuedouble, 100 * bytes->valuedouble / total);
        else
            printf(" %20s\n", "? (unknown type)");
    }
    printf("  %-9s %9.0f %20.0f %20.0f\n", "all", json_number_or(doc, "n_tensors", 0),
           json_number_or(doc, "parameters", 0), total);
}

static void print_head(const cJSON *doc)
{
    const cJSON *s, *shards = cJSON_GetObjectItemCaseSensitive(doc, "shards");
    if (!shards) print_cut(json_string_or(doc, "path", ""), 80, 0);
    cJSON_ArrayForEach(s, shards)
    {
        print_cut(json_string_or(s, "path", ""), 80, 0);
        printf("\n    %.0f bytes, data from byte %.0f, %.0f tensors%s",
               json_number_or(s, "file_bytes", 0), json_number_or(s, "data_offset", 0),
               json_number_or(s, "n_tensors", 0), s->next ? "\n" : "");
    }
    printf("\nGGUF version %.0f, %.0f bytes", json_number_or(doc, "version", 0),
           json_number_or(doc, "file_bytes", 0));
    if (shards)
        printf(" in %d files\n\n", cJSON_GetArraySize(shards));
    else
        printf(", data from byte %.0f\n\n", json_number_or(doc, "data_offset", 0));
}

static bool print_tables(const cJSON *doc, struct err *e)
{
    const cJSON *item;
    double shard = -1; // none: the tensors of a single file have no index
    print_head(doc);
    printf("  %-*s %-*s value (%.0f keys)\n", KEY, "key", TYPE, "type",
           json_number_or(doc, "n_metadata", 0));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, "metadata"))
    {
        if (!print_kv(item, e)) return false;
    }
    if (json_number_or(doc, "n_tensors", 0) == 0) {
        printf("\n  no tensors: a vocabulary or metadata only\n");
        return true;
    }
    printf("\n  %-*s %-7s %-*s %11s %12s\n", NAME, "tensor", "type", SHAPE, "shape", "bytes",
           "offset");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, "tensors"))
    {
        print_shard_name(doc, item, &shard);
        if (!print_tensor(item, e)) return false;
    }
    print_types(doc);
    return true;
}

static bool run(const char *file, bool json, struct err *e)
{
    char path[4096];
    cJSON *doc;
    if (!app_model_path(file, path, sizeof path, e)) return false;
    if (!engine_inspect(path, &doc, e)) return false;
    bool ok = true;
    if (json) {
        char *text = cJSON_Print(doc);
        ok = text || err_nomem(e, "the JSON text", 0);
        if (text) printf("%s\n", text);
        cJSON_free(text);
    } else {
        ok = print_tables(doc, e);
    }
    cJSON_Delete(doc);
    return ok && app_flush(e);
}

int cmd_inspect(int argc, char **argv)
{
    struct err e = {0};
    bool json = false;
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h') {
            print_help();
            return app_flush(&e) ? APP_OK : app_fail(&e);
        }
        if (c == '?' || c == ':') return app_bad_option("inspect", c, argv);
        json = true;
    }
    const char *file;
    int status = app_one_model("inspect", argc, argv, &file);
    if (status != APP_OK) return status;
    if (!file) return app_usage("inspect", "FILE is missing");
    return run(file, json, &e) ? APP_OK : app_fail(&e);
}
