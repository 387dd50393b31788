// SPDX-License-Identifier: Apache-2.0
// 3.13 on: interpreter frames by `previous`; a shim on the C stack closes the run of frames of each
// evaluation.
#include "base/error.h"
#include "interp/frame_chain.h"

// The outermost link of 3.15 is part of the thread state: no evaluation.
static bool is_base(const struct pyb_chain *c, pyb_addr addr)
{
    const struct pyb_layout *l = &c->py->layout;
    return addr == c->t->base || (addr >= c->t->addr && addr - c->t->addr < l->tstateimpl_size);
}

int pyb_walk_iframes(struct pyb_chain *c, struct pyb_error *err)
{
    struct pyb_error why = {0};
    for (pyb_addr addr = c->t->top; addr && !is_base(c, addr);) {
        struct pyb_iframe f;
        if (pyb_iframe_read(c, addr, &f, &why)) {
            if (err)
                *err = why;
            return pyb_chain_broken(c, &why, "the frame", addr);
        }
        if (!f.shim && !f.link->code) {
            pyb_chain_note(c, "the frame at 0x%llx has no code", (unsigned long long)addr);
            return 0;
        }
        int code = f.shim ? pyb_chain_shim(c, addr, err) : pyb_chain_frame(c);
        if (code <= 0)
            return code;
        addr = f.previous;
    }
    return 0;
}
