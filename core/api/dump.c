// SPDX-License-Identifier: Apache-2.0
#include "api/dump.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "api/findings.h"
#include "base/error.h"

#define MAX_NATIVE_FRAMES 1000000u

static int no_memory(struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_NOMEM, "no memory for a dump");
}

static int need_unwinder(struct pyb_session *s, struct pyb_error *err)
{
    return s->unwinder ? 0 : pyb_unwinder_new(&s->ctx, &s->target, &s->unwinder, err);
}

int pyb_dump_unwind(struct pyb_dumping *d, size_t i, const struct pyb_regs *regs, bool *ret_needs_registers,
                    struct pyb_error *err)
{
    struct pyb_unwound unwound = {0};
    int code = need_unwinder(d->r.s, err);
    if (code == 0)
        code = pyb_unwind(d->r.s->unwinder, regs, MAX_NATIVE_FRAMES, &d->r.work, &unwound, err);
    d->stacks[i].frames = unwound.frames;
    d->stacks[i].n_frames = unwound.n;
    d->stacks[i].truncated = unwound.truncated;
    if (ret_needs_registers)
        *ret_needs_registers = unwound.needs_registers;
    if (code == 0 && (d->flags & PYB_DUMP_SOURCE))
        code = pyb_dump_source(d, i, err);
    return code;
}

bool pyb_dump_wants(const struct pyb_dump_options *o, int32_t tid)
{
    for (size_t i = 0; i < o->n_tids; i++) {
        if (o->tids[i] == tid)
            return true;
    }
    return o->n_tids == 0;
}

static int core_stacks(struct pyb_dumping *d, const struct pyb_dump_options *o, struct pyb_error *err)
{
    const struct pyb_core_facts *facts = d->r.s->facts;
    const struct pyb_memory *mem = d->r.s->target.mem;
    d->stacks = pyb_arena_array(&d->r.work, facts->n_threads + 1, sizeof(*d->stacks));
    if (!d->stacks)
        return no_memory(err);
    for (size_t i = 0; i < facts->n_threads; i++) {
        const struct pyb_core_thread *t = &facts->threads[i];
        struct pyb_error why = {0};
        struct pyb_regs regs;
        if (!pyb_dump_wants(o, t->tid))
            continue;
        struct pyb_native_stack *stack = &d->stacks[d->n];
        *stack = (struct pyb_native_stack){.size = sizeof(*stack), .tid = t->tid, .active = -1,
                                           .thread_pointer = t->thread_pointer};
        int code = 0;
        if (pyb_regs_from_kernel(mem->machine, mem->ptr_size, mem->big_endian, t->regs, t->regs_len, &regs, &why) != 0)
            stack->truncated = pyb_arena_strdup(&d->r.work, why.what);
        else if (!(d->flags & PYB_DUMP_PYTHON))
            code = pyb_dump_unwind(d, d->n, &regs, NULL, err);
        if (code != 0)
            return code;
        d->n++;
    }
    return 0;
}

static int fill_core(struct pyb_dumping *d, const struct pyb_dump_options *o, struct pyb_error *err)
{
    struct pyb_reading *r = &d->r;
    struct pyb_process *p = &r->result->process;
    int code = pyb_owners_make(r, &d->owners, err);
    size_t loose = d->owners.first ? d->owners.first[d->n] : 0;
    struct pyb_thread *threads = pyb_arena_array(&r->result->arena, d->n + r->threads.n + 1, sizeof(*threads));
    if (code != 0 || !threads)
        return code ? code : no_memory(err);
    p->threads = threads;
    for (size_t i = 0; code == 0 && i < d->n; i++)
        code = pyb_thread_with_stack(r, i, &d->owners, &threads[p->n_threads++], err);
    for (size_t i = loose; code == 0 && o->n_tids == 0 && i < r->threads.n; i++)
        code = pyb_thread_without_stack(r, d->owners.states[i], &threads[p->n_threads++], err);
    return code;
}

static int dump_core(struct pyb_dumping *d, const struct pyb_dump_options *o, struct pyb_error *err)
{
    int code = core_stacks(d, o, err);
    d->r.native = d->stacks;
    d->r.n_native = d->n;
    if (code == 0)
        code = pyb_reading_threads(&d->r, err);
    if (code == 0)
        code = pyb_threads_match(&d->r, err);
    if (code == 0)
        code = pyb_reading_process(&d->r, err);
    return code == 0 ? fill_core(d, o, err) : code;
}

static int full_options(const struct pyb_dump_options *o, struct pyb_dump_options *ret, struct pyb_error *err)
{
    *ret = (struct pyb_dump_options){0};
    if (o && o->size < offsetof(struct pyb_dump_options, tids))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_dump_options without its size");
    if (o)
        memcpy(ret, o, o->size < sizeof(*ret) ? o->size : sizeof(*ret));
    return ret->n_tids && !ret->tids ? pyb_fail(err, PYB_E_USAGE, "n_tids without tids") : 0;
}

int pyb_dump(struct pyb_session *s, const struct pyb_dump_options *options, const struct pyb_read_options *reading,
             struct pyb_process **ret, struct pyb_error *err)
{
    struct pyb_dumping d = {0};
    struct pyb_dump_options o;
    *ret = NULL;
    int code = full_options(options, &o, err);
    if (code == 0)
        code = pyb_reading_begin(&d.r, s, reading, err);
    if (code != 0)
        return code;
    d.flags = o.flags;
    if (s->source.kind == PYB_SOURCE_PID)
        code = pyb_dump_live(&d, &o, err);
    else if (s->facts)
        code = dump_core(&d, &o, err);
    else
        code = pyb_fail(err, PYB_E_USAGE, "only a live process or a core can be dumped: this session has another kind of target");
    if (code == 0 && (o.flags & PYB_DUMP_FINDINGS) && o.n_tids == 0)
        code = pyb_findings_make(&d.r, d.threads, d.threads ? d.n : 0, err);
    pyb_stopper_free(d.stopper);
    pyb_free(&s->ctx, d.pages.pages);
    return pyb_reading_end(&d.r, code, ret);
}
