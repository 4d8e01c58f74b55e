// Options that every command with a model takes.
#ifndef LECTERN_OPTIONS_H
#define LECTERN_OPTIONS_H

#include "app/app.h"
#include "engine/engine.h"

#include <getopt.h>

enum { // beyond every character
    OPT_DEVICE = 256,
    OPT_CTX,
    OPT_KV,
    OPT_BATCH,
    OPT_VALIDATE,
    OPT_QUIET,
    OPT_LORA,
    OPT_MAX_VRAM,
    OPT_PLAN,
    OPT_TILE_CACHE,
    OPT_TIER,
    OPT_DISABLE,
    OPT_GREEDY,
    OPT_TEMP,
    OPT_TOP_K,
    OPT_TOP_P,
    OPT_MIN_P,
    OPT_SEED,
    OPT_OWN // a command's own options start here
};

#define APP_ENGINE_OPTIONS                                                                         \
    {"batch", required_argument, NULL, OPT_BATCH}, APP_ENGINE_OPTIONS_BUT_BATCH

#define APP_ENGINE_OPTIONS_BUT_BATCH                                                               \
    {"device", required_argument, NULL, OPT_DEVICE}, {"ctx", required_argument, NULL, OPT_CTX},    \
        {"kv", required_argument, NULL, OPT_KV}, {"validate", no_argument, NULL, OPT_VALIDATE},    \
        {"quiet", no_argument, NULL, OPT_QUIET}, {"lora", required_argument, NULL, OPT_LORA},      \
        {"max-vram", required_argument, NULL, OPT_MAX_VRAM},                                       \
        {"plan", optional_argument, NULL, OPT_PLAN},                                               \
        {"tile-cache", no_argument, NULL, OPT_TILE_CACHE},                                         \
        {"tier", required_argument, NULL, OPT_TIER},                                               \
        {"disable", required_argument, NULL, OPT_DISABLE},                                         \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }

#define APP_ENGINE_HELP_PLACE                                                                      \
    "  --device D      Vulkan device: a number or part of its name (lectern devices);\n"           \
    "                  D,D,... shares the layers over several\n"                                   \
    "  --max-vram S    most memory to take on it, as 4G or 900M; S,S,... for several\n"            \
    "                  (default: what is free); layers beyond are streamed from disk\n"            \
    "  --plan[=json]   print what would lie where, byte for byte, and end\n"                       \
    "  --ctx N         positions of context (default: the model's, at most 4096)\n"                \
    "  --kv TYPE       of the key/value cache: f16 (default), f32, q8_0 or q4_0\n"

#define APP_ENGINE_HELP_REST                                                                       \
    "  --lora FILE[:S] LoRA adapter (GGUF) with scale S (default 1); may be repeated\n"            \
    "  --tile-cache    keep weights on disk as the device wants them: loads and\n"                 \
    "                  streams faster, takes about as much disk as the model\n"                    \
    "  --tier N        kernels of tiers up to N, 0 to 3, without measuring which is\n"             \
    "                  fastest: 1 subgroups, 2 integer dot, 3 cooperative matrices\n"              \
    "  --disable F     do without a feature of the device: texel, subgroups, fp16,\n"              \
    "                  int-dot or coopmat; F,F,... for several\n"                                  \
    "  --validate      Khronos validation layer on; any message is a failure\n"                    \
    "  --quiet         no progress on standard error\n"

#define APP_ENGINE_HELP_BUT_BATCH APP_ENGINE_HELP_PLACE APP_ENGINE_HELP_REST
#define APP_ENGINE_HELP                                                                            \
    APP_ENGINE_HELP_PLACE                                                                          \
    "  --batch N       most tokens computed at once (default 512)\n" APP_ENGINE_HELP_REST

#define APP_SAMPLING_OPTIONS                                                                       \
    {"greedy", no_argument, NULL, OPT_GREEDY}, {"temp", required_argument, NULL, OPT_TEMP},        \
        {"top-k", required_argument, NULL, OPT_TOP_K},                                             \
        {"top-p", required_argument, NULL, OPT_TOP_P},                                             \
        {"min-p", required_argument, NULL, OPT_MIN_P},                                             \
    {                                                                                              \
        "seed", required_argument, NULL, OPT_SEED                                                  \
    }

#define APP_SAMPLING_HELP                                                                          \
    "  --greedy        always the likeliest token, as --temp 0\n"                                  \
    "  --temp T        temperature, 0 to 10; 0 is greedy\n"                                        \
    "  --top-k N  --top-p P  --min-p P   keep fewer candidates\n"                                  \
    "  --seed N        of the random choice (default 0)\n"

enum { APP_MAX_LORAS = 8, APP_LORA_PATH = 1024 };

struct app_engine {
    struct engine_params p;
    struct progress progress, pass;
    enum { PLAN_NO, PLAN_TABLE, PLAN_JSON } plan;
    char path[4096];
    struct engine_lora loras[APP_MAX_LORAS];
    char lora_paths[APP_MAX_LORAS][APP_LORA_PATH];
    char lora_text[APP_MAX_LORAS * (APP_LORA_PATH + 16)]; // "FILE:SCALE,..." for records
};

void app_engine_init(struct app_engine *a);
// Takes one of APP_ENGINE_OPTIONS; a bad value is an error. c is getopt_long's result.
bool app_engine_option(struct app_engine *a, int c, const char *arg, struct err *e);
// The same for APP_SAMPLING_OPTIONS; *taken tells whether c was one of them.
bool app_sampling_option(struct sampler_params *s, int c, const char *arg, bool *taken,
                         struct err *e);
// Resolves the model's name (NULL: the default) and opens it. With --plan it prints the plan and
// ends the program.
bool app_engine_open(struct app_engine *a, const char *model, struct engine **out, struct err *e);

// The same for the harness: with sequences for n_seqs prompts at once and the shots they share, or,
// where memory does not allow it, fewer.
bool app_engine_open_eval(struct app_engine *a, const char *model, uint32_t n_seqs,
                          struct engine **out, struct err *e);

// What getopt_long means with '?' or ':': one sentence that names the option, APP_USAGE. The
// command's option string begins with ':', so that getopt_long itself prints nothing.
int app_bad_option(const char *command, int c, char **argv);

// What getopt_long left: at most one positional argument, else APP_USAGE after a sentence.
// *model is NULL when there is none.
int app_one_model(const char *command, int argc, char **argv, const char **model);

#endif
