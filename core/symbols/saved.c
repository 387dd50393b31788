// SPDX-License-Identifier: Apache-2.0
#include "symbols/saved.h"

#include <string.h>

#define NO_STRING UINT32_MAX

void pyb_put_uint(struct pyb_buf *b, uint64_t value, size_t width)
{
    uint8_t data[8];
    for (size_t i = 0; i < 8; i++)
        data[i] = (uint8_t)(value >> (8 * i));
    pyb_buf_add(b, data, width < 8 ? width : 8);
}

void pyb_put_bytes(struct pyb_buf *b, const void *data, size_t len)
{
    pyb_put_uint(b, len, 4);
    pyb_buf_add(b, data, len);
}

void pyb_put_str(struct pyb_buf *b, const char *s)
{
    if (s)
        pyb_put_bytes(b, s, strlen(s));
    else
        pyb_put_uint(b, NO_STRING, 4);
}

struct pyb_saved pyb_saved(const void *data, size_t len)
{
    return (struct pyb_saved){.b = pyb_bytes(data, len, 8, false)};
}

uint64_t pyb_take_uint(struct pyb_saved *s, size_t width)
{
    uint64_t value = pyb_get_uint(&s->b, s->at, width);
    if (s->b.bad)
        return 0;
    s->at += width;
    return value;
}

const uint8_t *pyb_take_bytes(struct pyb_saved *s, size_t *ret_len)
{
    uint64_t len = pyb_take_uint(s, 4);
    *ret_len = 0;
    if (s->b.bad || len > s->b.len - s->at) {
        s->b.bad = true;
        return NULL;
    }
    const uint8_t *data = s->b.data + s->at;
    s->at += (size_t)len;
    *ret_len = (size_t)len;
    return data;
}

const char *pyb_take_str(struct pyb_saved *s, struct pyb_arena *a)
{
    struct pyb_saved ahead = *s;
    if (pyb_take_uint(&ahead, 4) == NO_STRING && !ahead.b.bad) {
        *s = ahead;
        return NULL;
    }
    size_t len;
    const uint8_t *data = pyb_take_bytes(s, &len);
    if (!data || memchr(data, 0, len)) {
        s->b.bad = true;
        return NULL;
    }
    return pyb_arena_strndup(a, (const char *)data, len);
}
