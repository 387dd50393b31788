// SPDX-License-Identifier: Apache-2.0
// The native stack as disjoint ranges of the C stack.
//
// A native stack is a list of segments: main stack, signal stack, a coroutine's. Within one, sp never
// decreases on the way out. A signal trampoline ends a segment: the interrupted code may stand on any stack.
#include "base/error.h"
#include "stack/braid_internal.h"

#define OPEN_BOUND (UINT64_C(1) << 20)    // of a frame whose end is not known
#define LARGEST_FRAME (UINT64_C(16) << 20) // a larger step is a change of stacks

pyb_addr pyb_lookup_pc(const struct pyb_native_stack *native, uint32_t index)
{
    const struct pyb_native_frame *f = &native->frames[index];
    uint32_t real = index; // inlined frames share the pc of the real frame, and its inner neighbour
    while (real > 0 && (native->frames[real - 1].flags & PYB_NATIVE_INLINED))
        real--;
    bool exact = real == 0 || (f->flags & PYB_NATIVE_SIGNAL) ||
                 (native->frames[real - 1].flags & (PYB_NATIVE_SIGNAL | PYB_NATIVE_KERNEL));
    return exact || f->pc == 0 ? f->pc : f->pc - 1;
}

static bool same_stack(const struct pyb_braid_env *env, pyb_addr inner, pyb_addr outer)
{
    if (outer < inner || outer - inner > LARGEST_FRAME)
        return false;
    pyb_addr end = env->mapping_end(env->ctx, inner);
    return end == 0 || outer <= end;
}

static void bound(const struct pyb_braid_env *env, struct pyb_group *g, bool signal,
                  const struct pyb_group *outer)
{
    g->end = g->sp;
    if (signal || g->sp == 0)
        return; // a trampoline evaluates nothing
    if (outer && same_stack(env, g->sp, outer->sp)) {
        g->end = outer->sp;
        return;
    }
    g->open = true;
    if (__builtin_add_overflow(g->sp, OPEN_BOUND, &g->end))
        g->end = UINT64_MAX;
    pyb_addr end = env->mapping_end(env->ctx, g->sp);
    if (end != 0 && end < g->end)
        g->end = end;
}

static uint32_t group_frames(const struct pyb_braid_env *env, const struct pyb_native_stack *native,
                             struct pyb_group *groups)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < native->n_frames; i++) {
        struct pyb_group *g = &groups[n++];
        g->first = i;
        while (i + 1 < native->n_frames && (native->frames[i].flags & PYB_NATIVE_INLINED) &&
               !(native->frames[i + 1].flags & PYB_NATIVE_KERNEL))
            i++;
        g->last = i;
        g->kernel = native->frames[i].flags & PYB_NATIVE_KERNEL;
        g->sp = g->kernel ? 0 : native->frames[i].sp;
        if (!g->kernel)
            g->evaluates = env->evaluates(env->ctx, pyb_lookup_pc(native, i));
    }
    return n;
}

int pyb_groups_make(const struct pyb_braid_env *env, const struct pyb_native_stack *native,
                    struct pyb_arena *arena,
                    struct pyb_groups *ret, struct pyb_error *err)
{
    *ret = (struct pyb_groups){0};
    if (!native || native->n_frames == 0)
        return 0;
    if (native->n_frames > UINT32_MAX / 2)
        return pyb_fail(err, PYB_E_USAGE, "a native stack of %zu frames", native->n_frames);
    struct pyb_group *groups = pyb_arena_array(arena, native->n_frames, sizeof(*groups));
    if (!groups)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu native frames", native->n_frames);
    uint32_t n = group_frames(env, native, groups);
    const struct pyb_group *outer = NULL;
    for (uint32_t i = n; i-- > 0;) {
        struct pyb_group *g = &groups[i];
        bound(env, g, native->frames[g->last].flags & PYB_NATIVE_SIGNAL, outer);
        if (!g->kernel)
            outer = g;
    }
    *ret = (struct pyb_groups){groups, n};
    return 0;
}
