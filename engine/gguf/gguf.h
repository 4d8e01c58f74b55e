// GGUF v2 and v3: a bounded reader over a read-only map.
//
//   "GGUF" u32 version  u64 n_tensors  u64 n_kv
//   n_kv     x { string key, u32 type, value }          string = u64 length + bytes
//   n_tensors x { string name, u32 n_dims, u64 ne[n_dims], u32 type, u64 offset }
//   padding to general.alignment (32)   tensor data
//
// Everything is checked before it is used: a hostile file gives ERR_FORMAT, never a crash, and
// memory grows only with records that are really there. A weight type that Lectern cannot read is
// ERR_UNSUPPORTED and names the tensor. Little-endian files only (a swapped version says so).
//
// A model split over files NAME-00001-of-0000N.gguf opens whole from the path of any part: keys
// from the first, tensors from all.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#ifndef LECTERN_GGUF_H
#define LECTERN_GGUF_H

#include "base/err.h"
#include "base/map.h"
#include "engine/gguf/quant.h"

#include <stddef.h>
#include <stdint.h>

enum gguf_value_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_N_VALUE_TYPES
};

struct gguf_str { // not zero-terminated; borrowed until gguf_close
    const char *s;
    size_t n;
};

struct gguf_kv {
    struct gguf_str key;
    enum gguf_value_type type;
    enum gguf_value_type elem; // of an array
    uint64_t count;            // of an array
    const unsigned char *data; // the value's bytes, already bounds-checked
    size_t size;
    uint64_t *str_at; // array of strings: offset of each length word from data; owned
};

struct gguf_tensor {
    struct gguf_str name;
    enum quant_type type;
    uint32_t n_dims;           // 1 to 4
    uint64_t ne[4];            // ne[0] = row length; unused dimensions are 1
    uint64_t n_elements;       // product of ne
    size_t size;               // bytes of data; tensors do not overlap
    const unsigned char *data; // size bytes inside the map of shards[shard]
    uint32_t shard;
};

struct gguf_shard { // a file of the model
    char *path;
    struct file_map map;
    size_t data_offset; // of the tensor data in the file
    bool borrowed;      // the map is memory of gguf_open_memory's caller
};

struct gguf_named { // an entry of an index sorted by name
    struct gguf_str name;
    size_t at;
};

struct gguf {
    char path[1024]; // of shards[0]
    struct gguf_shard *shards;
    size_t n_shards; // 1, or the parts of a split model in their order
    uint32_t version;
    struct gguf_kv *kv;
    size_t n_kv;
    struct gguf_tensor *tensors;
    size_t n_tensors; // in the order of shards
    struct gguf_named *kv_names, *tensor_names; // for gguf_find and gguf_tensor
};

bool gguf_open(const char *path, struct gguf *out, struct err *e); // caller: gguf_close
// The same for looking only: a tensor of a type that quant_info does not know keeps its number in
// `type`, and its `size` is 0.
bool gguf_open_any(const char *path, struct gguf *out, struct err *e);
// A whole file in memory, borrowed until gguf_close; `name` stands for its path in sentences. A
// part of a split model is ERR_UNSUPPORTED. any_type: as gguf_open_any.
bool gguf_open_memory(const void *data, size_t size, const char *name, bool any_type,
                      struct gguf *out, struct err *e);
void gguf_close(struct gguf *g);

// Bytes [at, at + size) of a tensor's data will not be read again (their whole pages are given
// back; reading them still works), or will be read soon. What lies beyond the tensor is ignored.
void gguf_drop(const struct gguf *g, const struct gguf_tensor *t, uint64_t at, uint64_t size);
void gguf_expect(const struct gguf *g, const struct gguf_tensor *t, uint64_t at, uint64_t size);

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key);        // or NULL
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name); // or NULL

// Required values: missing or of the wrong kind is ERR_FORMAT naming file and key. Integers of
// any width are accepted if they fit. *_or gives the default when the key is missing.
bool gguf_u32(const struct gguf *g, const char *key, uint32_t *out, struct err *e);
bool gguf_u32_or(const struct gguf *g, const char *key, uint32_t fallback, uint32_t *out,
                 struct err *e);
bool gguf_f32_or(const struct gguf *g, const char *key, float fallback, float *out, struct err *e);
bool gguf_bool_or(const struct gguf *g, const char *key, bool fallback, bool *out, struct err *e);
bool gguf_string(const struct gguf *g, const char *key, struct gguf_str *out, struct err *e);

// Element i of an array value. Strings and numbers; empty or 0 when the array holds no such
// element (i out of range, another type, an integer above INT64_MAX).
struct gguf_str gguf_array_string(const struct gguf_kv *kv, uint64_t i);
int64_t gguf_array_int(const struct gguf_kv *kv, uint64_t i);
float gguf_array_f32(const struct gguf_kv *kv, uint64_t i);

// A text of the file for a sentence: cut, without bytes that a terminal would obey. Returns out.
enum { GGUF_SHOWN = 72 };
const char *gguf_show(struct gguf_str s, char out[GGUF_SHOWN]);
// For people: "u32", "string"; "Q4_1", "IQ2_XS", or "type 99".
const char *gguf_value_name(enum gguf_value_type type);
enum { GGUF_TEXT = 40 };
const char *gguf_weight_name(uint32_t type, char out[GGUF_TEXT]);
// A number or truth value (element i of an array, 0 else) in JSON's spelling: whole numbers exactly,
// others with the fewest digits that read back the same, "null" where JSON has no word.
void gguf_number_text(const struct gguf_kv *kv, uint64_t i, char out[GGUF_TEXT]);

#endif
