// SPDX-License-Identifier: Apache-2.0
// Who holds the GIL while others wait for it, and what it does there.
#include <string.h>

#include "api/findings_internal.h"
#include "base/error.h"
#include "interp/thread.h"

#define MAX_LOOKS 16        // those who wait wake every few milliseconds, and on a busy machine wait for a CPU then
#define MAX_ASKED 4096u     // threads asked in all looks

// As it is now, in the target itself: thread states with their GIL.
static void look_again(struct pyb_findings *f, struct pyb_threads *now)
{
    struct pyb_reading *r = f->r;
    struct pyb_memory *cached = r->py->target->mem;
    memcpy(now->items, r->threads.items, r->threads.n * sizeof(*now->items));
    if (r->s->below)
        r->py->target->mem = r->s->below;
    pyb_gil_read(r->py, now);
    pyb_gil_waits_read(r->py, now);
    r->py->target->mem = cached;
}

static enum pyb_gil gil_now(const struct pyb_threads *now, const struct pyb_thread *t)
{
    enum pyb_gil gil = PYB_GIL_UNKNOWN;
    for (size_t i = 0; i < now->n; i++) {
        const struct pyb_tstate *s = &now->items[i];
        if ((t->tid > 0 && s->tid == t->tid) || (s->thread_id != 0 && s->thread_id == t->ident))
            gil = s->gil == PYB_GIL_HOLDS ? PYB_GIL_HOLDS : gil == PYB_GIL_HOLDS ? gil : s->gil;
    }
    return gil;
}

// The innermost native frame with a name in front of the first Python frame; NULL: it runs Python code, or nothing is known.
static const struct pyb_frame *native_code(const struct pyb_thread *t, const struct pyb_frame **ret_python)
{
    const struct pyb_frame *native = NULL, *unnamed = NULL;
    *ret_python = NULL;
    for (uint32_t i = 0; i < t->n_frames && !*ret_python; i++) {
        const struct pyb_frame *frame = &t->frames[i];
        if (frame->kind == PYB_FRAME_PYTHON)
            *ret_python = frame;
        else if (frame->kind == PYB_FRAME_NATIVE && !frame->plumbing && frame->name && !native)
            native = frame;
        else if (frame->kind == PYB_FRAME_NATIVE && !frame->plumbing && !unnamed)
            unnamed = frame;
    }
    return native ? native : unnamed;
}

static void say_holder(struct pyb_findings *f, const struct pyb_thread *t)
{
    const struct pyb_frame *python, *native = native_code(t, &python);
    pyb_say_thread(f, t);
    if (t->gc == 1)
        pyb_buf_adds(&f->text, ", which collects garbage");
    if (native && python) {
        const char *module = native->module ? strrchr(native->module, '/') : NULL;
        module = module ? module + 1 : native->module ? native->module : "?";
        if (native->name)
            pyb_buf_printf(&f->text, ", which is in native code %s (%s) called", native->name, module);
        else
            pyb_buf_printf(&f->text, ", which is in native code without a name (%s+0x%llx) called", module,
                           (unsigned long long)native->offset);
    } else if (python) {
        pyb_buf_adds(&f->text, ", which is");
    }
    pyb_say_place(f, python, python ? python->line : -1);
}

// The one that holds it; PYB_NOBODY also where interpreters have a GIL each, and more than one is held.
static uint32_t find_holder(const struct pyb_findings *f)
{
    uint32_t holder = PYB_NOBODY;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->w[i].thread->gil != PYB_GIL_HOLDS)
            continue;
        if (holder != PYB_NOBODY || !f->w[i].usable)
            return PYB_NOBODY;
        holder = i;
    }
    return holder;
}

// Looks until each other thread was seen waiting; one and the same thread must hold the GIL at every look. Returns how many wait, 0: the
// holder changed.
static uint32_t watch(struct pyb_findings *f, uint32_t holder, struct pyb_threads *now, bool *waits)
{
    uint32_t n_python = 0, n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        n_python += f->w[i].thread->has_python && f->w[i].thread->tid > 0;
        waits[i] = i != holder && f->w[i].thread->gil == PYB_GIL_WAITS;
    }
    for (uint32_t look = 0; look < MAX_LOOKS && (look < 2 || (n + 1 < n_python && look * n_python < MAX_ASKED)); look++) {
        if (!f->r->s->target.is_core)
            look_again(f, now);
        if (gil_now(now, f->w[holder].thread) != PYB_GIL_HOLDS)
            return 0;
        n = 0;
        for (uint32_t i = 0; i < f->n; i++) {
            waits[i] = waits[i] || (i != holder && gil_now(now, f->w[i].thread) == PYB_GIL_WAITS);
            n += waits[i];
        }
    }
    return n;
}

static int say(struct pyb_findings *f, uint32_t holder, const bool *waits, uint32_t waiters)
{
    int32_t *tids = pyb_arena_array(f->work, (size_t)f->n + 1, sizeof(*tids));
    uint32_t n = 0, others = 0;
    if (!tids)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    tids[n++] = f->w[holder].thread->tid;
    for (uint32_t i = 0; i < f->n; i++) {
        others += i != holder && f->w[i].thread->has_python && f->w[i].thread->tid > 0;
        if (waits[i])
            tids[n++] = f->w[i].thread->tid;
    }
    if (waiters == others && waiters == 1)
        pyb_buf_adds(&f->text, "the only other Python thread waits");
    else if (waiters == others)
        pyb_buf_printf(&f->text, "all %u other Python threads wait", waiters);
    else
        pyb_buf_printf(&f->text, "%u of %u other Python threads wait", waiters, others);
    pyb_buf_adds(&f->text, " for the GIL held by ");
    say_holder(f, f->w[holder].thread);
    return pyb_finding_add(f, "gil", tids, n);
}

int pyb_find_gil(struct pyb_findings *f)
{
    struct pyb_threads now = f->r->threads;
    const uint32_t holder = find_holder(f);
    bool any = false;
    for (uint32_t i = 0; i < f->n; i++)
        any = any || f->w[i].thread->gil == PYB_GIL_WAITS;
    if (!any || holder == PYB_NOBODY)
        return 0;
    bool *waits = pyb_arena_array(f->work, (size_t)f->n + 1, sizeof(*waits));
    now.items = pyb_arena_array(f->work, now.n + 1, sizeof(*now.items));
    if (!waits || !now.items)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    if (now.n)
        memcpy(now.items, f->r->threads.items, now.n * sizeof(*now.items));
    const uint32_t waiters = watch(f, holder, &now, waits);
    return waiters ? say(f, holder, waits, waiters) : 0;
}
