// libharu wrapper. What it mends in libharu 2.3.0 and 2.4: the ToUnicode map of UTF-8 TrueType
// fonts (an invalid operator), /Lang and DisplayDocTitle (no API), missing glyphs (drawn as empty
// boxes without an error), the dash pattern's type that changed between 2.3 and 2.4.
#include "reports/pdf.h"

#include "base/file.h"
#include "base/utf8.h"

#include <hpdf.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if HPDF_MAJOR_VERSION > 2 || (HPDF_MAJOR_VERSION == 2 && HPDF_MINOR_VERSION >= 4)
typedef HPDF_REAL dash_unit;
#else
typedef HPDF_UINT16 dash_unit;
#endif

enum { N_BMP = 65536, WIDTH_UNKNOWN = -2, MAX_LEVELS = 4 };

struct face {
    HPDF_Font font;
    HPDF_FontDef def;
    int16_t *width; // [N_BMP], WIDTH_UNKNOWN until asked, -1 without a glyph
    bool borrowed;  // the same file as an earlier face
};

struct pdf {
    HPDF_Doc doc;
    HPDF_Page *pages;
    size_t n_pages;
    HPDF_Page page; // borrowed from pages
    double height;
    struct face face[FONT_N];
    HPDF_Outline outline[MAX_LEVELS];
    struct err first; // the first error, from libharu or from here
};

static void on_error(HPDF_STATUS code, HPDF_STATUS detail, void *user)
{
    struct pdf *pdf = user;
    if (pdf->first.code != ERR_NONE) return;
    bool memory = code == HPDF_FAILD_TO_ALLOC_MEM;
    err_set(&pdf->first, memory ? ERR_MEMORY : ERR_INTERNAL,
            memory ? "out of memory while drawing the PDF (libharu 0x%04X, %u)"
                   : "libharu refused to draw: error 0x%04X, detail %u (a bug in Lectern)",
            (unsigned)code, (unsigned)detail);
}

static bool take_error(const struct pdf *pdf, struct err *e)
{
    if (pdf->first.code == ERR_NONE) return true;
    if (e) *e = pdf->first;
    return false;
}

// libharu's map says begincidrange, which a ToUnicode map may not contain. The codes of these
// fonts are UTF-16 units already, so the map is the identity; a range may not cross a change of
// the first byte, and a block holds at most 100 ranges.
static void mend_to_unicode(HPDF_Font font)
{
    HPDF_Dict map = HPDF_Dict_GetItem(font, "ToUnicode", HPDF_OCLASS_DICT);
    if (!map || !map->stream) return;
    HPDF_MemStream_FreeData(map->stream);
    map->stream->size = 0;
    HPDF_Stream_WriteStr(map->stream,
                         "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
                         "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> "
                         "def\n/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
                         "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n");
    for (unsigned hi = 0; hi < 256; hi++) {
        char line[64];
        if (hi % 100 == 0) {
            snprintf(line, sizeof line, "%u beginbfrange\n", hi == 200 ? 56u : 100u);
            HPDF_Stream_WriteStr(map->stream, line);
        }
        snprintf(line, sizeof line, "<%02X00> <%02XFF> <%02X00>\n", hi, hi, hi);
        HPDF_Stream_WriteStr(map->stream, line);
        if (hi % 100 == 99 || hi == 255) HPDF_Stream_WriteStr(map->stream, "endbfrange\n");
    }
    HPDF_Stream_WriteStr(map->stream,
                         "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n");
}

static bool load_face(struct pdf *pdf, const struct font_set *fonts, int i, struct err *e)
{
    struct face *f = &pdf->face[i];
    for (int j = 0; j < i; j++) {
        if (strcmp(fonts->path[i], fonts->path[j]) != 0) continue;
        *f = pdf->face[j];
        f->borrowed = true;
        return true;
    }
    const char *name = HPDF_LoadTTFontFromFile(pdf->doc, fonts->path[i], HPDF_TRUE);
    if (name) f->font = HPDF_GetFont(pdf->doc, name, "UTF-8");
    if (name && f->font) f->def = HPDF_GetFontDef(pdf->doc, name);
    if (!f->def)
        return err_set(e, ERR_FORMAT,
                       "%s is not a TrueType font that libharu can embed; name another folder "
                       "with --font-dir",
                       fonts->path[i]);
    mend_to_unicode(f->font);
    f->width = malloc(N_BMP * sizeof *f->width);
    if (!f->width) return err_nomem(e, "glyph widths", N_BMP * sizeof *f->width);
    for (size_t cp = 0; cp < N_BMP; cp++)
        f->width[cp] = WIDTH_UNKNOWN;
    return true;
}

static void set_info(struct pdf *pdf, const struct pdf_info *info)
{
    HPDF_SetCurrentEncoder(pdf->doc, "UTF-8"); // titles become UTF-16 strings
    if (info->title) HPDF_SetInfoAttr(pdf->doc, HPDF_INFO_TITLE, info->title);
    if (info->author) HPDF_SetInfoAttr(pdf->doc, HPDF_INFO_AUTHOR, info->author);
    if (info->subject) HPDF_SetInfoAttr(pdf->doc, HPDF_INFO_SUBJECT, info->subject);
    if (info->creator) HPDF_SetInfoAttr(pdf->doc, HPDF_INFO_CREATOR, info->creator);
    if (info->year) {
        HPDF_Date date = {.year = info->year, .month = info->month, .day = info->day, .ind = 'Z'};
        HPDF_SetInfoDateAttr(pdf->doc, HPDF_INFO_CREATION_DATE, date);
        HPDF_SetInfoDateAttr(pdf->doc, HPDF_INFO_MOD_DATE, date);
    }
    HPDF_String lang = HPDF_String_New(pdf->doc->mmgr, info->lang ? info->lang : "en", NULL);
    if (lang) HPDF_Dict_Add(pdf->doc->catalog, "Lang", lang);
    HPDF_Dict prefs = HPDF_Dict_New(pdf->doc->mmgr);
    if (!prefs) return;
    HPDF_Dict_AddBoolean(prefs, "DisplayDocTitle", HPDF_TRUE);
    HPDF_Dict_Add(pdf->doc->catalog, "ViewerPreferences", prefs);
}

bool pdf_create(struct pdf **out, const struct font_set *fonts, const struct pdf_info *info,
                struct err *e)
{
    *out = NULL;
    struct pdf *pdf = calloc(1, sizeof *pdf);
    if (!pdf) return err_nomem(e, "the PDF", sizeof *pdf);
    pdf->doc = HPDF_New(on_error, pdf);
    if (!pdf->doc) {
        err_nomem(e, "the PDF", 0);
        goto fail;
    }
    HPDF_UseUTFEncodings(pdf->doc);
    HPDF_SetCompressionMode(pdf->doc, HPDF_COMP_ALL);
    for (int i = 0; i < FONT_N; i++)
        if (!load_face(pdf, fonts, i, e)) goto fail;
    set_info(pdf, info);
    HPDF_SetPageMode(pdf->doc, HPDF_PAGE_MODE_USE_OUTLINE);
    HPDF_AddPageLabel(pdf->doc, 0, HPDF_PAGE_NUM_STYLE_DECIMAL, 1, "");
    if (!take_error(pdf, e)) goto fail;
    *out = pdf;
    return true;
fail:
    pdf_destroy(pdf);
    return false;
}

void pdf_destroy(struct pdf *pdf)
{
    if (!pdf) return;
    if (pdf->doc) HPDF_Free(pdf->doc);
    for (int i = 0; i < FONT_N; i++)
        if (!pdf->face[i].borrowed) free(pdf->face[i].width);
    free(pdf->pages);
    free(pdf);
}

int pdf_glyph_width(struct pdf *pdf, enum font_role face, uint32_t cp)
{
    if (cp >= N_BMP) return -1; // libharu loses them silently
    struct face *f = &pdf->face[face];
    if (f->width[cp] == WIDTH_UNKNOWN) {
        HPDF_UINT16 gid = HPDF_TTFontDef_GetGlyphid(f->def, (HPDF_UINT16)cp);
        f->width[cp] = gid ? (int16_t)HPDF_TTFontDef_GetGidWidth(f->def, gid) : (int16_t)-1;
    }
    return f->width[cp];
}

double pdf_text_width(struct pdf *pdf, enum font_role face, double size, const char *utf8)
{
    double sum = 0;
    size_t left = strlen(utf8);
    while (left) {
        uint32_t cp;
        size_t n = utf8_decode(utf8, left, &cp);
        int w = pdf_glyph_width(pdf, face, cp);
        if (w > 0) sum += w;
        utf8 += n;
        left -= n;
    }
    return sum * size / 1000;
}

bool pdf_add_pages(struct pdf *pdf, size_t n, double width, double height, struct err *e)
{
    HPDF_Page *pages = realloc(pdf->pages, (pdf->n_pages + n) * sizeof(HPDF_Page));
    if (!pages) return err_nomem(e, "pages", (pdf->n_pages + n) * sizeof(HPDF_Page));
    pdf->pages = pages;
    pdf->height = height;
    for (size_t i = 0; i < n; i++) {
        HPDF_Page page = HPDF_AddPage(pdf->doc);
        if (!page) return take_error(pdf, e) && err_nomem(e, "a page", 0);
        HPDF_Page_SetWidth(page, (HPDF_REAL)width);
        HPDF_Page_SetHeight(page, (HPDF_REAL)height);
        pdf->pages[pdf->n_pages++] = page;
    }
    return take_error(pdf, e);
}

void pdf_select(struct pdf *pdf, size_t i)
{
    pdf->page = i < pdf->n_pages ? pdf->pages[i] : NULL;
}

// Rounded to 0.01 pt: the bytes do not depend on the last bit of a sum.
static HPDF_REAL coord(double v)
{
    return (HPDF_REAL)(floor(v * 100 + 0.5) / 100);
}

static HPDF_REAL flip(const struct pdf *pdf, double y)
{
    return coord(pdf->height - y);
}

static void fill_color(struct pdf *pdf, struct rgb c)
{
    HPDF_Page_SetRGBFill(pdf->page, (HPDF_REAL)c.r / 255, (HPDF_REAL)c.g / 255,
                         (HPDF_REAL)c.b / 255);
}

static void stroke_color(struct pdf *pdf, struct rgb c)
{
    HPDF_Page_SetRGBStroke(pdf->page, (HPDF_REAL)c.r / 255, (HPDF_REAL)c.g / 255,
                           (HPDF_REAL)c.b / 255);
}

static void check_glyphs(struct pdf *pdf, enum font_role face, const char *utf8)
{
    for (size_t left = strlen(utf8); left;) {
        uint32_t cp;
        size_t n = utf8_decode(utf8, left, &cp);
        if (pdf_glyph_width(pdf, face, cp) < 0 && pdf->first.code == ERR_NONE)
            err_set(&pdf->first, ERR_INTERNAL, "no glyph for U+%04X in font %d (a bug in Lectern)",
                    (unsigned)cp, (int)face);
        utf8 += n;
        left -= n;
    }
}

void pdf_text(struct pdf *pdf, enum font_role face, double size, struct rgb color, double x,
              double y, const char *utf8)
{
    check_glyphs(pdf, face, utf8);
    fill_color(pdf, color);
    HPDF_Page_BeginText(pdf->page);
    HPDF_Page_SetFontAndSize(pdf->page, pdf->face[face].font, coord(size));
    HPDF_Page_MoveTextPos(pdf->page, coord(x), flip(pdf, y));
    HPDF_Page_ShowText(pdf->page, utf8);
    HPDF_Page_EndText(pdf->page);
}

void pdf_rect(struct pdf *pdf, double x, double y, double w, double h, struct rgb fill)
{
    fill_color(pdf, fill);
    HPDF_Page_Rectangle(pdf->page, coord(x), flip(pdf, y + h), coord(w), coord(h));
    HPDF_Page_Fill(pdf->page);
}

static void set_dash(struct pdf *pdf, unsigned dash)
{
    const dash_unit pattern[1] = {(dash_unit)dash};
    HPDF_Page_SetDash(pdf->page, dash ? pattern : NULL, dash ? 1 : 0, 0);
}

void pdf_line(struct pdf *pdf, double x0, double y0, double x1, double y1, double width,
              struct rgb color, unsigned dash)
{
    stroke_color(pdf, color);
    HPDF_Page_SetLineWidth(pdf->page, coord(width));
    if (dash) set_dash(pdf, dash);
    HPDF_Page_MoveTo(pdf->page, coord(x0), flip(pdf, y0));
    HPDF_Page_LineTo(pdf->page, coord(x1), flip(pdf, y1));
    HPDF_Page_Stroke(pdf->page);
    if (dash) set_dash(pdf, 0);
}

void pdf_curve(struct pdf *pdf, const double p[8], double width, struct rgb color)
{
    stroke_color(pdf, color);
    HPDF_Page_SetLineWidth(pdf->page, coord(width));
    HPDF_Page_MoveTo(pdf->page, coord(p[0]), flip(pdf, p[1]));
    HPDF_Page_CurveTo(pdf->page, coord(p[2]), flip(pdf, p[3]), coord(p[4]), flip(pdf, p[5]),
                      coord(p[6]), flip(pdf, p[7]));
    HPDF_Page_Stroke(pdf->page);
}

void pdf_polygon(struct pdf *pdf, const double *xy, size_t n, struct rgb fill)
{
    fill_color(pdf, fill);
    HPDF_Page_MoveTo(pdf->page, coord(xy[0]), flip(pdf, xy[1]));
    for (size_t i = 1; i < n; i++)
        HPDF_Page_LineTo(pdf->page, coord(xy[2 * i]), flip(pdf, xy[2 * i + 1]));
    HPDF_Page_ClosePath(pdf->page);
    HPDF_Page_Fill(pdf->page);
}

void pdf_frame(struct pdf *pdf, double x, double y, double w, double h, double width,
               struct rgb color)
{
    stroke_color(pdf, color);
    HPDF_Page_SetLineWidth(pdf->page, coord(width));
    HPDF_Page_Rectangle(pdf->page, coord(x), flip(pdf, y + h), coord(w), coord(h));
    HPDF_Page_Stroke(pdf->page);
}

static HPDF_Rect link_rect(const struct pdf *pdf, double x, double y, double w, double h)
{
    return (HPDF_Rect){
        .left = coord(x), .bottom = flip(pdf, y + h), .right = coord(x + w), .top = flip(pdf, y)};
}

void pdf_link_uri(struct pdf *pdf, double x, double y, double w, double h, const char *uri)
{
    HPDF_Annotation a = HPDF_Page_CreateURILinkAnnot(pdf->page, link_rect(pdf, x, y, w, h), uri);
    if (a) HPDF_LinkAnnot_SetBorderStyle(a, 0, 0, 0);
}

// [page /XYZ 0 top 0]: the last 0 keeps the reader's zoom. HPDF_Destination_SetXYZ refuses it, so
// the array is written anew.
static HPDF_Destination destination(struct pdf *pdf, size_t page, double page_y)
{
    if (page >= pdf->n_pages) return NULL;
    HPDF_Destination d = HPDF_Page_CreateDestination(pdf->pages[page]);
    if (!d) return NULL;
    HPDF_Array_Clear(d);
    HPDF_Array_Add(d, pdf->pages[page]);
    HPDF_Array_AddName(d, "XYZ");
    HPDF_Array_AddReal(d, 0);
    HPDF_Array_AddReal(d, flip(pdf, fmax(0, page_y)));
    HPDF_Array_AddReal(d, 0);
    return d;
}

void pdf_link_page(struct pdf *pdf, double x, double y, double w, double h, size_t page,
                   double page_y)
{
    HPDF_Destination d = destination(pdf, page, page_y);
    if (!d) return;
    HPDF_Annotation a = HPDF_Page_CreateLinkAnnot(pdf->page, link_rect(pdf, x, y, w, h), d);
    if (a) HPDF_LinkAnnot_SetBorderStyle(a, 0, 0, 0);
}

void pdf_outline(struct pdf *pdf, unsigned level, const char *title, size_t page, double page_y)
{
    if (level >= MAX_LEVELS) return;
    HPDF_Outline parent = level ? pdf->outline[level - 1] : NULL;
    HPDF_Outline o =
        HPDF_CreateOutline(pdf->doc, parent, title, HPDF_GetEncoder(pdf->doc, "UTF-8"));
    HPDF_Destination d = destination(pdf, page, page_y);
    if (!o || !d) return;
    HPDF_Outline_SetOpened(o, HPDF_FALSE); // the first level shows, the rest is folded
    HPDF_Outline_SetDestination(o, d);
    pdf->outline[level] = o;
}

bool pdf_save(struct pdf *pdf, const char *path, struct err *e)
{
    if (!take_error(pdf, e)) return false;
    HPDF_SaveToStream(pdf->doc);
    if (!take_error(pdf, e)) return false;
    HPDF_UINT32 size = HPDF_GetStreamSize(pdf->doc), got = size;
    unsigned char *bytes = malloc(size ? size : 1);
    if (!bytes) return err_nomem(e, "the PDF", size);
    HPDF_ResetStream(pdf->doc);
    HPDF_ReadFromStream(pdf->doc, bytes, &got);
    bool ok = take_error(pdf, e);
    if (ok && (!size || got != size))
        ok = err_set(e, ERR_INTERNAL, "libharu gave %u bytes of a PDF of %u", (unsigned)got,
                     (unsigned)size);
    ok = ok && file_write(path, bytes, size, e);
    free(bytes);
    return ok;
}
