// SPDX-License-Identifier: Apache-2.0
/**
 * Bounded decoding of foreign bytes. Nothing outside [data, data+len) is ever touched: a getter beyond the
 * end returns 0 and sets `bad`, which sticks. Byte order and word size are those of the target.
 */
#ifndef PYB_BASE_BYTES_H
#define PYB_BASE_BYTES_H
#include <string.h>

#include "pybraid.h"

struct pyb_bytes {
    const uint8_t *data;
    size_t len;
    bool big_endian;
    uint8_t ptr_size;
    bool bad;
};
static inline struct pyb_bytes pyb_bytes(const void *data, size_t len, uint8_t ptr_size, bool big_endian)
{
    return (struct pyb_bytes){.data = data, .len = len, .big_endian = big_endian, .ptr_size = ptr_size};
}

/** 1, 2, 4 or 8 bytes, unsigned. Another width is `bad`. Inline: called for each member of each frame. */
static inline uint64_t pyb_get_uint(struct pyb_bytes *b, size_t offset, size_t width)
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

uint8_t pyb_get_u8(struct pyb_bytes *b, size_t offset);
uint16_t pyb_get_u16(struct pyb_bytes *b, size_t offset);
uint32_t pyb_get_u32(struct pyb_bytes *b, size_t offset);
uint64_t pyb_get_u64(struct pyb_bytes *b, size_t offset);
/** As above, sign-extended. */
int64_t pyb_get_int(struct pyb_bytes *b, size_t offset, size_t width);
pyb_addr pyb_get_ptr(struct pyb_bytes *b, size_t offset);
/** A Py_ssize_t. */
int64_t pyb_get_ssize(struct pyb_bytes *b, size_t offset);
#endif
