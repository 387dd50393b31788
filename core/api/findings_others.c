// SPDX-License-Identifier: Apache-2.0
// Locks with waiters, queues, children: who waits for the same thing, and what is known of who has it.
#include <string.h>

#include "api/findings_internal.h"
#include "base/error.h"

#define MAX_NAMED 8u   // threads of one group that are named
#define MAX_OTHERS 64u // findings of find_others(): more say nothing that the stacks do not

// ": thread 5 "x" at F:L, thread 6 ..." of those who wait for the same as `first` and were not told yet; *n of them, into tids.
static void say_waiters(struct pyb_findings *f, uint32_t first, int32_t *tids, uint32_t *n)
{
    const uint32_t before = *n;
    for (uint32_t i = first; i < f->n; i++) {
        struct pyb_waiter *w = &f->w[i];
        if (w->kind != f->w[first].kind || w->object != f->w[first].object || w->told)
            continue;
        w->told = true;
        tids[(*n)++] = w->thread->tid;
        if (*n - before > MAX_NAMED)
            continue;
        pyb_buf_adds(&f->text, *n - before > 1 ? ", " : ": ");
        pyb_say_thread(f, w->thread);
        pyb_say_place(f, w->where, w->where ? w->where->line : -1);
        pyb_buf_adds(&f->text, w->timed ? " (with a timeout)" : "");
    }
    if (*n - before > MAX_NAMED)
        pyb_buf_printf(&f->text, " and %u more", *n - before - MAX_NAMED);
}

static uint32_t count_waiters(const struct pyb_findings *f, uint32_t first)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++)
        n += f->w[i].kind == f->w[first].kind && f->w[i].object == f->w[first].object && !f->w[i].told;
    return n;
}

static const struct pyb_frame *innermost(const struct pyb_thread *t)
{
    for (uint32_t i = 0; i < t->n_frames; i++) {
        if (t->frames[i].kind == PYB_FRAME_PYTHON)
            return &t->frames[i];
    }
    return NULL;
}

static void say_fork(struct pyb_findings *f)
{
    pyb_buf_printf(&f->text, ": taken before fork() (this process is a fork of %d: what other threads had locked there came along, the threads "
                             "did not)", f->fork_parent);
}

// A thread state of 2.7 that fork() left behind: its OS thread is not here.
static bool is_left_behind(const struct pyb_findings *f, const struct pyb_thread *t)
{
    return f->fork_parent != 0 && t->tid <= 0;
}

static void say_holder(struct pyb_findings *f, const struct pyb_waiter *w)
{
    const struct pyb_thread *t = f->w[w->on].thread;
    const struct pyb_frame *frame = innermost(t);
    pyb_say_thread(f, t);
    if (is_left_behind(f, t))
        pyb_buf_adds(&f->text, ", which is not in this process,");
    pyb_buf_adds(&f->text, " holds ");
    pyb_say_object(f, w);
    if (w->taken) {
        pyb_buf_adds(&f->text, " (taken");
        pyb_say_place(f, w->taken, w->taken_line);
        pyb_buf_addc(&f->text, ')');
    }
    if (is_left_behind(f, t)) {
        say_fork(f);
    } else if (f->w[w->on].kind != PYB_WAIT_NONE) {
        pyb_buf_adds(&f->text, " and");
        pyb_say_wait(f, &f->w[w->on]);
    } else if (frame) {
        pyb_buf_adds(&f->text, " and is");
        pyb_say_place(f, frame, frame->line);
    }
}

// Nobody here holds it. In a process that is a fork, that has an explanation.
static int say_no_holder(struct pyb_findings *f, const struct pyb_waiter *w)
{
    pyb_say_object(f, w);
    if (w->lock.recursive) {
        pyb_buf_printf(&f->text, " is held by a thread that is not in this process (ident 0x%llx)", (unsigned long long)w->lock.owner);
        if (f->fork_parent)
            say_fork(f);
    } else {
        pyb_buf_adds(&f->text, " is taken; who took it is not recorded");
        if (f->fork_parent)
            pyb_buf_printf(&f->text, ", and no thread here is inside `with` on it; this process is a fork of %d: what other threads had locked "
                                     "there came along, the threads did not", f->fork_parent);
    }
    return f->fork_parent ? pyb_say_parent(f, w) : 0;
}

static int say_lock(struct pyb_findings *f, uint32_t first)
{
    const struct pyb_waiter *w = &f->w[first];
    const uint32_t n_waiters = count_waiters(f, first);
    int32_t *tids = pyb_arena_array(f->work, (size_t)f->n + 2, sizeof(*tids));
    uint32_t n = 0;
    int rc = 0;
    if (!tids)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    if (!w->is_lock) {
        pyb_say_object(f, w);
    } else if (w->on != PYB_NOBODY) {
        tids[n++] = f->w[w->on].thread->tid;
        say_holder(f, w);
    } else {
        rc = say_no_holder(f, w);
    }
    if (rc)
        return rc;
    pyb_buf_printf(&f->text, "; %u thread%s for it", n_waiters, n_waiters == 1 ? " waits" : "s wait");
    say_waiters(f, first, tids, &n);
    return pyb_finding_add(f, "lock", tids, n);
}

int pyb_find_locks(struct pyb_findings *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct pyb_waiter *w = &f->w[i];
        if (w->told || w->kind != PYB_WAIT_LOCK || (w->is_lock && !w->lock.taken))
            continue;
        int rc = say_lock(f, i);
        if (rc)
            return rc;
    }
    return 0;
}

static const char *finding_kind(enum pyb_wait_kind kind)
{
    switch (kind) {
    case PYB_WAIT_JOIN:
    case PYB_WAIT_SHUTDOWN:
        return "join";
    case PYB_WAIT_CHILD:
        return "child";
    case PYB_WAIT_IMPORT:
        return "import";
    case PYB_WAIT_GET:
    case PYB_WAIT_PUT:
    case PYB_WAIT_TASKS:
        return "queue";
    default:
        return "wait";
    }
}

// One thread that waits for an event or a future is no news: its stack says so.
static bool is_worth_saying(const struct pyb_findings *f, uint32_t i)
{
    const enum pyb_wait_kind kind = f->w[i].kind;
    if (f->w[i].told || kind == PYB_WAIT_NONE || kind == PYB_WAIT_LOCK)
        return false;
    return strcmp(finding_kind(kind), "wait") != 0 || count_waiters(f, i) > 1;
}

int pyb_find_others(struct pyb_findings *f)
{
    int32_t *tids = pyb_arena_array(f->work, (size_t)f->n + 2, sizeof(*tids));
    if (!tids)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    for (uint32_t i = 0, said = 0; i < f->n && said < MAX_OTHERS; i++) {
        struct pyb_waiter *w = &f->w[i];
        uint32_t n = 0;
        if (!is_worth_saying(f, i))
            continue;
        const bool alone = w->object == 0 || count_waiters(f, i) == 1;
        if (w->kind == PYB_WAIT_IMPORT && w->on != PYB_NOBODY)
            tids[n++] = f->w[w->on].thread->tid;
        if (alone) {
            w->told = true;
            tids[n++] = w->thread->tid;
            pyb_say_thread(f, w->thread);
            pyb_say_wait(f, w);
            if (w->kind == PYB_WAIT_IMPORT && w->on != PYB_NOBODY) {
                pyb_buf_adds(&f->text, " by ");
                pyb_say_thread(f, f->w[w->on].thread);
            }
        } else {
            pyb_buf_printf(&f->text, "%u threads wait for ", count_waiters(f, i));
            pyb_say_object(f, w);
            say_waiters(f, i, tids, &n);
        }
        int rc = pyb_finding_add(f, finding_kind(w->kind), tids, n);
        if (rc)
            return rc;
        said++;
    }
    return 0;
}
