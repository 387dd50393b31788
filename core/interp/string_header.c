// SPDX-License-Identifier: Apache-2.0
// The models of str in memory: 2.7's str and unicode; compact, legacy and not yet ready strings of 3.3+.
#include "interp/string_header.h"

#include "base/error.h"

#define HEAD_MAX 128
#define LENGTH_MAX ((uint64_t)1 << 46) // units; no address space holds more

// The same in every version; rows made of published facts do not have them.
#define HEAP_TYPE ((uint64_t)1 << 9)
#define BYTES_SUBCLASS ((uint64_t)1 << 27)
#define UNICODE_SUBCLASS ((uint64_t)1 << 28)

struct head {
    struct pyb_python *py;
    pyb_addr addr;
    uint8_t data[HEAD_MAX];
    struct pyb_bytes bytes;
};

static uint64_t flag(int64_t cell, uint64_t usual)
{
    return cell == PYB_ABSENT ? usual : (uint64_t)cell;
}

static uint64_t field(struct head *h, struct pyb_field f)
{
    if (!pyb_has_field(f)) {
        h->bytes.bad = true;
        return 0;
    }
    return pyb_get_uint(&h->bytes, (size_t)f.offset, f.width);
}

static uint64_t bits(struct head *h, struct pyb_bits b)
{
    if (!pyb_has_bits(b)) {
        h->bytes.bad = true;
        return 0;
    }
    uint64_t word = pyb_get_uint(&h->bytes, (size_t)b.offset, b.width);
    return pyb_bits_get(b, word, h->bytes.big_endian);
}

static int read_head(struct pyb_python *py, pyb_addr addr, size_t size, struct head *ret,
                     struct pyb_error *err)
{
    *ret = (struct head){.py = py, .addr = addr};
    if (size == 0 || size > HEAD_MAX)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no str", py->layout.name);
    int code = pyb_read_bytes(py->target->mem, addr, ret->data, size, err);
    ret->bytes = pyb_memory_bytes(py->target->mem, ret->data, size);
    return code;
}

static int type_flags(struct head *h, uint64_t *ret, struct pyb_error *err)
{
    pyb_addr type = field(h, h->py->layout.obj_type);
    struct pyb_field f = h->py->layout.type_flags;
    if (h->bytes.bad || !pyb_has_field(f))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no object types", h->py->layout.name);
    return pyb_read_uint(h->py->target->mem, type + (uint32_t)f.offset, f.width, ret, err);
}

static int not_a(const char *what, pyb_addr addr, struct pyb_error *err)
{
    return pyb_fail_at(err, PYB_E_CORRUPT, addr, 0, "the object at 0x%llx is not a %s",
                       (unsigned long long)addr, what);
}

static int finish(struct head *h, struct pyb_str *ret, struct pyb_error *err)
{
    if (h->bytes.bad)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s lacks members of str", h->py->layout.name);
    bool unit_ok = ret->unit == 1 || ret->unit == 2 || ret->unit == 4;
    if (!unit_ok || ret->length > LENGTH_MAX || ret->data + ret->length * ret->unit < ret->data)
        return pyb_fail_at(err, PYB_E_CORRUPT, h->addr, 0,
                           "the string at 0x%llx has %llu characters of %u bytes",
                           (unsigned long long)h->addr, (unsigned long long)ret->length, ret->unit);
    return 0;
}

static int bytes_of(struct head *h, struct pyb_str *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &h->py->layout;
    *ret = (struct pyb_str){.unit = 1, .is_bytes = true};
    ret->length = field(h, pyb_has_field(l->bytes_ob_size) ? l->bytes_ob_size : l->var_ob_size);
    if (!pyb_has_field(l->bytes_data))
        h->bytes.bad = true;
    else
        ret->data = h->addr + (uint32_t)l->bytes_data.offset;
    return finish(h, ret, err);
}

static int unicode27(struct head *h, struct pyb_str *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &h->py->layout;
    *ret = (struct pyb_str){.unit = l->unicode_unit == 2 ? 2 : 4};
    ret->utf16 = ret->unit == 2;
    ret->length = field(h, l->unicode_length);
    ret->data = field(h, l->unicode_str);
    return finish(h, ret, err);
}

// A string made by the old C functions and not looked at since: only wchar_t characters (up to 3.11).
static int unready(struct head *h, struct pyb_str *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &h->py->layout;
    *ret = (struct pyb_str){.unit = l->unicode_unit == 2 ? 2 : 4};
    ret->utf16 = ret->unit == 2;
    ret->data = field(h, l->ascii_wstr);
    ret->length = field(h, l->compact_wstr_length);
    return finish(h, ret, err);
}

static int unicode33(struct head *h, struct pyb_str *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &h->py->layout;
    uint64_t kind = bits(h, l->ascii_kind);
    bool compact = bits(h, l->ascii_compact), ascii = bits(h, l->ascii_ascii);
    bool ready = !pyb_has_bits(l->ascii_ready) || bits(h, l->ascii_ready);
    if (!h->bytes.bad && !ready)
        return unready(h, ret, err);
    *ret = (struct pyb_str){.unit = (unsigned)kind};
    ret->length = field(h, l->ascii_length);
    if (!compact)
        ret->data = field(h, l->unicode_data);
    else
        ret->data = h->addr + (ascii ? l->ascii_size : l->compact_size);
    return finish(h, ret, err);
}

// True when the object is its head and then its characters, for good: a static type stays what it is.
static bool is_whole(const struct pyb_layout *l, pyb_addr addr, const struct pyb_str *s, uint64_t flags)
{
    uint64_t end = (uint64_t)l->obj_type.offset + l->obj_type.width;
    return !(flags & flag(l->tpflags_heaptype, HEAP_TYPE)) && s->data - addr >= end && s->data - addr <= HEAD_MAX;
}

static int read_str(struct pyb_python *py, pyb_addr addr, struct pyb_str *ret, uint64_t *ret_flags,
                    struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    bool old = l->unicode_model == PYB_UNICODE_27;
    // A compact string may end before a whole PyUnicodeObject does, at the end of readable memory.
    struct head h;
    int code = read_head(py, addr, l->ascii_size && !old ? l->ascii_size : l->bytes_size, &h, err);
    uint64_t flags = 0;
    if (!code)
        code = type_flags(&h, &flags, err);
    if (code)
        return code;
    *ret_flags = flags;
    if (old && (flags & flag(l->tpflags_bytes_subclass, BYTES_SUBCLASS)))
        return bytes_of(&h, ret, err);
    if (!(flags & flag(l->tpflags_unicode_subclass, UNICODE_SUBCLASS)))
        return not_a(old ? "str or unicode" : "str", addr, err);
    if (!old && bits(&h, l->ascii_compact))
        return unicode33(&h, ret, err);
    code = read_head(py, addr, l->unicode_size, &h, err);
    if (code)
        return code;
    return (old ? unicode27 : unicode33)(&h, ret, err);
}

int pyb_str_header(struct pyb_python *py, pyb_addr addr, struct pyb_str *ret, struct pyb_error *err)
{
    uint64_t flags;
    int code = read_str(py, addr, ret, &flags, err);
    if (!code)
        ret->whole = is_whole(&py->layout, addr, ret, flags);
    return code;
}

int pyb_bytes_header(struct pyb_python *py, pyb_addr addr, struct pyb_str *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    struct head h;
    int code = read_head(py, addr, l->bytes_size, &h, err);
    uint64_t flags;
    if (!code)
        code = type_flags(&h, &flags, err);
    if (code)
        return code;
    if (!(flags & flag(l->tpflags_bytes_subclass, BYTES_SUBCLASS)))
        return not_a("bytes object", addr, err);
    code = bytes_of(&h, ret, err);
    if (!code)
        ret->whole = is_whole(l, addr, ret, flags);
    return code;
}
