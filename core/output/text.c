// SPDX-License-Identifier: Apache-2.0
// Text for people: innermost first, one line a frame. The first column says what a line is, without colour:
// `#N` a native frame with the debugger's number, `py` a Python frame, `k` a kernel frame, `--` something
// that is missing.
#include "output/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WIDEST_NAME 44 // a longer name pushes its own line's location only

static const char *const sgr[] = {
    [PYB_STYLE_HEADER] = "\033[1m",  [PYB_STYLE_PYTHON] = "\033[1;32m", [PYB_STYLE_PLACE] = "\033[36m",
    [PYB_STYLE_ADDRESS] = "\033[34m", [PYB_STYLE_GAP] = "\033[33m",      [PYB_STYLE_DIM] = "\033[2m",
    [PYB_STYLE_LOCAL] = "\033[36m",
};

void pyb_text_style(struct pyb_text *t, enum pyb_style style)
{
    if (t->flags & PYB_TEXT_COLOR)
        pyb_out_adds(&t->out, sgr[style]);
}

void pyb_text_plain(struct pyb_text *t)
{
    if (t->flags & PYB_TEXT_COLOR)
        pyb_out_adds(&t->out, "\033[0m");
}

static void column(struct pyb_text *t, bool current, const char *what)
{
    if (t->current >= 0)
        pyb_out_adds(&t->out, current ? "> " : "  ");
    pyb_out_adds(&t->out, what);
    size_t len = strlen(what);
    pyb_out_spaces(&t->out, len < t->column ? t->column - len + 1 : 1);
}

static void indent(struct pyb_text *t)
{
    pyb_out_spaces(&t->out, t->column + 1 + (t->current >= 0 ? 2 : 0));
}

static void place(struct pyb_text *t, const char *file, int32_t line)
{
    pyb_text_style(t, PYB_STYLE_PLACE);
    pyb_out_escaped(&t->out, file ? file : "?");
    if (line >= 0)
        pyb_out_printf(&t->out, ":%d", line);
    else
        pyb_out_adds(&t->out, ":?");
    pyb_text_plain(t);
}

static void remark(struct pyb_text *t, const char *note)
{
    if (!note)
        return;
    pyb_text_style(t, PYB_STYLE_GAP);
    pyb_out_adds(&t->out, "  [");
    pyb_out_escaped(&t->out, note);
    pyb_out_adds(&t->out, "]");
    pyb_text_plain(t);
}

static void local(struct pyb_text *t, const struct pyb_local *l)
{
    indent(t);
    pyb_out_spaces(&t->out, 4);
    pyb_text_style(t, PYB_STYLE_LOCAL);
    pyb_out_escaped(&t->out, l->name ? l->name : "?");
    pyb_text_plain(t);
    pyb_out_adds(&t->out, " = ");
    if (l->repr) {
        pyb_out_escaped(&t->out, l->repr);
    } else {
        pyb_out_adds(&t->out, "<");
        pyb_out_escaped(&t->out, l->note ? l->note : "unbound");
        pyb_out_adds(&t->out, ">");
    }
    if ((t->flags & PYB_TEXT_VERBOSE) && l->type) {
        pyb_out_adds(&t->out, "  (");
        pyb_out_escaped(&t->out, l->type);
        pyb_out_printf(&t->out, " at 0x%" PRIx64 ")", l->addr);
    }
    pyb_out_adds(&t->out, "\n");
}

static void python_frame(struct pyb_text *t, const struct pyb_frame *f, bool current)
{
    const char *name = f->name ? f->name : "?";
    column(t, current, "py");
    pyb_text_style(t, PYB_STYLE_PYTHON);
    pyb_out_escaped(&t->out, name);
    pyb_text_plain(t);
    size_t width = pyb_out_width(name);
    pyb_out_spaces(&t->out, 2 + (width < t->name_width ? t->name_width - width : 0));
    place(t, f->file, f->line);
    if ((t->flags & PYB_TEXT_VERBOSE) && f->column >= 0)
        pyb_out_printf(&t->out, ":%d", f->column + 1); // editors count columns from 1
    remark(t, f->note);
    if (t->flags & PYB_TEXT_VERBOSE) {
        pyb_out_printf(&t->out, "  frame 0x%" PRIx64 " code 0x%" PRIx64 " lasti %d", f->frame, f->code,
                       f->lasti);
        if (f->interpreter >= 0)
            pyb_out_printf(&t->out, " interpreter %" PRId64, f->interpreter);
    }
    pyb_out_adds(&t->out, "\n");
    for (uint32_t i = 0; (t->flags & PYB_TEXT_LOCALS) && f->locals && i < f->n_locals; i++)
        local(t, &f->locals[i]);
}

static void native_origin(struct pyb_text *t, const struct pyb_frame *f)
{
    if (f->file) {
        pyb_out_adds(&t->out, " at ");
        place(t, f->file, f->line);
    } else if (f->module) {
        pyb_out_adds(&t->out, " from ");
        pyb_out_escaped(&t->out, t->flags & PYB_TEXT_VERBOSE ? f->module : pyb_basename(f->module));
        if (!f->name || (t->flags & PYB_TEXT_VERBOSE))
            pyb_out_printf(&t->out, " +0x%" PRIx64, f->offset);
    }
}

static void native_frame(struct pyb_text *t, const struct pyb_frame *f, bool current)
{
    char number[16] = "#";
    if (f->kind == PYB_FRAME_KERNEL)
        (void)snprintf(number, sizeof(number), "k");
    else if (f->number >= 0)
        (void)snprintf(number, sizeof(number), "#%d", f->number);
    column(t, current, number);
    pyb_text_style(t, PYB_STYLE_ADDRESS);
    pyb_out_printf(&t->out, "0x%016" PRIx64, f->pc);
    pyb_text_plain(t);
    pyb_out_adds(&t->out, " in ");
    pyb_out_escaped(&t->out, f->name ? f->name : "??");
    pyb_out_adds(&t->out, " ()");
    native_origin(t, f);
    if (f->inlined)
        pyb_out_adds(&t->out, " [inlined]");
    if ((t->flags & PYB_TEXT_VERBOSE) && f->linkage_name && f->name && strcmp(f->linkage_name, f->name) != 0)
        remark(t, f->linkage_name);
    remark(t, f->note);
    pyb_out_adds(&t->out, "\n");
}

void pyb_text_gap(struct pyb_text *t, const char *note)
{
    column(t, false, "--");
    pyb_text_style(t, PYB_STYLE_GAP);
    pyb_out_escaped(&t->out, note ? note : "something could not be read here");
    pyb_text_plain(t);
    pyb_out_adds(&t->out, "\n");
}

static void any_frame(struct pyb_text *t, const struct pyb_frame *f, bool current)
{
    if (f->kind == PYB_FRAME_PYTHON)
        python_frame(t, f, current);
    else if (f->kind == PYB_FRAME_GAP)
        pyb_text_gap(t, f->note);
    else
        native_frame(t, f, current);
}

bool pyb_text_shows(const struct pyb_text *t, const struct pyb_frame *f)
{
    if (f->kind == PYB_FRAME_GAP || f->kind == PYB_FRAME_PYTHON)
        return true;
    return !(t->flags & PYB_TEXT_PYTHON) && (!f->plumbing || (t->flags & PYB_TEXT_ALL));
}

// Widths of the first column and of Python names, over the frames that will be printed.
static void measure(struct pyb_text *t, const struct pyb_thread *thread)
{
    t->column = 3;
    for (uint32_t i = 0; i < thread->n_frames; i++) {
        const struct pyb_frame *f = &thread->frames[i];
        if (!pyb_text_shows(t, f))
            continue;
        if (f->kind == PYB_FRAME_PYTHON) {
            size_t width = pyb_out_width(f->name ? f->name : "?");
            if (width <= WIDEST_NAME && width > t->name_width)
                t->name_width = width;
        } else if (f->kind == PYB_FRAME_NATIVE && f->number >= 0) {
            char number[16];
            int width = snprintf(number, sizeof(number), "#%d", f->number);
            if (width > (int)t->column)
                t->column = (uint32_t)width;
        }
    }
}

// "(12 interpreter frames hidden; -a shows them)"
static void closing(struct pyb_text *t, uint32_t n, const char *what, const char *rest)
{
    if (n == 0)
        return;
    indent(t);
    pyb_text_style(t, PYB_STYLE_DIM);
    pyb_out_printf(&t->out, "(%u %s frame%s%s)", n, what, n == 1 ? "" : "s", rest);
    pyb_text_plain(t);
    pyb_out_adds(&t->out, "\n");
}

void pyb_text_stack(struct pyb_text *t, const struct pyb_thread *thread)
{
    uint32_t hidden = 0, printed = 0, left = 0;
    bool gap = false;
    if (t->flags & PYB_TEXT_TRACEBACK) {
        pyb_traceback(t, thread);
        return;
    }
    measure(t, thread);
    for (uint32_t i = 0; i < thread->n_frames && !t->out.failed; i++) {
        const struct pyb_frame *f = &thread->frames[i];
        gap |= f->kind == PYB_FRAME_GAP;
        if (!pyb_text_shows(t, f)) {
            hidden += f->plumbing && left == 0 && !(t->flags & PYB_TEXT_PYTHON);
            continue;
        }
        if (f->kind != PYB_FRAME_GAP && t->limit && printed == t->limit) {
            left++;
            continue;
        }
        printed += f->kind != PYB_FRAME_GAP;
        any_frame(t, f, t->current >= 0 && (uint32_t)t->current == i);
    }
    if (!gap && thread->note && !thread->complete)
        pyb_text_gap(t, thread->note);
    closing(t, left, "more", "");
    closing(t, hidden, "interpreter", " hidden; -a shows them");
    if (printed == 0 && !gap) {
        indent(t);
        pyb_out_adds(&t->out, thread->has_python ? "(no Python frame)\n" : "(no frame)\n");
    }
}

int pyb_text_begin(struct pyb_text *t, const struct pyb_text_options *o, pyb_write_fn write, void *ctx)
{
    *t = (struct pyb_text){.current = -1, .column = 3};
    pyb_out_init(&t->out, write, ctx);
    if (!o)
        return 0;
    struct pyb_text_options full = {.current = -1};
    if (o->size < offsetof(struct pyb_text_options, limit))
        return PYB_E_USAGE;
    memcpy(&full, o, o->size < sizeof(full) ? o->size : sizeof(full));
    t->flags = full.flags;
    t->limit = full.limit;
    t->current = full.current;
    return 0;
}

int pyb_text_frame(const struct pyb_frame *f, uint32_t index, const struct pyb_text_options *o,
                   pyb_write_fn write,
                   void *ctx)
{
    struct pyb_text t;
    int code = pyb_text_begin(&t, o, write, ctx);
    if (code != 0)
        return code;
    if (t.flags & PYB_TEXT_TRACEBACK)
        pyb_traceback_frame(&t, f);
    else
        any_frame(&t, f, t.current >= 0 && (uint32_t)t.current == index);
    return pyb_out_finish(&t.out);
}

int pyb_text_thread(const struct pyb_thread *thread, const struct pyb_text_options *o, pyb_write_fn write,
                    void *ctx)
{
    struct pyb_text t;
    int code = pyb_text_begin(&t, o, write, ctx);
    if (code != 0)
        return code;
    if (!(t.flags & PYB_TEXT_NO_HEADER))
        pyb_text_header(&t, &thread, 1);
    pyb_text_stack(&t, thread);
    return pyb_out_finish(&t.out);
}
