// SPDX-License-Identifier: Apache-2.0
// A lock that came along in a fork(): the parent, where its holder may still be, is asked. It has the object at the same address.
#include <string.h>

#include "api/findings_internal.h"
#include "base/error.h"
#include "interp/lock_stack.h"

#define MAX_WITHS 32       // nested in one frame
#define MAX_FRAMES 20000u  // of the parent

static int open_parent(struct pyb_findings *f, struct pyb_session **ret)
{
    const struct pyb_ctx *ctx = &f->r->s->ctx;
    struct pyb_options o = {.size = sizeof o, .alloc = ctx->alloc, .free = ctx->free, .alloc_ctx = ctx->alloc_ctx, .max_bytes = ctx->max_bytes,
                            .max_ms = ctx->max_ms, .abort = ctx->abort, .abort_ctx = ctx->abort_ctx};
    int rc = pyb_session_new(&o, ret, NULL);
    return rc ? rc : pyb_open_pid(*ret, f->fork_parent, NULL);
}

static bool is_inside(struct pyb_python *py, const struct pyb_frame *frame, pyb_addr lock, int32_t *ret_line)
{
    struct pyb_pyframe at = {.addr = frame->frame, .code = frame->code, .lasti = frame->lasti};
    struct pyb_with withs[MAX_WITHS];
    struct pyb_value_stack stack;
    const struct pyb_code *code;
    pyb_addr own;
    if (pyb_code_get(py, at.code, &code, NULL) != 0 || pyb_value_stack_read(py, &at, code, &stack, NULL) != 0)
        return false;
    const size_t n = pyb_withs(py, &at, code, &stack, withs, MAX_WITHS);
    for (size_t i = 0; i < n; i++) {
        *ret_line = withs[i].line;
        if (pyb_lock_of(py, withs[i].manager, &own, NULL) == 0 && own == lock)
            return true;
    }
    return false;
}

static void say(struct pyb_findings *f, const struct pyb_thread *t, const struct pyb_frame *frame, int32_t line)
{
    pyb_buf_printf(&f->text, "; in process %d ", f->fork_parent);
    pyb_say_thread(f, t);
    pyb_buf_adds(&f->text, " holds it still");
    if (frame) {
        pyb_buf_adds(&f->text, " (taken");
        pyb_say_place(f, frame, line);
        pyb_buf_addc(&f->text, ')');
    }
}

// Of a recursive lock the owner is known; where it took it, if that was by `with`.
static void find_in_parent(struct pyb_findings *f, struct pyb_session *s, const struct pyb_process *p, const struct pyb_lock *lock)
{
    struct pyb_lock there;
    uint32_t budget = MAX_FRAMES;
    if (pyb_lock_read(s->python, lock->addr, &there, NULL) != 0 || !there.taken || there.owner != lock->owner)
        return;
    for (uint32_t i = 0; i < p->n_threads; i++) {
        const struct pyb_thread *t = &p->threads[i];
        if (t->mode != PYB_MODE_BLOCKED || (lock->owner && t->ident != lock->owner))
            continue; // of what runs no more can be said
        for (uint32_t k = 0; k < t->n_frames && budget-- > 0; k++) {
            int32_t line;
            if (t->frames[k].kind == PYB_FRAME_PYTHON && is_inside(s->python, &t->frames[k], lock->addr, &line)) {
                say(f, t, &t->frames[k], line);
                return;
            }
        }
        if (lock->owner) {
            say(f, t, NULL, -1);
            return;
        }
    }
}

int pyb_say_parent(struct pyb_findings *f, const struct pyb_waiter *w)
{
    struct pyb_dump_options o = {.size = sizeof o, .flags = PYB_DUMP_PYTHON | PYB_DUMP_NO_STOP};
    struct pyb_session *s = NULL;
    struct pyb_process *p = NULL;
    int rc = open_parent(f, &s);
    if (rc == 0)
        rc = pyb_dump(s, &o, NULL, &p, NULL);
    if (rc == 0)
        find_in_parent(f, s, p, &w->lock);
    pyb_process_free(p);
    pyb_session_free(s);
    return rc == PYB_E_NOMEM || rc == PYB_E_ABORTED ? pyb_fail(f->err, rc, "looking at the parent, process %d", f->fork_parent) : 0;
}
