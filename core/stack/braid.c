// SPDX-License-Identifier: Apache-2.0
// The braid itself: runs of Python frames, placed by one of the two matchings, written out between native
// frames.
#include <stdlib.h>

#include "base/error.h"
#include "stack/braid_internal.h"

struct braid {
    const struct pyb_braid_env *env;
    const struct pyb_braid_input *in;
    struct pyb_arena *arena;
    struct pyb_groups groups;
    struct pyb_runs runs;
    const char *count_note; // why counting placed nothing
    uint32_t cut;           // first group that is not shown, groups.n: none
    struct pyb_strand *items;
    uint32_t n, cap;
    const char *note;       // the first reason for incompleteness
};

static int no_memory(struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_NOMEM, "no memory for the braid");
}

// Evaluations as the reader gave them; frames that belong to none follow as runs of their own: nothing is
// dropped.
static uint32_t runs_of(const struct pyb_frames *f, uint32_t tstate, struct pyb_run *ret)
{
    uint32_t n = 0, next = 0;
    pyb_addr key = 0;
    for (uint32_t i = 0; i < f->n_evaluations; i++) {
        const struct pyb_evaluation *e = &f->evaluations[i];
        if (e->first != next || e->n > f->n - next)
            break;
        if (e->stack_addr > key)
            key = e->stack_addr;
        ret[n] = (struct pyb_run){.tstate = tstate, .first = next, .n = e->n, .addr = e->stack_addr,
                                  .key = key};
        n++;
        next += e->n;
    }
    if (next < f->n || (!f->complete && n == 0)) {
        ret[n] = (struct pyb_run){.tstate = tstate, .first = next, .n = f->n - next, .key = key};
        n++;
    }
    if (!f->complete)
        ret[n - 1].tail_note = f->note ? f->note : "the Python stack is incomplete";
    return n;
}

static int collect_runs(struct braid *b, struct pyb_error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < b->in->n_tstates; i++)
        total += (size_t)b->in->frames[i].n_evaluations + 1;
    b->runs.items = pyb_arena_array(b->arena, total, sizeof(*b->runs.items));
    if (!b->runs.items || total > UINT32_MAX / 4)
        return no_memory(err);
    for (size_t i = 0; i < b->in->n_tstates; i++)
        b->runs.n += runs_of(&b->in->frames[i], (uint32_t)i, b->runs.items + b->runs.n);
    for (uint32_t i = 0; i < b->runs.n; i++) {
        b->runs.items[i].seq = i;
        b->runs.items[i].at = b->groups.n;
    }
    return 0;
}

static bool has_addresses(const struct pyb_runs *runs)
{
    for (uint32_t i = 0; i < runs->n; i++) {
        if (runs->items[i].addr != 0)
            return true;
    }
    return false;
}

// A run without a native frame is printed where its chain puts it: outside the frame that holds the run
// before it, if a later one was placed too; else after everything.
static void seat_unplaced(struct braid *b)
{
    uint32_t tstate = UINT32_MAX, outer = 0;
    for (uint32_t i = b->runs.n; i-- > 0;) {
        struct pyb_run *run = &b->runs.items[i];
        if (run->tstate != tstate)
            outer = b->groups.n;
        tstate = run->tstate;
        if (run->placed)
            outer = run->at;
        else
            run->at = outer; // as far out as the next one
    }
    uint32_t inner = 0;
    tstate = UINT32_MAX;
    for (uint32_t i = 0; i < b->runs.n; i++) {
        struct pyb_run *run = &b->runs.items[i];
        if (run->tstate != tstate)
            inner = 0;
        tstate = run->tstate;
        if (run->placed)
            inner = run->at + 1;
        else if (run->at != b->groups.n && inner < run->at)
            run->at = inner;
    }
}

// The first evaluation frame outside every matched one belongs to no frame of this thread: another
// greenlet's, below the first frame of this one. From there on nothing is shown. Not so where Python frames
// are known to be missing.
static void find_cut(struct braid *b)
{
    b->cut = b->groups.n;
    uint32_t next = 0;
    bool any = false, entered = false;
    if (b->in->n_tstates == 0)
        return;
    for (uint32_t i = 0; i < b->runs.n; i++) {
        const struct pyb_run *run = &b->runs.items[i];
        if (run->tail_note || (!run->placed && run->n > 0 && b->count_note))
            return;
        any |= b->runs.items[i].n > 0;
    }
    for (uint32_t i = 0; i < b->groups.n; i++) {
        if (b->groups.items[i].matched)
            next = i + 1;
    }
    if (any && next == 0)
        return; // nothing was placed: the notice before the Python frames says so
    for (uint32_t i = next; i < b->groups.n && b->cut == b->groups.n; i++) {
        const struct pyb_group *g = &b->groups.items[i];
        if (g->evaluates != PYB_EVALUATES ||
            (i > 0 && b->groups.items[i - 1].evaluates == PYB_EVALUATES_PART))
            continue;
        if (next > 0 || entered)
            b->cut = i;
        entered = true; // without any Python frame, the innermost may be one that is being entered
    }
}

static struct pyb_strand *add(struct braid *b, enum pyb_frame_kind kind)
{
    // The capacity is the sum of all there can be (count_strands); a miscount must not write beyond it.
    if (b->n == b->cap)
        return NULL;
    struct pyb_strand *s = &b->items[b->n++];
    s->kind = kind;
    return s;
}

static void add_gap(struct braid *b, const char *note)
{
    struct pyb_strand *s = add(b, PYB_FRAME_GAP);
    if (s)
        s->note = note;
    if (!b->note)
        b->note = note;
}

static void add_run(struct braid *b, const struct pyb_run *run)
{
    for (uint32_t i = 0; i < run->n; i++) {
        struct pyb_strand *s = add(b, PYB_FRAME_PYTHON);
        if (s) {
            s->tstate = run->tstate;
            s->frame = run->first + i;
        }
    }
    if (run->tail_note)
        add_gap(b, run->tail_note);
}

static void add_native(struct braid *b, const struct pyb_group *g, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        struct pyb_strand *s = add(b, g->kernel ? PYB_FRAME_KERNEL : PYB_FRAME_NATIVE);
        if (s) {
            s->native = i;
            s->evaluation = i == g->last && (g->evaluates || g->matched);
            s->plumbing = s->evaluation;
        }
    }
}

static int by_place(const void *a, const void *b)
{
    const struct pyb_run *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static const char *end_note(struct braid *b, bool python_follows)
{
    const char *rest = python_follows ? "; the Python frames that follow have no native frame" : "";
    const char *why = b->in->native->truncated;
    const char *text;
    if (b->count_note)
        text = b->count_note;
    else if (why)
        text = pyb_arena_printf(b->arena, "native stack ends here: %s%s", why, rest);
    else
        text = "native stack ends here, the unwinder does not say why; the Python frames that follow have no "
               "native frame";
    return text ? text : "native stack ends here";
}

static const char *cut_note(struct braid *b)
{
    size_t left = b->in->native->n_frames - b->groups.items[b->cut].first;
    const char *text = pyb_arena_printf(b->arena,
                                        "native stack ends here: the next frame runs Python code of no frame "
                                        "of this thread (another greenlet's?); not shown: %zu", left);
    return text ? text : "native stack ends here: the next frame runs Python code of no frame of this thread";
}

// Where in the runs the output is, and what was said of those of one group.
struct cursor {
    uint32_t next;
    bool said, placed;
};

// Runs that are printed inside group `at`, up to the first that the group evaluates, or all of them.
static void add_runs(struct braid *b, struct cursor *c, uint32_t at, bool all)
{
    for (; c->next < b->runs.n && b->runs.items[c->next].at <= at; c->next++) {
        const struct pyb_run *run = &b->runs.items[c->next];
        if (run->placed && !all)
            return;
        if (run->placed && c->placed)
            add_gap(b, "a native frame is missing here: two evaluations in one frame");
        if (!run->placed && run->n > 0 && !c->said && at < b->groups.n)
            add_gap(b, "no native frame was found for the next Python frames");
        c->said |= !run->placed && run->n > 0;
        c->placed |= run->placed;
        add_run(b, run);
    }
}

// What is inlined into an evaluation function was called by the Python code that it runs: it stands inside
// that.
static void add_group(struct braid *b, struct cursor *c, uint32_t index)
{
    const struct pyb_group *g = &b->groups.items[index];
    c->said = c->placed = false;
    add_runs(b, c, index, false);
    add_native(b, g, g->first, g->last);
    add_runs(b, c, index, true);
    add_native(b, g, g->last, g->last + 1);
}

static bool has_frames(const struct braid *b, uint32_t next)
{
    for (; next < b->runs.n; next++) {
        if (b->runs.items[next].n > 0)
            return true;
    }
    return false;
}

static void write_out(struct braid *b)
{
    struct cursor cursor = {.next = 0};
    uint32_t first_matched = b->groups.n;
    bool entering = true;
    for (uint32_t i = b->groups.n; i-- > 0;) {
        if (b->groups.items[i].matched)
            first_matched = i;
    }
    for (uint32_t i = 0; i < b->cut; i++) {
        const struct pyb_group *g = &b->groups.items[i];
        bool lonely = g->evaluates == PYB_EVALUATES && !g->matched && first_matched < b->groups.n &&
                      !(i > 0 && b->groups.items[i - 1].evaluates == PYB_EVALUATES_PART);
        if (lonely && !(entering && i < first_matched))
            add_gap(b, "the next native frame evaluates Python code, but no Python frame matches it");
        entering &= !g->evaluates; // the innermost evaluation may be one that is being entered or left
        add_group(b, &cursor, i);
    }
    if (b->cut < b->groups.n)
        add_gap(b, cut_note(b));
    bool left = has_frames(b, cursor.next);
    if (b->groups.n > 0 && (left || b->in->native->truncated) && (left || b->cut == b->groups.n))
        add_gap(b, end_note(b, left));
    else if (b->groups.n == 0 && b->in->native && b->in->native->truncated)
        add_gap(b, end_note(b, left));
    add_runs(b, &cursor, b->groups.n, true);
}

static int count_strands(struct braid *b, struct pyb_error *err)
{
    size_t cap = 4; // notices at the end
    for (uint32_t i = 0; i < b->runs.n; i++)
        cap += (size_t)b->runs.items[i].n + 3; // frames, notices before and after
    for (uint32_t i = 0; i < b->groups.n; i++)
        cap += (size_t)(b->groups.items[i].last - b->groups.items[i].first) + 2;
    if (cap > UINT32_MAX)
        return no_memory(err);
    b->cap = (uint32_t)cap;
    b->items = pyb_arena_array(b->arena, cap, sizeof(*b->items));
    return b->items ? 0 : no_memory(err);
}

static int match(struct braid *b, struct pyb_error *err)
{
    int code = pyb_groups_make(b->env, b->in->native, b->arena, &b->groups, err);
    if (code == 0)
        code = collect_runs(b, err);
    if (code != 0 || b->groups.n == 0)
        return code;
    if (has_addresses(&b->runs)) {
        pyb_match_by_address(b->env, b->in->native, &b->groups, &b->runs, b->arena);
        // What was learned while matching names evaluation frames that came before.
        for (uint32_t i = 0; i < b->groups.n; i++) {
            struct pyb_group *g = &b->groups.items[i];
            if (!g->kernel && !g->evaluates)
                g->evaluates = b->env->evaluates(b->env->ctx, pyb_lookup_pc(b->in->native, g->last));
        }
    } else {
        code = pyb_match_by_count(b->env, b->in, &b->groups, &b->runs, b->arena, &b->count_note, err);
    }
    return code;
}

int pyb_braid_with(const struct pyb_braid_env *env, const struct pyb_braid_input *in, struct pyb_arena *arena,
                   struct pyb_braid *ret, struct pyb_error *err)
{
    struct braid b = {.env = env, .in = in, .arena = arena};
    *ret = (struct pyb_braid){0};
    int code = match(&b, err);
    if (code != 0)
        return code;
    seat_unplaced(&b);
    find_cut(&b);
    // After a cut, what is printed further out comes at the end.
    for (uint32_t i = 0; i < b.runs.n; i++) {
        if (b.runs.items[i].at > b.cut)
            b.runs.items[i].at = b.groups.n;
    }
    qsort(b.runs.items, b.runs.n, sizeof(*b.runs.items), by_place);
    code = count_strands(&b, err);
    if (code != 0)
        return code;
    write_out(&b);
    *ret = (struct pyb_braid){.items = b.items, .n = b.n, .complete = b.note == NULL, .note = b.note};
    return 0;
}
