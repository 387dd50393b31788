// SPDX-License-Identifier: Apache-2.0
/**
 * Locals of a frame, and repr() of objects, read lazily and bounded. A repr equals what repr() in the target
 * prints for the builtin types; limits cut with "..."; a value that cannot be read is said, never guessed.
 */
#ifndef PYB_INTERP_LOCALS_H
#define PYB_INTERP_LOCALS_H
#include "base/buf.h"
#include "interp/code.h"
#include "interp/frame.h"

struct pyb_repr_limits { uint32_t length, depth, items; bool verbose; };
/**
 * Appends to `ret` (UTF-8, escaped as repr() does). Only context errors (NOMEM, ABORTED, LIMIT) are returned;
 * what cannot be read appears as text like <unreadable int at 0x…>.
 */
int pyb_repr_object(struct pyb_python *py, pyb_addr object, const struct pyb_repr_limits *limits,
                    struct pyb_buf *ret, struct pyb_error *err);
/**
 * Arguments first, then locals, cells, free variables; then names of slow locals (module and class bodies:
 * only those of f_locals when it is not f_globals).
 */
int pyb_locals_read(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                    const struct pyb_repr_limits *limits,
                    struct pyb_arena *arena, struct pyb_local **ret, uint32_t *ret_n, struct pyb_error *err);
/** Locals, then globals, then builtins. ret_scope "local", "global", "builtin". */
int pyb_frame_lookup(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                     const char *name, pyb_addr *ret, const char **ret_scope, struct pyb_error *err);
#endif
