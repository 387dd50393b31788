// SPDX-License-Identifier: Apache-2.0
// What moved between the looks at a tree, and what did not.
#include <unistd.h>

#include "watch_look.h"

const struct watch_seen *watch_look_find(const struct watch_look *look, const struct watch_seen *like)
{
    for (size_t i = 0; look && i < look->n; i++) {
        const struct watch_proc *p = &look->seen[i].proc;
        if (p->pid == like->proc.pid && p->start == like->proc.start)
            return &look->seen[i];
    }
    return NULL;
}

const struct watch_thread *watch_seen_find(const struct watch_seen *seen, const struct watch_thread *like, uint32_t at)
{
    if (seen && at < seen->n_threads && seen->threads[at].tid == like->tid && seen->threads[at].start == like->start)
        return &seen->threads[at];
    for (uint32_t i = 0; seen && i < seen->n_threads; i++) {
        if (seen->threads[i].tid == like->tid && seen->threads[i].start == like->start)
            return &seen->threads[i];
    }
    return NULL;
}

static bool is_same(const struct watch_thread *a, const struct watch_thread *b)
{
    if (a->n_frames != b->n_frames || a->n_frames == 0)
        return false;
    for (uint32_t i = 0; i < a->n_frames; i++) {
        if (a->frames[i].place != b->frames[i].place)
            return false;
    }
    return true;
}

// The next Python frame outward from index `at` down to 0 (the innermost); NULL: none.
static const struct watch_frame *python_frame(const struct watch_thread *t, uint32_t *at)
{
    while (*at > 0) {
        const struct watch_frame *f = &t->frames[--*at];
        if (f->label)
            return f;
    }
    return NULL;
}

// Python frames from the outer end on that are the same activations (as far as an address tells: it can be used again): all but the last of them stand at the same place too. What
// native frames lie between differs with what is called. *ret_all_placed: these
// are all, and the last one too stands where it stood.
static uint32_t shared_frames(const struct watch_thread *a, const struct watch_thread *b, bool *ret_all_placed)
{
    uint32_t n = 0, at_a = a->n_frames, at_b = b->n_frames;
    *ret_all_placed = true;
    for (;;) {
        const struct watch_frame *x = python_frame(a, &at_a), *y = python_frame(b, &at_b);
        if (!x || !y || x->which != y->which) {
            *ret_all_placed = *ret_all_placed && !x && !y;
            return n;
        }
        n++;
        if (x->place != y->place) {
            *ret_all_placed = false;
            return n;
        }
    }
}

static const char *shared_label(const struct watch_thread *t, uint32_t n)
{
    const struct watch_frame *f = NULL;
    for (uint32_t at = t->n_frames; n > 0; n--)
        f = python_frame(t, &at);
    return f ? t->labels + f->label : NULL;
}

static void measure_cpu(struct watch_thread *t, const struct watch_thread *before)
{
    double seconds = (double)(t->at_ns - before->at_ns) / 1e9;
    long hertz = sysconf(_SC_CLK_TCK);
    if (seconds > 0 && hertz > 0 && t->ticks >= before->ticks)
        t->cpu = (double)(t->ticks - before->ticks) / (double)hertz / seconds;
    if (t->switches >= before->switches)
        t->woke = t->switches - before->switches;
}

static void compare_thread(struct watch_thread *t, uint32_t at, const struct watch_seen *seen, struct watch_look *const *before,
                           size_t n)
{
    uint32_t shared = UINT32_MAX, looks = 0, same = 0, placed = 0, absent = 0;
    bool last_same = false, all_placed;
    for (size_t i = 0; i < n; i++) {
        const struct watch_thread *old = before[i] ? watch_seen_find(watch_look_find(before[i], seen), t, at) : NULL;
        absent += before[i] && !old;
        if (!old)
            continue;
        looks++;
        last_same = is_same(t, old);
        same += last_same;
        uint32_t now = shared_frames(t, old, &all_placed);
        shared = now < shared ? now : shared;
        placed += all_placed;
        if (i + 1 == n)
            measure_cpu(t, old);
    }
    if (looks == 0)
        return;
    t->n_common = shared;
    t->same_lines = placed == looks;
    t->motion = same == looks ? absent ? WATCH_NEW : WATCH_SAME : last_same ? WATCH_LATELY : WATCH_MOVING;
    if (same < looks)
        t->inside = shared_label(t, shared);
}

void watch_look_compare(struct watch_look *now, struct watch_look *const *before, size_t n)
{
    for (size_t i = 0; i < now->n; i++) {
        for (uint32_t k = 0; k < now->seen[i].n_threads; k++)
            compare_thread(&now->seen[i].threads[k], k, &now->seen[i], before, n);
    }
}
