// SPDX-License-Identifier: Apache-2.0
// 3.11 and 3.12: the _PyCFrame of the innermost evaluation leads to its current frame, `previous` to all
// others.
#include "base/error.h"
#include "interp/frame_chain.h"

struct cframe {
    pyb_addr addr, current, previous; // all 0: there is none
};

static int read_cframe(struct pyb_chain *c, pyb_addr addr, struct cframe *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &c->py->layout;
    uint8_t data[PYB_CFRAME_MAX];
    const void *at;
    *ret = (struct cframe){.addr = addr};
    if (!addr)
        return 0;
    if (!pyb_has_field(l->cframe_current_frame) || !pyb_has_field(l->cframe_previous) || !l->cframe_size ||
        l->cframe_size > sizeof data)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no _PyCFrame", l->name);
    int code = pyb_window_bytes(c->py->target->mem, &c->stack, addr, data, l->cframe_size, &at, err);
    if (code)
        return code;
    struct pyb_bytes b = pyb_memory_bytes(c->py->target->mem, at, l->cframe_size);
    ret->current = pyb_get_ptr(&b, (size_t)l->cframe_current_frame.offset);
    ret->previous = pyb_get_ptr(&b, (size_t)l->cframe_previous.offset);
    return b.bad ? pyb_fail(err, PYB_E_UNSUPPORTED, "_PyCFrame of the layout %s", l->name) : 0;
}

// The walk, seen from one evaluation.
struct walk {
    struct pyb_chain *c;
    struct cframe here;
    pyb_addr first;   // innermost frame of this evaluation, 0: none yet
    bool innermost;   // of all evaluations
    bool linked;      // the innermost evaluation's chain leads where its caller says
    struct pyb_error why; // of the last that could not be read
};

// One without a current frame has to be the thread state's own, or a greenlet's first, which lies further up
// the stack.
static bool may_be_outermost(const struct walk *w, const struct cframe *outer)
{
    return outer->current || (outer->addr && (outer->addr == w->c->t->base || outer->addr > w->here.addr));
}

// Where an evaluation has linked its _PyCFrame but not yet set current_frame, that holds what the stack held
// before. A real chain leads from the evaluation's outermost frame to the frame that was current when it
// began.
static int close_evaluation(struct walk *w, pyb_addr previous, struct pyb_error *err)
{
    struct cframe outer;
    if (read_cframe(w->c, w->here.previous, &outer, &w->why)) {
        if (err)
            *err = w->why;
        int code = pyb_chain_broken(w->c, &w->why, "the _PyCFrame", w->here.previous);
        if (code)
            return code;
        outer = (struct cframe){0}; // the frames do not need it
        w->c->note = NULL;
        w->linked = !w->innermost;
    } else if (w->innermost && (outer.current != previous || !may_be_outermost(w, &outer))) {
        w->linked = false;
    }
    w->here = outer;
    w->first = 0;
    w->innermost = false;
    return 0;
}

static int add(struct walk *w, const struct pyb_iframe *f, struct pyb_error *err)
{
    if (!w->first)
        w->first = f->link->addr;
    if (f->shim) {
        int code = pyb_chain_shim(w->c, f->link->addr, err);
        if (code <= 0)
            return code;
        code = close_evaluation(w, f->previous, err);
        return code ? code : 1;
    }
    int code = pyb_chain_frame(w->c);
    if (code <= 0 || !f->is_entry)
        return code;
    code = pyb_chain_end(w->c, w->here.current == w->first ? w->here.addr : 0, err);
    if (!code)
        code = close_evaluation(w, f->previous, err);
    return code ? code : 1;
}

static int follow(struct walk *w, struct pyb_error *err)
{
    struct pyb_error why = {0};
    w->innermost = w->linked = true;
    for (pyb_addr addr = w->here.current; addr && w->linked;) {
        struct pyb_iframe f;
        if (pyb_iframe_read(w->c, addr, &f, &why)) {
            if (err)
                *err = why;
            w->linked = !w->innermost;
            return pyb_chain_broken(w->c, &why, "the frame", addr);
        }
        if (!f.shim && !f.link->code) {
            w->linked = !w->innermost;
            pyb_chain_note(w->c, "the frame at 0x%llx has no code", (unsigned long long)addr);
            return 0;
        }
        int go_on = add(w, &f, err);
        if (!go_on)
            w->linked = !w->innermost || w->c->n_frames == w->c->max_frames; // else it turned back on itself
        if (go_on <= 0)
            return go_on;
        addr = f.previous;
    }
    w->linked = w->linked && !(w->innermost && w->here.current); // a real one has an outermost frame
    return 0;
}

// From the caller of an evaluation that runs no frame yet.
static int follow_caller(struct pyb_chain *c, const struct cframe *top, struct walk *w, struct pyb_error *err)
{
    *w = (struct walk){.c = c};
    pyb_addr caller = pyb_find_calling_cframe(c, top->addr, top->previous);
    if (!caller)
        return 0;
    int code = read_cframe(c, caller, &w->here, err);
    if (!code)
        code = pyb_chain_end(c, top->addr, err);
    return code ? code : follow(w, err);
}

int pyb_walk_cframes(struct pyb_chain *c, struct pyb_error *err)
{
    struct cframe top;
    struct pyb_error why = {0};
    if (!c->t->top || c->t->top == c->t->base) // the thread state's own: nothing runs
        return 0;
    if (read_cframe(c, c->t->top, &top, &why)) {
        if (err)
            *err = why;
        return pyb_chain_broken(c, &why, "the _PyCFrame", c->t->top);
    }
    struct walk w = {.c = c, .here = top};
    int code = top.current ? follow(&w, err) : 0;
    if (code || (top.current && w.linked))
        return code;
    pyb_chain_reset(c);
    code = follow_caller(c, &top, &w, err);
    if (!code && w.linked) {
        if (!c->n_frames && !c->note)
            pyb_chain_reset(c); // nothing ran before either
        return 0;
    }
    // What is there may be a stack of an earlier moment: better none than that.
    pyb_chain_reset(c);
    if (!code)
        pyb_chain_note(c, "an evaluation is being set up at 0x%llx; what called it was not found",
                       (unsigned long long)top.addr);
    return code;
}
