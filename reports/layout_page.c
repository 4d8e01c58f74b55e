// Items to pages, and pages to the PDF.
//
// Items that may not be parted form a chunk; a chunk that does not fit in the rest of a page
// starts the next one. A chunk higher than a page is broken wherever the page ends.
#include "reports/layout_internal.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SQUEEZE_MIN 0.55 // white space never shrinks below this share of itself
#define SHORT_PAGE 210.0 // a last page with less than this on it is worth avoiding

struct cursor {
    size_t page; // page in the making
    double y;    // where the next item goes; DOC_TOP at a page's top
};

// What a squeezed item loses above itself, and from its own height.
static double item_before(const struct item *it)
{
    return it->before * it->squeeze;
}

static double item_shift(const struct item *it)
{
    return it->flex * (1 - it->squeeze) / (1 - SQUEEZE_MIN);
}

static double item_height(const struct item *it)
{
    return it->height - item_shift(it);
}

static bool at_top(const struct cursor *c)
{
    return c->y <= DOC_TOP;
}

static double head_height(const struct doc *d, const struct item *it)
{
    double h = 0;
    if (!it->table || it->head) return 0;
    const struct table *t = &d->tables[it->table - 1];
    for (size_t i = 0; i < t->n_head; i++)
        h += t->head[i].height;
    return h;
}

static void next_page(struct cursor *c)
{
    c->page++;
    c->y = DOC_TOP;
}

static void place(const struct doc *d, struct cursor *c, struct item *it)
{
    if (!at_top(c)) c->y += item_before(it);
    if (at_top(c)) c->y += head_height(d, it);
    it->page = c->page;
    it->y = c->y;
    c->y += item_height(it);
}

// The end of the chunk that begins with item i, its height, and that of its first item.
static size_t chunk_end(const struct doc *d, const struct cursor *c, size_t i, size_t to,
                        double *need, double *first)
{
    *need = 0;
    for (size_t end = i; end < to; end++) {
        const struct item *it = &d->items[end];
        *need += item_height(it) + (end > i || !at_top(c) ? item_before(it) : 0);
        if (end == i) *first = *need;
        if (!it->keep || (end + 1 < to && d->items[end + 1].page_break)) return end + 1;
    }
    return to;
}

// Places items [from, to) from the cursor on.
static void paginate(struct doc *d, size_t from, size_t to, struct cursor *c)
{
    for (size_t i = from, end; i < to; i = end) {
        struct item *it = &d->items[i];
        double need, first = 0;
        end = chunk_end(d, c, i, to, &need, &first);
        need = fmax(need, it->need);
        bool fits = c->y + need <= DOC_BOTTOM, too_big = need > DOC_BOTTOM - DOC_TOP;
        if (!at_top(c) && (it->page_break || !fits) &&
            !(too_big && !it->page_break && c->y + first < DOC_BOTTOM - 120))
            next_page(c);
        for (size_t k = i; k < end; k++) {
            it = &d->items[k];
            double before = at_top(c) ? 0 : item_before(it);
            if (!at_top(c) && c->y + before + item_height(it) > DOC_BOTTOM) next_page(c);
            place(d, c, it);
        }
    }
}

// A stretch of pages [from, to) that begins with a page break: set as it is, and, if its last
// page then holds little, with less white space, should that save the page.
static void paginate_stretch(struct doc *d, size_t from, size_t to, struct cursor *c)
{
    static const double steps[] = {0.85, 0.7, SQUEEZE_MIN};
    struct cursor start = *c;
    paginate(d, from, to, c);
    size_t last = c->page;
    if (last == start.page || c->y - DOC_TOP > SHORT_PAGE) return;
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        for (size_t i = from; i < to; i++)
            d->items[i].squeeze = steps[s];
        *c = start;
        paginate(d, from, to, c);
        if (c->page < last) return;
    }
    for (size_t i = from; i < to; i++) // it saved nothing
        d->items[i].squeeze = 1;
    *c = start;
    paginate(d, from, to, c);
}

static void paginate_all(struct doc *d)
{
    struct cursor c = {.y = DOC_TOP};
    for (size_t from = 0, to; from < d->n_items; from = to) {
        for (to = from + 1; to < d->n_items && !d->items[to].page_break; to++) {
        }
        if (from) next_page(&c);
        paginate_stretch(d, from, to, &c);
    }
}

static const struct item *find_anchor(const struct doc *d, const char *name)
{
    for (size_t i = 0; i < d->n_anchors; i++)
        if (!strcmp(d->anchors[i].name, name) && d->anchors[i].item < d->n_items)
            return &d->items[d->anchors[i].item];
    return NULL;
}

struct box {
    double x0, y0, x1, y1;
};

static struct box op_box(struct doc *d, const struct op *o)
{
    struct box b = {o->x, o->y, o->x + o->w, o->y + o->h};
    if (o->kind == OP_TEXT || o->kind == OP_PAGEREF) {
        double w = o->kind == OP_TEXT ? pdf_text_width(d->pdf, o->face, o->size, o->text) : o->w;
        b = (struct box){o->x, o->y - 0.75 * o->size, o->x + w, o->y + 0.2 * o->size};
    }
    if (o->kind == OP_CURVE || o->kind == OP_POLY) {
        b = (struct box){o->p[0], o->p[1], o->p[0], o->p[1]};
        for (unsigned i = 1; i < o->n; i++) {
            b.x0 = fmin(b.x0, o->p[2 * i]);
            b.x1 = fmax(b.x1, o->p[2 * i]);
            b.y0 = fmin(b.y0, o->p[2 * i + 1]);
            b.y1 = fmax(b.y1, o->p[2 * i + 1]);
        }
    }
    return (struct box){fmin(b.x0, b.x1), fmin(b.y0, b.y1), fmax(b.x0, b.x1), fmax(b.y0, b.y1)};
}

// Nothing leaves its item by more than a hair, no item leaves the text area.
static bool check_overflow(struct doc *d, struct err *e)
{
    const double hair = 1.5;
    for (size_t i = 0; i < d->n_items; i++) {
        const struct item *it = &d->items[i];
        if (it->y + item_height(it) > DOC_BOTTOM + hair)
            return err_set(e, ERR_INTERNAL,
                           "layout: an item of %.1f pt ends at %.1f on page %zu, "
                           "below the text area",
                           it->height, it->y + it->height, it->page + 1);
        for (size_t k = it->op0; k < it->op0 + it->n_ops; k++) {
            const struct op *o = &d->ops[k];
            if ((o->kind == OP_DEST || o->kind == OP_PAGEREF) && !find_anchor(d, o->text))
                return err_set(e, ERR_INTERNAL, "layout: a link leads to '%.60s', which is nowhere",
                               o->text);
            struct box b = op_box(d, &d->ops[k]);
            if (b.x0 < -hair || b.x1 > DOC_WIDTH + hair || b.y0 < item_shift(it) - hair ||
                b.y1 > it->height + hair)
                return err_set(e, ERR_INTERNAL,
                               "layout: an operation (kind %d, '%.40s') at %.1f..%.1f, %.1f..%.1f "
                               "leaves its item of %.1f x %.1f pt on page %zu",
                               (int)d->ops[k].kind, d->ops[k].text ? d->ops[k].text : "", b.x0,
                               b.x1, b.y0, b.y1, DOC_WIDTH, it->height, it->page + 1);
        }
    }
    return true;
}

static void draw_pageref(struct doc *d, const struct op *o, double x, double y)
{
    const struct item *to = find_anchor(d, o->text);
    char number[24];
    if (!to) return;
    snprintf(number, sizeof number, "%zu", to->page + 1);
    double w = pdf_text_width(d->pdf, o->face, o->size, number);
    if (o->align == ALIGN_RIGHT) x += o->w - w;
    pdf_text(d->pdf, o->face, o->size, o->color, x, y, number);
}

static void draw_op(struct doc *d, const struct op *o, double left, double top)
{
    double x = left + o->x, y = top + o->y, p[8];
    const struct item *to;
    for (size_t i = 0; i < 8; i++)
        p[i] = o->p[i] + (i % 2 ? top : left);
    switch (o->kind) {
    case OP_TEXT: pdf_text(d->pdf, o->face, o->size, o->color, x, y, o->text); break;
    case OP_PAGEREF: draw_pageref(d, o, x, y); break;
    case OP_RECT: pdf_rect(d->pdf, x, y, o->w, o->h, o->color); break;
    case OP_FRAME: pdf_frame(d->pdf, x, y, o->w, o->h, o->size, o->color); break;
    case OP_LINE: pdf_line(d->pdf, x, y, x + o->w, y + o->h, o->size, o->color, o->dash); break;
    case OP_CURVE: pdf_curve(d->pdf, p, o->size, o->color); break;
    case OP_POLY: pdf_polygon(d->pdf, p, o->n, o->color); break;
    case OP_URI: pdf_link_uri(d->pdf, x, y, o->w, o->h, o->text); break;
    case OP_DEST:
        to = find_anchor(d, o->text);
        if (to) pdf_link_page(d->pdf, x, y, o->w, o->h, to->page, to->y - 8);
        break;
    }
}

static void draw_item(struct doc *d, const struct item *it, double y)
{
    for (size_t k = it->op0; k < it->op0 + it->n_ops; k++)
        draw_op(d, &d->ops[k], DOC_MARGIN_X, y - item_shift(it));
}

static void draw_heads(struct doc *d, const struct item *it)
{
    const struct table *t = &d->tables[it->table - 1];
    double y = it->y - head_height(d, it);
    for (size_t i = 0; i < t->n_head; i++) {
        draw_item(d, &t->head[i], y);
        y += t->head[i].height;
    }
}

// The background of the items from i on that share its frame and page.
static void draw_frame(struct doc *d, size_t i)
{
    const struct item *first = &d->items[i], *last = first;
    const struct frame *f = &d->frames[first->frame - 1];
    for (size_t k = i;
         k < d->n_items && d->items[k].frame == first->frame && d->items[k].page == first->page;
         k++)
        last = &d->items[k];
    double x = DOC_MARGIN_X + f->x, y = first->y, h = last->y + item_height(last) - y;
    if (i && d->items[i - 1].frame == first->frame) { // cut by the page's top: some air above
        y -= 4;
        h += 4;
    }
    pdf_rect(d->pdf, x, y, f->w, h, f->fill);
    if (f->bar) pdf_rect(d->pdf, x, y, 2.6, h, DOC_ACCENT);
}

// One line outside the items: every character in the text face or else the symbol face.
static void draw_words(struct doc *d, double x, double y, const char *text)
{
    char c[5];
    for (size_t left = strlen(text); left;) {
        uint32_t cp;
        size_t n = utf8_decode(text, left, &cp), run = 0;
        bool plain = pdf_glyph_width(d->pdf, FONT_TEXT, cp) >= 0;
        if (plain) { // as long a run as possible: readers see words
            char word[256];
            while (run < left && run < sizeof word - 5) {
                n = utf8_decode(text + run, left - run, &cp);
                if (pdf_glyph_width(d->pdf, FONT_TEXT, cp) < 0) break;
                run += n;
            }
            memcpy(word, text, run);
            word[run] = '\0';
            pdf_text(d->pdf, FONT_TEXT, 8.5, DOC_GREY, x, y, word);
            x += pdf_text_width(d->pdf, FONT_TEXT, 8.5, word);
        } else {
            memcpy(c, text, n);
            c[n] = '\0';
            run = n;
            pdf_text(d->pdf, FONT_SYMBOL, 8.5, DOC_GREY, x, y, c);
            x += pdf_text_width(d->pdf, FONT_SYMBOL, 8.5, c);
        }
        text += run;
        left -= run;
    }
}

static void draw_margins(struct doc *d, size_t page, size_t n_pages, const char *mark)
{
    char number[48];
    double right = DOC_MARGIN_X + DOC_WIDTH, y = DOC_BOTTOM + 30;
    snprintf(number, sizeof number, "%zu of %zu", page + 1, n_pages);
    double w = pdf_text_width(d->pdf, FONT_TEXT, 8.5, number);
    if (mark[0]) {
        draw_words(d, DOC_MARGIN_X, 46, mark);
        pdf_line(d->pdf, DOC_MARGIN_X, 53, right, 53, 0.4, DOC_RULE, 0);
    }
    draw_words(d, DOC_MARGIN_X, y, d->footer);
    pdf_text(d->pdf, FONT_TEXT, 8.5, DOC_GREY, right - w, y, number);
}

static void draw_pages(struct doc *d, size_t n_pages)
{
    const char *mark = "";
    size_t i = 0;
    for (size_t page = 0; page < n_pages; page++) {
        size_t first = i;
        pdf_select(d->pdf, page);
        if (first < d->n_items && d->items[first].mark) mark = d->items[first].mark;
        draw_margins(d, page, n_pages, mark);
        for (; i < d->n_items && d->items[i].page == page; i++) {
            const struct item *it = &d->items[i];
            if (it->mark) mark = it->mark;
            if (it->frame && (i == first || d->items[i - 1].frame != it->frame)) draw_frame(d, i);
            if (it->table && !it->head && i == first) draw_heads(d, it);
            draw_item(d, it, it->y);
        }
    }
}

static void draw_outlines(struct doc *d)
{
    for (size_t i = 0; i < d->n_outlines; i++) {
        const struct outline *o = &d->outlines[i];
        if (o->item < d->n_items)
            pdf_outline(d->pdf, o->level, o->title, d->items[o->item].page,
                        d->items[o->item].y - 8);
    }
}

bool doc_finish(struct doc *d, bool strict, size_t *n_pages, struct err *e)
{
    if (d->first.code != ERR_NONE) {
        *e = d->first;
        return false;
    }
    if (!d->n_items) return err_set(e, ERR_INTERNAL, "layout: a document without anything in it");
    paginate_all(d);
    *n_pages = d->items[d->n_items - 1].page + 1;
    if (*n_pages > DOC_MAX_PAGES)
        return err_set(e, ERR_UNSUPPORTED,
                       "the plan would fill %zu pages, more than %d; shorten it", *n_pages,
                       DOC_MAX_PAGES);
    if (strict && !check_overflow(d, e)) return false;
    if (!pdf_add_pages(d->pdf, *n_pages, DOC_PAGE_WIDTH, DOC_PAGE_HEIGHT, e)) return false;
    draw_pages(d, *n_pages);
    draw_outlines(d);
    return true;
}
