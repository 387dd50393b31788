// SPDX-License-Identifier: Apache-2.0
// Who holds the GIL while others wait for it, and what it does there.
#include <string.h>

#include "api/findings_internal.h"
#include "base/error.h"
#include "interp/thread.h"

// As it is now, in the target itself: thread states with their GIL. Two looks that agree are what is said.
static int look_again(struct pyb_findings *f, struct pyb_threads *ret)
{
    struct pyb_reading *r = f->r;
    struct pyb_memory *cached = r->py->target->mem;
    *ret = r->threads;
    ret->items = pyb_arena_array(f->work, r->threads.n + 1, sizeof(*ret->items));
    if (!ret->items)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    if (r->threads.n)
        memcpy(ret->items, r->threads.items, r->threads.n * sizeof(*ret->items));
    if (r->s->below)
        r->py->target->mem = r->s->below;
    pyb_gil_read(r->py, ret);
    pyb_gil_waits_read(r->py, ret);
    r->py->target->mem = cached;
    return 0;
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

static uint32_t find_holder(const struct pyb_findings *f, const struct pyb_threads *now)
{
    uint32_t holder = PYB_NOBODY;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct pyb_thread *t = f->w[i].thread;
        if (t->gil != PYB_GIL_HOLDS || !f->w[i].usable || gil_now(now, t) != PYB_GIL_HOLDS)
            continue;
        if (holder != PYB_NOBODY)
            return PYB_NOBODY; // interpreters with a GIL each
        holder = i;
    }
    return holder;
}

int pyb_find_gil(struct pyb_findings *f)
{
    struct pyb_threads now;
    bool any = false;
    for (uint32_t i = 0; i < f->n; i++)
        any = any || f->w[i].thread->gil == PYB_GIL_WAITS;
    if (!any)
        return 0;
    int32_t *tids = pyb_arena_array(f->work, (size_t)f->n + 1, sizeof(*tids));
    int rc = tids ? look_again(f, &now) : pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    if (rc)
        return rc;
    const uint32_t holder = find_holder(f, &now);
    if (holder == PYB_NOBODY)
        return 0;
    uint32_t n = 0, n_python = 0;
    tids[n++] = f->w[holder].thread->tid;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct pyb_thread *t = f->w[i].thread;
        n_python += t->has_python && t->tid > 0;
        if (i != holder && t->gil == PYB_GIL_WAITS && gil_now(&now, t) == PYB_GIL_WAITS)
            tids[n++] = t->tid;
    }
    if (n < 2)
        return 0;
    const uint32_t waiters = n - 1;
    const bool all = waiters + 1 == n_python;
    if (all && waiters == 1)
        pyb_buf_adds(&f->text, "the only other Python thread waits");
    else if (all)
        pyb_buf_printf(&f->text, "all %u other Python threads wait", waiters);
    else
        pyb_buf_printf(&f->text, "%u of %u other Python threads wait", waiters, n_python - 1);
    pyb_buf_adds(&f->text, " for the GIL held by ");
    say_holder(f, f->w[holder].thread);
    return pyb_finding_add(f, "gil", tids, n);
}
