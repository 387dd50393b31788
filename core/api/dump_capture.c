// SPDX-License-Identifier: Apache-2.0
// While a thread cannot run: its stack and all that its Python frames lead to, into the page cache.
#include "api/dump.h"
#include "base/error.h"
#include "interp/code.h"
#include "interp/fields.h"
#include "memory/cache.h"

#define MAX_STACK (UINT64_C(256) << 20)  // bytes of one stack
#define UNKNOWN_STACK (UINT64_C(1) << 20) // where its end is not known

// From sp to the end of the stack: that of the mapping, or where the thread's own struct begins.
static struct pyb_range stack_range(const struct pyb_dumping *d, size_t i)
{
    size_t n;
    const struct pyb_mapping *all = pyb_modules_mappings(d->r.s->target.modules, &n);
    pyb_addr sp = d->threads[i].regs.r[pyb_machine(d->machine, d->ptr_size)->sp], end = 0;
    // The main stack may have grown since the list was read: the mapping that ends next is the one.
    for (size_t k = 0; k < n; k++) {
        if (all[k].end > sp && (end == 0 || all[k].end < end))
            end = all[k].end;
    }
    pyb_addr self = d->stacks[i].thread_pointer;
    if (self > sp && self < end)
        end = self;
    uint64_t most = end == 0 ? UNKNOWN_STACK : MAX_STACK;
    uint64_t len = end == 0 || end - sp > most ? most : end - sp;
    return (struct pyb_range){.addr = sp, .len = (size_t)len};
}

// The thread itself can change its own word on the GIL only: now it cannot.
static void update_gil(struct pyb_python *py, struct pyb_tstate *state)
{
    struct pyb_tstate copy = *state;
    struct pyb_threads one = {.items = &copy, .n = 1};
    pyb_gil_read(py, &one);
    if (copy.gil == PYB_GIL_HOLDS || state->gil == PYB_GIL_HOLDS)
        state->gil = copy.gil;
}

static int touch_frames(struct pyb_python *py, const struct pyb_frames *frames, struct pyb_error *err)
{
    for (uint32_t k = 0; k < frames->n; k++) {
        const struct pyb_code *code;
        struct pyb_position at;
        struct pyb_error why = {0};
        if (k > 0 && frames->frames[k].code == frames->frames[k - 1].code)
            continue;
        int rc = pyb_code_get(py, frames->frames[k].code, &code, &why);
        if (rc == 0)
            rc = pyb_code_position(py, code, frames->frames[k].lasti, &at, &why);
        if (pyb_is_final(rc)) {
            if (err)
                *err = why;
            return rc;
        }
    }
    return 0;
}

static int capture_state(struct pyb_dumping *d, struct pyb_tstate *state, struct pyb_error *err)
{
    struct pyb_arena work;
    struct pyb_frames frames;
    struct pyb_error why = {0};
    int code = pyb_tstate_refresh(d->r.py, state, &why);
    if (code != 0) {
        if (pyb_is_final(code) && err)
            *err = why;
        return pyb_is_final(code) ? code : 0; // gone meanwhile: the reading afterwards says so
    }
    update_gil(d->r.py, state);
    pyb_arena_init(&work, &d->r.s->ctx);
    code = pyb_frames_read(d->r.py, state, d->r.options.max_frames, &work, &frames, err);
    if (code == 0)
        code = touch_frames(d->r.py, &frames, err);
    pyb_arena_deinit(&work);
    return code;
}

static int capture_states(struct pyb_dumping *d, size_t i, struct pyb_error *err)
{
    int code = 0;
    for (size_t k = d->owners.first[i]; code == 0 && k < d->owners.first[i + 1]; k++)
        code = capture_state(d, &d->r.threads.items[d->owners.states[k] - d->r.threads.items], err);
    return code;
}

// The pages that were needed are likely to be needed by the next thread.
static int remember(struct pyb_dumping *d, struct pyb_error *err)
{
    if (pyb_cache_touched(d->r.s->target.mem, &d->pages.pages, &d->pages.n, &d->pages.cap) != 0)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a list of pages");
    return 0;
}

int pyb_dump_capture(struct pyb_dumping *d, size_t i, bool again, struct pyb_error *err)
{
    struct pyb_memory *mem = d->r.s->target.mem;
    if (again)
        pyb_python_invalidate(d->r.py);
    pyb_memory_prefetch(mem, d->pages.pages, d->pages.n);
    if (!(d->flags & PYB_DUMP_PYTHON) && d->threads[i].has_regs) {
        struct pyb_range stack = stack_range(d, i);
        pyb_memory_prefetch(mem, &stack, 1);
    }
    int code = capture_states(d, i, err);
    return code == 0 && again ? remember(d, err) : code;
}

int pyb_dump_capture_sleepers(struct pyb_dumping *d, size_t begin, size_t end, struct pyb_error *err)
{
    struct pyb_memory *mem = d->r.s->target.mem;
    struct pyb_range ranges[PYB_DUMP_BATCH];
    size_t n = 0;
    // The first time: what listing the thread states needed.
    int code = d->pages.n == 0 ? remember(d, err) : 0;
    for (size_t i = begin; i < end && n < PYB_DUMP_BATCH; i++) {
        if (d->threads[i].task.asleep && d->threads[i].has_regs && !(d->flags & PYB_DUMP_PYTHON))
            ranges[n++] = stack_range(d, i);
    }
    pyb_python_invalidate(d->r.py);
    pyb_memory_prefetch(mem, d->pages.pages, d->pages.n);
    pyb_memory_prefetch(mem, ranges, n);
    for (size_t i = begin; code == 0 && i < end; i++) {
        if (d->threads[i].task.asleep)
            code = capture_states(d, i, err);
    }
    return code == 0 ? remember(d, err) : code;
}
