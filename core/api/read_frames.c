// SPDX-License-Identifier: Apache-2.0
// From strands of the braid to frames of the result: names, positions, locals.
#include <string.h>

#include "api/read.h"
#include "base/error.h"
#include "stack/evaluation.h"
#include "stack/native_name.h"

int pyb_text_copy(struct pyb_reading *r, const char *text, const char **ret, struct pyb_error *err)
{
    uintptr_t known;
    *ret = NULL;
    if (!text)
        return 0;
    if (pyb_map_get(&r->texts, (uintptr_t)text, &known)) {
        *ret = (const char *)known;
        return 0;
    }
    *ret = pyb_clean_text(&r->result->arena, text, strlen(text));
    if (!*ret || pyb_map_put(&r->texts, (uintptr_t)text, (uintptr_t)*ret) != 0)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for the names of the result");
    return 0;
}

static const char *short_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash && slash[1] ? slash + 1 : path;
}

static bool is_context_error(int code)
{
    return code == PYB_E_NOMEM || code == PYB_E_ABORTED || code == PYB_E_LIMIT || code == PYB_E_GONE;
}

static int add_locals(struct pyb_reading *r, const struct pyb_pyframe *frame,
                      const struct pyb_code *code_object,
                      struct pyb_frame *ret, struct pyb_error *err)
{
    static const struct pyb_local none[1];
    struct pyb_local *locals = NULL;
    struct pyb_error why = {0};
    ret->locals = none; // not NULL: they were asked for
    int code = pyb_locals_read(r->py, frame, code_object, &r->limits, &r->result->arena, &locals,
                               &ret->n_locals, &why);
    // Names of types live as long as the interpreter's cache; the result outlives it.
    for (uint32_t i = 0; code == 0 && i < ret->n_locals; i++)
        code = pyb_text_copy(r, locals[i].type, &locals[i].type, &why);
    if (code == 0 && ret->n_locals > 0)
        ret->locals = locals;
    if (code == 0)
        return 0;
    ret->n_locals = 0;
    if (is_context_error(code)) {
        if (err)
            *err = why;
        return code;
    }
    ret->note = pyb_arena_printf(&r->result->arena, "locals: %s", why.what);
    return ret->note ? 0 : pyb_fail(err, PYB_E_NOMEM, "no memory for a note");
}

static int name_python(struct pyb_reading *r, const struct pyb_code *code_object, struct pyb_frame *ret,
                       struct pyb_error *err)
{
    const char *name = code_object->qualname ? code_object->qualname : code_object->name;
    int code = pyb_text_copy(r, name, &ret->name, err);
    if (code == 0)
        code = pyb_text_copy(r, code_object->name, &ret->func, err);
    if (code == 0)
        code = pyb_text_copy(r, code_object->filename, &ret->file, err);
    if (code == 0)
        code = pyb_text_copy(r, code_object->note, &ret->note, err);
    ret->short_file = short_name(ret->file);
    return code;
}

static int fill_python(struct pyb_reading *r, const struct pyb_tstate *t, const struct pyb_pyframe *frame,
                       struct pyb_frame *ret, struct pyb_error *err)
{
    const struct pyb_code *code_object;
    struct pyb_error why = {0};
    ret->kind = PYB_FRAME_PYTHON;
    ret->line = ret->end_line = ret->column = ret->end_column = -1;
    ret->number = -1;
    ret->entry = frame->entry;
    ret->frame = frame->addr;
    ret->code = frame->code;
    ret->lasti = frame->lasti;
    ret->interpreter = t->interp_id;
    int code = pyb_code_get(r->py, frame->code, &code_object, &why);
    if (is_context_error(code)) {
        if (err)
            *err = why;
        return code;
    }
    if (code != 0) {
        ret->note = pyb_clean_text(&r->result->arena, why.what, strlen(why.what));
        return ret->note ? 0 : pyb_fail(err, PYB_E_NOMEM, "no memory for a note");
    }
    code = name_python(r, code_object, ret, err);
    if (code != 0)
        return code;
    struct pyb_position at = {-1, -1, -1, -1};
    code = pyb_code_position(r->py, code_object, frame->lasti, &at, &why);
    if (is_context_error(code)) {
        if (err)
            *err = why;
        return code;
    }
    if (code == 0) {
        ret->line = at.line;
        ret->end_line = at.end_line;
        ret->column = at.column;
        ret->end_column = at.end_column;
    } else if (!ret->note) {
        ret->note = pyb_arena_printf(&r->result->arena, "no line: %s", why.what);
    }
    if (frame->jit && !ret->note)
        ret->note = "line approximate: compiled by the JIT";
    return r->options.flags & PYB_READ_LOCALS ? add_locals(r, frame, code_object, ret, err) : 0;
}

// Where the frame's function returns to; 0: a trampoline did not call it, and what was only guessed tells nothing.
static pyb_addr caller_of(const struct pyb_native_stack *native, uint32_t index)
{
    const uint32_t odd = PYB_NATIVE_SIGNAL | PYB_NATIVE_KERNEL | PYB_NATIVE_APPROX;
    if ((size_t)index + 1 >= native->n_frames || ((native->frames[index].flags | native->frames[index + 1].flags) & odd))
        return 0;
    return native->frames[index + 1].pc;
}

static int fill_native(struct pyb_reading *r, const struct pyb_native_stack *native,
                       const struct pyb_strand *strand,
                       struct pyb_frame *ret, struct pyb_error *err)
{
    const struct pyb_native_frame *f = &native->frames[strand->native];
    struct pyb_native_name name = {0};
    ret->kind = strand->kind;
    ret->number = f->number;
    ret->pc = f->pc;
    ret->sp = f->sp;
    ret->line = f->line > 0 ? f->line : -1;
    ret->end_line = ret->column = ret->end_column = -1;
    ret->lasti = -1;
    ret->interpreter = -1;
    ret->inlined = f->flags & PYB_NATIVE_INLINED;
    bool is_return = pyb_lookup_pc(native, strand->native) != f->pc;
    if (strand->kind == PYB_FRAME_KERNEL)
        name.name = f->name;
    else
        (void)pyb_native_name(&r->s->target, r->py, f, is_return, caller_of(native, strand->native), &name); // an unknown name is no error
    ret->offset = name.offset;
    ret->plumbing = strand->plumbing || name.plumbing;
    if (f->flags & PYB_NATIVE_APPROX)
        ret->note = "found by frame pointers only";
    if (f->flags & PYB_NATIVE_SIGNAL)
        name.name = "<signal handler called>"; // as GDB calls the trampoline, whether a symbol (__restore_rt) is there or not
    int code = pyb_text_copy(r, name.name, &ret->name, err);
    if (code == 0)
        code = pyb_text_copy(r, name.linkage_name, &ret->linkage_name, err);
    if (code == 0)
        code = pyb_text_copy(r, name.module ? name.module : f->module, &ret->module, err);
    if (code == 0)
        code = pyb_text_copy(r, f->file, &ret->file, err);
    ret->short_file = short_name(ret->file);
    return code;
}

// A tail-call interpreter runs each instruction in a function of its own, nameless where stripped: it stands
// directly inside an evaluation function that is too small for the loop.
static void mark_handler(struct pyb_reading *r, struct pyb_frame *inner, const struct pyb_frame *evaluation)
{
    struct pyb_function fn, handler;
    if (!inner || inner->name || inner->kind != PYB_FRAME_NATIVE || inner->inlined)
        return;
    if (pyb_target_function(&r->s->target, evaluation->pc - 1, &fn) == 0 &&
        fn.fde_end - fn.fde_start < 4096 &&
        fn.fde_end > fn.fde_start && pyb_target_function(&r->s->target, inner->pc, &handler) == 0 &&
        handler.module == fn.module)
        inner->plumbing = true;
}

static int fill(struct pyb_reading *r, const struct pyb_braid_input *in, const struct pyb_braid *braid,
                struct pyb_thread *ret, struct pyb_error *err)
{
    struct pyb_frame *frames = pyb_arena_array(&r->result->arena, braid->n, sizeof(*frames));
    struct pyb_frame *inner = NULL; // the native frame before this one
    if (!frames)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %u frames", braid->n);
    ret->frames = frames;
    for (uint32_t i = 0; i < braid->n; i++) {
        const struct pyb_strand *strand = &braid->items[i];
        struct pyb_frame *f = &frames[ret->n_frames++];
        int code = 0;
        if (strand->kind == PYB_FRAME_PYTHON) {
            const struct pyb_pyframe *python = &in->frames[strand->tstate].frames[strand->frame];
            code = fill_python(r, in->tstates[strand->tstate], python, f, err);
            if (python->incomplete && code == 0 && !f->name) {
                memset(f, 0, sizeof(*f)); // being pushed, and not there yet
                ret->n_frames--;
            }
        } else if (strand->kind == PYB_FRAME_GAP) {
            *f = (struct pyb_frame){.kind = PYB_FRAME_GAP, .line = -1, .end_line = -1, .column = -1,
                                    .end_column = -1,
                                    .lasti = -1, .interpreter = -1, .number = -1};
            code = pyb_text_copy(r, strand->note, &f->note, err);
        } else {
            code = fill_native(r, in->native, strand, f, err);
            if (strand->evaluation)
                mark_handler(r, inner, f);
            inner = f;
        }
        if (code != 0)
            return code;
    }
    return 0;
}

static void summarize(const struct pyb_tstate *const *tstates, size_t n, struct pyb_thread *t)
{
    // The thread state that runs: that of the innermost Python frame, else the first.
    const struct pyb_tstate *state = n > 0 ? tstates[0] : NULL;
    for (uint32_t i = 0; i < t->n_frames; i++) {
        if (t->frames[i].kind == PYB_FRAME_PYTHON) {
            t->interpreter = t->frames[i].interpreter;
            break;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (tstates[i]->interp_id == t->interpreter)
            state = tstates[i];
    }
    if (!state)
        return;
    t->has_python = true;
    t->ident = state->thread_id;
    t->gil = state->gil;
    t->gc = state->gc;
    for (size_t i = 0; i < n; i++) {
        if (tstates[i]->gil == PYB_GIL_HOLDS)
            t->gil = PYB_GIL_HOLDS;
    }
}

int pyb_thread_build(struct pyb_reading *r, const struct pyb_native_stack *native,
                     const struct pyb_tstate *const *tstates,
                     size_t n, struct pyb_thread *ret, struct pyb_error *err)
{
    struct pyb_arena work; // of this thread: a stack can be large
    struct pyb_braid braid;
    *ret = (struct pyb_thread){.interpreter = -1, .active = -1, .gc = -1};
    pyb_arena_init(&work, &r->s->ctx);
    struct pyb_frames *frames = pyb_arena_array(&work, n + 1, sizeof(*frames));
    int code = frames ? 0 : pyb_fail(err, PYB_E_NOMEM, "no memory for a thread");
    for (size_t i = 0; code == 0 && i < n; i++)
        code = pyb_frames_read(r->py, tstates[i], r->options.max_frames, &work, &frames[i], err);
    struct pyb_braid_input in = {.native = native, .tstates = tstates, .frames = frames, .n_tstates = n};
    if (code == 0)
        code = pyb_braid(r->py, &in, &work, &braid, err);
    if (code == 0)
        code = fill(r, &in, &braid, ret, err);
    if (code == 0) {
        ret->complete = braid.complete;
        code = pyb_text_copy(r, braid.note, &ret->note, err);
    }
    // Copies are found by the address of their source: those of this thread's notes must not outlive it.
    pyb_map_clear(&r->texts);
    for (size_t i = 0; code == 0 && i < n && !ret->name; i++)
        code = pyb_text_copy(r, tstates[i]->name, &ret->name, err);
    pyb_arena_deinit(&work);
    if (code == 0)
        summarize(tstates, n, ret);
    return code;
}
