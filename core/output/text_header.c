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

static void state(struct pyb_text *t, const struct pyb_thread *thread)
{
    int n = 0;
    if (thread->active >= 0)
        add(t, thread->active ? "active" : "idle", &n);
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
    if (n)
        pyb_out_adds(&t->out, ")");
}

void pyb_text_header(struct pyb_text *t, const struct pyb_thread *thread)
{
    pyb_text_style(t, PYB_STYLE_HEADER);
    if (thread->tid > 0)
        pyb_out_printf(&t->out, "Thread %d", thread->tid);
    else if (thread->ident)
        pyb_out_printf(&t->out, "Thread 0x%" PRIx64, thread->ident);
    else
        pyb_out_adds(&t->out, "Thread ?");
    state(t, thread);
    const char *name = thread->name ? thread->name : thread->os_name;
    if (name) {
        // Quotes: threading's name; brackets: the kernel's.
        pyb_out_adds(&t->out, thread->name ? ": \"" : ": [");
        pyb_out_escaped(&t->out, name);
        pyb_out_adds(&t->out, thread->name ? "\"" : "]");
    }
    pyb_text_plain(t);
    pyb_out_adds(&t->out, "\n");
    if (thread->note && thread->complete) {
        pyb_out_adds(&t->out, "    (");
        pyb_out_escaped(&t->out, thread->note);
        pyb_out_adds(&t->out, ")\n");
    }
}
