// SPDX-License-Identifier: Apache-2.0
#include "unwind/expression.h"

// DW_OP_* of DWARF 5, section 7.7.1: those that a value in call frame information can have.
enum {
    OP_DEREF = 0x06, OP_CONST1U = 0x08, OP_CONSTS = 0x11, OP_DUP = 0x12, OP_DROP = 0x13, OP_OVER = 0x14,
    OP_PICK = 0x15, OP_SWAP = 0x16, OP_ROT = 0x17, OP_ABS = 0x19, OP_AND = 0x1a, OP_DIV = 0x1b, OP_MINUS = 0x1c,
    OP_MOD = 0x1d, OP_MUL = 0x1e, OP_NEG = 0x1f, OP_NOT = 0x20, OP_OR = 0x21, OP_PLUS = 0x22, OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24, OP_SHR = 0x25, OP_SHRA = 0x26, OP_XOR = 0x27, OP_BRA = 0x28, OP_EQ = 0x29, OP_GE = 0x2a, OP_GT = 0x2b,
    OP_LE = 0x2c, OP_LT = 0x2d, OP_NE = 0x2e, OP_SKIP = 0x2f, OP_LIT0 = 0x30, OP_LIT31 = 0x4f, OP_BREG0 = 0x70,
    OP_BREG31 = 0x8f, OP_BREGX = 0x92, OP_DEREF_SIZE = 0x94, OP_NOP = 0x96, OP_CALL_FRAME_CFA = 0x9c, OP_STACK_VALUE = 0x9f,
};
#define DEPTH 64

struct machine {
    const struct pyb_expression *e;
    const struct pyb_regs *regs;
    const uint64_t *cfa;
    struct pyb_memory *mem;
    uint64_t stack[DEPTH];
    size_t n;
    uint64_t why;  // a register's number or an address, for the caller
    size_t next;   // operation
};

static int push(struct machine *m, uint64_t value)
{
    if (m->n == DEPTH)
        return PYB_E_CORRUPT;
    m->stack[m->n++] = m->regs->ptr_size == 4 ? (uint32_t)value : value;
    return 0;
}

static int push_register(struct machine *m, uint64_t number, uint64_t offset)
{
    if (number < PYB_MAX_REGS && pyb_reg_known(m->regs, (unsigned)number))
        return push(m, m->regs->r[number] + offset);
    m->why = number;
    return PYB_E_NOTFOUND;
}

static int deref(struct machine *m, uint64_t size)
{
    uint64_t value;
    if (m->n == 0 || size > m->regs->ptr_size)
        return PYB_E_CORRUPT;
    uint64_t addr = m->stack[m->n - 1];
    int rc = pyb_read_uint(m->mem, addr, (size_t)size, &value, NULL);
    if (rc) {
        m->why = addr;
        return rc == PYB_E_USAGE ? PYB_E_CORRUPT : rc;
    }
    m->stack[m->n - 1] = value;
    return 0;
}

static int64_t as_signed(const struct machine *m, uint64_t value)
{
    return m->regs->ptr_size == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

static int pick(struct machine *m, uint64_t index)
{
    return index < m->n ? push(m, m->stack[m->n - 1 - index]) : PYB_E_CORRUPT;
}

// a: below the top, b: the top
static int binary(const struct machine *m, uint8_t atom, uint64_t a, uint64_t b, uint64_t *ret)
{
    int64_t x = as_signed(m, a), y = as_signed(m, b);
    unsigned width = m->regs->ptr_size * 8u;
    switch (atom) {
    case OP_AND: *ret = a & b; return 0;
    case OP_OR: *ret = a | b; return 0;
    case OP_XOR: *ret = a ^ b; return 0;
    case OP_PLUS: *ret = a + b; return 0;
    case OP_MINUS: *ret = a - b; return 0;
    case OP_MUL: *ret = a * b; return 0;
    case OP_DIV:
        if (y == 0)
            return PYB_E_CORRUPT;
        *ret = y == -1 ? -a : (uint64_t)(x / y);
        return 0;
    case OP_MOD:
        if (b == 0)
            return PYB_E_CORRUPT;
        *ret = a % b;
        return 0;
    case OP_SHL: *ret = b < width ? a << b : 0; return 0;
    case OP_SHR: *ret = b < width ? a >> b : 0; return 0;
    case OP_SHRA: *ret = (uint64_t)(x >> (b < width ? b : width - 1)); return 0;
    case OP_EQ: *ret = x == y; return 0;
    case OP_NE: *ret = x != y; return 0;
    case OP_GE: *ret = x >= y; return 0;
    case OP_GT: *ret = x > y; return 0;
    case OP_LE: *ret = x <= y; return 0;
    case OP_LT: *ret = x < y; return 0;
    default: return PYB_E_UNSUPPORTED;
    }
}

static int apply_binary(struct machine *m, uint8_t atom)
{
    uint64_t value;
    if (m->n < 2)
        return PYB_E_CORRUPT;
    int rc = binary(m, atom, m->stack[m->n - 2], m->stack[m->n - 1], &value);
    if (rc)
        return rc;
    m->n -= 2;
    return push(m, value);
}

static int apply_unary(struct machine *m, const struct pyb_op *op)
{
    if (m->n == 0)
        return PYB_E_CORRUPT;
    uint64_t a = m->stack[--m->n];
    switch (op->atom) {
    case OP_ABS: return push(m, as_signed(m, a) < 0 ? -a : a);
    case OP_NEG: return push(m, -a);
    case OP_NOT: return push(m, ~a);
    case OP_PLUS_UCONST: return push(m, a + op->number);
    default: return 0; // OP_DROP
    }
}

static int shuffle(struct machine *m, uint8_t atom)
{
    size_t need = atom == OP_ROT ? 3 : 2;
    if (m->n < need)
        return PYB_E_CORRUPT;
    uint64_t *top = &m->stack[m->n - need], last = top[need - 1];
    for (size_t i = need - 1; i > 0; i--)
        top[i] = top[i - 1];
    top[0] = last;
    return 0;
}

// To the operation that begins at an offset of the block: from behind the branch (3 bytes long), as many bytes as it says.
static int jump(struct machine *m, const struct pyb_op *op)
{
    uint64_t target = op->offset + 3 + (uint64_t)(int64_t)(int16_t)(uint16_t)op->number;
    for (size_t i = 0; i < m->e->n; i++) {
        // libdw puts operations of its own at the ends: they have no place in the block
        if (m->e->ops[i].offset == target && m->e->ops[i].atom != OP_CALL_FRAME_CFA) {
            m->next = i;
            return 0;
        }
    }
    m->next = m->e->n; // its end
    return target > m->e->ops[m->e->n - 1].offset ? 0 : PYB_E_CORRUPT;
}

static int step(struct machine *m, const struct pyb_op *op)
{
    uint8_t atom = op->atom;
    if (atom >= OP_LIT0 && atom <= OP_LIT31)
        return push(m, (uint64_t)(atom - OP_LIT0));
    if (atom >= OP_BREG0 && atom <= OP_BREG31)
        return push_register(m, (uint64_t)(atom - OP_BREG0), op->number);
    if (atom >= OP_CONST1U && atom <= OP_CONSTS)
        return push(m, op->number);
    switch (atom) {
    case OP_BREGX: return push_register(m, op->number, op->number2);
    case OP_CALL_FRAME_CFA: return m->cfa ? push(m, *m->cfa) : PYB_E_CORRUPT;
    case OP_DEREF: return deref(m, m->regs->ptr_size);
    case OP_DEREF_SIZE: return deref(m, op->number);
    case OP_DUP: return pick(m, 0);
    case OP_OVER: return pick(m, 1);
    case OP_PICK: return pick(m, op->number);
    case OP_SWAP: case OP_ROT: return shuffle(m, atom);
    case OP_DROP: case OP_ABS: case OP_NEG: case OP_NOT: case OP_PLUS_UCONST: return apply_unary(m, op);
    case OP_NOP: return 0;
    case OP_SKIP: return jump(m, op);
    case OP_BRA:
        if (m->n == 0)
            return PYB_E_CORRUPT;
        return m->stack[--m->n] ? jump(m, op) : 0;
    default: return apply_binary(m, atom);
    }
}

int pyb_expression_value(const struct pyb_expression *e, const struct pyb_regs *regs, const uint64_t *cfa,
                         struct pyb_memory *mem, uint64_t *ret)
{
    struct machine m = {.e = e, .regs = regs, .cfa = cfa, .mem = mem};
    int rc = 0;
    *ret = 0;
    if (e->n == 0 || e->n > PYB_MAX_OPS)
        return PYB_E_UNSUPPORTED;
    for (unsigned steps = 0; rc == 0 && m.next < e->n; steps++) {
        const struct pyb_op *op = &e->ops[m.next++];
        if (steps == PYB_MAX_EXPRESSION_STEPS)
            return PYB_E_CORRUPT;
        if (op->atom == OP_STACK_VALUE)
            break;
        rc = step(&m, op);
    }
    if (rc == 0 && m.n == 0)
        rc = PYB_E_CORRUPT;
    *ret = rc ? m.why : m.stack[m.n - 1];
    return rc;
}
