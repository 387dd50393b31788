// SPDX-License-Identifier: Apache-2.0
#include "api/findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "api/findings_internal.h"
#include "base/error.h"

#define FORKED_NO_EXEC 0x40 // PF_FORKNOEXEC, include/linux/sched.h: this process is a copy, and has not called execve(2)
#define TEXT_LIMIT 8192u    // of one finding
#define FRAMES_COMPARED 8u  // innermost ones of a sleeping thread

// The parent of a process that is a fork and nothing else; 0: it is not, or nobody can tell.
static int32_t fork_parent(const struct pyb_target *t)
{
    char path[64], text[512];
    char state;
    int parent, group, session, tty, foreground;
    unsigned flags;
    if (!t->is_local || t->is_core || t->pid <= 0)
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", t->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %c %d %d %d %d %d %u", &state, &parent, &group, &session, &tty, &foreground, &flags) != 7)
        return 0;
    return flags & FORKED_NO_EXEC ? parent : 0;
}

// Of a dump it is known what each thread was in: others than these wait for no other thread.
static bool may_wait(const struct pyb_thread *t)
{
    static const char *const calls[] = {"futex", "futex_time64", "wait4", "waitid", "waitpid", "select", "_newselect", "pselect6",
                                        "poll", "ppoll", "clock_nanosleep", "nanosleep", "restart_syscall"};
    if (t->mode == PYB_MODE_GIVEN || !t->syscall)
        return t->active != 1;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(t->syscall, calls[i]) == 0)
            return true;
    }
    return false;
}

// A thread that slept while it was read is compared at the end with what it was in then: its frames hold until that proves false. Of any
// other they must be the same still, now that it sleeps.
static void look_at(struct pyb_findings *f, struct pyb_waiter *w, const struct pyb_thread *t, const struct pyb_dumped *dumped)
{
    w->thread = t;
    w->usable = t->has_python && t->mode != PYB_MODE_VALIDATED && t->mode != PYB_MODE_UNCHECKED;
    const bool slept = dumped && dumped->mode == PYB_MODE_BLOCKED && t->mode == PYB_MODE_BLOCKED;
    if (w->usable && may_wait(t)) {
        if (slept)
            pyb_sleep_of(f->r->s, &dumped->task, &w->sleep);
        else
            pyb_sleep_read(f->r->s, t->tid, &w->sleep);
    }
    if (w->sleep.known && !slept && !pyb_frames_same(f, t, FRAMES_COMPARED))
        w->sleep.known = w->usable = false;
    pyb_wait_find(f, w);
}

// A thread that has slept in the same call on the same lock all the time: nobody has released the lock meanwhile, that would have woken it.
static void confirm(struct pyb_findings *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        struct pyb_waiter *w = &f->w[i];
        if (w->kind == PYB_WAIT_NONE || pyb_sleep_same(f->r->s, &w->sleep))
            continue;
        w->kind = PYB_WAIT_NONE;
        w->on = PYB_NOBODY;
        w->usable = false;
    }
}

static int make(struct pyb_findings *f, const struct pyb_dumped *dumped, size_t n_dumped)
{
    const struct pyb_process *p = &f->r->result->process;
    f->w = pyb_arena_array(f->work, (size_t)p->n_threads + 1, sizeof(*f->w));
    if (!f->w)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for findings");
    f->n = p->n_threads;
    f->fork_parent = fork_parent(&f->r->s->target);
    size_t at = 0; // of dumped: a thread that ended meanwhile has no thread in the result
    for (uint32_t i = 0; i < f->n; i++) {
        while (at < n_dumped && dumped[at].task.tid < p->threads[i].tid)
            at++;
        look_at(f, &f->w[i], &p->threads[i], at < n_dumped && dumped[at].task.tid == p->threads[i].tid ? &dumped[at] : NULL);
        int rc = pyb_ctx_check(f->r->py->target->ctx, f->err);
        if (rc)
            return rc;
    }
    int rc = pyb_holders_find(f);
    if (rc)
        return rc;
    confirm(f);
    rc = pyb_find_gil(f);
    if (rc == 0)
        rc = pyb_find_cycles(f);
    if (rc == 0)
        rc = pyb_find_starved(f);
    if (rc == 0)
        rc = pyb_find_locks(f);
    return rc == 0 ? pyb_find_others(f) : rc;
}

int pyb_findings_make(struct pyb_reading *r, const struct pyb_dumped *dumped, size_t n_dumped, struct pyb_error *err)
{
    struct pyb_arena work;
    struct pyb_findings f = {.r = r, .work = &work, .err = err};
    if (!r->py)
        return 0;
    if (!r->s->target.is_core)
        pyb_python_invalidate(r->py); // threads were read one after another: from here on it is one look
    pyb_arena_init(&work, &r->s->ctx);
    pyb_buf_init(&f.text, &r->s->ctx, TEXT_LIMIT);
    int rc = make(&f, dumped, n_dumped);
    if (rc == 0) {
        r->result->process.findings = f.items;
        r->result->process.n_findings = f.n_items;
    }
    pyb_buf_deinit(&f.text);
    pyb_arena_deinit(&work);
    return rc;
}
