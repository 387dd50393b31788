// SPDX-License-Identifier: Apache-2.0
/**
 * Call frame information as rules: one FDE, checked, is given to libdw, and libdw's answer for an address is made a rule.
 *
 * libdw never sees the target's file. It gets an ELF object of a few hundred bytes, made here in memory, with one section that holds one CIE and
 * one FDE whose every instruction was walked before (cfi_check.c): it cannot be led to read a whole file (dwarf_getcfi_elf does so where a
 * program header leads to .eh_frame), to another FDE, or to allocate what register 2^32 - 1 would need. Files, images in memory (the vDSO, deleted files) and .debug_frame
 * are alike that way, and opening a large module costs no more than a small one.
 */
#ifndef PYB_UNWIND_CFI_H
#define PYB_UNWIND_CFI_H
#include "base/arena.h"
#include "symbols/elf_image.h"
#include "unwind/rule.h"

/**
 * The rule for `vaddr` of an ELF object loaded at `bias`; rule and expressions are in the arena. PYB_E_NOTFOUND: no call frame information
 * covers it. PYB_E_UNSUPPORTED: built without libdw, or a rule that no machine of ours can have. PYB_E_CORRUPT, PYB_E_NOMEM.
 */
int pyb_cfi_rule(struct pyb_elf *e, uint64_t vaddr, pyb_addr bias, const struct pyb_machine *machine, bool big_endian,
                 struct pyb_arena *arena, struct pyb_rule **ret);
/** The same from the bytes of one FDE (pyb_elf_cfi). */
int pyb_cfi_rule_of(const struct pyb_elf_cfi *cfi, uint64_t vaddr, pyb_addr bias, const struct pyb_machine *machine,
                    bool big_endian, struct pyb_arena *arena, struct pyb_rule **ret);

#define PYB_CFI_MAX_REGISTER 127u // numbers above are refused; libdw allocates for the highest
#define PYB_CFI_MAX_STATES 64u    // DW_CFA_remember_state, nested
/**
 * Registers (bits) that an instruction says are undefined, or the same: where none does, libdw answers by a table of its own, in which x86-64's
 * calls keep rax and not rbx (0.188).
 */
struct pyb_cfi_said { uint64_t undefined, same; };
/** Walks header and instructions of both: in bounds, known, within the limits above. */
bool pyb_cfi_check(const struct pyb_elf_cfi *cfi, uint8_t ptr_size, bool big_endian, struct pyb_cfi_said *ret);
/** Is there a libdw in this build? */
bool pyb_cfi_available(void);
#endif
