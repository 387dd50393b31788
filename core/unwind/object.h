// SPDX-License-Identifier: Apache-2.0
/** The ELF object that libdw gets to see: one section, one CIE, one FDE. */
#ifndef PYB_UNWIND_OBJECT_H
#define PYB_UNWIND_OBJECT_H
#include "base/arena.h"
#include "symbols/elf_image.h"
#include "unwind/regs.h"

/** Its bytes, in the arena; NULL: no memory. `cfi` has passed pyb_cfi_check(). */
char *pyb_object_make(const struct pyb_elf_cfi *cfi, const struct pyb_machine *machine, bool big_endian,
                      struct pyb_arena *arena, size_t *ret_len);
#endif
