// SPDX-License-Identifier: Apache-2.0
// Thread 4711 (active, holds GIL): "MainThread"
#include <inttypes.h>

#include "output/text.h"

static void add(struct pyb_text *t, const char *word, int *n)
{
    pyb_out_adds(&t->out, *n ? ", " : " (");
    pyb_out_adds(&t->out, word);
    (*n)++;
}

static void activity(struct pyb_text *t, const struct pyb_thread *thread, int *n)
{
    const char *word = thread->active == 1 ? "active"
                     : thread->state == 'D' ? "uninterruptible"
                     : thread->state == 'T' ? "stopped by a signal"
                     : thread->state == 't' ? "stopped by a debugger"
                     : thread->state == 'Z' ? "zombie"
                     : thread->active == 0 ? "idle" : NULL;
    if (!word)
        return;
    add(t, word, n);
    if (thread->syscall && thread->active == 0) {
        pyb_out_adds(&t->out, " in ");
        pyb_out_escaped(&t->out, thread->syscall);
    }
}

static void state(struct pyb_text *t, const struct pyb_thread *thread)
{
    int n = 0;
    activity(t, thread, &n);
    if (thread->gil == PYB_GIL_HOLDS)
        add(t, "holds GIL", &n);
    else if (thread->gil == PYB_GIL_WAITS)
        add(t, "waits for GIL", &n);
    if (thread->gc == 1)
        add(t, "collecting garbage", &n);
    if (!thread->has_python)
        add(t, "no Python state", &n);
    if (thread->interpreter > 0) {
        pyb_out_printf(&t->out, "%sinterpreter %" PRId64, n ? ", " : " (", thread->interpreter);
        n++;
    }
    if (thread->mode == PYB_MODE_VALIDATED)
        add(t, "read without stopping it", &n);
    if (n)
        pyb_out_adds(&t->out, ")");
}

static void id(struct pyb_text *t, const struct pyb_thread *thread)
{
    if (thread->tid > 0)
        pyb_out_printf(&t->out, " %d", thread->tid);
    else if (thread->ident)
        pyb_out_printf(&t->out, " 0x%" PRIx64, thread->ident);
    else
        pyb_out_adds(&t->out, " ?");
}

// Quotes: threading's name; brackets: the kernel's.
static void name(struct pyb_text *t, const struct pyb_thread *thread, const char *before)
{
    const char *text = thread->name ? thread->name : thread->os_name;
    if (!text)
        return;
    pyb_out_adds(&t->out, before);
    pyb_out_adds(&t->out, thread->name ? "\"" : "[");
    pyb_out_escaped(&t->out, text);
    pyb_out_adds(&t->out, thread->name ? "\"" : "]");
}

void pyb_text_header(struct pyb_text *t, const struct pyb_thread *const *threads, size_t n)
{
    const struct pyb_thread *thread = threads[0];
    pyb_text_style(t, PYB_STYLE_HEADER);
    if (n > 1)
        pyb_out_printf(&t->out, "%zu threads with this stack", n);
    else
        pyb_out_adds(&t->out, "Thread");
    if (n == 1)
        id(t, thread);
    state(t, thread);
    if (n == 1)
        name(t, thread, ": ");
    pyb_text_plain(t);
    pyb_out_adds(&t->out, "\n");
    for (size_t i = 0; n > 1 && i < n; i++) {
        pyb_out_adds(&t->out, i % 4 == 0 ? "   " : ",");
        id(t, threads[i]);
        name(t, threads[i], " ");
        pyb_out_adds(&t->out, i % 4 == 3 || i + 1 == n ? "\n" : "");
    }
    if (thread->note && thread->complete) {
        pyb_out_adds(&t->out, "    (");
        pyb_out_escaped(&t->out, thread->note);
        pyb_out_adds(&t->out, ")\n");
    }
}
