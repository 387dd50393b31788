// SPDX-License-Identifier: Apache-2.0
// Threads of a live process: asleep ones undisturbed, running ones stopped for as long as the copying takes.
#include <string.h>

#include "api/dump.h"
#include "base/error.h"

#define TRIES 4       // readings of a thread that keeps waking up, before it is stopped
#define VALIDATIONS 32 // readings without a stop until two agree

static int no_memory(struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_NOMEM, "no memory for the threads of a process");
}

static bool is_wanted(const struct pyb_dump_options *o, int32_t tid)
{
    for (size_t i = 0; i < o->n_tids; i++) {
        if (o->tids[i] == tid)
            return true;
    }
    return o->n_tids == 0;
}

static void set_task(struct pyb_dumping *d, size_t i, const struct pyb_task *task)
{
    struct pyb_dumped *t = &d->threads[i];
    t->task = *task;
    t->has_regs = task->asleep && pyb_regs_from_pc_sp(d->machine, d->ptr_size, d->r.s->target.mem->big_endian, task->pc, task->sp, &t->regs, NULL) == 0;
}

static int list_tasks(struct pyb_dumping *d, const struct pyb_dump_options *o, struct pyb_error *err)
{
    int32_t *tids, pid = d->r.s->target.pid;
    size_t n;
    int code = pyb_tasks_list(&d->r.s->ctx, pid, &d->r.work, &tids, &n, err);
    if (code != 0)
        return code;
    d->threads = pyb_arena_array(&d->r.work, n + 1, sizeof(*d->threads));
    d->stacks = pyb_arena_array(&d->r.work, n + 1, sizeof(*d->stacks));
    if (!d->threads || !d->stacks)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct pyb_task task;
        if (!is_wanted(o, tids[i]) || pyb_task_read(pid, tids[i], &task, NULL) != 0)
            continue; // ended meanwhile
        set_task(d, d->n, &task);
        d->stacks[d->n] = (struct pyb_native_stack){
            .size = sizeof(struct pyb_native_stack),
            .tid = tids[i],
            .active = task.state == 'R',
            .os_name = d->threads[d->n].task.comm,
        };
        d->n++;
    }
    if (d->n == 0)
        return o->n_tids ? pyb_fail(err, PYB_E_NOENT, "process %d has no thread %d", pid, o->tids[0])
                         : pyb_fail(err, PYB_E_GONE, "process %d has ended", pid);
    return 0;
}

int pyb_dump_hold(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    struct pyb_dumped *t = &d->threads[i];
    struct pyb_stopped stopped;
    struct pyb_error why = {0};
    int code = d->stopper ? 0 : pyb_stopper_new(&d->r.s->ctx, d->r.s->target.pid, &d->stopper, &why);
    if (code == 0)
        code = pyb_stop(d->stopper, t->task.tid, &stopped, &why);
    if (code == 0) {
        t->held = true;
        t->has_regs = pyb_regs_from_kernel(stopped.machine, stopped.ptr_size, d->r.s->target.mem->big_endian, stopped.regs, stopped.regs_len,
                                           &t->regs, &why) == 0;
        if (stopped.thread_pointer)
            d->stacks[i].thread_pointer = stopped.thread_pointer;
        return 0;
    }
    t->note = pyb_arena_printf(&d->r.work, "not stopped: %s", why.what);
    if (code == PYB_E_PERM)
        d->no_stop = t->note; // it will be the same for every thread
    if (err)
        *err = why;
    return code;
}

void pyb_dump_release(struct pyb_dumping *d, size_t i)
{
    struct pyb_dumped *t = &d->threads[i];
    struct pyb_error why = {0};
    if (!t->held)
        return;
    t->held = false;
    if (pyb_resume(d->stopper, t->task.tid, &why) == PYB_E_LIMIT) {
        t->mode = PYB_MODE_UNCHECKED;
        t->note = pyb_arena_strdup(&d->r.work, why.what);
    }
}

// 0: read, and it did not run meanwhile. PYB_E_NOTFOUND: it keeps running.
static int read_asleep(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    struct pyb_dumped *t = &d->threads[i];
    for (int tries = 0; tries < TRIES && t->task.asleep; tries++) {
        int code = pyb_dump_capture(d, i, true, err);
        if (code != 0)
            return code;
        if (pyb_task_same(d->r.s->target.pid, &t->task)) {
            t->mode = PYB_MODE_BLOCKED;
            return 0;
        }
        struct pyb_task task;
        code = pyb_task_read(d->r.s->target.pid, t->task.tid, &task, err);
        if (code != 0)
            return code;
        set_task(d, i, &task);
    }
    return PYB_E_NOTFOUND;
}

static int read_stopped(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    struct pyb_dumped *t = &d->threads[i];
    // Once before: so that, stopped, it only has to be compared and not to be read for the first time.
    int code = pyb_dump_capture(d, i, true, err);
    if (code != 0)
        return code;
    code = pyb_dump_hold(d, i, NULL);
    if (code != 0)
        return PYB_E_NOTFOUND;
    t->mode = PYB_MODE_STOPPED;
    code = pyb_dump_capture(d, i, true, err);
    pyb_dump_release(d, i);
    return code;
}

struct seen {
    uint32_t n;
    uint64_t hash; // of addresses, code objects and instructions of all frames
};

static int look(struct pyb_dumping *d, size_t i, struct seen *ret, struct pyb_error *err)
{
    int code = pyb_dump_capture(d, i, true, err);
    *ret = (struct seen){.hash = 14695981039346656037u};
    for (size_t k = d->owners.first[i]; code == 0 && k < d->owners.first[i + 1]; k++) {
        struct pyb_arena work;
        struct pyb_frames frames;
        pyb_arena_init(&work, &d->r.s->ctx);
        code = pyb_frames_read(d->r.py, d->owners.states[k], d->r.options.max_frames, &work, &frames, err);
        for (uint32_t f = 0; code == 0 && f < frames.n; f++) {
            const uint64_t words[] = {frames.frames[f].addr, frames.frames[f].code, (uint64_t)frames.frames[f].lasti};
            for (size_t w = 0; w < 3; w++)
                ret->hash = (ret->hash ^ words[w]) * 1099511628211u;
            ret->n++;
        }
        pyb_arena_deinit(&work);
    }
    return code;
}

// Neither asleep nor to be stopped: until two readings agree, without native frames.
static int read_running(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    struct pyb_dumped *t = &d->threads[i];
    struct seen before, now;
    t->has_regs = false;
    d->stacks[i].truncated = "its native frames cannot be read while it runs";
    int code = look(d, i, &before, err);
    t->mode = PYB_MODE_UNCHECKED;
    for (int tries = 0; code == 0 && tries < VALIDATIONS && t->mode == PYB_MODE_UNCHECKED; tries++) {
        code = look(d, i, &now, err);
        if (code == 0 && now.n == before.n && now.hash == before.hash)
            t->mode = PYB_MODE_VALIDATED;
        before = now;
    }
    if (t->mode == PYB_MODE_UNCHECKED && !t->note)
        t->note = "it ran while it was read: frames may be of different moments";
    return code;
}

static bool may_stop(const struct pyb_dumping *d)
{
    return !(d->flags & PYB_DUMP_NO_STOP) && !d->no_stop;
}

static int capture(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    int code = read_asleep(d, i, err);
    if (code == PYB_E_NOTFOUND && may_stop(d))
        code = read_stopped(d, i, err);
    if (code == PYB_E_NOTFOUND && d->no_stop)
        d->threads[i].note = d->no_stop;
    return code == PYB_E_NOTFOUND ? read_running(d, i, err) : code;
}

// A sleeping thread's registers are not known but for two. Where they are needed after all, and its system call does not mind, it is
// stopped for them.
static int unwind(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    struct pyb_dumped *t = &d->threads[i];
    bool needs_registers = false;
    if ((d->flags & PYB_DUMP_PYTHON) || !t->has_regs)
        return 0;
    int code = pyb_dump_unwind(d, i, &t->regs, &needs_registers, err);
    if (code != 0 || !needs_registers || t->mode != PYB_MODE_BLOCKED || d->together || !may_stop(d) ||
        (t->task.in_syscall && pyb_syscall_minds_stops(d->machine, d->ptr_size, t->task.syscall)))
        return code;
    code = read_stopped(d, i, err);
    if (code == PYB_E_NOTFOUND)
        return 0; // what is there stays
    return code == 0 && t->has_regs ? pyb_dump_unwind(d, i, &t->regs, NULL, err) : code;
}

static int join_notes(struct pyb_reading *r, const char *note, struct pyb_thread *ret, struct pyb_error *err)
{
    if (!note)
        return 0;
    const char *both = ret->note ? pyb_arena_printf(&r->result->arena, "%s; %s", ret->note, note)
                                 : pyb_clean_text(&r->result->arena, note, strlen(note));
    ret->note = both;
    return both ? 0 : no_memory(err);
}

static int build(struct pyb_dumping *d, size_t i, struct pyb_thread *ret, struct pyb_error *err)
{
    const struct pyb_dumped *t = &d->threads[i];
    int code = pyb_thread_with_stack(&d->r, i, &d->owners, ret, err);
    ret->mode = t->mode;
    ret->state = t->task.state;
    if (t->task.asleep && t->task.in_syscall)
        ret->syscall = pyb_syscall_name(d->machine, d->ptr_size, t->task.syscall);
    return code == 0 ? join_notes(&d->r, t->note, ret, err) : code;
}

static int read_thread(struct pyb_dumping *d, size_t i, struct pyb_thread *ret, struct pyb_error *err)
{
    int code = d->together ? 0 : capture(d, i, err);
    if (code == 0)
        code = unwind(d, i, err);
    return code == 0 ? build(d, i, ret, err) : code;
}

static int prepare(struct pyb_dumping *d, struct pyb_error *err)
{
    int code = pyb_reading_threads(&d->r, err);
    if (code != 0)
        return code;
    pyb_dump_find_pointers(d);
    d->r.native = d->stacks;
    d->r.n_native = d->n;
    code = pyb_threads_match(&d->r, err);
    if (code == 0)
        pyb_gil_waits_read(d->r.py, &d->r.threads);
    if (code == 0)
        code = pyb_reading_process(&d->r, err);
    return code == 0 ? pyb_owners_make(&d->r, &d->owners, err) : code;
}

static int read_all(struct pyb_dumping *d, bool all, struct pyb_error *err)
{
    struct pyb_reading *r = &d->r;
    struct pyb_process *p = &r->result->process;
    struct pyb_thread *threads = pyb_arena_array(&r->result->arena, d->n + r->threads.n + 1, sizeof(*threads));
    if (!threads)
        return no_memory(err);
    p->threads = threads;
    for (size_t i = 0; i < d->n; i++) {
        int code = read_thread(d, i, &threads[p->n_threads], err);
        if (code == PYB_E_GONE && pyb_task_read(r->s->target.pid, (int32_t)r->s->target.pid, &(struct pyb_task){0}, NULL) == 0)
            continue; // this thread only
        if (code != 0)
            return code;
        p->n_threads++;
    }
    for (size_t i = d->owners.first[d->n]; all && i < r->threads.n; i++) {
        int code = pyb_thread_without_stack(r, d->owners.states[i], &threads[p->n_threads++], err);
        if (code != 0)
            return code;
    }
    return 0;
}

int pyb_dump_live(struct pyb_dumping *d, const struct pyb_dump_options *o, struct pyb_error *err)
{
    d->machine = d->r.s->target.mem->machine;
    d->ptr_size = d->r.s->target.mem->ptr_size;
    if (!pyb_machine(d->machine, d->ptr_size))
        d->flags |= PYB_DUMP_PYTHON;
    d->together = !(d->flags & PYB_DUMP_NO_STOP) &&
                  ((d->flags & PYB_DUMP_CONSISTENT) || (d->r.options.flags & PYB_READ_LOCALS));
    int code = list_tasks(d, o, err);
    if (code == 0 && d->together)
        pyb_dump_hold_all(d);
    if (code == 0)
        code = prepare(d, err);
    if (code == 0 && d->together)
        code = pyb_dump_capture_all(d, err);
    for (size_t i = 0; i < d->n; i++)
        pyb_dump_release(d, i);
    return code == 0 ? read_all(d, o->n_tids == 0, err) : code;
}
