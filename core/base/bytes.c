// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

int64_t pyb_get_int(struct pyb_bytes *b, size_t offset, size_t width)
{
    uint64_t value = pyb_get_uint(b, offset, width);
    if (width == 0 || width >= 8)
        return (int64_t)value;
    uint64_t sign = UINT64_C(1) << (width * 8 - 1);
    return (int64_t)((value ^ sign) - sign);
}

uint8_t pyb_get_u8(struct pyb_bytes *b, size_t offset)
{
    return (uint8_t)pyb_get_uint(b, offset, 1);
}

uint16_t pyb_get_u16(struct pyb_bytes *b, size_t offset)
{
    return (uint16_t)pyb_get_uint(b, offset, 2);
}

uint32_t pyb_get_u32(struct pyb_bytes *b, size_t offset)
{
    return (uint32_t)pyb_get_uint(b, offset, 4);
}

uint64_t pyb_get_u64(struct pyb_bytes *b, size_t offset)
{
    return pyb_get_uint(b, offset, 8);
}

pyb_addr pyb_get_ptr(struct pyb_bytes *b, size_t offset)
{
    return pyb_get_uint(b, offset, b->ptr_size == 4 ? 4 : 8);
}

int64_t pyb_get_ssize(struct pyb_bytes *b, size_t offset)
{
    return pyb_get_int(b, offset, b->ptr_size == 4 ? 4 : 8);
}
