// SPDX-License-Identifier: Apache-2.0
//
// Code without call frame information that does nothing more but return: `add $8,%rsp; ret` of CPython's perf trampolines, `pop %rbp; ret` of
// its later ones. Running such a tail in the mind is no guess: those instructions are what the processor will do next.
#include <elf.h>

#include "unwind/walk.h"

#define MAX_INSTRUCTIONS 16
#define MAX_CODE 64

struct run {
    struct pyb_walk *w;
    const uint8_t *code; // MAX_CODE bytes at pc
    size_t at;
    uint64_t sp;
    struct pyb_regs *next;
    bool returned, failed;
};

static uint64_t pop(struct run *r)
{
    uint64_t value = 0;
    if (!pyb_walk_word(r->w, r->sp, &value))
        r->failed = true;
    r->sp += r->w->machine->ptr_size;
    return value;
}

static int64_t immediate(struct run *r, size_t at, size_t width)
{
    struct pyb_bytes b = pyb_bytes(r->code, MAX_CODE, 8, false);
    int64_t value = pyb_get_int(&b, at, width);
    r->failed |= b.bad;
    return value;
}

static bool starts(const struct run *r, const char *bytes, size_t n)
{
    return r->at + n <= MAX_CODE && memcmp(r->code + r->at, bytes, n) == 0;
}

// DWARF number of a register as instructions number them.
static unsigned x86_number(const struct run *r, unsigned encoded)
{
    static const uint8_t low[] = {0, 2, 1, 3, 7, 6, 4, 5};
    return r->w->machine->machine == EM_386 ? encoded : encoded < 8 ? low[encoded] : encoded;
}

static void x86_pop(struct run *r, unsigned encoded)
{
    uint64_t value = pop(r);
    unsigned number = x86_number(r, encoded);
    if (number == r->w->machine->sp)
        r->failed = true;
    else if (!r->failed)
        pyb_reg_set(r->next, number, value);
}

static void x86_leave(struct run *r)
{
    unsigned fp = r->w->machine->fp;
    if (!pyb_reg_known(r->next, fp)) {
        r->failed = true;
        return;
    }
    r->sp = r->next->r[fp];
    uint64_t value = pop(r);
    pyb_reg_set(r->next, fp, value);
}

static void x86_instruction(struct run *r)
{
    bool wide = r->w->machine->ptr_size == 8;
    uint8_t op = r->code[r->at];
    size_t rex = wide && op == 0x48 ? 1 : 0;
    if (starts(r, "\xf3\x0f\x1e\xfa", 4)) { // endbr64
        r->at += 4;
    } else if (op >= 0x58 && op <= 0x5f) {
        x86_pop(r, op & 7u);
        r->at += 1;
    } else if (wide && op == 0x41 && r->at + 1 < MAX_CODE && r->code[r->at + 1] >> 3 == 0x0b) {
        x86_pop(r, 8u + (r->code[r->at + 1] & 7u));
        r->at += 2;
    } else if (starts(r, wide ? "\x48\x83\xc4" : "\x83\xc4", 2 + rex)) { // add $imm8,%rsp
        r->sp += (uint64_t)immediate(r, r->at + 2 + rex, 1);
        r->at += 3 + rex;
    } else if (starts(r, wide ? "\x48\x81\xc4" : "\x81\xc4", 2 + rex)) {
        r->sp += (uint64_t)immediate(r, r->at + 2 + rex, 4);
        r->at += 6 + rex;
    } else if (op == 0xc9) {
        x86_leave(r);
        r->at += 1;
    } else if (op == 0xc3 || starts(r, "\xf3\xc3", 2)) {
        r->next->pc = pop(r);
        r->returned = true;
    } else if (op == 0x90) {
        r->at += 1;
    } else {
        r->failed = true;
    }
}

// ldp x29, x30, [sp], #n; ldr x30, [sp], #n; add sp, sp, #n; autiasp; nop; ret
static void aarch64_instruction(struct run *r)
{
    uint32_t i = (uint32_t)immediate(r, r->at, 4);
    r->at += 4;
    if ((i & 0xffc07fff) == 0xa8c07bfd) {
        uint64_t begin = r->sp, step = ((i >> 15 & 0x7f) ^ 0x40) - UINT64_C(0x40);
        uint64_t fp = pop(r), lr = pop(r);
        pyb_reg_set(r->next, 29, fp);
        pyb_reg_set(r->next, 30, lr);
        r->sp = begin + step * 8;
    } else if ((i & 0xffe00fff) == 0xf84007fe) {
        uint64_t begin = r->sp, step = ((i >> 12 & 0x1ff) ^ 0x100) - UINT64_C(0x100);
        pyb_reg_set(r->next, 30, pop(r));
        r->sp = begin + step;
    } else if ((i & 0xff8003ff) == 0x910003ff) {
        r->sp += (uint64_t)(i >> 10 & 0xfff) << (i >> 22 & 1 ? 12 : 0);
    } else if (i == 0xd65f03c0 || i == 0xd65f0bff) { // ret, retaa
        r->failed |= !pyb_reg_known(r->next, 30);
        r->next->pc = r->next->r[30];
        r->returned = true;
    } else if (i != 0xd50323bf && i != 0xd503201f) {
        r->failed = true;
    }
}

bool pyb_run_epilogue(struct pyb_walk *w, struct pyb_regs *next)
{
    uint8_t buf[MAX_CODE] = {0};
    bool arm = w->machine->machine == EM_AARCH64;
    size_t got = 0;
    // short at the end of a mapping: what is missing is no instruction
    if (pyb_read_some(w->u->t->mem, w->regs.pc, buf, sizeof(buf), &got, NULL) != 0)
        return false;
    *next = w->regs;
    next->known &= w->machine->callee_saved;
    struct run r = {.w = w, .code = buf, .sp = w->regs.r[w->machine->sp], .next = next};
    for (unsigned n = 0; n < MAX_INSTRUCTIONS && !r.failed && !r.returned && r.at + 4 < got; n++) {
        if (arm)
            aarch64_instruction(&r);
        else
            x86_instruction(&r);
    }
    if (r.failed || !r.returned)
        return false;
    next->pc &= w->machine->code_mask;
    pyb_reg_set(next, w->machine->sp, r.sp);
    return true;
}
