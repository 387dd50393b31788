// SPDX-License-Identifier: Apache-2.0
// Registers by DWARF number: the kernel's struct filled by name, the numbers of the ABI documents.
#include "unit.h"

#include <elf.h>
#include <sys/user.h>

#include "unwind/regs.h"

#if defined(__x86_64__)
static void test_x86_64_by_name(void **state)
{
    (void)state;
    struct user_regs_struct u = {
        .rax = 100, .rdx = 101, .rcx = 102, .rbx = 103, .rsi = 104, .rdi = 105, .rbp = 106, .rsp = 107, .r8 = 108, .r9 = 109,
        .r10 = 110, .r11 = 111, .r12 = 112, .r13 = 113, .r14 = 114, .r15 = 115, .rip = 116, .fs_base = 999, .orig_rax = 1};
    struct pyb_regs regs;
    struct pyb_error err = {0};
    assert_ok(pyb_regs_from_kernel(EM_X86_64, 8, false, &u, sizeof(u), &regs, &err), &err);
    for (unsigned i = 0; i <= 16; i++)
        assert_true(pyb_reg_known(&regs, i) && regs.r[i] == 100 + i);
    assert_int_equal(regs.pc, 116);
    assert_int_equal(regs.thread_pointer, 999);
    assert_false(pyb_reg_known(&regs, 17));
    assert_int_equal(pyb_regs_from_kernel(EM_X86_64, 8, false, &u, sizeof(u) / 2, &regs, &err), PYB_E_UNSUPPORTED);
}
#endif

static void put(uint8_t *data, size_t at, uint64_t value, size_t width, bool big)
{
    for (size_t i = 0; i < width; i++)
        data[at * width + (big ? width - 1 - i : i)] = (uint8_t)(value >> 8 * i);
}

// struct user_regs_struct of i386: ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip cs eflags esp ss
static void test_i386(void **state)
{
    (void)state;
    static const unsigned ebx = 0, ecx = 1, edx = 2, esi = 3, edi = 4, ebp = 5, eax = 6, eip = 12, esp = 15;
    const unsigned by_dwarf[] = {eax, ecx, edx, ebx, esp, ebp, esi, edi, eip};
    uint8_t data[17 * 4];
    for (size_t i = 0; i < 17; i++)
        put(data, i, 0xf0000000u + i, 4, false);
    struct pyb_regs regs;
    struct pyb_error err = {0};
    assert_ok(pyb_regs_from_kernel(EM_386, 4, false, data, sizeof(data), &regs, &err), &err);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(regs.r[i], 0xf0000000u + by_dwarf[i]);
    assert_int_equal(regs.pc, 0xf000000cu);
}

static void aarch64(bool big)
{
    uint8_t data[34 * 8];
    for (size_t i = 0; i < 34; i++)
        put(data, i, 0x1000 + i, 8, big);
    struct pyb_regs regs;
    struct pyb_error err = {0};
    assert_ok(pyb_regs_from_kernel(EM_AARCH64, 8, big, data, sizeof(data), &regs, &err), &err);
    for (unsigned i = 0; i <= 31; i++) // x0 to x30, sp
        assert_int_equal(regs.r[i], 0x1000 + i);
    assert_int_equal(regs.pc, 0x1000 + 32);
}

static void test_aarch64(void **state)
{
    (void)state;
    aarch64(false);
    aarch64(true);
}

static void test_asleep(void **state)
{
    (void)state;
    struct pyb_regs regs;
    struct pyb_error err = {0};
    assert_ok(pyb_regs_from_pc_sp(EM_X86_64, 8, false, 0x1234, 0x7ff0, &regs, &err), &err);
    assert_int_equal(regs.pc, 0x1234);
    assert_int_equal(regs.known, 1u << 7);
    assert_int_equal(regs.r[7], 0x7ff0);
    assert_int_equal(pyb_regs_from_pc_sp(EM_S390, 8, true, 1, 2, &regs, &err), PYB_E_UNSUPPORTED);
    assert_non_null(strstr(err.what, "machine 22"));
}

static void test_machines(void **state)
{
    (void)state;
    assert_null(pyb_machine(EM_X86_64, 4));
    assert_null(pyb_machine(0, 8));
    const struct pyb_machine *m = pyb_machine(EM_X86_64, 8);
    assert_int_equal(m->callee_saved, 1u << 3 | 1u << 6 | 0xfu << 12);
    m = pyb_machine(EM_AARCH64, 8);
    assert_int_equal(m->callee_saved, 0xfffu << 19);
    // a pointer signed in its upper bits
    assert_int_equal(UINT64_C(0x0029ffff12345678) & m->code_mask, UINT64_C(0xffff12345678));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
        cmocka_unit_test(test_x86_64_by_name),
#endif
        cmocka_unit_test(test_i386), cmocka_unit_test(test_aarch64), cmocka_unit_test(test_asleep),
        cmocka_unit_test(test_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
