// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <string.h>

struct pyb_bytes pyb_bytes(const void *data, size_t len, uint8_t ptr_size, bool big_endian)
{
    return (struct pyb_bytes){.data = data, .len = len, .big_endian = big_endian, .ptr_size = ptr_size};
}

uint64_t pyb_get_uint(struct pyb_bytes *b, size_t offset, size_t width)
{
    bool known = width == 1 || width == 2 || width == 4 || width == 8;
    if (!known || b->len < width || offset > b->len - width) {
        b->bad = true;
        return 0;
    }
    bool swap = b->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    union {
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
    } v;
    switch (width) {
    case 1:
        return b->data[offset];
    case 2:
        memcpy(&v.u16, b->data + offset, sizeof(v.u16));
        return swap ? __builtin_bswap16(v.u16) : v.u16;
    case 4:
        memcpy(&v.u32, b->data + offset, sizeof(v.u32));
        return swap ? __builtin_bswap32(v.u32) : v.u32;
    default:
        memcpy(&v.u64, b->data + offset, sizeof(v.u64));
        return swap ? __builtin_bswap64(v.u64) : v.u64;
    }
}

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
