// SPDX-License-Identifier: Apache-2.0
// 3.11 and 3.12: the evaluation that called the innermost one, when the latter's _PyCFrame is not filled in
// yet.
//
// _PyEval_EvalFrameDefault links its _PyCFrame first and fills both its members some ten instructions later
// (all compilers reorder them so); until then only a register knows the outer one. It is a local of an outer
// evaluation, so it lies further up the C stack, and a real one proves itself: it leads, always up the stack,
// to the thread state's own, its current frame is in use, and its outermost frame points to the frame that is
// current one evaluation further out.
#include "base/error.h"
#include "interp/frame_chain.h"

#define SEARCH_BYTES (1u << 20)
#define BLOCK 4096u
#define MAX_LINKS 200000u // of either kind, for one candidate
#define MAX_TRIES 64u     // candidates that look right at first sight

static bool read_pair(struct pyb_chain *c, pyb_addr addr, pyb_addr *ret_current, pyb_addr *ret_previous)
{
    const struct pyb_layout *l = &c->py->layout;
    return !pyb_field_ptr(c->py, addr, l->cframe_current_frame, ret_current, NULL) &&
           !pyb_field_ptr(c->py, addr, l->cframe_previous, ret_previous, NULL);
}

// Above the top of the data stack lie frames that were popped.
static bool in_use(struct pyb_chain *c, pyb_addr frame)
{
    const struct pyb_layout *l = &c->py->layout;
    pyb_addr top, limit;
    if (pyb_field_ptr(c->py, c->t->addr, l->tstate_datastack_top, &top, NULL) ||
        pyb_field_ptr(c->py, c->t->addr, l->tstate_datastack_limit, &limit, NULL))
        return true;
    return frame < top || frame >= limit;
}

// The frame that was current when the evaluation of `frame` began. False: the chain is none.
static bool leads_to(struct pyb_chain *c, pyb_addr frame, pyb_addr *ret)
{
    for (uint32_t i = 0; i < MAX_LINKS && frame; i++) {
        struct pyb_iframe f;
        if (pyb_iframe_read(c, frame, &f, NULL))
            return false;
        frame = *ret = f.previous;
        if (f.shim || f.is_entry)
            return true;
    }
    return false;
}

static bool reaches_base(struct pyb_chain *c, pyb_addr addr)
{
    for (uint32_t i = 0; i < MAX_LINKS; i++) {
        pyb_addr current, previous;
        if (addr == c->t->base)
            return true;
        if (!read_pair(c, addr, &current, &previous))
            return false;
        if (previous != c->t->base && previous <= addr)
            return previous == 0 && current == 0; // a greenlet's own first link
        addr = previous;
    }
    return false;
}

static bool proves_itself(struct pyb_chain *c, pyb_addr addr)
{
    pyb_addr current, previous, outer_current, outer_previous, began;
    if (addr == c->t->base)
        return true;
    return read_pair(c, addr, &current, &previous) && current && current % c->py->layout.ptr_size == 0 &&
           in_use(c, current) && read_pair(c, previous, &outer_current, &outer_previous) &&
           leads_to(c, current, &began) && began == outer_current && reaches_base(c, previous);
}

// Any word up the stack may be the beginning of one; few have what looks like a pointer to another in the
// right place.
static bool looks_right(const struct pyb_chain *c, struct pyb_bytes *b, size_t at, pyb_addr addr)
{
    const struct pyb_layout *l = &c->py->layout;
    pyb_addr current = pyb_get_ptr(b, at + (size_t)l->cframe_current_frame.offset);
    pyb_addr previous = pyb_get_ptr(b, at + (size_t)l->cframe_previous.offset);
    return !b->bad && current && current % l->ptr_size == 0 &&
           (previous == c->t->base || (previous > addr && previous - addr < ((pyb_addr)1 << 30)));
}

pyb_addr pyb_find_calling_cframe(struct pyb_chain *c, pyb_addr top, pyb_addr said)
{
    const struct pyb_layout *l = &c->py->layout;
    uint8_t block[BLOCK + PYB_CFRAME_MAX];
    uint32_t tries = 0;
    if (!c->t->base || !l->cframe_size || l->cframe_size > PYB_CFRAME_MAX)
        return 0;
    if (said && (said == c->t->base || said > top) && proves_itself(c, said))
        return said;
    pyb_addr at = top + l->cframe_size;
    for (size_t done = 0; done < SEARCH_BYTES; done += BLOCK) {
        size_t n = 0;
        if (pyb_read_some(c->py->target->mem, at + done, block, sizeof block, &n, NULL))
            return 0;
        struct pyb_bytes b = pyb_memory_bytes(c->py->target->mem, block, n);
        for (size_t i = 0; i < BLOCK && i + l->cframe_size <= n; i += l->ptr_size)
            if (looks_right(c, &b, i, at + done + i) && (proves_itself(c, at + done + i) ||
                                                         ++tries == MAX_TRIES))
                return tries == MAX_TRIES ? 0 : at + done + i;
    }
    return 0;
}
