// SPDX-License-Identifier: Apache-2.0
/**
 * Bounded decoding of foreign bytes. Nothing outside [data, data+len) is ever touched: a getter beyond the end returns 0 and sets `bad`,
 * which sticks. Byte order and word size are those of the target.
 */
#ifndef PYB_BASE_BYTES_H
#define PYB_BASE_BYTES_H
#include "pybraid.h"

struct pyb_bytes {
    const uint8_t *data;
    size_t len;
    bool big_endian;
    uint8_t ptr_size;
    bool bad;
};
struct pyb_bytes pyb_bytes(const void *data, size_t len, uint8_t ptr_size, bool big_endian);
uint8_t pyb_get_u8(struct pyb_bytes *b, size_t offset);
uint16_t pyb_get_u16(struct pyb_bytes *b, size_t offset);
uint32_t pyb_get_u32(struct pyb_bytes *b, size_t offset);
uint64_t pyb_get_u64(struct pyb_bytes *b, size_t offset);
/** 1, 2, 4 or 8 bytes, unsigned / sign-extended. Another width is `bad`. */
uint64_t pyb_get_uint(struct pyb_bytes *b, size_t offset, size_t width);
int64_t pyb_get_int(struct pyb_bytes *b, size_t offset, size_t width);
pyb_addr pyb_get_ptr(struct pyb_bytes *b, size_t offset);
/** A Py_ssize_t. */
int64_t pyb_get_ssize(struct pyb_bytes *b, size_t offset);
#endif
