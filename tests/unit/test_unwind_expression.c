// SPDX-License-Identifier: Apache-2.0
// DWARF expressions: what section 2.5 of the standard says of each operation, and that nothing foreign gets beyond the bounds.
#include "fake_target.h"

#include <dwarf.h>
#include <elf.h>

#include "unwind/expression.h"

#define CFA 0x7000u
#define MEMORY 0x10000u

static struct fake fake;
static struct pyb_regs regs;

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    fake_add(&fake, MEMORY, 64);
    for (size_t i = 0; i < 64; i++)
        fake.memory.regions[0].data[i] = (uint8_t)(i + 1);
    regs = (struct pyb_regs){.machine = EM_X86_64, .ptr_size = 8, .pc = 0x400010};
    pyb_reg_set(&regs, 7, MEMORY);
    pyb_reg_set(&regs, 16, 0x400010);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_deinit(&fake);
    return 0;
}

static int run(const struct pyb_op *ops, uint32_t n, uint64_t *ret)
{
    struct pyb_expression e = {ops, n};
    uint64_t cfa = CFA;
    return pyb_expression_value(&e, &regs, &cfa, &fake.memory.mem, ret);
}

#define RUN(ret, ...)                                                                                        \
    run((const struct pyb_op[]){__VA_ARGS__}, sizeof((struct pyb_op[]){__VA_ARGS__}) / sizeof(struct pyb_op), ret)

static void expect(uint64_t want, const struct pyb_op *ops, uint32_t n)
{
    uint64_t got;
    assert_int_equal(run(ops, n, &got), 0);
    assert_int_equal(got, want);
}
#define EXPECT(want, ...)                                                                                    \
    expect(want, (const struct pyb_op[]){__VA_ARGS__}, sizeof((struct pyb_op[]){__VA_ARGS__}) / sizeof(struct pyb_op))

// .plt of the x86-64 linkers: CFA = rsp + 8 + ((((rip & 15) >= 11)) << 3)
static void test_plt(void **state)
{
    (void)state;
    const struct pyb_op plt[] = {{DW_OP_breg7, 8, 0, 0}, {DW_OP_breg16, 0, 0, 2}, {DW_OP_lit15, 0, 0, 4}, {DW_OP_and, 0, 0, 5},
                                 {DW_OP_lit11, 0, 0, 6}, {DW_OP_ge, 0, 0, 7}, {DW_OP_lit3, 0, 0, 8}, {DW_OP_shl, 0, 0, 9},
                                 {DW_OP_plus, 0, 0, 10}};
    expect(MEMORY + 8, plt, 9);
    regs.r[16] = 0x40001b;
    expect(MEMORY + 16, plt, 9);
}

static void test_arithmetic(void **state)
{
    (void)state;
    uint64_t minus7 = (uint64_t)-7;
    EXPECT((uint64_t)-3, {DW_OP_const8s, minus7, 0, 0}, {DW_OP_lit2, 0, 0, 0}, {DW_OP_div, 0, 0, 0});
    EXPECT(2, {DW_OP_lit17, 0, 0, 0}, {DW_OP_lit5, 0, 0, 0}, {DW_OP_mod, 0, 0, 0});
    EXPECT(7, {DW_OP_const8s, minus7, 0, 0}, {DW_OP_abs, 0, 0, 0});
    EXPECT((uint64_t)-4, {DW_OP_const8s, minus7, 0, 0}, {DW_OP_lit1, 0, 0, 0}, {DW_OP_shra, 0, 0, 0});
    EXPECT(0, {DW_OP_lit1, 0, 0, 0}, {DW_OP_const1u, 64, 0, 0}, {DW_OP_shl, 0, 0, 0});
    EXPECT(12, {DW_OP_lit20, 0, 0, 0}, {DW_OP_lit8, 0, 0, 0}, {DW_OP_minus, 0, 0, 0});
    EXPECT(1, {DW_OP_const8s, minus7, 0, 0}, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lt, 0, 0, 0});
    EXPECT(UINT64_MAX - 5, {DW_OP_lit5, 0, 0, 0}, {DW_OP_not, 0, 0, 0});
    EXPECT(CFA + 24, {DW_OP_call_frame_cfa, 0, 0, 0}, {DW_OP_plus_uconst, 24, 0, 0}, {DW_OP_stack_value, 0, 0, 2});
}

static void test_stack(void **state)
{
    (void)state;
    EXPECT(1, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lit2, 0, 0, 0}, {DW_OP_swap, 0, 0, 0});
    EXPECT(2, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lit2, 0, 0, 0}, {DW_OP_lit3, 0, 0, 0}, {DW_OP_rot, 0, 0, 0});
    EXPECT(1, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lit2, 0, 0, 0}, {DW_OP_lit3, 0, 0, 0}, {DW_OP_pick, 2, 0, 0});
    EXPECT(1, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lit2, 0, 0, 0}, {DW_OP_over, 0, 0, 0});
    EXPECT(1, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lit2, 0, 0, 0}, {DW_OP_drop, 0, 0, 0});
}

static void test_memory(void **state)
{
    (void)state;
    uint64_t got;
    EXPECT(UINT64_C(0x100f0e0d0c0b0a09), {DW_OP_breg7, 8, 0, 0}, {DW_OP_deref, 0, 0, 2});
    EXPECT(0x0605, {DW_OP_breg7, 4, 0, 0}, {DW_OP_deref_size, 2, 0, 2});
    assert_int_equal(RUN(&got, {DW_OP_breg7, 60, 0, 0}, {DW_OP_deref, 0, 0, 2}), PYB_E_FAULT);
    assert_int_equal(got, MEMORY + 60);
    assert_int_equal(RUN(&got, {DW_OP_breg7, 0, 0, 0}, {DW_OP_deref_size, 3, 0, 2}), PYB_E_CORRUPT);
    assert_int_equal(RUN(&got, {DW_OP_breg7, 0, 0, 0}, {DW_OP_deref_size, 200, 0, 2}), PYB_E_CORRUPT);
}

static void test_branches(void **state)
{
    (void)state;
    uint64_t got;
    // 0: lit0; 1: bra +1 (not taken); 4: lit5; 5: skip +1; 8: lit6; 9: lit7
    EXPECT(7, {DW_OP_lit0, 0, 0, 0}, {DW_OP_bra, 1, 0, 1}, {DW_OP_lit5, 0, 0, 4}, {DW_OP_skip, 1, 0, 5}, {DW_OP_lit6, 0, 0, 8},
           {DW_OP_lit7, 0, 0, 9});
    EXPECT(5, {DW_OP_lit5, 0, 0, 0}, {DW_OP_skip, 1, 0, 1}, {DW_OP_lit6, 0, 0, 4}); // to the end
    assert_int_equal(RUN(&got, {DW_OP_lit1, 0, 0, 0}, {DW_OP_skip, (uint64_t)-3, 0, 1}), PYB_E_CORRUPT); // for ever
    assert_int_equal(RUN(&got, {DW_OP_nop, 0, 0, 0}, {DW_OP_skip, (uint64_t)-4, 0, 1}), PYB_E_CORRUPT);  // too
    assert_int_equal(RUN(&got, {DW_OP_const2u, 1, 0, 0}, {DW_OP_skip, (uint64_t)-5, 0, 3}), PYB_E_CORRUPT); // into an operation
}

static void test_refused(void **state)
{
    (void)state;
    uint64_t got;
    assert_int_equal(RUN(&got, {DW_OP_breg3, 0, 0, 0}), PYB_E_NOTFOUND);
    assert_int_equal(got, 3);
    assert_int_equal(RUN(&got, {DW_OP_bregx, 5000, 0, 0}), PYB_E_NOTFOUND);
    assert_int_equal(RUN(&got, {DW_OP_plus, 0, 0, 0}), PYB_E_CORRUPT);
    assert_int_equal(RUN(&got, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lit0, 0, 0, 0}, {DW_OP_div, 0, 0, 0}), PYB_E_CORRUPT);
    assert_int_equal(RUN(&got, {DW_OP_lit1, 0, 0, 0}, {DW_OP_lit1, 0, 0, 0}, {DW_OP_call4, 0, 0, 0}), PYB_E_UNSUPPORTED);
    assert_int_equal(RUN(&got, {DW_OP_nop, 0, 0, 0}), PYB_E_CORRUPT);
    struct pyb_op many[PYB_MAX_OPS + 1];
    for (size_t i = 0; i <= PYB_MAX_OPS; i++)
        many[i] = (struct pyb_op){DW_OP_lit1, 0, 0, i};
    assert_int_equal(run(many, PYB_MAX_OPS, &got), PYB_E_CORRUPT); // 64 values fit
    assert_int_equal(run(many, PYB_MAX_OPS + 1, &got), PYB_E_UNSUPPORTED);
    expect(1, many, 64);
}

static void test_narrow(void **state)
{
    (void)state;
    regs.ptr_size = 4;
    EXPECT(4, {DW_OP_const4u, UINT32_MAX, 0, 0}, {DW_OP_lit5, 0, 0, 0}, {DW_OP_plus, 0, 0, 0});
    EXPECT(1, {DW_OP_const4u, UINT32_MAX, 0, 0}, {DW_OP_lit5, 0, 0, 0}, {DW_OP_lt, 0, 0, 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arithmetic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_branches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_narrow, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
