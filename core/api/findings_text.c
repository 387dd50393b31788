// SPDX-License-Identifier: Apache-2.0
// The words of a finding: one line, whose it is first.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "api/findings_internal.h"
#include "base/error.h"

void pyb_say_thread(struct pyb_findings *f, const struct pyb_thread *t)
{
    const char *name = t->name ? t->name : t->os_name;
    if (t->tid > 0)
        pyb_buf_printf(&f->text, "thread %d", t->tid);
    else
        pyb_buf_printf(&f->text, "the thread with ident 0x%llx", (unsigned long long)t->ident);
    if (name)
        pyb_buf_printf(&f->text, " \"%s\"", name);
}

void pyb_say_place(struct pyb_findings *f, const struct pyb_frame *frame, int32_t line)
{
    if (!frame)
        return;
    pyb_buf_printf(&f->text, " at %s", frame->file ? frame->file : "?");
    if (line >= 0)
        pyb_buf_printf(&f->text, ":%d", line);
    if (frame->name)
        pyb_buf_printf(&f->text, " in %s", frame->name);
}

static void say_child(struct pyb_findings *f, int32_t child)
{
    char path[64], stat[512];
    int32_t parent = 0;
    if (child < 0) {
        pyb_buf_adds(&f->text, "any child process");
        return;
    }
    pyb_buf_printf(&f->text, "child process %d", child);
    const struct pyb_target *t = &f->r->s->target;
    if (!t->is_local || t->is_core)
        return;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", child);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, stat, sizeof(stat) - 1);
    (void)close(fd);
    stat[n > 0 ? n : 0] = '\0';
    char *name = strchr(stat, '('), *end = strrchr(stat, ')');
    // Of another PID namespace, or not its child: some other process has that number here.
    if (!name || !end || end <= name || strlen(end) < 5 || (parent = (int32_t)strtol(end + 4, NULL, 10)) != t->pid)
        return;
    pyb_buf_adds(&f->text, " (");
    pyb_buf_add_utf8(&f->text, name + 1, (size_t)(end - name - 1));
    pyb_buf_printf(&f->text, ", %s)", end[2] == 'Z' ? "ended, a zombie" : end[2] == 'R' ? "running"
                                    : end[2] == 'T' || end[2] == 't' ? "stopped" : end[2] == 'D' ? "in uninterruptible sleep" : "asleep");
}

void pyb_say_object(struct pyb_findings *f, const struct pyb_waiter *w)
{
    pyb_buf_printf(&f->text, "%s 0x%llx", w->type ? w->type : "object", (unsigned long long)w->object);
    if (w->detail)
        pyb_buf_printf(&f->text, " (%s)", w->detail);
}

static void say_other(struct pyb_findings *f, const struct pyb_waiter *w)
{
    if (w->on == PYB_NOBODY)
        pyb_buf_printf(&f->text, "a thread with ident 0x%llx that is not in this process", (unsigned long long)w->on_ident);
    else
        pyb_say_thread(f, f->w[w->on].thread);
}

void pyb_say_wait(struct pyb_findings *f, const struct pyb_waiter *w)
{
    static const char *const before[] = {
        [PYB_WAIT_LOCK] = "", [PYB_WAIT_GET] = "an item of ", [PYB_WAIT_PUT] = "room in ", [PYB_WAIT_TASKS] = "task_done() on ",
        [PYB_WAIT_EVENT] = "set() of ", [PYB_WAIT_CONDITION] = "notify() of ", [PYB_WAIT_SEMAPHORE] = "release() of ",
        [PYB_WAIT_BARRIER] = "", [PYB_WAIT_FUTURE] = "the result of ",
    };
    pyb_buf_adds(&f->text, " waits");
    pyb_say_place(f, w->where, w->where ? w->where->line : -1);
    pyb_buf_adds(&f->text, w->timed ? " (with a timeout) for " : " for ");
    switch (w->kind) {
    case PYB_WAIT_JOIN:
        pyb_buf_adds(&f->text, "the end of ");
        say_other(f, w);
        break;
    case PYB_WAIT_SHUTDOWN:
        pyb_buf_adds(&f->text, "the end of all threads that are not daemons (threading._shutdown)");
        break;
    case PYB_WAIT_IMPORT:
        pyb_buf_printf(&f->text, "the import of module %s", w->detail ? w->detail : "?");
        break;
    case PYB_WAIT_CHILD:
        say_child(f, w->child);
        break;
    default:
        pyb_buf_adds(&f->text, w->kind < sizeof(before) / sizeof(before[0]) && before[w->kind] ? before[w->kind] : "");
        pyb_say_object(f, w);
    }
}

int pyb_finding_add(struct pyb_findings *f, const char *kind, const int32_t *tids, uint32_t n)
{
    struct pyb_arena *arena = &f->r->result->arena;
    if (f->n_items == f->cap) {
        const uint32_t cap = f->cap ? 2 * f->cap : 16;
        struct pyb_finding *grown = pyb_arena_array(arena, cap, sizeof(*grown));
        if (grown && f->n_items)
            memcpy(grown, f->items, f->n_items * sizeof(*grown));
        f->items = grown;
        f->cap = cap;
    }
    int32_t *own = pyb_arena_array(arena, (size_t)n + 1, sizeof(*own));
    const char *text = f->text.failed ? NULL : pyb_arena_strdup(arena, pyb_buf_str(&f->text));
    if (!f->items || !own || !text)
        return pyb_fail(f->err, PYB_E_NOMEM, "no memory for a finding");
    uint32_t n_known = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (tids[i] > 0)
            own[n_known++] = tids[i];
    }
    f->items[f->n_items++] = (struct pyb_finding){.kind = kind, .text = text, .tids = own, .n_tids = n_known};
    pyb_buf_clear(&f->text);
    return 0;
}
