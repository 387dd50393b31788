// SPDX-License-Identifier: Apache-2.0
// Matching by count, up to 3.10: each Python frame has an evaluation of its own, so the k-th native
// evaluation frame from the root runs the k-th Python frame. Where the counts differ (a native stack that
// ends early, a greenlet above another's frames), the frame objects' addresses in the native frames must
// decide; one of them turns up in several frames, so they only choose between whole alignments. Nothing
// decides: nothing is matched.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "stack/braid_internal.h"

#define SLOT_BYTES 8192u // of one native frame that are searched
#define PAIRS 64u        // that an alignment is judged by
#define MAX_COLD_SEARCH 2000u // Python frames: each is looked for in each native frame of the right size

struct side {
    uint32_t *items; // innermost first
    uint32_t n;
};

struct matching {
    const struct pyb_braid_env *env;
    const struct pyb_braid_input *in;
    const struct pyb_groups *groups;
    const struct pyb_runs *runs;
    struct side native, python; // indices of groups, of runs
};

// A .part directly inside its function is the same evaluation; the inner of the two stands for it.
static void collect_native(const struct pyb_groups *groups, struct side *ret)
{
    ret->n = 0;
    for (uint32_t i = 0; i < groups->n; i++) {
        const struct pyb_group *g = &groups->items[i];
        bool whole = g->evaluates == PYB_EVALUATES && i > 0 &&
            groups->items[i - 1].evaluates == PYB_EVALUATES_PART;
        if (g->evaluates && !whole)
            ret->items[ret->n++] = i;
    }
}

static pyb_addr frame_of(const struct matching *m, uint32_t run)
{
    const struct pyb_run *r = &m->runs->items[run];
    return r->n > 0 ? m->in->frames[r->tstate].frames[r->first].addr : 0;
}

// Is the frame object's address in the native frame, or (callee) saved in the frame of what it calls?
static bool holds(const struct matching *m, uint32_t group, pyb_addr frame, bool callee)
{
    const struct pyb_group *g = &m->groups->items[group];
    pyb_addr start = g->sp;
    if (callee && group > 0 && !m->groups->items[group - 1].open &&
        m->groups->items[group - 1].end == g->sp &&
        g->sp - m->groups->items[group - 1].sp <= SLOT_BYTES / 2)
        start = m->groups->items[group - 1].sp;
    if (frame == 0 || g->end <= start)
        return false;
    uint8_t slots[SLOT_BYTES];
    size_t len = g->end - start < SLOT_BYTES ? (size_t)(g->end - start) : SLOT_BYTES;
    size_t have = m->env->read(m->env->ctx, start, slots, len);
    struct pyb_bytes b = pyb_bytes(slots, have, m->env->ptr_size, m->env->big_endian);
    for (size_t at = 0; at + b.ptr_size <= have; at += b.ptr_size) {
        if (pyb_get_ptr(&b, at) == frame)
            return true;
    }
    return false;
}

// Pairs of the alignment "the innermost `skip` evaluations have no Python frame yet" that the stack confirms.
static uint32_t confirmed(const struct matching *m, uint32_t skip, uint32_t *ret_pairs)
{
    uint32_t n = 0, pairs = 0;
    for (uint32_t j = 0; j < m->python.n && j + skip < m->native.n && pairs < PAIRS; j++, pairs++)
        n += holds(m, m->native.items[j + skip], frame_of(m, m->python.items[j]), true);
    *ret_pairs = pairs;
    return n;
}

// How many of the innermost evaluations have no Python frame: 0, or 1 while one is entered or left. -1:
// cannot be told.
static int choose_skip(const struct matching *m)
{
    uint32_t pairs[2], score[2];
    for (uint32_t skip = 0; skip < 2; skip++)
        score[skip] = confirmed(m, skip, &pairs[skip]);
    int best = score[1] > score[0];
    if (score[0] == score[1] && m->native.n > 0 && m->native.items[0] > 3)
        best = 0; // C code runs inside the innermost evaluation: it has its frame
    else if (score[0] == score[1])
        return -1;
    return pairs[best] > 0 && score[best] * 2 >= pairs[best] ? best : -1;
}

static void place(const struct matching *m, uint32_t skip)
{
    for (uint32_t j = 0; j < m->python.n && j + skip < m->native.n; j++) {
        struct pyb_run *run = &m->runs->items[m->python.items[j]];
        run->at = m->native.items[j + skip];
        run->placed = true;
        m->groups->items[run->at].matched = true;
    }
}

struct depth {
    uint32_t group;        // where the outermost frame of these runs stands
    uint32_t first, n;     // in python.items
};

static int by_depth(const void *a, const void *b)
{
    const struct depth *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static uint32_t find_depth(const struct matching *m, uint32_t run)
{
    for (uint32_t k = m->native.n; k-- > 0;) {
        if (holds(m, m->native.items[k], frame_of(m, run), true))
            return k;
    }
    return m->native.n;
}

// Two thread states on one OS thread: the one whose outermost frame stands further in comes first.
static int order_tstates(struct matching *m, struct pyb_arena *arena, struct pyb_error *err)
{
    struct depth *depths = pyb_arena_array(arena, m->in->n_tstates, sizeof(*depths));
    uint32_t *sorted = pyb_arena_array(arena, m->python.n, sizeof(*sorted));
    if (!depths || !sorted)
        return pyb_fail(err, PYB_E_NOMEM, "no memory to order thread states");
    uint32_t n = 0, first = 0, used = 0;
    for (uint32_t i = 0; i < m->python.n; i++) {
        uint32_t tstate = m->runs->items[m->python.items[i]].tstate;
        if (i + 1 < m->python.n && m->runs->items[m->python.items[i + 1]].tstate == tstate)
            continue;
        depths[n++] = (struct depth){find_depth(m, m->python.items[i]), first, i + 1 - first};
        first = i + 1;
    }
    qsort(depths, n, sizeof(*depths), by_depth);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(sorted + used, m->python.items + depths[i].first, depths[i].n * sizeof(*sorted));
        used += depths[i].n;
    }
    m->python.items = sorted;
    return 0;
}

static bool is_like_an_evaluation(const struct matching *m, uint32_t group, uint64_t size)
{
    const struct pyb_group *g = &m->groups->items[group];
    if (g->evaluates || g->kernel || g->open || g->end - g->sp != size)
        return false;
    for (uint32_t i = 0; i < m->python.n; i++) {
        if (holds(m, group, frame_of(m, m->python.items[i]), false))
            return true;
    }
    return false;
}

// A cold part without a symbol has the stack frame of its function: the same size, a frame object's address
// in it. Taken only if with them the count is right.
static void adopt_cold_parts(struct matching *m)
{
    uint32_t lacking = m->python.n - m->native.n, found = 0, at[8];
    if (m->native.n == 0 || lacking > sizeof(at) / sizeof(*at) || m->python.n > MAX_COLD_SEARCH)
        return;
    const struct pyb_group *known = &m->groups->items[m->native.items[m->native.n - 1]];
    for (uint32_t i = 0; !known->open && i < m->groups->n; i++) {
        if (!is_like_an_evaluation(m, i, known->end - known->sp))
            continue;
        if (found == lacking)
            return; // more than are lacking: which, is not known
        at[found++] = i;
    }
    if (found != lacking)
        return;
    for (uint32_t i = 0; i < found; i++) {
        m->env->learn(m->env->ctx, pyb_lookup_pc(m->in->native, m->groups->items[at[i]].last));
        m->groups->items[at[i]].evaluates = PYB_EVALUATES;
    }
    collect_native(m->groups, &m->native);
}

int pyb_match_by_count(const struct pyb_braid_env *env, const struct pyb_braid_input *in,
                       const struct pyb_groups *groups, struct pyb_runs *runs, struct pyb_arena *arena,
                       const char **ret_note, struct pyb_error *err)
{
    struct matching m = {.env = env, .in = in, .groups = groups, .runs = runs};
    *ret_note = NULL;
    m.native.items = pyb_arena_array(arena, groups->n, sizeof(uint32_t));
    m.python.items = pyb_arena_array(arena, runs->n, sizeof(uint32_t));
    if (!m.native.items || !m.python.items)
        return pyb_fail(err, PYB_E_NOMEM, "no memory to match %u frames", runs->n);
    collect_native(groups, &m.native);
    for (uint32_t i = 0; i < runs->n; i++) {
        if (runs->items[i].n > 0)
            m.python.items[m.python.n++] = i;
    }
    if (m.python.n == 0)
        return 0;
    if (in->n_tstates > 1) {
        int code = order_tstates(&m, arena, err);
        if (code != 0)
            return code;
    }
    if (m.native.n < m.python.n && !in->native->truncated)
        adopt_cold_parts(&m);
    if (m.native.n == m.python.n && !in->native->truncated) {
        place(&m, 0);
        return 0;
    }
    int skip = choose_skip(&m);
    if (skip >= 0) {
        place(&m, (uint32_t)skip);
        return 0;
    }
    *ret_note = pyb_arena_printf(arena,
                                 "%u Python frames, but %u native frames that evaluate one: they cannot be "
                                 "matched", m.python.n, m.native.n);
    return *ret_note ? 0 : pyb_fail(err, PYB_E_NOMEM, "no memory for a note");
}
