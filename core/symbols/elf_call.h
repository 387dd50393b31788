// SPDX-License-Identifier: Apache-2.0
/** Which function a call instruction calls. x86_64 code only. */
#ifndef PYB_SYMBOLS_ELF_CALL_H
#define PYB_SYMBOLS_ELF_CALL_H
#include "symbols/elf_image.h"

/**
 * The target of the direct call that left this return address (both ELF addresses); false: the call was
 * indirect, or that cannot be told. It is an address only: whether a function begins there is for the caller
 * to see. Where the bytes of another instruction look like a direct call, they lead far out of the file.
 */
bool pyb_elf_called(struct pyb_elf *e, uint64_t return_address, uint64_t *ret);
#endif
