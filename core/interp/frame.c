// SPDX-License-Identifier: Apache-2.0
// From links to frames and evaluations: which code runs, at which instruction, and what is only plumbing.
#include "interp/frame.h"

#include <string.h>

#include "base/error.h"
#include "interp/code.h"
#include "interp/frame_chain.h"

// CO_NO_MONITORING_EVENTS (3.13+): code that the interpreter made for itself
#define NO_MONITORING_EVENTS 0x2000000u
#define TLBC_MAX 65536
#define PREFETCH 512

struct builder {
    struct pyb_chain *chain;
    struct pyb_frames *out;
    uint32_t first; // of the open evaluation
    const struct pyb_code *code;
    pyb_addr tlbc_of; // code whose copies of the bytecode were looked up last
    int32_t tlbc_index;
    pyb_addr tlbc_bytecode;
    struct pyb_error why; // of the last code object that could not be read
};

static int walk(struct pyb_chain *c, struct pyb_error *err)
{
    switch (c->py->layout.walker) {
    case PYB_WALKER_FRAMEOBJECT:
        return pyb_walk_frame_objects(c, err);
    case PYB_WALKER_CFRAME:
        return pyb_walk_cframes(c, err);
    case PYB_WALKER_IFRAME:
        return pyb_walk_iframes(c, err);
    default:
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s does not say how frames are chained",
                        c->py->layout.name);
    }
}

// Different code objects, as far as neighbours tell.
static void prefetch_codes(struct pyb_chain *c)
{
    pyb_addr addrs[PREFETCH], last = 0;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        pyb_addr code = c->links[i].code;
        if (!code || code == last || (n > 1 && addrs[n - 2] == code))
            continue;
        addrs[n++] = last = code;
        if (n == PREFETCH) {
            pyb_code_prefetch(c->py, addrs, n);
            n = 0;
        }
    }
    pyb_code_prefetch(c->py, addrs, n);
}

// Free-threaded 3.14+: each thread may run a copy of the bytecode of its own; the first is the code object's.
static pyb_addr bytecode_of(struct builder *b, const struct pyb_link *link)
{
    struct pyb_python *py = b->chain->py;
    const struct pyb_layout *l = &py->layout;
    if (!b->code->tlbc || link->tlbc_index <= 0 || !pyb_has_field(l->codearray_entries))
        return b->code->bytecode;
    if (b->tlbc_of == b->code->addr && b->tlbc_index == link->tlbc_index)
        return b->tlbc_bytecode;
    int64_t count = 0;
    pyb_addr entry = b->code->tlbc + (uint32_t)l->codearray_entries.offset +
                     (uint64_t)link->tlbc_index * l->ptr_size;
    pyb_addr copy = 0;
    if (pyb_field_int(py, b->code->tlbc, l->codearray_count, &count, NULL) || count > TLBC_MAX ||
        link->tlbc_index >= count || pyb_read_ptr(py->target->mem, entry, &copy, NULL) || !copy)
        copy = b->code->bytecode;
    b->tlbc_of = b->code->addr;
    b->tlbc_index = link->tlbc_index;
    b->tlbc_bytecode = copy;
    return copy;
}

// An instruction outside its code says that the pointer is stale: the frame is right, its line a guess.
static void locate(struct builder *b, const struct pyb_link *link, struct pyb_pyframe *ret)
{
    const struct pyb_layout *l = &b->chain->py->layout;
    int64_t at = link->instr;
    if (l->walker != PYB_WALKER_FRAMEOBJECT)
        at = (int64_t)((uint64_t)at - bytecode_of(b, link));
    bool inside = at >= 0 && (uint64_t)at < b->code->code_size;
    bool before = at < 0 && at >= -2; // not started
    ret->lasti = inside ? (int32_t)at : -1;
    ret->jit = !inside && !before;
    ret->incomplete = l->walker != PYB_WALKER_FRAMEOBJECT && !link->generator && (inside || before) &&
                      at < (int64_t)b->code->firsttraceable;
}

static bool is_trampoline(const struct pyb_code *code, const struct pyb_pyframe *f)
{
    return f->incomplete && (code->flags & NO_MONITORING_EVENTS);
}

static bool is_generator(const struct pyb_layout *l, const struct pyb_code *code, const struct pyb_link *link)
{
    if (link->generator || l->walker != PYB_WALKER_FRAMEOBJECT || pyb_has_field(l->frame_gen))
        return link->generator;
    return code->flags & 0x20; // CO_GENERATOR (2.7, where a frame does not lead to its generator)
}

// 1: added or rightly left out, 0: the walk ends here, negative: error.
static int add_frame(struct builder *b, size_t i, struct pyb_error *err)
{
    struct pyb_chain *c = b->chain;
    const struct pyb_link *link = &c->links[i];
    if (!b->code || b->code->addr != link->code) {
        b->code = NULL;
        if (pyb_code_get(c->py, link->code, &b->code, &b->why)) {
            if (err)
                *err = b->why;
            if (i == 0 && b->why.code == PYB_E_CORRUPT && c->py->layout.walker == PYB_WALKER_CFRAME &&
                c->n > 1) {
                b->out->note = pyb_arena_printf(c->arena,
                                                "the innermost frame, at 0x%llx, is just being removed",
                                                (unsigned long long)link->addr);
                return 1; // 3.11 gives its code back before it unlinks it
            }
            return pyb_chain_broken(c, &b->why, "the code of a frame,", link->code);
        }
    }
    struct pyb_pyframe *f = &b->out->frames[b->out->n]; // there is one for each link with code
    *f = (struct pyb_pyframe){.addr = link->addr, .code = link->code, .object = b->code,
                              .evaluation = b->out->n_evaluations};
    locate(b, link, f);
    f->generator = is_generator(&c->py->layout, b->code, link);
    b->out->n += !is_trampoline(b->code, f);
    return 1;
}

static void close_evaluation(struct builder *b, pyb_addr stack_addr)
{
    struct pyb_frames *out = b->out;
    struct pyb_evaluation *e = &out->evaluations[out->n_evaluations++];
    *e = (struct pyb_evaluation){.stack_addr = stack_addr, .first = b->first, .n = out->n - b->first};
    if (e->n)
        out->frames[out->n - 1].entry = true;
    b->first = out->n;
}

// While the thread runs compiled traces, what it stored last may be a few instructions old.
static void mark_jit(struct pyb_chain *c, struct pyb_frames *out)
{
    pyb_addr executor = 0;
    if (out->n && pyb_has_field(c->py->layout.tstate_current_executor) &&
        !pyb_field_ptr(c->py, c->t->addr, c->py->layout.tstate_current_executor, &executor, NULL) && executor)
        out->frames[0].jit = true;
}

static int build(struct pyb_chain *c, struct pyb_frames *out, struct pyb_error *err)
{
    size_t ends = c->n - c->n_frames + 1;
    out->frames = pyb_arena_array(c->arena, (size_t)c->n_frames + 1, sizeof *out->frames);
    out->evaluations = pyb_arena_array(c->arena, ends, sizeof *out->evaluations);
    if (!out->frames || !out->evaluations)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a stack of %u frames", c->n_frames);
    prefetch_codes(c);
    struct builder b = {.chain = c, .out = out};
    for (size_t i = 0; i < c->n; i++) {
        int go_on = 1;
        if (c->links[i].code)
            go_on = add_frame(&b, i, err);
        else
            close_evaluation(&b, c->links[i].addr);
        if (go_on < 0)
            return go_on;
        if (!go_on)
            break;
    }
    if (out->n > b.first) { // cut before its end: where it stands is not known
        close_evaluation(&b, 0);
        out->frames[out->n - 1].entry = false;
    }
    mark_jit(c, out);
    return 0;
}

int pyb_frames_read(struct pyb_python *py, const struct pyb_tstate *t, uint32_t max_frames,
                    struct pyb_arena *arena, struct pyb_frames *ret, struct pyb_error *err)
{
    *ret = (struct pyb_frames){0};
    struct pyb_chain chain;
    pyb_chain_init(&chain, py, t, max_frames, arena);
    int code = walk(&chain, err);
    if (!code)
        code = build(&chain, ret, err);
    if (!code) {
        ret->complete = !chain.note;
        if (chain.note)
            ret->note = chain.note;
    }
    pyb_chain_deinit(&chain);
    return code;
}
