// SPDX-License-Identifier: Apache-2.0
// 2.7 to 3.10: PyFrameObject by f_back; each has an evaluation of its own, which leaves nothing on the C
// stack.
#include "base/error.h"
#include "interp/frame_chain.h"

#define FRAME_MAX 1024

static size_t end_of(struct pyb_field f)
{
    return pyb_has_field(f) ? (size_t)f.offset + f.width : 0;
}

static size_t extent(const struct pyb_layout *l)
{
    size_t ends[] = {end_of(l->frame_back), end_of(l->frame_code), end_of(l->frame_lasti),
                     end_of(l->frame_gen)};
    size_t most = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        most = ends[i] > most ? ends[i] : most;
    return most;
}

static int read_frame(struct pyb_chain *c, pyb_addr addr, struct pyb_link **ret, pyb_addr *ret_back,
                      struct pyb_error *err)
{
    const struct pyb_layout *l = &c->py->layout;
    uint8_t data[FRAME_MAX];
    size_t size = c->extent;
    if (size > FRAME_MAX || !pyb_has_field(l->frame_back) || !pyb_has_field(l->frame_code) ||
        !pyb_has_field(l->frame_lasti))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no frame objects", l->name);
    if (addr & (l->ptr_size - 1u))
        return pyb_fail_at(err, PYB_E_CORRUPT, addr, size, "not the address of a frame");
    const void *at;
    int code = pyb_window_bytes(c->py->target->mem, &c->frames, addr, data, size, &at, err);
    if (code)
        return code;
    struct pyb_bytes b = pyb_memory_bytes(c->py->target->mem, at, size);
    int64_t lasti = pyb_get_int(&b, (size_t)l->frame_lasti.offset, l->frame_lasti.width);
    *ret = pyb_chain_next(c, err);
    if (!*ret)
        return PYB_E_NOMEM;
    **ret = (struct pyb_link){
        .addr = addr,
        .code = pyb_get_uint(&b, (size_t)l->frame_code.offset, l->frame_code.width),
        .instr = lasti < 0 ? -1 : lasti * (l->lasti_scale == 2 ? 2 : 1),
        .generator = pyb_has_field(l->frame_gen) &&
                     pyb_get_uint(&b, (size_t)l->frame_gen.offset, l->frame_gen.width) != 0,
    };
    *ret_back = pyb_get_uint(&b, (size_t)l->frame_back.offset, l->frame_back.width);
    return 0;
}

int pyb_walk_frame_objects(struct pyb_chain *c, struct pyb_error *err)
{
    struct pyb_error why = {0};
    c->extent = extent(&c->py->layout);
    for (pyb_addr addr = c->t->top; addr;) {
        struct pyb_link *link = NULL;
        pyb_addr back = 0;
        if (read_frame(c, addr, &link, &back, &why)) {
            if (err)
                *err = why;
            return pyb_chain_broken(c, &why, "the frame object", addr);
        }
        if (!link->code) {
            pyb_chain_note(c, "the frame object at 0x%llx has no code", (unsigned long long)addr);
            return 0;
        }
        int go_on = pyb_chain_frame(c);
        if (go_on <= 0)
            return go_on;
        int code = pyb_chain_end(c, 0, err);
        if (code)
            return code;
        addr = back;
    }
    return 0;
}
