// Text to lines. Characters without a glyph take the symbol face, and what no face has is
// written as [U+XXXX], so nothing is lost and no empty box is drawn.
//
// Lines are broken for the whole paragraph at once (after Knuth and Plass, 1981, without
// stretching): among all ways that fit, the one with the least
//     sum over lines but the last of (slack / width)^2 + the penalties of its breaks.
#include "reports/layout_internal.h"

#include "base/utf8.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_SCALE 0.9   // the code face is larger to the eye than the text face
#define SYMBOL_SCALE 0.9 // so is the symbol face

static const double penalty[] = {
    [BRK_NONE] = 0, [BRK_SPACE] = 0, [BRK_SOFT] = 0.04, [BRK_CHAR] = 4, [BRK_HARD] = 0};

void layout_shaped_free(struct shaped *s)
{
    free(s->g);
    free(s->lines);
    *s = (struct shaped){0};
}

static bool add_glyph(struct doc *d, struct shaped *s, const struct doc_type *type, uint32_t cp,
                      enum font_role face, bool code, size_t span)
{
    if (!layout_grow(d, &s->g, &s->cap, s->n, sizeof *s->g)) return false;
    int w = pdf_glyph_width(d->pdf, face, cp);
    float scale = 1;
    if (code) scale = (float)CODE_SCALE;
    if (face == FONT_SYMBOL) scale = (float)SYMBOL_SCALE;
    if (type->face == FONT_CODE && face == FONT_CODE) scale = 1;
    s->g[s->n++] = (struct glyph){.cp = cp,
                                  .width = (float)(w / 1000.0 * type->size * (double)scale),
                                  .face = (uint8_t)face,
                                  .code = code,
                                  .span = (uint16_t)span,
                                  .scale = scale};
    return true;
}

static bool ignorable(uint32_t cp)
{
    return cp == 0xad || cp == 0xfeff || (cp >= 0x200b && cp <= 0x200f) ||
           (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x2069) ||
           (cp >= 0xfe00 && cp <= 0xfe0f) || (cp < 32 && cp != '\n' && cp != '\t');
}

static bool wide_space(uint32_t cp)
{
    return cp == 0xa0 || cp == 0x202f || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x3000;
}

// The glyph, or the symbol face's, or its code point in words.
static bool add_char(struct doc *d, struct shaped *s, const struct doc_type *type, uint32_t cp,
                     enum font_role face, bool code, size_t span)
{
    if (ignorable(cp)) return true;
    if (cp == '\t') cp = ' ';
    if (cp == '\n') {
        if (!add_glyph(d, s, type, ' ', face, code, span)) return false;
        s->g[s->n - 1].brk = BRK_HARD;
        return true;
    }
    if (pdf_glyph_width(d->pdf, face, cp) < 0 && wide_space(cp)) {
        if (!add_glyph(d, s, type, ' ', face, code, span)) return false;
        if (cp == 0xa0 || cp == 0x202f) s->g[s->n - 1].cp = 0xa0; // drawn as a space, never broken
        return true;
    }
    if (pdf_glyph_width(d->pdf, face, cp) >= 0) return add_glyph(d, s, type, cp, face, code, span);
    if (pdf_glyph_width(d->pdf, FONT_SYMBOL, cp) >= 0)
        return add_glyph(d, s, type, cp, FONT_SYMBOL, code, span);
    char words[16];
    snprintf(words, sizeof words, "[U+%04X]", (unsigned)cp);
    for (const char *c = words; *c; c++)
        if (!add_glyph(d, s, type, (unsigned char)*c, face, code, span)) return false;
    return true;
}

static enum font_role span_face(const struct doc_type *type, const struct span *span, bool code)
{
    if (code || span->code || type->face == FONT_CODE) return FONT_CODE;
    if (span->bold) return FONT_BOLD;
    if (span->italic) return FONT_ITALIC;
    return type->face;
}

static bool add_span(struct doc *d, struct shaped *s, const struct doc_type *type,
                     const struct span *span, size_t index)
{
    const char *t = span->page_of ? "000" : span->text ? span->text : "";
    size_t left = strlen(t);
    bool code = span->code;
    while (left) {
        uint32_t cp;
        size_t n = utf8_decode(t, left, &cp);
        // a lone backquote is a character, a pair is markup
        if (cp == '`' && !span->plain && !span->code && (code || strchr(t + 1, '`')))
            code = !code;
        else if (!add_char(d, s, type, cp, span_face(type, span, code), code, index))
            return false;
        t += n;
        left -= n;
    }
    return true;
}

static bool letter(uint32_t cp)
{
    return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || cp >= 0xc0;
}

static bool digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

// A word [a, b) with :// in it, or www. at its start, is an address.
static bool is_address(const struct glyph *g, size_t a, size_t b)
{
    if (b - a > 4 && g[a].cp == 'w' && g[a + 1].cp == 'w' && g[a + 2].cp == 'w' &&
        g[a + 3].cp == '.')
        return true;
    for (size_t i = a; i + 2 < b; i++)
        if (g[i].cp == ':' && g[i + 1].cp == '/' && g[i + 2].cp == '/') return true;
    return false;
}

static void mark_word(struct glyph *g, size_t a, size_t b)
{
    bool address = is_address(g, a, b);
    for (size_t i = a; i + 1 < b; i++) {
        uint32_t c = g[i].cp, next = g[i + 1].cp;
        if (g[i].brk == BRK_HARD) continue;
        if (address) {
            if ((c == '/' && next != '/') || c == '?' || c == '&' || c == '=' || c == '#')
                g[i].brk = BRK_SOFT;
        } else if (g[i].code) {
            if (i > a + 1 && (c == '/' || c == '_' || c == '=' || c == ',')) g[i].brk = BRK_SOFT;
        } else if (i > a && (c == 0x2014 || c == 0x2192)) {
            g[i].brk = BRK_SOFT;
        } else if (i > a && (c == '-' || c == '/') && letter(g[i - 1].cp) && letter(next)) {
            g[i].brk = BRK_SOFT;
        }
    }
}

// The space i in 98 362 432: three digits follow, and no fourth.
static bool in_number(const struct shaped *s, size_t i)
{
    size_t a = i;
    if (i == 0 || i + 3 >= s->n || !digit(s->g[i - 1].cp)) return false;
    while (a > 0 && digit(s->g[a - 1].cp))
        a--;
    if (a > 0 && letter(s->g[a - 1].cp)) return false; // the 2 of SmolLM2 135M
    for (size_t k = 1; k <= 3; k++)
        if (!digit(s->g[i + k].cp)) return false;
    return i + 4 >= s->n || !digit(s->g[i + 4].cp);
}

// What has no break and is wider than a line may be broken at every character.
static void mark_long(struct shaped *s, double width)
{
    double sum = 0;
    for (size_t a = 0, b = 0; b < s->n; b++) {
        sum += (double)s->g[b].width;
        if (s->g[b].brk == BRK_NONE && b + 1 < s->n) continue;
        for (size_t i = a; i <= b && sum > width; i++)
            if (s->g[i].brk == BRK_NONE) s->g[i].brk = s->g[i].cp == ' ' ? BRK_SPACE : BRK_CHAR;
        a = b + 1;
        sum = 0;
    }
}

static void mark_breaks(struct shaped *s, double width)
{
    size_t word = 0;
    for (size_t i = 0; i <= s->n; i++) {
        if (i < s->n && s->g[i].cp != ' ') continue;
        mark_word(s->g, word, i);
        word = i + 1;
        if (i == s->n || s->g[i].brk == BRK_HARD) continue;
        bool unit = i > 0 && i + 1 < s->n && digit(s->g[i - 1].cp) &&
                    (s->g[i + 1].cp == '%' || s->g[i + 1].cp == 0xd7);
        s->g[i].brk = unit || in_number(s, i) ? BRK_NONE : BRK_SPACE;
    }
    mark_long(s, width);
}

struct node {        // a place where a line may start
    size_t at, from; // from: the node that starts the line before
    double cost;
};

// One line from glyph a to the break after glyph b: its glyphs without spaces at both ends.
static struct line measure(const struct shaped *s, size_t a, size_t b)
{
    while (a < b && s->g[a].cp == ' ')
        a++;
    while (b > a && s->g[b - 1].cp == ' ')
        b--;
    struct line l = {.from = a, .to = b};
    for (size_t i = a; i < b; i++)
        l.width += (double)s->g[i].width;
    return l;
}

static double line_cost(const struct shaped *s, const struct line *l, size_t end, double width)
{
    bool hard = end == s->n || s->g[end - 1].brk == BRK_HARD;
    double slack = (width - l->width) / width;
    if (hard) return l->width < 0.12 * width ? 0.15 : 0; // a last line of one short word is ugly
    return slack * slack + penalty[s->g[end - 1].brk];
}

static bool break_lines(struct doc *d, struct shaped *s, double width)
{
    struct node *nodes = malloc((s->n + 2) * sizeof *nodes);
    s->lines = malloc((s->n + 2) * sizeof *s->lines);
    if (!nodes || !s->lines) {
        free(nodes);
        layout_nomem(d);
        return false;
    }
    size_t n = 1, first = 0;
    nodes[0] = (struct node){0};
    for (size_t i = 0; i < s->n; i++) {
        enum brk brk = i + 1 == s->n ? BRK_HARD : (enum brk)s->g[i].brk;
        if (brk == BRK_NONE) continue;
        struct node best = {.at = i + 1, .cost = DBL_MAX};
        for (size_t k = n; k-- > first;) {
            struct line l = measure(s, nodes[k].at, i + 1);
            if (l.width > width + 0.01 && k + 1 < n) break; // earlier starts are longer still
            double cost = nodes[k].cost + line_cost(s, &l, i + 1, width);
            if (l.width > width + 0.01) cost += 1e6; // cannot be helped: one character too wide
            if (cost < best.cost) {
                best.cost = cost;
                best.from = k;
            }
        }
        nodes[n] = best;
        if (brk == BRK_HARD) first = n; // no line crosses it
        n++;
    }
    for (size_t k = n - 1; k > 0; k = nodes[k].from)
        s->lines[s->n_lines++] = measure(s, nodes[nodes[k].from].at, nodes[k].at);
    for (size_t i = 0; i < s->n_lines / 2; i++) {
        struct line t = s->lines[i];
        s->lines[i] = s->lines[s->n_lines - 1 - i];
        s->lines[s->n_lines - 1 - i] = t;
    }
    free(nodes);
    return true;
}

bool layout_shape(struct doc *d, const struct doc_type *type, const struct span *spans, size_t n,
                  double width, struct shaped *out)
{
    *out = (struct shaped){0};
    for (size_t i = 0; i < n; i++)
        if (!add_span(d, out, type, &spans[i], i)) goto fail;
    mark_breaks(out, width);
    if (!break_lines(d, out, width)) goto fail;
    return true;
fail:
    layout_shaped_free(out);
    return false;
}

static bool web_address(const char *uri)
{
    return !strncmp(uri, "https://", 8) || !strncmp(uri, "http://", 7);
}

// The link and the underline of a run.
static void draw_link(struct doc *d, const struct doc_type *type, const struct span *span, double x,
                      double y, double w)
{
    bool uri = span->uri && web_address(span->uri);
    const char *to = uri ? span->uri : span->dest ? span->dest : span->page_of;
    if (!to || w <= 0) return;
    struct op *o = layout_op(d, uri ? OP_URI : OP_DEST);
    if (!o) return;
    o->x = x;
    o->y = y - type->size * 0.8;
    o->w = w;
    o->h = type->size;
    o->text = layout_keep(d, to, strlen(to));
    if (uri)
        doc_draw_line(d, x, y + type->size * 0.14, x + w, y + type->size * 0.14, 0.4, DOC_MIDDLE,
                      0);
}

// Glyphs [a, b) of one span and face.
static double draw_run(struct doc *d, const struct doc_type *type, const struct span *span,
                       const struct glyph *g, size_t a, size_t b, double x, double y)
{
    char buf[4];
    struct {
        char *s;
        size_t n;
    } t = {malloc((b - a) * 4 + 1), 0};
    double w = 0;
    if (!t.s) {
        layout_nomem(d);
        return 0;
    }
    for (size_t i = a; i < b; i++) {
        uint32_t cp = g[i].cp == 0xa0 ? ' ' : g[i].cp;
        size_t n = utf8_encode(cp, buf);
        memcpy(t.s + t.n, buf, n);
        t.n += n;
        w += (double)g[i].width;
    }
    if (g[a].code && type->face != FONT_CODE && type->color.r < 0xf0)
        doc_draw_rect(d, x - 1.2, y - type->size * 0.78, w + 2.4, type->size * 1.02, DOC_TINT);
    struct op *o = layout_op(d, span->page_of ? OP_PAGEREF : OP_TEXT);
    if (o) {
        bool link = span->dest || span->page_of || (span->uri && web_address(span->uri));
        o->face = (enum font_role)g[a].face;
        o->size = type->size * (double)g[a].scale;
        o->color = span->tinted ? span->color : link ? DOC_ACCENT : type->color;
        o->x = x;
        o->y = y;
        o->w = w;
        o->text = span->page_of ? layout_keep(d, span->page_of, strlen(span->page_of))
                                : layout_keep(d, t.s, t.n);
    }
    free(t.s);
    draw_link(d, type, span, x, y, w);
    return w;
}

void layout_draw_line(struct doc *d, const struct doc_type *type, const struct span *spans,
                      const struct shaped *s, size_t i, double x, double y, double width,
                      enum doc_align align)
{
    const struct line *l = &s->lines[i];
    if (align == ALIGN_RIGHT) x += width - l->width;
    if (align == ALIGN_CENTRE) x += (width - l->width) / 2;
    for (size_t a = l->from, b; a < l->to; a = b) {
        const struct glyph *g = s->g;
        for (b = a + 1; b < l->to && g[b].span == g[a].span && g[b].face == g[a].face &&
                        g[b].code == g[a].code;)
            b++;
        size_t op = d->n_ops;
        x += draw_run(d, type, &spans[g[a].span], g, a, b, x, y);
        if (align == ALIGN_RIGHT && spans[g[a].span].page_of && op < d->n_ops)
            d->ops[op].align = ALIGN_RIGHT;
    }
}

double layout_ascent(const struct doc_type *type)
{
    return (type->leading - type->size) / 2 + type->size * 0.8;
}

double doc_measure(struct doc *d, enum font_role face, double size, const char *text)
{
    const struct doc_type type = {.face = face, .size = size, .leading = size};
    const struct span span = {.text = text, .plain = true};
    struct shaped s;
    double w = 0;
    if (!layout_shape(d, &type, &span, 1, 1e9, &s)) return 0;
    for (size_t i = 0; i < s.n_lines; i++)
        w = fmax(w, s.lines[i].width);
    layout_shaped_free(&s);
    return w;
}

// Glyphs [a, b) as a string of the document, with an ellipsis when more follows.
static const char *line_string(struct doc *d, const struct shaped *s, size_t a, size_t b, bool more)
{
    char *t = malloc((b - a) * 4 + 4);
    size_t n = 0;
    if (!t) {
        layout_nomem(d);
        return "";
    }
    for (size_t i = a; i < b; i++)
        n += utf8_encode(s->g[i].cp == 0xa0 ? ' ' : s->g[i].cp, t + n);
    if (more) n += utf8_encode(0x2026, t + n);
    const char *kept = layout_keep(d, t, n);
    free(t);
    return kept;
}

size_t doc_fit(struct doc *d, enum font_role face, double size, double width, const char *text,
               const char **lines, size_t max)
{
    const struct doc_type type = {.face = face, .size = size, .leading = size};
    const struct span span = {.text = text, .plain = true};
    struct shaped s;
    if (!layout_shape(d, &type, &span, 1, width, &s)) return 0;
    size_t n = s.n_lines < max ? s.n_lines : max;
    for (size_t i = 0; i < n; i++) {
        size_t a = s.lines[i].from, b = s.lines[i].to;
        bool more = i + 1 == n && n < s.n_lines;
        double room = width - s.lines[i].width;
        for (double dots = more ? size : 0; b > a && room < dots; b--)
            room += (double)s.g[b - 1].width;
        lines[i] = line_string(d, &s, a, b, more);
    }
    layout_shaped_free(&s);
    return n;
}
