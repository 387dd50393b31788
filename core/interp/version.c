// SPDX-License-Identifier: Apache-2.0
#include "interp/version.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

const char *pyb_version_source_name(enum pyb_version_source source)
{
    switch (source) {
    case PYB_VERSION_OFFSETS:
        return "_Py_DebugOffsets";
    case PYB_VERSION_SYMBOL:
        return "Py_Version";
    case PYB_VERSION_BANNER:
        return "Py_GetVersion's buffer";
    case PYB_VERSION_LITERAL:
        return "PY_VERSION among the constants";
    case PYB_VERSION_TAG:
        return "cache tag";
    case PYB_VERSION_SONAME:
        return "soname";
    case PYB_VERSION_PATH:
        return "library path among the constants";
    case PYB_VERSION_FILE:
        return "file name";
    case PYB_VERSION_SOURCES:
        break;
    }
    return "?";
}

static bool is_cpython(int major, int minor)
{
    return (major == 2 && minor >= 3 && minor <= 7) || (major == 3 && minor >= 0 && minor < 100);
}

bool pyb_version_from_hex(uint64_t hex, struct pyb_version *ret)
{
    struct pyb_version v = {.major = (int)((hex >> 24) & 0xff),
                            .minor = (int)((hex >> 16) & 0xff),
                            .micro = (int)((hex >> 8) & 0xff)};
    unsigned level = (unsigned)(hex >> 4) & 0xf, serial = (unsigned)hex & 0xf;
    if (hex >> 32 || !is_cpython(v.major, v.minor) || level < 0xa || (level > 0xc && level != 0xf))
        return false;
    static const char *const names[] = {"a", "b", "rc"};
    if (level != 0xf)
        (void)snprintf(v.suffix, sizeof(v.suffix), "%s%u", names[level - 0xa], serial);
    *ret = v;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Up to three digits; the characters used, 0: none or too many.
static size_t parse_number(const char *text, size_t len, int *ret)
{
    size_t n = 0;
    *ret = 0;
    while (n < len && n < 4 && is_digit(text[n]))
        *ret = *ret * 10 + (text[n++] - '0');
    return n > 3 ? 0 : n;
}

static size_t parse_suffix(const char *text, size_t len, char suffix[8])
{
    size_t n = 0;
    if (len > 0 && (text[0] == 'a' || text[0] == 'b' || text[0] == 'c'))
        n = 1;
    else if (len > 1 && text[0] == 'r' && text[1] == 'c')
        n = 2;
    int serial;
    size_t digits = n ? parse_number(text + n, len - n, &serial) : 0;
    n = digits ? n + digits : 0;
    if (n < len && text[n] == '+')
        n++;
    if (n > 7)
        return 0;
    memcpy(suffix, text, n);
    suffix[n] = '\0';
    return n;
}

size_t pyb_version_parse(const char *text, size_t len, struct pyb_version *ret)
{
    struct pyb_version v = {.micro = -1};
    size_t n = parse_number(text, len, &v.major);
    if (n != 1 || n >= len || text[n] != '.')
        return 0;
    size_t digits = parse_number(text + n + 1, len - n - 1, &v.minor);
    if (!digits || !is_cpython(v.major, v.minor))
        return 0;
    n += 1 + digits;
    if (n + 1 < len && text[n] == '.' && is_digit(text[n + 1])) {
        digits = parse_number(text + n + 1, len - n - 1, &v.micro);
        if (!digits)
            return 0;
        n += 1 + digits;
        n += parse_suffix(text + n, len - n, v.suffix);
    }
    *ret = v;
    return n;
}

// ABI letters after a version: d debug, t free-threaded, m and u nothing that we need. The characters used.
static size_t parse_abi(const char *text, size_t len, unsigned *ret)
{
    size_t n = 0;
    for (; n < len && n < 3; n++) {
        if (text[n] == 'd')
            *ret |= PYB_LAYOUT_DEBUG;
        else if (text[n] == 't')
            *ret |= PYB_LAYOUT_FREETHREADED;
        else if (text[n] != 'm' && text[n] != 'u')
            break;
    }
    return n;
}

bool pyb_version_from_name(const char *name, struct pyb_version *ret)
{
    const char *base = strrchr(name, '/');
    base = base ? base + 1 : name;
    const char *at = strstr(base, "python");
    if (!at)
        return false;
    at += strlen("python");
    struct pyb_version v;
    size_t len = strlen(at), n = pyb_version_parse(at, len, &v);
    if (n == 0)
        return false;
    v.micro = -1; // "libpython3.8.so.1.0" stops at the minor; "python3.8.10" may be anybody's naming
    v.suffix[0] = '\0';
    n += parse_abi(at + n, len - n, &v.abi);
    if (strncmp(at + n, "_d", 2) == 0 || strncmp(at + n, "-dbg", 4) == 0)
        v.abi |= PYB_LAYOUT_DEBUG;
    *ret = v;
    return true;
}

void pyb_version_text(const struct pyb_version *v, char *buf, size_t size)
{
    if (v->micro >= 0)
        (void)snprintf(buf, size, "%d.%d.%d%s", v->major, v->minor, v->micro, v->suffix);
    else
        (void)snprintf(buf, size, "%d.%d", v->major, v->minor);
}

// True when text goes on like Py_GetVersion()'s: " (main, Mar 13 2023, 12:18:29) [GCC ..." with a build flavour before it or not.
static bool is_banner_tail(const char *text, size_t len, unsigned *ret_abi)
{
    static const char *const flavours[] = {" experimental free-threading build", " free-threading build"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof(flavours) / sizeof(*flavours); i++) {
        size_t size = strlen(flavours[i]);
        if (n == 0 && len > size && memcmp(text, flavours[i], size) == 0) {
            n = size;
            *ret_abi |= PYB_LAYOUT_FREETHREADED;
        }
    }
    if (len < n + 2 || text[n] != ' ' || text[n + 1] != '(')
        return false;
    size_t max = len - n < 250 ? len - n : 250; // the buffer's size in Python/getversion.c
    const char *end = memchr(text + n, '\0', max);
    size_t rest = end ? (size_t)(end - (text + n)) : max;
    return memchr(text + n, '[', rest) != NULL && memchr(text + n, ')', rest) != NULL;
}

bool pyb_version_scan_banner(const char *data, size_t len, struct pyb_version *ret)
{
    for (const char *p = data, *end = data + len; p < end;) {
        const char *paren = memchr(p, '(', (size_t)(end - p));
        if (!paren)
            return false;
        p = paren + 1;
        // Back from " (" to the NUL before the text.
        size_t back = (size_t)(paren - data) < 64 ? (size_t)(paren - data) : 64;
        const char *start = paren;
        while (back > 0 && start[-1] >= ' ' && start[-1] <= '~') {
            start--;
            back--;
        }
        struct pyb_version v;
        size_t n = start < paren ? pyb_version_parse(start, (size_t)(end - start), &v) : 0;
        if (n && v.micro >= 0 && is_banner_tail(start + n, (size_t)(end - start) - n, &v.abi)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static void note_evidence(struct pyb_version_evidence *ev, enum pyb_version_source source, const struct pyb_version *v)
{
    if (!ev->has[source] || (ev->from[source].abi == 0 && v->abi != 0 && ev->from[source].minor == v->minor))
        ev->from[source] = *v;
    ev->has[source] = true;
}

// "cpython-311" followed by ABI letters and then '-', '.' or the end.
static void scan_tag(const char *text, size_t len, struct pyb_version_evidence *ev)
{
    struct pyb_version v = {.micro = -1};
    int digits;
    size_t n = parse_number(text, len, &digits);
    if (n < 2)
        return;
    int scale = n == 2 ? 10 : 100;
    v.major = digits / scale;
    v.minor = digits % scale;
    n += parse_abi(text + n, len - n, &v.abi);
    if (n < len && text[n] != '-' && text[n] != '.' && text[n] != '\0')
        return;
    if (is_cpython(v.major, v.minor))
        note_evidence(ev, PYB_VERSION_TAG, &v);
}

static void scan_path(const char *text, size_t len, struct pyb_version_evidence *ev)
{
    struct pyb_version v;
    size_t n = pyb_version_parse(text, len, &v);
    if (n == 0 || v.micro >= 0)
        return;
    unsigned abi = 0;
    n += parse_abi(text + n, len - n, &abi);
    // Not "lib/python2.5/site-packages", an example in the text of site.py, which is frozen into the interpreter.
    if (n < len && (text[n] == '\0' || text[n] == ':'))
        note_evidence(ev, PYB_VERSION_PATH, &v);
}

static const struct pyb_version *expected(const struct pyb_version *expect, const struct pyb_version_evidence *ev)
{
    if (expect)
        return expect;
    if (ev->has[PYB_VERSION_TAG])
        return &ev->from[PYB_VERSION_TAG];
    return ev->has[PYB_VERSION_PATH] ? &ev->from[PYB_VERSION_PATH] : NULL;
}

static void scan_words(const char *data, size_t len, const char *word, void (*each)(const char *, size_t, struct pyb_version_evidence *),
                       struct pyb_version_evidence *ev)
{
    size_t size = strlen(word);
    for (const char *p = data, *end = data + len; (p = memmem(p, (size_t)(end - p), word, size)) != NULL;) {
        p += size;
        each(p, (size_t)(end - p), ev);
    }
}

static void scan_literal(const char *data, size_t len, const struct pyb_version *expect, struct pyb_version_evidence *ev)
{
    char start[16];
    int n = snprintf(start, sizeof(start), "%d.%d.", expect->major, expect->minor);
    for (const char *p = data, *end = data + len; (p = memmem(p, (size_t)(end - p), start, (size_t)n)) != NULL; p++) {
        struct pyb_version v;
        size_t used = pyb_version_parse(p, (size_t)(end - p), &v);
        // Linkers merge a string with the end of another: "3.8.18" is in "/opt/python/3.8.18" too.
        bool alone = (p == data || p[-1] == '\0' || p[-1] == '/') && used && p + used < end && p[used] == '\0';
        if (alone && v.micro >= 0) {
            note_evidence(ev, PYB_VERSION_LITERAL, &v);
            return;
        }
    }
}

void pyb_version_scan_constants(const char *data, size_t len, const struct pyb_version *expect, struct pyb_version_evidence *ev)
{
    scan_words(data, len, "cpython-", scan_tag, ev);
    scan_words(data, len, "lib/python", scan_path, ev);
    const struct pyb_version *v = expected(expect, ev);
    if (v && !ev->has[PYB_VERSION_LITERAL]) {
        struct pyb_version copy = *v;
        scan_literal(data, len, &copy, ev);
    }
}

static bool agree(const struct pyb_version *a, const struct pyb_version *b)
{
    return a->major == b->major && a->minor == b->minor && (a->micro < 0 || b->micro < 0 || a->micro == b->micro);
}

int pyb_version_decide(const struct pyb_version_evidence *ev, struct pyb_version *ret, unsigned *ret_agreeing, const char **ret_note)
{
    int best = -1;
    unsigned best_count = 0;
    bool contradiction = false;
    for (int i = 0; i < PYB_VERSION_SOURCES; i++) {
        unsigned count = 0;
        for (int k = 0; ev->has[i] && k < PYB_VERSION_SOURCES; k++) {
            if (!ev->has[k])
                continue;
            if (agree(&ev->from[i], &ev->from[k]))
                count++;
            else
                contradiction = true;
        }
        // The best ranked one that another confirms; else the best ranked one.
        if (count && (best < 0 || (best_count == 1 && count > 1))) {
            best = i;
            best_count = count;
        }
    }
    *ret_agreeing = best_count;
    *ret_note = NULL;
    if (best < 0)
        return PYB_E_NOTFOUND;
    *ret = ev->from[best];
    for (int k = 0; k < PYB_VERSION_SOURCES; k++) {
        if (!ev->has[k] || !agree(ret, &ev->from[k]))
            continue;
        ret->abi |= ev->from[k].abi;
        if (ret->micro < 0 && ev->from[k].micro >= 0) {
            ret->micro = ev->from[k].micro;
            memcpy(ret->suffix, ev->from[k].suffix, sizeof(ret->suffix));
        }
    }
    if (best_count < 2)
        *ret_note = "the Python version rests on one source only";
    else if (contradiction)
        *ret_note = "the sources of the Python version contradict each other";
    return 0;
}
