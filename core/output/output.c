// SPDX-License-Identifier: Apache-2.0
#include "output/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void pyb_out_init(struct pyb_out *o, pyb_write_fn write, void *ctx)
{
    o->write = write;
    o->ctx = ctx;
    o->failed = 0;
    o->len = 0;
}

static void flush(struct pyb_out *o)
{
    if (!o->failed && o->len > 0)
        o->failed = o->write(o->ctx, o->data, o->len) != 0;
    o->len = 0;
}

void pyb_out_add(struct pyb_out *o, const char *s, size_t n)
{
    while (n > 0 && !o->failed) {
        if (o->len == sizeof(o->data))
            flush(o);
        size_t part = sizeof(o->data) - o->len < n ? sizeof(o->data) - o->len : n;
        memcpy(o->data + o->len, s, part);
        o->len += part;
        s += part;
        n -= part;
    }
}

void pyb_out_adds(struct pyb_out *o, const char *s)
{
    pyb_out_add(o, s, strlen(s));
}

void pyb_out_spaces(struct pyb_out *o, size_t n)
{
    for (; n > 0; n--)
        pyb_out_add(o, " ", 1);
}

// For numbers and fixed words; text of unknown length goes through pyb_out_adds() and pyb_out_escaped().
void pyb_out_printf(struct pyb_out *o, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n > 0)
        pyb_out_add(o, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

int pyb_out_finish(struct pyb_out *o)
{
    flush(o);
    return o->failed ? PYB_E_FAILED : 0;
}

// One code point of strict UTF-8; an ill-formed byte is itself, and *ret_bad.
static size_t decode(const unsigned char *p, uint32_t *ret, bool *ret_bad)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = 0; // 0: not the first byte of a sequence
    if (p[0] < 0x80)
        n = 1;
    else if (p[0] >= 0xc2 && p[0] < 0xf5)
        n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t cp = n == 1 ? p[0] : n ? (uint32_t)(p[0] & (0x7f >> n)) : 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) { // the terminating NUL too
            n = 0;
            break;
        }
        cp = cp << 6 | (p[i] & 0x3f);
    }
    *ret_bad = n == 0 || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000) || cp < least[n];
    *ret = *ret_bad ? p[0] : cp;
    return *ret_bad ? 1 : n;
}

// What moves the cursor, changes the terminal, or shows text in another order or as nothing.
static bool harmful(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x61c || cp == 0x200e || cp == 0x200f ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff ||
           (cp >= 0xfff9 && cp <= 0xfffb) || (cp >= 0xe0000 && cp < 0xe0080);
}

static size_t escape(uint32_t cp, char out[16])
{
    const char *common = cp == '\n' ? "\\n" : cp == '\t' ? "\\t" : cp == '\r' ? "\\r" : NULL;
    const char *format = cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x";
    int n = common ? snprintf(out, 16, "%s", common) : snprintf(out, 16, format, (unsigned)cp);
    return n > 0 ? (size_t)n : 0;
}

// Nearly all text is plain: added as one.
static size_t plain(const unsigned char *p, bool json)
{
    size_t n = 0;
    while (p[n] >= 0x20 && p[n] < 0x7f && !(json && (p[n] == '"' || p[n] == '\\')))
        n++;
    return n;
}

// Writes the plain text at *p and goes past it; false when there is none.
static bool add_plain(struct pyb_out *o, const unsigned char **p, bool json)
{
    size_t n = plain(*p, json);
    pyb_out_add(o, (const char *)*p, n);
    *p += n;
    return n > 0;
}

void pyb_out_escaped(struct pyb_out *o, const char *utf8)
{
    for (const unsigned char *p = (const unsigned char *)utf8; *p;) {
        if (add_plain(o, &p, false))
            continue;
        uint32_t cp;
        bool bad;
        size_t n = decode(p, &cp, &bad);
        char text[16];
        if (bad || harmful(cp))
            pyb_out_add(o, text, escape(cp, text));
        else
            pyb_out_add(o, (const char *)p, n);
        p += n;
    }
}

size_t pyb_out_width(const char *utf8)
{
    size_t width = 0;
    for (const unsigned char *p = (const unsigned char *)utf8; *p;) {
        size_t run = plain(p, false);
        if (run > 0) {
            width += run;
            p += run;
            continue;
        }
        uint32_t cp;
        bool bad;
        char text[16];
        p += decode(p, &cp, &bad);
        width += bad || harmful(cp) ? escape(cp, text) : 1;
    }
    return width;
}

static void json_escape(struct pyb_out *o, uint32_t cp)
{
    if (cp == '\n' || cp == '\t' || cp == '\r')
        pyb_out_adds(o, cp == '\n' ? "\\n" : cp == '\t' ? "\\t" : "\\r");
    else if (cp < 0x10000)
        pyb_out_printf(o, "\\u%04x", (unsigned)cp);
    else
        pyb_out_printf(o, "\\u%04x\\u%04x", 0xd800u + ((cp - 0x10000) >> 10),
                       0xdc00u + ((cp - 0x10000) & 0x3ff));
}

void pyb_out_json_string(struct pyb_out *o, const char *utf8)
{
    if (!utf8) {
        pyb_out_adds(o, "null");
        return;
    }
    pyb_out_add(o, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)utf8; *p;) {
        if (add_plain(o, &p, true))
            continue;
        uint32_t cp;
        bool bad;
        size_t n = decode(p, &cp, &bad);
        if (bad)
            pyb_out_printf(o, "\\\\x%02x", (unsigned)cp); // as backslashreplace writes it
        else if (harmful(cp))
            json_escape(o, cp);
        else if (cp == '"' || cp == '\\')
            pyb_out_printf(o, "\\%c", (char)cp);
        else
            pyb_out_add(o, (const char *)p, n);
        p += n;
    }
    pyb_out_add(o, "\"", 1);
}

const char *pyb_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}
