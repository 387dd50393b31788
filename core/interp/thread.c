// SPDX-License-Identifier: Apache-2.0
#include "interp/thread.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "interp/fields.h"
#include "interp/runtime.h"

struct walk {
    struct pyb_python *py;
    struct pyb_arena *arena;
    struct pyb_threads *ret;
    struct pyb_map seen; // interpreters and thread states, each once
    size_t cap;
    uint32_t n_interps;
    pyb_addr main_thread; // pthread_self() of the main thread, 0: unknown
    pyb_addr main_interp;
    pyb_addr finalizing;  // thread state that finalizes the runtime
    bool torn;            // the list does not hang together: it may have changed while it was read
};

#define WALK_TRIES 3

// The first remark stays: it is the one that explains the others.
static void remark(struct walk *w, const char *format, pyb_addr at)
{
    if (!w->ret->note)
        w->ret->note = pyb_arena_printf(w->arena, format, at);
}

// 1: seen for the first time, 0: again, or a final error.
static int first_time(struct walk *w, pyb_addr at, struct pyb_error *err)
{
    if (pyb_map_get(&w->seen, at, NULL))
        return 0;
    return pyb_map_put(&w->seen, at, 1) ? pyb_fail(err, PYB_E_NOMEM, "no memory for the list of threads") : 1;
}

static int grow(struct walk *w, struct pyb_error *err)
{
    if (w->ret->n < w->cap)
        return 0;
    size_t cap = w->cap ? w->cap * 2 : 16;
    struct pyb_tstate *items = pyb_arena_array(w->arena, cap, sizeof(*items));
    if (!items)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu threads", cap);
    if (w->ret->n)
        memcpy(items, w->ret->items, w->ret->n * sizeof(*items));
    w->ret->items = items;
    w->cap = cap;
    return 0;
}

static struct pyb_field top_field(const struct pyb_layout *l)
{
    switch (l->walker) {
    case PYB_WALKER_CFRAME:
        return l->tstate_cframe;
    case PYB_WALKER_IFRAME:
        return l->tstate_current_frame;
    default:
        return l->tstate_frame;
    }
}

// Where the chain of frames ends: in the thread state itself (3.11-3.12 root_cframe, 3.15 base_frame), not on the C stack.
static pyb_addr base_of(const struct pyb_layout *l, pyb_addr tstate)
{
    if (l->walker == PYB_WALKER_CFRAME)
        return pyb_field_at(tstate, l->tstate_root_cframe);
    return l->walker == PYB_WALKER_IFRAME ? pyb_field_at(tstate, l->tstateimpl_base_frame) : 0;
}

enum { W_NEXT, W_INTERP, W_TOP, W_ID, W_NATIVE, W_STATUS, W_COUNT };

static int read_tstate(struct walk *w, pyb_addr at, pyb_addr interp, struct pyb_tstate *t, pyb_addr *ret_next, struct pyb_error *err)
{
    const struct pyb_layout *l = &w->py->layout;
    const struct pyb_bits bits = l->tstate_status_finalizing;
    struct pyb_want want[W_COUNT] = {
        [W_NEXT] = {.base = at, .field = l->tstate_next},
        [W_INTERP] = {.base = at, .field = l->tstate_interp},
        [W_TOP] = {.base = at, .field = top_field(l)},
        [W_ID] = {.base = at, .field = l->tstate_thread_id},
        [W_NATIVE] = {.base = at, .field = l->tstate_native_thread_id},
        [W_STATUS] = {.base = at, .field = {.offset = pyb_has_bits(bits) ? bits.offset : PYB_ABSENT, .width = bits.width}},
    };
    int rc = pyb_wants_read(w->py->target->mem, want, W_COUNT, err);
    if (rc)
        return rc;
    if (!want[W_NEXT].ok || !want[W_INTERP].ok || want[W_INTERP].value != interp)
        return PYB_E_CORRUPT;
    bool big = w->py->target->mem->big_endian;
    uint64_t native = want[W_NATIVE].value;
    *t = (struct pyb_tstate){
        .addr = at,
        .interp = interp,
        .thread_id = want[W_ID].value,
        .native_tid = native <= INT32_MAX ? (int32_t)native : 0,
        .top = want[W_TOP].value,
        .base = base_of(l, at),
        .gil = PYB_GIL_UNKNOWN,
        .gc = -1,
        .main = w->main_thread && want[W_ID].value == w->main_thread && (!w->main_interp || interp == w->main_interp),
        .finalizing = w->finalizing != 0 || (want[W_STATUS].ok && pyb_bits_get(bits, want[W_STATUS].value, big)),
    };
    *ret_next = want[W_NEXT].value;
    return 0;
}

static int read_threads(struct walk *w, pyb_addr interp, int64_t interp_id, pyb_addr first, struct pyb_error *err)
{
    for (pyb_addr at = first; at != 0;) {
        if (w->ret->n >= PYB_MAX_THREADS) {
            remark(w, "list of thread states cut after 131072 of them, at 0x%" PRIx64, at);
            return 0;
        }
        int rc = first_time(w, at, err);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            remark(w, "the list of thread states comes back to 0x%" PRIx64, at);
            w->torn = true;
            return 0;
        }
        struct pyb_tstate t;
        pyb_addr next = 0;
        rc = read_tstate(w, at, interp, &t, &next, err);
        if (pyb_is_final(rc))
            return rc;
        if (rc) {
            remark(w, "the list of thread states ends at 0x%" PRIx64 ", which is none (it changed while it was read?)", at);
            w->torn = true;
            return 0;
        }
        rc = grow(w, err);
        if (rc)
            return rc;
        t.interp_id = interp_id;
        w->ret->items[w->ret->n++] = t;
        at = next;
    }
    return 0;
}

static int read_interp(struct walk *w, pyb_addr interp, pyb_addr *ret_next, struct pyb_error *err)
{
    const struct pyb_layout *l = &w->py->layout;
    struct pyb_want want[] = {{.base = interp, .field = l->interp_next},
                              {.base = interp, .field = l->interp_tstate_head},
                              {.base = interp, .field = l->interp_id}};
    int rc = pyb_wants_read(w->py->target->mem, want, 3, err);
    if (rc)
        return rc;
    if (!want[0].ok || !want[1].ok)
        return PYB_E_CORRUPT;
    // Up to 3.6 interpreters have no number: the one made first is the last of the list.
    int64_t id = want[2].ok && want[2].value <= INT64_MAX ? (int64_t)want[2].value : want[0].value == 0 ? 0 : -1;
    *ret_next = want[0].value;
    return read_threads(w, interp, id, want[1].value, err);
}

// main_thread and _finalizing of _PyRuntime.
static int read_runtime(struct walk *w, struct pyb_error *err)
{
    const struct pyb_layout *l = &w->py->layout;
    pyb_addr runtime = w->py->runtime;
    if (runtime == 0)
        return 0;
    struct pyb_want want[] = {{.base = runtime, .field = l->runtime_main_thread},
                              {.base = runtime, .field = l->runtime_finalizing},
                              {.base = runtime, .field = l->runtime_interpreters_main}};
    int rc = pyb_wants_read(w->py->target->mem, want, 3, err);
    w->main_thread = want[0].value;
    w->finalizing = want[1].value;
    w->main_interp = want[2].value;
    w->ret->finalizing = w->finalizing != 0;
    return rc;
}

// Before 3.8 nothing in memory says who the main thread is: the thread state made first, the last one of the main interpreter's list.
static void guess_main(struct walk *w)
{
    if (pyb_has_field(w->py->layout.runtime_main_thread) || w->ret->note || w->ret->n == 0)
        return;
    w->ret->items[w->ret->n - 1].main = true;
}

static int walk_interps(struct walk *w, struct pyb_error *err)
{
    pyb_addr interp = 0;
    int rc = pyb_interp_first(w->py, &interp, err);
    while (rc == 0 && interp != 0) {
        if (w->n_interps++ >= PYB_MAX_INTERPRETERS) {
            remark(w, "list of interpreters cut after 4096 of them, at 0x%" PRIx64, interp);
            break;
        }
        int first = first_time(w, interp, err);
        if (first < 0)
            return first;
        if (first == 0) {
            remark(w, "the list of interpreters comes back to 0x%" PRIx64, interp);
            w->torn = true;
            break;
        }
        pyb_addr next = 0;
        rc = read_interp(w, interp, &next, err);
        if (rc && !pyb_is_final(rc)) {
            remark(w, "the list of interpreters ends at 0x%" PRIx64 ", which is none", interp);
            w->torn = true;
            return 0;
        }
        interp = next;
    }
    return rc;
}

static int walk_once(struct pyb_python *py, struct pyb_arena *arena, struct pyb_threads *ret, bool *ret_torn, struct pyb_error *err)
{
    memset(ret, 0, sizeof(*ret));
    struct walk w = {.py = py, .arena = arena, .ret = ret};
    pyb_map_init(&w.seen, py->target->ctx);
    int rc = read_runtime(&w, err);
    if (rc == 0)
        rc = walk_interps(&w, err);
    if (rc == 0)
        guess_main(&w);
    pyb_map_deinit(&w.seen);
    *ret_torn = w.torn;
    return rc;
}

// Threads of a running target come and go: a list that does not hang together is read again.
int pyb_threads_read(struct pyb_python *py, struct pyb_arena *arena, struct pyb_threads *ret, struct pyb_error *err)
{
    bool torn = false;
    int rc = walk_once(py, arena, ret, &torn, err);
    for (int i = 1; i < WALK_TRIES && rc == 0 && torn && !py->target->is_core; i++) {
        pyb_memory_invalidate(py->target->mem);
        rc = walk_once(py, arena, ret, &torn, err);
    }
    return rc;
}

int pyb_tstate_refresh(struct pyb_python *py, struct pyb_tstate *t, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    enum { INTERP, TOP, ID, NATIVE, N };
    struct pyb_want want[N] = {[INTERP] = {.base = t->addr, .field = l->tstate_interp},
                               [TOP] = {.base = t->addr, .field = top_field(l)},
                               [ID] = {.base = t->addr, .field = l->tstate_thread_id},
                               [NATIVE] = {.base = t->addr, .field = l->tstate_native_thread_id}};
    int rc = pyb_wants_read(py->target->mem, want, N, err);
    if (rc)
        return rc;
    uint64_t native = want[NATIVE].value <= INT32_MAX ? want[NATIVE].value : 0;
    if (!want[INTERP].ok || !want[TOP].ok || want[INTERP].value != t->interp || want[ID].value != t->thread_id ||
        (int32_t)native != t->native_tid)
        return pyb_fail_at(err, PYB_E_NOTFOUND, t->addr, 0, "the thread state at 0x%" PRIx64 " is gone: list them again", t->addr);
    t->top = want[TOP].value;
    return 0;
}
