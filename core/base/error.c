// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A text that was cut may end within a character of UTF-8: none of it stays.
static void drop_partial_character(char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || (unsigned char)text[start - 1] < 0xc0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (len - (start - 1) < want)
        text[start - 1] = '\0';
}

// Marks that show text in another order: U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069.
static bool reorders(const unsigned char *p)
{
    if (p[0] != 0xe2)
        return false;
    return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
           (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

// Messages quote paths and names of the target: they come out as one line that cannot drive a terminal.
static void make_printable(char *text, size_t size)
{
    size_t len = strlen(text);
    if (len + 1 == size)
        drop_partial_character(text, len);
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        if (reorders(p))
            p[0] = p[1] = p[2] = '?';
        if (c1)
            p[1] = '?';
        if (*p < 0x20 || *p == 0x7f || c1)
            *p = '?';
    }
}

static void fill(struct pyb_error *err, int code, int sys_errno, const char *format, va_list args)
{
    memset(err, 0, sizeof(*err));
    err->code = code;
    err->sys_errno = sys_errno;
    if (vsnprintf(err->what, sizeof(err->what), format, args) < 0)
        err->what[0] = '\0';
    make_printable(err->what, sizeof(err->what));
}

int pyb_fail(struct pyb_error *err, int code, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    fill(err, code, 0, format, args);
    va_end(args);
    return code;
}

int pyb_fail_at(struct pyb_error *err, int code, pyb_addr addr, uint64_t length, const char *format, ...)
{
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    fill(err, code, 0, format, args);
    va_end(args);
    err->addr = addr;
    err->length = length;
    return code;
}

static int code_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
        return PYB_E_NOENT;
    case ESRCH:
        return PYB_E_GONE;
    case EPERM:
    case EACCES:
        return PYB_E_PERM;
    case ENOMEM:
        return PYB_E_NOMEM;
    case EFAULT:
    case EIO:
        return PYB_E_FAULT;
    case EINVAL:
        return PYB_E_USAGE;
    case ENOSYS:
        return PYB_E_UNSUPPORTED;
    default:
        return PYB_E_FAILED;
    }
}

int pyb_fail_errno(struct pyb_error *err, int sys_errno, const char *format, ...)
{
    int code = code_of_errno(sys_errno);
    if (!err)
        return code;
    va_list args;
    va_start(args, format);
    fill(err, code, sys_errno, format, args);
    va_end(args);
    size_t len = strlen(err->what);
    char text[128];
    // The GNU strerror_r: thread-safe, and never fails.
    (void)snprintf(err->what + len, sizeof(err->what) - len, ": %s",
                   strerror_r(sys_errno, text, sizeof(text)));
    return code;
}

int pyb_remedy(struct pyb_error *err, const char *format, ...)
{
    if (!err)
        return PYB_E_FAILED;
    va_list args;
    va_start(args, format);
    if (vsnprintf(err->remedy, sizeof(err->remedy), format, args) < 0)
        err->remedy[0] = '\0';
    va_end(args);
    make_printable(err->remedy, sizeof(err->remedy));
    return err->code;
}
