// SPDX-License-Identifier: Apache-2.0
/**
 * DWARF expressions as call frame information has them, evaluated with bounds: at most PYB_MAX_OPS operations in the expression, 64 values on
 * the stack, PYB_MAX_EXPRESSION_STEPS steps (branches can go back). Each of the target's words is read through its page cache.
 */
#ifndef PYB_UNWIND_EXPRESSION_H
#define PYB_UNWIND_EXPRESSION_H
#include "memory/memory.h"
#include "unwind/regs.h"

#define PYB_MAX_OPS 128
#define PYB_MAX_EXPRESSION_STEPS 1024

/** One operation, decoded: the fields of libdw's Dwarf_Op. */
struct pyb_op {
    uint8_t atom;              // DW_OP_*
    uint64_t number, number2;
    uint64_t offset;           // in the block, for branches
};
struct pyb_expression {
    const struct pyb_op *ops;
    uint32_t n;
};
/**
 * The value. `cfa` NULL: DW_OP_call_frame_cfa is not allowed. PYB_E_NOTFOUND: it needs a register that is not known (its number in
 * *ret); PYB_E_FAULT: memory that cannot be read (its address in *ret); PYB_E_UNSUPPORTED: an operation that call frame information
 * should not have; PYB_E_CORRUPT.
 */
int pyb_expression_value(const struct pyb_expression *e, const struct pyb_regs *regs, const uint64_t *cfa,
                         struct pyb_memory *mem, uint64_t *ret);
#endif
