// SPDX-License-Identifier: Apache-2.0
#include "interp/python.h"

#include "base/error.h"
#include "interp/code.h"

void pyb_python_free(struct pyb_python *py)
{
    if (!py)
        return;
    if (py->native_names_free)
        py->native_names_free(py);
    pyb_codes_clear(py);
    pyb_map_deinit(&py->types);
    pyb_arena_deinit(&py->arena);
    pyb_free(py->target->ctx, py);
}

static int field_at(struct pyb_python *py, pyb_addr base, struct pyb_field f, pyb_addr *ret, struct pyb_error *err)
{
    *ret = 0;
    if (!pyb_has(f))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "Python %s (layout %s) has no such member", py->version ? py->version : "?",
                        py->layout.name);
    if (__builtin_add_overflow(base, (uint64_t)f.offset, ret))
        return pyb_fail_at(err, PYB_E_FAULT, base, f.width, "a struct at 0x%llx reaches beyond the address space",
                           (unsigned long long)base);
    return 0;
}

int pyb_field_uint(struct pyb_python *py, pyb_addr base, struct pyb_field f, uint64_t *ret, struct pyb_error *err)
{
    pyb_addr at;
    *ret = 0;
    int rc = field_at(py, base, f, &at, err);
    return rc ? rc : pyb_read_uint(py->target->mem, at, f.width, ret, err);
}

int pyb_field_ptr(struct pyb_python *py, pyb_addr base, struct pyb_field f, pyb_addr *ret, struct pyb_error *err)
{
    pyb_addr at;
    *ret = 0;
    int rc = field_at(py, base, f, &at, err);
    return rc ? rc : pyb_read_ptr(py->target->mem, at, ret, err);
}

int pyb_field_int(struct pyb_python *py, pyb_addr base, struct pyb_field f, int64_t *ret, struct pyb_error *err)
{
    uint64_t value;
    int rc = pyb_field_uint(py, base, f, &value, err);
    *ret = (int64_t)value;
    if (rc == 0 && f.width < 8 && (value >> (8 * f.width - 1)) & 1)
        *ret = (int64_t)(value | (UINT64_MAX << (8 * f.width)));
    return rc;
}

void pyb_python_invalidate(struct pyb_python *py)
{
    py->generation++;
    pyb_memory_invalidate(py->target->mem);
}
