// SPDX-License-Identifier: Apache-2.0
//
// Signal trampolines of musl and of the AArch64 kernel have no call frame information: they are known by their instructions, as GDB and
// libgcc know them. Where the interrupted registers are: struct rt_sigframe of the kernel's arch/*/kernel/signal*.c, struct ucontext.
#include <elf.h>
#include <inttypes.h>

#include "unwind/walk.h"

static const uint8_t x86_64_code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}; // mov $15,%rax; syscall
static const uint8_t aarch64_code[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4};   // mov x8,#139; svc #0

// uc_flags, uc_link, uc_stack; then r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip
#define X86_64_GREGS 40u
static const uint8_t x86_64_order[] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7};
// siginfo; uc_flags, uc_link, uc_stack, signal set of 128 bytes, padding to 16; fault_address; x0 to x30, sp, pc
#define AARCH64_REGS (128u + 176u + 8u)
#define AARCH64_N 32u

bool pyb_is_sigreturn(struct pyb_walk *w)
{
    uint8_t buf[16];
    bool x86 = w->machine->machine == EM_X86_64;
    if (!x86 && w->machine->machine != EM_AARCH64)
        return false;
    size_t len = x86 ? sizeof(x86_64_code) : sizeof(aarch64_code);
    const uint8_t *code = pyb_walk_bytes(w, w->regs.pc, buf, len);
    return code && memcmp(code, x86 ? x86_64_code : aarch64_code, len) == 0;
}

enum pyb_step pyb_step_sigreturn(struct pyb_walk *w, struct pyb_regs *next)
{
    uint8_t buf[(AARCH64_N + 1) * 8];
    bool x86 = w->machine->machine == EM_X86_64;
    size_t n = x86 ? sizeof(x86_64_order) : AARCH64_N;
    uint64_t at = w->regs.r[w->machine->sp] + (x86 ? X86_64_GREGS : AARCH64_REGS);
    const uint8_t *data = pyb_walk_bytes(w, at, buf, (n + 1) * 8);
    if (!data)
        return w->rc ? PYB_STEP_STUCK
                     : pyb_walk_stuck(w, "the interrupted registers at 0x%" PRIx64 " cannot be read", at);
    struct pyb_bytes b = pyb_bytes(data, (n + 1) * 8, 8, w->regs.big_endian);
    *next = w->regs;
    next->known = 0;
    for (size_t i = 0; i < n; i++)
        pyb_reg_set(next, x86 ? x86_64_order[i] : (unsigned)i, pyb_get_u64(&b, i * 8));
    next->pc = pyb_get_u64(&b, n * 8) & w->machine->code_mask;
    return PYB_STEP_OK;
}
