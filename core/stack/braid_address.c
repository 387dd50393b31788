// SPDX-License-Identifier: Apache-2.0
// Matching by address: an evaluation belongs to the native frame that holds the struct it left on the C
// stack.
#include <stdlib.h>

#include "stack/braid_internal.h"

// Closed groups by sp, for a binary search.
struct index {
    const struct pyb_group **items;
    size_t n;
};

static int by_sp(const void *a, const void *b)
{
    const struct pyb_group *x = *(const struct pyb_group *const *)a, *y = *(const struct pyb_group *const *)b;
    if (x->sp != y->sp)
        return x->sp < y->sp ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static bool index_make(const struct pyb_groups *groups, struct pyb_arena *arena, struct index *ret)
{
    ret->n = 0;
    ret->items = pyb_arena_array(arena, groups->n, sizeof(*ret->items));
    if (!ret->items)
        return false;
    for (uint32_t i = 0; i < groups->n; i++) {
        if (!groups->items[i].open && groups->items[i].end > groups->items[i].sp)
            ret->items[ret->n++] = &groups->items[i];
    }
    qsort(ret->items, ret->n, sizeof(*ret->items), by_sp);
    return true;
}

static const struct pyb_group *find_closed(const struct index *index, pyb_addr addr)
{
    size_t low = 0, high = index->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->items[middle]->sp <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && addr < index->items[low - 1]->end ? index->items[low - 1] : NULL;
}

// The last frame of a segment: only its lower end is known. If its function is known to evaluate and it is
// not the innermost (which may not have made its struct yet), the first struct above its sp is its own.
static const struct pyb_group *find_open(const struct pyb_groups *groups, pyb_addr addr)
{
    for (uint32_t i = 1; i < groups->n; i++) {
        const struct pyb_group *g = &groups->items[i];
        if (g->open && g->evaluates && !g->matched && addr >= g->sp && addr < g->end)
            return g;
    }
    return NULL;
}

// Open groups are one for each change of stacks: few in truth. A hostile native stack must not make this
// quadratic.
static bool few_open(const struct pyb_groups *groups)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < groups->n; i++)
        n += groups->items[i].open;
    return n <= 64;
}

void pyb_match_by_address(const struct pyb_braid_env *env, const struct pyb_native_stack *native,
                          const struct pyb_groups *groups, struct pyb_runs *runs, struct pyb_arena *arena)
{
    struct index index;
    if (!index_make(groups, arena, &index))
        return; // all stay unplaced, and are printed as such
    bool look_in_open = few_open(groups);
    uint32_t tstate = UINT32_MAX, inner = 0;
    for (uint32_t i = 0; i < runs->n; i++) {
        struct pyb_run *run = &runs->items[i];
        if (run->tstate != tstate)
            inner = 0;
        tstate = run->tstate;
        if (run->addr == 0)
            continue;
        const struct pyb_group *g = find_closed(&index, run->addr);
        // Where unwinding went wrong, a frame of some library may seem to reach over all that the unwinder lost.
        if (g && env->foreign(env->ctx, pyb_lookup_pc(native, g->last)))
            continue;
        if (g)
            env->learn(env->ctx, pyb_lookup_pc(native, g->last));
        else if (look_in_open)
            g = find_open(groups, run->addr);
        // A chain that runs against the stack's direction is not believed.
        if (!g || (uint32_t)(g - groups->items) < inner)
            continue;
        inner = (uint32_t)(g - groups->items);
        run->at = inner;
        run->placed = true;
        groups->items[inner].matched = true;
    }
}
