// SPDX-License-Identifier: Apache-2.0
#include "interp/locals.h"

#include "base/error.h"
#include "interp/variables.h"

#include <string.h>

enum { MAX_SLOW_LOCALS = 4096 };

// One call's state: results grow in the arena.
struct reading {
    struct pyb_python *py;
    const struct pyb_repr_limits *limits;
    struct pyb_arena *arena;
    struct pyb_buf text;
    struct pyb_error *err;
};

static bool ends_all(int rc)
{
    return rc == PYB_E_NOMEM || rc == PYB_E_ABORTED || rc == PYB_E_LIMIT;
}

// 2.7's classic instances all have the type "instance": their class's name says more.
static const char *type_name(struct reading *l, pyb_addr object, const struct pyb_type *t)
{
    pyb_addr class, name;
    const char *text;
    if (l->py->layout.major != 2 || strcmp(t->name, "instance") != 0 ||
        pyb_field_ptr(l->py, object, l->py->layout.oldinstance_class, &class, NULL) != 0 ||
        pyb_field_ptr(l->py, class, l->py->layout.oldclass_name, &name, NULL) != 0 ||
        pyb_string_read(l->py, name, 256, l->arena, &text, NULL, NULL) != 0)
        return t->name;
    return text;
}

static int describe(struct reading *l, pyb_addr object, struct pyb_local *ret)
{
    const struct pyb_type *t;
    ret->addr = object;
    if (object == 0) {
        ret->note = "unbound";
        return 0;
    }
    if (pyb_type_of(l->py, object, &t, NULL) == 0)
        ret->type = type_name(l, object, t);
    pyb_buf_clear(&l->text);
    int rc = pyb_repr_object(l->py, object, l->limits, &l->text, l->err);
    if (ends_all(rc))
        return rc;
    ret->repr = rc == 0 ? pyb_arena_strndup(l->arena, pyb_buf_str(&l->text), l->text.len) : NULL;
    if (rc)
        ret->note = "cannot be read";
    else if (!ret->repr)
        return pyb_fail(l->err, PYB_E_NOMEM, "no memory for a repr");
    return 0;
}

static int name_it(struct reading *l, pyb_addr name, struct pyb_local *ret)
{
    int rc = pyb_string_read(l->py, name, 1024, l->arena, &ret->name, NULL, l->err);
    if (rc == 0 || ends_all(rc))
        return rc;
    ret->name = "?";
    ret->note = "its name cannot be read";
    return 0;
}

static int add_fast(struct reading *l, const struct pyb_variable *v, struct pyb_local *ret)
{
    int rc = name_it(l, v->name, ret);
    if (rc)
        return rc;
    ret->arg = v->arg;
    ret->cell = v->cell;
    if (!v->is_int)
        return describe(l, v->value, ret);
    ret->type = "int";
    ret->repr = pyb_arena_printf(l->arena, "%lld", (long long)v->number);
    return ret->repr ? 0 : pyb_fail(l->err, PYB_E_NOMEM, "no memory for a repr");
}

static bool has_name(const struct pyb_local *locals, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(locals[i].name, name) == 0)
            return true;
    return false;
}

// Module and class bodies, exec(): the names in the mapping that is the frame's f_locals. A function of 2.7
// that uses exec has both kinds: then the mapping may be an old copy of a fast variable, which is left out.
static int add_slow(struct reading *l, pyb_addr namespace, struct pyb_local *locals, uint32_t *n,
                    uint32_t max)
{
    struct pyb_dict_iter it;
    pyb_addr key, value;
    const uint32_t n_fast = *n;
    int rc = pyb_dict_iter_init(l->py, namespace, &it, NULL, l->err);
    while (rc == 0 && *n < max && (rc = pyb_dict_next(l->py, &it, &key, &value, l->err)) == 1) {
        locals[*n] = (struct pyb_local){0};
        rc = name_it(l, key, &locals[*n]);
        if (rc == 0 && has_name(locals, n_fast, locals[*n].name))
            continue;
        if (rc == 0)
            rc = describe(l, value, &locals[*n]);
        ++*n;
    }
    if (rc >= 0 && *n < max)
        return 0;
    if (ends_all(rc))
        return rc;
    struct pyb_local *last = &locals[(*n)++]; // there is room for one more
    *last = (struct pyb_local){.name = "...", .addr = namespace};
    last->note = rc >= 0                ? "too many names, the others are left out"
                 : rc == PYB_E_CORRUPT ? "the namespace is no dict, or a corrupt one"
                                       : "the namespace cannot be read";
    return 0;
}

// How many slow locals to make room for; 0: there are none.
static uint32_t slow_count(struct pyb_python *py, pyb_addr namespace)
{
    struct pyb_dict_iter it;
    int64_t n;
    if (pyb_dict_iter_init(py, namespace, &it, &n, NULL) != 0)
        return 0;
    return n < MAX_SLOW_LOCALS ? (uint32_t)n : MAX_SLOW_LOCALS;
}

static int read_all(struct reading *l, const struct pyb_pyframe *frame, const struct pyb_code *code,
                    struct pyb_local **ret, uint32_t *ret_n)
{
    struct pyb_variable *fast;
    uint32_t n_fast, n_slow = 0;
    pyb_addr namespace = 0, globals = 0, builtins;
    int rc = pyb_variables_read(l->py, frame, code, l->arena, &fast, &n_fast, l->err);
    if (rc == 0 && !pyb_code_is_optimized(code)) {
        rc = pyb_frame_namespaces(l->py, frame, &namespace, &globals, &builtins, l->err);
        namespace = namespace == globals ? 0 : namespace;
        n_slow = namespace ? slow_count(l->py, namespace) : 0;
    }
    if (rc)
        return rc;
    struct pyb_local *locals = pyb_arena_array(l->arena, (size_t)n_fast + n_slow + 2, sizeof *locals);
    if (!locals)
        return pyb_fail(l->err, PYB_E_NOMEM, "no memory for %u locals", n_fast + n_slow);
    uint32_t n = 0;
    for (uint32_t i = 0; rc == 0 && i < n_fast; i++)
        if (!fast[i].hidden || fast[i].value || fast[i].is_int)
            rc = add_fast(l, &fast[i], &locals[n++]);
    if (rc == 0 && namespace)
        rc = add_slow(l, namespace, locals, &n, n + n_slow + 1);
    *ret = locals;
    *ret_n = n;
    return rc;
}

int pyb_locals_read(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                    const struct pyb_repr_limits *limits,
                    struct pyb_arena *arena, struct pyb_local **ret, uint32_t *ret_n, struct pyb_error *err)
{
    struct reading l = {.py = py, .limits = limits, .arena = arena, .err = err};
    *ret = NULL;
    *ret_n = 0;
    pyb_buf_init(&l.text, py->target->ctx, 0);
    int rc = read_all(&l, frame, code, ret, ret_n);
    pyb_buf_deinit(&l.text);
    return rc;
}
