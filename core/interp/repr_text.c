// SPDX-License-Identifier: Apache-2.0
#include "interp/repr_text.h"

static const struct printable {
    uint32_t first, last;
    uint16_t since;
} PRINTABLE[] = {
#include "repr_printable.inc"
};

unsigned pyb_unicode_version(int minor)
{
    static const uint16_t BY_MINOR[] = {
        [3] = 0x601,  [4] = 0x603,  [5] = 0x800,  [6] = 0x900,  [7] = 0xb00,  [8] = 0xc01,   [9] = 0xd00,
        [10] = 0xd00, [11] = 0xe00, [12] = 0xf00, [13] = 0xf01, [14] = 0x1000, [15] = 0x1100,
    };
    const int n = sizeof BY_MINOR / sizeof *BY_MINOR;
    if (minor < 3)
        return 0;
    return BY_MINOR[minor < n ? minor : n - 1];
}

bool pyb_unicode_printable(uint32_t codepoint, unsigned unicode_version)
{
    size_t low = 0, high = sizeof PRINTABLE / sizeof *PRINTABLE;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct printable *p = &PRINTABLE[middle];
        if (codepoint < p->first)
            high = middle;
        else if (codepoint > p->last)
            low = middle + 1;
        else
            return p->since <= unicode_version;
    }
    return false;
}

char pyb_repr_quote(bool has_single, bool has_double)
{
    return has_single && !has_double ? '"' : '\'';
}

// What str and bytes share; `escaped` is the quote that gets a backslash. False: not one of these.
static bool add_ascii(uint32_t c, char escaped, struct pyb_buf *out)
{
    switch (c) {
    case '\t': pyb_buf_adds(out, "\\t"); return true;
    case '\n': pyb_buf_adds(out, "\\n"); return true;
    case '\r': pyb_buf_adds(out, "\\r"); return true;
    default: break;
    }
    if (c < ' ' || c == 0x7f) {
        pyb_buf_printf(out, "\\x%02x", c);
        return true;
    }
    if (c > 0x7f)
        return false;
    if (c == '\\' || c == (unsigned char)escaped)
        pyb_buf_addc(out, '\\');
    pyb_buf_addc(out, (char)c);
    return true;
}

void pyb_repr_codepoint(uint32_t codepoint, char quote, unsigned unicode_version, struct pyb_buf *out)
{
    if (add_ascii(codepoint, quote, out))
        return;
    if (unicode_version && pyb_unicode_printable(codepoint, unicode_version))
        pyb_buf_add_codepoint(out, codepoint);
    else if (codepoint <= 0xff)
        pyb_buf_printf(out, "\\x%02x", codepoint);
    else if (codepoint <= 0xffff)
        pyb_buf_printf(out, "\\u%04x", codepoint);
    else
        pyb_buf_printf(out, "\\U%08x", codepoint);
}

void pyb_repr_bytes(const uint8_t *data, size_t n, char escaped, struct pyb_buf *out)
{
    for (size_t i = 0; i < n; i++)
        if (!add_ascii(data[i], escaped, out))
            pyb_buf_printf(out, "\\x%02x", data[i]);
}
