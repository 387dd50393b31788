// SPDX-License-Identifier: Apache-2.0
// Foreign call frame information (one CIE, one FDE) and a foreign stack: byte 0 says which machine and byte order and which section, bytes 1
// and 2 how long CIE and FDE are; what is left is the stack, with the registers in front.
#include <elf.h>
#include <stdlib.h>

#include "symbols/cfi.h"
#include "symbols/modules_internal.h"
#include "unwind/cfi.h"
#include "unwind/walk.h"

#define STACK 0x7f0000000u
#define CODE 0x400000u
#define FDE_VADDR 0x500000u
#define MAX_FRAMES 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct stack { struct pyb_memory mem; const uint8_t *data; size_t len; };

static void require(bool condition)
{
    if (!condition)
        abort();
}

// Above the stack: code, any of whose bytes may end a call or begin a trampoline.
static int read_stack(struct pyb_memory *mem, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)err;
    const struct stack *s = (const struct stack *)mem;
    for (size_t i = 0; i < n; i++) {
        for (; s->len > 0 && ranges[i].done < ranges[i].len; ranges[i].done++) {
            pyb_addr at = ranges[i].addr + ranges[i].done;
            bool stack = at >= STACK && at - STACK < s->len, code = at >= CODE && at - CODE < 0x10000;
            if (!stack && !code)
                break;
            ((uint8_t *)ranges[i].buf)[ranges[i].done] = s->data[stack ? at - STACK : (at - CODE) % s->len];
        }
    }
    return 0;
}

static struct pyb_modules *make_modules(struct pyb_ctx *ctx)
{
    struct pyb_modules *m = pyb_modules_new(ctx, PYB_MODULES_CORE);
    struct pyb_mapping code = {.start = CODE, .end = CODE + 0x10000, .r = true, .x = true};
    require(m && pyb_modules_add_mapping(m, &code, NULL, NULL) == 0 && pyb_modules_assemble(m, NULL, NULL) == 0);
    return m;
}

static void use_rule(const struct pyb_rule *rule, const struct pyb_machine *machine)
{
    require(rule->ra < machine->n && rule->n_regs <= machine->n && rule->low <= rule->high);
    require(rule->cfa_is_expression ? (uint32_t)rule->cfa_offset < rule->n_expressions : rule->cfa_reg < machine->n);
    for (uint32_t i = 0; i < rule->n_regs; i++) {
        const struct pyb_rule_reg *r = &rule->regs[i];
        require(r->number < machine->n);
        if (r->how == PYB_RULE_SAVED_AT || r->how == PYB_RULE_VALUE_OF)
            require((uint32_t)r->offset < rule->n_expressions);
    }
}

static void use_stack(struct pyb_target *t, const struct pyb_rule *rule, const struct pyb_machine *machine,
                      struct stack *s, bool few)
{
    struct pyb_regs regs = {.machine = machine->machine, .ptr_size = machine->ptr_size, .big_endian = s->mem.big_endian};
    struct pyb_unwinder *u;
    struct pyb_unwound got;
    struct pyb_arena arena;
    require(pyb_unwinder_new(t->ctx, t, &u, NULL) == 0);
    // the rule at every second place of the code: the others have none
    for (unsigned i = 0; rule && i < 256; i += 2)
        require(pyb_map_put(&u->rules, CODE + i, (uintptr_t)rule) == 0);
    for (unsigned i = 0; i < machine->n && i < s->len && !few; i++)
        pyb_reg_set(&regs, i, STACK + s->data[i]);
    pyb_reg_set(&regs, machine->sp, STACK + (s->len ? s->data[0] : 0));
    regs.pc = CODE + (s->len > 1 ? s->data[1] : 0);
    pyb_arena_init(&arena, t->ctx);
    require(pyb_unwind(u, &regs, MAX_FRAMES, &arena, &got, NULL) == 0 && got.n >= 1 && got.n <= MAX_FRAMES);
    for (size_t i = 0; i < got.n; i++)
        require(got.frames[i].number == (int32_t)i);
    pyb_arena_deinit(&arena);
    pyb_unwinder_free(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pyb_memory_ops ops = {.name = "fuzz", .readv = read_stack};
    static const struct { uint16_t machine; uint8_t width; } machines[] = {
        {EM_X86_64, 8}, {EM_386, 4}, {EM_AARCH64, 8}, {EM_AARCH64, 8}};
    if (size < 3 || size - 3 < (size_t)data[1] + data[2])
        return 0;
    const struct pyb_machine *machine = pyb_machine(machines[data[0] & 3].machine, machines[data[0] & 3].width);
    bool big = (data[0] & 3) == 3, eh = !(data[0] & 4), few = data[0] & 8;
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    struct stack s = {.mem = {.ops = &ops, .ctx = &ctx, .ptr_size = machine->ptr_size, .big_endian = big,
                              .machine = machine->machine},
                      .data = data + 3 + data[1] + data[2], .len = size - 3 - data[1] - data[2]};
    struct pyb_elf_cfi cfi = {.eh = eh, .fde_vaddr = eh ? FDE_VADDR : 0, .cie = data + 3, .cie_len = data[1],
                              .fde = data + 3 + data[1], .fde_len = data[2]};
    // where the FDE says it begins: a reader would have looked it up by that
    struct pyb_bytes c = pyb_bytes(cfi.cie, cfi.cie_len, machine->ptr_size, big);
    struct pyb_bytes f = pyb_bytes(cfi.fde, cfi.fde_len, machine->ptr_size, big);
    struct pyb_cfi_entry entry;
    struct pyb_cfi_cie cie;
    struct pyb_arena arena;
    struct pyb_rule *rule = NULL;
    pyb_arena_init(&arena, &ctx);
    if (pyb_cfi_cie(&c, 0, eh, &cie) && pyb_cfi_entry(&f, 0, eh, &entry) && entry.size &&
        pyb_cfi_fde(&f, 0, &entry, &cie, cfi.fde_vaddr, &cfi.start, &cfi.end) && cfi.start < cfi.end) {
        uint64_t last = cfi.end - 1;
        (void)pyb_cfi_rule_of(&cfi, cfi.start, 0, machine, big, &arena, &rule);
        if (rule)
            use_rule(rule, machine);
        if (pyb_cfi_rule_of(&cfi, last, CODE - cfi.start, machine, big, &arena, &rule) == 0)
            use_rule(rule, machine);
    }
    struct pyb_target t = {.ctx = &ctx, .mem = &s.mem, .modules = make_modules(&ctx)};
    use_stack(&t, rule, machine, &s, few);
    pyb_modules_free(t.modules);
    pyb_arena_deinit(&arena);
    return 0;
}
