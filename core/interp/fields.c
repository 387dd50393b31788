// SPDX-License-Identifier: Apache-2.0
#include "interp/fields.h"

#include "base/error.h"

pyb_addr pyb_field_at(pyb_addr base, struct pyb_field f)
{
    pyb_addr at;
    if (f.offset < 0 || base == 0 || __builtin_add_overflow(base, (uint64_t)f.offset, &at))
        return 0;
    return at;
}

static bool is_width(uint32_t width)
{
    return width == 1 || width == 2 || width == 4 || width == 8;
}

int pyb_wants_read(struct pyb_memory *m, struct pyb_want *wants, size_t n, struct pyb_error *err)
{
    struct pyb_range ranges[PYB_WANT_MAX];
    uint8_t raw[PYB_WANT_MAX][8];
    size_t index[PYB_WANT_MAX], used = 0;
    if (n > PYB_WANT_MAX)
        return pyb_fail(err, PYB_E_USAGE, "%zu members in one read", n);
    for (size_t i = 0; i < n; i++) {
        wants[i].value = 0;
        wants[i].ok = false;
        pyb_addr at = pyb_field_at(wants[i].base, wants[i].field);
        if (at == 0 || !is_width(wants[i].field.width))
            continue;
        ranges[used] = (struct pyb_range){.addr = at, .buf = raw[used], .len = wants[i].field.width};
        index[used++] = i;
    }
    if (used == 0)
        return 0;
    int rc = pyb_memory_readv(m, ranges, used, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < used; i++) {
        if (ranges[i].done != ranges[i].len)
            continue;
        struct pyb_bytes b = pyb_memory_bytes(m, raw[i], ranges[i].len);
        wants[index[i]].value = pyb_get_uint(&b, 0, ranges[i].len);
        wants[index[i]].ok = true;
    }
    return 0;
}
