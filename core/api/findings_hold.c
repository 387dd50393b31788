// SPDX-License-Identifier: Apache-2.0
// Who holds the locks that are waited for. A recursive lock says it itself; of others a thread is known to hold one when it is inside
// `with` on it. Who called acquire() without `with` is recorded nowhere, and not guessed.
#include <string.h>

#include "api/findings_internal.h"
#include "base/error.h"
#include "interp/lock_blocks.h"
#include "interp/lock_stack.h"

#define MAX_WITHS 32          // nested in one frame
#define MAX_FRAMES 200000u    // looked through in all

static uint32_t by_ident(const struct pyb_findings *f, pyb_addr ident)
{
    for (uint32_t i = 0; ident && i < f->n; i++) {
        if (f->w[i].thread->has_python && f->w[i].thread->ident == ident)
            return i;
    }
    return PYB_NOBODY;
}

static bool is_wanted(const struct pyb_findings *f, pyb_addr lock)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct pyb_waiter *w = &f->w[i];
        if (w->kind == PYB_WAIT_LOCK && w->is_lock && w->object == lock && (w->on == PYB_NOBODY || !w->taken))
            return true;
    }
    return false;
}

// Condition.wait() lets the lock go that its caller is inside `with` on.
static bool is_let_go(struct pyb_findings *f, const struct pyb_thread *t, uint32_t frame, pyb_addr lock)
{
    for (uint32_t i = 0; i < frame; i++) {
        const struct pyb_frame *inner = &t->frames[i];
        const struct pyb_code *code;
        const char *scope;
        pyb_addr self, own;
        if (inner->kind != PYB_FRAME_PYTHON || !inner->func || strcmp(inner->func, "wait") != 0)
            continue;
        struct pyb_pyframe at = {.addr = inner->frame, .code = inner->code, .lasti = inner->lasti};
        if (pyb_code_get(f->r->py, at.code, &code, NULL) == 0 &&
            pyb_frame_lookup(f->r->py, &at, code, "self", &self, &scope, NULL) == 0 && pyb_lock_of(f->r->py, self, &own, NULL) == 0 &&
            own == lock)
            return true;
    }
    return false;
}

static void note_holder(struct pyb_findings *f, uint32_t holder, uint32_t frame, const struct pyb_with *with, pyb_addr lock)
{
    const struct pyb_thread *t = f->w[holder].thread;
    for (uint32_t i = 0; i < f->n; i++) {
        struct pyb_waiter *w = &f->w[i];
        if (w->kind != PYB_WAIT_LOCK || !w->is_lock || w->object != lock || !w->lock.taken || w->taken)
            continue;
        if (w->on != PYB_NOBODY && w->on != holder)
            continue; // the lock itself names another
        if (w->lock.recursive && w->on == PYB_NOBODY)
            continue; // its owner is not here
        w->on = holder;
        w->taken = &t->frames[frame];
        w->taken_line = with->line;
    }
}

// From 3.11 on a table of the code object says it, and threads mostly stand at the same instructions. 0: not to be remembered.
static uint64_t place_of(const struct pyb_findings *f, const struct pyb_pyframe *at)
{
    bool by_table = f->r->py->layout.walker != PYB_WALKER_FRAMEOBJECT;
    return by_table && at->lasti >= 0 && at->lasti < 0x10000 && at->code >> 48 == 0 ? at->code | (uint64_t)at->lasti << 48 : 0;
}

static bool is_outside(struct pyb_findings *f, const struct pyb_pyframe *at, const struct pyb_code *code)
{
    const uint64_t place = place_of(f, at);
    if (place && pyb_map_get(&f->outside, place, NULL))
        return true;
    if (pyb_blocks_depth(f->r->py, at, code) > 0)
        return false;
    if (place)
        (void)pyb_map_put(&f->outside, place, 1); // no memory: read again
    return true;
}

static size_t withs_of(struct pyb_findings *f, const struct pyb_frame *frame, struct pyb_with *ret)
{
    struct pyb_pyframe at = {.addr = frame->frame, .code = frame->code, .lasti = frame->lasti};
    struct pyb_value_stack stack;
    const struct pyb_code *code;
    if (pyb_code_get(f->r->py, at.code, &code, NULL) != 0 || is_outside(f, &at, code) ||
        pyb_value_stack_read(f->r->py, &at, code, &stack, NULL) != 0)
        return 0;
    return pyb_withs(f->r->py, &at, code, &stack, ret, MAX_WITHS);
}

// A sleeping thread's frames are where they were, all the inner ones too. One that runs may have left the frame meanwhile: it is looked at
// once more, afresh; that it leaves `with` after that, those who wait would notice: they sleep on.
static bool still_inside(struct pyb_findings *f, uint32_t thread, uint32_t frame, pyb_addr manager)
{
    const struct pyb_waiter *w = &f->w[thread];
    struct pyb_with withs[MAX_WITHS];
    uint32_t depth = 0;
    for (uint32_t i = 0; i <= frame; i++)
        depth += w->thread->frames[i].kind == PYB_FRAME_PYTHON;
    if (f->r->s->target.is_core)
        return true;
    if (w->sleep.known)
        return pyb_frames_same(f, w->thread, depth);
    pyb_python_invalidate(f->r->py);
    if (!pyb_frame_is_there(f, w->thread, &w->thread->frames[frame]))
        return false;
    const size_t n = withs_of(f, &w->thread->frames[frame], withs);
    for (size_t i = 0; i < n; i++) {
        if (withs[i].manager == manager)
            return true;
    }
    return false;
}

static int search_frame(struct pyb_findings *f, uint32_t thread, uint32_t frame)
{
    const struct pyb_thread *t = f->w[thread].thread;
    struct pyb_with withs[MAX_WITHS];
    const size_t n = withs_of(f, &t->frames[frame], withs);
    for (size_t i = 0; i < n; i++) {
        pyb_addr lock;
        if (pyb_lock_of(f->r->py, withs[i].manager, &lock, NULL) == 0 && is_wanted(f, lock) && !is_let_go(f, t, frame, lock) &&
            still_inside(f, thread, frame, withs[i].manager))
            note_holder(f, thread, frame, &withs[i], lock);
    }
    return pyb_ctx_check(f->r->py->target->ctx, f->err);
}

static bool any_wanted(const struct pyb_findings *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->w[i].kind == PYB_WAIT_LOCK && f->w[i].is_lock && !f->w[i].taken)
            return true;
    }
    return false;
}

static int search_all(struct pyb_findings *f)
{
    uint32_t budget = MAX_FRAMES;
    for (uint32_t i = 0; i < f->n && any_wanted(f); i++) {
        const struct pyb_thread *t = f->w[i].thread;
        for (uint32_t k = 0; k < t->n_frames && budget > 0 && f->w[i].usable; k++) {
            if (t->frames[k].kind != PYB_FRAME_PYTHON)
                continue;
            budget--;
            int rc = search_frame(f, i, k);
            if (rc)
                return rc;
        }
    }
    return 0;
}

int pyb_holders_find(struct pyb_findings *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        struct pyb_waiter *w = &f->w[i];
        if (w->kind == PYB_WAIT_LOCK && w->is_lock && w->lock.owner)
            w->on_ident = w->lock.owner;
        w->on = by_ident(f, w->on_ident);
    }
    pyb_map_init(&f->outside, &f->r->s->ctx);
    int rc = search_all(f);
    pyb_map_deinit(&f->outside);
    return rc;
}
