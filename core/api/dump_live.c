// SPDX-License-Identifier: Apache-2.0
// Threads of a live process: asleep ones undisturbed, running ones stopped for as long as the copying takes.
#include <string.h>

#include "api/dump.h"
#include "base/error.h"

static int no_memory(struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_NOMEM, "no memory for the threads of a process");
}

void pyb_dump_set_task(struct pyb_dumping *d, size_t i, const struct pyb_task *task)
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
        if (!pyb_dump_wants(o, tids[i]) || pyb_task_read(pid, tids[i], &task, NULL) != 0)
            continue; // ended meanwhile
        pyb_dump_set_task(d, d->n, &task);
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
    int code = threads ? 0 : no_memory(err);
    p->threads = threads;
    for (size_t i = 0; code == 0 && i < d->n; i += PYB_DUMP_BATCH) {
        size_t end = i + PYB_DUMP_BATCH < d->n ? i + PYB_DUMP_BATCH : d->n;
        code = pyb_dump_read_batch(d, i, end, threads + i, err);
    }
    for (size_t i = 0; code == 0 && i < d->n; i++) {
        if (d->threads[i].done)
            threads[p->n_threads++] = threads[i];
    }
    for (size_t i = d->owners.first[d->n]; code == 0 && all && i < r->threads.n; i++)
        code = pyb_thread_without_stack(r, d->owners.states[i], &threads[p->n_threads++], err);
    return code;
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
