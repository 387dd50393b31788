// SPDX-License-Identifier: Apache-2.0
#include "interp/variables.h"

#include "base/error.h"

#include <string.h>

#define MAX_COMPARED 1000000u // names of one frame: beyond, a cell that is an argument too stands twice
#define TEXT_COST 50u         // compared as text instead of by address: code changed by hand has names that are not interned

enum { CO_OPTIMIZED = 1, CO_VARARGS = 4, CO_VARKEYWORDS = 8 };

bool pyb_code_is_optimized(const struct pyb_code *code)
{
    return (code->flags & CO_OPTIMIZED) != 0;
}

static bool is_cell(struct pyb_python *py, pyb_addr object)
{
    const struct pyb_type *t;
    return pyb_type_of(py, object, &t, NULL) == 0 && strcmp(t->name, "cell") == 0;
}

static int tuple_size(struct pyb_python *py, pyb_addr tuple, int64_t *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    int rc = pyb_field_int(py, tuple, pyb_has(l->tuple_ob_size) ? l->tuple_ob_size : l->var_ob_size, ret,
                           err);
    if (rc == 0 && (*ret < 0 || *ret > PYB_MAX_VARIABLES))
        return pyb_fail_at(err, PYB_E_CORRUPT, tuple, 0, "a code object with %lld variables",
                           (long long)*ret);
    return rc;
}

static int read_ptrs(struct pyb_python *py, pyb_addr at, int64_t n, struct pyb_arena *arena, pyb_addr **ret,
                     struct pyb_error *err)
{
    const size_t word = py->layout.ptr_size, len = (size_t)n * word;
    pyb_addr *ptrs = pyb_arena_array(arena, (size_t)n + 1, sizeof *ptrs);
    uint8_t *raw = pyb_alloc(py->target->ctx, len + 1);
    if (!ptrs || !raw) {
        pyb_free(py->target->ctx, raw);
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %lld variables", (long long)n);
    }
    int rc = n ? pyb_read_bytes(py->target->mem, at, raw, len, err) : 0;
    struct pyb_bytes b = pyb_memory_bytes(py->target->mem, raw, len);
    for (int64_t i = 0; rc == 0 && i < n; i++)
        ptrs[i] = pyb_get_ptr(&b, (size_t)i * word);
    pyb_free(py->target->ctx, raw);
    *ret = ptrs;
    return rc;
}

// Items of the tuple of names that a member of the code object points to; none when it is NULL.
static int read_names(struct pyb_python *py, pyb_addr code, struct pyb_field f, struct pyb_arena *arena,
                      pyb_addr **ret, int64_t *ret_n, struct pyb_error *err)
{
    pyb_addr tuple;
    *ret_n = 0;
    int rc = pyb_field_ptr(py, code, f, &tuple, err);
    if (rc || !tuple)
        return rc;
    rc = tuple_size(py, tuple, ret_n, err);
    return rc ? rc : read_ptrs(py, tuple + (uint64_t)py->layout.tuple_item.offset, *ret_n, arena, ret, err);
}

static int count_args(struct pyb_python *py, const struct pyb_code *code, int64_t *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    int64_t keyword_only = 0;
    int rc = pyb_field_int(py, code->addr, l->code_argcount, ret, err);
    if (rc == 0 && pyb_has(l->code_kwonlyargcount))
        rc = pyb_field_int(py, code->addr, l->code_kwonlyargcount, &keyword_only, err);
    *ret += keyword_only + ((code->flags & CO_VARARGS) != 0) + ((code->flags & CO_VARKEYWORDS) != 0);
    return rc;
}

// What a slot holds: tag bits taken off, a cell replaced by its content.
static int resolve(struct pyb_python *py, pyb_addr raw, struct pyb_variable *v, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    const uint64_t mask = l->localsplus_tag_mask > 0 ? (uint64_t)l->localsplus_tag_mask : 0;
    if (l->localsplus_int_tag > 0 && (raw & 3) == (uint64_t)l->localsplus_int_tag) {
        v->is_int = true;
        v->number = (l->ptr_size == 4 ? (int64_t)(int32_t)raw : (int64_t)raw) >> 2;
        return 0;
    }
    v->value = raw & ~mask;
    if (v->value == 0 || !is_cell(py, v->value))
        return 0;
    v->cell = true;
    return pyb_field_ptr(py, v->value, l->cell_ref, &v->value, err);
}

// A cell or free variable whose name is also an argument's or a local's replaces it: the frame copied the
// argument into the cell.
static struct pyb_variable *place_for(struct pyb_python *py, struct pyb_variable *v, uint32_t n_locals,
                                      uint32_t *n, pyb_addr name, uint32_t *budget)
{
    char text[256];
    // The compiler's names are interned: the same name is the same object.
    for (uint32_t i = 0; i < n_locals && *budget > 0; i++, --*budget)
        if (v[i].name == name)
            return &v[i];
    if (*budget / TEXT_COST < n_locals)
        return &v[(*n)++];
    *budget -= n_locals * TEXT_COST;
    struct pyb_buf buf;
    pyb_buf_init(&buf, py->target->ctx, sizeof text - 1);
    uint32_t points[sizeof text];
    size_t len = 0;
    int64_t total = 0;
    if (pyb_string_codepoints(py, name, points, sizeof text - 1, &len, &total, NULL) == 0)
        for (size_t i = 0; i < len; i++)
            pyb_buf_add_codepoint(&buf, points[i]);
    struct pyb_variable *place = NULL;
    for (uint32_t i = 0; !place && buf.len && i < n_locals; i++)
        if (pyb_string_equals(py, v[i].name, pyb_buf_str(&buf)))
            place = &v[i];
    pyb_buf_deinit(&buf);
    return place ? place : &v[(*n)++];
}

// 2.7 to 3.10: locals, cells and free variables in f_localsplus, their names in three tuples.
static int from_frame_object(struct pyb_python *py, const struct pyb_pyframe *frame,
                             const struct pyb_code *code, struct pyb_arena *arena,
                             struct pyb_variable **ret, uint32_t *ret_n, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    const struct pyb_field tuples[] = {l->code_varnames, l->code_cellvars, l->code_freevars};
    pyb_addr *names[3] = {0}, *values;
    int64_t n[3] = {0}, n_args;
    uint32_t budget = MAX_COMPARED;
    int rc = count_args(py, code, &n_args, err);
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = read_names(py, code->addr, tuples[i], arena, &names[i], &n[i], err);
    if (rc == 0 && !pyb_has(l->frame_localsplus))
        rc = pyb_fail(err, PYB_E_UNSUPPORTED, "layout %s does not say where a frame's locals are", l->name);
    if (rc == 0)
        rc = read_ptrs(py, frame->addr + (uint64_t)l->frame_localsplus.offset, n[0] + n[1] + n[2], arena,
                       &values, err);
    if (rc)
        return rc;
    struct pyb_variable *v = pyb_arena_array(arena, (size_t)(n[0] + n[1] + n[2]) + 1, sizeof *v);
    if (!v)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for locals");
    *ret = v;
    *ret_n = 0;
    for (int64_t i = 0, slot = 0; i < 3; i++) {
        for (int64_t j = 0; j < n[i]; j++, slot++) {
            struct pyb_variable *at = &v[*ret_n];
            if (i == 0)
                ++*ret_n;
            else
                at = place_for(py, v, (uint32_t)n[0], ret_n, names[i][j], &budget);
            *at = (struct pyb_variable){.name = names[i][j], .arg = at->arg || (i == 0 && j < n_args),
                                        .cell = i > 0};
            rc = i == 0 ? (at->value = values[slot], 0) : resolve(py, values[slot], at, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

// The closure of the frame's function: where free variables are before the frame's first instruction has
// copied them.
static pyb_addr closure_of(struct pyb_python *py, const struct pyb_pyframe *frame)
{
    const struct pyb_layout *l = &py->layout;
    pyb_addr function, closure;
    const struct pyb_type *t;
    if (pyb_field_ptr(py, frame->addr, l->iframe_funcobj, &function, NULL) != 0)
        return 0;
    if (l->executable_tag_mask > 0)
        function &= ~(uint64_t)l->executable_tag_mask;
    if (!function || pyb_type_of(py, function, &t, NULL) != 0 || strcmp(t->name, "function") != 0)
        return 0;
    return pyb_field_ptr(py, function, l->func_closure, &closure, NULL) == 0 ? closure : 0;
}

static int from_closure(struct pyb_python *py, pyb_addr closure, int64_t i, struct pyb_variable *v,
                        struct pyb_error *err)
{
    int64_t n;
    pyb_addr cell;
    if (closure == 0 || tuple_size(py, closure, &n, NULL) != 0 || i >= n)
        return 0;
    const pyb_addr items = closure + (uint64_t)py->layout.tuple_item.offset;
    int rc = pyb_read_ptr(py->target->mem, items + (uint64_t)i * py->layout.ptr_size, &cell, err);
    if (rc || !cell || !is_cell(py, cell))
        return rc;
    return pyb_field_ptr(py, cell, py->layout.cell_ref, &v->value, err);
}

// 3.11 on: one array, one tuple of names, one byte of kind for each.
static int from_interpreter_frame(struct pyb_python *py, const struct pyb_pyframe *frame,
                                  const struct pyb_code *code,
                                  struct pyb_arena *arena, struct pyb_variable **ret, uint32_t *ret_n,
                                  struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    pyb_addr *names = NULL, *values, kinds_at, closure = 0;
    int64_t n, n_args, n_free = 0;
    int rc = count_args(py, code, &n_args, err);
    if (rc == 0)
        rc = read_names(py, code->addr, l->code_localsplusnames, arena, &names, &n, err);
    if (rc == 0)
        rc = pyb_field_ptr(py, code->addr, l->code_localspluskinds, &kinds_at, err);
    if (rc == 0)
        rc = pyb_field_int(py, code->addr, l->code_nfreevars, &n_free, err);
    if (rc)
        return rc;
    uint8_t *kinds = pyb_arena_alloc(arena, (size_t)n + 1);
    struct pyb_variable *v = pyb_arena_array(arena, (size_t)n + 1, sizeof *v);
    size_t n_kinds;
    int64_t total;
    if (!kinds || !v)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for locals");
    rc = pyb_bytes_object_read(py, kinds_at, kinds, (size_t)n, &n_kinds, &total, err);
    if (rc == 0 && total != n)
        rc = pyb_fail_at(err, PYB_E_CORRUPT, code->addr, 0, "%lld variables of %lld kinds", (long long)n,
                         (long long)total);
    if (rc == 0)
        rc = read_ptrs(py, frame->addr + (uint64_t)l->iframe_localsplus.offset, n, arena, &values, err);
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        const bool free = (kinds[i] & l->local_free) != 0;
        v[i] = (struct pyb_variable){.name = names[i], .arg = i < n_args};
        v[i].cell = free || (kinds[i] & l->local_cell) != 0;
        v[i].hidden = l->local_hidden != PYB_ABSENT && (kinds[i] & l->local_hidden) != 0;
        rc = resolve(py, values[i], &v[i], err);
        if (rc == 0 && free && !v[i].value && i >= n - n_free) {
            closure = closure ? closure : closure_of(py, frame);
            rc = from_closure(py, closure, i - (n - n_free), &v[i], err);
        }
    }
    *ret = v;
    *ret_n = (uint32_t)n;
    return rc;
}

int pyb_variables_read(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                       struct pyb_arena *arena,
                       struct pyb_variable **ret, uint32_t *ret_n, struct pyb_error *err)
{
    *ret = NULL;
    *ret_n = 0;
    if (py->layout.walker == PYB_WALKER_FRAMEOBJECT)
        return from_frame_object(py, frame, code, arena, ret, ret_n, err);
    return from_interpreter_frame(py, frame, code, arena, ret, ret_n, err);
}

int pyb_frame_namespaces(struct pyb_python *py, const struct pyb_pyframe *frame, pyb_addr *ret_locals,
                         pyb_addr *ret_globals, pyb_addr *ret_builtins, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    const bool object = l->walker == PYB_WALKER_FRAMEOBJECT;
    int rc = pyb_field_ptr(py, frame->addr, object ? l->frame_locals : l->iframe_locals, ret_locals, err);
    if (rc == 0)
        rc = pyb_field_ptr(py, frame->addr, object ? l->frame_globals : l->iframe_globals, ret_globals, err);
    if (rc == 0)
        rc = pyb_field_ptr(py, frame->addr, object ? l->frame_builtins : l->iframe_builtins, ret_builtins,
                           err);
    return rc;
}
