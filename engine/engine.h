// The engine's public face, and the only engine header that other folders include.
//
//   struct vocab   a tokenizer and chat template; exists without a device or weights
//   struct engine  a model loaded on a Vulkan device, with a KV cache for n_seqs sequences
//
// A sequence is a growing row of tokens whose keys and values are cached. engine_run appends
// tokens to one or more sequences and returns next-token logits. Nothing here prints or exits.
// An engine is used by one thread at a time; long calls poll cancel_requested() (base/cancel.h).
#ifndef LECTERN_ENGINE_H
#define LECTERN_ENGINE_H

#include "base/err.h"
#include "base/progress.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---------------------------------------------------------------- vocabulary and chat templates

struct vocab;

struct tokens { // a growing array; zero-initialise, tokens_free when done
    int32_t *ids;
    size_t n, cap;
};
bool tokens_push(struct tokens *t, int32_t id, struct err *e);
void tokens_free(struct tokens *t);

// Reads the tokenizer of a GGUF file, which may hold nothing else. Close with vocab_close.
bool vocab_open(const char *path, struct vocab **out, struct err *e);
void vocab_close(struct vocab *v);

uint32_t vocab_size(const struct vocab *v);
int32_t vocab_bos(const struct vocab *v); // -1 when the file names none
int32_t vocab_eos(const struct vocab *v); // -1 when the file names none
bool vocab_adds_bos(const struct vocab *v); // the file's rule for plain prompts
bool vocab_adds_eos(const struct vocab *v); // and for whole texts; few files ask for it
bool vocab_is_eog(const struct vocab *v, int32_t id); // ends a generation: EOS, <|eot_id|>, ...
bool vocab_is_special(const struct vocab *v, int32_t id); // control token: no text of its own

enum {
    TOK_SPECIAL = 1, // "<|im_start|>" in the text is recognised as that token
    TOK_ADD_BOS = 2, // put BOS first if the file says so and the text does not begin with it
    TOK_ADD_EOS = 4, // put EOS last if the file says so: for texts, not for prompts
};
// Appends the ids of text[0..size) to *out. Bytes that are not UTF-8 are kept as bytes.
bool vocab_tokenize(const struct vocab *v, const char *text, size_t size, unsigned flags,
                    struct tokens *out, struct err *e);

// The raw bytes of one token, which may be part of a character. with_special: control tokens
// give their names, else nothing. Borrowed until vocab_close. Ids out of range give nothing.
const char *vocab_piece(const struct vocab *v, int32_t id, bool with_special, size_t *size);

// Text of ids[0..n) as a malloc'ed string, zero-terminated; caller frees. A SentencePiece
// vocabulary's leading space is removed when the first id is at the start of the text (strip_lead).
bool vocab_detokenize(const struct vocab *v, const int32_t *ids, size_t n, bool with_special,
                      bool strip_lead, char **out, size_t *size, struct err *e);

// Text as ids come, in whole characters: a character of several tokens is held back until it is
// complete. Bytes that are not UTF-8 pass as they are, as does what is still held at the end, so
// that all calls together give exactly what vocab_detokenize gives for all ids.
struct vocab_stream { // plain state, no destructor
    const struct vocab *v;
    bool with_special;
    bool strip;   // the leading space is still to come
    char held[3]; // a character that is not complete
    size_t n_held;
};
// Receives size > 0 bytes, not zero-terminated; false ends the call that made it, with *e.
typedef bool vocab_text(void *ctx, const char *text, size_t size, struct err *e);
void vocab_stream_begin(struct vocab_stream *s, const struct vocab *v, bool with_special,
                        bool strip_lead);
bool vocab_stream_put(struct vocab_stream *s, int32_t id, vocab_text *out, void *ctx,
                      struct err *e);
bool vocab_stream_end(struct vocab_stream *s, vocab_text *out, void *ctx, struct err *e);

struct chat_message {
    const char *role; // "system", "user", "assistant"; what a function gave: "tool" or "ipython"
    const char *text;
    const char *call; // the assistant calls this function and text is its arguments, JSON; or NULL
};

// Names of chat formats, for help and sentences.
#define VOCAB_CHAT_NAMES                                                                           \
    "llama3.1, llama3, llama2, chatml, zephyr, mistral, vicuna, alpaca, deepseek, deepseek-coder, "     \
    "deepseek-r1"

struct vocab_chat_params {
    const char *name;     // one of VOCAB_CHAT_NAMES; NULL: the file's own template
    const char *tools;    // function definitions, a JSON array; NULL: none. Only "llama3.1"
    bool tools_in_system; // they stand in the system message instead of the first user's
    const char *date;     // "26 Jul 2024", for "llama3.1"; NULL: the template's fixed date, so that
                          // a chat is the same every day
    bool add_assistant;   // the assistant's opening behind the messages
};
// The name of the format recognised from the file's template, or NULL when there is none or it is
// none of those: rendering a template that is only alike would give the model other text than it
// was taught.
const char *vocab_chat_template(const struct vocab *v);
// Renders messages as the template does, byte for byte. Caller frees *out. The text holds special
// tokens by name and the BOS where the template has it: tokenize it with TOK_SPECIAL. No message,
// or a role that the format has no place for, is ERR_ARG; no known template is ERR_UNSUPPORTED.
bool vocab_chat(const struct vocab *v, const struct vocab_chat_params *p,
                const struct chat_message *msg, size_t n, char **out, struct err *e);

// ------------------------------------------------------------------------------------- devices

struct engine_device {
    uint32_t index;   // for --device
    char name[256];   // VkPhysicalDeviceProperties.deviceName
    char driver[256]; // driver name and version text
    char type[16];    // "discrete", "integrated", "virtual", "cpu", "other"
    char uuid[33];    // deviceUUID, lower-case hex
    uint32_t tier;    // 0 to 3, see engine/ARCHITECTURE.md
    uint32_t api_version;    // VK_MAKE_API_VERSION form
    uint32_t subgroup_size;
    uint64_t heap_bytes;     // largest DEVICE_LOCAL heap
    uint64_t budget_bytes;   // VK_EXT_memory_budget of that heap, else heap_bytes
    bool budget_known;       // budget_bytes comes from the driver
    uint64_t max_buffer_range;    // maxStorageBufferRange
    uint64_t max_allocation;      // maxMemoryAllocationSize
    uint32_t max_texel_elements;  // maxTexelBufferElements
    uint32_t max_workgroup;       // maxComputeWorkGroupInvocations
    uint32_t shared_bytes;        // maxComputeSharedMemorySize
    bool unified;                 // device memory is host memory
    bool fp16, int8_dot, coopmat; // what the driver offers, whether used or not
    bool usable;
    char why_not[160];            // set when not usable
    bool measures;                // kernels are chosen by measurement there
    char kernels[256];            // those kept: "q4 split dot coop, ...": one, few and many tokens
};
// Every Vulkan device, each once (same deviceUUID counted once). Caller frees *out.
// No Vulkan at all is ERR_DEVICE with a sentence that names the packages.
bool engine_devices(struct engine_device **out, size_t *n, struct err *e);

// --------------------------------------------------------------------------------- the engine

struct engine;

// Types of the cached keys and values: 16, 32, 8.5 and 4.5 bits an element. Q8_0 and Q4_0 round
// blocks of 32 of a head as the weight types of those names do.
enum engine_kv { ENGINE_KV_F16, ENGINE_KV_F32, ENGINE_KV_Q8_0, ENGINE_KV_Q4_0, ENGINE_N_KV };
const char *engine_kv_name(enum engine_kv kv); // "f16"; NULL beyond the last

enum { ENGINE_MAX_DEVICES = 8 };

// What a device may have, and kernels do without: bits 1 << feature of engine_params.disable.
enum engine_feature {
    ENGINE_TEXEL,     // reads through texel buffers instead of storage buffers
    ENGINE_SUBGROUPS, // shuffles in attention
    ENGINE_FP16,      // arithmetic with 16 bits
    ENGINE_INT_DOT,   // integer dot products
    ENGINE_COOPMAT,   // cooperative matrices
    ENGINE_N_FEATURES
};
const char *engine_feature_name(enum engine_feature f); // "texel" ...; NULL beyond the last
enum { ENGINE_MAX_TIER = 3 };

struct engine_device_plan { // what a device gets
    struct engine_device device;
    uint64_t budget_bytes; // that may be taken: free memory less a margin, or max_bytes
    uint32_t first_layer, n_layers, n_resident; // the others are streamed from the file
    uint64_t weight_bytes;  // resident layers and, on the last device, the output matrix
    uint64_t stream_bytes;  // two slots for streamed layers
    uint64_t lora_bytes, kv_bytes, scratch_bytes;
    uint64_t total_bytes;   // the sum of these five: to the byte what the allocator will report
    uint64_t staging_bytes; // host memory besides
    uint64_t streamed_file_bytes; // read from the file for every pass
};

struct engine_layout { // what lives where, decided before anything is allocated
    struct engine_device_plan device[ENGINE_MAX_DEVICES];
    uint32_t n_devices, n_layers, n_seqs;
    uint32_t n_ctx, n_batch, n_pass; // as they will be; n_pass tokens share one reading of what is
                                     // streamed
    bool smaller_ctx, smaller_batch; // than asked for, so that it fits
    bool refused;  // a device refused what should have fitted: this is the next try
    double read_bytes_s;   // modelled from a copy on the device: reading resident weights; 0: unknown
    double stream_bytes_s; // measured on a piece of the file: reading and repacking; 0: not needed
    double token_s;        // modelled from both; 0: unknown
};

struct engine_lora { // a LoRA adapter (GGUF) for the model; its scale may be negative, 0: unused
    const char *path;
    float scale;
};

struct engine_params {
    const char *model_path;
    const char *device;  // NULL: best usable; else an index or part of a name; several with commas
                         // between share the layers, in this order
    uint64_t max_bytes[ENGINE_MAX_DEVICES]; // of device memory, one a device; 0: what is free
    void (*on_layout)(void *ctx, const struct engine_layout *l); // may be NULL: called before memory
    void *on_layout_ctx;                                         // is taken, at every try
    enum engine_kv kv;
    uint32_t n_ctx;      // positions per sequence; 0: the smaller of training length and 4,096
    uint32_t n_seqs;     // sequences; 0: 1
    uint32_t n_batch;    // most tokens computed at once; 0: 512. Lowered to what fits
    const struct engine_lora *loras; // [n_loras] summed; read during engine_open only
    uint32_t n_loras;
    bool tier_given;     // take kernels of tiers up to `tier`, the highest that the device can run;
    uint32_t tier;       // else each device's fastest, by a measurement that is kept
    uint32_t disable;    // features to do without
    bool tile_cache;     // keep repacked weights on disk: model/tile_cache.h
    bool validate;       // Khronos validation layer; any message fails the call that caused it
    struct progress *progress; // of engine_open, may be NULL
    struct progress *pass_progress; // of prompts that take more than a second, may be NULL
};

struct engine_info {
    char name[128];      // general.name or the file's base name
    char arch[32];       // "llama"
    char file_type[32];  // the most common weight type by bytes: "Q4_1"
    uint64_t n_params;   // exact, from the tensors
    uint64_t weight_bytes_file;   // tensor data in the file
    uint64_t weight_bytes_device; // of what stays there, after repacking
    uint64_t weight_bytes_token;  // of them read for one token
    uint64_t kv_bytes, scratch_bytes;
    uint64_t lora_bytes; // of adapters on the device
    uint32_t n_loras;
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
    uint32_t n_ctx_train, n_ctx, n_seqs, n_batch;
    uint32_t n_devices, n_resident; // layers that are not streamed, on all devices
    float rope_theta, norm_eps;
    bool tied_output;
    char load_path[16];  // how kernels read weights: "texel" or "ssbo"
    double load_s;       // seconds that engine_open took
    char warning[256];   // a sentence for the user about this model with these parameters, or ""
};

// What engine_open would do: opens the devices, reads the file's header, takes no memory for the
// model.
bool engine_lay_out(const struct engine_params *p, struct engine_layout *out, struct err *e);

// Where a device refuses memory that should have been there, less is tried (on_layout tells what):
// fewer tokens a batch, streamed layers, less context.
bool engine_open(const struct engine_params *p, struct engine **out, struct err *e);
void engine_close(struct engine *g);
const struct engine_info *engine_info(const struct engine *g);        // borrowed
const struct engine_device *engine_device(const struct engine *g);    // the first one, borrowed
const struct vocab *engine_vocab(const struct engine *g);             // borrowed

enum engine_logits { LOGITS_NONE, LOGITS_LAST, LOGITS_ALL };

struct engine_item { // append n tokens to sequence seq
    uint32_t seq;
    const int32_t *tokens;
    size_t n;
    enum engine_logits want;
};
// Runs all items, mixed prefill and decode, in as few passes as n_batch allows. A sequence
// appears at most once. logits: [rows, n_vocab] f32, row-major, one row for a LAST item and n
// rows for an ALL item, in item order; NULL when no item wants any. On failure the sequences
// named keep the length they had. A sequence that would pass n_ctx is ERR_ARG.
bool engine_run(struct engine *g, const struct engine_item *items, size_t n_items, float *logits,
                struct err *e);

// The same, but of each row only the id of the largest logit, the lowest of equal ones: where the
// device has memory of its own, no row leaves it.
bool engine_run_greedy(struct engine *g, const struct engine_item *items, size_t n_items,
                       int32_t *ids, struct err *e);

uint32_t engine_seq_len(const struct engine *g, uint32_t seq);
// Forgets all but the first n positions. n above the length is ERR_ARG.
bool engine_seq_truncate(struct engine *g, uint32_t seq, uint32_t n, struct err *e);
// dst becomes the first n positions of src. Nothing is computed: both share the cached rows until
// one of them writes behind the n, which copies at most 32 positions.
bool engine_seq_copy(struct engine *g, uint32_t dst, uint32_t src, uint32_t n, struct err *e);

enum { ENGINE_PAGE = 32 }; // positions of a page of the cache
// Forgets positions [keep, keep + drop), so that there is room again: later ones move down by drop.
// keep and drop are rounded up to whole pages; more than there is is ERR_ARG. Nothing is computed anew, and the price is exactness: the keys that move are rotated to
// their new positions and rounded to the cache's type once more, and what later tokens learned of
// the forgotten ones stays in their rows. When the device fails only the first keep are left.
bool engine_seq_shift(struct engine *g, uint32_t seq, uint32_t keep, uint32_t drop, struct err *e);

// Bandwidth of the real matvec kernel over the model's largest weight matrix: bytes read, median
// seconds of `runs` runs after one warm-up run. For the hardware profile.
bool engine_matvec_speed(struct engine *g, uint32_t runs, double *bytes, double *seconds,
                         struct err *e);

struct engine_kernel { // dispatches of one kernel, specialised in one way, for one use
    char name[64];   // "matmul_q4, 1 token"
    char use[32];    // the tensor it reads, of every layer: "attn_q"; "" where it reads none
    uint64_t n;      // dispatches
    double seconds;  // of all, by the device's clock
    double bytes;    // of weights that all of them read; 0 where use is ""
};
// From here on engine_run times every dispatch, with a barrier before each, so that they do not
// overlap. ERR_UNSUPPORTED where a device has no timestamps. Costs nothing when it is not on.
bool engine_trace_begin(struct engine *g, struct err *e);
// Ends it, which is harmless where it never began. *out: what was timed since, longest first;
// caller frees.
bool engine_trace_end(struct engine *g, struct engine_kernel **out, size_t *n, struct err *e);

// Bytes a second that kernels read at best: a matvec over *bytes of zeros (256 MiB, less where there
// is no room), the fastest of f32, f16 and q8, which is *format. Of the first device.
bool engine_read_speed(struct engine *g, double *bytes_s, uint64_t *bytes, const char **format,
                       struct err *e);

// -------------------------------------------------------------------- planning without a file

// Bytes that a matrix of a GGUF type ("Q4_0") takes on the device after repacking; 0 for a type
// that is not known.
uint64_t engine_matrix_bytes(const char *type, uint64_t n_rows, uint64_t n_cols);

enum { ENGINE_PLAN_TYPES = 8 };

struct engine_plan { // first the shape, then what it takes
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
    uint32_t n_ctx, n_seqs, n_batch; // 0: 4,096 positions, 1, 512
    enum engine_kv kv;
    const char *types[ENGINE_PLAN_TYPES]; // GGUF types of the matrices, NULL behind the last: they
                                          // decide what scratch holds; none: as if all were there
    uint64_t kv_bytes, scratch_bytes; // as they are asked for: a driver may round each buffer up
};
// False where kernels cannot see a cache of this context.
bool engine_plan(const struct engine_device *d, struct engine_plan *p);

// ------------------------------------------------------------------------------- what a file holds

// Everything a GGUF file says of itself, without a device and without reading weights; files with
// weight types that Lectern cannot run open too. Caller frees *out with cJSON_Delete.
//   path file_bytes version data_offset    n_metadata n_tensors parameters tensor_bytes
//   metadata [{key, type, value}]   arrays: type "array", and element, count, value = the first 8;
//                                   a string over 512 bytes is cut and has `bytes`, its length
//   tensors  [{name, type, shape, parameters, bytes, offset}]   shape[0] is the row length; offset
//                                   from data_offset; bytes null (not counted) for unknown types
//   shards   [{path, file_bytes, data_offset, n_tensors, tensor_bytes}]   of a split model only; its
//                                   tensors have `shard`, an index of this array, too; path and
//                                   data_offset are the first shard's, file_bytes is the sum
//   types    [{type, tensors, parameters, bytes}]   largest first
// Text is mended to UTF-8. Whole numbers beyond 2^53 are cJSON_Raw; NaN and infinity are null.
bool engine_inspect(const char *path, cJSON **out, struct err *e);

// ----------------------------------------------------------------------------------- sampling

struct sampler_params {
    float temperature;  // 0: greedy
    uint32_t top_k;     // 0: all
    float top_p;        // 1: all
    float min_p;        // 0: all
    uint64_t seed;
};
struct sampler { // plain state, no destructor
    struct sampler_params p;
    uint64_t rng[4];
};
void sampler_init(struct sampler *s, const struct sampler_params *p);
// Greedy: the first index of the largest logit. Else temperature, then top-k, top-p, min-p on the
// candidates, then one draw. *id is the choice. ERR_MEMORY is possible.
bool sampler_pick(struct sampler *s, const float *logits, uint32_t n_vocab, int32_t *id,
                  struct err *e);
// The id of the largest logit, the lowest of equal ones.
int32_t logits_largest(const float *logits, uint32_t n_vocab);
// log softmax(logits)[id], computed in double.
double logits_logprob(const float *logits, uint32_t n_vocab, int32_t id);

#endif
