// SPDX-License-Identifier: Apache-2.0
/**
 * How to get from one frame to the next: what call frame information says at one range of pc, in a form that is quick to apply.
 *
 * A rule is made once for each row of an FDE that is met (cfi.h) and kept by pc (rule_cache.h). DWARF expressions (the PLT's, signal
 * trampolines') stay expressions, evaluated by expression.h.
 */
#ifndef PYB_UNWIND_RULE_H
#define PYB_UNWIND_RULE_H
#include "unwind/expression.h"
#include "unwind/regs.h"

enum pyb_rule_how {
    PYB_RULE_UNDEFINED,   // cannot be recovered
    PYB_RULE_AT_CFA,      // saved at CFA + offset
    PYB_RULE_CFA_PLUS,    // is CFA + offset
    PYB_RULE_REGISTER,    // is in register `offset`
    PYB_RULE_SAVED_AT,    // saved at the address that expressions[offset] gives
    PYB_RULE_VALUE_OF,    // is the value of expressions[offset]
};
struct pyb_rule_reg {
    uint8_t number;
    uint8_t how;
    int32_t offset;
};
struct pyb_rule {
    pyb_addr function;          // start of the FDE, in the target
    bool signal;                // a signal trampoline: the frame outside is the interrupted one
    bool cfa_is_expression;     // expressions[cfa_offset], else register cfa_reg + cfa_offset
    uint8_t cfa_reg;
    uint8_t ra;                 // column of the return address
    int32_t cfa_offset;
    int32_t low, high;          // [CFA + low, CFA + high) holds all that is AT_CFA; equal: nothing is
    uint32_t n_regs, n_expressions;
    // Registers that are not named are the same in the next frame when the machine's calls keep them, else unknown.
    const struct pyb_rule_reg *regs;
    const struct pyb_expression *expressions;
};
#endif
