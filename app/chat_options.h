// Options of commands that render a conversation with a chat template: run --chat and chat.
#ifndef LECTERN_CHAT_OPTIONS_H
#define LECTERN_CHAT_OPTIONS_H

#include "app/options.h"

enum { OPT_SYSTEM = OPT_OWN + 64, OPT_TEMPLATE, OPT_TOOLS, OPT_TOOLS_IN_SYSTEM, OPT_DATE };

#define APP_CHAT_OPTIONS                                                                           \
    {"system", required_argument, NULL, OPT_SYSTEM},                                               \
        {"chat-template", required_argument, NULL, OPT_TEMPLATE},                                  \
        {"tools", required_argument, NULL, OPT_TOOLS},                                             \
        {"tools-in-system", no_argument, NULL, OPT_TOOLS_IN_SYSTEM},                               \
    {                                                                                              \
        "date", required_argument, NULL, OPT_DATE                                                  \
    }

#define APP_CHAT_HELP                                                                              \
    "  --system TEXT   system message\n"                                                           \
    "  --chat-template NAME  instead of the file's own, one of:\n"                                 \
    "                  llama3.1, llama3, llama2, chatml, zephyr, mistral, vicuna,\n"               \
    "                  alpaca, deepseek, deepseek-coder, deepseek-r1\n"                            \
    "  --tools FILE    functions that the model may call, a JSON array of definitions\n"           \
    "                  (template llama3.1)\n"                                                      \
    "  --tools-in-system  name them in the system message, not in the first user's\n"              \
    "  --date TEXT     today for llama3.1, as \"26 Jul 2024\" (default: the template's)\n"

struct app_chat {
    const char *system;
    struct vocab_chat_params p;
    char *tools; // the file's text
    bool given;  // any of the options
};

// Takes one of APP_CHAT_OPTIONS; *taken tells whether c was one. app_chat_free when done.
bool app_chat_option(struct app_chat *a, int c, const char *arg, bool *taken, struct err *e);
void app_chat_free(struct app_chat *a);

#endif
