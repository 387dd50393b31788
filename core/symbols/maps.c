// SPDX-License-Identifier: Apache-2.0
#include "symbols/maps.h"

#include <string.h>

struct cursor { const char *p, *end; };

static bool get_number(struct cursor *c, unsigned base, uint64_t *ret)
{
    const char *begin = c->p;
    *ret = 0;
    for (; c->p < c->end; c->p++) {
        unsigned char ch = (unsigned char)*c->p;
        unsigned digit = 99;
        if (ch >= '0' && ch <= '9')
            digit = ch - (unsigned)'0';
        else if (ch >= 'a' && ch <= 'f')
            digit = ch - 'a' + 10u;
        if (digit >= base)
            break;
        if (__builtin_mul_overflow(*ret, (uint64_t)base, ret) ||
            __builtin_add_overflow(*ret, (uint64_t)digit, ret))
            return false;
    }
    return c->p > begin;
}

static bool get_char(struct cursor *c, char ch)
{
    if (c->p >= c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static bool get_flag(struct cursor *c, char on, char off, bool *ret)
{
    *ret = c->p < c->end && *c->p == on;
    return get_char(c, on) || get_char(c, off);
}

static bool parse(struct cursor c, struct pyb_maps_line *ret)
{
    uint64_t major, minor;
    memset(ret, 0, sizeof(*ret));
    bool good = get_number(&c, 16, &ret->start) && get_char(&c, '-') && get_number(&c, 16, &ret->end) &&
                get_char(&c, ' ') && get_flag(&c, 'r', '-', &ret->r) && get_flag(&c, 'w', '-', &ret->w) &&
                get_flag(&c, 'x', '-', &ret->x) && get_flag(&c, 'p', 's', &ret->is_private) &&
                get_char(&c, ' ') && get_number(&c, 16, &ret->offset) && get_char(&c, ' ') &&
                get_number(&c, 16, &major) && get_char(&c, ':') && get_number(&c, 16, &minor) &&
                get_char(&c, ' ') && get_number(&c, 10, &ret->inode);
    if (!good)
        return false;
    if (major > UINT32_MAX || minor > UINT32_MAX || ret->start >= ret->end)
        return false;
    ret->dev_major = (uint32_t)major;
    ret->dev_minor = (uint32_t)minor;
    if (c.p < c.end && *c.p != ' ')
        return false;
    while (c.p < c.end && *c.p == ' ')
        c.p++;
    ret->path = c.p;
    ret->path_len = (size_t)(c.end - c.p);
    return memchr(ret->path, 0, ret->path_len) == NULL;
}

int pyb_maps_next(const char *text, size_t len, size_t *pos, struct pyb_maps_line *ret)
{
    if (*pos >= len)
        return 0;
    const char *begin = text + *pos, *newline = memchr(begin, '\n', len - *pos);
    const char *end = newline ? newline : text + len;
    *pos = newline ? (size_t)(newline + 1 - text) : len;
    return newline && parse((struct cursor){begin, end}, ret) ? 1 : -1;
}

size_t pyb_maps_unescape(char *path, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; out++) {
        if (len - i >= 4 && memcmp(path + i, "\\012", 4) == 0) {
            path[out] = '\n';
            i += 4;
        } else {
            path[out] = path[i++];
        }
    }
    return out;
}

size_t pyb_maps_strip_deleted(const char *path, size_t len, bool *ret_deleted)
{
    static const char suffix[] = " (deleted)";
    size_t n = sizeof(suffix) - 1;
    *ret_deleted = len > n && memcmp(path + len - n, suffix, n) == 0;
    return *ret_deleted ? len - n : len;
}
