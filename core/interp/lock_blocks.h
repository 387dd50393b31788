// SPDX-License-Identifier: Apache-2.0
/** Blocks (try, with) around the current instruction of a frame, for lock_stack.c. */
#ifndef PYB_INTERP_LOCK_BLOCKS_H
#define PYB_INTERP_LOCK_BLOCKS_H
#include "interp/code.h"
#include "interp/frame.h"

/** How many slots of the value stack the innermost block leaves alone; 0: there is no block, -1: not to be told. */
int32_t pyb_blocks_depth(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code);
/** Line of the with statement around the current instruction whose __exit__ ends at this depth of the stack; -1: not known. */
int32_t pyb_with_line(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code, uint32_t depth);

/** An entry of an exception table (3.11+), in bytes of bytecode. */
struct pyb_exception_entry {
    uint32_t start, end, target, depth;
    bool lasti; // with statements and finally clauses: the handler finds the instruction's place on the stack
};
/** The next entry at *at; false at the end or where the table is malformed. Pure: over bytes only. */
bool pyb_exception_entry_next(const uint8_t *table, size_t len, size_t *at, struct pyb_exception_entry *ret);
/** Byte offset of the SETUP_WITH that leads to `handler` (bytes; 3.10: instructions), -1: there is none. Up to 3.10; pure. */
int32_t pyb_setup_with_at(int major, int minor, const uint8_t *bytecode, size_t len, int32_t handler);
#endif
