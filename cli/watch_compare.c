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

const struct watch_thread *watch_seen_find(const struct watch_seen *seen, const struct watch_thread *like)
{
    for (uint32_t i = 0; seen && i < seen->n_threads; i++) {
        if (seen->threads[i].tid == like->tid && seen->threads[i].start == like->start)
            return &seen->threads[i];
    }
    return NULL;
}

// Frames at the outer end that stand at the same place.
static uint32_t common_frames(const struct watch_thread *a, const struct watch_thread *b)
{
    uint32_t n = 0;
    while (n < a->n_frames && n < b->n_frames &&
           a->frames[a->n_frames - 1 - n].place == b->frames[b->n_frames - 1 - n].place)
        n++;
    return n;
}

static bool is_same(const struct watch_thread *a, const struct watch_thread *b)
{
    return a->n_frames == b->n_frames && common_frames(a, b) == a->n_frames && a->n_frames > 0;
}

// The innermost Python frame that all looks share: at the same place, or one further in, the same activation at other places.
static const char *shared_frame(const struct watch_thread *t, uint32_t common, bool further)
{
    uint32_t from = t->n_frames - common - (further ? 1 : 0);
    for (uint32_t i = from; i < t->n_frames; i++) {
        if (t->frames[i].label)
            return t->labels + t->frames[i].label;
    }
    return NULL;
}

static bool same_activation(const struct watch_thread *a, const struct watch_thread *b, uint32_t common)
{
    return common < a->n_frames && common < b->n_frames &&
           a->frames[a->n_frames - 1 - common].which == b->frames[b->n_frames - 1 - common].which;
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

static void compare_thread(struct watch_thread *t, const struct watch_seen *seen, struct watch_look *const *before, size_t n)
{
    uint32_t common = t->n_frames, looks = 0, same = 0, absent = 0;
    bool last_same = false, further = true;
    for (size_t i = 0; i < n; i++) {
        const struct watch_thread *old = before[i] ? watch_seen_find(watch_look_find(before[i], seen), t) : NULL;
        absent += before[i] && !old;
        if (!old)
            continue;
        looks++;
        last_same = is_same(t, old);
        same += last_same;
        uint32_t shared = common_frames(t, old);
        if (shared < common) {
            common = shared;
            further = true; // what was said of a deeper place does not count
        }
        further = further && (shared > common || same_activation(t, old, common));
        if (i + 1 == n)
            measure_cpu(t, old);
    }
    t->n_common = looks ? common : 0;
    t->motion = looks == 0 ? WATCH_UNKNOWN : same < looks ? (last_same ? WATCH_LATELY : WATCH_MOVING) : absent ? WATCH_NEW : WATCH_SAME;
    if (looks && common < t->n_frames)
        t->inside = shared_frame(t, common, further);
}

void watch_look_compare(struct watch_look *now, struct watch_look *const *before, size_t n)
{
    for (size_t i = 0; i < now->n; i++) {
        for (uint32_t k = 0; k < now->seen[i].n_threads; k++)
            compare_thread(&now->seen[i].threads[k], &now->seen[i], before, n);
    }
}
