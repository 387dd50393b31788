// SPDX-License-Identifier: Apache-2.0
// A whole process: its header, the conclusions, its threads; those with equal stacks once.
#include <stdlib.h>
#include <string.h>

#include "output/text.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_frame(const struct pyb_frame *a, const struct pyb_frame *b)
{
    if (a->kind != b->kind || !same_text(a->note, b->note) || !same_text(a->name, b->name) || a->locals || b->locals)
        return false;
    if (a->kind == PYB_FRAME_PYTHON)
        return a->line == b->line && a->column == b->column && a->code == b->code && a->interpreter == b->interpreter;
    return a->pc == b->pc && a->inlined == b->inlined;
}

static bool same_state(const struct pyb_thread *a, const struct pyb_thread *b)
{
    return a->active == b->active && a->gil == b->gil && a->gc == b->gc && a->mode == b->mode && a->state == b->state &&
           a->complete == b->complete && a->has_python == b->has_python && a->interpreter == b->interpreter &&
           same_text(a->note, b->note) && same_text(a->syscall, b->syscall);
}

// The next frame that is shown, from index `at` on.
static const struct pyb_frame *next_shown(const struct pyb_text *t, const struct pyb_thread *thread, uint32_t *at)
{
    while (*at < thread->n_frames && !pyb_text_shows(t, &thread->frames[*at]))
        (*at)++;
    return *at < thread->n_frames ? &thread->frames[(*at)++] : NULL;
}

static bool same_stack(const struct pyb_text *t, const struct pyb_thread *a, const struct pyb_thread *b)
{
    uint32_t i = 0, k = 0;
    if (!same_state(a, b))
        return false;
    for (;;) {
        const struct pyb_frame *x = next_shown(t, a, &i), *y = next_shown(t, b, &k);
        if (!x || !y)
            return x == y;
        if (!same_frame(x, y))
            return false;
    }
}

// A number that equal stacks have in common: only threads with the same one are compared in full.
static uint64_t likeness(const struct pyb_text *t, const struct pyb_thread *thread)
{
    uint64_t sum = thread->has_python;
    for (uint32_t i = 0; i < thread->n_frames; i++) {
        const struct pyb_frame *f = &thread->frames[i];
        if (pyb_text_shows(t, f))
            sum = (sum ^ (f->kind == PYB_FRAME_PYTHON ? f->code + (uint32_t)f->line : f->pc)) * UINT64_C(1099511628211);
    }
    return sum;
}

struct entry {
    uint64_t likeness;
    uint32_t index, group; // group: index of the first thread that is equal
};

static int by_likeness(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->likeness != y->likeness)
        return x->likeness < y->likeness ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int by_index(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void group(const struct pyb_text *t, const struct pyb_process *p, struct entry *entries)
{
    for (uint32_t i = 0; i < p->n_threads; i++)
        entries[i] = (struct entry){likeness(t, &p->threads[i]), i, i};
    qsort(entries, p->n_threads, sizeof(*entries), by_likeness);
    for (uint32_t i = 0; i < p->n_threads; i++) {
        for (uint32_t k = i; k-- > 0 && entries[k].likeness == entries[i].likeness;) {
            const struct entry *first = &entries[k];
            if (first->group == first->index && same_stack(t, &p->threads[first->index], &p->threads[entries[i].index])) {
                entries[i].group = first->index;
                break;
            }
        }
    }
    qsort(entries, p->n_threads, sizeof(*entries), by_index);
}

static void process_header(struct pyb_text *t, const struct pyb_process *p)
{
    pyb_text_style(t, PYB_STYLE_HEADER);
    if (p->core) {
        pyb_out_adds(&t->out, "Core ");
        pyb_out_escaped(&t->out, p->core);
        pyb_out_printf(&t->out, " of process %d", p->pid);
    } else {
        pyb_out_printf(&t->out, "Process %d", p->pid);
    }
    pyb_out_adds(&t->out, " (Python ");
    pyb_out_escaped(&t->out, p->python ? p->python : "?");
    pyb_out_printf(&t->out, "%s%s)", p->free_threaded ? ", free-threaded" : "", p->debug_build ? ", debug build" : "");
    for (uint32_t i = 0; p->command && i < p->n_command; i++) {
        pyb_out_adds(&t->out, i ? " " : ": ");
        pyb_out_escaped(&t->out, p->command[i]);
    }
    pyb_text_plain(t);
    pyb_out_adds(&t->out, "\n");
    if (!p->note)
        return;
    pyb_out_adds(&t->out, "    (");
    pyb_out_escaped(&t->out, p->note);
    pyb_out_adds(&t->out, ")\n");
}

static void findings(struct pyb_text *t, const struct pyb_process *p)
{
    for (uint32_t i = 0; i < p->n_findings; i++) {
        pyb_text_style(t, PYB_STYLE_GAP);
        pyb_out_adds(&t->out, "=> ");
        pyb_out_escaped(&t->out, p->findings[i].text);
        pyb_text_plain(t);
        pyb_out_adds(&t->out, "\n");
    }
}

static void threads(struct pyb_text *t, const struct pyb_process *p, const struct entry *entries,
                    const struct pyb_thread **members)
{
    for (uint32_t i = 0, n; i < p->n_threads && !t->out.failed; i += n) {
        for (n = 0; i + n < p->n_threads && entries[i + n].group == entries[i].group; n++)
            members[n] = &p->threads[entries[i + n].index];
        pyb_out_adds(&t->out, "\n");
        pyb_text_header(t, members, n);
        t->name_width = 0;
        pyb_text_stack(t, members[0]);
    }
}

int pyb_text_process(const struct pyb_process *p, const struct pyb_text_options *o, pyb_write_fn write, void *ctx)
{
    struct pyb_text t;
    int code = pyb_text_begin(&t, o, write, ctx);
    if (code != 0)
        return code;
    struct entry *entries = calloc(p->n_threads + 1u, sizeof(*entries));
    const struct pyb_thread **members = calloc(p->n_threads + 1u, sizeof(const struct pyb_thread *));
    if (!entries || !members) {
        free(entries);
        free(members);
        return PYB_E_NOMEM;
    }
    if (t.flags & PYB_TEXT_NO_GROUP) {
        for (uint32_t i = 0; i < p->n_threads; i++)
            entries[i] = (struct entry){0, i, i};
    } else {
        group(&t, p, entries);
    }
    if (!(t.flags & PYB_TEXT_NO_HEADER))
        process_header(&t, p);
    findings(&t, p);
    threads(&t, p, entries, members);
    free(entries);
    free(members);
    return pyb_out_finish(&t.out);
}
