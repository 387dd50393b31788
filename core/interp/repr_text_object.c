// SPDX-License-Identifier: Apache-2.0
// str, bytes and bytearray objects: read, then escaped by repr_text.c.
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

// How many characters are worth reading: each is at least one byte of the result.
static size_t wanted(const struct pyb_repr *r, int64_t total)
{
    size_t used = r->out->len - r->start, room = used > r->length ? 0 : r->length - used;
    return total < 0 ? 0 : (uint64_t)total < (uint64_t)room + 1 ? (size_t)total : room + 1;
}

// 2.7, narrow builds: a surrogate pair is one character in the repr.
static uint32_t join_pair(const uint32_t *text, size_t n, size_t *i)
{
    uint32_t c = text[*i];
    if (c < 0xd800 || c > 0xdbff || *i + 1 >= n || text[*i + 1] < 0xdc00 || text[*i + 1] > 0xdfff)
        return c;
    return 0x10000 + ((c - 0xd800) << 10) + (text[++*i] - 0xdc00);
}

static void add_str(struct pyb_repr *r, const uint32_t *text, size_t n)
{
    bool has_single = false, has_double = false;
    for (size_t i = 0; i < n; i++) {
        has_single |= text[i] == '\'';
        has_double |= text[i] == '"';
    }
    bool two = r->l->major == 2;
    char quote = pyb_repr_quote(has_single, has_double);
    unsigned version = two ? 0 : pyb_unicode_version(r->l->minor);
    if (two)
        pyb_buf_addc(r->out, 'u');
    pyb_buf_addc(r->out, quote);
    for (size_t i = 0; i < n && !pyb_repr_full(r); i++)
        pyb_repr_codepoint(two && r->l->unicode_unit == 2 ? join_pair(text, n, &i) : text[i], quote, version,
                           r->out);
    pyb_buf_addc(r->out, quote);
}

int pyb_repr_str(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    uint32_t few[256], *text = few;
    size_t n, max = sizeof few / sizeof *few;
    int64_t total;
    int rc = pyb_string_codepoints(r->py, object, few, max, &n, &total, r->err);
    if (rc)
        return rc;
    size_t want = wanted(r, total);
    if (want > max) {
        text = pyb_alloc(r->py->target->ctx, want * sizeof *text);
        if (!text)
            return pyb_fail(r->err, PYB_E_NOMEM, "no memory for a str of %lld characters", (long long)total);
        rc = pyb_string_codepoints(r->py, object, text, want, &n, &total, r->err);
    }
    if (rc == 0 && (int64_t)n < total && n < want)
        rc = pyb_repr_corrupt(r, object, "a str of %lld characters, %zu of them readable", (long long)total,
                              n);
    if (rc == 0)
        add_str(r, text, n);
    if (text != few)
        pyb_free(r->py->target->ctx, text);
    return rc;
}

// Up to 3.14 a bytearray escapes ' even where " surrounds it (Objects/bytearrayobject.c).
static void add_bytes(struct pyb_repr *r, const uint8_t *data, size_t n, const char *prefix,
                      bool escape_single)
{
    char quote = pyb_repr_quote(memchr(data, '\'', n) != NULL, memchr(data, '"', n) != NULL);
    pyb_buf_adds(r->out, prefix);
    pyb_buf_addc(r->out, quote);
    pyb_repr_bytes(data, n, escape_single ? '\'' : quote, r->out);
    pyb_buf_addc(r->out, quote);
}

int pyb_repr_bytes_object(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    uint8_t few[512], *data = few;
    size_t n;
    int64_t total;
    int rc = pyb_bytes_object_read(r->py, object, few, sizeof few, &n, &total, r->err);
    if (rc)
        return rc;
    size_t want = wanted(r, total);
    if (want > sizeof few) {
        data = pyb_alloc(r->py->target->ctx, want);
        if (!data)
            return pyb_fail(r->err, PYB_E_NOMEM, "no memory for %lld bytes", (long long)total);
        rc = pyb_bytes_object_read(r->py, object, data, want, &n, &total, r->err);
    }
    if (rc == 0)
        add_bytes(r, data, n, r->l->major == 2 ? "" : "b", false);
    if (data != few)
        pyb_free(r->py->target->ctx, data);
    return rc;
}

int pyb_repr_bytearray(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_layout *l = r->l;
    int64_t total;
    pyb_addr start = 0;
    int rc = pyb_repr_int(r, object, pyb_has(l->bytearray_ob_size) ? l->bytearray_ob_size : l->var_ob_size,
                          &total);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, pyb_has(l->bytearray_start) ? l->bytearray_start : l->bytearray_bytes,
                          &start);
    if (rc)
        return rc;
    if (total < 0)
        return pyb_repr_corrupt(r, object, "a bytearray of %lld bytes", (long long)total);
    size_t want = wanted(r, total);
    uint8_t *data = pyb_alloc(r->py->target->ctx, want + 1);
    if (!data)
        return pyb_fail(r->err, PYB_E_NOMEM, "no memory for %lld bytes", (long long)total);
    if (want)
        rc = pyb_read_bytes(r->mem, start, data, want, r->err);
    if (rc == 0) {
        bool own_name = l->major == 3 && l->minor >= 7;
        pyb_buf_printf(r->out, "%s(", own_name ? type->short_name : "bytearray");
        add_bytes(r, data, want, "b", l->major == 2 || l->minor < 15);
        pyb_buf_addc(r->out, ')');
    }
    pyb_free(r->py->target->ctx, data);
    return rc;
}
