// SPDX-License-Identifier: Apache-2.0
/**
 * The value stack of a Python frame that runs, as far as it can be trusted: a frame does not say how deep its stack is while it calls C.
 *
 * What is certain comes from the blocks around the current instruction. Up to 3.10 the frame has them in f_blockstack, each with the depth at
 * which it began; from 3.11 on the code object's exception table has that depth for each instruction (Objects/exception_handling_notes.txt).
 * Below the deepest of them every slot is in use; above may be what an earlier instruction left.
 */
#ifndef PYB_INTERP_LOCK_STACK_H
#define PYB_INTERP_LOCK_STACK_H
#include "interp/code.h"
#include "interp/frame.h"

#define PYB_MAX_STACK_SLOTS 1024u // co_stacksize of the frames that are looked at; deeper ones are cut

struct pyb_value_stack {
    pyb_addr values[PYB_MAX_STACK_SLOTS]; // tags taken off; 0: NULL or a number
    uint32_t n;                           // co_stacksize
    uint32_t live;                        // of them surely in use
};
int pyb_value_stack_read(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                         struct pyb_value_stack *ret, struct pyb_error *err);

/**
 * An object that the frame is inside `with` of: its __exit__ lies on the live part of the stack. Not while `with` still waits in __enter__.
 */
struct pyb_with {
    pyb_addr manager;
    int32_t line;         // of the with statement, -1: not known
};
/** The innermost first, at most `max` of them. */
size_t pyb_withs(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                 const struct pyb_value_stack *stack, struct pyb_with *ret, size_t max);
/** The object that a bound method or built-in method is bound to; `object` itself when it is none. */
pyb_addr pyb_bound_to(struct pyb_python *py, pyb_addr object);
#endif
