// SPDX-License-Identifier: Apache-2.0
#include "interp/repr.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool pyb_repr_fatal(int rc)
{
    return rc == PYB_E_NOMEM || rc == PYB_E_ABORTED || rc == PYB_E_LIMIT;
}

bool pyb_repr_full(const struct pyb_repr *r)
{
    return r->budget == 0 || r->out->failed || r->out->limited || r->out->len - r->start > r->length;
}

int pyb_repr_ptr(struct pyb_repr *r, pyb_addr base, struct pyb_field f, pyb_addr *ret)
{
    return pyb_field_ptr(r->py, base, f, ret, r->err);
}

int pyb_repr_int(struct pyb_repr *r, pyb_addr base, struct pyb_field f, int64_t *ret)
{
    return pyb_field_int(r->py, base, f, ret, r->err);
}

int pyb_repr_corrupt(struct pyb_repr *r, pyb_addr object, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return pyb_fail_at(r->err, PYB_E_CORRUPT, object, 0, "%s", what);
}

int pyb_repr_name(struct pyb_repr *r, pyb_addr str)
{
    uint32_t text[256];
    size_t n;
    int64_t total;
    int rc = PYB_E_CORRUPT;
    if (str)
        rc = pyb_string_codepoints(r->py, str, text, sizeof text / sizeof *text, &n, &total, r->err);
    if (rc) {
        pyb_buf_addc(r->out, '?');
        return pyb_repr_fatal(rc) ? rc : 0;
    }
    for (size_t i = 0; i < n; i++)
        pyb_buf_add_codepoint(r->out, text[i]);
    if ((int64_t)n < total)
        pyb_buf_adds(r->out, "...");
    return 0;
}

int pyb_repr_cstr(struct pyb_repr *r, pyb_addr addr)
{
    char text[257];
    int rc = pyb_read_cstr(r->mem, addr, text, sizeof text - 1, r->err);
    if (rc == 0)
        pyb_buf_add_utf8(r->out, text, strlen(text));
    return rc;
}

bool pyb_repr_is(struct pyb_repr *r, pyb_addr object, const char *type_name)
{
    const struct pyb_type *t;
    return pyb_type_of(r->py, object, &t, NULL) == 0 && strcmp(t->name, type_name) == 0;
}

bool pyb_repr_too_deep(struct pyb_repr *r, const char *text)
{
    if (r->containers < r->max_depth)
        return false;
    pyb_buf_adds(r->out, text);
    return true;
}

bool pyb_repr_next_item(struct pyb_repr *r, uint64_t i)
{
    if (i > 0)
        pyb_buf_adds(r->out, ", ");
    if (i < r->items && !pyb_repr_full(r))
        return false;
    pyb_buf_adds(r->out, "...");
    return true;
}

int pyb_repr_array(struct pyb_repr *r, pyb_addr array, int64_t n)
{
    enum { CHUNK = 64 };
    uint8_t raw[CHUNK * 8];
    struct pyb_bytes b = {0};
    const uint32_t word = r->l->ptr_size;
    for (int64_t i = 0; i < n; i++) {
        if (pyb_repr_next_item(r, (uint64_t)i))
            break;
        if (i % CHUNK == 0) {
            size_t want = n - i < CHUNK ? (size_t)(n - i) : CHUNK;
            int rc = pyb_read_bytes(r->mem, array + (uint64_t)i * word, raw, want * word, r->err);
            if (rc)
                return rc;
            b = pyb_memory_bytes(r->mem, raw, want * word);
        }
        int rc = pyb_repr_value(r, pyb_get_ptr(&b, (size_t)(i % CHUNK) * word));
        if (rc)
            return rc;
    }
    return 0;
}

int pyb_repr_dict_items(struct pyb_repr *r, struct pyb_dict_iter *it)
{
    pyb_addr key, value;
    int rc = 0;
    pyb_buf_addc(r->out, '{');
    for (uint64_t i = 0; (rc = pyb_dict_next(r->py, it, &key, &value, r->err)) == 1; i++) {
        if (pyb_repr_next_item(r, i))
            break;
        rc = pyb_repr_value(r, key);
        if (rc)
            return rc;
        pyb_buf_adds(r->out, ": ");
        rc = pyb_repr_value(r, value);
        if (rc)
            return rc;
    }
    pyb_buf_addc(r->out, '}');
    return rc < 0 ? rc : 0;
}

struct attrs {
    struct pyb_repr *r;
    uint64_t i;
};

static int add_attr(void *ctx, pyb_addr key, pyb_addr value)
{
    struct attrs *a = ctx;
    pyb_buf_adds(a->r->out, a->i ? ", " : " ");
    if (a->i++ >= a->r->items || pyb_repr_full(a->r)) {
        pyb_buf_adds(a->r->out, "...");
        return 1;
    }
    int rc = pyb_repr_name(a->r, key);
    if (rc)
        return rc;
    pyb_buf_addc(a->r->out, '=');
    return pyb_repr_value(a->r, value);
}

int pyb_repr_instance(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_buf_printf(r->out, "<%s at 0x%llx", type->name, (unsigned long long)object);
    if (r->verbose && r->containers < r->max_depth) {
        struct attrs a = {.r = r};
        r->containers++;
        int rc = pyb_instance_attrs(r->py, object, add_attr, &a, r->err);
        r->containers--;
        if (rc < 0 && rc != PYB_E_NOTFOUND)
            return rc;
    }
    pyb_buf_addc(r->out, '>');
    return 0;
}

// Takes back what was appended since `mark`.
static void rewind_to(struct pyb_repr *r, size_t mark)
{
    r->out->len = mark;
    if (r->out->data)
        r->out->data[mark] = '\0';
}

static void add_failure(struct pyb_repr *r, int rc, pyb_addr object, const char *name)
{
    const char *what = rc == PYB_E_CORRUPT       ? "corrupt"
                       : rc == PYB_E_UNSUPPORTED ? "unsupported"
                                                 : "unreadable";
    pyb_buf_printf(r->out, "<%s %s at 0x%llx>", what, name, (unsigned long long)object);
}

unsigned pyb_repr_times_active(const struct pyb_repr *r, pyb_addr object)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->n_active; i++)
        n += r->active[i] == object;
    return n;
}

static int show(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_repr_kind *kind;
    pyb_addr owner;
    int rc = pyb_repr_kind_of(r, type, &kind, &owner);
    if (rc)
        return rc;
    const unsigned times = pyb_repr_times_active(r, object), allowed = kind->cycle && !*kind->cycle ? 2 : 1;
    if (times >= allowed || r->n_active >= PYB_REPR_MAX_DEPTH) {
        pyb_buf_adds(r->out, times && kind->cycle && *kind->cycle ? kind->cycle : "...");
        return 0;
    }
    r->active[r->n_active++] = object;
    rc = kind->show(r, object, type);
    r->n_active--;
    return rc;
}

int pyb_repr_value(struct pyb_repr *r, pyb_addr object)
{
    if (object == 0) {
        pyb_buf_adds(r->out, "<NULL>");
        return 0;
    }
    if (r->budget == 0) {
        pyb_buf_adds(r->out, "...");
        return 0;
    }
    r->budget--;
    const struct pyb_type *type;
    size_t mark = r->out->len;
    unsigned containers = r->containers;
    int rc = pyb_type_of(r->py, object, &type, r->err);
    const char *name = rc ? "object" : type->name;
    if (rc == 0)
        rc = show(r, object, type);
    r->containers = containers;
    if (rc == 0 || pyb_repr_fatal(rc))
        return rc;
    rewind_to(r, mark);
    add_failure(r, rc, object, name);
    return 0;
}

// Cuts at the length limit, never inside of a character.
static void cut(struct pyb_repr *r)
{
    size_t end = r->start + r->length;
    if (r->out->len <= end)
        return;
    while (end > r->start && ((unsigned char)r->out->data[end] & 0xc0) == 0x80)
        end--;
    rewind_to(r, end);
    pyb_buf_adds(r->out, "...");
}

int pyb_repr_object(struct pyb_python *py, pyb_addr object, const struct pyb_repr_limits *limits,
                    struct pyb_buf *ret, struct pyb_error *err)
{
    struct pyb_error ignored;
    struct pyb_repr r = {
        .py = py,
        .l = &py->layout,
        .mem = py->target->mem,
        .length = limits->length ? limits->length : 120,
        .max_depth = limits->depth ? limits->depth : 4,
        .items = limits->items ? limits->items : 20,
        .verbose = limits->verbose,
        .out = ret,
        .start = ret->len,
        // cppcheck-suppress uninitvar // only ever written
        .err = err ? err : &ignored,
    };
    if (r.length > PYB_REPR_MAX_LENGTH)
        r.length = PYB_REPR_MAX_LENGTH;
    r.budget = 1000 + 2 * (uint64_t)r.length;
    int rc = pyb_repr_value(&r, object);
    if (rc)
        return rc;
    cut(&r);
    return ret->failed ? pyb_fail(err, PYB_E_NOMEM, "no memory for a repr") : 0;
}
