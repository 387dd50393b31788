// SPDX-License-Identifier: Apache-2.0
#include "unwind/unwind.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "unwind/cfi.h"
#include "unwind/walk.h"

#define MAX_RULES 16384u
#define PATIENCE (1u << 18) // of all searches of one stack: some 20 ms

static const struct pyb_rule no_rule; // stands in the cache for "there is none"

int pyb_unwinder_new(struct pyb_ctx *ctx, struct pyb_target *t, struct pyb_unwinder **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_unwinder *u = pyb_alloc(ctx, sizeof(*u));
    if (!u)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for the unwinder");
    u->ctx = ctx;
    u->t = t;
    pyb_arena_init(&u->arena, ctx);
    pyb_map_init(&u->rules, ctx);
    *ret = u;
    return 0;
}

void pyb_unwinder_free(struct pyb_unwinder *u)
{
    if (!u)
        return;
    struct pyb_ctx *ctx = u->ctx;
    pyb_map_deinit(&u->rules);
    pyb_arena_deinit(&u->arena);
    pyb_free(ctx, u->frames);
    pyb_free(ctx, u);
}

void pyb_unwinder_invalidate(struct pyb_unwinder *u)
{
    pyb_map_clear(&u->rules);
    pyb_arena_reset(&u->arena);
}

const struct pyb_unwind_stats *pyb_unwinder_stats(const struct pyb_unwinder *u)
{
    return &u->stats;
}

static bool note_error(struct pyb_walk *w, int rc)
{
    if (rc == PYB_E_NOMEM || rc == PYB_E_ABORTED || rc == PYB_E_LIMIT)
        w->rc = rc;
    return rc == 0;
}

bool pyb_walk_word(struct pyb_walk *w, pyb_addr addr, uint64_t *ret)
{
    uint8_t buf[8];
    const uint8_t *data = pyb_walk_bytes(w, addr, buf, w->machine->ptr_size);
    if (!data)
        return false;
    struct pyb_bytes b = pyb_bytes(data, w->machine->ptr_size, w->machine->ptr_size, w->regs.big_endian);
    *ret = pyb_get_uint(&b, 0, w->machine->ptr_size);
    return true;
}

const uint8_t *pyb_walk_bytes(struct pyb_walk *w, pyb_addr addr, void *buf, size_t len)
{
    const void *data;
    return note_error(w, pyb_view_bytes(w->u->t->mem, addr, buf, len, &data, NULL)) ? data : NULL;
}

enum pyb_step pyb_walk_stuck(struct pyb_walk *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->note, sizeof(w->note), format, args);
    va_end(args);
    return PYB_STEP_STUCK;
}

static const struct pyb_rule *make_rule(struct pyb_walk *w, pyb_addr pc)
{
    struct pyb_unwinder *u = w->u;
    struct pyb_module *mod = u->t->modules ? pyb_modules_find(u->t->modules, pc) : NULL;
    struct pyb_elf *elf;
    struct pyb_rule *rule = NULL;
    u->stats.rules_made++;
    int rc = mod ? pyb_module_elf(u->t, mod, &elf, NULL) : PYB_E_NOTFOUND;
    if (rc == 0)
        rc = pyb_cfi_rule(elf, pc - mod->bias, mod->bias, w->machine, w->regs.big_endian, &u->arena, &rule);
    note_error(w, rc);
    return rc == 0 ? rule : &no_rule;
}

const struct pyb_rule *pyb_rule_at(struct pyb_walk *w, pyb_addr pc)
{
    struct pyb_unwinder *u = w->u;
    uintptr_t found;
    if (pyb_map_get(&u->rules, pc, &found)) {
        u->stats.rule_hits++;
    } else if (u->rules.used >= MAX_RULES) {
        return NULL; // no stack has so many places but one that somebody made up
    } else {
        const struct pyb_rule *rule = make_rule(w, pc);
        if (w->rc == 0 && pyb_map_put(&u->rules, pc, (uintptr_t)rule) != 0)
            w->rc = PYB_E_NOMEM;
        found = (uintptr_t)rule;
    }
    const struct pyb_rule *rule = (const struct pyb_rule *)found;
    return rule == &no_rule || w->rc ? NULL : rule;
}

void pyb_walk_move(struct pyb_walk *w, const struct pyb_regs *next, uint32_t flags)
{
    bool was_signal = w->flags & PYB_NATIVE_SIGNAL;
    w->regs = *next;
    if (!w->machine->link_register) // there that number is pc itself: PLT entries count from it
        pyb_reg_set(&w->regs, w->machine->ra, next->pc);
    w->exact = was_signal;
    w->flags = flags;
    w->rule = pyb_rule_at(w, w->exact ? w->regs.pc : w->regs.pc - 1);
    if (w->rule ? w->rule->signal : pyb_is_sigreturn(w))
        w->flags |= PYB_NATIVE_SIGNAL;
}

static enum pyb_step check(struct pyb_walk *w, const struct pyb_regs *next)
{
    uint64_t sp = w->regs.r[w->machine->sp], outer = next->r[w->machine->sp];
    if (w->flags & PYB_NATIVE_SIGNAL) // to another stack, maybe, and to anywhere
        return PYB_STEP_OK;
    // a function that has no frame on the stack yet, where calls do not push
    bool frameless = w->machine->link_register && w->exact && outer == sp && next->pc != w->regs.pc;
    if (outer <= sp && !frameless)
        return pyb_walk_stuck(w, "the frame outside 0x%" PRIx64 " does not lie above it on the stack (0x%" PRIx64 ", 0x%" PRIx64 ")",
                              w->regs.pc, outer, sp);
    if (next->pc == 0)
        return PYB_STEP_END;
    if (!pyb_is_code(w, next->pc - 1))
        return pyb_walk_stuck(w, "the return address 0x%" PRIx64 " of 0x%" PRIx64 " leads to no code", next->pc, w->regs.pc);
    return PYB_STEP_OK;
}

static enum pyb_step next_frame(struct pyb_walk *w, struct pyb_regs *next, uint32_t *flags)
{
    enum pyb_step step;
    *flags = 0;
    if (w->rule)
        step = pyb_step_by_rule(w, w->rule, next);
    else
        step = w->flags & PYB_NATIVE_SIGNAL ? pyb_step_sigreturn(w, next) : pyb_step_bare(w, next, flags);
    if (step == PYB_STEP_NEEDS)
        step = w->rule ? pyb_step_search(w, w->rule, next, flags) : PYB_STEP_STUCK;
    w->u->stats.steps++;
    return step == PYB_STEP_OK ? check(w, next) : step;
}

enum pyb_step pyb_walk_next(struct pyb_walk *w, struct pyb_regs *next)
{
    uint32_t flags;
    return next_frame(w, next, &flags);
}

static bool add_frame(struct pyb_walk *w, size_t n)
{
    struct pyb_unwinder *u = w->u;
    if (n == u->cap_frames) {
        size_t cap = n ? n * 2 : 128;
        void *more = pyb_realloc(u->ctx, u->frames, n * sizeof(*u->frames), cap * sizeof(*u->frames));
        if (!more) {
            w->rc = PYB_E_NOMEM;
            return false;
        }
        u->frames = more;
        u->cap_frames = cap;
    }
    u->frames[n] = (struct pyb_native_frame){.size = sizeof(*u->frames), .pc = w->regs.pc,
                                             .sp = w->regs.r[w->machine->sp], .flags = w->flags,
                                             .number = (int32_t)n};
    return true;
}

/** Signal frames may lead anywhere, also in a circle: the pair (pc, sp) of one frame is kept, twice as far on each time (Brent). */
struct circle { pyb_addr pc, sp; size_t at; };

static bool is_circle(struct circle *c, const struct pyb_walk *w, size_t n)
{
    pyb_addr sp = w->regs.r[w->machine->sp];
    bool same = n > 0 && c->pc == w->regs.pc && c->sp == sp;
    if (n >= c->at)
        *c = (struct circle){w->regs.pc, sp, n ? n * 2 : 1};
    return same;
}

static enum pyb_step walk(struct pyb_walk *w, uint32_t max_frames, size_t *ret_n)
{
    struct circle circle = {0, 0, 0};
    struct pyb_regs next;
    uint32_t flags;
    for (*ret_n = 0;; pyb_walk_move(w, &next, flags)) {
        if (w->rc || (w->rc = pyb_ctx_check(w->u->ctx, NULL)) != 0)
            return PYB_STEP_STUCK;
        if (*ret_n == max_frames)
            return pyb_walk_stuck(w, "limit of %u frames", max_frames);
        if (is_circle(&circle, w, *ret_n))
            return pyb_walk_stuck(w, "the frames go round in a circle at 0x%" PRIx64, w->regs.pc);
        if (!add_frame(w, *ret_n))
            return PYB_STEP_STUCK;
        ++*ret_n;
        enum pyb_step step = next_frame(w, &next, &flags);
        if (step != PYB_STEP_OK)
            return step;
    }
}

static int start(struct pyb_walk *w, const struct pyb_regs *regs, struct pyb_error *err)
{
    if (!w->machine)
        return pyb_fail(err, PYB_E_USAGE, "registers of a machine that is not known");
    if (w->u->rules.used >= MAX_RULES / 2)
        pyb_unwinder_invalidate(w->u);
    // the innermost pc is exact, as one outside a signal trampoline is
    w->flags = PYB_NATIVE_SIGNAL;
    pyb_walk_move(w, regs, 0);
    return 0;
}

int pyb_unwind(struct pyb_unwinder *u, const struct pyb_regs *regs, uint32_t max_frames, struct pyb_arena *arena,
               struct pyb_unwound *ret, struct pyb_error *err)
{
    uint32_t patience = PATIENCE;
    struct pyb_walk w = {.u = u, .machine = pyb_machine(regs->machine, regs->ptr_size), .patience = &patience};
    *ret = (struct pyb_unwound){0};
    int rc = start(&w, regs, err);
    if (rc)
        return rc;
    enum pyb_step end = walk(&w, max_frames, &ret->n);
    if (w.rc)
        return pyb_fail(err, w.rc, w.rc == PYB_E_NOMEM ? "out of memory for native frames" : "unwinding was ended after %zu frames",
                        ret->n);
    ret->needs_registers = w.needs_registers;
    ret->frames = pyb_arena_array(arena, ret->n, sizeof(*ret->frames));
    const char *note = !pyb_cfi_available() ? "this build has no libdw, which reads call frame information" : w.note;
    ret->truncated = end == PYB_STEP_END ? NULL : pyb_arena_strdup(arena, note);
    if ((!ret->frames && ret->n) || (end != PYB_STEP_END && !ret->truncated))
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for native frames");
    if (ret->n)
        memcpy(ret->frames, u->frames, ret->n * sizeof(*ret->frames));
    return 0;
}
