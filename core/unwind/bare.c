// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "unwind/walk.h"

#define MAX_FRAME (UINT64_C(8) << 20) // bytes between sp and a frame pointer
#define SCAN_STUB 4u                  // the same for a stub in a file
#define SCAN 64u                      // words of the stack in which compiled code's caller is looked for

static bool is_file(struct pyb_walk *w, pyb_addr pc)
{
    return pyb_modules_find(w->u->t->modules, pc) != NULL;
}

// A call pushed its return address (or left it in the link register) and got to where there is no code.
static enum pyb_step called_nothing(struct pyb_walk *w, struct pyb_regs *next)
{
    struct pyb_call call;
    uint64_t sp = w->regs.r[w->machine->sp], pc = 0;
    *next = w->regs;
    next->known &= w->machine->callee_saved;
    bool found = w->machine->link_register ? pyb_reg_known(&w->regs, w->machine->ra) : pyb_walk_word(w, sp, &pc);
    if (w->machine->link_register)
        pc = w->regs.r[w->machine->ra];
    next->pc = pc & w->machine->code_mask;
    pyb_reg_set(next, w->machine->sp, sp + (w->machine->link_register ? 0 : w->machine->ptr_size));
    if (found && pyb_call_before(w, next->pc, &call))
        return PYB_STEP_OK;
    return w->rc ? PYB_STEP_STUCK
                 : pyb_walk_stuck(w, "no code is mapped at 0x%" PRIx64 ", and no call led there", w->regs.pc);
}

static bool by_frame_pointer(struct pyb_walk *w, struct pyb_regs *next)
{
    const struct pyb_machine *m = w->machine;
    struct pyb_call call;
    uint64_t sp = w->regs.r[m->sp], fp = w->regs.r[m->fp], outer, pc;
    if (fp < sp || fp - sp > MAX_FRAME || fp % m->ptr_size || !pyb_walk_word(w, fp, &outer) ||
        !pyb_walk_word(w, fp + m->ptr_size, &pc))
        return false;
    pc &= m->code_mask;
    if ((outer != 0 && outer <= fp) || !pyb_call_before(w, pc, &call))
        return false;
    *next = w->regs;
    next->known = 0; // the others may have been saved anywhere
    next->pc = pc;
    pyb_reg_set(next, m->sp, fp + 2u * m->ptr_size);
    pyb_reg_set(next, m->fp, outer);
    return true;
}

// Is there a return address at `at` that leads to code of a file (`shim` false), or to other such code that only returns?
static bool is_caller(struct pyb_walk *w, uint64_t at, bool shim, uint64_t *ret_pc)
{
    struct pyb_call call;
    if (!pyb_walk_word(w, at, ret_pc) || !pyb_call_before(w, *ret_pc, &call))
        return false;
    if (!shim)
        return pyb_rule_at(w, *ret_pc - 1) != NULL;
    struct pyb_walk trial = *w;
    struct pyb_regs ignored;
    trial.regs.pc = *ret_pc;
    pyb_reg_set(&trial.regs, w->machine->sp, at + w->machine->ptr_size);
    return !is_file(w, *ret_pc) && pyb_run_epilogue(&trial, &ignored);
}

// Code that was compiled at run time lies in no file. CPython's JIT enters it through a shim of the same kind, which saves registers, calls and
// restores them: the nearest return address that leads to such a one, or to a file.
static bool by_scan(struct pyb_walk *w, bool shim, unsigned words, struct pyb_regs *next)
{
    uint64_t sp = w->regs.r[w->machine->sp];
    for (unsigned i = 0; i < words && w->rc == 0; i++) {
        uint64_t at = sp + i * w->machine->ptr_size, pc = 0;
        if (!is_caller(w, at, shim, &pc))
            continue;
        *next = w->regs;
        // what the shim calls keeps the frame pointer, and no other register (clang's preserve_none)
        next->known &= shim ? UINT64_C(1) << w->machine->fp : 0;
        next->pc = pc;
        pyb_reg_set(next, w->machine->sp, at + w->machine->ptr_size);
        return true;
    }
    return false;
}

// The innermost function: a stub that has put nothing on the stack yet (libffi's trampolines), so that its return address is on top.
static bool by_top_of_stack(struct pyb_walk *w, struct pyb_regs *next)
{
    if (!w->exact || w->machine->link_register || !by_scan(w, false, 1, next))
        return false;
    next->known |= w->regs.known & w->machine->callee_saved;
    return true;
}

enum pyb_step pyb_step_bare(struct pyb_walk *w, struct pyb_regs *next, uint32_t *flags)
{
    unsigned fp = w->machine->fp;
    if (!pyb_is_code(w, w->regs.pc))
        return w->exact ? called_nothing(w, next)
                        : pyb_walk_stuck(w, "the return address 0x%" PRIx64 " leads to no code", w->regs.pc);
    if (pyb_run_epilogue(w, next))
        return PYB_STEP_OK;
    if (w->rc)
        return PYB_STEP_STUCK;
    bool known = pyb_reg_known(&w->regs, fp), file = is_file(w, w->regs.pc);
    if (known && !w->exact && w->regs.r[fp] == 0 && file)
        return PYB_STEP_END; // the ABIs' mark of the outermost frame
    *flags = PYB_NATIVE_APPROX;
    bool scanned = (!file && by_scan(w, true, SCAN, next)) || (!w->rc && by_top_of_stack(w, next));
    if (!scanned && !w->rc && known && by_frame_pointer(w, next)) {
        w->u->stats.by_frame_pointer++;
        return PYB_STEP_OK;
    }
    if (scanned || (!w->rc && (!file || w->exact) && by_scan(w, false, file ? SCAN_STUB : SCAN, next))) {
        w->u->stats.by_scan++;
        return PYB_STEP_OK;
    }
    if (!known && !w->rc)
        w->needs_registers = true;
    return w->rc ? PYB_STEP_STUCK
                 : pyb_walk_stuck(w, "no call frame information covers 0x%" PRIx64 ", and %s", w->regs.pc,
                                  known ? "the frame pointer leads to no caller"
                                        : "registers of a sleeping thread are not known");
}
