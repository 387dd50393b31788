// SPDX-License-Identifier: Apache-2.0
// Whether what a code object's pointers lead to is still what it was. A sampler asks this of each code object of
// each sample (up to 3.11), so the usual answer is one comparison with the bytes in the page cache.
#include <string.h>

#include "base/error.h"
#include "interp/code_entry.h"
#include "interp/string_header.h"

#define PART 4096u

bool pyb_same_bytes(struct pyb_python *py, pyb_addr addr, const uint8_t *bytes, size_t n)
{
    uint8_t own[PART];
    for (size_t done = 0; done < n;) {
        size_t part = PART - (size_t)((addr + done) % PART); // pages are at hand, what crosses them is not
        if (part > n - done)
            part = n - done;
        const void *now;
        if (pyb_view_bytes(py->target->mem, addr + done, own, part, &now, NULL) || memcmp(now, bytes + done, part))
            return false;
        done += part;
    }
    return true;
}

static int header(struct pyb_python *py, pyb_addr addr, bool is_bytes, struct pyb_str *ret, struct pyb_error *err)
{
    return is_bytes ? pyb_bytes_header(py, addr, ret, err) : pyb_str_header(py, addr, ret, err);
}

int pyb_raw_keep(struct pyb_python *py, pyb_addr addr, bool is_bytes, uint64_t max, struct raw_text *ret,
                 struct pyb_error *err)
{
    struct pyb_str s;
    *ret = (struct raw_text){.is_bytes = is_bytes};
    int code = header(py, addr, is_bytes, &s, err);
    if (code)
        return code;
    if (s.length > max)
        return pyb_fail_at(err, PYB_E_CORRUPT, addr, s.length, "a text of %llu characters",
                           (unsigned long long)s.length);
    size_t n = (size_t)s.length * s.unit, from = 0, before = 0;
    if (s.whole) {
        from = (size_t)py->layout.obj_type.offset;
        before = (size_t)(s.data - addr) - from;
    }
    uint8_t *data = pyb_arena_alloc(&py->code_arena, before + n + 1);
    if (!data)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu bytes of a code object", n);
    if (before + n)
        code = pyb_read_bytes(py->target->mem, s.data - before, data, before + n, err);
    if (code)
        return code;
    *ret = (struct raw_text){.data = data + before, .length = s.length, .unit = s.unit, .is_bytes = is_bytes,
                             .object = s.whole ? data : NULL, .from = from, .size = before + n};
    return 0;
}

// What stands before the characters may change once: a hash that is needed, a name that is interned.
static void renew(struct pyb_python *py, pyb_addr addr, const struct pyb_str *now, struct raw_text *raw)
{
    if (!raw->object)
        return;
    size_t before = (size_t)(raw->data - raw->object);
    if (!now->whole || now->data != addr + raw->from + before ||
        pyb_read_bytes(py->target->mem, addr + raw->from, raw->object, before, NULL))
        raw->object = NULL;
}

bool pyb_raw_same(struct pyb_python *py, pyb_addr addr, struct raw_text *raw)
{
    struct pyb_str s;
    if (!raw->data)
        return false;
    if (raw->object && pyb_same_bytes(py, addr + raw->from, raw->object, raw->size))
        return true;
    if (header(py, addr, raw->is_bytes, &s, NULL) || s.length != raw->length || s.unit != raw->unit ||
        !pyb_same_bytes(py, s.data, raw->data, (size_t)s.length * s.unit))
        return false;
    renew(py, addr, &s, raw);
    return true;
}
