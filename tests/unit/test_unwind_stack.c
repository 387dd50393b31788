// SPDX-License-Identifier: Apache-2.0
// Stacks made by hand: what the walk does with rules, with registers that are not known, with code that has no rules, and with nonsense.
#include "fake_target.h"

#include <elf.h>

#include "symbols/modules_internal.h"
#include "unwind/walk.h"

// Code of a file; of no file (compiled at run time); the stack, and another one.
#define TEXT 0x400000u
#define JIT 0x600000u
#define STACK 0x7ff000u
#define OTHER 0x900000u
#define SIZE 4096u
enum { R_TEXT, R_JIT, R_STACK, R_OTHER };
enum { RBX = 3, RBP = 6, RSP = 7, RIP = 16 };

static struct fake fake;
static struct pyb_unwinder *unwinder;
static struct pyb_arena arena;
static struct pyb_regs regs;
static struct pyb_unwound got;

static void add_code(struct pyb_modules *m, pyb_addr start, const char *path)
{
    struct pyb_mapping mapping = {.start = start, .end = start + SIZE, .r = true, .x = true};
    assert_int_equal(pyb_modules_add_mapping(m, &mapping, path, NULL), 0);
}

static int setup_machine(uint16_t machine)
{
    fake_init(&fake);
    fake_add(&fake, TEXT, SIZE);
    fake_add(&fake, JIT, SIZE);
    fake_add(&fake, STACK, SIZE);
    fake_add(&fake, OTHER, SIZE);
    fake.memory.mem.machine = machine;
    struct pyb_modules *m = pyb_modules_new(fake.target.ctx, PYB_MODULES_CORE);
    add_code(m, TEXT, "/nowhere/text");
    add_code(m, JIT, NULL);
    assert_int_equal(pyb_modules_assemble(m, NULL, NULL), 0);
    fake.target.modules = m;
    assert_int_equal(pyb_unwinder_new(fake.target.ctx, &fake.target, &unwinder, NULL), 0);
    pyb_arena_init(&arena, fake.target.ctx);
    regs = (struct pyb_regs){.machine = machine, .ptr_size = 8, .pc = TEXT + 0x10};
    pyb_reg_set(&regs, machine == EM_X86_64 ? RSP : 31, STACK);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_machine(EM_X86_64);
}

static int setup_arm(void **state)
{
    (void)state;
    return setup_machine(EM_AARCH64);
}

static int teardown(void **state)
{
    (void)state;
    pyb_unwinder_free(unwinder);
    pyb_modules_free(fake.target.modules);
    pyb_arena_deinit(&arena);
    fake_deinit(&fake);
    return 0;
}

static void poke(unsigned region, size_t at, const void *bytes, size_t n)
{
    memcpy(fake.memory.regions[region].data + at, bytes, n);
}

static void push(size_t at, uint64_t value)
{
    poke(R_STACK, at, &value, 8);
}

/** `call function`, so that it returns to `pc`. */
static pyb_addr call_to(pyb_addr pc, pyb_addr function)
{
    uint8_t code[5] = {0xe8};
    int32_t offset = (int32_t)(function - pc);
    memcpy(code + 1, &offset, 4);
    poke(R_TEXT, (size_t)(pc - TEXT) - 5, code, 5);
    return pc;
}

static pyb_addr indirect_call(pyb_addr pc)
{
    poke(R_TEXT, (size_t)(pc - TEXT) - 2, "\xff\xd0", 2); // call *%rax
    return pc;
}

static struct pyb_rule_reg *reg_rules(size_t n)
{
    struct pyb_rule_reg *r = pyb_arena_array(&arena, n, sizeof(*r));
    assert_non_null(r);
    return r;
}

static struct pyb_rule *put_rule(pyb_addr pc, const struct pyb_rule *rule)
{
    struct pyb_rule *copy = pyb_arena_alloc(&arena, sizeof(*copy));
    assert_non_null(copy);
    *copy = *rule;
    assert_int_equal(pyb_map_put(&unwinder->rules, pc, (uintptr_t)copy), 0);
    return copy;
}

/** CFA = rsp + cfa, return address below it; at the call before `pc`, or (exact) at pc. */
static struct pyb_rule *plain(pyb_addr pc, bool exact, int32_t cfa)
{
    struct pyb_rule_reg *r = reg_rules(1);
    *r = (struct pyb_rule_reg){RIP, PYB_RULE_AT_CFA, -8};
    struct pyb_rule rule = {.function = pc & ~UINT64_C(0xff), .cfa_reg = RSP, .ra = RIP, .cfa_offset = cfa, .low = -8,
                            .n_regs = 1, .regs = r};
    return put_rule(exact ? pc : pc - 1, &rule);
}

/** CFA = rbp + 16, rbp saved there. */
static struct pyb_rule *framed(pyb_addr pc, bool exact)
{
    struct pyb_rule_reg *r = reg_rules(2);
    r[0] = (struct pyb_rule_reg){RIP, PYB_RULE_AT_CFA, -8};
    r[1] = (struct pyb_rule_reg){RBP, PYB_RULE_AT_CFA, -16};
    struct pyb_rule rule = {.function = pc & ~UINT64_C(0xff), .cfa_reg = RBP, .ra = RIP, .cfa_offset = 16, .low = -16,
                            .n_regs = 2, .regs = r};
    return put_rule(exact ? pc : pc - 1, &rule);
}

static void outermost(pyb_addr pc)
{
    struct pyb_rule_reg *r = reg_rules(1);
    *r = (struct pyb_rule_reg){RIP, PYB_RULE_UNDEFINED, 0};
    put_rule(pc - 1, &(struct pyb_rule){.cfa_reg = RSP, .ra = RIP, .cfa_offset = 8, .n_regs = 1, .regs = r});
}

static void unwind_to(uint32_t max)
{
    struct pyb_error err = {0};
    assert_ok(pyb_unwind(unwinder, &regs, max, &arena, &got, &err), &err);
}

static void unwind(void)
{
    unwind_to(1000);
}

static void assert_frame(size_t i, pyb_addr pc, pyb_addr sp, uint32_t flags)
{
    assert_true(i < got.n);
    assert_int_equal(got.frames[i].pc, pc);
    assert_int_equal(got.frames[i].sp, sp);
    assert_int_equal(got.frames[i].flags, flags);
    assert_int_equal(got.frames[i].number, i);
    assert_int_equal(got.frames[i].size, sizeof(struct pyb_native_frame));
}

static void assert_ends(size_t n, const char *why)
{
    assert_int_equal(got.n, n);
    if (!why && got.truncated)
        fail_msg("ends early: %s", got.truncated);
    if (why && (!got.truncated || !strstr(got.truncated, why)))
        fail_msg("ends with \"%s\", not \"%s\"", got.truncated ? got.truncated : "the outermost frame", why);
}

static void test_plain(void **state)
{
    (void)state;
    plain(regs.pc, true, 32);
    push(24, TEXT + 0x120);
    plain(TEXT + 0x120, false, 64);
    push(32 + 56, TEXT + 0x220);
    outermost(TEXT + 0x220);
    unwind();
    assert_ends(3, NULL);
    assert_frame(0, TEXT + 0x10, STACK, 0);
    assert_frame(1, TEXT + 0x120, STACK + 32, 0);
    assert_frame(2, TEXT + 0x220, STACK + 96, 0);
    assert_false(got.needs_registers);
    unwind_to(2);
    assert_ends(2, "limit of 2 frames");
    assert_int_equal(pyb_unwinder_stats(unwinder)->rules_made, 0);
    assert_int_equal(pyb_unwinder_stats(unwinder)->rule_hits, 3 + 3); // a limit too looks ahead of it
}

static void test_nonsense(void **state)
{
    (void)state;
    plain(regs.pc, true, 32);
    push(24, STACK + 64);
    unwind();
    assert_ends(1, "leads to no code");
    regs.r[RSP] = STACK + SIZE - 16;
    unwind();
    assert_ends(1, "cannot be read");
    plain(regs.pc, true, 0);
    unwind();
    assert_ends(1, "does not lie above it");
    regs.r[RSP] = UINT64_MAX - 15; // CFA beyond the end of memory
    plain(regs.pc, true, 32);
    unwind();
    assert_ends(1, "");
}

static void test_saved_frame_pointer(void **state)
{
    (void)state;
    plain(regs.pc, true, 16);
    push(8, TEXT + 0x120);
    framed(TEXT + 0x120, false);
    pyb_reg_set(&regs, RBP, STACK + 128);
    push(128, STACK + 256);
    push(136, TEXT + 0x220);
    framed(TEXT + 0x220, false);
    push(256, 0);
    push(264, TEXT + 0x320);
    outermost(TEXT + 0x320);
    unwind();
    assert_ends(4, NULL);
    assert_frame(2, TEXT + 0x220, STACK + 144, 0);
    assert_frame(3, TEXT + 0x320, STACK + 272, 0);
}

// The same without registers. The function of the innermost frame starts at TEXT.
static void sleep_in_framed(pyb_addr caller)
{
    framed(regs.pc, true);
    push(64, STACK + 512);
    push(72, caller);
    plain(caller, false, 32);
    push(80 + 24, TEXT + 0x220);
    outermost(TEXT + 0x220);
}

static void test_asleep_found_by_caller(void **state)
{
    (void)state;
    sleep_in_framed(call_to(TEXT + 0x120, TEXT));
    unwind();
    assert_ends(3, NULL);
    assert_frame(1, TEXT + 0x120, STACK + 80, 0);
    assert_false(got.needs_registers);
    assert_int_equal(pyb_unwinder_stats(unwinder)->by_search, 1);
}

static void test_asleep_through_plt(void **state)
{
    (void)state;
    sleep_in_framed(call_to(TEXT + 0x120, TEXT + 0x800));
    uint64_t slot = TEXT;
    poke(R_TEXT, 0x800, "\xf3\x0f\x1e\xfa\xf2\xff\x25\x75\x00\x00\x00", 11); // endbr64; bnd jmp *0x75(%rip): to 0x880
    poke(R_TEXT, 0x880, &slot, 8);
    unwind();
    assert_ends(3, NULL);
    assert_frame(1, TEXT + 0x120, STACK + 80, 0);
}

// What a dead frame left lies below, and unwinds as well: which one it is cannot be known.
static void test_asleep_ambiguous(void **state)
{
    (void)state;
    sleep_in_framed(call_to(TEXT + 0x120, TEXT));
    push(24, indirect_call(TEXT + 0x420));
    push(16, 0);
    plain(TEXT + 0x420, false, 96);
    push(32 + 88, TEXT + 0x220);
    unwind();
    assert_int_equal(got.frames[1].flags, PYB_NATIVE_APPROX);
    assert_true(got.needs_registers);
    assert_null(got.truncated);
}

static void test_asleep_indirect(void **state)
{
    (void)state;
    sleep_in_framed(indirect_call(TEXT + 0x120));
    unwind();
    assert_ends(3, NULL);
    assert_frame(1, TEXT + 0x120, STACK + 80, PYB_NATIVE_APPROX);
    assert_true(got.needs_registers);
}

static void test_asleep_not_found(void **state)
{
    (void)state;
    sleep_in_framed(call_to(TEXT + 0x120, TEXT + 0x500)); // calls another function
    unwind();
    assert_ends(1, "only pc and sp");
    assert_true(got.needs_registers);
}

static struct pyb_rule *signal_rule(pyb_addr pc, pyb_addr outer_pc, pyb_addr outer_sp)
{
    // the interrupted registers at rsp, as expressions could tell
    struct pyb_rule_reg *r = reg_rules(2);
    r[0] = (struct pyb_rule_reg){RIP, PYB_RULE_AT_CFA, 0};
    r[1] = (struct pyb_rule_reg){RSP, PYB_RULE_AT_CFA, 8};
    push(64, outer_pc);
    push(72, outer_sp);
    return put_rule(pc - 1, &(struct pyb_rule){.signal = true, .cfa_reg = RSP, .ra = RIP, .cfa_offset = 48, .high = 16,
                                               .n_regs = 2, .regs = r});
}

// A handler on a signal stack; the interrupted frame, whose pc is exact, is on another one, lower.
static void test_signal(void **state)
{
    (void)state;
    plain(regs.pc, true, 16);
    push(8, TEXT + 0x300);
    signal_rule(TEXT + 0x300, TEXT + 0x40, OTHER);
    plain(TEXT + 0x40, true, 16);
    uint64_t caller = TEXT + 0x220;
    poke(R_OTHER, 8, &caller, 8);
    outermost(caller);
    unwind();
    assert_ends(4, NULL);
    assert_frame(1, TEXT + 0x300, STACK + 16, PYB_NATIVE_SIGNAL);
    assert_frame(2, TEXT + 0x40, OTHER, 0);
    assert_frame(3, TEXT + 0x220, OTHER + 16, 0);
}

static void test_circle(void **state)
{
    (void)state;
    plain(regs.pc, true, 16);
    push(8, TEXT + 0x300);
    signal_rule(TEXT + 0x300, TEXT + 0x10, STACK); // interrupted where the stack begins
    unwind();
    assert_non_null(got.truncated);
    assert_non_null(strstr(got.truncated, "circle"));
    assert_true(got.n < 20);
}

static void test_musl_sigreturn(void **state)
{
    (void)state;
    poke(R_TEXT, 0x300, "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9);
    plain(regs.pc, true, 16);
    push(8, TEXT + 0x300);
    push(16 + 40 + 15 * 8, OTHER); // ucontext_t: gregs begin at 40; REG_RSP is 15, REG_RIP 16
    push(16 + 40 + 16 * 8, TEXT + 0x40);
    plain(TEXT + 0x40, true, 16);
    uint64_t caller = TEXT + 0x220;
    poke(R_OTHER, 8, &caller, 8);
    outermost(caller);
    unwind();
    assert_ends(4, NULL);
    assert_frame(1, TEXT + 0x300, STACK + 16, PYB_NATIVE_SIGNAL);
    assert_frame(2, TEXT + 0x40, OTHER, 0);
}

// CPython's perf trampolines: sub $8,%rsp; call *%rcx; add $8,%rsp; ret. Later ones: push %rbp; ...; pop %rbp; ret
static void perf_trampoline(const char *tail, size_t n)
{
    poke(R_JIT, 0x120, tail, n);
    plain(regs.pc, true, 16);
    push(8, JIT + 0x120);
    push(16, STACK + 512);
    push(24, TEXT + 0x220);
    outermost(TEXT + 0x220);
    unwind();
    assert_ends(3, NULL);
    assert_frame(1, JIT + 0x120, STACK + 16, 0);
    assert_frame(2, TEXT + 0x220, STACK + 32, 0);
}

static void test_perf_trampolines(void **state)
{
    (void)state;
    perf_trampoline("\x48\x83\xc4\x08\xc3", 5);
    perf_trampoline("\x5d\xc3", 2);
    perf_trampoline("\x41\x5c\xc3", 3); // pop %r12
}

static void test_called_nothing(void **state)
{
    (void)state;
    regs.pc = 0;
    push(0, indirect_call(TEXT + 0x120));
    plain(TEXT + 0x120, false, 16);
    push(8 + 8, TEXT + 0x220);
    outermost(TEXT + 0x220);
    unwind();
    assert_ends(3, NULL);
    assert_frame(1, TEXT + 0x120, STACK + 8, 0);
    push(0, TEXT + 0x130); // behind no call
    unwind();
    assert_ends(1, "no code is mapped at 0x0");
}

static void test_frame_pointer(void **state)
{
    (void)state;
    poke(R_TEXT, 0x10, "\x0f\x0b", 2);
    pyb_reg_set(&regs, RBP, STACK + 64);
    push(64, 0);
    push(72, indirect_call(TEXT + 0x120));
    unwind();
    assert_ends(2, NULL); // a frame pointer of 0 ends it
    assert_frame(1, TEXT + 0x120, STACK + 80, PYB_NATIVE_APPROX);
    push(72, TEXT + 0x130);
    unwind();
    assert_ends(1, "the frame pointer leads to no caller");
    regs.known = 1u << RSP;
    unwind();
    assert_ends(1, "registers of a sleeping thread are not known");
    assert_true(got.needs_registers);
}

// libffi's trampolines: the innermost function is a stub without call frame information, its return address on top of the stack or nearly so.
static void test_stub(void **state)
{
    (void)state;
    poke(R_TEXT, 0x10, "\x0f\x0b", 2);
    pyb_reg_set(&regs, RBP, STACK + 64); // of the caller's caller
    push(64, 0);
    push(72, indirect_call(TEXT + 0x320));
    push(0, indirect_call(TEXT + 0x120));
    framed(TEXT + 0x120, false);
    outermost(TEXT + 0x320);
    unwind();
    assert_ends(3, NULL);
    assert_frame(1, TEXT + 0x120, STACK + 8, PYB_NATIVE_APPROX);
    assert_frame(2, TEXT + 0x320, STACK + 80, 0);
    regs.known &= ~(UINT64_C(1) << RBP); // asleep, and two words pushed
    push(0, 1);
    push(16, TEXT + 0x120);
    outermost(TEXT + 0x120);
    unwind();
    assert_ends(2, NULL);
    assert_frame(1, TEXT + 0x120, STACK + 24, PYB_NATIVE_APPROX);
}

// Code of the JIT calls into a file; its own caller is the shim, which restores registers and returns.
static void test_jit(void **state)
{
    (void)state;
    plain(regs.pc, true, 16);
    push(8, JIT + 0x200);
    poke(R_JIT, 0x200, "\x0f\x0b", 2);
    push(32, JIT + 0x120);
    poke(R_JIT, 0x11e, "\xff\xd0\x5b\xc3", 4); // call *%rax; pop %rbx; ret
    push(48, TEXT + 0x220);
    outermost(TEXT + 0x220);
    unwind();
    assert_ends(4, NULL);
    assert_frame(2, JIT + 0x120, STACK + 40, PYB_NATIVE_APPROX);
    assert_frame(3, TEXT + 0x220, STACK + 56, 0);
}

static void test_arm(void **state)
{
    (void)state;
    // a leaf: CFA is sp, the return address in lr, signed in its upper bits
    put_rule(regs.pc, &(struct pyb_rule){.cfa_reg = 31, .ra = 30});
    pyb_reg_set(&regs, 30, UINT64_C(0x0035000000000000) | (TEXT + 0x120));
    struct pyb_rule_reg *r = reg_rules(2);
    r[0] = (struct pyb_rule_reg){29, PYB_RULE_AT_CFA, -32};
    r[1] = (struct pyb_rule_reg){30, PYB_RULE_AT_CFA, -24};
    put_rule(TEXT + 0x11f, &(struct pyb_rule){.cfa_reg = 31, .ra = 30, .cfa_offset = 32, .low = -32, .high = -16, .n_regs = 2,
                                              .regs = r});
    push(8, UINT64_C(0xff80000000000000) | (TEXT + 0x220));
    struct pyb_rule_reg *end = reg_rules(1);
    *end = (struct pyb_rule_reg){30, PYB_RULE_UNDEFINED, 0};
    put_rule(TEXT + 0x21f, &(struct pyb_rule){.cfa_reg = 31, .ra = 30, .n_regs = 1, .regs = end});
    unwind();
    assert_ends(3, NULL);
    assert_frame(1, TEXT + 0x120, STACK, 0);
    assert_frame(2, TEXT + 0x220, STACK + 32, 0);
}

static void test_arm_trampoline(void **state)
{
    (void)state;
    // mov x8, #139; svc #0 in the vDSO, which has no call frame information
    poke(R_TEXT, 0x300, "\x68\x11\x80\xd2\x01\0\0\xd4", 8);
    regs.pc = TEXT + 0x300;
    push(128 + 176 + 8 + 31 * 8, OTHER);       // struct sigcontext: sp
    push(128 + 176 + 8 + 32 * 8, TEXT + 0x40); // pc
    struct pyb_rule_reg *end = reg_rules(1);
    *end = (struct pyb_rule_reg){30, PYB_RULE_UNDEFINED, 0};
    put_rule(TEXT + 0x40, &(struct pyb_rule){.cfa_reg = 31, .ra = 30, .n_regs = 1, .regs = end});
    unwind();
    assert_ends(2, NULL);
    assert_frame(0, TEXT + 0x300, STACK, PYB_NATIVE_SIGNAL);
    assert_frame(1, TEXT + 0x40, OTHER, 0);
}

static bool abort_now(void *ctx)
{
    (void)ctx;
    return true;
}

static void test_abort(void **state)
{
    (void)state;
    struct pyb_error err = {0};
    plain(regs.pc, true, 32);
    fake.target.ctx->abort = abort_now;
    int rc = 0; // asked every now and then only
    for (unsigned i = 0; i < 1000 && rc == 0; i++)
        rc = pyb_unwind(unwinder, &regs, 10, &arena, &got, &err);
    fake.target.ctx->abort = NULL;
    assert_int_equal(rc, PYB_E_ABORTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_ARM(name) cmocka_unit_test_setup_teardown(name, setup_arm, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_plain), TEST(test_nonsense), TEST(test_saved_frame_pointer), TEST(test_asleep_found_by_caller),
        TEST(test_asleep_through_plt), TEST(test_asleep_ambiguous), TEST(test_asleep_indirect), TEST(test_asleep_not_found),
        TEST(test_signal), TEST(test_circle), TEST(test_musl_sigreturn), TEST(test_perf_trampolines), TEST(test_called_nothing),
        TEST(test_frame_pointer), TEST(test_stub), TEST(test_jit), TEST_ARM(test_arm), TEST_ARM(test_arm_trampoline), TEST(test_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
