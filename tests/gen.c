// The list of tensors, the files they go to, and their bytes.
#include "tests/gen.h"
#include "base/cancel.h"
#include "base/file.h"
#include "base/half.h"
#include "base/size.h"
#include "fit/sizes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PIECE = 8 << 20, ALIGNMENT = 32, MAX_FILES = 99999, PATH_BYTES = 4096 };

// ------------------------------------------------------------------------------------ shapes

// "Llama 3.1 8B" and "llama-3.1-8b" are the same name.
static bool same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == ' ' || *a == '-')
            a++;
        while (*b == ' ' || *b == '-')
            b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (!*a) return true;
    }
}

static void take_shape(const struct fit_model *f, struct gen_model *g)
{
    struct tiny_model *m = &g->m;
    m->n_layers = f->n_layers;
    m->n_embd = f->n_embd;
    m->n_heads = f->n_heads;
    m->n_kv_heads = f->n_kv_heads;
    m->head_dim = f->head_dim;
    m->n_ff = f->n_ff;
    m->n_vocab = f->n_vocab;
    m->n_ctx = f->n_ctx_train;
    m->tied_output = f->tied;
    m->rope_theta = f->rope_theta;
    m->norm_eps = f->norm_eps;
    m->llama3_factor = f->rope_factor > 1 ? f->rope_factor : 0;
    m->vocab = f->n_vocab > 40000 ? TINY_BPE : TINY_SPM; // Llama 1 and 2: SentencePiece, 32,000
    (void)snprintf(g->name, sizeof g->name, "%s", f->name);
}

bool gen_shape(const char *name, struct gen_model *g, struct err *e)
{
    struct fit_model *list;
    size_t n, i = 0;
    if (!fit_models(&list, &n, e)) return false;
    while (i < n && !same_name(name, list[i].name))
        i++;
    bool found = i < n;
    if (found) take_shape(&list[i], g);
    free(list);
    return found || err_set(e, ERR_ARG, "no Llama is called \"%s\"; fit/models.json has the names",
                            name);
}

// ----------------------------------------------------------------------------------- tensors

struct tensor {
    char name[64];
    enum quant_type type;
    uint64_t row, n_rows, size; // n_rows 0: one dimension, a norm or the rope factors
    uint64_t offset;            // in the data of its file
    uint32_t file;
};

struct plan {
    struct gen_model g;
    struct fit_model rule; // what the mix rules look at
    int quant;             // enum fit_quant; -1: pure
    enum quant_type pure;
    struct tensor *list;
    size_t n;
    uint32_t n_files;
    uint64_t bytes, done;
};

static bool type_by_name(const char *name, enum quant_type *type)
{
    for (uint32_t t = 0; t < 64; t++) {
        const struct quant_info *q = quant_info(t);
        if (!q || strcmp(q->name, name) != 0) continue;
        *type = (enum quant_type)t;
        return true;
    }
    return false;
}

static bool find_mix(struct plan *p, struct err *e)
{
    const char *mix = p->g.mix;
    p->quant = -1;
    if (p->g.pure || !mix) {
        const char *pure = p->g.pure ? p->g.pure : "F32";
        return type_by_name(pure, &p->pure) ||
               err_set(e, ERR_ARG, "no weight type is called \"%s\"", pure);
    }
    for (int q = 0; q < FIT_N_QUANTS; q++)
        if (!strcmp(fit_quant_name((enum fit_quant)q), mix)) p->quant = q;
    return p->quant >= 0 ||
           err_set(e, ERR_ARG, "no mix is called \"%s\"; a single type is --pure", mix);
}

static void add(struct plan *p, const char *name, enum quant_type type, uint64_t row,
                uint64_t n_rows)
{
    struct tensor *t = &p->list[p->n++];
    size_t bytes = 0;
    (void)snprintf(t->name, sizeof t->name, "%s.weight", name);
    (void)quant_row_bytes(type, row, &bytes);
    t->type = type;
    t->row = row;
    t->n_rows = n_rows;
    t->size = bytes * (n_rows ? n_rows : 1);
    p->bytes += t->size;
}

static void add_matrix(struct plan *p, const char *name, enum fit_tensor kind, uint32_t layer,
                       uint64_t row, uint64_t n_rows)
{
    const char *type = p->quant < 0 ? fit_row_type(quant_info(p->pure)->name, row)
                                    : fit_tensor_type(&p->rule, (enum fit_quant)p->quant, kind,
                                                      layer, row);
    enum quant_type t = QUANT_F32;
    (void)type_by_name(type, &t);
    add(p, name, t, row, n_rows);
}

static void add_layer(struct plan *p, uint32_t i)
{
    const struct tiny_model *m = &p->g.m;
    uint64_t q = (uint64_t)m->n_heads * m->head_dim, kv = (uint64_t)m->n_kv_heads * m->head_dim;
    const struct {
        const char *name;
        int kind; // -1: a norm
        uint64_t row, n_rows;
    } list[] = {
        {"attn_norm", -1, m->n_embd, 0},
        {"attn_q", FIT_ATTN_Q, m->n_embd, q},
        {"attn_k", FIT_ATTN_K, m->n_embd, kv},
        {"attn_v", FIT_ATTN_V, m->n_embd, kv},
        {"attn_output", FIT_ATTN_O, q, m->n_embd},
        {"ffn_norm", -1, m->n_embd, 0},
        {"ffn_gate", FIT_FFN_GATE, m->n_embd, m->n_ff},
        {"ffn_up", FIT_FFN_UP, m->n_embd, m->n_ff},
        {"ffn_down", FIT_FFN_DOWN, m->n_ff, m->n_embd},
    };
    for (size_t k = 0; k < sizeof list / sizeof list[0]; k++) {
        char name[48];
        (void)snprintf(name, sizeof name, "blk.%u.%s", i, list[k].name);
        if (list[k].kind < 0)
            add(p, name, QUANT_F32, list[k].row, 0);
        else
            add_matrix(p, name, (enum fit_tensor)list[k].kind, i, list[k].row, list[k].n_rows);
    }
}

// Files in the order of the list; a tensor is never cut, so one larger than the limit stands alone.
static void place(struct plan *p)
{
    uint64_t at = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct tensor *t = &p->list[i];
        if (p->g.split && at && at + t->size > p->g.split) {
            at = 0;
            p->n_files++;
        }
        t->file = p->n_files;
        t->offset = at;
        at += size_align(t->size, ALIGNMENT);
    }
    p->n_files++;
}

static bool plan_make(const struct gen_model *g, struct plan *p, struct err *e)
{
    float factors[512];
    *p = (struct plan){.g = *g};
    p->g.m = tiny_model_defaults(&g->m);
    struct tiny_model *m = &p->g.m;
    m->name = g->name[0] ? p->g.name : "random";
    if (m->head_dim > 512 || m->n_heads % m->n_kv_heads || m->n_layers > 1000)
        return err_set(e, ERR_ARG, "no Llama has this shape");
    p->rule = (struct fit_model){.n_layers = m->n_layers,
                                 .n_heads = m->n_heads,
                                 .n_kv_heads = m->n_kv_heads,
                                 .tied = m->tied_output};
    if (!find_mix(p, e)) return false;
    p->list = calloc(4 + 9 * (size_t)m->n_layers, sizeof *p->list);
    if (!p->list) return err_nomem(e, "the list of tensors", m->n_layers);
    add_matrix(p, "token_embd", FIT_EMBD, 0, m->n_embd, m->n_vocab);
    add(p, "output_norm", QUANT_F32, m->n_embd, 0);
    if (!m->tied_output) add_matrix(p, "output", FIT_OUTPUT, 0, m->n_embd, m->n_vocab);
    uint32_t n_freqs = tiny_rope_freqs(m, factors);
    if (n_freqs) add(p, "rope_freqs", QUANT_F32, n_freqs, 0);
    for (uint32_t i = 0; i < m->n_layers; i++)
        add_layer(p, i);
    place(p);
    if (p->n_files <= MAX_FILES) return true;
    free(p->list);
    return err_set(e, ERR_ARG, "%u files are too many", p->n_files);
}

bool gen_bytes(const struct gen_model *g, uint64_t *bytes, struct err *e)
{
    struct plan p;
    if (!plan_make(g, &p, e)) return false;
    *bytes = p.bytes;
    free(p.list);
    return true;
}

// ------------------------------------------------------------------------------------- files

struct out {
    int fd;
    char path[PATH_BYTES], tmp[PATH_BYTES];
    uint64_t data_at;      // of the tensors in the file
    unsigned char *piece;  // PIECE bytes
};

static bool io_error(const struct out *o, struct err *e)
{
    return err_set(e, ERR_IO, "cannot write %s: %s", o->path, strerror(errno));
}

static bool put(struct out *o, const void *data, size_t size, uint64_t at, struct err *e)
{
    const unsigned char *p = data;
    while (size) {
        ssize_t n = pwrite(o->fd, p, size, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return io_error(o, e);
        p += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

// The names that llama.cpp's gguf-split gives.
static bool file_name(const struct plan *p, const char *path, uint32_t file, char *out,
                      struct err *e)
{
    size_t n = strlen(path);
    if (!p->g.split) return file_path(out, PATH_BYTES, e, "%s", path);
    if (n > 5 && !strcmp(path + n - 5, ".gguf")) n -= 5;
    return file_path(out, PATH_BYTES, e, "%.*s-%05u-of-%05u.gguf", (int)n, path, file + 1,
                     p->n_files);
}

static void put_u16_key(struct tiny *t, const char *key, uint32_t v)
{
    tiny_raw(t, key, GGUF_U16, (unsigned char[2]){(unsigned char)v, (unsigned char)(v >> 8)}, 2);
}

static void split_keys(struct tiny *t, const struct plan *p, uint32_t file)
{
    int32_t n = (int32_t)p->n;
    unsigned char b[4];
    for (int i = 0; i < 4; i++)
        b[i] = (unsigned char)(n >> (8 * i));
    put_u16_key(t, "split.no", file);
    put_u16_key(t, "split.count", p->n_files);
    tiny_raw(t, "split.tensors.count", GGUF_I32, b, sizeof b);
}

static bool put_header(const struct plan *p, uint32_t file, struct out *o, struct err *e)
{
    struct tiny t;
    unsigned char *bytes = NULL;
    size_t size = 0;
    bool ok = true;
    tiny_begin(&t, 3);
    if (file == 0) {
        tiny_model_keys(&t, &p->g.m);
        tiny_u32(&t, "general.quantization_version", 2);
        ok = tiny_vocab_keys(&t, p->g.m.vocab, p->g.m.n_vocab, e);
    }
    if (p->g.split) split_keys(&t, p, file);
    for (size_t i = 0; i < p->n; i++) {
        const struct tensor *s = &p->list[i];
        if (s->file == file)
            tiny_tensor_at(&t, s->name, s->type, s->n_rows ? 2 : 1,
                           (uint64_t[]){s->row, s->n_rows}, s->offset);
    }
    ok = ok && tiny_bytes(&t, &bytes, &size, e) && put(o, bytes, size, 0, e);
    o->data_at = size;
    free(bytes);
    tiny_free(&t);
    return ok;
}

// Norms 1 +- 0.1, or the rope factors.
static bool put_vector(const struct plan *p, const struct tensor *t, struct out *o, struct err *e)
{
    float factors[512];
    uint64_t state = tiny_random_state(p->g.m.seed, t->name);
    bool rope = !strcmp(t->name, "rope_freqs.weight");
    if (rope) (void)tiny_rope_freqs(&p->g.m, factors);
    for (uint64_t i = 0; i < t->row; i++) {
        float noise = (float)(tiny_random(&state) >> 40) * 0x1p-23f - 1;
        uint32_t u = half_bits(rope ? factors[i] : 1 + 0.1f * noise);
        for (int k = 0; k < 4; k++)
            o->piece[4 * i + (unsigned)k] = (unsigned char)(u >> (8 * k));
    }
    return put(o, o->piece, t->size, o->data_at + t->offset, e);
}

static bool put_matrix(struct plan *p, const struct tensor *t, struct out *o, struct err *e)
{
    size_t block = quant_info(t->type)->block_bytes, most = PIECE / block * block;
    uint64_t state = tiny_random_state(p->g.m.seed, t->name);
    for (uint64_t at = 0; at < t->size;) {
        size_t n = t->size - at < most ? (size_t)(t->size - at) : most;
        if (!cancel_check(e)) return false;
        gen_blocks(t->type, t->row, &state, o->piece, n);
        if (!put(o, o->piece, n, o->data_at + t->offset + at, e)) return false;
        at += n;
        p->done += n;
        progress_update(p->g.progress, p->done, t->name);
    }
    return true;
}

static bool put_tensors(struct plan *p, uint32_t file, struct out *o, struct err *e)
{
    uint64_t end = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct tensor *t = &p->list[i];
        if (t->file != file) continue;
        bool ok = !t->n_rows ? put_vector(p, t, o, e) : p->g.sparse || put_matrix(p, t, o, e);
        if (!ok || !cancel_check(e)) return false;
        end = t->offset + size_align(t->size, ALIGNMENT);
    }
    if (ftruncate(o->fd, (off_t)(o->data_at + end)) != 0) return io_error(o, e);
    return true;
}

static bool put_file(struct plan *p, const char *path, uint32_t file, struct out *o, struct err *e)
{
    if (!file_name(p, path, file, o->path, e) ||
        !file_path(o->tmp, sizeof o->tmp, e, "%s.tmp-%ld", o->path, (long)getpid()))
        return false;
    o->fd = open(o->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (o->fd < 0) return err_set(e, ERR_IO, "cannot create %s: %s", o->tmp, strerror(errno));
    bool ok = put_header(p, file, o, e) && put_tensors(p, file, o, e);
    if (close(o->fd) != 0 && ok) ok = io_error(o, e);
    if (ok && rename(o->tmp, o->path) != 0) ok = io_error(o, e);
    if (!ok) unlink(o->tmp);
    return ok;
}

static bool check_room(const struct plan *p, const char *path, struct err *e)
{
    char dir[PATH_BYTES];
    struct statvfs fs;
    const char *slash = strrchr(path, '/');
    if (!file_path(dir, sizeof dir, e, "%.*s", slash ? (int)(slash - path + 1) : 1,
                   slash ? path : "."))
        return false;
    if (p->g.sparse || statvfs(dir, &fs) != 0) return true; // open says what is wrong with dir
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize, want = p->bytes + (p->bytes >> 6);
    return want <= room || err_set(e, ERR_IO, "%s needs %.1f GB, and its disk has %.1f GB free",
                                   path, (double)want / 1e9, (double)room / 1e9);
}

bool gen_write(const struct gen_model *g, const char *path, struct err *e)
{
    struct plan p;
    struct out o = {.fd = -1};
    if (!plan_make(g, &p, e)) return false;
    uint32_t made = 0;
    o.piece = malloc(PIECE);
    bool ok = o.piece || err_nomem(e, "a piece of the file", PIECE);
    ok = ok && check_room(&p, path, e);
    progress_begin(g->progress, "writing", p.bytes);
    while (ok && made < p.n_files) {
        ok = put_file(&p, path, made, &o, e);
        if (ok) made++;
    }
    progress_end(g->progress);
    for (uint32_t i = 0; !ok && i < made; i++)
        if (file_name(&p, path, i, o.path, NULL)) unlink(o.path);
    free(o.piece);
    free(p.list);
    return ok;
}
