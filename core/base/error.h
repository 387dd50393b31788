// SPDX-License-Identifier: Apache-2.0
/** Filling a struct pyb_error. Every function here accepts err == NULL and returns the code, so that `return pyb_fail(...)` reads well. */
#ifndef PYB_BASE_ERROR_H
#define PYB_BASE_ERROR_H
#include "pybraid.h"

#define PYB_PRINTF(f, a) __attribute__((format(printf, f, a)))

int pyb_fail(struct pyb_error *err, int code, const char *format, ...) PYB_PRINTF(3, 4);
/** About `length` bytes at `addr` of the target. */
int pyb_fail_at(struct pyb_error *err, int code, pyb_addr addr, uint64_t length, const char *format, ...) PYB_PRINTF(5, 6);
/** From errno: ENOENT, ESRCH, EPERM, EACCES, ENOMEM... become the matching code; strerror() is appended to the text. */
int pyb_fail_errno(struct pyb_error *err, int sys_errno, const char *format, ...) PYB_PRINTF(3, 4);
/** Adds what the user can paste. Returns err->code. */
int pyb_remedy(struct pyb_error *err, const char *format, ...) PYB_PRINTF(2, 3);
#endif
