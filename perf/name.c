// SPDX-License-Identifier: Apache-2.0
#include "name.h"

#include <string.h>

#include "stack/native_name.h"

static bool begins(struct ann_span s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static bool ends(struct ann_span s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && memcmp(s.p + s.n - n, with, n) == 0;
}

static struct ann_span base_name(struct ann_span path)
{
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/')
        at--;
    return (struct ann_span){path.p + at, path.n - at};
}

// perf-4711.map, jitted-4711-12.so; CPython's names are found nowhere else.
static bool is_symbol_file(struct ann_span dso)
{
    struct ann_span base = base_name(dso);
    return (begins(base, "perf-") && ends(base, ".map")) || (begins(base, "jitted-") && ends(base, ".so")) || begins(dso, "[JIT]");
}

bool ann_is_python(const struct ann_frame *f, struct ann_python *ret)
{
    if (!begins(f->name, "py::"))
        return false;
    const char *name = f->name.p + 4, *end = f->name.p + f->name.n;
    const char *colon = memchr(name, ':', (size_t)(end - name));
    if (!colon || colon == name || colon + 1 == end || colon[1] == ':')
        return false;
    ret->name = (struct ann_span){name, (size_t)(colon - name)};
    ret->file = (struct ann_span){colon + 1, (size_t)(end - colon - 1)};
    ret->seen = false;
    if (!f->dso.p || is_symbol_file(f->dso))
        return !f->inlined;
    ret->seen = true;
    return f->dso.n <= ret->file.n && f->dso.n > 0 && memcmp(f->dso.p, ret->file.p, f->dso.n) == 0; // :LINE may follow
}

bool ann_is_evaluation(struct ann_span name)
{
    return begins(name, "_PyEval_EvalFrameDefault") || begins(name, "PyEval_EvalFrameEx");
}

static bool ask_core(struct ann_span name)
{
    char text[128]; // longer ones are C++
    if (name.n >= sizeof(text))
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    return pyb_is_plumbing_symbol(text);
}

bool ann_is_plumbing(struct ann_known *known, struct ann_span name)
{
    if (name.n == 0 || name.n > sizeof(known->slots[0].text))
        return name.n && ask_core(name);
    size_t slot = name.n;
    for (size_t i = 0; i < name.n; i += 3)
        slot = slot * 31 + (unsigned char)name.p[i];
    slot = (slot ^ slot >> 8) & 255;
    if (known->slots[slot].n != name.n || memcmp(known->slots[slot].text, name.p, name.n) != 0) {
        known->slots[slot].plumbing = ask_core(name);
        known->slots[slot].n = (uint16_t)name.n;
        memcpy(known->slots[slot].text, name.p, name.n);
    }
    return known->slots[slot].plumbing;
}

bool ann_is_unknown(struct ann_span name)
{
    return name.n == 0 || (name.n == 9 && memcmp(name.p, "[unknown]", 9) == 0);
}

bool ann_is_kernel(const struct ann_frame *f)
{
    return f->pc >= 0xffff800000000000u || begins(f->dso, "[kernel") || begins(f->dso, "[guest.kernel");
}

// One character of strict UTF-8; 0: ill-formed.
static size_t utf8(const unsigned char *p, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    *ret = len == 1 ? p[0] : (uint32_t)(p[0] & (0xff >> (len + 1)));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *ret = *ret << 6 | (p[i] & 0x3f);
    }
    return *ret > 0x10ffff || *ret < least[len] || (*ret >= 0xd800 && *ret < 0xe000) ? 0 : len;
}

static bool is_harmful(uint32_t c)
{
    if (c < 0x80)
        return c <= ' ' || c == 0x7f || c == ';' || c == '(' || c == ')' || c == '"' || c == '\'';
    return c <= 0xa0 || c == 0x61c || c == 0x1680 || (c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
           (c >= 0x205f && c <= 0x206f) || c == 0x3000 || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c < 0xe0080);
}

void ann_put_escaped(struct pyb_buf *b, struct ann_span s)
{
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n, *plain = p;
    while (p < end) {
        uint32_t c = *p;
        size_t len = utf8(p, (size_t)(end - p), &c);
        if (len && !is_harmful(c)) {
            p += len;
            continue;
        }
        c = len ? c : *p;
        pyb_buf_add(b, plain, (size_t)(p - plain));
        pyb_buf_printf(b, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
        p += len ? len : 1;
        plain = p;
    }
    pyb_buf_add(b, plain, (size_t)(end - plain));
}

void ann_put_python(struct pyb_buf *b, const struct ann_python *p, struct ann_span line)
{
    pyb_buf_adds(b, "py::");
    ann_put_escaped(b, p->name);
    pyb_buf_addc(b, ':');
    ann_put_escaped(b, p->file);
    if (line.n) {
        pyb_buf_addc(b, ':');
        pyb_buf_add(b, line.p, line.n);
    }
}
