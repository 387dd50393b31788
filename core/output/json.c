// SPDX-License-Identifier: Apache-2.0
// JSON, schema 1 (docs/json.md). One document on one line.
#include "output/output.h"

#include <inttypes.h>

static void key(struct pyb_out *o, const char *name, bool first)
{
    if (!first)
        pyb_out_add(o, ", ", 2);
    pyb_out_printf(o, "\"%s\": ", name);
}

static void string(struct pyb_out *o, const char *name, const char *value)
{
    key(o, name, false);
    pyb_out_json_string(o, value);
}

static void boolean(struct pyb_out *o, const char *name, bool value)
{
    key(o, name, false);
    pyb_out_adds(o, value ? "true" : "false");
}

// -1: unknown
static void maybe(struct pyb_out *o, const char *name, int32_t value)
{
    key(o, name, false);
    pyb_out_adds(o, value < 0 ? "null" : value ? "true" : "false");
}

static void number(struct pyb_out *o, const char *name, int64_t value, bool known)
{
    key(o, name, false);
    if (known)
        pyb_out_printf(o, "%" PRId64, value);
    else
        pyb_out_adds(o, "null");
}

static void address(struct pyb_out *o, const char *name, pyb_addr value, bool known)
{
    key(o, name, false);
    if (known)
        pyb_out_printf(o, "\"0x%" PRIx64 "\"", value);
    else
        pyb_out_adds(o, "null");
}

static void locals(struct pyb_out *o, const struct pyb_frame *f)
{
    key(o, "locals", false);
    pyb_out_adds(o, "[");
    for (uint32_t i = 0; i < f->n_locals; i++) {
        const struct pyb_local *l = &f->locals[i];
        pyb_out_adds(o, i ? ", {" : "{");
        key(o, "name", true);
        pyb_out_json_string(o, l->name);
        boolean(o, "arg", l->arg);
        boolean(o, "cell", l->cell);
        address(o, "addr", l->addr, l->addr != 0);
        string(o, "type", l->type);
        string(o, "repr", l->repr);
        string(o, "note", l->note);
        pyb_out_adds(o, "}");
    }
    pyb_out_adds(o, "]");
}

static void python_frame(struct pyb_out *o, const struct pyb_frame *f)
{
    string(o, "name", f->name);
    string(o, "func", f->func);
    string(o, "file", f->file);
    string(o, "short_file", f->short_file);
    number(o, "line", f->line, f->line >= 0);
    number(o, "end_line", f->end_line, f->end_line >= 0);
    number(o, "column", f->column, f->column >= 0);
    number(o, "end_column", f->end_column, f->end_column >= 0);
    boolean(o, "entry", f->entry);
    boolean(o, "plumbing", f->plumbing);
    number(o, "interpreter", f->interpreter, f->interpreter >= 0);
    address(o, "frame", f->frame, f->frame != 0);
    address(o, "code", f->code, f->code != 0);
    number(o, "lasti", f->lasti, f->lasti >= 0);
    string(o, "note", f->note);
    if (f->locals)
        locals(o, f);
}

static void native_frame(struct pyb_out *o, const struct pyb_frame *f)
{
    string(o, "name", f->name);
    string(o, "linkage_name", f->linkage_name);
    string(o, "module", f->module ? pyb_basename(f->module) : NULL);
    string(o, "module_path", f->module);
    address(o, "pc", f->pc, true);
    number(o, "offset", (int64_t)f->offset, f->module != NULL && f->offset <= INT64_MAX);
    string(o, "file", f->file);
    number(o, "line", f->line, f->line > 0);
    boolean(o, "inlined", f->inlined);
    boolean(o, "plumbing", f->plumbing);
    address(o, "sp", f->sp, f->sp != 0);
    number(o, "number", f->number, f->number >= 0);
    string(o, "note", f->note);
}

static const char *kind_name(enum pyb_frame_kind kind)
{
    switch (kind) {
    case PYB_FRAME_PYTHON:
        return "python";
    case PYB_FRAME_KERNEL:
        return "kernel";
    case PYB_FRAME_GAP:
        return "gap";
    default:
        return "native";
    }
}

static void frame(struct pyb_out *o, const struct pyb_frame *f)
{
    pyb_out_adds(o, "{");
    key(o, "kind", true);
    pyb_out_json_string(o, kind_name(f->kind));
    if (f->kind == PYB_FRAME_PYTHON)
        python_frame(o, f);
    else if (f->kind == PYB_FRAME_GAP)
        string(o, "note", f->note);
    else
        native_frame(o, f);
    pyb_out_adds(o, "}");
}

static const char *gil_name(enum pyb_gil gil)
{
    switch (gil) {
    case PYB_GIL_HOLDS:
        return "holds";
    case PYB_GIL_WAITS:
        return "waits";
    case PYB_GIL_RELEASED:
        return "released";
    default:
        return NULL;
    }
}

static const char *mode_name(enum pyb_reading_mode mode)
{
    static const char *const names[] = {"given", "blocked", "stopped", "validated", "unchecked"};
    return (size_t)mode < sizeof(names) / sizeof(names[0]) ? names[mode] : NULL;
}

static void finding(struct pyb_out *o, const struct pyb_finding *f)
{
    pyb_out_adds(o, "{");
    key(o, "kind", true);
    pyb_out_json_string(o, f->kind);
    string(o, "text", f->text);
    key(o, "tids", false);
    pyb_out_adds(o, "[");
    for (uint32_t i = 0; i < f->n_tids; i++)
        pyb_out_printf(o, "%s%d", i ? ", " : "", f->tids[i]);
    pyb_out_adds(o, "]}");
}

static void thread(struct pyb_out *o, const struct pyb_thread *t)
{
    pyb_out_adds(o, "{");
    key(o, "tid", true);
    if (t->tid > 0)
        pyb_out_printf(o, "%d", t->tid);
    else
        pyb_out_adds(o, "null");
    address(o, "ident", t->ident, t->ident != 0);
    string(o, "name", t->name);
    string(o, "os_name", t->os_name);
    number(o, "interpreter", t->interpreter, t->interpreter >= 0);
    maybe(o, "active", t->active);
    string(o, "gil", gil_name(t->gil));
    maybe(o, "gc", t->gc);
    boolean(o, "has_python", t->has_python);
    boolean(o, "complete", t->complete);
    string(o, "note", t->note);
    string(o, "mode", mode_name(t->mode));
    string(o, "state", t->state ? (char[]){t->state, '\0'} : NULL);
    string(o, "syscall", t->syscall);
    key(o, "frames", false);
    pyb_out_adds(o, "[");
    for (uint32_t i = 0; i < t->n_frames && !o->failed; i++) {
        pyb_out_adds(o, i ? ", " : "");
        frame(o, &t->frames[i]);
    }
    pyb_out_adds(o, "]}");
}

static void process(struct pyb_out *o, const struct pyb_process *p)
{
    key(o, "process", false);
    pyb_out_adds(o, "{");
    key(o, "pid", true);
    if (p->pid > 0)
        pyb_out_printf(o, "%d", p->pid);
    else
        pyb_out_adds(o, "null");
    string(o, "core", p->core);
    string(o, "executable", p->executable);
    string(o, "python", p->python);
    boolean(o, "free_threaded", p->free_threaded);
    boolean(o, "debug_build", p->debug_build);
    key(o, "command", false);
    pyb_out_adds(o, p->command ? "[" : "null");
    for (uint32_t i = 0; p->command && i < p->n_command; i++) {
        pyb_out_adds(o, i ? ", " : "");
        pyb_out_json_string(o, p->command[i]);
    }
    pyb_out_adds(o, p->command ? "]" : "");
    string(o, "note", p->note);
    pyb_out_adds(o, "}");
}

int pyb_json(const struct pyb_process *p, pyb_write_fn write, void *ctx)
{
    struct pyb_out o;
    pyb_out_init(&o, write, ctx);
    pyb_out_adds(&o, "{\"schema\": 1, \"tool\": \"pybraid " PYB_VERSION "\"");
    process(&o, p);
    key(&o, "findings", false);
    pyb_out_adds(&o, "[");
    for (uint32_t i = 0; i < p->n_findings; i++) {
        pyb_out_adds(&o, i ? ", " : "");
        finding(&o, &p->findings[i]);
    }
    pyb_out_adds(&o, "]");
    key(&o, "threads", false);
    pyb_out_adds(&o, "[");
    for (uint32_t i = 0; i < p->n_threads && !o.failed; i++) {
        pyb_out_adds(&o, i ? ", " : "");
        thread(&o, &p->threads[i]);
    }
    pyb_out_adds(&o, "]}\n");
    return pyb_out_finish(&o);
}
