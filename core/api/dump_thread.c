// SPDX-License-Identifier: Apache-2.0
// One thread of a live process: how it can be read, its native frames, its place in the result.
#include <string.h>

#include "api/dump.h"
#include "base/error.h"

#define TRIES 4        // readings of a thread that keeps waking up, before it is stopped
#define VALIDATIONS 32 // readings without a stop until two agree

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
        pyb_dump_set_task(d, i, &task);
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
    if (t->task.state == 'Z') // the first thread of a process that others live on in
        t->note = "it has ended: its Python frames are what it left behind";
    else
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
static bool wants_stop(const struct pyb_dumping *d, size_t i, bool needs_registers)
{
    const struct pyb_dumped *t = &d->threads[i];
    return needs_registers && t->mode == PYB_MODE_BLOCKED && !d->together && may_stop(d) &&
           !(t->task.in_syscall && pyb_syscall_minds_stops(d->machine, d->ptr_size, t->task.syscall));
}

static int unwind(struct pyb_dumping *d, size_t i, bool *ret_wants_stop, struct pyb_error *err)
{
    bool needs_registers = false;
    *ret_wants_stop = false;
    if ((d->flags & PYB_DUMP_PYTHON) || !d->threads[i].has_regs)
        return 0;
    int code = pyb_dump_unwind(d, i, &d->threads[i].regs, &needs_registers, err);
    *ret_wants_stop = wants_stop(d, i, needs_registers);
    d->threads[i].guessed = needs_registers;
    return code;
}

static int join_notes(struct pyb_reading *r, const char *note, struct pyb_thread *ret, struct pyb_error *err)
{
    if (!note)
        return 0;
    const char *both = ret->note ? pyb_arena_printf(&r->result->arena, "%s; %s", ret->note, note)
                                 : pyb_clean_text(&r->result->arena, note, strlen(note));
    ret->note = both;
    return both ? 0 : pyb_fail(err, PYB_E_NOMEM, "no memory for a note");
}

// Frames that were only likely, for want of a sleeping thread's registers, and do not fit the Python frames: they go.
static bool drop_guesses(struct pyb_dumping *d, size_t i)
{
    struct pyb_native_stack *stack = &d->stacks[i];
    for (size_t k = 0; k < stack->n_frames; k++) {
        if (stack->frames[k].flags & PYB_NATIVE_APPROX) {
            stack->n_frames = k;
            stack->truncated = "a sleeping thread's registers are not known, and the next frame needs them";
            return true;
        }
    }
    return false;
}

static int build(struct pyb_dumping *d, size_t i, struct pyb_thread *ret, struct pyb_error *err)
{
    struct pyb_dumped *t = &d->threads[i];
    int code = pyb_thread_with_stack(&d->r, i, &d->owners, ret, err);
    if (code == 0 && t->guessed && !ret->complete && drop_guesses(d, i))
        code = pyb_thread_with_stack(&d->r, i, &d->owners, ret, err);
    ret->mode = t->mode;
    ret->state = t->task.state;
    if (t->task.asleep && t->task.in_syscall)
        ret->syscall = pyb_syscall_name(d->machine, d->ptr_size, t->task.syscall);
    t->done = code == 0;
    return code == 0 ? join_notes(&d->r, t->note, ret, err) : code;
}

static int read_alone(struct pyb_dumping *d, size_t i, bool stop, struct pyb_thread *ret, struct pyb_error *err)
{
    bool wants = false;
    int code = stop ? read_stopped(d, i, err) : capture(d, i, err);
    if (stop && code == PYB_E_NOTFOUND)
        code = capture(d, i, err); // without its registers, then
    if (code == 0)
        code = unwind(d, i, &wants, err);
    if (code == 0 && wants && !stop)
        return read_alone(d, i, true, ret, err);
    return code == 0 ? build(d, i, ret, err) : code;
}

// What was read of threads that have slept on is exact, and in the cache still.
static int read_sleepers(struct pyb_dumping *d, size_t begin, size_t end, struct pyb_thread *ret, bool *stop,
                         struct pyb_error *err)
{
    int code = d->together ? 0 : pyb_dump_capture_sleepers(d, begin, end, err);
    for (size_t i = begin; code == 0 && !d->together && i < end; i++) {
        struct pyb_dumped *t = &d->threads[i];
        if (t->task.asleep && pyb_task_same(d->r.s->target.pid, &t->task))
            t->mode = PYB_MODE_BLOCKED;
    }
    for (size_t i = begin; code == 0 && i < end; i++) {
        if (d->threads[i].mode == PYB_MODE_GIVEN)
            continue;
        code = unwind(d, i, &stop[i - begin], err);
        if (code == 0 && !stop[i - begin])
            code = build(d, i, &ret[i - begin], err);
    }
    return code;
}

static bool process_lives(const struct pyb_dumping *d)
{
    struct pyb_task task;
    int32_t pid = d->r.s->target.pid;
    return pyb_task_read(pid, pid, &task, NULL) == 0 && (task.state != 'Z' || pyb_live_other_thread(pid) != 0);
}

int pyb_dump_read_batch(struct pyb_dumping *d, size_t begin, size_t end, struct pyb_thread *ret, struct pyb_error *err)
{
    bool stop[PYB_DUMP_BATCH] = {false};
    int code = read_sleepers(d, begin, end, ret, stop, err);
    for (size_t i = begin; code == 0 && i < end; i++) {
        if (d->threads[i].done)
            continue;
        code = read_alone(d, i, stop[i - begin], &ret[i - begin], err);
        if (code == PYB_E_GONE && process_lives(d)) {
            d->threads[i].done = false; // this thread only
            code = 0;
        }
    }
    return code;
}
