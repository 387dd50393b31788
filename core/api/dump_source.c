// SPDX-License-Identifier: Apache-2.0
// Files, lines and inlined functions of the native frames that were unwound.
#include "api/dump.h"
#include "base/error.h"
#include "interp/fields.h"
#include "symbols/dwarf_source.h"

struct expanded {
    struct pyb_native_frame *frames;
    size_t n, cap;
};

static int add(struct pyb_arena *arena, struct expanded *x, const struct pyb_native_frame *frame, struct pyb_error *err)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 64;
        struct pyb_native_frame *more = pyb_arena_array(arena, cap, sizeof(*more));
        if (!more)
            return pyb_fail(err, PYB_E_NOMEM, "no memory for the source lines of a stack");
        for (size_t i = 0; i < x->n; i++)
            more[i] = x->frames[i];
        x->frames = more;
        x->cap = cap;
    }
    x->frames[x->n] = *frame;
    x->frames[x->n].number = (int32_t)x->n;
    x->n++;
    return 0;
}

static int expand(struct pyb_dumping *d, const struct pyb_native_frame *frame, pyb_addr pc, struct expanded *x,
                  struct pyb_error *err)
{
    struct pyb_source_frame *sources;
    struct pyb_error why = {0};
    size_t n = 0;
    int code = pyb_target_source(&d->r.s->target, pc, &d->r.work, &sources, &n, &why);
    if (code != 0 && pyb_is_final(code)) {
        if (err)
            *err = why;
        return code;
    }
    struct pyb_native_frame f = *frame;
    for (size_t i = 0; code == 0 && i < n; i++) {
        f = *frame;
        f.file = sources[i].file;
        f.line = sources[i].line;
        if (!sources[i].inlined)
            break;
        f.flags |= PYB_NATIVE_INLINED;
        f.name = sources[i].name;
        code = add(&d->r.work, x, &f, err);
        if (code != 0)
            return code;
        f = *frame;
    }
    return add(&d->r.work, x, &f, err);
}

int pyb_dump_source(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    struct pyb_native_stack *stack = &d->stacks[i];
    struct expanded x = {0};
    for (size_t k = 0; k < stack->n_frames; k++) {
        const struct pyb_native_frame *f = &stack->frames[k];
        bool exact = k == 0 || (f->flags & PYB_NATIVE_SIGNAL) || (stack->frames[k - 1].flags & PYB_NATIVE_SIGNAL);
        int code = expand(d, f, exact ? f->pc : f->pc - 1, &x, err);
        if (code != 0)
            return code;
    }
    stack->frames = x.frames;
    stack->n_frames = x.n;
    return 0;
}
