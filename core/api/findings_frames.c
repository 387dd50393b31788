// SPDX-License-Identifier: Apache-2.0
// Whether a thread of a live process stands where it stood when its frames were read.
#include "api/findings_internal.h"
#include "interp/thread.h"

static bool same_frames(const struct pyb_thread *t, const struct pyb_frames *now, uint32_t depth)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < t->n_frames && k < depth; i++) {
        const struct pyb_frame *was = &t->frames[i];
        if (was->kind != PYB_FRAME_PYTHON)
            continue;
        if (k >= now->n || now->frames[k].addr != was->frame || now->frames[k].code != was->code || now->frames[k].lasti != was->lasti)
            return false;
        k++;
    }
    return k > 0;
}

static bool has_frame(const struct pyb_frame *was, const struct pyb_frames *now)
{
    for (uint32_t k = 0; k < now->n; k++) {
        if (now->frames[k].addr == was->frame)
            return now->frames[k].code == was->code && now->frames[k].lasti == was->lasti;
    }
    return false;
}

// The innermost `depth` frames, or (frame) that one. Of two thread states of one OS thread the frames are those of either.
static bool look(struct pyb_findings *f, const struct pyb_thread *t, uint32_t depth, const struct pyb_frame *frame)
{
    const struct pyb_reading *r = f->r;
    bool same = false;
    if (r->s->target.is_core)
        return true;
    for (size_t i = 0; i < r->threads.n && !same; i++) {
        struct pyb_tstate state = r->threads.items[i];
        struct pyb_frames now;
        struct pyb_arena work;
        if (state.thread_id != t->ident || pyb_tstate_refresh(r->py, &state, NULL) != 0)
            continue;
        pyb_arena_init(&work, &r->s->ctx);
        if (pyb_frames_read(r->py, &state, depth, &work, &now, NULL) == 0)
            same = frame ? has_frame(frame, &now) : same_frames(t, &now, depth);
        pyb_arena_deinit(&work);
    }
    return same;
}

bool pyb_frames_same(struct pyb_findings *f, const struct pyb_thread *t, uint32_t depth)
{
    return look(f, t, depth, NULL);
}

bool pyb_frame_is_there(struct pyb_findings *f, const struct pyb_thread *t, const struct pyb_frame *frame)
{
    return look(f, t, f->r->options.max_frames, frame);
}
