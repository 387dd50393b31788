// SPDX-License-Identifier: Apache-2.0
#include "interp/debug_offsets.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"

enum { COOKIE_AT = 0, VERSION_AT = 8, FREE_THREADED_AT = 16, HEADER_SIZE = 24, MAX_SIZE = 1024 };

// No struct of CPython is larger; _PyRuntime holds the main interpreter and static objects (0.4 MiB on 3.15).
#define MAX_STRUCT_SIZE (UINT64_C(64) << 20)

// What may be published: a member or a size, and the cells of struct pyb_layout that it and its struct's size fill.
struct entry {
    const char *name;
    bool is_size;
    bool optional;
    const char *group;
    size_t cell;
    size_t size_cell;
};

static const struct entry entries[] = {
#define D(section, member, group, column, optional) \
    {#section "." #member, false, optional, #group, offsetof(struct pyb_layout, group##_##column), \
     offsetof(struct pyb_layout, group##_size)},
#define Z(section, member, group) \
    {#section "." #member, true, false, #group, offsetof(struct pyb_layout, group##_size), \
     offsetof(struct pyb_layout, group##_size)},
#include "layout_debug_offsets.def"
#undef D
#undef Z
};
#define N_ENTRIES (sizeof(entries) / sizeof(entries[0]))

// Where each entry lies in a minor version's _Py_DebugOffsets; -1: not published.
static const struct shape {
    int major, minor;
    uint32_t size;
    int16_t at[N_ENTRIES];
} shapes[] = {
#include "layout_debug_offsets.inc"
};

// Every member column: for those that are not published.
static const struct column {
    const char *group;
    size_t cell;
    size_t size_cell;
} columns[] = {
#define F(group, name, type, path) \
    {#group, offsetof(struct pyb_layout, group##_##name), offsetof(struct pyb_layout, group##_size)},
#define S(group, type)
#define B(group, name, type, path)
#define K(name, expression)
#define R(name)
#include "layout_fields.def"
#undef F
#undef S
#undef B
#undef K
#undef R
};

static struct pyb_field *field_at(struct pyb_layout *layout, size_t cell)
{
    return (struct pyb_field *)(void *)((char *)layout + cell);
}

static uint32_t *size_at(struct pyb_layout *layout, size_t cell)
{
    return (uint32_t *)(void *)((char *)layout + cell);
}

static const struct shape *find_shape(int major, int minor)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (shapes[i].major == major && shapes[i].minor == minor)
            return &shapes[i];
    }
    return NULL;
}

// The cookie, the version and the flag; *ret_row is the table's row for them.
static int read_header(struct pyb_memory *mem, pyb_addr runtime, const struct pyb_layout *base,
                       const struct pyb_layout **ret_row, struct pyb_error *err)
{
    uint8_t header[HEADER_SIZE];
    int rc = pyb_read_bytes(mem, runtime, header, sizeof(header), err);
    if (rc < 0)
        return rc;
    if (memcmp(header + COOKIE_AT, "xdebugpy", 8) != 0)
        return pyb_fail_at(err, PYB_E_CORRUPT, runtime, 8, "no _Py_DebugOffsets: the cookie is missing");
    struct pyb_bytes b = pyb_memory_bytes(mem, header, sizeof(header));
    uint64_t version = pyb_get_u64(&b, VERSION_AT);
    uint64_t free_threaded = pyb_get_u64(&b, FREE_THREADED_AT);
    int major = (int)(version >> 24 & 0xff), minor = (int)(version >> 16 & 0xff), micro = (int)(version >> 8 & 0xff);
    if (version >> 32 || major != base->major || minor != base->minor)
        return pyb_fail_at(err, PYB_E_CORRUPT, runtime + VERSION_AT, 8,
                           "_Py_DebugOffsets is of version %d.%d, expected %d.%d", major, minor, base->major,
                           base->minor);
    if (free_threaded > 1)
        return pyb_fail_at(err, PYB_E_CORRUPT, runtime + FREE_THREADED_AT, 8,
                           "_Py_DebugOffsets: free_threaded is neither 0 nor 1");
    unsigned flags = base->flags & ~PYB_LAYOUT_FREETHREADED;
    if (free_threaded)
        flags |= PYB_LAYOUT_FREETHREADED;
    const struct pyb_layout *row = pyb_layout_find(major, minor, micro, base->ptr_size, false, flags, NULL);
    if (!row || row->major != major || row->minor != minor)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "no layout for Python %d.%d, %u-bit", major, minor,
                        8 * base->ptr_size);
    *ret_row = row;
    return 0;
}

static int take_sizes(const struct shape *shape, struct pyb_bytes *b, struct pyb_layout *ret, struct pyb_error *err)
{
    for (size_t i = 0; i < N_ENTRIES; i++) {
        if (!entries[i].is_size || shape->at[i] < 0)
            continue;
        uint64_t size = pyb_get_u64(b, (size_t)shape->at[i]);
        if (size == 0 || size > MAX_STRUCT_SIZE)
            return pyb_fail(err, PYB_E_CORRUPT, "_Py_DebugOffsets: %s is %llu", entries[i].name,
                            (unsigned long long)size);
        *size_at(ret, entries[i].cell) = (uint32_t)size;
    }
    return 0;
}

static int take_member(const struct entry *e, uint64_t offset, struct pyb_layout *ret, struct pyb_error *err)
{
    struct pyb_field *field = field_at(ret, e->cell);
    if (offset == 0 && e->optional) {
        *field = (struct pyb_field){PYB_ABSENT, 0};
        return 0;
    }
    uint32_t width = field->width ? field->width : ret->ptr_size;
    uint32_t size = *size_at(ret, e->size_cell);
    if (offset > size || width > size - offset)
        return pyb_fail(err, PYB_E_CORRUPT, "_Py_DebugOffsets: %s is %llu, outside its struct of %u bytes", e->name,
                        (unsigned long long)offset, size);
    uint32_t alignment = width == 2 ? 2 : width % 4 == 0 ? 4 : 1;
    if (offset % alignment != 0)
        return pyb_fail(err, PYB_E_CORRUPT, "_Py_DebugOffsets: %s is %llu, not a multiple of %u", e->name,
                        (unsigned long long)offset, alignment);
    *field = (struct pyb_field){(int32_t)offset, width};
    return 0;
}

static int take_members(const struct shape *shape, struct pyb_bytes *b, struct pyb_layout *ret, struct pyb_error *err)
{
    for (size_t i = 0; i < N_ENTRIES; i++) {
        if (entries[i].is_size || shape->at[i] < 0)
            continue;
        int rc = take_member(&entries[i], pyb_get_u64(b, (size_t)shape->at[i]), ret, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_published(const struct shape *shape, size_t cell)
{
    for (size_t i = 0; i < N_ENTRIES; i++) {
        if (entries[i].cell == cell && shape->at[i] >= 0)
            return true;
    }
    return false;
}

// The offset in row's struct up to which the target agrees with row; INT32_MAX: all the way.
static int32_t agreement(const struct shape *shape, const char *group, struct pyb_layout *row, struct pyb_layout *ret)
{
    int32_t first_bad = INT32_MAX, last_good = -1;
    for (size_t i = 0; i < N_ENTRIES; i++) {
        int32_t was = entries[i].is_size ? PYB_ABSENT : field_at(row, entries[i].cell)->offset;
        if (was >= 0 && shape->at[i] >= 0 && strcmp(entries[i].group, group) == 0 &&
            field_at(ret, entries[i].cell)->offset != was && was < first_bad)
            first_bad = was;
    }
    if (first_bad == INT32_MAX)
        return INT32_MAX;
    for (size_t i = 0; i < N_ENTRIES; i++) {
        int32_t was = entries[i].is_size ? PYB_ABSENT : field_at(row, entries[i].cell)->offset;
        if (was >= 0 && shape->at[i] >= 0 && strcmp(entries[i].group, group) == 0 && was < first_bad &&
            was > last_good)
            last_good = was;
    }
    return last_good;
}

static void drop_doubtful(const struct shape *shape, struct pyb_layout *row, struct pyb_layout *ret)
{
    const char *group = "";
    int32_t agreed = INT32_MAX;
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        if (strcmp(columns[i].group, group) != 0) {
            group = columns[i].group;
            agreed = agreement(shape, group, row, ret);
        }
        struct pyb_field *field = field_at(ret, columns[i].cell);
        if (field->offset < 0 || is_published(shape, columns[i].cell))
            continue;
        uint32_t size = *size_at(ret, columns[i].size_cell);
        bool beyond = size < *size_at(row, columns[i].size_cell) && (uint32_t)field->offset + field->width > size;
        if (field->offset > agreed || beyond)
            *field = (struct pyb_field){PYB_ABSENT, 0};
    }
}

// A member seen from another struct: *field is at `offset` of a struct of `size` bytes.
static int place(struct pyb_field *field, int64_t offset, uint32_t size, const char *name, struct pyb_error *err)
{
    if (field->offset < 0)
        return 0;
    if (offset < 0 || offset > size || field->width > size - (uint64_t)offset)
        return pyb_fail(err, PYB_E_CORRUPT, "_Py_DebugOffsets: %s lies outside its struct", name);
    field->offset = (int32_t)offset;
    return 0;
}

static void shift(struct pyb_bits *const *bits, size_t n, int32_t by)
{
    for (size_t i = 0; i < n; i++) {
        if (bits[i]->offset >= 0)
            bits[i]->offset += by;
    }
}

// Bit fields move with the word they are in.
static void derive_bits(const struct pyb_layout *row, struct pyb_layout *ret)
{
    struct pyb_bits *status[] = {&ret->tstate_status_initialized, &ret->tstate_status_bound,
                                 &ret->tstate_status_unbound,     &ret->tstate_status_bound_gilstate,
                                 &ret->tstate_status_active,      &ret->tstate_status_holds_gil,
                                 &ret->tstate_status_finalizing,  &ret->tstate_status_cleared,
                                 &ret->tstate_status_finalized};
    shift(status, sizeof(status) / sizeof(status[0]), ret->tstate_status.offset - row->tstate_status.offset);
    struct pyb_bits *state[] = {&ret->ascii_interned, &ret->ascii_kind, &ret->ascii_compact, &ret->ascii_ascii};
    shift(state, sizeof(state) / sizeof(state[0]), ret->ascii_state.offset - row->ascii_state.offset);
}

// _PyThreadStateImpl begins with the PyThreadState, and all that follows it moves with that one's size.
static void derive_tstateimpl(const struct pyb_layout *row, struct pyb_layout *ret)
{
    int64_t by = (int64_t)ret->tstate_size - row->tstate_size;
    int64_t size = row->tstateimpl_size + by;
    // 3.15 embeds a frame as well; a sum that is no multiple of 8 is aligned in ways not known here.
    bool known = ret->iframe_size == row->iframe_size && by % 8 == 0 && size > 0 && size < (int64_t)MAX_STRUCT_SIZE;
    if (by == 0)
        return;
    ret->tstateimpl_size = known ? (uint32_t)size : 0;
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        struct pyb_field *field = field_at(ret, columns[i].cell);
        if (columns[i].size_cell != offsetof(struct pyb_layout, tstateimpl_size) || field->offset < 0)
            continue;
        if (known && field->offset + by >= 0)
            field->offset += (int32_t)by;
        else
            *field = (struct pyb_field){PYB_ABSENT, 0};
    }
}

// Columns that follow from published ones.
static int derive(const struct pyb_layout *row, struct pyb_layout *ret, struct pyb_error *err)
{
    int64_t gc = ret->interp_gc.offset, gil = ret->interp_own_gil.offset;
    ret->interp_gc_collecting = row->interp_gc_collecting;
    ret->interp_gc_frame = row->interp_gc_frame;
    ret->gil_locked = row->gil_locked;
    ret->gil_last_holder = row->gil_last_holder;
    int rc = place(&ret->interp_gc_collecting, gc + ret->gcstate_collecting.offset, ret->interp_size, "gc.collecting",
                   err);
    if (rc == 0)
        rc = place(&ret->interp_gc_frame, gc + ret->gcstate_frame.offset, ret->interp_size, "gc.frame", err);
    if (rc == 0)
        rc = place(&ret->gil_locked, ret->interp_own_gil_locked.offset - gil, ret->gil_size, "the gil's locked", err);
    if (rc == 0)
        rc = place(&ret->gil_last_holder, ret->interp_own_gil_last_holder.offset - gil, ret->gil_size,
                   "the gil's last_holder", err);
    derive_bits(row, ret);
    derive_tstateimpl(row, ret);
    // Coroutines and asynchronous generators have a generator's members.
    if (row->coro_size == row->gen_size && row->asyncgen_size == row->gen_size) {
        ret->coro_size = ret->asyncgen_size = ret->gen_size;
        ret->coro_name = ret->asyncgen_name = ret->gen_name;
        ret->coro_iframe = ret->asyncgen_iframe = ret->gen_iframe;
        ret->coro_frame_state = ret->asyncgen_frame_state = ret->gen_frame_state;
    }
    return rc;
}

static int apply(struct pyb_memory *mem, pyb_addr runtime, const struct pyb_layout *base, struct pyb_layout *ret,
                 struct pyb_error *err)
{
    const struct shape *shape = find_shape(base->major, base->minor);
    if (!shape)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "Python %d.%d has no _Py_DebugOffsets that is known here", base->major,
                        base->minor);
    const struct pyb_layout *found = NULL;
    int rc = read_header(mem, runtime, base, &found, err);
    if (rc < 0)
        return rc;
    uint8_t data[MAX_SIZE];
    if (shape->size > sizeof(data))
        return pyb_fail(err, PYB_E_FAILED, "_Py_DebugOffsets of %u bytes", shape->size);
    rc = pyb_read_bytes(mem, runtime, data, shape->size, err);
    if (rc < 0)
        return rc;
    struct pyb_bytes b = pyb_memory_bytes(mem, data, shape->size);
    struct pyb_layout row = *found;
    *ret = row;
    rc = take_sizes(shape, &b, ret, err);
    if (rc == 0)
        rc = take_members(shape, &b, ret, err);
    if (rc < 0)
        return rc;
    drop_doubtful(shape, &row, ret);
    rc = derive(&row, ret, err);
    if (rc < 0)
        return rc;
    ret->big_endian = mem->big_endian;
    ret->verified = PYB_LAYOUT_TARGET;
    return 0;
}

int pyb_debug_offsets_apply(struct pyb_memory *mem, pyb_addr runtime, const struct pyb_layout *base,
                            struct pyb_layout *ret, struct pyb_error *err)
{
    struct pyb_layout result;
    int rc = apply(mem, runtime, base, &result, err);
    *ret = rc < 0 ? *base : result;
    return rc;
}
