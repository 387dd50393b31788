// SPDX-License-Identifier: Apache-2.0
/** What unit tests share: cmocka's prerequisites, a context, files of given bytes. */
#ifndef PYB_TESTS_UNIT_H
#define PYB_TESTS_UNIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka comes last: it needs those above
#include <cmocka.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/context.h"

/** Default allocator and limits; valid for the whole program. */
static inline struct pyb_ctx *unit_ctx(void)
{
    static struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    return &ctx;
}

/** A memfd that holds these bytes. */
static inline int unit_file(const void *data, size_t len)
{
    int fd = memfd_create("unit", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, 0), (ssize_t)len);
    return fd;
}

#define assert_ok(call, err)                                                                                 \
    do {                                                                                                     \
        int unit_rc = (call);                                                                                \
        if (unit_rc != 0)                                                                                    \
            fail_msg("%s: %d: %s", #call, unit_rc, (err)->what);                                             \
    } while (0)
#endif
