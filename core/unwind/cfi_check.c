// SPDX-License-Identifier: Apache-2.0
// Call frame instructions: DWARF 5, section 6.4.2 and 7.24; .eh_frame: Linux Standard Base 5.0, section 10.6.
#include "unwind/cfi.h"

#include "symbols/cfi.h"

enum { // high two bits 0: the instruction, else one of three with its operand in the low six
    CFA_NOP = 0x00, CFA_SET_LOC = 0x01, CFA_ADVANCE_LOC1 = 0x02, CFA_ADVANCE_LOC2 = 0x03, CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05, CFA_RESTORE_EXTENDED = 0x06, CFA_UNDEFINED = 0x07, CFA_SAME_VALUE = 0x08, CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0a, CFA_RESTORE_STATE = 0x0b, CFA_DEF_CFA = 0x0c, CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e, CFA_DEF_CFA_EXPRESSION = 0x0f, CFA_EXPRESSION = 0x10, CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12, CFA_DEF_CFA_OFFSET_SF = 0x13, CFA_VAL_OFFSET = 0x14, CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16, CFA_NEGATE_RA_STATE = 0x2d, CFA_ARGS_SIZE = 0x2e, CFA_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

struct walk {
    struct pyb_bytes b;
    size_t at;
    unsigned states;
    bool refused;
    struct pyb_cfi_said said;
};

static uint64_t leb(struct walk *w)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = pyb_get_u8(&w->b, w->at++);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (w->b.bad || !(byte & 0x80))
            return value;
    }
    w->refused = true; // longer than any 64-bit number
    return 0;
}

static void skip(struct walk *w, uint64_t n)
{
    if (w->at > w->b.len || n > w->b.len - w->at)
        w->refused = true;
    else
        w->at += (size_t)n;
}

// Its bit.
static uint64_t reg(struct walk *w)
{
    uint64_t number = leb(w);
    w->refused |= number > PYB_CFI_MAX_REGISTER;
    return number < 64 ? UINT64_C(1) << number : 0;
}

static void another(struct walk *w)
{
    (void)reg(w);
}

static void block(struct walk *w)
{
    skip(w, leb(w));
}

static void reg_and(struct walk *w, void (*operand)(struct walk *))
{
    (void)reg(w);
    operand(w);
}

static void number(struct walk *w)
{
    (void)leb(w);
}

static void instruction(struct walk *w, uint8_t op, size_t pointer)
{
    switch (op) {
    case CFA_NOP: case CFA_NEGATE_RA_STATE: return;
    case CFA_SET_LOC: skip(w, pointer); return;
    case CFA_ADVANCE_LOC1: skip(w, 1); return;
    case CFA_ADVANCE_LOC2: skip(w, 2); return;
    case CFA_ADVANCE_LOC4: skip(w, 4); return;
    case CFA_OFFSET_EXTENDED: case CFA_OFFSET_EXTENDED_SF: case CFA_VAL_OFFSET: case CFA_VAL_OFFSET_SF:
    case CFA_DEF_CFA: case CFA_DEF_CFA_SF: case CFA_NEGATIVE_OFFSET_EXTENDED: reg_and(w, number); return;
    case CFA_UNDEFINED: w->said.undefined |= reg(w); return;
    case CFA_SAME_VALUE: w->said.same |= reg(w); return;
    case CFA_RESTORE_EXTENDED: case CFA_DEF_CFA_REGISTER: another(w); return;
    case CFA_REGISTER: reg_and(w, another); return;
    case CFA_REMEMBER_STATE: w->refused |= ++w->states > PYB_CFI_MAX_STATES; return;
    case CFA_RESTORE_STATE:
        w->refused |= w->states == 0;
        w->states -= w->states > 0;
        return;
    case CFA_DEF_CFA_OFFSET: case CFA_DEF_CFA_OFFSET_SF: case CFA_ARGS_SIZE: number(w); return;
    case CFA_DEF_CFA_EXPRESSION: block(w); return;
    case CFA_EXPRESSION: case CFA_VAL_EXPRESSION: reg_and(w, block); return;
    default: w->refused = true; return;
    }
}

static bool instructions_good(struct walk *w, size_t pointer)
{
    while (!w->refused && !w->b.bad && w->at < w->b.len) {
        uint8_t op = pyb_get_u8(&w->b, w->at++);
        if (op >> 6 == 2) // DW_CFA_offset
            number(w);
        else if (op >> 6 == 0)
            instruction(w, op, pointer);
    }
    return !w->refused && !w->b.bad;
}

static size_t width_of(uint8_t encoding, uint8_t addr_size)
{
    switch (encoding & 7) {
    case 2: return 2;
    case 3: return 4;
    case 4: return 8;
    default: return (encoding & 7) == 0 ? addr_size : 0;
    }
}

// To the initial instructions. `ret_augmented`: FDEs have augmentation data too.
static bool skip_cie_header(struct walk *w, const struct pyb_cfi_entry *entry, bool *ret_augmented)
{
    w->at = entry->id_at + entry->offset_size;
    uint8_t version = pyb_get_u8(&w->b, w->at++);
    size_t name = w->at;
    while (pyb_get_u8(&w->b, w->at) != 0)
        w->at++;
    *ret_augmented = pyb_get_u8(&w->b, name) == 'z';
    if (w->b.bad || (!*ret_augmented && w->at != name))
        return false; // "eh" of gcc 2, or what nobody knows
    w->at += version == 4 ? 3 : 1;
    (void)leb(w); // code alignment
    (void)leb(w); // data alignment
    if (version == 1)
        w->refused |= pyb_get_u8(&w->b, w->at++) > PYB_CFI_MAX_REGISTER;
    else
        another(w);
    if (*ret_augmented)
        block(w);
    return !w->b.bad && !w->refused;
}

bool pyb_cfi_check(const struct pyb_elf_cfi *cfi, uint8_t ptr_size, bool big_endian, struct pyb_cfi_said *ret)
{
    struct walk c = {.b = pyb_bytes(cfi->cie, cfi->cie_len, ptr_size, big_endian)};
    struct walk f = {.b = pyb_bytes(cfi->fde, cfi->fde_len, ptr_size, big_endian)};
    struct pyb_cfi_entry cie_entry, fde_entry;
    struct pyb_cfi_cie cie;
    bool augmented;
    if (!pyb_cfi_entry(&c.b, 0, cfi->eh, &cie_entry) || !pyb_cfi_entry(&f.b, 0, cfi->eh, &fde_entry) ||
        !cie_entry.is_cie || fde_entry.is_cie || cie_entry.size != cfi->cie_len || fde_entry.size != cfi->fde_len ||
        cie_entry.offset_size != fde_entry.offset_size || !pyb_cfi_cie(&c.b, 0, cfi->eh, &cie) || cie.addr_size != ptr_size)
        return false;
    size_t width = width_of(cie.encoding, cie.addr_size);
    if (width == 0 || !skip_cie_header(&c, &cie_entry, &augmented) || !instructions_good(&c, width))
        return false;
    f.at = fde_entry.id_at + fde_entry.offset_size;
    skip(&f, 2 * width);
    if (augmented)
        block(&f);
    if (!instructions_good(&f, width))
        return false;
    *ret = (struct pyb_cfi_said){c.said.undefined | f.said.undefined, c.said.same | f.said.same};
    return true;
}
