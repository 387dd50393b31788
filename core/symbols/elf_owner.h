// SPDX-License-Identifier: Apache-2.0
/**
 * Code that only one function leads to: the parts that compilers move away from a function (.cold) and what
 * it ends in with a jump (`list_sort` parses arguments, `list_sort_impl` sorts). Where there are no symbols,
 * such code may carry that function's name.
 *
 * It is a proof, by all of the file's bytes: every reference to the code is a jump out of it or out of code
 * that passes the same test, and nothing holds its address. What could be a reference counts as one. x86_64
 * files only.
 */
#ifndef PYB_SYMBOLS_ELF_OWNER_H
#define PYB_SYMBOLS_ELF_OWNER_H
#include "symbols/elf_image.h"

#define PYB_MAX_OWNERS 2
struct pyb_elf_owners {
    uint64_t at[PYB_MAX_OWNERS]; // starts of the FDEs of known functions, in ascending order
    uint32_t n;
};
/** Does a function that is known by name start there (an ELF address)? */
typedef bool pyb_elf_known_fn(void *ctx, uint64_t fde_start);
/** PYB_E_NOTFOUND: others lead to it too, or that cannot be told. `start` is that of an FDE. */
int pyb_elf_owners(struct pyb_elf *e, uint64_t start, pyb_elf_known_fn *known, void *ctx,
                   struct pyb_elf_owners *ret);
#endif
