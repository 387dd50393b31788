// SPDX-License-Identifier: Apache-2.0
/**
 * Registers of a thread of the target, by DWARF number, each known or not: of a thread that was read asleep only pc and sp are.
 *
 * Numbers: System V ABI, x86-64 figure 3.36, i386 table 2.14; AArch64 DWARF ABI (IHI 0057). Layout of the kernel's general registers
 * (NT_PRSTATUS's pr_reg, PTRACE_GETREGSET): struct user_regs_struct, struct user_pt_regs.
 */
#ifndef PYB_UNWIND_REGS_H
#define PYB_UNWIND_REGS_H
#include "base/bytes.h"
#include "pybraid.h"

#define PYB_MAX_REGS 34

struct pyb_regs {
    uint16_t machine;     // EM_X86_64, EM_386, EM_AARCH64
    uint8_t ptr_size;
    bool big_endian;
    pyb_addr pc;
    uint64_t r[PYB_MAX_REGS];
    uint64_t known;       // bit n: r[n] is known
    pyb_addr thread_pointer; // fs_base, gs_base, tpidr_el0; 0: unknown
};
/** What the unwinder needs to know of a machine. */
struct pyb_machine {
    uint16_t machine;
    uint8_t ptr_size;
    uint8_t sp, fp, ra;   // DWARF numbers; `ra`: of the return address, which is a true register on AArch64 only
    uint8_t n;            // registers that are kept
    uint64_t callee_saved; // bits: keep their value across a call when no rule names them
    bool link_register;   // a call leaves the return address in `ra`, not on the stack
    uint64_t code_mask;   // bits of an address of code: without pointer authentication
};
/** NULL: a machine that is not known. */
const struct pyb_machine *pyb_machine(uint16_t machine, uint8_t ptr_size);
/** From the kernel's register set, `len` bytes. PYB_E_UNSUPPORTED: a machine or a size that is not known. */
int pyb_regs_from_kernel(uint16_t machine, uint8_t ptr_size, bool big_endian, const void *data, size_t len,
                         struct pyb_regs *ret, struct pyb_error *err);
/** Of a sleeping thread: pc and sp only. */
int pyb_regs_from_pc_sp(uint16_t machine, uint8_t ptr_size, bool big_endian, pyb_addr pc, pyb_addr sp,
                        struct pyb_regs *ret, struct pyb_error *err);
static inline bool pyb_reg_known(const struct pyb_regs *regs, unsigned number)
{
    return number < PYB_MAX_REGS && (regs->known >> number & 1);
}
static inline void pyb_reg_set(struct pyb_regs *regs, unsigned number, uint64_t value)
{
    regs->r[number] = value;
    regs->known |= UINT64_C(1) << number;
}
#endif
