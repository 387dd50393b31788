// SPDX-License-Identifier: Apache-2.0
#include <elf.h>

#include "memory/corefile_internal.h"

#ifndef EM_LOONGARCH
#define EM_LOONGARCH 258
#endif

// elf_gregset_t of the kernel's asm/elf.h and asm/ptrace.h (user_regs_struct, pt_regs). x32 has 64-bit
// registers in an ELF32 file.
static const struct pyb_core_regs known[] = {
    // machine      class        word   n  pc  sp  tp
    {EM_X86_64,    ELFCLASS64,  8,    27, 16, 19, 21}, // fs_base
    {EM_X86_64,    ELFCLASS32,  8,    27, 16, 19, 21},
    {EM_386,       ELFCLASS32,  4,    17, 12, 15, -1}, // NT_386_TLS, the entry that gs selects
    {EM_AARCH64,   ELFCLASS64,  8,    34, 32, 31, -1}, // NT_ARM_TLS
    {EM_ARM,       ELFCLASS32,  4,    18, 15, 13, -1},
    {EM_RISCV,     ELFCLASS64,  8,    32,  0,  2,  4},
    {EM_RISCV,     ELFCLASS32,  4,    32,  0,  2,  4},
    {EM_PPC64,     ELFCLASS64,  8,    48, 32,  1, 13},
    {EM_PPC,       ELFCLASS32,  4,    48, 32,  1,  2},
    {EM_S390,      ELFCLASS64,  8,    27,  1, 17, -1}, // psw mask, psw address, r0 to r15
    {EM_LOONGARCH, ELFCLASS64,  8,    45, 33,  3,  2}, // r0 to r31, orig_a0, era
};

const struct pyb_core_regs *pyb_core_regs(uint16_t machine, uint8_t ptr_size)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].machine == machine && known[i].elf_class == (ptr_size == 8 ? ELFCLASS64 : ELFCLASS32))
            return &known[i];
    return NULL;
}
