// SPDX-License-Identifier: Apache-2.0
// Who holds the GIL, who waits for it, who collects garbage.
//
// 2.7-3.6   _PyThreadState_Current, an exported variable: the holder, NULL while nobody runs Python (Python/pystate.c).
// 3.7-3.11  _PyRuntime.ceval.gil.locked and gilstate.tstate_current; .last_holder only while the latter is being set: a swap to a
//           subinterpreter's thread state changes the current one, not the last holder (Python/ceval_gil.h).
// 3.12      interp->ceval.gil->locked, tstate->_status.active.
// 3.13+     tstate->_status.holds_gil; 3.15 also tstate->holds_gil, ->gil_requested (Include/cpython/pystate.h, Python/ceval_gil.c).
//
// A thread that does not hold it has released it; that it waits is claimed only where its own thread state says so. A collection is
// a flag of the interpreter: whose it is, is known with one thread, or where the collector leaves its frame (gc.frame).
#include "interp/fields.h"
#include "interp/thread.h"

#define MAX_GC_HOPS 64 // frames of finalizers above the frame that the collection began in

struct globals {
    pyb_addr current; // _PyThreadState_Current
};

static const struct globals *globals_of(struct pyb_python *py)
{
    if (py->globals_cache)
        return py->globals_cache;
    struct globals *g = pyb_arena_alloc(&py->arena, sizeof(*g));
    if (!g)
        return NULL;
    struct pyb_elf *elf;
    struct pyb_elf_symbol symbol;
    if (py->module && pyb_module_elf(py->target, py->module, &elf, NULL) == 0 && py->module->bias_known &&
        pyb_elf_symbol(elf, "_PyThreadState_Current", &symbol) == 0)
        g->current = py->module->bias + symbol.value;
    else if (py->target->symbol)
        g->current = py->target->symbol(py->target->symbol_ctx, "_PyThreadState_Current");
    py->globals_cache = g;
    return g;
}

// What holds for all threads of one interpreter.
struct domain {
    pyb_addr interp;
    bool known;       // who holds it can be told
    bool by_thread;   // each thread state says it itself
    bool free;        // nobody holds it
    pyb_addr holder;  // unless by_thread; 0: nobody
    int32_t gc;       // collecting: 1, 0, -1
    pyb_addr gc_frame;
    size_t n_threads;
};

static bool has_thread_bits(const struct pyb_layout *l)
{
    return pyb_has_field(l->tstate_holds_gil) || pyb_has_bits(l->tstate_status_holds_gil) || pyb_has_bits(l->tstate_status_active);
}

static void read_old_gil(struct pyb_python *py, struct domain *d)
{
    const struct globals *g = globals_of(py);
    d->known = g && g->current && pyb_read_ptr(py->target->mem, g->current, &d->holder, NULL) == 0;
}

static void read_runtime_gil(struct pyb_python *py, struct domain *d)
{
    const struct pyb_layout *l = &py->layout;
    struct pyb_want w[] = {{.base = py->runtime, .field = l->runtime_gil_locked},
                           {.base = py->runtime, .field = l->runtime_gil_last_holder},
                           {.base = py->runtime, .field = l->runtime_tstate_current}};
    if (pyb_wants_read(py->target->mem, w, 3, NULL) || !w[0].ok)
        return;
    d->known = true;
    d->holder = w[0].value == 0 ? 0 : w[2].ok && w[2].value ? w[2].value : w[1].value;
}

static void read_interp_gil(struct pyb_python *py, struct domain *d)
{
    const struct pyb_layout *l = &py->layout;
    struct pyb_want gil = {.base = d->interp, .field = l->interp_gil_ptr};
    if (pyb_wants_read(py->target->mem, &gil, 1, NULL) || !gil.ok)
        return;
    struct pyb_want w[] = {{.base = gil.value, .field = l->gil_locked},
                           {.base = gil.value, .field = l->gil_last_holder},
                           {.base = gil.value, .field = l->gil_enabled}};
    if (pyb_wants_read(py->target->mem, w, 3, NULL) || !w[0].ok)
        return;
    if (py->free_threaded && !(w[2].ok && w[2].value == 1))
        return; // the GIL is off
    d->known = true;
    d->free = w[0].value == 0;
    d->by_thread = has_thread_bits(l);
    d->holder = d->free ? 0 : w[1].value;
}

static void read_gc(struct pyb_python *py, struct domain *d)
{
    const struct pyb_layout *l = &py->layout;
    struct pyb_want w[] = {{.base = d->interp, .field = l->interp_gc_collecting},
                           {.base = py->runtime, .field = l->runtime_gc_collecting},
                           {.base = d->interp, .field = l->interp_gc_frame}};
    d->gc = -1;
    if (pyb_wants_read(py->target->mem, w, 3, NULL))
        return;
    const struct pyb_want *flag = w[0].ok ? &w[0] : &w[1];
    if (flag->ok && (uint32_t)flag->value <= 1)
        d->gc = (int32_t)flag->value;
    d->gc_frame = w[2].ok ? w[2].value : 0;
}

static void read_domain(struct pyb_python *py, pyb_addr interp, struct domain *d)
{
    *d = (struct domain){.interp = interp};
    if (py->runtime == 0)
        read_old_gil(py, d);
    else if (pyb_has_field(py->layout.interp_gil_ptr))
        read_interp_gil(py, d);
    else if (!py->free_threaded)
        read_runtime_gil(py, d);
    read_gc(py, d);
}

struct thread_bits {
    bool known, holds, waits;
};

static struct pyb_field word_of(struct pyb_bits b)
{
    return (struct pyb_field){.offset = pyb_has_bits(b) ? b.offset : PYB_ABSENT, .width = b.width};
}

static struct thread_bits read_thread_bits(struct pyb_python *py, pyb_addr tstate)
{
    const struct pyb_layout *l = &py->layout;
    struct pyb_bits bits = pyb_has_bits(l->tstate_status_holds_gil) ? l->tstate_status_holds_gil : l->tstate_status_active;
    struct pyb_want w[] = {{.base = tstate, .field = l->tstate_holds_gil},
                           {.base = tstate, .field = word_of(bits)},
                           {.base = tstate, .field = l->tstate_gil_requested}};
    if (pyb_wants_read(py->target->mem, w, 3, NULL))
        return (struct thread_bits){.known = false};
    bool holds = w[0].ok ? (w[0].value & UINT32_MAX) != 0 : pyb_bits_get(bits, w[1].value, py->target->mem->big_endian) != 0;
    return (struct thread_bits){.known = w[0].ok || w[1].ok, .holds = holds, .waits = w[2].ok && (w[2].value & UINT32_MAX) != 0};
}

static enum pyb_gil gil_of(struct pyb_python *py, const struct domain *d, const struct pyb_tstate *t)
{
    if (!d->known)
        return PYB_GIL_UNKNOWN;
    if (!d->by_thread)
        return d->holder == t->addr ? PYB_GIL_HOLDS : PYB_GIL_RELEASED;
    struct thread_bits bits = read_thread_bits(py, t->addr);
    if (!bits.known)
        return PYB_GIL_UNKNOWN;
    if (bits.holds && !d->free)
        return PYB_GIL_HOLDS;
    return bits.waits ? PYB_GIL_WAITS : PYB_GIL_RELEASED;
}

// True when the frame that the collection began in is the thread's, below the frames of finalizers.
static bool has_frame(struct pyb_python *py, const struct pyb_tstate *t, pyb_addr frame)
{
    pyb_addr at = t->top;
    for (int i = 0; i < MAX_GC_HOPS && at; i++) {
        if (at == frame)
            return true;
        struct pyb_want previous = {.base = at, .field = py->layout.iframe_previous};
        if (pyb_wants_read(py->target->mem, &previous, 1, NULL) || !previous.ok)
            return false;
        at = previous.value;
    }
    return false;
}

static int32_t gc_of(struct pyb_python *py, const struct domain *d, const struct pyb_tstate *t)
{
    if (d->gc != 1)
        return d->gc;
    if (d->n_threads == 1)
        return 1;
    if (d->gc_frame)
        return has_frame(py, t, d->gc_frame) ? 1 : 0;
    return t->top ? -1 : 0;
}

void pyb_gil_read(struct pyb_python *py, struct pyb_threads *threads)
{
    for (size_t i = 0; i < threads->n;) {
        struct domain d;
        size_t end = i;
        read_domain(py, threads->items[i].interp, &d);
        while (end < threads->n && threads->items[end].interp == d.interp)
            end++;
        d.n_threads = end - i;
        for (; i < end; i++) {
            threads->items[i].gil = gil_of(py, &d, &threads->items[i]);
            threads->items[i].gc = gc_of(py, &d, &threads->items[i]);
        }
    }
}
