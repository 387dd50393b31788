// SPDX-License-Identifier: Apache-2.0
//
// The few instructions that tell whether an address is one that a call left: Intel SDM volume 2 (CALL, JMP), Arm ARM C6.2 (BL, BLR, BR).
#include <elf.h>

#include "unwind/walk.h"

#define MAX_JUMPS 3

// A core does not tell the permissions of mappings that it left out: those of the file's program headers.
static bool is_code_of_file(struct pyb_target *t, pyb_addr pc)
{
    struct pyb_elf *elf;
    struct pyb_module *mod = pyb_modules_find(t->modules, pc);
    if (!mod || pyb_module_elf(t, mod, &elf, NULL) != 0 || !mod->bias_known)
        return false;
    size_t n;
    const struct pyb_elf_segment *segments = pyb_elf_segments(elf, &n);
    for (size_t i = 0; i < n; i++) {
        uint64_t at = pc - mod->bias - segments[i].vaddr;
        if (at < segments[i].memsz)
            return segments[i].flags & PF_X;
    }
    return false;
}

bool pyb_is_code(struct pyb_walk *w, pyb_addr pc)
{
    struct pyb_modules *m = w->u->t->modules;
    size_t n = 0;
    if (!m)
        return false;
    (void)pyb_modules_mappings(m, &n);
    if (n == 0) // a front end that has no maps
        return pyb_modules_find(m, pc) != NULL;
    const struct pyb_mapping *mapping = pyb_modules_mapping(m, pc);
    return mapping && (mapping->x || (w->u->t->is_core && mapping->module != UINT32_MAX && is_code_of_file(w->u->t, pc)));
}

static uint32_t get32(struct pyb_walk *w, const uint8_t *data, size_t at)
{
    struct pyb_bytes b = pyb_bytes(data + at, 4, w->machine->ptr_size, w->regs.big_endian);
    return pyb_get_u32(&b, 0);
}

// Length of `ff /2` (call of a register or memory operand) with its operand, from the ModRM byte on; 0: another instruction.
static size_t indirect_length(const uint8_t *p, size_t len)
{
    if (len < 2 || p[0] != 0xff || (p[1] >> 3 & 7) != 2)
        return 0;
    unsigned mod = p[1] >> 6, rm = p[1] & 7;
    if (mod == 3)
        return 2;
    bool sib = rm == 4;
    size_t n = 2 + sib;
    if (mod == 1)
        return n + 1;
    if (mod == 2 || (mod == 0 && rm == 5) || (mod == 0 && sib && len > 2 && (p[2] & 7) == 5))
        return n + 4;
    return n;
}

static bool x86_call(struct pyb_walk *w, pyb_addr pc, struct pyb_call *ret)
{
    uint8_t buf[7];
    const uint8_t *code = pyb_walk_bytes(w, pc - sizeof(buf), buf, sizeof(buf));
    if (!code)
        return false;
    if (code[2] == 0xe8) {
        uint64_t mask = w->machine->ptr_size == 4 ? UINT32_MAX : UINT64_MAX;
        *ret = (struct pyb_call){true, (pc + (uint64_t)(int64_t)(int32_t)get32(w, code, 3)) & mask};
        return true;
    }
    *ret = (struct pyb_call){false, 0};
    for (size_t n = 2; n <= sizeof(buf); n++) {
        if (indirect_length(code + sizeof(buf) - n, n) == n)
            return true;
    }
    return false;
}

static bool aarch64_call(struct pyb_walk *w, pyb_addr pc, struct pyb_call *ret)
{
    uint8_t buf[4];
    const uint8_t *code = pc % 4 == 0 ? pyb_walk_bytes(w, pc - 4, buf, 4) : NULL;
    if (!code)
        return false;
    struct pyb_bytes b = pyb_bytes(code, 4, 8, false); // instructions are little-endian always
    uint32_t i = pyb_get_u32(&b, 0);
    *ret = (struct pyb_call){false, 0};
    if (i >> 26 == 0x25) { // bl
        uint64_t words = i & 0x3ffffff;
        uint64_t offset = (words ^ 0x2000000) - 0x2000000;
        *ret = (struct pyb_call){true, pc - 4 + offset * 4};
        return true;
    }
    return (i & 0xfffffc1f) == 0xd63f0000 || (i & 0xfefff800) == 0xd63f0800; // blr, blraa and its kin
}

bool pyb_call_before(struct pyb_walk *w, pyb_addr pc, struct pyb_call *ret)
{
    if (pc < 4096 + 8 || !pyb_is_code(w, pc - 1))
        return false;
    return w->machine->machine == EM_AARCH64 ? aarch64_call(w, pc, ret) : x86_call(w, pc, ret);
}

// Where a jump at `at` leads; false: no jump. `jmp rel32`, `jmp *slot(%rip)` with endbr64 and bnd before it, or i386's `jmp *slot`.
static bool x86_jump(struct pyb_walk *w, pyb_addr at, pyb_addr *ret)
{
    uint8_t buf[16];
    const uint8_t *code = pyb_walk_bytes(w, at, buf, sizeof(buf));
    if (!code)
        return false;
    size_t n = code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && (code[3] == 0xfa || code[3] == 0xfb) ? 4 : 0;
    n += code[n] == 0xf2;
    if (code[n] == 0xe9) {
        *ret = at + n + 5 + (uint64_t)(int64_t)(int32_t)get32(w, code, n + 1);
        return true;
    }
    if (code[n] != 0xff || code[n + 1] != 0x25)
        return false;
    uint64_t slot = get32(w, code, n + 2);
    if (w->machine->ptr_size == 8)
        slot = at + n + 6 + (uint64_t)(int64_t)(int32_t)slot;
    return pyb_walk_word(w, slot, ret);
}

// `adrp x16, page; ldr x17, [x16, offset]; ...; br x17`, maybe behind `bti c`; or `b`.
static bool aarch64_jump(struct pyb_walk *w, pyb_addr at, pyb_addr *ret)
{
    uint8_t buf[12];
    const uint8_t *code = pyb_walk_bytes(w, at, buf, sizeof(buf));
    if (!code)
        return false;
    struct pyb_bytes b = pyb_bytes(code, sizeof(buf), 8, false);
    uint32_t first = pyb_get_u32(&b, 0);
    if (first >> 26 == 0x05) { // b
        uint64_t offset = ((uint64_t)(first & 0x3ffffff) ^ 0x2000000) - 0x2000000;
        *ret = at + offset * 4;
        return true;
    }
    size_t n = first == 0xd503245f ? 4 : 0;
    uint32_t adrp = pyb_get_u32(&b, n), ldr = pyb_get_u32(&b, n + 4);
    if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
        return false;
    uint64_t pages = (uint64_t)(adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);
    pages = (pages ^ 0x100000) - 0x100000;
    return pyb_walk_word(w, ((at + n) & ~UINT64_C(4095)) + (pages << 12) + (ldr >> 10 & 0xfff) * 8, ret);
}

bool pyb_call_reaches(struct pyb_walk *w, const struct pyb_call *call, pyb_addr function)
{
    pyb_addr at = call->target;
    for (unsigned i = 0; call->direct && i <= MAX_JUMPS; i++) {
        if (at == function)
            return true;
        bool jumps = w->machine->machine == EM_AARCH64 ? aarch64_jump(w, at, &at) : x86_jump(w, at, &at);
        if (!jumps)
            return false;
    }
    return false;
}
