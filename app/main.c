// lectern: one binary, a subcommand a step.
#include "app/app.h"
#include "base/cancel.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct app_command commands[] = {
    {"study", "measure, score and plan: the whole way to plan.pdf", cmd_study},
    {"devices", "Vulkan devices, what they offer, hardware.json", cmd_devices},
    {"run", "generate text from a prompt", cmd_run},
    {"chat", "talk to a model", cmd_chat},
    {"bench", "speed of a model: prompts, decoding, single kernels", cmd_bench},
    {"perplexity", "how well a model predicts a text", cmd_perplexity},
    {"eval", "score a model on mmlu, gsm8k, humaneval", cmd_eval},
    {"plan", "plan.json and prompt.txt from results, hardware and learner", cmd_plan},
    {"report", "plan.pdf from plan.json", cmd_report},
    {"inspect", "all metadata and tensors of a GGUF file", cmd_inspect},
    {"tokenize", "texts on stdin to token ids", cmd_tokenize},
    {"logits", "next-token logits as JSON", cmd_logits},
    {"extract", "apply a task's answer filter to responses on stdin", cmd_extract},
    {"sandbox", "run a Python program in the sandbox and judge it", cmd_sandbox},
};

static void print_help(FILE *f)
{
    fprintf(f, "Lectern runs Llama models on Vulkan, scores them, and writes a learning plan.\n\n"
               "usage: lectern COMMAND [OPTION]...\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(f, "\nlectern COMMAND --help tells the options of one. MODEL is a path or a name in\n"
               "the cache; left out, it is the default model (SmolLM2-135M-Instruct, Q4_1).\n"
               "Start with: lectern study\n");
}

// A mapped model that shrinks or whose disk fails while it is read: nothing can go on.
static void on_bus_error(int sig)
{
    static const char sentence[] =
        "lectern: a file became shorter or unreadable while it was read; fetch it again\n";
    (void)sig;
    if (write(STDERR_FILENO, sentence, sizeof sentence - 1) < 0) _exit(APP_FAILED);
    _exit(APP_FAILED);
}

// A --help that found no room on the disk has failed too.
static int finish(int status)
{
    struct err e = {0};
    return status != APP_OK || app_flush(&e) ? status : app_fail(&e);
}

int main(int argc, char **argv)
{
    signal(SIGBUS, on_bus_error);
    setlocale(LC_CTYPE, ""); // line editing needs it; numbers stay in the C locale
    cancel_install();
    const char *name = argc > 1 ? argv[1] : "--help";
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help(argc > 1 ? stdout : stderr);
        return finish(argc > 1 ? APP_OK : APP_USAGE);
    }
    if (!strcmp(name, "--version")) {
        printf("lectern %s\n", LECTERN_VERSION);
        return finish(APP_OK);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(name, commands[i].name)) return finish(commands[i].run(argc - 1, argv + 1));
    fprintf(stderr, "lectern: there is no command '%s'\ntry: lectern --help\n", name);
    return APP_USAGE;
}
