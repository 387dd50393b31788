// SPDX-License-Identifier: Apache-2.0
// Who waits for whom in a circle, and who waits for what nobody is left to do.
#include <string.h>

#include "api/findings_internal.h"
#include "base/error.h"

#define MAX_NAMED 8u // threads of one group that are named

static bool leads_on(const struct pyb_findings *f, uint32_t i)
{
    const struct pyb_waiter *w = &f->w[i];
    if (w->on >= f->n || w->timed)
        return false;
    return w->kind == PYB_WAIT_JOIN || w->kind == PYB_WAIT_IMPORT || (w->kind == PYB_WAIT_LOCK && w->is_lock && w->lock.taken);
}

static void say_taken(struct pyb_findings *f, const struct pyb_waiter *w)
{
    if (!w->taken)
        return;
    pyb_buf_adds(&f->text, " (taken");
    pyb_say_place(f, w->taken, w->taken_line);
    pyb_buf_addc(&f->text, ')');
}

// "waits at ... for the lock that it holds itself"
static void say_alone(struct pyb_findings *f, const struct pyb_waiter *w)
{
    pyb_say_thread(f, w->thread);
    if (w->kind == PYB_WAIT_JOIN) {
        pyb_buf_adds(&f->text, " waits");
        pyb_say_place(f, w->where, w->where ? w->where->line : -1);
        pyb_buf_adds(&f->text, " for its own end (Thread.join)");
        return;
    }
    pyb_say_wait(f, w);
    pyb_buf_adds(&f->text, w->kind == PYB_WAIT_IMPORT ? ", which it does itself" : ", which it holds itself");
    say_taken(f, w);
}

static void say_link(struct pyb_findings *f, const struct pyb_waiter *w)
{
    pyb_say_wait(f, w);
    if (w->kind == PYB_WAIT_JOIN)
        return;
    pyb_buf_adds(&f->text, w->kind == PYB_WAIT_IMPORT ? " by " : " held by ");
    pyb_say_thread(f, f->w[w->on].thread);
    say_taken(f, w);
}

static int say_cycle(struct pyb_findings *f, uint32_t first)
{
    uint32_t n = 0;
    int32_t *tids = pyb_arena_array(f->work, (size_t)f->n + 1, sizeof(*tids));
    if (!tids)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    pyb_buf_adds(&f->text, "deadlock: ");
    if (f->w[first].on == first)
        say_alone(f, &f->w[first]);
    else
        pyb_say_thread(f, f->w[first].thread);
    for (uint32_t i = first; n == 0 || i != first; i = f->w[i].on) {
        f->w[i].told = true;
        if (f->w[first].on != first && n > 0)
            pyb_buf_adds(&f->text, ", which");
        if (f->w[first].on != first)
            say_link(f, &f->w[i]);
        tids[n++] = f->w[i].thread->tid;
    }
    return pyb_finding_add(f, "deadlock", tids, n);
}

int pyb_find_cycles(struct pyb_findings *f)
{
    uint32_t *round = pyb_arena_array(f->work, (size_t)f->n + 1, sizeof(*round));
    if (!round)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    // Each thread leads to one other at most: a walk that meets its own steps has found a circle.
    for (uint32_t start = 0; start < f->n; start++) {
        uint32_t at = start;
        while (round[at] == 0 && leads_on(f, at)) {
            round[at] = start + 1;
            at = f->w[at].on;
        }
        if (round[at] == start + 1 && leads_on(f, at)) {
            int rc = say_cycle(f, at);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static bool is_here(const struct pyb_thread *t)
{
    return t->has_python && t->tid > 0 && t->state != 'Z' && t->state != 'X';
}

// Only another thread can end such a wait.
static bool waits_for_threads(const struct pyb_waiter *w)
{
    return w->usable && !w->timed && w->kind != PYB_WAIT_NONE && w->kind != PYB_WAIT_CHILD;
}

static const char *what_nobody_does(const struct pyb_waiter *w)
{
    switch (w->kind) {
    case PYB_WAIT_GET:
        return "put an item into";
    case PYB_WAIT_PUT:
        return "take an item from";
    case PYB_WAIT_TASKS:
        return "call task_done() on";
    case PYB_WAIT_EVENT:
        return "set";
    case PYB_WAIT_CONDITION:
        return "notify";
    case PYB_WAIT_SEMAPHORE:
        return "release";
    case PYB_WAIT_BARRIER:
        return "come to";
    case PYB_WAIT_FUTURE: // one that runs is its worker's business
        return w->detail && strcmp(w->detail, "PENDING") == 0 ? "begin" : NULL;
    default:
        return NULL;
    }
}

// Those who wait for the same as `first`: the culprits' side of the sentence. Returns how many.
static uint32_t say_same(struct pyb_findings *f, const struct pyb_waiter *first, int32_t *tids)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        struct pyb_waiter *w = &f->w[i];
        if (w->kind != first->kind || w->object != first->object)
            continue;
        w->told = true;
        tids[n++] = w->thread->tid;
        if (n > MAX_NAMED)
            continue;
        pyb_buf_adds(&f->text, n > 1 ? ", " : "");
        pyb_say_thread(f, w->thread);
        pyb_say_place(f, w->where, w->where ? w->where->line : -1);
    }
    if (n > MAX_NAMED)
        pyb_buf_printf(&f->text, " and %u more", n - MAX_NAMED);
    return n;
}

static void say_the_others(struct pyb_findings *f, const struct pyb_waiter *first)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        struct pyb_waiter *w = &f->w[i];
        if (!is_here(w->thread) || (w->kind == first->kind && w->object == first->object) || ++n > MAX_NAMED)
            continue;
        if (w->kind == PYB_WAIT_JOIN || w->kind == PYB_WAIT_SHUTDOWN || (w->kind == PYB_WAIT_FUTURE && !what_nobody_does(w)))
            w->told = true;
        pyb_buf_adds(&f->text, n > 1 ? ", " : ": ");
        pyb_say_thread(f, w->thread);
        pyb_say_wait(f, w);
    }
    if (n > MAX_NAMED)
        pyb_buf_printf(&f->text, " and %u more", n - MAX_NAMED);
}

static int say_starved(struct pyb_findings *f, uint32_t first, uint32_t n_here)
{
    const struct pyb_waiter *w = &f->w[first];
    int32_t *tids = pyb_arena_array(f->work, (size_t)f->n + 1, sizeof(*tids));
    if (!tids)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    pyb_buf_printf(&f->text, "no thread is left to %s ", what_nobody_does(w));
    pyb_say_object(f, w);
    pyb_buf_adds(&f->text, ", for which waits ");
    const uint32_t n = say_same(f, w, tids);
    if (n_here == 1)
        pyb_buf_adds(&f->text, ", the only Python thread of the process");
    else
        pyb_buf_printf(&f->text, "; all %u Python threads of the process wait", n_here);
    say_the_others(f, w);
    pyb_buf_adds(&f->text, " (a signal handler or another process could still do it)");
    return pyb_finding_add(f, "starved", tids, n);
}

int pyb_find_starved(struct pyb_findings *f)
{
    uint32_t n_here = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        if (!is_here(f->w[i].thread))
            continue;
        n_here++;
        if (!waits_for_threads(&f->w[i]))
            return 0;
    }
    for (uint32_t i = 0; i < f->n; i++) {
        const struct pyb_waiter *w = &f->w[i];
        if (!is_here(w->thread) || w->told || (w->kind == PYB_WAIT_LOCK && w->is_lock) || !what_nobody_does(w))
            continue;
        int rc = say_starved(f, i, n_here);
        if (rc)
            return rc;
    }
    return 0;
}
