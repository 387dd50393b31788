// SPDX-License-Identifier: Apache-2.0
// All threads of a moment: for --consistent, and for locals, which every thread can change.
#include "api/dump.h"

// The sleeping ones too only where the caller asked for it: a stop makes some system calls fail with EINTR.
void pyb_dump_hold_all(struct pyb_dumping *d)
{
    bool all = d->flags & PYB_DUMP_CONSISTENT;
    for (size_t i = 0; i < d->n && !d->no_stop; i++) {
        struct pyb_dumped *t = &d->threads[i];
        if (!all && t->task.asleep)
            continue;
        if (pyb_dump_hold(d, i, NULL) == 0)
            t->mode = PYB_MODE_STOPPED;
    }
}

static int capture(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    int code = pyb_dump_capture(d, i, i == 0, err);
    if (code != 0 || !(d->r.options.flags & PYB_READ_LOCALS))
        return code;
    struct pyb_thread seen; // read once only so that its locals are in the cache
    size_t first = d->owners.first[i];
    return pyb_thread_build(&d->r, NULL, d->owners.states + first, d->owners.first[i + 1] - first, &seen, err);
}

static void judge(struct pyb_dumping *d, size_t i)
{
    struct pyb_dumped *t = &d->threads[i];
    if (t->mode == PYB_MODE_STOPPED)
        return;
    bool same = t->task.asleep && pyb_task_same(d->r.s->target.pid, &t->task);
    t->mode = same ? PYB_MODE_BLOCKED : PYB_MODE_UNCHECKED;
    if (!same && !t->note)
        t->note = "it ran while it was read: frames may be of different moments";
    if (!same)
        t->has_regs = false;
}

int pyb_dump_capture_all(struct pyb_dumping *d, struct pyb_error *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < d->n; i++)
        code = capture(d, i, err);
    for (size_t i = 0; i < d->n; i++)
        judge(d, i);
    return code;
}
