// SPDX-License-Identifier: Apache-2.0
#include "unwind/cfi.h"

#include "base/error.h"

#ifndef PYB_HAVE_LIBDW

bool pyb_cfi_available(void)
{
    return false;
}

int pyb_cfi_rule_of(const struct pyb_elf_cfi *cfi, uint64_t vaddr, pyb_addr bias, const struct pyb_machine *machine,
                    bool big_endian, struct pyb_arena *arena, struct pyb_rule **ret)
{
    (void)cfi, (void)vaddr, (void)bias, (void)machine, (void)big_endian, (void)arena;
    *ret = NULL;
    return PYB_E_UNSUPPORTED;
}

int pyb_cfi_rule(struct pyb_elf *e, uint64_t vaddr, pyb_addr bias, const struct pyb_machine *machine, bool big_endian,
                 struct pyb_arena *arena, struct pyb_rule **ret)
{
    (void)e;
    return pyb_cfi_rule_of(NULL, vaddr, bias, machine, big_endian, arena, ret);
}

#else

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "symbols/cfi.h"
#include "unwind/object.h"

/** The answers of one row, on their way to the arena. */
struct draft {
    struct pyb_rule rule;
    struct pyb_rule_reg regs[PYB_MAX_REGS];
    struct pyb_expression expressions[PYB_MAX_REGS + 1];
    struct pyb_arena *arena;
    const struct pyb_machine *machine;
    struct pyb_cfi_said said;
    size_t n_ops;
};

#define MAX_RULE_OPS 256u // of all expressions of one rule; a signal trampoline's have some 50

bool pyb_cfi_available(void)
{
    return true;
}

static int add_expression(struct draft *d, const Dwarf_Op *ops, size_t n, int32_t *ret)
{
    d->n_ops += n;
    if (n == 0 || n > PYB_MAX_OPS || d->n_ops > MAX_RULE_OPS)
        return PYB_E_UNSUPPORTED;
    struct pyb_op *copy = pyb_arena_array(d->arena, n, sizeof(*copy));
    if (!copy)
        return PYB_E_NOMEM;
    for (size_t i = 0; i < n; i++)
        copy[i] = (struct pyb_op){ops[i].atom, ops[i].number, ops[i].number2, ops[i].offset};
    d->expressions[d->rule.n_expressions] = (struct pyb_expression){copy, (uint32_t)n};
    *ret = (int32_t)d->rule.n_expressions++;
    return 0;
}

static bool fits(uint64_t number, int32_t *ret)
{
    *ret = (int32_t)number;
    return (int64_t)number == *ret;
}

static int take_cfa(struct draft *d, Dwarf_Frame *frame)
{
    Dwarf_Op *ops;
    size_t n;
    if (dwarf_frame_cfa(frame, &ops, &n) != 0 || n == 0)
        return PYB_E_CORRUPT;
    uint64_t number = 0, offset = 0;
    bool plain = n == 1 && (ops[0].atom == DW_OP_bregx || (ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31));
    if (plain) {
        number = ops[0].atom == DW_OP_bregx ? ops[0].number : (uint64_t)(ops[0].atom - DW_OP_breg0);
        offset = ops[0].atom == DW_OP_bregx ? ops[0].number2 : ops[0].number;
    }
    if (plain && number < d->machine->n && fits(offset, &d->rule.cfa_offset)) {
        d->rule.cfa_reg = (uint8_t)number;
        return 0;
    }
    d->rule.cfa_is_expression = true;
    return add_expression(d, ops, n, &d->rule.cfa_offset);
}

// "Saved at CFA + n", "is CFA + n", "is in register n": what libdw makes of the plain rules.
static bool is_plain(const Dwarf_Op *ops, size_t n, struct pyb_rule_reg *ret)
{
    bool value = n > 1 && ops[n - 1].atom == DW_OP_stack_value;
    size_t left = n - value;
    if (left == 1 && !value && ops[0].atom >= DW_OP_reg0 && ops[0].atom <= DW_OP_reg31) {
        ret->how = PYB_RULE_REGISTER;
        ret->offset = ops[0].atom - DW_OP_reg0;
        return true;
    }
    if (left == 1 && !value && ops[0].atom == DW_OP_regx) {
        ret->how = PYB_RULE_REGISTER;
        return ops[0].number < PYB_MAX_REGS && fits(ops[0].number, &ret->offset);
    }
    ret->how = value ? PYB_RULE_CFA_PLUS : PYB_RULE_AT_CFA;
    ret->offset = 0;
    if (left == 0 || ops[0].atom != DW_OP_call_frame_cfa)
        return false;
    return left == 1 || (left == 2 && ops[1].atom == DW_OP_plus_uconst && fits(ops[1].number, &ret->offset));
}

static void widen(struct pyb_rule *rule, int32_t offset, uint8_t word)
{
    int32_t end = offset > INT32_MAX - word ? INT32_MAX : offset + word;
    bool first = rule->low == rule->high;
    if (first || offset < rule->low)
        rule->low = offset;
    if (first || end > rule->high)
        rule->high = end;
}

static int take_register(struct draft *d, Dwarf_Frame *frame, unsigned number)
{
    Dwarf_Op memory[3], *ops;
    size_t n;
    if (dwarf_frame_register(frame, (int)number, memory, &ops, &n) != 0)
        return PYB_E_CORRUPT;
    bool kept = d->machine->callee_saved >> number & 1, same = d->said.same >> number & 1;
    struct pyb_rule_reg r = {.number = (uint8_t)number, .how = PYB_RULE_UNDEFINED};
    int rc = 0;
    if (n == 0 && !ops) {
        if (kept || !same)
            return 0; // as when nothing is said
        r.how = PYB_RULE_REGISTER;
        r.offset = (int32_t)number;
    } else if (n == 0) {
        // of the return address it counts always: the stack ends there
        if (number != d->rule.ra && (!kept || !(d->said.undefined >> number & 1)))
            return 0;
    } else if (!is_plain(ops, n, &r)) {
        r.how = ops[n - 1].atom == DW_OP_stack_value ? PYB_RULE_VALUE_OF : PYB_RULE_SAVED_AT;
        rc = add_expression(d, ops, n, &r.offset);
    }
    if (number == d->machine->sp && r.how == PYB_RULE_CFA_PLUS && r.offset == 0)
        return 0; // libdw's own rule, and ours
    if (rc == 0 && r.how == PYB_RULE_AT_CFA)
        widen(&d->rule, r.offset, d->machine->ptr_size);
    d->regs[d->rule.n_regs++] = r;
    return rc;
}

static int take_row(struct draft *d, Dwarf_Frame *frame, pyb_addr function)
{
    bool signal;
    int ra = dwarf_frame_info(frame, NULL, NULL, &signal); // its extent of the row is wrong behind DW_CFA_restore_state (0.188)
    if (ra < 0 || ra >= d->machine->n)
        return PYB_E_UNSUPPORTED;
    d->rule.function = function;
    d->rule.signal = signal;
    d->rule.ra = (uint8_t)ra;
    int rc = take_cfa(d, frame);
    for (unsigned i = 0; rc == 0 && i < d->machine->n; i++) {
        rc = take_register(d, frame, i);
    }
    return rc;
}

static int finish(const struct draft *d, struct pyb_rule **ret)
{
    struct pyb_rule *rule = pyb_arena_alloc(d->arena, sizeof(*rule));
    struct pyb_rule_reg *regs = pyb_arena_array(d->arena, d->rule.n_regs, sizeof(*regs));
    struct pyb_expression *expressions = pyb_arena_array(d->arena, d->rule.n_expressions, sizeof(*expressions));
    if (!rule || (!regs && d->rule.n_regs) || (!expressions && d->rule.n_expressions))
        return PYB_E_NOMEM;
    *rule = d->rule;
    if (d->rule.n_regs)
        rule->regs = memcpy(regs, d->regs, d->rule.n_regs * sizeof(*regs));
    if (d->rule.n_expressions)
        rule->expressions = memcpy(expressions, d->expressions, d->rule.n_expressions * sizeof(*expressions));
    *ret = rule;
    return 0;
}

static int ask(struct draft *d, Dwarf_CFI *cfi, const struct pyb_elf_cfi *from, uint64_t vaddr, pyb_addr bias,
               struct pyb_rule **ret)
{
    Dwarf_Frame *frame = NULL;
    if (!cfi || dwarf_cfi_addrframe(cfi, vaddr, &frame) != 0)
        return PYB_E_CORRUPT;
    int rc = take_row(d, frame, bias + from->start);
    free(frame); // libdw's malloc
    return rc ? rc : finish(d, ret);
}

static int open_and_ask(struct draft *d, const struct pyb_elf_cfi *from, char *image, size_t len, uint64_t vaddr,
                        pyb_addr bias, struct pyb_rule **ret)
{
    int rc = PYB_E_CORRUPT;
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory(image, len);
    if (elf && from->eh) {
        Dwarf_CFI *cfi = dwarf_getcfi_elf(elf);
        rc = ask(d, cfi, from, vaddr, bias, ret);
        if (cfi)
            dwarf_cfi_end(cfi);
    } else if (elf) {
        Dwarf *dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
        rc = ask(d, dwarf ? dwarf_getcfi(dwarf) : NULL, from, vaddr, bias, ret); // the CFI ends with it
        if (dwarf)
            dwarf_end(dwarf);
    }
    if (elf)
        elf_end(elf);
    return rc;
}

int pyb_cfi_rule_of(const struct pyb_elf_cfi *from, uint64_t vaddr, pyb_addr bias, const struct pyb_machine *machine,
                    bool big_endian, struct pyb_arena *arena, struct pyb_rule **ret)
{
    *ret = NULL;
    struct draft d = {.arena = arena, .machine = machine};
    if (vaddr < from->start || vaddr >= from->end || !pyb_cfi_check(from, machine->ptr_size, big_endian, &d.said))
        return PYB_E_CORRUPT;
    size_t len;
    char *image = pyb_object_make(from, machine, big_endian, arena, &len);
    return image ? open_and_ask(&d, from, image, len, vaddr, bias, ret) : PYB_E_NOMEM;
}

int pyb_cfi_rule(struct pyb_elf *e, uint64_t vaddr, pyb_addr bias, const struct pyb_machine *machine, bool big_endian,
                 struct pyb_arena *arena, struct pyb_rule **ret)
{
    struct pyb_arena scratch;
    struct pyb_elf_cfi cfi;
    *ret = NULL;
    pyb_arena_init(&scratch, arena->ctx);
    int rc = pyb_elf_cfi(e, vaddr, &scratch, &cfi);
    if (rc == 0)
        rc = pyb_cfi_rule_of(&cfi, vaddr, bias, machine, big_endian, arena, ret);
    pyb_arena_deinit(&scratch);
    return rc;
}
#endif
