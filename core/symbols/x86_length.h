// SPDX-License-Identifier: Apache-2.0
/** Lengths of x86_64 instructions, to step through code. Intel SDM volume 2, chapter 2 and appendix A. */
#ifndef PYB_SYMBOLS_X86_LENGTH_H
#define PYB_SYMBOLS_X86_LENGTH_H
#include <stddef.h>
#include <stdint.h>

/** Bytes of the instruction at `code`; 0: unknown, or cut by the end of the n bytes. */
size_t pyb_x86_64_length(const uint8_t *code, size_t n);
#endif
