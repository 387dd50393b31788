// SPDX-License-Identifier: Apache-2.0
// Rules out of call frame information: functions of this program whose .cfi directives say what must come out, and CIEs and FDEs made by hand
// for other machines and for what is refused.
#include "unit.h"

#include <elf.h>
#include <fcntl.h>

#include "unwind/cfi.h"

#define REG(...) ((const uint8_t[]){__VA_ARGS__})

static struct pyb_arena arena;

static int setup(void **state)
{
    (void)state;
    pyb_arena_init(&arena, unit_ctx());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pyb_arena_deinit(&arena);
    return 0;
}

static const struct pyb_rule_reg *reg(const struct pyb_rule *rule, unsigned number)
{
    for (uint32_t i = 0; i < rule->n_regs; i++) {
        if (rule->regs[i].number == number)
            return &rule->regs[i];
    }
    return NULL;
}

static void assert_reg(const struct pyb_rule *rule, unsigned number, enum pyb_rule_how how, int32_t offset)
{
    const struct pyb_rule_reg *r = reg(rule, number);
    assert_non_null(r);
    assert_int_equal(r->how, how);
    assert_int_equal(r->offset, offset);
}

#if defined(__x86_64__) && defined(PYB_HAVE_LIBDW)
__asm__(".text\n"
        ".globl cfi_plain, cfi_frame, cfi_expression, cfi_outermost, cfi_odd, cfi_signal\n"
        ".hidden cfi_plain, cfi_frame, cfi_expression, cfi_outermost, cfi_odd, cfi_signal\n"
        "cfi_plain: .cfi_startproc\n nop\n .cfi_adjust_cfa_offset 8\n .cfi_offset rbx, -16\n nop\n .cfi_remember_state\n"
        " .cfi_adjust_cfa_offset 112\n nop\n .cfi_restore_state\n nop\n .cfi_endproc\n"
        "cfi_frame: .cfi_startproc\n nop\n .cfi_def_cfa rbp, 16\n .cfi_offset rbp, -16\n .cfi_offset r15, -24\n nop\n"
        " .cfi_endproc\n"
        "cfi_expression: .cfi_startproc\n .cfi_escape 0x0f, 3, 0x77, 0x10, 0x06\n" // CFA is *(rsp + 16)
        " .cfi_escape 0x10, 3, 2, 0x23, 0x28\n"                                    // rbx saved at CFA + 40
        " .cfi_escape 0x16, 6, 2, 0x23, 0x30\n"                                    // rbp is CFA + 48
        " nop\n .cfi_endproc\n"
        "cfi_outermost: .cfi_startproc\n .cfi_undefined rip\n nop\n .cfi_endproc\n"
        "cfi_odd: .cfi_startproc\n .cfi_register rbx, r12\n .cfi_escape 0x14, 13, 2\n .cfi_undefined r14\n"
        " .cfi_same_value rdi\n nop\n .cfi_endproc\n"
        "cfi_signal: .cfi_startproc\n .cfi_signal_frame\n nop\n .cfi_endproc\n");
extern const char cfi_plain[], cfi_frame[], cfi_expression[], cfi_outermost[], cfi_odd[], cfi_signal[];

// Of this very program, as a file; its load bias is found by its own symbol.
static struct pyb_rule *rule_of(const char *code)
{
    struct pyb_elf *e;
    struct pyb_error err = {0};
    struct pyb_rule *rule = NULL;
    assert_ok(pyb_elf_open_fd(unit_ctx(), open("/proc/self/exe", O_RDONLY | O_CLOEXEC), &e, &err), &err);
    struct pyb_elf_symbol main_symbol;
    assert_int_equal(pyb_elf_symbol(e, "cfi_plain", &main_symbol), 0);
    pyb_addr bias = (uintptr_t)cfi_plain - main_symbol.value, pc = (uintptr_t)code;
    assert_int_equal(pyb_cfi_rule(e, pc - bias, bias, pyb_machine(EM_X86_64, 8), false, &arena, &rule), 0);
    assert_true(rule->function <= pc);
    pyb_elf_free(e);
    return rule;
}

static void test_rows(void **state)
{
    (void)state;
    static const struct { int at, cfa; bool rbx; } rows[] = {{0, 8, false}, {1, 16, true}, {2, 128, true}, {3, 16, true}};
    for (size_t i = 0; i < 4; i++) {
        struct pyb_rule *r = rule_of(cfi_plain + rows[i].at);
        assert_false(r->cfa_is_expression);
        assert_int_equal(r->cfa_reg, 7);
        assert_int_equal(r->cfa_offset, rows[i].cfa);
        assert_int_equal(r->ra, 16);
        assert_reg(r, 16, PYB_RULE_AT_CFA, -8);
        if (!rows[i].rbx)
            assert_null(reg(r, 3));
        else
            assert_reg(r, 3, PYB_RULE_AT_CFA, -16);
        assert_int_equal(r->low, rows[i].rbx ? -16 : -8);
        assert_int_equal(r->high, 0);
        assert_int_equal(r->function, (uintptr_t)cfi_plain);
        assert_false(r->signal);
        assert_null(reg(r, 7));
    }
}

static void test_frame_pointer(void **state)
{
    (void)state;
    struct pyb_rule *r = rule_of(cfi_frame + 1);
    assert_int_equal(r->cfa_reg, 6);
    assert_int_equal(r->cfa_offset, 16);
    assert_reg(r, 6, PYB_RULE_AT_CFA, -16);
    assert_reg(r, 15, PYB_RULE_AT_CFA, -24);
    assert_int_equal(r->low, -24);
}

static void test_expressions(void **state)
{
    (void)state;
    struct pyb_rule *r = rule_of(cfi_expression);
    assert_true(r->cfa_is_expression);
    const struct pyb_expression *cfa = &r->expressions[r->cfa_offset];
    assert_int_equal(cfa->n, 2);
    assert_int_equal(cfa->ops[0].atom, 0x77);
    assert_int_equal(cfa->ops[0].number, 16);
    // section 6.4.2.3: the CFA is pushed before an expression of a register
    const struct pyb_rule_reg *rbx = reg(r, 3), *rbp = reg(r, 6);
    assert_true(rbx && rbp);
    // "CFA + 40" is what a plain rule says too
    assert_true(rbx->how == PYB_RULE_AT_CFA ? rbx->offset == 40 : rbx->how == PYB_RULE_SAVED_AT);
    assert_true(rbp->how == PYB_RULE_CFA_PLUS ? rbp->offset == 48 : rbp->how == PYB_RULE_VALUE_OF);
}

static void test_outermost(void **state)
{
    (void)state;
    assert_reg(rule_of(cfi_outermost), 16, PYB_RULE_UNDEFINED, 0);
}

static void test_odd(void **state)
{
    (void)state;
    struct pyb_rule *r = rule_of(cfi_odd);
    assert_reg(r, 3, PYB_RULE_REGISTER, 12);
    assert_reg(r, 13, PYB_RULE_CFA_PLUS, -16);
    assert_reg(r, 14, PYB_RULE_UNDEFINED, 0);
    assert_reg(r, 5, PYB_RULE_REGISTER, 5); // rdi is no register that calls keep: that it is kept is said
    assert_null(reg(r, 12));
}

static void test_signal(void **state)
{
    (void)state;
    assert_true(rule_of(cfi_signal)->signal);
}
#endif

/** A CIE and FDE made by hand. */
struct made { uint8_t cie[64], fde[128]; struct pyb_elf_cfi cfi; bool big; };

static void put(struct made *m, uint8_t *data, size_t *len, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        data[*len + (m->big ? width - 1 - i : i)] = (uint8_t)(value >> 8 * i);
    *len += width;
}

static void put_bytes(uint8_t *data, size_t *len, const uint8_t *from, size_t n)
{
    memcpy(data + *len, from, n);
    *len += n;
}

#define START 0x400000u

// .debug_frame: absolute addresses, no augmentation. `program`: what the FDE says for [START, START + 64).
static void make(struct made *m, uint8_t width, bool big, const uint8_t *head, size_t head_len, const uint8_t *program, size_t n)
{
    memset(m, 0, sizeof(*m));
    m->big = big;
    size_t len = 0;
    put(m, m->cie, &len, 4 + head_len, 4);
    put(m, m->cie, &len, UINT32_MAX, 4);
    put_bytes(m->cie, &len, head, head_len);
    m->cfi.cie = m->cie;
    m->cfi.cie_len = len;
    len = 0;
    put(m, m->fde, &len, 4 + 2u * width + n, 4);
    put(m, m->fde, &len, 0, 4);
    put(m, m->fde, &len, START, width);
    put(m, m->fde, &len, 64, width);
    put_bytes(m->fde, &len, program, n);
    m->cfi.fde = m->fde;
    m->cfi.fde_len = len;
    m->cfi.start = START;
    m->cfi.end = START + 64;
}

// version 3, no augmentation, code and data alignment, return address column; then: CFA is register + offset, return address saved
static const uint8_t head_386[] = {3, 0, 1, 0x7c, 8, 0x0c, 4, 4, 0x88, 1};
static const uint8_t head_arm[] = {3, 0, 4, 0x78, 30, 0x0c, 31, 0};
static const uint8_t head_64[] = {3, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1};

static int ask(struct made *m, uint16_t machine, uint8_t width, struct pyb_rule **ret)
{
    return pyb_cfi_rule_of(&m->cfi, START + 8, 0x1000, pyb_machine(machine, width), m->big, &arena, ret);
}

static void test_i386(void **state)
{
    (void)state;
    struct made m;
    struct pyb_rule *r;
    const uint8_t program[] = {0x41, 0x0e, 8, 0x85, 2, 0x42, 0x0d, 5}; // after 1 byte: CFA esp + 8, ebp at -8; after 3: CFA ebp + 8
    make(&m, 4, false, head_386, sizeof(head_386), program, sizeof(program));
    int rc = ask(&m, EM_386, 4, &r);
    if (!pyb_cfi_available()) {
        assert_int_equal(rc, PYB_E_UNSUPPORTED);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(r->cfa_reg, 5);
    assert_int_equal(r->cfa_offset, 8);
    assert_reg(r, 5, PYB_RULE_AT_CFA, -8);
    assert_reg(r, 8, PYB_RULE_AT_CFA, -4);
    assert_int_equal(r->function, START + 0x1000);
}

// stp x29, x30, [sp, #-32]!, as gcc describes it, either byte order
static void aarch64(bool big)
{
    struct made m;
    struct pyb_rule *r;
    const uint8_t program[] = {0x41, 0x0e, 32, 0x9d, 4, 0x9e, 3};
    make(&m, 8, big, head_arm, sizeof(head_arm), program, sizeof(program));
    int rc = ask(&m, EM_AARCH64, 8, &r);
    if (!pyb_cfi_available())
        return;
    assert_int_equal(rc, 0);
    assert_int_equal(r->cfa_reg, 31);
    assert_int_equal(r->cfa_offset, 32);
    assert_int_equal(r->ra, 30);
    assert_reg(r, 29, PYB_RULE_AT_CFA, -32);
    assert_reg(r, 30, PYB_RULE_AT_CFA, -24);
    make(&m, 8, big, head_arm, sizeof(head_arm), program, 0);
    assert_int_equal(ask(&m, EM_AARCH64, 8, &r), 0);
    assert_null(reg(r, 30)); // a leaf: still in the register
    assert_int_equal(r->cfa_offset, 0);
}

static void test_aarch64(void **state)
{
    (void)state;
    aarch64(false);
    aarch64(true);
}

static int refuse(const uint8_t *program, size_t n)
{
    struct made m;
    struct pyb_rule *r;
    make(&m, 8, false, head_64, sizeof(head_64), program, n);
    return ask(&m, EM_X86_64, 8, &r);
}

// What would make libdw allocate gigabytes, or cannot be known: refused before libdw sees it.
static void test_refused(void **state)
{
    (void)state;
    uint8_t deep[PYB_CFI_MAX_STATES + 1];
    memset(deep, 0x0a, sizeof(deep));
    const struct { const uint8_t *program; size_t n; } bad[] = {
        {REG(0x05, 0xff, 0xff, 0xff, 0xff, 0x01, 1), 7},    // register 2^29 - 1 saved
        {REG(0x09, 3, 0x80, 0x01), 4},                      // rbx is in register 128
        {deep, sizeof(deep)},                               // 65 states remembered
        {REG(0x0b), 1},                                     // restored what was not remembered
        {REG(0x0f, 0x7f, 0x77), 3},                         // an expression longer than the FDE
        {REG(0x04, 1, 2), 3},                               // a cut operand
        {REG(0x3f), 1},                                     // an unknown instruction
        {REG(0x0e, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1), 13}, // a number of 84 bits
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = refuse(bad[i].program, bad[i].n);
        assert_true(rc == (pyb_cfi_available() ? PYB_E_CORRUPT : PYB_E_UNSUPPORTED));
    }
    if (pyb_cfi_available())
        assert_int_equal(refuse(deep, PYB_CFI_MAX_STATES), 0);
}

static void test_check_bounds(void **state)
{
    (void)state;
    struct made m;
    struct pyb_cfi_said said;
    const uint8_t program[] = {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0f, 3, 0x77, 8, 6};
    make(&m, 8, false, head_64, sizeof(head_64), program, sizeof(program));
    assert_true(pyb_cfi_check(&m.cfi, 8, false, &said));
    for (size_t cut = 0; cut < m.cfi.fde_len; cut++) {
        struct pyb_elf_cfi c = m.cfi;
        uint8_t *copy = malloc(cut + 1); // so that valgrind and ASan see a read beyond
        memcpy(copy, m.fde, cut);
        c.fde = copy;
        c.fde_len = cut;
        assert_false(pyb_cfi_check(&c, 8, false, &said));
        free(copy);
    }
    for (size_t cut = 0; cut < m.cfi.cie_len; cut++) {
        struct pyb_elf_cfi c = m.cfi;
        c.cie_len = cut;
        assert_false(pyb_cfi_check(&c, 8, false, &said));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if defined(__x86_64__) && defined(PYB_HAVE_LIBDW)
        cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_frame_pointer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expressions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outermost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
#endif
        cmocka_unit_test_setup_teardown(test_i386, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aarch64, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_bounds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
