// SPDX-License-Identifier: Apache-2.0
#include "escape.h"

#include <stdio.h>
#include <string.h>

// One character of strict UTF-8; an ill-formed byte is itself, and *ret_bad. Returns its bytes.
static size_t decode(const unsigned char *p, uint32_t *ret, bool *ret_bad)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    uint32_t c = n == 1 ? p[0] : n ? (uint32_t)(p[0] & (0xff >> (n + 1))) : 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) { // the terminating NUL too
            n = 0;
            break;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    *ret_bad = n == 0 || c > 0x10ffff || c < least[n] || (c >= 0xd800 && c < 0xe000);
    *ret = *ret_bad ? p[0] : c;
    return *ret_bad ? 1 : n;
}

// What moves the cursor, changes the terminal, or shows text in another order or as nothing.
static bool is_harmful(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c < 0xe0080);
}

// The character at p as people see it: at most 12 bytes. Returns its columns.
static size_t show(const unsigned char *p, char out[16], size_t *ret_len)
{
    uint32_t c;
    bool bad;
    *ret_len = decode(p, &c, &bad);
    if (!bad && !is_harmful(c)) {
        memcpy(out, p, *ret_len);
        out[*ret_len] = '\0';
        return 1;
    }
    const char *word = c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : NULL;
    const char *format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    int n = word ? snprintf(out, 16, "%s", word) : snprintf(out, 16, format, (unsigned)c);
    return n > 0 ? (size_t)n : 0;
}

size_t cli_width(const char *text)
{
    size_t columns = 0, len;
    char shown[16];
    for (const unsigned char *p = (const unsigned char *)text; *p; p += len)
        columns += show(p, shown, &len);
    return columns;
}

size_t cli_escaped(struct cli_out *o, const char *text, size_t columns)
{
    bool cut = columns && cli_width(text) > columns;
    size_t room = cut ? columns - (columns > 2 ? 2 : columns) : SIZE_MAX, used = 0, len;
    char shown[16];
    for (const unsigned char *p = (const unsigned char *)text; *p; p += len) {
        size_t width = show(p, shown, &len);
        if (width > room - used)
            break;
        used += width;
        (void)cli_write(o, shown, strlen(shown)); // a failure is remembered there
    }
    for (; cut && used < columns; used++)
        (void)cli_write(o, ".", 1);
    return used;
}

static void json_character(struct cli_out *o, const unsigned char *p, uint32_t c, size_t len)
{
    if (c == '"' || c == '\\')
        cli_printf(o, "\\%c", (char)c);
    else if (!is_harmful(c))
        (void)cli_write(o, (const char *)p, len);
    else if (c < 0x10000)
        cli_printf(o, "\\u%04x", (unsigned)c);
    else
        cli_printf(o, "\\u%04x\\u%04x", 0xd800u + ((c - 0x10000) >> 10), 0xdc00u + ((c - 0x10000) & 0x3ff));
}

void cli_json_string(struct cli_out *o, const char *text)
{
    if (!text) {
        cli_printf(o, "null");
        return;
    }
    cli_printf(o, "\"");
    size_t len;
    for (const unsigned char *p = (const unsigned char *)text; *p; p += len) {
        uint32_t c;
        bool bad;
        len = decode(p, &c, &bad);
        if (bad)
            cli_printf(o, "\\\\x%02x", (unsigned)c); // as backslashreplace writes it
        else
            json_character(o, p, c, len);
    }
    cli_printf(o, "\"");
}

void cli_json_member(struct cli_out *o, bool *first, const char *key, const char *text)
{
    cli_printf(o, "%s\"%s\": ", *first ? "" : ", ", key);
    *first = false;
    cli_json_string(o, text);
}
