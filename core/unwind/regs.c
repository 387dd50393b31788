// SPDX-License-Identifier: Apache-2.0
#include "unwind/regs.h"

#include <elf.h>

#include "base/error.h"

#define BIT(n) (UINT64_C(1) << (n))
#define NONE (-1)

static const struct pyb_machine machines[] = {
    // rbx, rbp, r12 to r15; 16 is the return address
    {EM_X86_64, 8, 7, 6, 16, 17, BIT(3) | BIT(6) | BIT(12) | BIT(13) | BIT(14) | BIT(15), false, UINT64_MAX},
    // ebx, ebp, esi, edi; 8 is the return address
    {EM_386, 4, 4, 5, 8, 9, BIT(3) | BIT(5) | BIT(6) | BIT(7), false, UINT32_MAX},
    // x19 to x29 (fp); x30 (lr) holds the return address; 31 is sp. Linux gives programs 48 bits unless they ask for more.
    {EM_AARCH64, 8, 31, 29, 30, 32, UINT64_C(0x3ff80000) | BIT(30), true, (UINT64_C(1) << 48) - 1},
};

// DWARF number of each of the kernel's registers, in its order.
static const int8_t x86_64_order[] = {15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5, NONE, 16, NONE, NONE, 7};
static const int8_t i386_order[] = {3, 1, 2, 6, 7, 5, 0, NONE, NONE, NONE, NONE, NONE, 8, NONE, NONE, 4};
static const int8_t aarch64_order[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                                       17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
#define X86_64_FS_BASE 21
#define AARCH64_PC 32

const struct pyb_machine *pyb_machine(uint16_t machine, uint8_t ptr_size)
{
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        if (machines[i].machine == machine && machines[i].ptr_size == ptr_size)
            return &machines[i];
    }
    return NULL;
}

static int begin(uint16_t machine, uint8_t ptr_size, bool big_endian, struct pyb_regs *ret,
                 struct pyb_error *err)
{
    *ret = (struct pyb_regs){.machine = machine, .ptr_size = ptr_size, .big_endian = big_endian};
    if (!pyb_machine(machine, ptr_size))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "no unwinder for machine %u (%u-bit)", machine, ptr_size * 8u);
    return 0;
}

static void take(const int8_t *order, size_t n, struct pyb_bytes *b, struct pyb_regs *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (order[i] != NONE)
            pyb_reg_set(ret, (unsigned)order[i], pyb_get_uint(b, i * b->ptr_size, b->ptr_size));
    }
}

int pyb_regs_from_kernel(uint16_t machine, uint8_t ptr_size, bool big_endian, const void *data, size_t len,
                         struct pyb_regs *ret, struct pyb_error *err)
{
    int rc = begin(machine, ptr_size, big_endian, ret, err);
    if (rc)
        return rc;
    struct pyb_bytes b = pyb_bytes(data, len, ptr_size, big_endian);
    if (machine == EM_X86_64) {
        take(x86_64_order, sizeof(x86_64_order), &b, ret);
        ret->pc = ret->r[16];
        ret->thread_pointer = b.bad ? 0 : pyb_get_u64(&b, X86_64_FS_BASE * 8);
    } else if (machine == EM_386) {
        take(i386_order, sizeof(i386_order), &b, ret);
        ret->pc = ret->r[8];
    } else {
        take(aarch64_order, sizeof(aarch64_order), &b, ret);
        ret->pc = pyb_get_u64(&b, AARCH64_PC * 8);
    }
    if (b.bad)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "%zu bytes of registers: too few for machine %u", len, machine);
    return 0;
}

int pyb_regs_from_pc_sp(uint16_t machine, uint8_t ptr_size, bool big_endian, pyb_addr pc, pyb_addr sp,
                        struct pyb_regs *ret, struct pyb_error *err)
{
    int rc = begin(machine, ptr_size, big_endian, ret, err);
    if (rc)
        return rc;
    ret->pc = pc;
    pyb_reg_set(ret, pyb_machine(machine, ptr_size)->sp, sp);
    return 0;
}
