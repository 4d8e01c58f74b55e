// lectern tokenize: texts on stdin, token ids on stdout. Formats that other tools read: keep them.
#include "app/options.h"
#include "base/json.h"
#include "engine/engine.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(void)
{
    printf("usage: lectern tokenize [MODEL] [OPTION]...\n\n"
           "Reads texts on standard input, separated by zero bytes, and prints a line for\n"
           "each: a JSON array of its token ids. N texts have N - 1 zero bytes between them;\n"
           "one zero byte behind the last text is allowed and adds no text. Empty input is\n"
           "one empty text: [].\n"
           "No BOS is added unless asked for. MODEL may hold only a vocabulary.\n\n"
           "  --special   recognise special tokens in the text: \"<|im_end|>\" is that token\n"
           "  --ends      with BOS in front and EOS behind where the file asks for them\n"
           "  --pieces    print objects, {\"id\":5,\"text\":\"!\"}, instead of ids. A piece of a\n"
           "              character that is not whole shows as U+FFFD\n"
           "  --help      this text\n\n"
           "example: printf 'Hello world' | lectern tokenize\n");
}

static void add_token(struct text *line, const struct vocab *v, int32_t id, bool pieces)
{
    if (!pieces) {
        text_printf(line, "%d", (int)id);
        return;
    }
    size_t size;
    const char *piece = vocab_piece(v, id, true, &size);
    text_printf(line, "{\"id\":%d,\"text\":", (int)id);
    text_json(line, piece, size, false);
    text_puts(line, "}");
}

static bool print_text(const struct vocab *v, const char *s, size_t size, unsigned flags,
                       bool pieces, struct err *e)
{
    struct tokens ids = {0};
    struct text line = {0};
    bool ok = vocab_tokenize(v, s, size, flags, &ids, e);
    if (!ok) goto done;
    text_puts(&line, "[");
    for (size_t i = 0; i < ids.n; i++) {
        if (i) text_puts(&line, ",");
        add_token(&line, v, ids.ids[i], pieces);
    }
    text_puts(&line, "]\n");
    if (line.failed)
        ok = err_nomem(e, "a line of tokens", line.size);
    else if (fwrite(line.data, 1, line.size, stdout) != line.size)
        ok = app_flush(e);
done:
    tokens_free(&ids);
    text_free(&line);
    return ok;
}

static bool tokenize(const char *model, unsigned flags, bool pieces, struct err *e)
{
    char path[2048], *input = NULL;
    size_t size;
    struct vocab *v = NULL;
    bool ok = app_model_path(model, path, sizeof path, e) && vocab_open(path, &v, e) &&
              app_read_stdin(&input, &size, e);
    if (ok && size && input[size - 1] == '\0') size--; // the zero byte behind the last text
    for (size_t at = 0; ok && at <= size;) {
        const char *zero = memchr(input + at, '\0', size - at);
        size_t n = zero ? (size_t)(zero - input) - at : size - at;
        ok = print_text(v, input + at, n, flags, pieces, e);
        at += n + 1;
    }
    free(input);
    vocab_close(v);
    return ok && app_flush(e);
}

int cmd_tokenize(int argc, char **argv)
{
    static const struct option options[] = {
        {"special", no_argument, NULL, 's'},
        {"pieces", no_argument, NULL, 'p'},
        {"ends", no_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    unsigned flags = 0;
    bool pieces = false;
    struct err e = {0};
    for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        switch (c) {
        case 's': flags |= TOK_SPECIAL; break;
        case 'e': flags |= TOK_ADD_BOS | TOK_ADD_EOS; break;
        case 'p': pieces = true; break;
        case 'h': print_help(); return app_flush(&e) ? APP_OK : app_fail(&e);
        default: return app_bad_option("tokenize", c, argv);
        }
    }
    if (argc - optind > 1)
        return app_usage("tokenize", "one MODEL only, not '%s' too", argv[optind + 1]);
    return tokenize(optind < argc ? argv[optind] : NULL, flags, pieces, &e) ? APP_OK : app_fail(&e);
}
