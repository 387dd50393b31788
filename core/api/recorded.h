// SPDX-License-Identifier: Apache-2.0
/** Native stacks inside a recording: text, one line for a stack, one for each of its frames. */
#ifndef PYB_API_RECORDED_H
#define PYB_API_RECORDED_H
#include "api/session.h"

#define PYB_RECORDED_ARGUMENTS 4096u

int pyb_native_save(const struct pyb_native_stack *native, size_t n, struct pyb_buf *ret);
/** The stacks in the arena. PYB_E_CORRUPT: not what pyb_native_save() writes. */
int pyb_native_load(const char *data, size_t len, struct pyb_arena *arena,
                    const struct pyb_native_stack **ret, size_t *ret_n,
                    struct pyb_error *err);
#endif
