// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "unwind/walk.h"

#define MAX_SPAN 1024 // bytes of saved registers that are read at once

static uint64_t word_mask(const struct pyb_walk *w)
{
    return w->machine->ptr_size == 4 ? UINT32_MAX : UINT64_MAX;
}

static enum pyb_step evaluate(struct pyb_walk *w, const struct pyb_rule *rule, int32_t index, const uint64_t *cfa,
                              uint64_t *ret)
{
    int rc = pyb_expression_value(&rule->expressions[index], &w->regs, cfa, w->u->t->mem, ret);
    w->u->stats.by_expression++;
    switch (rc) {
    case 0: return PYB_STEP_OK;
    case PYB_E_NOTFOUND: return PYB_STEP_NEEDS;
    case PYB_E_FAULT:
        return pyb_walk_stuck(w, "the frame's call frame information needs memory at 0x%" PRIx64 ", which cannot be read",
                              *ret);
    case PYB_E_UNSUPPORTED: case PYB_E_CORRUPT:
        return pyb_walk_stuck(w, "an expression of the call frame information for 0x%" PRIx64 " makes no sense",
                              w->regs.pc);
    default: w->rc = rc; return PYB_STEP_STUCK;
    }
}

static enum pyb_step find_cfa(struct pyb_walk *w, const struct pyb_rule *rule, uint64_t *ret)
{
    if (rule->cfa_is_expression)
        return evaluate(w, rule, rule->cfa_offset, NULL, ret);
    if (!pyb_reg_known(&w->regs, rule->cfa_reg))
        return PYB_STEP_NEEDS;
    *ret = (w->regs.r[rule->cfa_reg] + (uint64_t)(int64_t)rule->cfa_offset) & word_mask(w);
    return PYB_STEP_OK;
}

/** Saved registers at [addr, addr + len), read at once. */
struct saved {
    uint64_t addr;
    size_t len;
    const uint8_t *data; // NULL: read one by one
    uint8_t buf[MAX_SPAN];
};

static bool get_saved(struct pyb_walk *w, struct saved *s, uint64_t addr, uint64_t *ret)
{
    size_t width = w->machine->ptr_size;
    if (s->data && addr >= s->addr && addr - s->addr <= s->len - width) {
        struct pyb_bytes b = pyb_bytes(s->data, s->len, w->machine->ptr_size, w->regs.big_endian);
        *ret = pyb_get_uint(&b, (size_t)(addr - s->addr), width);
        return true;
    }
    return pyb_walk_word(w, addr, ret);
}

// One register of the frame outside. False: not known there.
static enum pyb_step recover(struct pyb_walk *w, const struct pyb_rule *rule, const struct pyb_rule_reg *r, uint64_t cfa,
                             struct saved *s, struct pyb_regs *next)
{
    uint64_t value = 0, at = cfa + (uint64_t)(int64_t)r->offset;
    enum pyb_step step = PYB_STEP_OK;
    bool known = true;
    switch ((enum pyb_rule_how)r->how) {
    case PYB_RULE_UNDEFINED: known = false; break;
    case PYB_RULE_AT_CFA: known = get_saved(w, s, at & word_mask(w), &value); break;
    case PYB_RULE_CFA_PLUS: value = at; break;
    case PYB_RULE_REGISTER:
        known = pyb_reg_known(&w->regs, (unsigned)r->offset);
        value = known ? w->regs.r[r->offset] : 0;
        break;
    case PYB_RULE_VALUE_OF: case PYB_RULE_SAVED_AT:
        step = evaluate(w, rule, r->offset, &cfa, &value);
        known = step == PYB_STEP_OK &&
                (r->how == PYB_RULE_VALUE_OF || pyb_walk_word(w, value, &value));
        if (step == PYB_STEP_STUCK && w->rc == 0 && r->number != rule->ra)
            step = PYB_STEP_OK; // this register only
        break;
    }
    next->known &= ~(UINT64_C(1) << r->number);
    if (known)
        pyb_reg_set(next, r->number, value & word_mask(w));
    return w->rc ? PYB_STEP_STUCK : step == PYB_STEP_NEEDS ? PYB_STEP_OK : step;
}

static enum pyb_step return_address(struct pyb_walk *w, const struct pyb_rule *rule, uint64_t cfa,
                                    struct pyb_regs *next)
{
    if (pyb_reg_known(next, rule->ra)) {
        next->pc = next->r[rule->ra] & w->machine->code_mask;
        return PYB_STEP_OK;
    }
    for (uint32_t i = 0; i < rule->n_regs; i++) {
        const struct pyb_rule_reg *r = &rule->regs[i];
        if (r->number != rule->ra)
            continue;
        if (r->how == PYB_RULE_UNDEFINED)
            return PYB_STEP_END;
        if (r->how == PYB_RULE_AT_CFA)
            return pyb_walk_stuck(w, "stack memory at 0x%" PRIx64 ", where the return address is, cannot be read",
                                  cfa + (uint64_t)(int64_t)r->offset);
        return r->how == PYB_RULE_REGISTER ? PYB_STEP_NEEDS
             : pyb_walk_stuck(w, "the return address of 0x%" PRIx64 " cannot be read", w->regs.pc);
    }
    return PYB_STEP_NEEDS; // in the link register
}

enum pyb_step pyb_step_by_rule(struct pyb_walk *w, const struct pyb_rule *rule, struct pyb_regs *next)
{
    uint64_t cfa;
    struct saved s;
    enum pyb_step step = find_cfa(w, rule, &cfa);
    if (step != PYB_STEP_OK)
        return step;
    s.addr = (cfa + (uint64_t)(int64_t)rule->low) & word_mask(w);
    s.len = rule->high - (int64_t)rule->low <= MAX_SPAN ? (size_t)(rule->high - (int64_t)rule->low) : 0;
    s.data = s.len ? pyb_walk_bytes(w, s.addr, s.buf, s.len) : NULL;
    *next = w->regs;
    next->known &= w->machine->callee_saved;
    pyb_reg_set(next, w->machine->sp, cfa);
    for (uint32_t i = 0; i < rule->n_regs && step == PYB_STEP_OK && w->rc == 0; i++)
        step = recover(w, rule, &rule->regs[i], cfa, &s, next);
    if (w->rc)
        return PYB_STEP_STUCK;
    return step == PYB_STEP_OK ? return_address(w, rule, cfa, next) : step;
}
