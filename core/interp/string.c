// SPDX-License-Identifier: Apache-2.0
// From a str object to text: finding the characters (string_header), and turning them into UTF-8.
#include "interp/string.h"

#include <string.h>

#include "base/error.h"
#include "interp/string_header.h"

// Characters of one string in order, whatever their width, through a small window.
struct reader {
    struct pyb_python *py;
    const struct pyb_str *str;
    uint64_t next;         // unit that comes next
    uint64_t first, n;     // units in the window
    uint8_t window[2048];
};

// The window stays as it is: clearing it would cost more than reading a name.
static void begin(struct reader *r, struct pyb_python *py, const struct pyb_str *str)
{
    r->py = py;
    r->str = str;
    r->next = r->first = r->n = 0;
}

static int fill(struct reader *r, struct pyb_error *err)
{
    const struct pyb_str *s = r->str;
    uint64_t n = sizeof r->window / s->unit;
    if (n > s->length - r->next)
        n = s->length - r->next;
    int code = pyb_read_bytes(r->py->target->mem, s->data + r->next * s->unit, r->window, n * s->unit, err);
    if (code)
        return code;
    r->first = r->next;
    r->n = n;
    return 0;
}

// 1: a unit, 0: the end, negative: an error.
static int next_unit(struct reader *r, uint32_t *ret, struct pyb_error *err)
{
    const struct pyb_str *s = r->str;
    if (r->next >= s->length)
        return 0;
    if (r->next < r->first || r->next - r->first >= r->n) {
        int code = fill(r, err);
        if (code)
            return code;
    }
    struct pyb_bytes b = pyb_memory_bytes(r->py->target->mem, r->window, (size_t)r->n * s->unit);
    *ret = (uint32_t)pyb_get_uint(&b, (size_t)(r->next - r->first) * s->unit, s->unit);
    r->next++;
    return 1;
}

// As next_unit, surrogate pairs of UTF-16 models joined.
static int next_char(struct reader *r, uint32_t *ret, struct pyb_error *err)
{
    int got = next_unit(r, ret, err);
    if (got <= 0 || !r->str->utf16 || (*ret & 0xfffffc00) != 0xd800)
        return got;
    uint32_t low;
    got = next_unit(r, &low, err);
    if (got < 0)
        return got;
    if (got && (low & 0xfffffc00) == 0xdc00)
        *ret = 0x10000 + ((*ret & 0x3ff) << 10) + (low & 0x3ff);
    else if (got)
        r->next--;
    return 1;
}

static int add_chars(struct pyb_python *py, const struct pyb_str *s, size_t max_chars, struct pyb_buf *out,
                     bool *cut, struct pyb_error *err)
{
    struct reader r;
    begin(&r, py, s);
    uint32_t c;
    int got = 0;
    for (size_t i = 0; i < max_chars && (got = next_char(&r, &c, err)) == 1; i++) {
        if (c)
            pyb_buf_add_codepoint(out, c);
        else
            pyb_buf_adds(out, "\\x00"); // a C string carries the result
    }
    *cut = r.next < s->length;
    return got < 0 ? got : 0;
}

static int add_bytes(struct pyb_python *py, const struct pyb_str *s, size_t max_chars, struct pyb_buf *out,
                     bool *cut, struct pyb_error *err)
{
    size_t n = s->length < max_chars ? (size_t)s->length : max_chars;
    *cut = n < s->length;
    uint8_t *data = pyb_alloc(py->target->ctx, n + 1);
    if (!data)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a string of %zu bytes", n);
    int code = n ? pyb_read_bytes(py->target->mem, s->data, data, n, err) : 0;
    for (size_t i = 0; !code && i < n;) {
        const uint8_t *nul = memchr(data + i, 0, n - i);
        size_t run = nul ? (size_t)(nul - (data + i)) : n - i;
        pyb_buf_add_utf8(out, data + i, run);
        if (nul)
            pyb_buf_adds(out, "\\x00");
        i += run + 1;
    }
    pyb_free(py->target->ctx, data);
    return code;
}

int pyb_string_read(struct pyb_python *py, pyb_addr addr, size_t max_chars, struct pyb_arena *arena,
                    const char **ret, bool *ret_cut, struct pyb_error *err)
{
    struct pyb_str s;
    int code = pyb_str_header(py, addr, &s, err);
    if (code)
        return code;
    if (max_chars > PYB_STRING_MAX)
        max_chars = PYB_STRING_MAX;
    struct pyb_buf out;
    pyb_buf_init(&out, py->target->ctx, 0);
    bool cut = false;
    code = (s.is_bytes ? add_bytes : add_chars)(py, &s, max_chars, &out, &cut, err);
    if (!code) {
        *ret = out.failed ? NULL : pyb_arena_strndup(arena, pyb_buf_str(&out), out.len);
        if (!*ret)
            code = pyb_fail(err, PYB_E_NOMEM, "no memory for the string at 0x%llx", (unsigned long long)addr);
    }
    pyb_buf_deinit(&out);
    if (!code && ret_cut)
        *ret_cut = cut;
    return code;
}

int pyb_string_codepoints(struct pyb_python *py, pyb_addr addr, uint32_t *buf, size_t max, size_t *ret,
                          int64_t *ret_total, struct pyb_error *err)
{
    struct pyb_str s;
    int code = pyb_str_header(py, addr, &s, err);
    if (code)
        return code;
    struct reader r;
    begin(&r, py, &s);
    size_t n = 0;
    int got = 0;
    while (n < max && (got = next_char(&r, &buf[n], err)) == 1)
        n++;
    if (got < 0)
        return got;
    *ret = n;
    *ret_total = (int64_t)s.length;
    return 0;
}

bool pyb_string_equals(struct pyb_python *py, pyb_addr addr, const char *ascii)
{
    struct pyb_str s;
    size_t len = strlen(ascii);
    if (pyb_str_header(py, addr, &s, NULL) || s.length != len)
        return false;
    struct reader r;
    begin(&r, py, &s);
    uint32_t c;
    for (size_t i = 0; i < len; i++)
        if (next_unit(&r, &c, NULL) != 1 || c != (unsigned char)ascii[i])
            return false;
    return true;
}

int pyb_bytes_object_read(struct pyb_python *py, pyb_addr addr, uint8_t *buf, size_t max, size_t *ret,
                          int64_t *ret_total, struct pyb_error *err)
{
    struct pyb_str s;
    int code = pyb_bytes_header(py, addr, &s, err);
    if (code)
        return code;
    size_t n = s.length < max ? (size_t)s.length : max;
    code = n ? pyb_read_bytes(py->target->mem, s.data, buf, n, err) : 0;
    if (code)
        return code;
    *ret = n;
    *ret_total = (int64_t)s.length;
    return 0;
}
