// SPDX-License-Identifier: Apache-2.0
/**
 * All FDE extents of an object, collected once: for objects without a usable .eh_frame_hdr, and for
 * .debug_frame, which has no table.
 */
#ifndef PYB_SYMBOLS_ELF_EXTENTS_H
#define PYB_SYMBOLS_ELF_EXTENTS_H
#include "symbols/elf_internal.h"

/**
 * Fills e->extents from .debug_frame, and from .eh_frame unless its header table is good. What is cut or torn
 * ends the list there.
 */
void pyb_elf_collect_extents(struct pyb_elf *e, bool eh_frame_hdr_good);
/** The FDE that covers vaddr, without the memory of answers; elf_fde.c. */
int pyb_elf_find_fde(struct pyb_elf *e, uint64_t vaddr, struct pyb_elf_extent *ret);
#endif
