// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void pyb_buf_init(struct pyb_buf *b, struct pyb_ctx *ctx, size_t limit)
{
    *b = (struct pyb_buf){.ctx = ctx, .limit = limit};
}

void pyb_buf_deinit(struct pyb_buf *b)
{
    pyb_free(b->ctx, b->data);
    *b = (struct pyb_buf){.ctx = b->ctx, .limit = b->limit};
}

void pyb_buf_clear(struct pyb_buf *b)
{
    b->len = 0;
    b->failed = b->limited = false;
    if (b->data)
        b->data[0] = '\0';
}

static bool reserve(struct pyb_buf *b, size_t n)
{
    size_t need;
    if (__builtin_add_overflow(b->len, n, &need) || need > SIZE_MAX / 2)
        return false;
    if (need < b->cap) // one byte stays for the NUL
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap <= need)
        cap *= 2;
    char *data = pyb_realloc(b->ctx, b->data, b->cap, cap);
    if (!data)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

// What fits under the limit of a piece that may be cut anywhere.
static size_t fitting(struct pyb_buf *b, size_t n)
{
    if (b->limit && n > b->limit - b->len) {
        b->limited = true;
        n = b->limit - b->len;
    }
    return n;
}

static void append(struct pyb_buf *b, const void *data, size_t n)
{
    if (n == 0)
        return;
    if (!reserve(b, n)) {
        b->failed = true;
        return;
    }
    memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void pyb_buf_add(struct pyb_buf *b, const void *data, size_t n)
{
    if (!b->failed && !b->limited)
        append(b, data, fitting(b, n));
}

void pyb_buf_adds(struct pyb_buf *b, const char *s)
{
    pyb_buf_add(b, s, strlen(s));
}

void pyb_buf_addc(struct pyb_buf *b, char c)
{
    pyb_buf_add(b, &c, 1);
}

void pyb_buf_printf(struct pyb_buf *b, const char *format, ...)
{
    if (b->failed || b->limited)
        return;
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < sizeof(small)) {
        append(b, small, fitting(b, (size_t)n));
    } else if (reserve(b, (size_t)n)) {
        (void)vsnprintf(b->data + b->len, b->cap - b->len, format, again);
        b->len += fitting(b, (size_t)n);
        b->data[b->len] = '\0';
    } else {
        b->failed = true;
    }
    va_end(again);
}

// A code point or an escape is added whole or not at all, so that a limit never leaves half a character.
static void add_whole(struct pyb_buf *b, const char *data, size_t n)
{
    if (b->failed || b->limited)
        return;
    if (b->limit && n > b->limit - b->len)
        b->limited = true;
    else
        append(b, data, n);
}

static size_t encode_utf8(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

void pyb_buf_add_codepoint(struct pyb_buf *b, uint32_t cp)
{
    char text[16];
    size_t n;
    if (cp > 0x10ffff)
        n = (size_t)snprintf(text, sizeof(text), "\\U%08x", cp);
    else if (cp >= 0xd800 && cp < 0xe000)
        n = (size_t)snprintf(text, sizeof(text), "\\u%04x", cp);
    else
        n = encode_utf8(cp, text);
    add_whole(b, text, n);
}

// Length of the well-formed sequence at p (Unicode, table 3-7), 0 when there is none.
static size_t utf8_sequence(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    size_t want = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n < want)
        return 0;
    uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < want; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return want;
}

void pyb_buf_add_utf8(struct pyb_buf *b, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t i = 0;
    while (i < n && !b->failed && !b->limited) {
        size_t ascii = i;
        while (ascii < n && p[ascii] < 0x80)
            ascii++;
        pyb_buf_add(b, p + i, ascii - i);
        i = ascii;
        if (i == n)
            break;
        size_t len = utf8_sequence(p + i, n - i);
        if (len) {
            add_whole(b, (const char *)p + i, len);
            i += len;
        } else {
            char text[8];
            add_whole(b, text, (size_t)snprintf(text, sizeof(text), "\\x%02x", p[i]));
            i++;
        }
    }
}

const char *pyb_buf_str(const struct pyb_buf *b)
{
    return b->data ? b->data : "";
}
