// SPDX-License-Identifier: Apache-2.0
#include "interp/lock_stack.h"

#include <string.h>

#include "base/error.h"
#include "interp/lock_blocks.h"
#include "interp/object.h"

static int read_slots(struct pyb_python *py, pyb_addr at, struct pyb_value_stack *s, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    uint8_t raw[PYB_MAX_STACK_SLOTS * 8];
    const size_t len = (size_t)s->n * l->ptr_size;
    const uint64_t mask = l->localsplus_tag_mask > 0 ? (uint64_t)l->localsplus_tag_mask : 0;
    int rc = len ? pyb_read_bytes(py->target->mem, at, raw, len, err) : 0;
    if (len == 0 || rc)
        return rc;
    struct pyb_bytes b = pyb_memory_bytes(py->target->mem, raw, len);
    for (uint32_t i = 0; i < s->n; i++) {
        const pyb_addr slot = pyb_get_ptr(&b, (size_t)i * l->ptr_size);
        const bool number = l->localsplus_int_tag > 0 && (slot & 3) == (uint64_t)l->localsplus_int_tag;
        s->values[i] = number ? 0 : slot & ~mask;
    }
    return 0;
}

static int stack_base(struct pyb_python *py, const struct pyb_pyframe *frame, pyb_addr *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    int64_t n_locals;
    if (l->walker == PYB_WALKER_FRAMEOBJECT)
        return pyb_field_ptr(py, frame->addr, l->frame_valuestack, ret, err);
    int rc = pyb_field_int(py, frame->code, l->code_nlocalsplus, &n_locals, err);
    if (rc == 0 && (n_locals < 0 || n_locals > (1 << 20) || !pyb_has(l->iframe_localsplus)))
        return pyb_fail_at(err, PYB_E_CORRUPT, frame->code, 0, "a code object with %lld variables", (long long)n_locals);
    if (rc == 0)
        *ret = frame->addr + (uint64_t)l->iframe_localsplus.offset + (uint64_t)n_locals * l->ptr_size;
    return rc;
}

int pyb_value_stack_read(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                         struct pyb_value_stack *ret, struct pyb_error *err)
{
    int64_t size;
    pyb_addr base;
    ret->n = ret->live = 0;
    int rc = pyb_field_int(py, code->addr, py->layout.code_stacksize, &size, err);
    if (rc == 0)
        rc = stack_base(py, frame, &base, err);
    if (rc)
        return rc;
    if (size < 0 || size > (1 << 24))
        return pyb_fail_at(err, PYB_E_CORRUPT, code->addr, 0, "a code object with a stack of %lld", (long long)size);
    ret->n = size < PYB_MAX_STACK_SLOTS ? (uint32_t)size : PYB_MAX_STACK_SLOTS;
    rc = read_slots(py, base, ret, err);
    if (rc)
        return rc;
    const int32_t live = pyb_blocks_depth(py, frame, code);
    ret->live = live < 0 ? 0 : (uint32_t)live < ret->n ? (uint32_t)live : ret->n;
    return 0;
}

static bool is_type(struct pyb_python *py, pyb_addr object, const char *name)
{
    const struct pyb_type *t;
    return object && object % py->layout.ptr_size == 0 && pyb_type_of(py, object, &t, NULL) == 0 && strcmp(t->name, name) == 0;
}

static bool is_builtin_exit(struct pyb_python *py, pyb_addr object, pyb_addr *ret_self)
{
    const struct pyb_layout *l = &py->layout;
    pyb_addr ml, name;
    char text[sizeof "__exit__"];
    return is_type(py, object, "builtin_function_or_method") && pyb_field_ptr(py, object, l->cfunction_ml, &ml, NULL) == 0 &&
           pyb_field_ptr(py, object, l->cfunction_self, ret_self, NULL) == 0 && *ret_self &&
           pyb_field_ptr(py, ml, l->methoddef_name, &name, NULL) == 0 &&
           pyb_read_bytes(py->target->mem, name, text, sizeof text, NULL) == 0 && memcmp(text, "__exit__", sizeof text) == 0;
}

static bool is_exit_function(struct pyb_python *py, pyb_addr object)
{
    pyb_addr name;
    return is_type(py, object, "function") && pyb_field_ptr(py, object, py->layout.func_name, &name, NULL) == 0 &&
           pyb_string_equals(py, name, "__exit__");
}

static bool is_bound_exit(struct pyb_python *py, pyb_addr object, pyb_addr *ret_self)
{
    const struct pyb_layout *l = &py->layout;
    pyb_addr func;
    return is_type(py, object, py->major == 2 ? "instancemethod" : "method") &&
           pyb_field_ptr(py, object, l->method_func, &func, NULL) == 0 && is_exit_function(py, func) &&
           pyb_field_ptr(py, object, l->method_self, ret_self, NULL) == 0 && *ret_self;
}

// 3.14 on: the function and what it is to be called with lie side by side, no bound method is made.
static bool is_unbound_exit(struct pyb_python *py, pyb_addr object)
{
    pyb_addr name;
    if (py->major < 3 || (py->major == 3 && py->minor < 14))
        return false;
    if (is_exit_function(py, object))
        return true;
    return is_type(py, object, "method_descriptor") && pyb_field_ptr(py, object, py->layout.descr_name, &name, NULL) == 0 &&
           pyb_string_equals(py, name, "__exit__");
}

size_t pyb_withs(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                 const struct pyb_value_stack *stack, struct pyb_with *ret, size_t max)
{
    size_t n = 0;
    for (uint32_t i = stack->live; i-- > 0 && n < max;) {
        pyb_addr self = 0;
        uint32_t depth = i + 1;
        if (is_unbound_exit(py, stack->values[i])) {
            self = i + 1 < stack->live ? stack->values[i + 1] : 0;
            depth++;
        } else if (!is_builtin_exit(py, stack->values[i], &self) && !is_bound_exit(py, stack->values[i], &self)) {
            continue;
        }
        if (self)
            ret[n++] = (struct pyb_with){.manager = self, .line = pyb_with_line(py, frame, code, depth)};
    }
    return n;
}

pyb_addr pyb_bound_to(struct pyb_python *py, pyb_addr object)
{
    const struct pyb_layout *l = &py->layout;
    pyb_addr self;
    if (is_type(py, object, "builtin_function_or_method") && pyb_field_ptr(py, object, l->cfunction_self, &self, NULL) == 0 && self)
        return self;
    if (is_type(py, object, py->major == 2 ? "instancemethod" : "method") &&
        pyb_field_ptr(py, object, l->method_self, &self, NULL) == 0 && self)
        return self;
    return object;
}
